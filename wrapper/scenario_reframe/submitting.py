"""One submit, at most one paid job. No I/O.

The API has no idempotency key, and a submitted job cannot be cancelled. So a submit is one POST,
never sent again once anything of it may have arrived. When the answer is lost, the job is looked
for by its seed, which the client draws when the caller gives none.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from attrs import define, field, frozen

from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

from . import retry
from .errors import (
    ApiError,
    ConnectionFailedError,
    RateLimitedError,
    ReframeError,
    SubmissionUncertainError,
    UnexpectedResponseError,
)
from .flow import Do, Flow, NotBegun, Pause, repeat, send
from .models import Job, Submission
from .operations import Operations, next_token
from .reading import http_date, iso
from .recording import NO_RECORD, Record

_LOG = logging.getLogger("scenario_reframe")

CONNECT_ATTEMPTS = 3
SLACK = timedelta(hours=1)
# 31 bits, or what the spec leaves of them.
_SEED_BOUNDS = next((row.bounds for row in SETTINGS if row.wire == "seed"), None)
_LEAST_SEED, _MOST_SEED = 0, 2**31 - 1
if _SEED_BOUNDS is not None:
    _MOST_SEED = min(_MOST_SEED, int(_SEED_BOUNDS.maximum or _MOST_SEED))
    _LEAST_SEED = min(max(_LEAST_SEED, int(_SEED_BOUNDS.minimum or 0)), _MOST_SEED)


def with_seed(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with a seed: the server would draw one anyway, and this one marks the job."""
    return {"seed": _LEAST_SEED + secrets.randbelow(_MOST_SEED - _LEAST_SEED + 1), **body}


class _UnsentError(Exception):
    """The intent was on record, and the caller was cancelled before anything was sent."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


@define
class Claims:
    """Ids of jobs that belong to some wish. Where they are on record, the record alone decides."""

    ids: set[str] = field(factory=set)
    on_record: Callable[[], Collection[str]] | None = None

    def add(self, job: Job) -> Job:
        """Note the job as somebody's."""
        self.ids.add(job.id)
        return job

    def all(self) -> Flow[Collection[str]]:
        """As they are now."""
        if self.on_record is None:
            return self.ids
        found: Collection[str] = yield Do(self.on_record)
        return found


def submit(
    operations: Operations,
    body: Mapping[str, Any],
    claims: Claims,
    record: Record = NO_RECORD,
    *,
    slots: int | None = None,
    looks: Sequence[float] | None = None,
) -> Flow[Job]:
    """Submit once. The body carries a seed; `claims`: the jobs that are known to be others'.

    `slots`: how many jobs may be on their way for it to be sent. `looks`: seconds before each look
    for a job whose answer was lost. The intent is on record before the POST, and the job's id right
    after it. Raises ApiError when the server proves that it made no job, ConnectionFailedError when
    nothing was sent, NoSlotError, RateLimitedError, and SubmissionUncertainError when it cannot be
    known.
    """
    submission = Submission(
        seed=body["seed"],
        body=dict(body),
        started_at=datetime.now(UTC),
        project_id=operations.project_id,
    )
    try:
        looks = looks or operations.timing.look_ups
        job = yield from _post(operations, submission, claims, record, slots, looks)
        yield Do(partial(keep, record, job))
    except SubmissionUncertainError:
        yield Do(record.uncertain)
        raise
    except ReframeError as error:
        yield Do(partial(record.not_made, error))
        raise
    except _UnsentError as stop:
        record.not_sent()
        raise stop.cause from None
    except BaseException as stop:
        record.uncertain()
        stop.add_note(
            f"The submit of seed {submission.seed} was cut off: a paid job may have been made. "
            "Look for this seed in client.jobs() before submitting again."
        )
        raise
    return job


def keep(record: Record, job: Job) -> None:
    """Put a paid job's id on record; if that fails, the caller holds the job all the same."""
    try:
        record.posted(job)
    except ReframeError as fault:
        _LOG.warning("job %s is paid for, and could not be put on record: %s", job.id, fault)


def _post(
    operations: Operations,
    submission: Submission,
    claims: Claims,
    record: Record,
    slots: int | None,
    looks: Sequence[float],
) -> Flow[Job]:
    operation = operations.submit(submission.body)
    timing = operations.timing
    started = timing.clock()
    for attempt in count(1):
        yield Do(partial(record.begin_post, submission, slots))
        try:
            job = yield from send(operation)
        except ReframeError as error:
            fault = error
        except BaseException as stop:
            if isinstance(stop, NotBegun):
                raise _UnsentError(stop) from None
            raise
        else:
            price = "" if job.cost is None else f", {job.cost:g} creative units"
            _LOG.info("job %s submitted%s", job.id, price)
            return claims.add(job)
        if not proves_no_job(fault):
            break
        if not isinstance(fault, ConnectionFailedError) or attempt == CONNECT_ATTEMPTS:
            raise fault
        yield Pause(timing.back_off(attempt))
    return (yield from _recover(operations, submission, started, claims, fault, looks))


