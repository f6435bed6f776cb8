"""The command `scenario-reframe`. Needs the extra `cli`."""

import sys
from collections.abc import Sequence

_EXTRA = ("cyclopts", "rich")
_CONFIGURATION = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own; its exit code."""
    try:
        from .commands import invoke  # noqa: PLC0415 - without the extra, say so in one line
    except ModuleNotFoundError as fault:
        if (fault.name or "").split(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            f"scenario-reframe: the command line needs {fault.name}: "
            "pip install 'scenario-reframe[cli]'\n"
        )
        return _CONFIGURATION
    return invoke(sys.argv[1:] if argv is None else argv)
