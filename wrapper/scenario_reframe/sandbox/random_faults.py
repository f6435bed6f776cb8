"""Random faults, of kinds that suit the request.

Each can happen at a correct server: a broken connection, an overloaded gateway, a list that changes
while it is read. None falsely refuses a request in the API's own words, except 429, which proves
nothing about a job.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Scope

from scenario_reframe.sandbox import listing_faults
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
# Bodies that are not what the API should send; each with a 2xx status.
_NONSENSE: Final[Sequence[object]] = (
    {},
    [],
    "null",
    '{"job": {"jobId":',
    _HTML.format("Welcome"),
)
_STATUSES_UNKNOWN: Final = ("paused", "post-processing", "SUCCESS?")
_TIMEOUT, _CONFLICT, _TOO_MANY = 408, 409, 429
# Each makes httpx raise InvalidURL, although a whole response has arrived.
_LOCATIONS: Final = ("urn:job:1", "mailto:x", "https:x")
_ACTION: Final = "parallel-custom-jobs"
_HIGH_LIMITS: Final = (20, 60)  # too high to make a client that obeys them wait


@dataclass(frozen=True)
class FaultDraw:
    """The random numbers of one fault, and the longest delays in seconds."""

    random: Random
    slow_seconds: float
    late_seconds: float

    def slow(self) -> float:
        """Draw a delay in seconds."""
        return self.random.uniform(0, self.slow_seconds)


MakeFault = Callable[[FaultDraw], Fault]


def _gateway_error(status: int, draw: FaultDraw, *, after: bool = False) -> Fault:
    """Respond as a gateway or a load balancer does, without the vendor's details."""
    if status == 502:  # noqa: PLR2004
        return answer(status, _HTML.format("502 Bad Gateway"), after=after)
    headers = {"Retry-After": draw.random.choice("01")} if status == 503 else None  # noqa: PLR2004
    message = "Too Many Requests" if status == _TOO_MANY else f"Gateway: {status}"
    return answer(status, {"message": message}, headers, after=after)


def _limit_429(draw: FaultDraw, *, after: bool = False) -> Fault:
    """Respond with 429 as the application does, which names its limit."""
    details = {"actionName": _ACTION, "actionLimit": draw.random.randint(*_HIGH_LIMITS)}
    body = {"reason": "Too many parallel jobs", "details": details}
    return answer(_TOO_MANY, body, after=after)


def _late(draw: FaultDraw, fault: Fault) -> Fault:
    return late(draw.random.uniform(0, draw.late_seconds), fault)


def _late_429(draw: FaultDraw) -> Fault:
    make = draw.random.choice((_limit_429, partial(_gateway_error, _TOO_MANY)))
    return _late(draw, make(draw))


def _redirect(status: int, draw: FaultDraw) -> Fault:
    return answer(status, "", {"Location": draw.random.choice(_LOCATIONS)}, after=True)


def _nonsense(draw: FaultDraw) -> Fault:
    return answer(200, draw.random.choice(_NONSENSE), after=True)


