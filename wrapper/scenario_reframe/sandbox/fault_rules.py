"""Which request meets which fault: by rules, or drawn."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock

from starlette.types import Scope

from scenario_reframe.sandbox.faults import Fault
from scenario_reframe.sandbox.random_faults import KINDS, Drawing


@dataclass
class _Rule:
    fault: Fault
    path: re.Pattern[str]
    method: str | None
    left: int


class Faults:
    """The faults still to come. The first rule that matches a request is used on it.

    A request that no rule matches may meet a drawn fault.
    """

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._drawing: Drawing | None = None
        self._drawn: Counter[str] = Counter()
        self._lock = Lock()

    def add(
        self, fault: Fault, path: str = "", *, method: str | None = None, times: int = 1
    ) -> None:
        """Use a fault on the next `times` requests whose path matches the regular expression.

        The path is a URL's, with `/v1` for the API and without a query.
        """
        with self._lock:
            self._rules.append(_Rule(fault, re.compile(path), method, times))

    def draw(
        self,
        seed: int = 0,
        rate: float = 0.2,
        *,
        slow_seconds: float = 0.5,
        late_seconds: float = 0.5,
        kinds: Collection[str] | Mapping[str, float] = KINDS,
    ) -> None:
        """From now on, draw a fault for each request with the probability `rate`; 0 ends it.

        The n-th request from now meets what `seed` says of n: one of those `kinds` that suit it, if
        they are a mapping by the weights that it gives.
        Requests and replies are held up to `slow_seconds` (a reply that trickles, at most 1 s); a
        late submit is accepted up to `late_seconds` after its answer. No drawn fault is a lie that
        a client has to believe, such as a 400 for a submit that made a job; 429 is to be believed
        of none. Raises ValueError for a rate or a kind that cannot be.
        """
        drawing = Drawing(seed, rate, slow_seconds, late_seconds, kinds) if rate else None
        with self._lock:
            self._drawing = drawing

    def clear(self) -> None:
        """Forget the faults still to come, and draw no more."""
        with self._lock:
            self._rules.clear()
            self._drawing = None

    @property
    def left(self) -> int:
        """How many faults are still to come by rules."""
        with self._lock:
            return sum(rule.left for rule in self._rules)

    @property
    def drawn(self) -> Counter[str]:
        """How many faults of each kind have been drawn so far."""
        with self._lock:
            return self._drawn.copy()

    def take(self, scope: Scope) -> Fault | None:
        """Use up one fault for a request, if there is one for it."""
        with self._lock:
            for rule in self._rules:
                if (
                    rule.left
                    and rule.method in {None, scope["method"]}
                    and rule.path.search(scope["path"])
                ):
                    rule.left -= 1
                    return rule.fault
            drawn = self._drawing.take(scope) if self._drawing else None
            if drawn is None:
                return None
            self._drawn[drawn[0]] += 1
            return drawn[1]
