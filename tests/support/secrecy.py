"""Watches what leaves the process in a test, for credentials and queries of signed URLs."""

import base64
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from traceback import format_exception
from typing import Any
from weakref import ref

import pytest

from clients import KEY, SECRET
from scenario_reframe.errors import ReframeError

_ACCOUNTS = (("sandbox-key", "sandbox-secret"), (KEY, SECRET))
_QUERIES = ("Policy=", "Signature=", "Key-Pair-Id=", "X-Amz-")
_TEXTS = (
    *(secret for _, secret in _ACCOUNTS),
    *(base64.b64encode(f"{key}:{secret}".encode()).decode() for key, secret in _ACCOUNTS),
    *(mark + name for mark in "?&" for name in _QUERIES),
)
FORBIDDEN = tuple(text.lower().encode() for text in _TEXTS)
_MOST_BYTES = 1024 * 1024  # how much of a file is read: all, unless it is a long video
_FORMATTER = logging.Formatter()
_USUAL = {*vars(logging.makeLogRecord({})), "message", "asctime"}


class Watch:
    """Collects in `found` where something forbidden was seen, as `where: the text before it`."""

    def __init__(self) -> None:
        self.found: list[str] = []
        # From the sandbox's source, which tests copy; a test may set what it shows on purpose.
        self.allowed = b'api_secret: str = "sandbox-secret"'
        self.unwatched_log = ""
        self.capture: pytest.CaptureFixture[Any] | None = None
        # By id. Weak, since an error keeps alive all that its traceback refers to.
        self._errors: dict[int, ref[ReframeError]] = {}

    def look(self, where: str, *texts: str | bytes | None) -> None:
        """Search texts, or the bytes of files."""
        for text in texts:
            data = text.encode(errors="backslashreplace") if isinstance(text, str) else text or b""
            data = data.replace(self.allowed, b"")
            lowered = data.lower()
            for forbidden in FORBIDDEN:
                if (at := lowered.find(forbidden)) >= 0:
                    self.found.append(f"{where}: {data[max(at - 80, 0) : at] + b'***'!r}")

    def look_at_files(self, paths: Iterable[Path]) -> None:
        """Search the names of files and the beginnings of their contents."""
        for path in paths:
            self.look("file name", path.name)
            with suppress(OSError):
                if path.is_file():  # reading a named pipe would block
                    with path.open("rb") as file:
                        self.look(ascii(str(path)), file.read(_MOST_BYTES))

    def judge(self, report: pytest.TestReport) -> None:
        """Search what pytest captured; fail the test if anything was found anywhere."""
        for name, text in report.sections:
            if "log" not in name:  # logs were searched when they were written
                self.look(name, text)
        if self.capture is not None:
            self.look("stdout or stderr", *self.capture.readouterr())
        if self.found:
            report.outcome = "failed"
            report.longrepr = "\n".join(["Secrets seen:", *self.found, str(report.longrepr or "")])

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Search streams, child processes, logs and errors while a test runs."""
        level = logging.root.level
        with pytest.MonkeyPatch.context() as patch:

            def after(owner: Any, name: str, then: Callable[..., None]) -> None:
                patch.setattr(owner, name, _followed(getattr(owner, name), then))

            def made(_: None, error: ReframeError, *__: object) -> None:
                self._errors[id(error)] = ref(error)

            def deleted(error: ReframeError) -> None:
                if self._errors.pop(id(error), None):  # else it belongs to an earlier test
                    self._look_at_error(error)

            after(pytest.CaptureFixture, "readouterr", lambda got, _: self.look("read", *got))
            after(Popen, "__init__", lambda _, child, *__: self._started(child))
            after(Popen, "communicate", lambda got, *_: self.look("child process", *got))
            after(logging.Logger, "callHandlers", lambda _, __, record: self._logged(record))
            after(ReframeError, "__init__", made)
            patch.setattr(ReframeError, "__del__", deleted, raising=False)
            logging.root.setLevel(logging.DEBUG)
            yield
        logging.root.setLevel(level)
        for error in filter(None, [weak() for weak in self._errors.values()]):
            self._look_at_error(error)

    def _started(self, child: Any) -> None:
        child.stdout = child.stdout and _Pipe(child.stdout, self.look)
        child.stderr = child.stderr and _Pipe(child.stderr, self.look)

    def _logged(self, record: logging.LogRecord) -> None:
        """Search a record that passed its logger's filters, and its extra attributes."""
        if record.name != self.unwatched_log:
            extra = [value for name, value in vars(record).items() if name not in _USUAL]
            text = f"{_FORMATTER.format(record)} {record.args!r} {extra!r}"
            self.look(f"log {record.name}", text)

    def _look_at_error(self, error: ReframeError) -> None:
        """Search an error's text, repr and notes, and those of its causes."""
        self.look("error", f"{error!r} {' '.join(format_exception(error, limit=0))}")


class _Pipe:
    """A pipe from a child process that searches what is read from it (except with `os.read`)."""

    def __init__(self, pipe: Any, look: Callable[[str, Any], None]) -> None:
        self._pipe = pipe
        self._look = look

    def __iter__(self) -> Iterator[Any]:
        while line := self.readline():
            yield line

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._pipe, name)
        if name not in {"read", "readline"}:
            return found
        return _followed(found, lambda text, *_: self._look("child process", text))


def _followed(call: Callable[..., Any], then: Callable[..., None]) -> Callable[..., Any]:
    """A call that afterwards passes its result and positional arguments to `then`."""

    def followed(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        then(result, *args)
        return result

    return followed
