"""Work that takes a while, one piece after the other, on a thread of its own."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread


class SandboxStoppedError(Exception):
    """The sandbox closes; the work at hand is given up."""


class Worker:
    """A daemon thread with a queue.

    One does all encodes, so that a batch of jobs does not ask more of the machine than one job.
    """

    def __init__(self, name: str, stopping: Event) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stopping = stopping
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with the work."""
        self._thread.start()

    def add(self, work: Callable[[], None]) -> None:
        """Queue a piece of work."""
        self._queue.put(work)

    def join(self, timeout: float) -> None:
        """Wait, in seconds, for the work at hand to be given up; `stopping` must be set."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            work = self._queue.get()
            if work is None:
                return
            try:
                work()
            except SandboxStoppedError:
                return
