"""The job of a submission whose reply was lost: look-up, and whether to resubmit. No I/O."""

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
from .api.operations import Operations, Paging
from .errors import ReframeError, SubmissionUncertainError, UnexpectedResponseError
from .flow.steps import Blocking, Flow, Pause
from .job_matching import LookUpResult, classify_all, is_custom
from .ledger.interface import Ledger, TwinOpenError
from .models import Job, Submission
from .run_state import Run, is_open
from .second_post import Reading, may_post_again
from .secret import Secret
from .timing import Timing

_LOG = logging.getLogger("scenario_reframe")

T = TypeVar("T")

WINDOW = timedelta(days=1)
"""How far before a POST the list is read, so that wrong clocks do not hide its job."""

MOST_PAGES = 1000
_MOST_READ_BY_ID = 1000


@define
class KnownJobs:
    """What this process knows about one account's jobs.

    `owners`: the request token of each job id. `read`: jobs read by id because the list did not
    show their seed. `twins`: the request token that holds each twin key (see `twin_key`).
    """

    owners: dict[str, str] = field(factory=dict)
    read: dict[str, Job] = field(factory=dict)
    twins: dict[str, str] = field(factory=dict)

    def reserve_twin(self, twin: str, token: str) -> None:
        """Reserve a twin key for a request. Raises TwinOpenError if another request holds it."""
        if self.twins.setdefault(twin, token) != token:
            raise TwinOpenError(
                "another call is submitting the same settings with the same seed, so the two jobs "
                "would be indistinguishable: nothing was submitted. Wait, or change the seed",
                is_in_process=True,
            )

    def release_twins(self, token: str) -> None:
        """Release what this request reserved."""
        for twin, holder in list(self.twins.items()):  # other threads may change it meanwhile
            if holder == token:
                self.twins.pop(twin, None)

    def owned_by_others(self, token: str, job_ids: Iterable[str]) -> frozenset[str]:
        """Which of these jobs belong to other requests."""
        return frozenset(one for one in job_ids if self.owners.get(one, token) != token)

    def owned_by(self, token: str, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """Which of these jobs are known to be this request's."""
        return tuple(job for job in jobs if self.owners.get(job.id) == token)


_KNOWN: WeakValueDictionary[tuple[str | Secret[str] | None, ...], KnownJobs] = WeakValueDictionary()


def known_of(base_url: str, project_id: str | None, api_key: Secret[str]) -> KnownJobs:
    """The knowledge that all clients of this process with the same account share."""
    return _KNOWN.setdefault((base_url, project_id, api_key), KnownJobs())


def release_twins_of_parent() -> None:
    """In a forked child: the submissions on their way are the parent's."""
    for known in _KNOWN.values():
        known.twins.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=release_twins_of_parent)


def read_jobs(operations: Operations, created_after: datetime) -> Flow[dict[str, Job]]:
    """The custom jobs since then, by id, from the list read to its end.

    Raises ReframeError if the end cannot be reached: then nothing may be concluded.
    """
    timing = operations.timing
    started = timing.clock()
    jobs: dict[str, Job] = {}
    token: str | None = None
    paging = Paging()
    for _ in range(MOST_PAGES):
        page = yield from repeat(operations.list_jobs(iso(created_after), token), timing)
        if page.unnamed:  # any of them may be the job that is looked for
            raise UnexpectedResponseError("the server's list has a job whose id cannot be read")
        jobs.update((job.id, job) for job in page.jobs if is_custom(job))
        token = paging.next_token(page)
        if token is None:
            return jobs
        if timing.clock() - started > timing.longest_reading:
            break
    raise UnexpectedResponseError("the server's list of jobs is too long to read to its end")


def window_start(operations: Operations, submission: Submission) -> Flow[datetime]:
    """The time from which to read the list for a submission's job, by the server's clock.

    By ours if that is earlier: a proxy's `Date` may be of the future, and hide the job.
    """
    posted = submission.server_time
    if posted is None:
        if operations.server.last is None:
            yield from repeat(operations.list_jobs(size=1), operations.timing)
        since = max(datetime.now(UTC) - submission.started_at, timedelta())
        posted = (operations.server.last or datetime.now(UTC)) - since
    return min(posted, submission.started_at) - WINDOW


def with_hidden_seeds(
    operations: Operations, known: KnownJobs, jobs: Mapping[str, Job], others: Collection[str]
) -> Flow[list[Job]]:
    """The jobs that are not `others`; each whose seed the list hides is read by id, once."""
    mine = [job for job in jobs.values() if job.id not in others]
    hidden = [job for job in mine if "seed" not in job.input and job.id not in known.read]
    for job in hidden[:_MOST_READ_BY_ID]:
        with suppress(ReframeError):  # such a job stays a candidate
            read = yield from repeat(operations.get_job(job.id), operations.timing)
            known.read[job.id] = read
    return [known.read.get(job.id, job) for job in mine]


