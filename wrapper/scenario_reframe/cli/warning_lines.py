"""The library's warnings about settings, each as one line on stderr."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .flags import with_flag_names
from .progress import print_message

# Only this logger: `run_command.showing_log` shows what the others log while a clip is worked on.
_LOG = logging.getLogger("scenario_reframe.settings")


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Within this block, a warning about an unchecked setting is printed."""
    handler = _WarningHandler(logging.WARNING)
    _LOG.addHandler(handler)
    try:
        yield
    finally:
        _LOG.removeHandler(handler)


class _WarningHandler(logging.Handler):
    """Prints a log record's message with flag names."""

    def emit(self, record: logging.LogRecord) -> None:
        print_message(with_flag_names(record.getMessage()))