def proves_no_job(error: ReframeError) -> bool:
    """Whether a submit that ended so has certainly made no job."""
    if isinstance(error, ConnectionFailedError):
        return not error.sent
    return isinstance(error, ApiError) and error.status_code in retry.REFUSALS


@frozen
class Found:
    """What a list of jobs says of a lost submit: jobs that are it, and jobs that could be it."""

    matches: tuple[Job, ...] = ()
    candidates: tuple[Job, ...] = ()


def _recover(
    operations: Operations,
    submission: Submission,
    started: float,
    claims: Claims,
    fault: ReframeError,
    looks: Sequence[float],
) -> Flow[Job]:
    limited = fault if isinstance(fault, RateLimitedError) and says_so(fault) else None
    found = Found()
    for pause in looks[:1] if limited else looks:
        if pause:
            yield Pause(pause)
        try:
            since = operations.timing.clock() - started
            found = yield from look(operations, submission, since, claims)
        except ReframeError:
            continue  # a list that cannot be read proves nothing
        if len(found.matches) == 1:
            _LOG.info("job %s found by its seed", found.matches[0].id)
            return claims.add(found.matches[0])
        if found.matches:
            break
    if limited and not found.matches:
        raise limited
    raise uncertain(submission, found, fault) from fault


def says_so(error: RateLimitedError) -> bool:
    """Whether a 429 is the application's own word, and not a gateway's."""
    body = error.body
    return isinstance(body, dict) and ("details" in body or "remainingSeconds" in body)


def uncertain(submission: Submission, found: Found, fault: ReframeError) -> ReframeError:
    """The error for a submit of which it is not known whether it made a job."""
    candidates = found.matches or found.candidates
    named = ", ".join(job.id for job in candidates[:5])
    seen = (
        f"{len(candidates)} jobs could be it: {named}" if candidates else "no job of it is listed"
    )
    error = SubmissionUncertainError(
        f"it is not known whether the submit of seed {submission.seed} made a paid job: {fault}. "
        f"{seen}. Do not submit again blindly: client.find_job(error.submission) looks again",
        submission=submission,
        candidates=candidates,
    )
    error.job = fault.job
    return error


def find(operations: Operations, submission: Submission, claims: Claims) -> Flow[Job | None]:
    """Look once for the job of an uncertain submission; None if it is not listed.

    Raises SubmissionUncertainError if several jobs could be it.
    """
    found = yield from look(operations, submission, seconds_since(submission), claims)
    if len(found.matches) == 1:
        return claims.add(found.matches[0])
    if found.matches:
        fault = UnexpectedResponseError("several jobs have its seed and its input")
        raise uncertain(submission, found, fault)
    return None


def seconds_since(submission: Submission) -> float:
    """How long ago a submission was, by this machine's clock."""
    return max((datetime.now(UTC) - submission.started_at).total_seconds(), 0.0)


def look(
    operations: Operations,
    submission: Submission,
    since: float,
    claims: Claims,
) -> Flow[Found]:
    """Read the list of jobs to its end, from an hour before the submit on the server's clock.

    `since`: seconds between the submit and now.
    """
    timing = operations.timing
    asked = timing.clock()
    first = yield from repeat(operations.list_jobs(size=1), timing)
    now = http_date(first.date) or datetime.now(UTC)
    submitted = now - timedelta(seconds=since + timing.clock() - asked)
    after = iso(submitted - SLACK)
    jobs: dict[str, Job] = {}
    token: str | None = None
    tokens: set[str] = set()
    while True:
        page = yield from repeat(operations.list_jobs(created_after=after, token=token), timing)
        jobs.update((job.id, job) for job in page.jobs)
        token = next_token(page, tokens)
        if token is None:
            break
    claimed = yield from claims.all()
    others = [job for job in jobs.values() if job.id not in claimed]
    return sort_out(others, submission.body, submitted - timedelta(minutes=1))


def sort_out(jobs: Sequence[Job], body: Mapping[str, Any], earliest: datetime) -> Found:
    """Which of the listed jobs are the one of this body, and which could be.

    A job is it when the server's echo holds this seed and contradicts nothing that was sent, and
    it was not created before `earliest`, as an older run of the same seed was.
    """
    custom = [job for job in jobs if (job.raw.get("jobType") or "custom") == "custom"]
    same = [job for job in custom if "seed" in job.input and echoes(job.input, body)]
    fresh = [job for job in same if job.created_at is None or job.created_at >= earliest]
    blank = [job for job in custom if "seed" not in job.input and echoes(job.input, body)]
    return Found(matches=tuple(fresh), candidates=(*same, *blank))


def echoes(echoed: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether nothing in the echo contradicts what was sent, and the video is not another."""
    if VIDEO_FIELD in echoed and VIDEO_FIELD not in body:
        return False
    return all(echoed[key] == value for key, value in body.items() if key in echoed)
