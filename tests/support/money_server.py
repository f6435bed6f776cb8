"""A model of the vendor's server, which answers as a test's script says. No I/O."""

import json
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
from attrs import define, field, frozen

from scenario_reframe.flow.steps import NoReply, Reply, Request
from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

BEGIN = datetime(2026, 1, 1, 10, tzinfo=UTC)
_OURS = {"content-type": "application/json"}
PAGE = b"<html>Service unavailable</html>"

REFUSALS = {
    "400": (400, b'{"reason": "bad settings"}'),
    "401": (401, b'{"message": "Unauthorized"}'),
    "402": (402, b'{"reason": "no credits"}'),
    "403": (403, b'{"message": "not in your plan", "reason": "plan"}'),
    "404": (404, b'{"reason": "no such asset"}'),
    "422": (422, b'{"message": "seed: too large"}'),
}
"""Answers with which the API itself says that no job was made; then the model makes none."""

DOUBTFUL = {
    "303": (303, b""),
    "307": (307, PAGE),
    "400 of a proxy": (400, PAGE),
    "401 in words": (401, b"login first"),
    "402 of a proxy": (402, PAGE),
    "403 of a gateway": (403, b'{"error": "blocked"}'),
    "404 of a proxy": (404, b'["no route"]'),
    "408": (408, b'{"message": "slow"}'),
    "409": (409, b'{"reason": "conflict"}'),
    "500": (500, b'{"reason": "oops"}'),
    "504": (504, PAGE),
    "200 without a job": (200, b"{}"),
    "200 of a proxy": (200, PAGE),
    "202 cut in the middle": (202, b'{"job": {"jobId": "jo'),
}
DEFERRALS = {
    "429": (429, b'{"message": "slow down", "details": {"actionLimit": 2}}'),
    "429 of a gateway": (429, PAGE),
}
BREAKS: dict[str, Callable[[], Exception]] = {
    "read error": lambda: httpx.ReadError("reset"),
    "connect error": lambda: httpx.ConnectError("refused, or so it says"),
    "invalid url": lambda: httpx.InvalidURL("urn:job:1"),
    "timeout": lambda: httpx.ConnectTimeout("late"),
}
ANSWERS = {
    "named": ("job", "bare job", "bare id", "oddly nested"),
    "swapped": ("another's job",),
    "refused": tuple(REFUSALS),
    "doubtful": tuple(DOUBTFUL),
    "broken": tuple(BREAKS),
    "deferred": tuple(DEFERRALS),
}
ECHOES = (
    "exact", "defaults", "texts", "float32", "by id", "by id, as texts", "seed only", "no seed",
    "nothing",
)  # fmt: skip


@frozen
class Fate:
    """What happens to a POST that arrives.

    `answer`: a name in `ANSWERS`. `made`: seconds until its job is made, None for never. `lag`:
    seconds from then until it is listed. `created`: seconds by which its `createdAt` is off.
    """

    answer: str = "job"
    made: float | None = 0.0
    lag: float = 0.0
    echo: str = "exact"
    created: float = 0.0
    fails: bool = False

    @property
    def kind(self) -> str:
        """The group in `ANSWERS`."""
        return next(kind for kind, names in ANSWERS.items() if self.answer in names)

    def made_after(self) -> float | None:
        """`made`, limited to what the answer allows."""
        if self.kind == "refused":
            return None
        if self.kind == "named":
            return 0.0
        # After a 429, a job is listed soon or not made: the client relies on that.
        return min(self.made, 4.0) if self.kind == "deferred" and self.made else self.made

    def listed_after(self) -> float:
        """`lag`, limited to what the answer allows."""
        return min(self.lag, 3.0) if self.kind == "deferred" else self.lag


@define(eq=False)
class Made:
    """A job. `request`: the number of the request that it was made for, or None."""

    id: str
    request: int | None
    body: Mapping[str, Any]
    made: float
    listed: float
    fate: Fate

    def status(self, now: float) -> str:
        """Its status at this time."""
        if now < self.made + 40.0:
            return "in-progress"
        return "failure" if self.fate.fails else "success"


def echoed(body: Mapping[str, Any], how: str, *, is_list: bool) -> dict[str, Any] | None:
    """The settings as the server shows them."""
    by_id, _, then = how.partition(", as ")
    if how == "nothing" or (by_id == "by id" and is_list):
        return None
    if by_id == "by id":
        return echoed(body, then or "exact", is_list=is_list)
    if how == "seed only":
        return {"seed": body["seed"]}
    if how == "no seed":
        return {key: value for key, value in body.items() if key != "seed"}
    if how == "defaults":
        usual = {row.wire: row.default for row in SETTINGS if row.default is not None}
        return usual | dict(body)
    if how == "exact":
        return dict(body)
    return {key: _odd(key, value, how) for key, value in body.items()}


