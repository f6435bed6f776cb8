"""One POST, and what it proves; and the way from a checked request to its paid job. No I/O.

The API has no idempotency key, and a submitted job cannot be cancelled. So a submit is one POST,
and only one of which nothing was sent is tried again by itself.
"""

import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

from attrs import define, evolve, frozen

from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

from .api.calling import repeat, send
from .api.operations import Operations
from .api.sanitize import unsigned
from .errors import (
    ApiError,
    ConnectionFailedError,
    NotFoundError,
    RateLimitedError,
    ReframeError,
    UnexpectedResponseError,
)
from .flow.steps import Blocking, Flow, Handover, Pause
from .ledger.interface import Outcome, Post, TwinOpenError
from .matching import Found, contradicts, twin_of
from .models import Job, Submission
from .recovery import Recovery, uncertain
from .run import Run
from .video import VideoFile

_LOG = logging.getLogger("scenario_reframe")

CONNECT_ATTEMPTS = 3
REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422})
"""Statuses with which the API itself says that it made no job."""

# 31 bits, or what the spec leaves of them.
_SEED_BOUNDS = next((row.bounds for row in SETTINGS if row.wire == "seed"), None)
_LEAST_SEED, _MOST_SEED = 0, 2**31 - 1
if _SEED_BOUNDS is not None:
    _MOST_SEED = min(_MOST_SEED, int(_SEED_BOUNDS.maximum or _MOST_SEED))
    _LEAST_SEED = min(max(_LEAST_SEED, int(_SEED_BOUNDS.minimum or 0)), _MOST_SEED)


def new_submission(
    body: Mapping[str, Any], token: str, project_id: str | None, server_time: datetime | None
) -> Submission:
    """A submission of this body. Where it has no seed one is drawn, which marks its job."""
    drawn = _LEAST_SEED + secrets.randbelow(_MOST_SEED - _LEAST_SEED + 1)
    filled = {"seed": drawn, **body}
    return Submission(
        seed=filled["seed"],
        body=filled,
        started_at=datetime.now(UTC),
        project_id=project_id,
        is_seed_drawn="seed" not in body,
        server_time=server_time,
        token=token,
    )


@define
class PostLog:
    """Keeps what becomes of one run's POSTs, in memory and on record."""

    recovery: Recovery
    run: Run
    submission: Submission
    _is_open: bool = False

    def open(self) -> None:
        """The last check before the wire."""
        if self.recovery.ledger is None or self.run.claim is None:
            if self.run.terms.check_target is not None:
                self.run.terms.check_target()
            self.run.posts.append(Post(submission=self.submission))
        else:
            self.recovery.ledger.open_post(self.run.claim, self.submission, self.run.terms)
        self._is_open = True

    def withdraw(self) -> None:
        """Nothing was sent."""
        if not self._is_open:
            return
        if self.recovery.ledger is None or self.run.claim is None:
            self.run.posts.pop()
        else:
            self.recovery.ledger.withdraw_post(self.run.claim)

    def end(self, outcome: Outcome, reason: str) -> None:
        """How it ended."""
        post = self._ended(outcome)
        if self.recovery.ledger is not None and self.run.claim is not None:
            self.recovery.ledger.end_post(self.run.claim, post, unsigned(reason)[:500])

    def made(self, job: Job) -> bool:
        """Its job."""
        is_ours = self.recovery.made(self.run.token, job)
        if is_ours:
            self._ended("made")
        return is_ours

    def _ended(self, outcome: Outcome) -> Post:
        if not self._is_open:  # a transport answered that had not read the request
            self.run.posts.append(Post(submission=self.submission))
            self._is_open = True
        post, operations = self.run.posts[-1], self.recovery.operations
        post.outcome, post.ended = outcome, operations.timing.clock()
        post.server_ended = operations.server.now
        return post


