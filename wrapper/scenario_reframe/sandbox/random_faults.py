"""Faults drawn by chance, of kinds that suit the request.

Each is something that the world does to a client that speaks the truth to it: a broken line, an
overloaded gateway, a list that changes while it is read. None is a false refusal in the API's own
words, but for 429: the word of a limit is no proof that there is no job.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Scope

from scenario_reframe.sandbox import page_faults
from scenario_reframe.sandbox.faults import (
    Fault,
    answer,
    cut,
    drop,
    hang,
    ignore_range,
    late,
    rewrite,
    slow_down,
)

_LONGEST_TRICKLE: Final = 1.0
_HTML: Final = "<html><body><h1>{}</h1></body></html>"
_DENIED: Final = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
# What a reply of the API may hold in place of what it should; each under a 2xx.
_NONSENSE: Final[Sequence[object]] = (
    {},
    [],
    "null",
    '{"job": {"jobId":',
    _HTML.format("Welcome"),
)
_STATUSES_UNKNOWN: Final = ("paused", "post-processing", "SUCCESS?")
_TIMEOUT, _CONFLICT, _TOO_MANY = 408, 409, 429
# Each makes httpx raise InvalidURL, though a whole reply has come.
_LOCATIONS: Final = ("urn:job:1", "mailto:x", "https:x")
_ACTION: Final = "parallel-custom-jobs"
_HIGH_LIMITS: Final = (20, 60)  # far from what a client that minds them would wait for


@dataclass(frozen=True)
class Chance:
    """What a drawn fault is made from: its own random numbers, and the longest times in seconds."""

    random: Random
    slow_seconds: float
    late_seconds: float

    def slow(self) -> float:
        """Seconds to hold something."""
        return self.random.uniform(0, self.slow_seconds)


Make = Callable[[Chance], Fault]


def _answer(status: int, chance: Chance, *, after: bool = False) -> Fault:
    """Answer as a gateway or a balancer does, which knows nothing of the vendor's details."""
    if status == 502:  # noqa: PLR2004
        return answer(status, _HTML.format("502 Bad Gateway"), after=after)
    headers = {"Retry-After": chance.random.choice("01")} if status == 503 else None  # noqa: PLR2004
    message = "Too Many Requests" if status == _TOO_MANY else f"Gateway: {status}"
    return answer(status, {"message": message}, headers, after=after)


def _limited(chance: Chance, *, after: bool = False) -> Fault:
    """Answer 429 as the application does, which names its limit."""
    details = {"actionName": _ACTION, "actionLimit": chance.random.randint(*_HIGH_LIMITS)}
    body = {"reason": "Too many parallel jobs", "details": details}
    return answer(_TOO_MANY, body, after=after)


def _late(chance: Chance, fault: Fault) -> Fault:
    return late(chance.random.uniform(0, chance.late_seconds), fault)


def _late_429(chance: Chance) -> Fault:
    words = chance.random.choice((_limited, partial(_answer, _TOO_MANY)))
    return _late(chance, words(chance))


def _redirect(status: int, chance: Chance) -> Fault:
    return answer(status, "", {"Location": chance.random.choice(_LOCATIONS)}, after=True)


def _nonsense(chance: Chance) -> Fault:
    return answer(200, chance.random.choice(_NONSENSE), after=True)


