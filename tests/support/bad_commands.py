"""The type of the fixture `refused`."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Refusal(Protocol):
    """Runs bad command lines."""

    def __call__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        code: int,
        word: str,
        shown: str | None = None,
    ) -> str:
        """Run a command that must be refused with this exit code and word; its message.

        `shown`: the input in the printed table, instead of the command line.
        """
        ...
