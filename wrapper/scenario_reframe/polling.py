"""Wait for a job: poll until it is done. No I/O."""

from collections.abc import Callable
from typing import Any

from .api import retry
from .api.calling import send, within
from .api.operations import Operations, checked_id
from .errors import (
    JobCanceledError,
    JobFailedError,
    NotFoundError,
    ReframeError,
    WaitTimeoutError,
)
from .flow.steps import Call, Flow, Pause
from .models import Job
from .timing import Timing

UpdateCallback = Callable[[Job], Any]


def poll_interval(waited: float, timing: Timing) -> float:
    """Seconds until the next poll, after so many seconds of waiting."""
    return min(max(timing.first_poll, timing.poll_share * waited), timing.longest_poll)


def wait(
    operations: Operations,
    job: Job | str,
    *,
    timeout: float | None,
    on_update: UpdateCallback | None,
    reported: Job | None = None,
) -> Flow[Job]:
    """Poll until the job is done, in spite of lost replies and server errors.

    `timeout`: seconds. `reported`: the job that `on_update` was last called with. Raises
    JobFailedError, JobCanceledError, WaitTimeoutError, each with the job, and other ApiErrors.
    """
    known = job if isinstance(job, Job) else None
    job_id = job.id if isinstance(job, Job) else checked_id(job, "job")
    if known is not None and known.is_done:
        return require_success(known)
    timing = operations.timing
    started = timing.clock()
    last = (reported.status, reported.progress) if reported is not None else None
    while True:
        left = None if timeout is None else max(started + timeout - timing.clock(), 1.0)
        requested = 0.0
        try:
            current = yield from send(within(operations.get_job(job_id), left))
        except ReframeError as error:
            early = timing.clock() - started < timing.listed_within
            unlisted = early and isinstance(error, NotFoundError) and isinstance(job, Job)
            if not (retry.is_transient(error) or unlisted):
                error.job = known
                raise
            requested = retry.requested_pause(error) or 0.0
        else:
            known = current
            if on_update and last != (current.status, current.progress):
                last = (current.status, current.progress)
                yield Call(on_update, (current,))
            if current.is_done:
                return require_success(current)
        waited = timing.clock() - started
        if timeout is not None and waited >= timeout:
            raise timed_out(job_id, known, timeout)
        pause = max(poll_interval(waited, timing), requested)
        yield Pause(pause if timeout is None else min(pause, timeout - waited))


def require_success(job: Job) -> Job:
    """A finished job. Raises JobFailedError or JobCanceledError unless it succeeded."""
    if job.is_success:
        return job
    reason = " ".join(part for part in (job.error, job.hint and f"Hint: {job.hint}") if part)
    if job.status == "canceled":
        raise JobCanceledError(f"job {job.id} was canceled. {reason}".strip(), job=job)
    raise JobFailedError(f"job {job.id} failed: {reason or 'no reason given'}", job=job)


def timed_out(job_id: str, job: Job | None, timeout: float) -> WaitTimeoutError:
    """The error for a job that was not done in time."""
    known = job or Job(id=job_id, status="unknown")
    return WaitTimeoutError(
        f"job {job_id} was not done after {timeout:g} s (status {known.status}, "
        f"{known.progress:.0%}). It is paid for and goes on: wait for the same id again",
        job=known,
    )