def uncertain_error(
    submission: Submission, found: LookUpResult, fault: ReframeError | None
) -> SubmissionUncertainError:
    """The error for a submit that may or may not have made a paid job."""
    candidates = found.matches or found.candidates
    named = ", ".join(job.id for job in candidates[:5])
    listed = (
        f"{len(candidates)} jobs could be it: {named}" if candidates else "no job of it is listed"
    )
    why = fault or "its POST was cut off, or got no clear answer"
    error = SubmissionUncertainError(
        f"it is not known whether the submit of seed {submission.seed} made a paid job: {why}. "
        f"{listed}. Do not submit again blindly: client.find_job(error.submission) looks again",
        submission=submission,
        candidates=candidates,
    )
    error.job = fault.job if fault is not None else None
    return error


@define
class Recovery:
    """What the flows of one client share, and the steps from a lost submit to its job.

    `look_up` is a hook: a batch reads the list once for all lost submissions.
    """

    operations: Operations
    ledger: Ledger | None = None
    known: KnownJobs = field(factory=KnownJobs)

    @property
    def timing(self) -> Timing:
        """The pauses and deadlines of its flows."""
        return self.operations.timing

    def look_up(self, created_after: datetime) -> Flow[Mapping[str, Job]]:
        """The account's custom jobs since then, by id; the list is read to its end, from now on."""
        return (yield from read_jobs(self.operations, created_after))

    def find(self, submission: Submission) -> Flow[LookUpResult]:
        """The matches and candidates on the list now. Raises ReframeError if it cannot be read."""
        after = yield from window_start(self.operations, submission)
        jobs = yield from self.look_up(after)
        others = self.known.owned_by_others(submission.token, jobs)
        if self.ledger is not None:
            others |= yield Blocking(
                partial(self.ledger.owned_by_others, submission.token, [*jobs])
            )
        complete = yield from with_hidden_seeds(self.operations, self.known, jobs, others)
        return classify_all(complete, submission)

    def recover(self, run: Run) -> Flow[Job | None]:
        """The job that an earlier POST made; None if the request may be submitted again.

        Raises SubmissionUncertainError if neither is certain after the look-ups of `Timing`.
        """
        for number in count(1):
            submission, found, fault = run.first_open, LookUpResult(), run.fault
            began = self.timing.clock()
            try:
                found = yield from self.find(submission)
            except ReframeError as error:
                fault = error  # a list that was not read to its end proves nothing
                if not retry.is_transient(error):
                    raise uncertain_error(submission, found, error) from error
            else:
                if len(found.matches) == 1 and (yield from self.adopt(run, found.matches[0])):
                    return found.matches[0]
                reading = Reading(found, began, self.operations.server.last)
                after = run.options.resubmit_after
                if may_post_again(run.posts, reading, after, self.timing):
                    return None
            left = self._look_up_until(run) - began
            if left <= 0.0 or len(found.matches) > 1:
                raise uncertain_error(submission, found, fault) from fault
            pauses = self.timing.look_ups
            yield Pause(min(pauses[min(number, len(pauses) - 1)], left))
        raise AssertionError

    def _look_up_until(self, run: Run) -> float:
        """Until when, by `Timing.clock`, the look-up of a job that is not listed is repeated."""
        seconds = sum(self.timing.look_ups)
        if any(post.outcome == "deferred" for post in run.posts):
            seconds = max(seconds, self.timing.refusal_settled)
        if run.options.waits_to_resubmit:
            seconds = max(seconds, run.options.resubmit_after or 0.0)
        return seconds + max(post.ended or 0.0 for post in run.posts if is_open(post))

    def adopt(self, run: Run, job: Job) -> Flow[bool]:
        """Record a job that was found; False if it turns out to be another request's."""
        is_ours: bool = yield from self.record(partial(self.record_job, run.token, job))
        if is_ours:
            _LOG.info("job %s found by its settings", job.id)
        return is_ours

    def record_job(self, token: str, job: Job) -> bool:
        """Record which request a job belongs to; False if it is another request's."""
        if self.known.owners.setdefault(job.id, token) != token:
            return False
        return self.ledger is None or self.ledger.record_job(token, job)

    def record(self, write: Callable[[], T]) -> Flow[T]:
        """Run `write`, off the event loop if there is a ledger."""
        if self.ledger is None:
            return write()
        written: T = yield Blocking(write)
        return written

    def record_even_if_stopped(self, write: Callable[[], T]) -> Flow[T]:
        """The same; if Ctrl-C or a cancellation interrupts it, `write` runs here and now."""
        try:
            return (yield from self.record(write))
        except BaseException:
            write()
            raise

    def record_or_warn(self, write: Callable[[], None]) -> Flow[None]:
        """The same; a failure is only logged, since a paid job must not be lost over it."""
        try:
            yield from self.record(write)
        except (ReframeError, OSError) as fault:  # OSError: a result that was removed just now
            _LOG.warning("the ledger could not be written: %s", fault)