@frozen
class Ended:
    """How a submit ended: with a job or a fault. `outcome` is None if nothing was sent."""

    outcome: Outcome | None
    job: Job | None = None
    fault: ReframeError | None = None


def submit(operations: Operations, submission: Submission, log: PostLog) -> Flow[Ended]:
    """Send it once. Raises what `log.open` raises, and whatever stops the caller's program."""
    timing = operations.timing
    for attempt in count(1):
        handover = Handover(log.open)
        job: Job | None = None
        try:
            operation = operations.submit(submission.body)
            job = yield from send(operation, handover, timing.last_answers)
            if (yield from _is_ours(job, submission, log)):
                return Ended("made", job)
            fault: ReframeError = UnexpectedResponseError(
                f"the reply named job {job.id}, which is another request's"
            )
        except ReframeError as error:
            if not handover.happened and not isinstance(error, ConnectionFailedError):
                raise
            fault = error
        except BaseException as stop:
            _stopped(stop, log, job, was_sent=handover.happened)
            raise
        if handover.happened:
            outcome = proven_by(fault)
            yield from log.recovery.surely(partial(log.end, outcome, str(fault)))
            return Ended(outcome, fault=fault)
        if attempt == CONNECT_ATTEMPTS:
            return Ended(None, fault=fault)
        yield Pause(timing.back_off(attempt))
    raise AssertionError


def _is_ours(job: Job, submission: Submission, log: PostLog) -> Flow[bool]:
    """Whether a reply's job is this submission's; then it is put on record."""
    if contradicts(job, submission):
        return False
    is_ours: bool = yield from log.recovery.surely(partial(log.made, job))
    if is_ours:
        price = "" if job.cost is None else f", {job.cost:g} creative units"
        _LOG.info("job %s submitted%s", job.id, price)
    return is_ours


def _stopped(stop: BaseException, log: PostLog, job: Job | None, *, was_sent: bool) -> None:
    """Keep what is known when Ctrl-C or a cancellation ends a submit."""
    if not was_sent:
        log.withdraw()
    elif job is not None and not contradicts(job, log.submission) and log.made(job):
        stop.job = job  # type: ignore[attr-defined]
        stop.add_note(f"Job {job.id} was made, and is paid for: wait for this id.")
    else:
        log.end("uncertain", repr(stop))


def proven_by(fault: ReframeError) -> Outcome:
    """What a POST that was sent, and whose reply named no job of its own, proves."""
    if isinstance(fault, RateLimitedError):
        return "deferred"
    if isinstance(fault, ApiError) and fault.status_code in REFUSALS:
        body = fault.body if isinstance(fault.body, dict) else {}
        # A proxy's page proves nothing of what stands behind it.
        if any(isinstance(body.get(key), str) and body[key] for key in ("reason", "message")):
            return "refused"
    return "uncertain"


MOST_POSTS = 5
"""Of one item of a batch that has permission to submit again; any other call sends one."""


