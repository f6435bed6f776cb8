"""Watch all waiting jobs together, through the pages of the jobs' list. No I/O.

One sweep reads the list from the oldest waiting job on, whatever the number of waiting jobs; the
pause after it grows with its pages, so that the requests in a minute do not. A job that the list
does not show (it lags, it is too long, it is refused) is asked for by its id, a few at a time.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median

from attrs import define, field

from scenario_reframe.api import retry
from scenario_reframe.api.calling import repeat
from scenario_reframe.api.json_values import iso
from scenario_reframe.api.operations import Operations, next_token
from scenario_reframe.errors import NotFoundError, ReframeError
from scenario_reframe.flow.steps import Call, Flow, Pause
from scenario_reframe.models import Job
from scenario_reframe.polling import UpdateCallback, timed_out
from scenario_reframe.timing import Timing

MOST_PAGES = 10
ASKED_PER_SWEEP = 10

Settle = Callable[[Job | ReframeError], None]


@define
class Watched:
    """A job that somebody waits for. Times are the clock's."""

    job: Job
    since: float
    seen_at: float
    settle: list[Settle]
    on_update: UpdateCallback | None
    was_running: bool = False


@define
class Waiting:
    """The jobs that are waited for, by id, and how long such jobs take."""

    timing: Timing
    jobs: dict[str, Watched] = field(factory=dict)
    took: deque[float] = field(factory=lambda: deque(maxlen=9))

    def add(self, job: Job, settle: Settle, on_update: UpdateCallback | None) -> None:
        """Wait for a job; `settle` is called once, with the finished job or an error."""
        watched = self.jobs.get(job.id)
        if watched is None:
            now = self.timing.clock()
            # What is not known yet is asked for at once.
            seen_at = now if job.created_at is not None else now - self.timing.unheard
            self.jobs[job.id] = Watched(job, now, seen_at, [settle], on_update)
        else:
            watched.settle.append(settle)
            watched.on_update = watched.on_update or on_update

    def drop(self, job_id: str) -> None:
        """Nobody waits for it any more."""
        self.jobs.pop(job_id, None)

    def settle(self, watched: Watched, outcome: Job | ReframeError) -> None:
        """Tell those who wait."""
        self.drop(watched.job.id)
        if isinstance(outcome, Job) and watched.was_running:
            self.took.append(self.timing.clock() - watched.since)
        for settle in watched.settle:
            settle(outcome)

    def usual(self) -> float:
        """Seconds that a job takes, as far as is known by now."""
        if self.took:
            return median(self.took)
        now = self.timing.clock()
        return now - min((one.since for one in self.jobs.values()), default=now)

    def unseen(self) -> Iterator[Watched]:
        """Those of which nothing was heard for a while, the longest silent first."""
        before = self.timing.clock() - self.timing.unheard
        silent = [one for one in self.jobs.values() if one.seen_at <= before]
        yield from sorted(silent, key=lambda one: one.seen_at)[:ASKED_PER_SWEEP]


def watch(operations: Operations, waiting: Waiting) -> Flow[None]:
    """Until nobody waits for anything. Errors of a job go to those who wait for it."""
    while waiting.jobs:
        pages, requested = 1, 0.0
        try:
            pages = yield from _sweep(operations, waiting)
        except ReframeError as error:
            requested = retry.requested_pause(error) or 0.0
        for watched in list(waiting.unseen()):
            yield from _ask(operations, waiting, watched)
        for watched in list(waiting.jobs.values()):
            if waiting.timing.clock() - watched.since >= waiting.timing.longest_wait:
                late = timed_out(watched.job.id, watched.job, waiting.timing.longest_wait)
                waiting.settle(watched, late)
        if waiting.jobs:
            yield Pause(max(waiting.timing.poll_pause(waiting.usual()) * pages, requested))


def _sweep(operations: Operations, waiting: Waiting) -> Flow[int]:
    """Read the list as far back as somebody waits; how many pages that were."""
    known = [one.job.created_at for one in waiting.jobs.values() if one.job.created_at is not None]
    if not known:
        return 1
    after = iso(min(known) - timedelta(seconds=1))
    token: str | None = None
    tokens: set[str] = set()
    pages, started = 0, waiting.timing.clock()
    while pages < MOST_PAGES and waiting.jobs:
        pages += 1
        page = yield from repeat(
            operations.list_jobs(created_after=after, token=token), operations.timing
        )
        for job in page.jobs:
            watched = waiting.jobs.get(job.id)
            if watched is not None:
                yield from _heard(operations, waiting, watched, job)
        token = next_token(page, tokens)
        unseen = sum(one.seen_at < started for one in waiting.jobs.values())
        if token is None or unseen <= ASKED_PER_SWEEP:
            break  # the last few may be old: they are asked for by their ids
    return pages


def _heard(operations: Operations, waiting: Waiting, watched: Watched, job: Job) -> Flow[None]:
    watched.seen_at = waiting.timing.clock()
    if job.is_success and not job.asset_ids:
        # A list may be abridged, a job's own record is not.
        yield from _ask(operations, waiting, watched)
        return
    yield from _told(waiting, watched, job)


def _ask(operations: Operations, waiting: Waiting, watched: Watched) -> Flow[None]:
    watched.seen_at = waiting.timing.clock()
    try:
        job = yield from repeat(operations.get_job(watched.job.id), operations.timing)
    except ReframeError as error:
        new = waiting.timing.clock() - watched.since < waiting.timing.listed_within
        if not (retry.is_passing(error) or (new and isinstance(error, NotFoundError))):
            error.job = watched.job
            waiting.settle(watched, error)
        return
    yield from _told(waiting, watched, job)


def _told(waiting: Waiting, watched: Watched, job: Job) -> Flow[None]:
    changed = (job.status, job.progress) != (watched.job.status, watched.job.progress)
    watched.job = job
    watched.was_running |= not job.is_done
    if changed and watched.on_update is not None:
        yield Call(watched.on_update, (job,))
    if job.is_done and job.id in waiting.jobs:
        waiting.settle(watched, job)
