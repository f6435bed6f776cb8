"""How many jobs may run side by side: found from the server's refusals. No I/O."""

from attrs import define

from scenario_reframe.timing import USUAL, Timing

FIRST = 4
MOST = 100


@define
class Limit:
    """The number of jobs that may run side by side.

    It begins small, grows by one with every job that is taken, falls to what ran when the server
    refused one (429), and from there grows by one for as many jobs as it allows. `most`: what the
    caller allows, None for 100.
    """

    most: int = MOST
    now: int = FIRST
    timing: Timing = USUAL
    _named: int | None = None
    _refused_at: float | None = None
    _hold_until: float = 0.0
    _taken: int = 0
    _in_vain: int = 0

    @classmethod
    def of(cls, concurrency: int | None, timing: Timing = USUAL) -> "Limit":
        """With a number from the caller, it is begun with: it is his plan's, presumably."""
        if concurrency is None:
            return cls(timing=timing)
        return cls(most=concurrency, now=concurrency, timing=timing)

    def pause(self, running: int, clock: float) -> float | None:
        """Seconds until one more may be tried; None if one of ours has to end first."""
        if running >= self.now:
            return None
        return max(self._hold_until - clock, 0.0)

    def taken(self, clock: float) -> None:
        """The server took a job."""
        self._in_vain = 0
        self._taken += 1
        if self._refused_at is None or self._taken >= self.now:
            self._taken = 0
            self.now = max(self.now, min(self.now + 1, self._ceiling(clock)))

    def refused(
        self, running: int, clock: float, *, named: int | None, wished: float | None
    ) -> None:
        """The server refused one while so many ran.

        `named`: the limit that it named. `wished`: seconds that it asked to wait.
        """
        self._refused_at = clock
        self._taken = 0
        self._named = named or None
        self.now = max(1, min(running, self._named or running, self.most))
        pause = wished or 0.0
        if running == 0:
            pauses = self.timing.refused_pauses
            pause = max(pause, pauses[min(self._in_vain, len(pauses) - 1)])
            self._in_vain += 1
        self.held(clock + pause)

    def shared(self, clock: float) -> int:
        """How many may run when those of other processes are counted too."""
        return self._ceiling(clock)

    def held(self, until: float) -> None:
        """Nothing more before then."""
        self._hold_until = max(self._hold_until, until)

    def _ceiling(self, clock: float) -> int:
        memory = self.timing.limit_memory
        recent = self._refused_at is not None and clock - self._refused_at < memory
        return min(self.most, self._named) if self._named and recent else self.most
