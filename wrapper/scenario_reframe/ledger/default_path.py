"""Where the ledger is kept when nobody names a place."""

import os
from pathlib import Path

from platformdirs import user_state_path


def usual_place() -> Path | str:
    """SCENARIO_LEDGER, else `ledger.db` in the user's state folder."""
    return os.environ.get("SCENARIO_LEDGER") or user_state_path("scenario-reframe") / "ledger.db"
