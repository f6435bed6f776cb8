"""Which items of a run may submit now, according to the limit."""

import asyncio
from contextlib import suppress

from scenario_reframe.errors import RateLimitedError, ReframeError
from scenario_reframe.timing import Timing

from .job_limit import JobLimit


class Slots:
    """Lets as many jobs run side by side as the limit allows."""

    def __init__(self, limit: JobLimit, timing: Timing) -> None:
        self.limit = limit
        self.is_closed = False
        self.running = 0
        self._clock = timing.clock
        self._slot_pause = timing.slot_pause
        self._changed = asyncio.Event()

    async def acquire(self) -> None:
        """Wait for a slot, and reserve it."""
        while (pause := self._pause()) != 0.0:
            changed = self._changed
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await changed.wait()
        self.running += 1

    def close(self) -> None:
        """Let no item acquire a slot any more."""
        self.is_closed = True

    @property
    def account_limit(self) -> int:
        """How many jobs may run, including those of other processes."""
        return self.limit.account_limit(self._clock())

    def occupy(self) -> None:
        """Reserve a slot at once for a job that runs already."""
        self.running += 1

    def release(self) -> None:
        """Release a slot."""
        self.running -= 1
        self._wake()

    def accepted(self) -> None:
        """Count a job that the server accepted."""
        self.limit.accepted(self._clock())
        self._wake()

    def refused(self, error: ReframeError) -> None:
        """Release the slot of a job that the server or the ledger refused."""
        self.running -= 1
        if isinstance(error, RateLimitedError):
            self.limit.refused(
                self.running, self._clock(), named=error.limit, requested=error.retry_after
            )
        else:
            self.limit.pause_until(self._clock() + self._slot_pause)
        self._wake()

    def _pause(self) -> float | None:
        return None if self.is_closed else self.limit.pause(self.running, self._clock())

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