def _unknown_status(chance: Chance) -> Fault:
    status = chance.random.choice(_STATUSES_UNKNOWN)

    def change(body: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        return {"job": body["job"] | {"status": status}} if "job" in body else body

    return rewrite(change)


def _answers(*statuses: int, after: bool = False) -> dict[str, Make]:
    suffix = " after" if after else ""
    return {f"{status}{suffix}": partial(_answer, status, after=after) for status in statuses}


_GATEWAY: Final = (_TIMEOUT, _TOO_MANY, 500, 502, 503, 504)
_BEFORE: Final[Mapping[str, Make]] = {
    "drop": lambda _chance: drop(),
    "hang": lambda chance: hang(chance.slow()),
    **_answers(*_GATEWAY),
}
_AFTER: Final[Mapping[str, Make]] = {
    "drop after": lambda _chance: drop(after=True),
    "hang after": lambda chance: hang(chance.slow(), after=True),
    **_answers(*_GATEWAY, after=True),
}
_BROKEN: Final[Mapping[str, Make]] = {
    "cut": lambda chance: cut(share=chance.random.uniform(0.02, 0.98)),
    "trickle": lambda chance: slow_down(min(chance.slow(), _LONGEST_TRICKLE)),
}
_READ: Final = {**_BEFORE, **_BROKEN, "nonsense": _nonsense}
_POST: Final = {
    **_READ,
    **_AFTER,
    **_answers(_CONFLICT),
    **_answers(_CONFLICT, after=True),
}
_SUITABLE: Final[Mapping[str, Mapping[str, Make]]] = {
    "generate": {
        **_POST,
        "late 504": lambda chance: _late(chance, _answer(504, chance)),
        "late drop": lambda chance: _late(chance, drop()),
        "late 429": _late_429,
        "429 limit after": partial(_limited, after=True),
        "303 after": partial(_redirect, 303),
        "307 after": partial(_redirect, 307),
        "402": lambda _chance: answer(402, {"reason": "Not enough creative units"}),
        "403 after": lambda _chance: answer(403, _HTML.format("403 Forbidden"), after=True),
    },
    "post": _POST,
    "read": _READ,
    "job": {**_READ, "unknown status": _unknown_status},
    "list": {
        **_READ,
        "duplicated jobs": lambda chance: page_faults.duplicated(chance.random),
        "reordered jobs": lambda chance: page_faults.reordered(chance.random),
        "moved jobs": lambda chance: page_faults.moved(chance.random),
        "short page": lambda chance: page_faults.short(chance.random),
        "empty page": lambda chance: page_faults.empty(chance.random),
    },
    "part": {**_BEFORE, **_AFTER},
    "file": {**_BEFORE, **_BROKEN, "403": lambda _chance: answer(403, _DENIED)},
    "range": {"ignored range": lambda _chance: ignore_range()},
}

KINDS: Final = tuple(dict.fromkeys(name for kinds in _SUITABLE.values() for name in kinds))
"""The names of all kinds of faults that can be drawn.

`after` means: when the work is done; `late`: the work is done some time after the answer. `429
limit` is worded as the application's, which names its limit, a plain `429` as a gateway's.
"""


class Drawing:
    """Draws for one request after the other. The n-th draw depends on the seed and n alone."""

    def __init__(
        self,
        seed: int,
        rate: float,
        slow_seconds: float,
        late_seconds: float,
        kinds: Collection[str] | Mapping[str, float] = KINDS,
    ) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be from 0 to 1, not {rate}")
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise ValueError(f"unknown kinds {unknown}; there are {', '.join(KINDS)}")
        self._seed = seed
        self._rate = rate
        self._slow_seconds = slow_seconds
        self._late_seconds = late_seconds
        self._weights = kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds, 1.0)
        self._number = 0

    def take(self, scope: Scope) -> tuple[str, Fault] | None:
        """Draw a fault for a request: its kind and itself, or None."""
        self._number += 1
        random = Random(f"{self._seed}/{self._number}")  # noqa: S311 - to be drawn again
        if random.random() >= self._rate:
            return None
        fitting = {name: make for name, make in suitable(scope).items() if name in self._weights}
        if not fitting:
            return None
        (name,) = random.choices(list(fitting), [self._weights[name] for name in fitting])
        return name, fitting[name](Chance(random, self._slow_seconds, self._late_seconds))


def suitable(scope: Scope) -> Mapping[str, Make]:
    """The kinds that suit a request, by name."""
    method, path = scope["method"], scope["path"]
    if not path.startswith("/v1/"):
        return _of_a_file(method, scope)
    match method, path.removeprefix("/v1/").split("/"):
        case "POST", ["generate", *_] if not _is_dry(scope):
            return _SUITABLE["generate"]
        case "POST", _:
            return _SUITABLE["post"]
        case "GET", ["jobs"]:
            return _SUITABLE["list"]
        case "GET", ["jobs", _]:
            return _SUITABLE["job"]
        case "GET", _:
            return _SUITABLE["read"]
    return {}


def _of_a_file(method: str, scope: Scope) -> Mapping[str, Make]:
    if method == "PUT":
        return _SUITABLE["part"]
    if method != "GET":
        return {}
    if b"range" in dict(scope["headers"]):
        return {**_SUITABLE["file"], **_SUITABLE["range"]}
    return _SUITABLE["file"]


def _is_dry(scope: Scope) -> bool:
    query = parse_qs(str(scope["query_string"], "latin-1"))
    return query.get("dryRun", ["false"])[-1] != "false"
