"""Progress on stderr: bars on a terminal, else one plain line for each change."""

import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from scenario_reframe.api.sanitize import printable
from scenario_reframe.models import Job

from .output import print_line

_LONGEST_LINE = 4000


class Display(ABC):
    """Shows progress. Its methods never raise: a closed terminal must not stop a paid job."""

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
    def message(self, line: str) -> None:
        """Print one line on stderr."""

    @abstractmethod
    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Show how many bytes of an upload or a download are done."""

    @abstractmethod
    def status(self, job: Job) -> None:
        """Show a job's status and progress."""

    def output(self, line: str) -> None:
        """Print one line on stdout."""
        print_line(line)

    @abstractmethod
    def count(self, finished: int, total: int, text: str) -> None:
        """Show how many items of a batch are finished."""

    @abstractmethod
    def close(self) -> None:
        """Stop updating the terminal."""

    def uploading(self, done: int, total: int | None) -> None:
        """Show the bytes uploaded."""
        self.transfer("Upload", done, total)

    def downloading(self, done: int, total: int | None) -> None:
        """Show the bytes downloaded."""
        self.transfer("Download", done, total)


class PlainDisplay(Display):
    """For logs and pipes: whole lines, without control characters."""

    def __init__(self) -> None:
        self._last_lines: dict[str, str] = {}

    def message(self, line: str) -> None:
        """Print one line on stderr."""
        print_message(line)

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Print a line when the transfer is complete."""
        if done == total:
            self._print_change(what, f"{what} done: {format_bytes(done)}")

    def status(self, job: Job) -> None:
        """Print each status once, however often the progress changes."""
        self._print_change("status", f"Job {job.id}: {job.status}")

    def count(self, finished: int, total: int, text: str) -> None:
        """Print nothing: each finished item has a line of its own."""

    def close(self) -> None:
        """Do nothing."""

    def _print_change(self, topic: str, line: str) -> None:
        if self._last_lines.get(topic) != line:
            self._last_lines[topic] = line
            self.message(line)


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
            redirect_stdout=False,  # a program may read stdout
        )
        self._progress.start()

    def message(self, line: str) -> None:
        """Print one line above the bars."""
        self._print(printable(line, _LONGEST_LINE))

    def output(self, line: str) -> None:
        """Print one line on stdout; above the bars if stdout is the terminal too."""
        if sys.stdout is not None and sys.stdout.isatty():
            self._print(line)
        else:
            print_line(line)

    def count(self, finished: int, total: int, text: str) -> None:
        """Move the batch's bar."""
        self._move("Batch", finished, total, text)

    def transfer(self, what: str, done: int, total: int | None) -> None:
        """Move the transfer's bar."""
        amount = f"{format_bytes(done)} of {format_bytes(total)}" if total else format_bytes(done)
        self._move(what, done, total, amount)

    def status(self, job: Job) -> None:
        """Move the job's bar; while no progress is known, it pulses."""
        known = job.progress > 0 or job.is_done
        done = 1.0 if job.is_done else job.progress
        percent = f" {job.progress:.0%}" if job.progress > 0 else ""
        self._move("Job", done, 1.0 if known else None, job.status + percent)

    def close(self) -> None:
        """Stop updating the bars, which stay as they are."""
        self._progress.stop()

    def _print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _move(self, what: str, done: float, total: float | None, amount: str) -> None:
        task = self._tasks.get(what)
        if task is None:
            task = self._tasks[what] = self._progress.add_task(what, total=total, amount=amount)
        self._progress.update(task, with_skipped=done, total=total, amount=amount)


class BestEffortStream:
    """A text stream whose writes never raise, even after the terminal has closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write if possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def open_display() -> Display:
    """Bars if stderr is a terminal that can move its cursor, else plain lines."""
    if sys.stderr is None or not sys.stderr.isatty():
        return PlainDisplay()
    console = Console(file=cast("TextIO", BestEffortStream(sys.stderr)))
    return PlainDisplay() if console.is_dumb_terminal else LiveDisplay(console)


def print_message(line: str) -> None:
    """Print one line on stderr if possible."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(printable(line, _LONGEST_LINE), file=sys.stderr, flush=True)  # noqa: T201


def format_bytes(count: int) -> str:
    """`1.1 MB`, in powers of ten."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
