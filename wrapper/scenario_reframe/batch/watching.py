"""Watch many jobs together, through the pages of the list of jobs. No I/O.

One sweep reads the list from the oldest watched job on, however many are watched; the pause after
it grows with its pages, so that the number of requests per minute does not. A job that the list
does not show (it lags, is too long, or is refused) is read by its id, a few in each sweep.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median

from attrs import define, field

from scenario_reframe.api import retry
from scenario_reframe.api.calling import repeat
from scenario_reframe.api.json_values import iso
from scenario_reframe.api.operations import Operations, Paging
from scenario_reframe.errors import NotFoundError, ReframeError
from scenario_reframe.flow.steps import Call, Flow, Pause
from scenario_reframe.models import Job
from scenario_reframe.polling import UpdateCallback, poll_interval, timed_out
from scenario_reframe.timing import Timing

MOST_PAGES = 10
READ_PER_SWEEP = 10

Settle = Callable[[Job | ReframeError], None]


@define
class WatchedJob:
    """A watched job. Times are in seconds of `Timing.clock`."""

    job: Job
    since: float
    seen_at: float
    settle: list[Settle]
    on_update: UpdateCallback | None
    was_running: bool = False


@define
class WatchList:
    """The watched jobs by id, and how many seconds the last finished ones took (`durations`)."""

    timing: Timing
    jobs: dict[str, WatchedJob] = field(factory=dict)
    durations: deque[float] = field(factory=lambda: deque(maxlen=9))

    def add(self, job: Job, settle: Settle, on_update: UpdateCallback | None) -> None:
        """Watch a job; `settle` is called once, with the finished job or an error."""
        watched = self.jobs.get(job.id)
        if watched is None:
            now = self.timing.clock()
            # A job of which only the id is known is read at once.
            seen_at = now if job.created_at is not None else now - self.timing.unheard
            self.jobs[job.id] = WatchedJob(job, now, seen_at, [settle], on_update)
        else:
            watched.settle.append(settle)
            watched.on_update = watched.on_update or on_update

    def drop(self, job_id: str) -> None:
        """Stop watching a job."""
        self.jobs.pop(job_id, None)

    def settle(self, watched: WatchedJob, outcome: Job | ReframeError) -> None:
        """Stop watching a job, and call back all who wait for it."""
        self.drop(watched.job.id)
        if isinstance(outcome, Job) and watched.was_running:
            self.durations.append(self.timing.clock() - watched.since)
        for settle in watched.settle:
            settle(outcome)

    def fail(self, fault: Exception) -> None:
        """Stop watching all jobs, each with an error of its own."""
        for watched in list(self.jobs.values()):
            error = ReframeError(
                f"job {watched.job.id} could not be watched ({type(fault).__name__}). It is paid "
                "for and goes on: wait for the same id again"
            )
            error.job, error.__cause__ = watched.job, fault
            self.settle(watched, error)

    def typical_seconds(self) -> float:
        """The seconds that a job typically takes, as far as is known by now."""
        if self.durations:
            return median(self.durations)
        now = self.timing.clock()
        return now - min((one.since for one in self.jobs.values()), default=now)

    def silent(self) -> Iterator[WatchedJob]:
        """Up to READ_PER_SWEEP jobs not read for `Timing.unheard` seconds, the oldest first."""
        before = self.timing.clock() - self.timing.unheard
        silent = [one for one in self.jobs.values() if one.seen_at <= before]
        yield from sorted(silent, key=lambda one: one.seen_at)[:READ_PER_SWEEP]


def watch(operations: Operations, waiting: WatchList) -> Flow[None]:
    """Watch until no job is left. The error of a job goes to those who wait for it."""
    while waiting.jobs:
        pages, requested = 1, 0.0
        try:
            pages = yield from _sweep(operations, waiting)
        except ReframeError as error:
            requested = retry.requested_pause(error) or 0.0
        for watched in list(waiting.silent()):
            yield from _read_job(operations, waiting, watched)
        for watched in list(waiting.jobs.values()):
            if waiting.timing.clock() - watched.since >= waiting.timing.longest_wait:
                late = timed_out(watched.job.id, watched.job, waiting.timing.longest_wait)
                waiting.settle(watched, late)
        if waiting.jobs:
            yield Pause(
                max(poll_interval(waiting.typical_seconds(), waiting.timing) * pages, requested)
            )


def _sweep(operations: Operations, waiting: WatchList) -> Flow[int]:
    """Read the list back to the oldest watched job. Returns the number of pages read."""
    known = [one.job.created_at for one in waiting.jobs.values() if one.job.created_at is not None]
    if not known:
        return 1
    after = iso(min(known) - timedelta(seconds=1))
    token: str | None = None
    paging = Paging()
    pages, started = 0, waiting.timing.clock()
    while pages < MOST_PAGES and waiting.jobs:
        pages += 1
        page = yield from repeat(
            operations.list_jobs(created_after=after, token=token), operations.timing
        )
        for job in page.jobs:
            watched = waiting.jobs.get(job.id)
            if watched is not None:
                yield from _listed(operations, waiting, watched, job)
        token = paging.next_token(page)
        unseen = sum(one.seen_at < started for one in waiting.jobs.values())
        if token is None or unseen <= READ_PER_SWEEP:
            break  # the last few may be old: they are read by id
    return pages


def _listed(
    operations: Operations, waiting: WatchList, watched: WatchedJob, job: Job
) -> Flow[None]:
    """Update a watched job from the list."""
    watched.seen_at = waiting.timing.clock()
    if job.is_success and not job.asset_ids:
        # The list may leave something out; the job's own JSON object does not.
        yield from _read_job(operations, waiting, watched)
        return
    yield from _update(waiting, watched, job)


def _read_job(operations: Operations, waiting: WatchList, watched: WatchedJob) -> Flow[None]:
    """Update a watched job by its id."""
    watched.seen_at = waiting.timing.clock()
    try:
        job = yield from repeat(operations.get_job(watched.job.id), operations.timing)
    except ReframeError as error:
        new = waiting.timing.clock() - watched.since < waiting.timing.listed_within
        if not (retry.is_transient(error) or (new and isinstance(error, NotFoundError))):
            error.job = watched.job
            waiting.settle(watched, error)
        return
    yield from _update(waiting, watched, job)


def _update(waiting: WatchList, watched: WatchedJob, job: Job) -> Flow[None]:
    """Store the job's new state, call `on_update` if it changed, and settle it if it is done."""
    changed = (job.status, job.progress) != (watched.job.status, watched.job.progress)
    watched.job = job
    watched.was_running |= not job.is_done
    if changed and watched.on_update is not None:
        yield Call(watched.on_update, (job,))
    if job.is_done and job.id in waiting.jobs:
        waiting.settle(watched, job)
