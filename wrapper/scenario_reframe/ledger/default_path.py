"""The ledger's path."""

import os
import re
from pathlib import Path
from stat import S_ISREG

from platformdirs import user_state_path

from scenario_reframe.errors import ConfigurationError

_SQLITE = "sqlite:///"
# Not only `://`: a `Path` makes one slash of two.
_MAY_HOLD_PASSWORD = re.compile(
    r"""[\s'"]*[a-z][a-z0-9+.-]+:(?:/|.*@)|.*(?:://|password=)""", re.IGNORECASE | re.DOTALL
)


def default_ledger_path() -> Path | str:
    """The value of SCENARIO_LEDGER, else `ledger.db` in the user's state folder."""
    return os.environ.get("SCENARIO_LEDGER") or user_state_path("scenario-reframe") / "ledger.db"


def path_of(location: str) -> Path:
    """The file of a ledger: a path or `sqlite:///PATH`. Raises ConfigurationError for others.

    What may hold a password is not repeated. SQLite must not open a FIFO, at which it waits, or a
    device, beside which it leaves a journal.
    """
    path = location.removeprefix(_SQLITE)
    if _MAY_HOLD_PASSWORD.match(path):
        if location.startswith("postgres"):
            raise ConfigurationError("ledger: PostgreSQL is not supported yet; pass a path")
        raise ConfigurationError(
            "ledger: this kind of URL is not allowed; it takes a path or sqlite:///PATH"
        )
    if path in {"", ":memory:"}:
        raise ConfigurationError("ledger: it takes a path, since a ledger in memory would be lost")
    if "\0" in path:
        raise ConfigurationError("ledger: a path with a NUL character is not allowed")
    try:
        found = Path(path).absolute()
        is_allowed = _is_regular_or_missing(found)
    except (OSError, UnicodeEncodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigurationError(f"the ledger {path} cannot be read: {why}") from fault
    if not is_allowed:
        raise ConfigurationError(
            f"the ledger {found} cannot be used: it is not a regular file; choose another path"
        )
    return found


def _is_regular_or_missing(path: Path) -> bool:
    try:
        return S_ISREG(path.stat().st_mode)  # one call: another process may be making it
    except (FileNotFoundError, NotADirectoryError):
        return True
