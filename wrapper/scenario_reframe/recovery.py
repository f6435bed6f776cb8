"""The job of a submission whose reply was lost: look-up, and may it be sent again. No I/O."""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TypeVar
from weakref import WeakValueDictionary

from attrs import define, field

from .api import retry
from .api.calling import repeat
from .api.json_values import iso
from .api.operations import Operations, next_token
from .errors import ReframeError, SubmissionUncertainError, UnexpectedResponseError
from .flow.steps import Blocking, Flow, Pause
from .ledger.interface import Ledger, TwinOpenError
from .matching import Found, is_custom, sort_out
from .models import Job, Submission
from .resubmitting import Reading, may_post_again
from .run import Run, is_open
from .timing import Timing

_LOG = logging.getLogger("scenario_reframe")

T = TypeVar("T")

WINDOW = timedelta(days=1)
"""How far before a POST the list is read: whatever the clocks say, its job is in there."""

MOST_PAGES = 1000
_MOST_READ_BY_ID = 1000


@define
class KnownJobs:
    """What one client's flows know of jobs: which requests they belong to, and their settings.

    `owners`: the token of each job's request. `read`: jobs that were read by id since the list did
    not show their seed. `twins`: the token of each submission that has no equal on its way.
    """

    owners: dict[str, str] = field(factory=dict)
    read: dict[str, Job] = field(factory=dict)
    twins: dict[str, str] = field(factory=dict)

    def take_twin(self, twin: str, token: str) -> None:
        """Hold the place of all equal submissions. Raises TwinOpenError if another does."""
        if self.twins.setdefault(twin, token) != token:
            raise TwinOpenError(
                "another call submits the same with the same seed: its job could not be told from "
                "this one's. Nothing was submitted",
                is_in_process=True,
            )

    def release_twins(self, token: str) -> None:
        """Let an equal submission go."""
        for twin, holder in list(self.twins.items()):  # other threads may change it meanwhile
            if holder == token:
                self.twins.pop(twin, None)

    def owned_by_others(self, token: str, job_ids: Iterable[str]) -> frozenset[str]:
        """Which of these jobs belong to other requests than this one."""
        return frozenset(one for one in job_ids if self.owners.get(one, token) != token)

    def own(self, token: str, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """Those of these jobs that are known to be this request's."""
        return tuple(job for job in jobs if self.owners.get(job.id) == token)


_KNOWN: WeakValueDictionary[tuple[str | None, ...], KnownJobs] = WeakValueDictionary()


def known_of(base_url: str, project_id: str | None, api_key: str) -> KnownJobs:
    """What all clients of this process know that have the same account."""
    return _KNOWN.setdefault((base_url, project_id, api_key), KnownJobs())


def forget_twins() -> None:
    """In a forked child: what is on its way is the parent's."""
    for known in _KNOWN.values():
        known.twins.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_twins)


def read_jobs(operations: Operations, created_after: datetime) -> Flow[dict[str, Job]]:
    """The custom jobs since then, by id; the list is read to its end.

    Raises ReframeError if it cannot be: then nothing is known.
    """
    timing = operations.timing
    started = timing.clock()
    jobs: dict[str, Job] = {}
    token: str | None = None
    tokens: set[str] = set()
    for _ in range(MOST_PAGES):
        page = yield from repeat(operations.list_jobs(iso(created_after), token), timing)
        jobs.update((job.id, job) for job in page.jobs if is_custom(job))
        token = next_token(page, tokens)
        if token is None:
            return jobs
        if timing.clock() - started > timing.longest_reading:
            break
    raise UnexpectedResponseError("the server's list of jobs is too long to be read to its end")


def window_of(operations: Operations, submission: Submission) -> Flow[datetime]:
    """From when on the list is to be read for a submission's job, by the server's clock."""
    if submission.server_time is not None:
        return submission.server_time - WINDOW
    if operations.server.last is None:
        yield from repeat(operations.list_jobs(size=1), operations.timing)
    since = max(datetime.now(UTC) - submission.started_at, timedelta())
    return (operations.server.last or datetime.now(UTC)) - since - WINDOW


def read_unseen(
    operations: Operations, known: KnownJobs, jobs: Mapping[str, Job], others: Collection[str]
) -> Flow[list[Job]]:
    """The jobs that are not others'. Those whose seed the list does not show are read by id."""
    mine = [job for job in jobs.values() if job.id not in others]
    unseen = [job for job in mine if "seed" not in job.input and job.id not in known.read]
    for job in unseen[:_MOST_READ_BY_ID]:
        with suppress(ReframeError):  # then it stays a candidate
            read = yield from repeat(operations.get_job(job.id), operations.timing)
            known.read[job.id] = read
    return [known.read.get(job.id, job) for job in mine]


