"""One POST and what it proves, and the steps from a checked request to its paid job. No I/O.

The API has no idempotency key, and a submitted job cannot be cancelled. So a submit is one POST,
which is repeated automatically only if nothing of it was sent.
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
from .api.sanitize import without_secrets
from .errors import (
    ApiError,
    ConnectionFailedError,
    NotFoundError,
    RateLimitedError,
    ReframeError,
    UnexpectedResponseError,
)
from .flow.steps import Blocking, Flow, Handover, Pause
from .job_matching import LookUpResult, contradicts, twin_key
from .ledger.interface import Claim, Ledger, Outcome, Post, TwinOpenError
from .models import Job, Submission
from .recovery import Recovery, uncertain_error
from .run_state import Run
from .video import VideoFile

_LOG = logging.getLogger("scenario_reframe")

CONNECT_ATTEMPTS = 3
REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422})
"""Statuses with which the API itself reports that it made no job."""

# 31 bits, as far as the spec's bounds allow them.
_SEED_BOUNDS = next((row.bounds for row in SETTINGS if row.wire == "seed"), None)
_LEAST_SEED, _MOST_SEED = 0, 2**31 - 1
if _SEED_BOUNDS is not None:
    _MOST_SEED = min(_MOST_SEED, int(_SEED_BOUNDS.maximum or _MOST_SEED))
    _LEAST_SEED = min(max(_LEAST_SEED, int(_SEED_BOUNDS.minimum or 0)), _MOST_SEED)


def new_submission(
    body: Mapping[str, Any], token: str, project_id: str | None, server_time: datetime | None
) -> Submission:
    """A submission of this body. If it has no seed, one is drawn, which identifies its job."""
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
    """Records what happens to a run's POST, in memory and, if there is one, in the ledger."""

    recovery: Recovery
    run: Run
    submission: Submission
    _is_open: bool = False

    @property
    def _recorded(self) -> tuple[Ledger, Claim] | None:
        """The ledger and the run's claim in it, if there are any."""
        ledger, claim = self.recovery.ledger, self.run.claim
        return None if ledger is None or claim is None else (ledger, claim)

    def open(self) -> None:
        """Make the last check before the wire, and record the POST."""
        if recorded := self._recorded:
            ledger, claim = recorded
            ledger.open_post(claim, self.submission, self.run.conditions)
        else:
            if self.run.conditions.check_target is not None:
                self.run.conditions.check_target()
            self.run.posts.append(Post(submission=self.submission))
        self._is_open = True

    def withdraw(self) -> None:
        """Take the POST off the record, since nothing of it was sent."""
        if not self._is_open:
            return
        if recorded := self._recorded:
            ledger, claim = recorded
            ledger.withdraw_post(claim)
        else:
            self.run.posts.pop()

    def end(self, outcome: Outcome, reason: str) -> None:
        """Record how the POST ended."""
        post = self._end_in_memory(outcome)
        if recorded := self._recorded:
            ledger, claim = recorded
            ledger.end_post(claim, post, without_secrets(reason)[:500])

    def record_job(self, job: Job) -> bool:
        """Record the POST's job; False if it is another request's.

        A reply has named it, so it is ours even if nothing can be recorded.
        """
        try:
            is_ours = self.recovery.record_job(self.run.token, job)
        except Exception:  # noqa: BLE001 - logged
            _LOG.exception("job %s could not be recorded", job.id)
            is_ours = True
        if is_ours:
            self._end_in_memory("made")
        return is_ours

    def _end_in_memory(self, outcome: Outcome) -> Post:
        if not self._is_open:  # a transport answered that had not read the request
            self.run.posts.append(Post(submission=self.submission))
            self._is_open = True
        post, operations = self.run.posts[-1], self.recovery.operations
        post.outcome, post.ended = outcome, operations.timing.clock()
        post.server_ended = operations.server.now
        return post


@frozen
class SubmitResult:
    """How a submit ended: with a job or an error. `outcome` is None if nothing was sent."""

    outcome: Outcome | None
    job: Job | None = None
    fault: ReframeError | None = None


