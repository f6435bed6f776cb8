"""The rules for paid jobs, checked after every step of the model."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from attrs import define, field, frozen

from money_server import Fate, Made, ModelServer
from scenario_reframe.errors import (
    ApiError,
    ConnectionFailedError,
    SubmissionUncertainError,
)
from scenario_reframe.flow.steps import Flow, Step
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.models import Job, ReframeResult, Submission
from scenario_reframe.pipeline import Pipeline
from scenario_reframe_api.settings import SETTINGS

LONGEST_POST = 60.0
SETTLED = 10.0
"""Seconds after a 429 within which its job, if there is one, is listed."""

Row = tuple[int, str, str | None]
"""An entry of the ledger: its id, state and job."""

_DEFAULTS = {row.wire: row.default for row in SETTINGS}
_SAYS_NONE_MADE = (ApiError, ConnectionFailedError)


class ViolationError(AssertionError):
    """A rule was broken."""


@frozen
class CallArguments:
    """The arguments of one call; calls with the same `key` are the same request."""

    settings: Mapping[str, Any]
    video: str | None
    key: str | None = None
    is_callers_key: bool = False


@define(eq=False)
class Post:
    """A POST whose body was handed over.

    `ended`: when its sender saw its end; `is_answered`: whether that end was an answer. `time_age`:
    how old the newest `Date` was that its sender knew.
    """

    handed: float
    fate: Fate
    made: Made | None
    entry: int | None
    ended: float | None = None
    is_answered: bool = False
    time_age: float = 0.0

    @property
    def is_refused(self) -> bool:
        """Whether its sender has proof that no job was made."""
        return self.is_answered and self.fate.kind == "refused"

    @property
    def is_deferred(self) -> bool:
        """Whether its sender was told to come back later."""
        return self.is_answered and self.fate.kind == "deferred"


@define(eq=False)
class Request:
    """What one job may be made for. `permitted`: POSTs that needed a person's permission."""

    number: int
    arguments: CallArguments
    posts: list[Post] = field(factory=list)
    body: Mapping[str, Any] | None = None
    permitted: int = 0

    @property
    def is_seed_drawn(self) -> bool:
        """Whether the client drew its seed, so that no other job can be mistaken for its own."""
        return "seed" not in self.arguments.settings


@define(eq=False)
class Reading:
    """One reading of the list of jobs."""

    began: float
    shown: list[Made] = field(factory=list)
    is_whole: bool = False


@define(eq=False)
class Process:
    """A process: what its flows share."""

    pipeline: Pipeline
    ledger: SqlLedger | None
    is_stopped: bool = False


@define(eq=False)
class Walk:
    """A flow, at the step that it yielded last.

    `own`: its POSTs; `on_wire`: the unanswered one; `named`: the job that an answer named.
    `submission`: the argument of `find_job`.
    """

    process: Process
    request: Request
    flow: Flow[Any]
    permission: float | None = None
    submission: Submission | None = None
    step: Step | None = None
    own: list[Post] = field(factory=list)
    on_wire: Post | None = None
    reading: Reading | None = None
    named: str | None = None
    is_over: bool = False
    result: Any = None
    error: BaseException | None = None


def plain(body: Mapping[str, Any] | None) -> dict[str, Any]:
    """The part of a body that has a meaning: equal parts make the same request."""
    given = (body or {}).items()
    return {key: value for key, value in given if value not in (None, "", _DEFAULTS.get(key))}