def _odd(key: str, value: Any, how: str) -> Any:
    if key == VIDEO_FIELD:
        return f"https://cdn.test/assets/{value}.mp4?Signature=x"
    if isinstance(value, str):
        more = "" if how == "float32" or key == "resolution" else ", in detail"
        return value.strip() + more
    if how == "texts":
        return str(value).lower()
    return value if isinstance(value, bool) else struct.unpack("f", struct.pack("f", value))[0]


@define
class ModelServer:
    """The server's jobs, and its answers.

    `names_time`: whether replies have a `Date`, which differs from the true time by `off` seconds.
    """

    page_size: int = 2
    names_time: bool = True
    off: float = 0.0
    now: float = 0.0
    jobs: list[Made] = field(factory=list)
    _coming: list[tuple[float, Made]] = field(factory=list)
    _number: int = 0

    def move(self, now: float) -> None:
        """Let time pass, and make the jobs that are due."""
        self.now = now
        due = [made for moment, made in self._coming if moment <= now]
        self._coming = [(moment, made) for moment, made in self._coming if moment > now]
        self.jobs += due

    def take(self, request: int | None, body: Mapping[str, Any], fate: Fate) -> Made | None:
        """Accept a POST: its job, if one is or will be made."""
        after = fate.made_after()
        if after is None:
            return None
        self._number += 1
        moment = self.now + after
        made = Made(
            f"job_{self._number}", request, body, moment, moment + fate.listed_after(), fate
        )
        self._coming.append((moment, made))
        self.move(self.now)
        return made

    def answer(self, fate: Fate, made: Made | None) -> Reply | NoReply:
        """The answer to a POST."""
        name = fate.answer
        if name in BREAKS:
            return NoReply(BREAKS[name](), sent=True)
        if fate.kind == "swapped":
            other = Made("job_of_another", None, {"seed": 2**30 + 5}, self.now, self.now, Fate())
            return self._reply(200, {"job": self._record(other)})
        if fate.kind == "named":
            assert made is not None
            named: dict[str, dict[str, Any]] = {
                "job": {"job": self._record(made)},
                "bare job": {"job": {"jobId": made.id}},
                "bare id": {"jobId": made.id},
                "oddly nested": {"job": {"id": made.id, "metadata": 7, "status": "queued"}},
            }
            return self._reply(200, named[name])
        status, content = (REFUSALS | DOUBTFUL | DEFERRALS)[name]
        return Reply(status, self._headers(), content)

    def get(self, request: Request) -> Reply:
        """The answer to a GET."""
        kind, *rest = request.path.strip("/").split("/")
        if kind == "assets":
            asset = {"id": rest[0], "url": f"https://cdn.test/{rest[0]}"}
            return self._reply(200, {"asset": asset})
        if rest:
            return self._job(rest[0])
        return self._reply(200, self._page(request))

    def listed(self, after: datetime | None = None) -> list[Made]:
        """The jobs that the list shows now, newest first."""
        shown = [job for job in self.jobs if job.listed <= self.now]
        found = [job for job in shown if after is None or self._created(job) >= after]
        return sorted(found, key=self._created, reverse=True)

    def _job(self, job_id: str) -> Reply:
        for job in self.jobs:
            if job.id == job_id:
                return self._reply(200, {"job": self._record(job)})
        return self._reply(404, {"reason": "no such job"})

    def _page(self, request: Request) -> dict[str, Any]:
        after = request.params.get("createdAfter")
        jobs = self.listed(None if after is None else datetime.fromisoformat(after))
        start = int(request.params.get("paginationToken", 0))
        size = min(self.page_size, int(request.params["pageSize"]))
        shown = jobs[start : start + size]
        page: dict[str, Any] = {"jobs": [self._record(job, is_list=True) for job in shown]}
        if start + size < len(jobs):
            page["nextPaginationToken"] = str(start + size)
        return page

    def _record(self, job: Made, *, is_list: bool = False) -> dict[str, Any]:
        status = job.status(self.now)
        shown = echoed(job.body, job.fate.echo, is_list=is_list)
        assets = [f"asset_of_{job.id}"] if status == "success" else []
        return {
            "jobId": job.id,
            "jobType": "custom",
            "status": status,
            "createdAt": self._created(job).isoformat(),
            "metadata": {"assetIds": assets} | ({} if shown is None else {"input": shown}),
        }

    def _created(self, job: Made) -> datetime:
        return self._time(job.made + job.fate.created)

    def _time(self, now: float) -> datetime:
        return BEGIN + timedelta(seconds=now + self.off)

    def _headers(self) -> dict[str, str]:
        named = {"date": format_datetime(self._time(self.now), usegmt=True)}
        return _OURS | (named if self.names_time else {})

    def _reply(self, status: int, payload: Any) -> Reply:
        return Reply(status, self._headers(), json.dumps(payload).encode())