def submit(operations: Operations, submission: Submission, log: PostLog) -> Flow[SubmitResult]:
    """Send a submission once. Raises what `log.open` raises, Ctrl-C and cancellations."""
    timing = operations.timing
    for attempt in count(1):
        handover = Handover(log.open)
        job: Job | None = None
        try:
            operation = operations.submit(submission.body)
            job = yield from send(operation, handover, timing.last_answers)
            if (yield from _is_ours(job, submission, log)):
                return SubmitResult("made", job)
            fault: ReframeError = UnexpectedResponseError(
                f"the reply named job {job.id}, which is another request's"
            )
        except ReframeError as error:
            if not handover.happened and not isinstance(error, ConnectionFailedError):
                raise
            fault = error
        except BaseException as stop:
            _record_stop(stop, log, job, was_sent=handover.happened)
            raise
        if handover.happened:
            outcome = proven_by(fault)
            yield from log.recovery.record_even_if_stopped(partial(log.end, outcome, str(fault)))
            return SubmitResult(outcome, fault=fault)
        if attempt == CONNECT_ATTEMPTS:
            return SubmitResult(None, fault=fault)
        yield Pause(timing.back_off(attempt))
    raise AssertionError


def _is_ours(job: Job, submission: Submission, log: PostLog) -> Flow[bool]:
    """Whether a reply's job is this submission's; if so, it is recorded."""
    if contradicts(job, submission):
        return False
    is_ours: bool = yield from log.recovery.record_even_if_stopped(partial(log.record_job, job))
    if is_ours:
        price = "" if job.cost is None else f", {job.cost:g} creative units"
        _LOG.info("job %s submitted%s", job.id, price)
    return is_ours


def _record_stop(stop: BaseException, log: PostLog, job: Job | None, *, was_sent: bool) -> None:
    """Record what is known when Ctrl-C or a cancellation ends a submit."""
    if not was_sent:
        log.withdraw()
    elif job is not None and not contradicts(job, log.submission) and log.record_job(job):
        stop.job = job  # type: ignore[attr-defined]
        stop.add_note(f"Job {job.id} was made and is paid for: wait for this id.")
    else:
        log.end("uncertain", repr(stop))


def proven_by(fault: ReframeError) -> Outcome:
    """What a POST proves that was sent and whose reply named no job of ours."""
    if isinstance(fault, RateLimitedError):
        return "deferred"
    if isinstance(fault, ApiError) and fault.status_code in REFUSALS:
        body = fault.body if isinstance(fault.body, dict) else {}
        # A proxy's page proves nothing about the API behind it.
        if any(isinstance(body.get(key), str) and body[key] for key in ("reason", "message")):
            return "refused"
    return "uncertain"


MOST_POSTS = 5
"""Of one item of a batch that has permission to resubmit; any other call sends one."""


