"""The ledger's default path."""

import os
from pathlib import Path

from platformdirs import user_state_path


def default_ledger_path() -> Path | str:
    """The value of SCENARIO_LEDGER, else `ledger.db` in the user's state folder."""
    return os.environ.get("SCENARIO_LEDGER") or user_state_path("scenario-reframe") / "ledger.db"