def uncertain(
    submission: Submission, found: Found, fault: ReframeError | None
) -> SubmissionUncertainError:
    """The error for a submit of which it is not known whether it made a job."""
    candidates = found.matches or found.candidates
    named = ", ".join(job.id for job in candidates[:5])
    seen = (
        f"{len(candidates)} jobs could be it: {named}" if candidates else "no job of it is listed"
    )
    why = fault or "its POST was cut off, or got no clear answer"
    error = SubmissionUncertainError(
        f"it is not known whether the submit of seed {submission.seed} made a paid job: {why}. "
        f"{seen}. Do not submit again blindly: client.find_job(error.submission) looks again",
        submission=submission,
        candidates=candidates,
    )
    error.job = fault.job if fault is not None else None
    return error


@define
class Recovery:
    """What the flows of one client share; and the way from a lost submit to its job.

    `look_up` is a hook: a batch reads the list once for all submissions that are lost.
    """

    operations: Operations
    ledger: Ledger | None = None
    known: KnownJobs = field(factory=KnownJobs)

    @property
    def timing(self) -> Timing:
        """How its flows wait."""
        return self.operations.timing

    def look_up(self, created_after: datetime) -> Flow[Mapping[str, Job]]:
        """The account's custom jobs since then, by id, the list being read from now to its end."""
        return (yield from read_jobs(self.operations, created_after))

    def find(self, submission: Submission) -> Flow[Found]:
        """What the list of jobs says now of a submission. Raises ReframeError if it is unread."""
        after = yield from window_of(self.operations, submission)
        jobs = yield from self.look_up(after)
        others = self.known.owned_by_others(submission.token, jobs)
        if self.ledger is not None:
            others |= yield Blocking(
                partial(self.ledger.owned_by_others, submission.token, [*jobs])
            )
        unseen = yield from read_unseen(self.operations, self.known, jobs, others)
        return sort_out(unseen, submission)

    def recovered(self, run: Run) -> Flow[Job | None]:
        """The job of what was sent before, or None if it may be sent again.

        Raises SubmissionUncertainError if neither is known after a while.
        """
        for number in count(1):
            submission, found, fault = run.first_open, Found(), run.fault
            began = self.timing.clock()
            try:
                found = yield from self.find(submission)
            except ReframeError as error:
                fault = error  # an unread list proves nothing
                if not retry.is_passing(error):
                    raise uncertain(submission, found, error) from error
            else:
                if len(found.matches) == 1 and (yield from self.adopted(run, found.matches[0])):
                    return found.matches[0]
                reading = Reading(found, began, self.operations.server.last)
                after = run.options.resubmit_after
                if may_post_again(run.posts, reading, after, self.timing):
                    return None
            left = self._worth_looking(run) - began
            if left <= 0.0 or len(found.matches) > 1:
                raise uncertain(submission, found, fault) from fault
            pauses = self.timing.look_ups
            yield Pause(min(pauses[min(number, len(pauses) - 1)], left))
        raise AssertionError

    def _worth_looking(self, run: Run) -> float:
        """Until when, on the clock, a job that is not listed is looked for."""
        seconds = sum(self.timing.look_ups)
        if any(post.outcome == "deferred" for post in run.posts):
            seconds = max(seconds, self.timing.refusal_settled)
        if run.options.waits_to_resubmit:
            seconds = max(seconds, run.options.resubmit_after or 0.0)
        return seconds + max(post.ended or 0.0 for post in run.posts if is_open(post))

    def adopted(self, run: Run, job: Job) -> Flow[bool]:
        """Put a job that was found on record; False if it is another request's after all."""
        is_ours: bool = yield from self.record(partial(self.made, run.token, job))
        if is_ours:
            _LOG.info("job %s found by its settings", job.id)
        return is_ours

    def made(self, token: str, job: Job) -> bool:
        """Keep whose job it is; False if it is another request's."""
        if self.known.owners.setdefault(job.id, token) != token:
            return False
        return self.ledger is None or self.ledger.made(token, job)

    def record(self, write: Callable[[], T]) -> Flow[T]:
        """Write what is known, off the event loop where that touches the disk."""
        if self.ledger is None:
            return write()
        written: T = yield Blocking(write)
        return written

    def surely(self, write: Callable[[], T]) -> Flow[T]:
        """The same; and if the caller is stopped in its place, here and now."""
        try:
            return (yield from self.record(write))
        except BaseException:
            write()
            raise

    def note(self, write: Callable[[], None]) -> Flow[None]:
        """Put a fact on record; what is paid for is not given up because that fails."""
        try:
            yield from self.record(write)
        except ReframeError as fault:
            _LOG.warning("the ledger could not be written: %s", fault)
