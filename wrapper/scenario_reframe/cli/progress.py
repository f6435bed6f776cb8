"""Progress on stderr: bars on a terminal, else one plain line for every change."""

import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from scenario_reframe.api.sanitize import printable
from scenario_reframe.models import Job

from .output import put

_LONGEST_LINE = 4000


class Display(ABC):
    """Shows how a job gets on. It never raises: a terminal that is gone must not stop a job."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def say(self, line: str) -> None:
        """One line that stays."""

    @abstractmethod
    def transfer(self, what: str, done: int, total: int | None) -> None:
        """So many bytes of an upload or a download are through."""

    @abstractmethod
    def status(self, job: Job) -> None:
        """The job has changed."""

    def result(self, line: str) -> None:
        """A line for stdout, while this is shown."""
        put(line)

    @abstractmethod
    def count(self, ended: int, total: int, words: str) -> None:
        """So many of a batch are at their end."""

    @abstractmethod
    def close(self) -> None:
        """Leave the terminal as it was."""

    def uploading(self, done: int, total: int | None) -> None:
        """Bytes sent."""
        self.transfer("Upload", done, total)

    def downloading(self, done: int, total: int | None) -> None:
        """Bytes received."""
        self.transfer("Download", done, total)


class PlainDisplay(Display):
    """For logs and pipes: whole lines, without control characters."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def say(self, line: str) -> None:
        """One line that stays."""
        say(line)

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Tell when it is through."""
        if done == total:
            self._change(what, f"{what} done: {in_bytes(done)}")

    def status(self, job: Job) -> None:
        """Tell a status once, however its progress moves."""
        self._change("status", f"Job {job.id}: {job.status}")

    def count(self, ended: int, total: int, words: str) -> None:
        """Nothing: every end has a line of its own."""

    def close(self) -> None:
        """Nothing to leave."""

    def _change(self, about: str, line: str) -> None:
        if self._told.get(about) != line:
            self._told[about] = line
            self.say(line)


class LiveDisplay(Display):
    """For terminals: a bar each for upload, job and download."""

    def __init__(self, console: Console) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<10}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            redirect_stdout=False,  # what goes to stdout may be read by a program
        )
        self._progress.start()

    def say(self, line: str) -> None:
        """One line above the bars."""
        self._progress.console.print(
            printable(line, _LONGEST_LINE), markup=False, highlight=False, soft_wrap=True
        )

    def result(self, line: str) -> None:
        """A line for stdout; above the bars, if it would be written among them."""
        if sys.stdout is not None and sys.stdout.isatty():
            self.say(line)
        else:
            put(line)

    def count(self, ended: int, total: int, words: str) -> None:
        """Move the bar of a batch."""
        self._move("Batch", ended, total, words)

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of this transfer."""
        amount = f"{in_bytes(done)} of {in_bytes(total)}" if total else in_bytes(done)
        self._move(what, done, total, amount)

    def status(self, job: Job) -> None:
        """Move the job's bar; while no progress is known, it only shows that it lives."""
        known = job.progress > 0 or job.is_done
        done = 1.0 if job.is_done else job.progress
        percent = f" {job.progress:.0%}" if job.progress > 0 else ""
        self._move("Job", done, 1.0 if known else None, job.status + percent)

    def close(self) -> None:
        """Stop moving; the bars stay as they are."""
        self._progress.stop()

    def _move(self, what: str, done: float, total: float | None, amount: str) -> None:
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._progress.add_task(what, total=total, amount=amount)
        self._progress.update(task, completed=done, total=total, amount=amount)


class Forgiving:
    """A text stream whose writes never raise, as after a terminal has hung up."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write it if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def display() -> Display:
    """Bars if stderr is a terminal that can move its cursor, else lines."""
    if sys.stderr is None or not sys.stderr.isatty():
        return PlainDisplay()
    console = Console(file=cast("TextIO", Forgiving(sys.stderr)))
    return PlainDisplay() if console.is_dumb_terminal else LiveDisplay(console)


def say(line: str) -> None:
    """One line on stderr, wherever it leads."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(printable(line, _LONGEST_LINE), file=sys.stderr, flush=True)  # noqa: T201


def in_bytes(count: int) -> str:
    """`1.1 MB`, in powers of ten."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
