"""A worker thread for slow tasks, run one at a time."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread


class SandboxStoppedError(Exception):
    """The sandbox is closing; the current task is abandoned."""


class WorkerThread:
    """A daemon thread with a queue.

    A single one does all encodes, so that a batch of jobs loads the machine no more than one job.
    """

    def __init__(self, name: str, stopping: Event) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._stopping = stopping
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, task: Callable[[], None]) -> None:
        """Queue a task."""
        self._queue.put(task)

    def join(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the thread to end; `stopping` must be set."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            task = self._queue.get()
            if task is None:
                return
            try:
                task()
            except SandboxStoppedError:
                return
