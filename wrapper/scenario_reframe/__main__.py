"""`python -m scenario_reframe` is `scenario-reframe`."""

import sys

from .cli import main

sys.exit(main())
