"""An async iterator for callers without asyncio: it runs in a thread of its own."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")

IteratorSource = Callable[[], AbstractAsyncContextManager[AsyncIterator[T]]]


def in_thread(source: IteratorSource[T]) -> Generator[T, None, None]:
    """Yield what the source yields. If the caller stops iterating, the source is cancelled."""
    runner = _Runner(source)
    runner.thread.start()
    try:
        while not isinstance(found := runner.found.get(), _End):
            yield found
    finally:
        runner.cancel()
        runner.thread.join()
    if found.error is not None:
        raise found.error


class _End:
    """Marks the end, with the error that caused it, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Runner(Generic[T]):
    """Iterates over the source in an event loop of its own thread."""

    def __init__(self, source: IteratorSource[T]) -> None:
        self.found: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="scenario-reframe-batch")
        self._source = source
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        """Stop the thread if it still runs."""
        self._started.wait()
        if self._loop is not None and self._task is not None and self.thread.is_alive():
            try:
                self._loop.call_soon_threadsafe(self._task.cancel)
            except RuntimeError:  # it ended just now
                return

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._iterate())
        except asyncio.CancelledError:
            pass
        except BaseException as fault:  # noqa: BLE001 - it is the caller's
            error = fault
        finally:
            self._started.set()
            self.found.put(_End(error))

    async def _iterate(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        async with self._source() as source:
            async for one in source:
                self.found.put(one)