@define
class Submitting(Recovery):
    """The way from a checked request to its paid job. `submit` is a hook, see there."""

    def submit(self, run: Run) -> Flow[Job]:
        """The job of a run, submitted once: the only place from which anything is paid for."""
        try:
            return (yield from self._submitted(run))
        except ReframeError:
            raise
        except BaseException as stop:
            if run.has_open_post:  # also while its job is looked for
                stop.add_note(
                    f"The submit of seed {run.first_open.seed} was cut off: a paid job may have "
                    "been made. Look for this seed in client.jobs() before submitting again."
                )
            raise

    def _submitted(self, run: Run) -> Flow[Job]:
        for _ in range(MOST_POSTS if run.options.waits_to_resubmit else 1):
            job = (yield from self.recovered(run)) if run.has_open_post else None
            try:
                job = job or (yield from self._posted(run))
            except (ApiError, ConnectionFailedError) as fault:
                # It says nothing of what was sent before.
                is_earlier = any(post.outcome == "uncertain" for post in run.posts)
                if not is_earlier or isinstance(fault, RateLimitedError):
                    raise
                raise uncertain(run.first_open, Found(), fault) from fault
            if job is not None:
                return job
        job = yield from self.recovered(run)
        if job is None:
            raise uncertain(run.first_open, Found(), run.fault)
        return job

    def _posted(self, run: Run) -> Flow[Job | None]:
        """The job of one POST; None if it is not known whether it made one.

        Raises RateLimitedError if it may go again later, and what proves that there is no job.
        """
        submission = yield from self._submission(run)
        ended = yield from submit(self.operations, submission, PostLog(self, run, submission))
        if ended.fault is None or ended.outcome == "uncertain":
            run.fault = ended.fault
            return ended.job
        if isinstance(ended.fault, RateLimitedError):
            return (yield from self._refused_for_now(run, submission, ended.fault))
        if isinstance(ended.fault, NotFoundError):
            yield from self.forget_upload(run)
        raise ended.fault

    def _refused_for_now(
        self, run: Run, submission: Submission, refusal: RateLimitedError
    ) -> Flow[Job]:
        """The job of a POST that was answered with 429, should it have been made all the same.

        A request that nobody repeats is looked for when that is settled: it is closed then.
        """
        if not run.is_repeatable:
            yield Pause(self.timing.refusal_settled)
        with suppress(ReframeError):  # the refusal is what counts
            found = yield from self.find(submission)
            if len(found.matches) == 1 and (yield from self.adopted(run, found.matches[0])):
                return found.matches[0]
            if not run.is_repeatable and found == Found():
                log = PostLog(self, run, submission, is_open=True)
                yield from self.surely(partial(log.end, "refused", str(refusal)))
        refusal.submission = submission
        raise refusal

    def forget_upload(self, run: Run) -> Flow[bool]:
        """The server has its asset no more; False if that is not on record."""
        if self.ledger is None or run.content is None or not isinstance(run.source, VideoFile):
            return False
        yield from self.note(partial(self.ledger.forget_upload, run.content))
        return True

    def _submission(self, run: Run) -> Flow[Submission]:
        """What is to be sent: the same again, if it was sent before."""
        server = self.operations.server
        if "seed" in run.settings and server.age() > self.timing.server_time_memory:
            yield from repeat(self.operations.list_jobs(size=1), self.timing)
        if run.has_open_post:
            first = run.first_open
            # After a refusal for now its asset may be another: the server lost the first one.
            is_same = run.must_repeat or run.asset_id is None
            body = first.body if is_same else {**first.body, VIDEO_FIELD: run.asset_id}
            now = datetime.now(UTC)
            return evolve(first, body=body, started_at=now, server_time=server.last)
        body = dict(run.settings)
        if run.asset_id is not None:
            body[VIDEO_FIELD] = run.asset_id
        return new_submission(body, run.token, self.operations.project_id, server.last)

    def wait_for_twin(self, run: Run) -> Flow[None]:
        """Wait until no other request is on its way whose job could not be told from this one's.

        Raises LedgerBusyError if another process's has no clear answer, or takes too long.
        """
        twin = twin_of(run.settings, run.asset_id)
        if twin is None:
            return
        run.terms = evolve(run.terms, twin=twin)
        started = self.timing.clock()
        while True:
            try:
                self.known.take_twin(twin, run.token)
                if self.ledger is not None and run.claim is not None:
                    yield Blocking(partial(self.ledger.may_post, run.claim, run.terms))
            except TwinOpenError as error:
                # In a batch, those of the same batch are waited for, however long that takes.
                is_ours = error.is_in_process and run.batch is not None
                late = self.timing.clock() - started >= self.timing.longest_busy
                if error.is_uncertain or (late and not is_ours):
                    raise
            else:
                return
            run.check_time(self.timing.clock())
            yield Pause(self.timing.busy_pause)
