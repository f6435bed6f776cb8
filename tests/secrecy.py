"""Watches what is logged, raised, put on record and printed, for credentials and signatures."""

import base64
import logging
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from scenario_reframe.cli import output, progress
from scenario_reframe.errors import ReframeError

_KEY, _SECRET = "sandbox-key", "sandbox-secret"
_PAIR = base64.b64encode(f"{_KEY}:{_SECRET}".encode()).decode()
FORBIDDEN = re.compile(
    rf"{_SECRET}|{_PAIR}|[?&](Policy|Signature|Key-Pair-Id|X-Amz-[A-Za-z]+)=", re.IGNORECASE
)


class Watch(logging.Handler):
    """Gathers every line in which something forbidden stands, as `where: line`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []
        self._patch = monkeypatch

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        self._listen(output, "put")
        self._listen(progress, "say")
        watch = self

        def raised(error: ReframeError, *arguments: Any) -> None:
            watch.look("error", " ".join(map(str, arguments)))
            Exception.__init__(error, *arguments)

        self._patch.setattr(ReframeError, "__init__", raised)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self)
        logging.getLogger().setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a line of any log."""
        self.look(f"log {record.name}", record.getMessage())

    def look(self, where: str, text: str) -> None:
        """Keep it if something forbidden is in it."""
        # `scenario-reframe sandbox` prints its own play credentials, which is its purpose.
        if FORBIDDEN.search(text) and "export SCENARIO_" not in text:
            self.found.append(f"{where}: {text}")

    def read_file(self, path: Path) -> None:
        """Look at the bytes of a file, and of what SQLite keeps beside it."""
        for part in filter(Path.is_file, path.parent.glob(f"{path.name}*") if path.name else ()):
            self.look(str(part), part.read_bytes().decode("latin-1"))

    def _listen(self, module: Any, name: str) -> None:
        plain = getattr(module, name)

        def listening(line: str) -> None:
            self.look(name, line)
            plain(line)

        self._patch.setattr(module, name, listening)
