"""Who may submit now: the limit, among the items of one run."""

import asyncio
from contextlib import suppress

from scenario_reframe.errors import RateLimitedError, ReframeError
from scenario_reframe.timing import Timing

from .job_limit import Limit


class Slots:
    """Lets so many jobs run side by side as the limit says."""

    def __init__(self, limit: Limit, timing: Timing) -> None:
        self.limit = limit
        self.is_closed = False
        self.running = 0
        self._clock = timing.clock
        self._slot_pause = timing.slot_pause
        self._changed = asyncio.Event()

    async def enter(self) -> None:
        """Wait for a slot, and take it."""
        while (pause := self._pause()) != 0.0:
            changed = self._changed
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await changed.wait()
        self.running += 1

    def close(self) -> None:
        """Let nobody in any more."""
        self.is_closed = True

    @property
    def shared(self) -> int:
        """How many jobs may run when those of other processes are counted too."""
        return self.limit.shared(self._clock())

    def hold(self) -> None:
        """Take a slot for a job that runs already."""
        self.running += 1

    def leave(self) -> None:
        """Give a slot back."""
        self.running -= 1
        self._wake()

    def taken(self) -> None:
        """The server took a job."""
        self.limit.taken(self._clock())
        self._wake()

    def refused(self, error: ReframeError) -> None:
        """The server, or the ledger, refused one; its slot is given back."""
        self.running -= 1
        if isinstance(error, RateLimitedError):
            self.limit.refused(
                self.running, self._clock(), named=error.limit, wished=error.retry_after
            )
        else:
            self.limit.held(self._clock() + self._slot_pause)
        self._wake()

    def _pause(self) -> float | None:
        return None if self.is_closed else self.limit.pause(self.running, self._clock())

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
