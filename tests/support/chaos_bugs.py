"""The chaos run's client with a deliberate bug, to test that the run then fails.

python chaos_bugs.py blind-retry FOLDER ACCOUNT RESUBMIT_AFTER CLOCK_SHIFT
"""

import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scenario_reframe import part_files, submitting
from scenario_reframe.api.calling import Operation, send
from scenario_reframe.errors import ReframeError
from scenario_reframe.flow.steps import Flow, Handover

CLIENT = Path(__file__).parents[2] / "scripts" / "_chaos_client.py"


def blind_retry() -> None:
    """Send a submit again when its reply is lost, as the vendor's SDK does."""

    def retried(operation: Operation[Any], handover: Handover, grace: float) -> Flow[Any]:
        for one in (handover, Handover()):  # a used one would make the ledger see the repetition
            try:
                return (yield from send(operation, one, grace))
            except ReframeError:
                continue
        return (yield from send(operation, Handover(), grace))

    setattr(submitting, "send", retried)  # noqa: B010 - mypy lets no import be assigned


def early_rename() -> None:
    """Rename a download as soon as its bytes end, and check its length only then."""
    close = part_files.PartFile.close

    def renamed(self: part_files.PartFile) -> None:
        close(self)
        if self.part.exists():
            self.part.replace(self.target)

    def is_whole(self: part_files.PartFile) -> bool:
        size = self.target.stat().st_size if self.target.exists() else 0
        return size == self.asset.size

    def finish(self: part_files.PartFile, *, overwrite: bool) -> None:
        self.note.unlink(missing_ok=True)

    part_files.PartFile.close = renamed  # type: ignore[method-assign]
    part_files.PartFile.is_whole = is_whole  # type: ignore[method-assign]
    part_files.PartFile.finish = finish  # type: ignore[method-assign]


BUGS: Mapping[str, Callable[[], None]] = {"blind-retry": blind_retry, "early-rename": early_rename}


if __name__ == "__main__":
    BUGS[sys.argv[1]]()
    del sys.argv[1]
    runpy.run_path(str(CLIENT), run_name="__main__")
