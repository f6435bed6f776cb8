"""What the sandbox asks of an engine: facts of files, and results."""

from pathlib import Path
from typing import Protocol

from scenario_reframe.sandbox.records import SandboxJob
from scenario_reframe.sandbox.reframe_plan import ClipSource


class Engine(Protocol):
    """Looks at uploaded files and makes results."""

    def look(self, path: Path) -> ClipSource:
        """Give a file's facts, on the thread of imports. Raises NotAVideoError."""
        ...

    def start(self, job: SandboxJob) -> None:
        """Begin with a job, on the server's thread, and return soon."""
        ...
