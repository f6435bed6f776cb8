"""The interface of the engines that make results."""

from pathlib import Path
from typing import Protocol

from scenario_reframe.sandbox.records import SandboxJob
from scenario_reframe.sandbox.reframe_plan import ClipSource


class Engine(Protocol):
    """Probes uploaded files and makes results."""

    def probe(self, path: Path) -> ClipSource:
        """Return a file's facts, on the import thread. Raises NotAVideoError."""
        ...

    def start(self, job: SandboxJob) -> None:
        """Start a job, on the server's thread, and return at once."""
        ...
