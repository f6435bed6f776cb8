"""How many jobs may run side by side, learnt from the server's refusals. No I/O."""

from attrs import define

from scenario_reframe.timing import DEFAULT_TIMING, Timing

FIRST = 4
MOST = 100


@define
class JobLimit:
    """The number of jobs that may run side by side.

    It starts small and grows by one with every accepted job. When the server refuses one (429), it
    falls to the number then running; from there it grows by one whenever as many jobs as it allows
    were accepted. `most`: the caller's limit. `current`: the limit now.
    """

    most: int = MOST
    current: int = FIRST
    timing: Timing = DEFAULT_TIMING
    _named: int | None = None
    _refused_at: float | None = None
    _paused_until: float = 0.0
    _accepted: int = 0
    _idle_refusals: int = 0

    @classmethod
    def of(cls, concurrency: int | None, timing: Timing = DEFAULT_TIMING) -> "JobLimit":
        """The limit for a caller's `concurrency`, probably their plan's: it starts there."""
        if concurrency is None:
            return cls(timing=timing)
        return cls(most=concurrency, current=concurrency, timing=timing)

    def pause(self, running: int, clock: float) -> float | None:
        """Seconds until one more may be submitted; None if one of ours must end first."""
        if running >= self.current:
            return None
        return max(self._paused_until - clock, 0.0)

    def accepted(self, clock: float) -> None:
        """Count a job that the server accepted."""
        self._idle_refusals = 0
        self._accepted += 1
        if self._refused_at is None or self._accepted >= self.current:
            self._accepted = 0
            self.current = max(self.current, min(self.current + 1, self._ceiling(clock)))

    def refused(
        self, running: int, clock: float, *, named: int | None, requested: float | None
    ) -> None:
        """Count a job that the server refused while `running` others ran.

        `named`: the limit that it named. `requested`: seconds that it asked to wait.
        """
        self._refused_at = clock
        self._accepted = 0
        self._named = named or None
        self.current = max(1, min(running, self._named or running, self.most))
        pause = requested or 0.0
        if running == 0:
            pauses = self.timing.refused_pauses
            pause = max(pause, pauses[min(self._idle_refusals, len(pauses) - 1)])
            self._idle_refusals += 1
        self.pause_until(clock + pause)

    def account_limit(self, clock: float) -> int:
        """How many jobs may run, including those of other processes."""
        return self._ceiling(clock)

    def pause_until(self, until: float) -> None:
        """Submit nothing before then, by the clock."""
        self._paused_until = max(self._paused_until, until)

    def _ceiling(self, clock: float) -> int:
        memory = self.timing.limit_memory
        recent = self._refused_at is not None and clock - self._refused_at < memory
        return min(self.most, self._named) if self._named and recent else self.most
