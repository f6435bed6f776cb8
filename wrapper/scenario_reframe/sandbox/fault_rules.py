"""Which request gets which fault: by rules, or at random."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock

from starlette.types import Scope

from scenario_reframe.sandbox.faults import Fault
from scenario_reframe.sandbox.random_faults import KINDS, RandomFaults


@dataclass
class _FaultRule:
    """A fault for the next `left` requests that match."""

    fault: Fault
    path: re.Pattern[str]
    method: str | None
    left: int


class Faults:
    """The pending faults. The first rule that matches a request applies to it.

    A request that matches no rule may get a random fault.
    """

    def __init__(self) -> None:
        self._rules: list[_FaultRule] = []
        self._random_faults: RandomFaults | None = None
        self._drawn: Counter[str] = Counter()
        self._lock = Lock()

    def add(
        self, fault: Fault, path: str = "", *, method: str | None = None, times: int = 1
    ) -> None:
        """Apply a fault to the next `times` requests whose path matches a regular expression.

        The path is the URL's, with `/v1` for the API and without the query.
        """
        with self._lock:
            self._rules.append(_FaultRule(fault, re.compile(path), method, times))

    def draw(
        self,
        seed: int = 0,
        rate: float = 0.2,
        *,
        slow_seconds: float = 0.5,
        late_seconds: float = 0.5,
        kinds: Collection[str] | Mapping[str, float] = KINDS,
    ) -> None:
        """From now on, draw a fault for each request with probability `rate`; 0 turns this off.

        The fault of the n-th request from now depends only on `seed` and n. It is one of the
        `kinds` that suit the request; a mapping gives their weights. Requests and responses are
        delayed up to `slow_seconds` (a trickling response at most 1 s); a late submit is accepted
        up to `late_seconds` after its response. No random fault falsely proves that no job was
        made, as a 400 for an accepted submit would; a 429 proves nothing. Raises ValueError for an
        invalid rate or kind.
        """
        random_faults = (
            RandomFaults(seed, rate, slow_seconds, late_seconds, kinds) if rate else None
        )
        with self._lock:
            self._random_faults = random_faults

    def clear(self) -> None:
        """Remove all pending faults, and draw no more."""
        with self._lock:
            self._rules.clear()
            self._random_faults = None

    @property
    def left(self) -> int:
        """How many faults are still pending by rules."""
        with self._lock:
            return sum(rule.left for rule in self._rules)

    @property
    def drawn(self) -> Counter[str]:
        """How many faults of each kind have been drawn so far."""
        with self._lock:
            return self._drawn.copy()

    def take(self, scope: Scope) -> Fault | None:
        """Take the fault of a request; None if it has none."""
        with self._lock:
            for rule in self._rules:
                if (
                    rule.left
                    and rule.method in {None, scope["method"]}
                    and rule.path.search(scope["path"])
                ):
                    rule.left -= 1
                    return rule.fault
            drawn = self._random_faults.take(scope) if self._random_faults else None
            if drawn is None:
                return None
            self._drawn[drawn[0]] += 1
            return drawn[1]