@define
class Submitting(Recovery):
    """The steps from a checked request to its paid job. `submit` is a hook, see `Pipeline`."""

    def submit(self, run: Run) -> Flow[Job]:
        """The job of a run, submitted once: nothing is paid for anywhere else."""
        try:
            return (yield from self._submit_run(run))
        except ReframeError:
            raise
        except BaseException as stop:
            if run.has_open_post:  # also during the look-up
                stop.add_note(
                    f"The submit of seed {run.first_open.seed} was cut off: a paid job may have "
                    "been made. Look for this seed in client.jobs() before submitting again."
                )
            raise

    def _submit_run(self, run: Run) -> Flow[Job]:
        """Submit, look up, and resubmit as far as it is permitted."""
        for _ in range(MOST_POSTS if run.options.waits_to_resubmit else 1):
            job = (yield from self.recover(run)) if run.has_open_post else None
            try:
                job = job or (yield from self._post_once(run))
            except (ApiError, ConnectionFailedError) as fault:
                # It proves nothing about earlier POSTs.
                is_earlier = any(post.outcome == "uncertain" for post in run.posts)
                if not is_earlier or isinstance(fault, RateLimitedError):
                    raise
                raise uncertain_error(run.first_open, LookUpResult(), fault) from fault
            if job is not None:
                return job
        job = yield from self.recover(run)
        if job is None:
            raise uncertain_error(run.first_open, LookUpResult(), run.fault)
        return job

    def _post_once(self, run: Run) -> Flow[Job | None]:
        """Send one POST. Its job; None if it may or may not have made one.

        Raises RateLimitedError if it may go again later, and any error that proves that no job was
        made.
        """
        submission = yield from self._next_submission(run)
        result = yield from submit(self.operations, submission, PostLog(self, run, submission))
        if result.fault is None or result.outcome == "uncertain":
            run.fault = result.fault
            return result.job
        if isinstance(result.fault, RateLimitedError):
            return (yield from self._look_up_deferred(run, submission, result.fault))
        if isinstance(result.fault, NotFoundError):
            yield from self.forget_upload(run)
        raise result.fault

    def _look_up_deferred(
        self, run: Run, submission: Submission, refusal: RateLimitedError
    ) -> Flow[Job]:
        """The job of a POST that was answered with 429, if one was made all the same.

        If the same call cannot be repeated later, wait until the list is conclusive, then close it.
        """
        if not run.is_repeatable:
            yield Pause(self.timing.refusal_settled)
        with suppress(ReframeError):  # the refusal is what counts
            found = yield from self.find(submission)
            if len(found.matches) == 1 and (yield from self.adopt(run, found.matches[0])):
                return found.matches[0]
            if not run.is_repeatable and found == LookUpResult():
                log = PostLog(self, run, submission, is_open=True)
                yield from self.record_even_if_stopped(partial(log.end, "refused", str(refusal)))
        refusal.submission = submission
        raise refusal

    def forget_upload(self, run: Run) -> Flow[bool]:
        """Forget the run's asset, which the server no longer has; False if no ledger knows it."""
        if self.ledger is None or run.content is None or not isinstance(run.source, VideoFile):
            return False
        yield from self.record_or_warn(partial(self.ledger.forget_upload, run.content))
        return True

    def _next_submission(self, run: Run) -> Flow[Submission]:
        """The submission to send: an earlier one again, if there is one."""
        server = self.operations.server
        if "seed" in run.settings and server.age() > self.timing.server_time_memory:
            yield from repeat(self.operations.list_jobs(size=1), self.timing)
        if run.has_open_post:
            first = run.first_open
            # After a 429 the asset may be another one: the server may have lost the first.
            is_same = run.must_repeat or run.asset_id is None
            body = first.body if is_same else {**first.body, VIDEO_FIELD: run.asset_id}
            now = datetime.now(UTC)
            return evolve(first, body=body, started_at=now, server_time=server.last)
        body = dict(run.settings)
        if run.asset_id is not None:
            body[VIDEO_FIELD] = run.asset_id
        return new_submission(body, run.token, self.operations.project_id, server.last)

    def wait_for_twin(self, run: Run) -> Flow[None]:
        """Wait until no twin of this request is on its way (see `twin_key`).

        Raises TwinOpenError if another process's twin got no clear answer, or takes too long.
        """
        twin = twin_key(run.settings, run.asset_id)
        if twin is None:
            return
        run.conditions = evolve(run.conditions, twin=twin)
        started = self.timing.clock()
        while True:
            try:
                self.known.reserve_twin(twin, run.token)
                if self.ledger is not None and run.claim is not None:
                    yield Blocking(partial(self.ledger.may_post, run.claim, run.conditions))
            except TwinOpenError as error:
                # A batch waits for its own twins, however long that takes.
                is_ours = error.is_in_process and run.batch is not None
                late = self.timing.clock() - started >= self.timing.longest_busy
                if error.is_uncertain or (late and not is_ours):
                    raise
            else:
                return
            run.check_deadline(self.timing.clock())
            yield Pause(self.timing.busy_pause)