def _unknown_status(draw: FaultDraw) -> Fault:
    status = draw.random.choice(_STATUSES_UNKNOWN)

    def change(body: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        return {"job": body["job"] | {"status": status}} if "job" in body else body

    return rewrite(change)


def _gateway_errors(*statuses: int, after: bool = False) -> dict[str, MakeFault]:
    suffix = " after" if after else ""
    return {
        f"{status}{suffix}": partial(_gateway_error, status, after=after) for status in statuses
    }


_GATEWAY: Final = (_TIMEOUT, _TOO_MANY, 500, 502, 503, 504)
_BEFORE: Final[Mapping[str, MakeFault]] = {
    "drop": lambda _draw: drop(),
    "hang": lambda draw: hang(draw.slow()),
    **_gateway_errors(*_GATEWAY),
}
_AFTER: Final[Mapping[str, MakeFault]] = {
    "drop after": lambda _draw: drop(after=True),
    "hang after": lambda draw: hang(draw.slow(), after=True),
    **_gateway_errors(*_GATEWAY, after=True),
}
_BROKEN: Final[Mapping[str, MakeFault]] = {
    "cut": lambda draw: cut(share=draw.random.uniform(0.02, 0.98)),
    "trickle": lambda draw: slow_down(min(draw.slow(), _LONGEST_TRICKLE)),
}
_READ: Final = {**_BEFORE, **_BROKEN, "nonsense": _nonsense}
_POST: Final = {
    **_READ,
    **_AFTER,
    **_gateway_errors(_CONFLICT),
    **_gateway_errors(_CONFLICT, after=True),
}
_SUITABLE: Final[Mapping[str, Mapping[str, MakeFault]]] = {
    "generate": {
        **_POST,
        "late 504": lambda draw: _late(draw, _gateway_error(504, draw)),
        "late drop": lambda draw: _late(draw, drop()),
        "late 429": _late_429,
        "429 limit after": partial(_limit_429, after=True),
        "303 after": partial(_redirect, 303),
        "307 after": partial(_redirect, 307),
        "402": lambda _draw: answer(402, {"reason": "Not enough creative units"}),
        "403 after": lambda _draw: answer(403, _HTML.format("403 Forbidden"), after=True),
    },
    "post": _POST,
    "read": _READ,
    "job": {**_READ, "unknown status": _unknown_status},
    "list": {
        **_READ,
        "duplicated jobs": lambda draw: listing_faults.duplicated(draw.random),
        "reordered jobs": lambda draw: listing_faults.reordered(draw.random),
        "moved jobs": lambda draw: listing_faults.moved(draw.random),
        "short page": lambda draw: listing_faults.short(draw.random),
        "empty page": lambda draw: listing_faults.empty(draw.random),
    },
    "part": {**_BEFORE, **_AFTER},
    "file": {**_BEFORE, **_BROKEN, "403": lambda _draw: answer(403, _DENIED)},
    "range": {"ignored range": lambda _draw: ignore_range()},
}

KINDS: Final = tuple(dict.fromkeys(name for kinds in _SUITABLE.values() for name in kinds))
"""The names of all kinds of random faults.

`after`: once the work is done. `late`: the work is done some time after the response. `429 limit`
is the application's, which names its limit; a plain `429` is a gateway's.
"""


class RandomFaults:
    """Draws a fault for each request. The n-th draw depends only on the seed and n."""

    def __init__(
        self,
        seed: int,
        rate: float,
        slow_seconds: float,
        late_seconds: float,
        kinds: Collection[str] | Mapping[str, float] = KINDS,
    ) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate: {rate} is not allowed; it takes 0 to 1")
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise ValueError(f"kinds: {unknown} is not allowed; it takes {', '.join(KINDS)}")
        self._seed = seed
        self._rate = rate
        self._slow_seconds = slow_seconds
        self._late_seconds = late_seconds
        self._weights = kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds, 1.0)
        self._number = 0

    def take(self, scope: Scope) -> tuple[str, Fault] | None:
        """Draw a fault for a request: its kind and the fault, or None."""
        self._number += 1
        random = Random(f"{self._seed}/{self._number}")  # noqa: S311 - repeatable, not secret
        if random.random() >= self._rate:
            return None
        fitting = {name: make for name, make in suitable(scope).items() if name in self._weights}
        if not fitting:
            return None
        (name,) = random.choices(list(fitting), [self._weights[name] for name in fitting])
        return name, fitting[name](FaultDraw(random, self._slow_seconds, self._late_seconds))


def suitable(scope: Scope) -> Mapping[str, MakeFault]:
    """The kinds that suit a request, by name, with what makes each."""
    method, path = scope["method"], scope["path"]
    if not path.startswith("/v1/"):
        return _suitable_for_file(method, scope)
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


def _suitable_for_file(method: str, scope: Scope) -> Mapping[str, MakeFault]:
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
