"""What the library warns of, told to a person: one line on stderr for each."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .flags import in_flags
from .progress import say

# Not of all that the library logs: `run_command.logged` shows the rest, while a run is on its way.
_LOG = logging.getLogger("scenario_reframe.settings")


@contextmanager
def warnings_told() -> Iterator[None]:
    """Within this, a setting that goes out unchecked is told."""
    handler = _Told(logging.WARNING)
    _LOG.addHandler(handler)
    try:
        yield
    finally:
        _LOG.removeHandler(handler)


class _Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(in_flags(record.getMessage()))