@define(eq=False)
class Rules:
    """The rules, and what they need to remember."""

    server: ModelServer
    was_set_forward: bool = False
    requests: list[Request] = field(factory=list)
    owners: dict[str, Request] = field(factory=dict)
    entries: dict[int, Request] = field(factory=dict)
    closed: set[int] = field(factory=set)
    found: dict[tuple[Process, str], str] = field(factory=dict)
    uncertain: list[tuple[Request, Submission]] = field(factory=list)

    def check_post(self, walk: Walk) -> None:
        """No second POST except after proof, after a 429, or with permission and in time."""
        request, needs_permission = walk.request, False
        closed = {number for number, state, job_id in self.rows() if state == "failed" and job_id}
        for post in request.posts:
            if post.entry in closed:  # its job failed: the request starts again
                continue
            has_failed = post.made is not None and post.made.status(self.server.now) == "failure"
            if post.is_refused or (has_failed and not request.arguments.is_callers_key):
                continue
            needed = SETTLED
            if not post.is_deferred:
                _require(walk.permission is not None, "a second POST without permission")
                needed, needs_permission = walk.permission or 0.0, True
            passed = self._passed(walk, post)
            _require(passed >= needed, f"{passed} of {needed} s passed before a POST")
            read = walk.reading.shown if walk.reading is not None else []
            shown = [job.id for job in read if job.request == request.number]
            _require(not shown, f"a second POST although {shown} could be read in the list")
        request.permitted += needs_permission

    def _slack(self, post: Post) -> float:
        """Seconds by which a client may err when it knows a POST only from a ledger."""
        if not self.was_set_forward:
            return 0.01  # the database's clock is a fraction of a day
        if post.ended is None:
            return post.time_age + LONGEST_POST + 2.0
        return 2.0 if self.server.names_time else inf

    def check_jobs(self) -> None:
        """At most one job per request, and one more for every permission."""
        for request in self.requests:
            jobs = [job for job in self.server.jobs if job.request == request.number]
            paid = [job.id for job in jobs if not job.fate.fails]
            _require(len(paid) <= 1 + request.permitted, f"{paid} were made for one request")

    def check_end(self, walk: Walk) -> None:
        """Check what a flow returned or raised."""
        error, request = walk.error, walk.request
        if error is None:
            job = walk.result.job if isinstance(walk.result, ReframeResult) else walk.result
        else:
            job = getattr(error, "job", None)
        if job is not None and job.id:
            self.check_owner(request, job.id)
        if walk.submission is not None:
            self._check_found(walk, walk.submission.token, job)
        submission = getattr(error, "submission", None)
        if submission is not None:
            self.uncertain.append((request, submission))
        if isinstance(error, _SAYS_NONE_MADE):
            made = [post.made.id for post in walk.own if post.made is not None]
            _require(job or submission or not made, f"{error!r} although {made} was made")
        if walk.named is not None and not isinstance(error, GeneratorExit | type(None)):
            self._check_not_lost(walk, walk.named, job)

    def check_owner(self, request: Request, job_id: str) -> None:
        """A job belongs to its request, or it equals that request's job and nobody else has it."""
        made = next((job for job in self.server.jobs if job.id == job_id), None)
        _require(made is not None, f"{job_id} was never made")
        assert made is not None
        if made.request != request.number:
            # What the server never shows of a job cannot count as a difference.
            is_same = made.fate.echo == "seed only" or plain(made.body) == plain(request.body)
            _require(not request.is_seed_drawn and is_same, f"{job_id} is another request's")
        owner = self.owners.setdefault(job_id, request)
        _require(owner is request, f"{job_id} was given to two requests")

    def check_entries(self, walk: Walk) -> None:
        """Check the ledger's entries, which this walk was the last to write."""
        for number, state, job_id in self.rows():
            request = self.entries.setdefault(number, walk.request)
            if job_id is not None:
                self.check_owner(request, job_id)
            if state == "failed" and number not in self.closed:
                self.closed.add(number)
                posts = [post for post in request.posts if post.entry == number]
                self._check_closed(walk, posts, has_job=job_id is not None)

    def _check_closed(self, walk: Walk, posts: Sequence[Post], *, has_job: bool) -> None:
        """An entry is closed as failed only if none of its POSTs has a job that may succeed."""
        unproven = [post for post in posts if not self._made_none(walk, post)]
        fates = [post.fate for post in unproven]
        _require(len(unproven) <= has_job, f"closed as failed, which {fates} do not prove")
        # Its job may be another: an equal one, or the job of a permitted POST.
        is_other = has_job and not (walk.request.is_seed_drawn and walk.request.permitted == 0)
        alive = [post.made for post in posts if post.made and not post.made.fate.fails]
        _require(is_other or not alive, f"closed as failed in spite of {alive}")

    def _made_none(self, walk: Walk, post: Post) -> bool:
        """Whether a POST has proof that it made no job; after a 429, by a later look-up."""
        if post.is_refused or (post.made is not None and post.made.fate.fails):
            return True
        return post.is_deferred and self._passed(walk, post) >= SETTLED

    def _passed(self, walk: Walk, post: Post) -> float:
        """Seconds from a POST's end to the last complete reading of the list, plus the slack."""
        reading = walk.reading
        _require(reading is not None and reading.is_whole, "the list was not read to its end")
        assert reading is not None
        ended = post.handed + LONGEST_POST if post.ended is None else post.ended
        return reading.began - ended + self._slack(post)

    def _check_found(self, walk: Walk, token: str, job: Job | None) -> None:
        known, error = self.found.get((walk.process, token)), walk.error
        is_one_of_two = isinstance(error, SubmissionUncertainError) and walk.request.permitted
        if known and not is_one_of_two and isinstance(error, SubmissionUncertainError | type(None)):
            now = None if job is None else job.id
            _require(known == now, f"find_job gave {known}, and then {now} ({error!r})")
        if error is None and job is not None:
            self.found[walk.process, token] = job.id

    def _check_not_lost(self, walk: Walk, job_id: str, job: Job | None) -> None:
        if (job is not None and job.id == job_id) or self.owners.get(job_id):
            return
        rows = self.rows()
        _require(
            any(
                self.entries[number] is walk.request
                and (found == job_id or state in ("posting", "uncertain"))
                for number, state, found in rows
            ),
            f"{job_id} was named, and is nowhere ({walk.error!r}, {rows})",
        )

    def rows(self) -> list[Row]:
        """The ledger's entries: id, state and job."""
        return []


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ViolationError(message)
