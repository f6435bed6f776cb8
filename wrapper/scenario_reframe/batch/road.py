"""One item's way: the client's road, with what a batch shares at its four narrow places.

No I/O of its own: uploads wait for those of the same clip, submits for a slot and the budget, jobs
are watched together, and downloads wait for their turn.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from scenario_reframe import retry
from scenario_reframe.downloading import Destination
from scenario_reframe.errors import (
    ConnectionFailedError,
    LedgerBusyError,
    NotFoundError,
    RateLimitedError,
    ReframeError,
    SubmissionUncertainError,
    UnexpectedResponseError,
)
from scenario_reframe.finishing import Rest
from scenario_reframe.flow import Do, Flow, Pause, ProgressCallback, Tell, send
from scenario_reframe.models import Asset, Job, ReframeResult, Submission
from scenario_reframe.polling import UpdateCallback, outcome
from scenario_reframe.recording import Entry, NoSlotError, Record, Wanted
from scenario_reframe.reframing import Road, check_target
from scenario_reframe.submitting import Found, seconds_since, uncertain
from scenario_reframe.video import Video, VideoAsset, resolve

from .budgeting import Budget
from .items import BatchEvent
from .planning import Plan
from .slots import Slots

DOWNLOADS = 4
"""Jobs whose results are downloaded side by side."""
_FAILED_LOOKS = 10
_ESTIMATES = 4


@define
class Shared:
    """What the items of one run share.

    `started`: when the run began. `gone`: jobs that are on record and that the server does not know
    for this key: they hold no slot. `posting`: how many wait for the answer to a POST, `answered`:
    one does so no more. `mind`: watch other processes' jobs, which hold slots. `refuse`: let no
    more items set out.
    """

    slots: Slots
    budget: Budget
    wait: Callable[[Job, UpdateCallback | None], Awaitable[Job]]
    mind: Callable[[Sequence[str]], None]
    tell: Callable[[BatchEvent], Awaitable[None]]
    refuse: Callable[[ReframeError], None]
    resubmit_after: float | None
    started: float
    gone: set[str] = field(factory=set)
    posting: int = 0
    answered: asyncio.Event = field(factory=asyncio.Event)
    others_told: bool = False
    downloads: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(DOWNLOADS))
    uploading: defaultdict[Any, asyncio.Lock] = field(factory=lambda: defaultdict(asyncio.Lock))
    uploaded: dict[Any, str] = field(factory=dict)


@define(kw_only=True)
class ItemRoad(Road):
    """The road of one item.

    `is_known`: whether its output is on record. `entered` is called when its job is known: another
    may set out.
    """

    shared: Shared
    plan: Plan
    is_known: bool
    entered: Callable[[], None]
    job: Job | None = None
    taken_up: bool = False
    _holds_slot: bool = False
    _counted: float = 0.0
    _clip: Any = None

    def result(self) -> Flow[ReframeResult]:
        """All of it; what an earlier run has finished is only looked at."""
        body, output = self.plan.body, self.plan.output
        if not self.is_known:
            self.shared.budget.check()
        source = yield Do(partial(resolve, self.plan.item.video))
        wanted = yield from self._wanted("", body, source, output)
        taken = yield from self._taken(wanted)
        if isinstance(taken, Entry):
            return (yield from self._made(taken))
        if taken.entry is not None and is_counted(taken.entry):
            self._counted = taken.entry.cost or 0.0
        rest = Rest(self, self.timing.clock(), None, output, False, self._updated, None)  # noqa: FBT003
        flow = rest.of(taken, body, source, self.shared.resubmit_after)
        return (yield from self._held(taken, flow))

    def _taken(self, wanted: Wanted) -> Flow[Record | Entry]:
        """The item, once nobody else is at it. A process that was killed holds it for a while."""
        check = partial(check_target, self.plan.output, overwrite=False)
        while True:
            try:
                taken: Record | Entry = yield Do(partial(self.records.take_once, wanted, check))
            except LedgerBusyError:
                if self.timing.clock() - self.shared.started >= self.timing.longest_busy:
                    raise
            else:
                return taken
            yield Pause(self.timing.busy_pause)

    def _made(self, entry: Entry) -> Flow[ReframeResult]:
        """An earlier run's result; downloaded again if it is not there any more."""
        self.taken_up = True
        self.entered()
        files = [Path(file) for file in entry.files]
        job = Job(
            id=entry.job_id or "", status="success", asset_ids=entry.asset_ids, cost=entry.cost
        )
        if not files or not (yield Do(lambda: all(file.exists() for file in files))):
            files = yield from self.download(
                job, self.plan.output, overwrite=False, on_progress=None, keep_whole=True
            )
        return ReframeResult(job=job, assets=(), files=tuple(files))

    def wait(
        self,
        job: Job | str,
        timeout: float | None,  # noqa: ARG002 - the watch has its own
        on_update: UpdateCallback | None,
        told: Job | None = None,  # noqa: ARG002
    ) -> Flow[Job]:
        """Wait among all others; the slot is given back when the job is done."""
        job = self.job = job if isinstance(job, Job) else Job(id=job, status="unknown")
        if not self._holds_slot:
            self.taken_up = True
            self.shared.slots.hold()
            self.shared.budget.settle(self._counted, job.cost)
            yield from self._tell("taken-up", job)
        self.entered()
        try:
            done = self.job = yield Tell(self.shared.wait, (job, on_update))
            yield from self.note(partial(self.records.seen, done))
        finally:
            self.shared.slots.leave()
        return outcome(done if done.cost is not None else evolve(done, cost=job.cost))

    def download(
        self,
        what: Job | Asset | str,
        to: Destination,
        *,
        overwrite: bool,
        on_progress: ProgressCallback | None,
        keep_whole: bool = False,
        assets: Sequence[Asset] = (),
    ) -> Flow[list[Path]]:
        """Download, in turn."""
        yield Tell(self.shared.downloads.acquire, ())
        try:
            yield from self._tell("downloading", what if isinstance(what, Job) else None)
            return (
                yield from super().download(
                    what,
                    to,
                    overwrite=overwrite,
                    on_progress=on_progress,
                    keep_whole=keep_whole,
                    assets=assets,
                )
            )
        finally:
            self.shared.downloads.release()

    def _bring(
        self, source: Video, content: str | None, on_progress: ProgressCallback | None
    ) -> Flow[str]:
        self.shared.budget.check()
        if isinstance(source, VideoAsset):
            return source.asset_id
        self._clip = content or source
        lock = self.shared.uploading[self._clip]
        yield Tell(lock.acquire, ())
        try:
            known = self.shared.uploaded.get(self._clip)
            if known is None:
                if not content or (yield Do(partial(self.records.asset_of, content))) is None:
                    yield from self._tell("uploading")
                known = yield from super()._bring(source, content, on_progress)
                self.shared.uploaded[self._clip] = known
            return known
        finally:
            lock.release()

    def _pay(
        self,
        record: Record,
        body: Mapping[str, Any],
        content: str | None,
        slots: int | None = None,  # noqa: ARG002 - as many as the limit says by then
    ) -> Flow[Job]:
        price = yield from self._put_by(record, body)
        try:
            job = yield from self._bought(record, body, content)
        except SubmissionUncertainError:
            raise  # it may have been paid
        except BaseException:
            self.shared.budget.give_back(price)
            raise
        self.shared.budget.settle(price, job.cost)
        yield from self._tell("submitted", job)
        return job

    def _put_by(self, record: Record, body: Mapping[str, Any]) -> Flow[float]:
        """Set the job's price aside, if there is a budget. Raises BudgetSpentError."""
        if self.shared.budget.most is None:
            return 0.0
        entry = record.entry
        if entry is not None and is_counted(entry) and entry.cost is not None:
            return entry.cost
        price = yield from self._price(body)
        self.shared.budget.put_by(price)
        yield Do(partial(record.priced, price))
        return price

    def _price(self, body: Mapping[str, Any]) -> Flow[float]:
        """Asked again only if nothing was answered to it, or that it came too soon."""
        failed = 0
        while True:
            try:
                return (yield from send(self.operations.estimate(body))).creative_units
            except UnexpectedResponseError as error:
                if error.job is not None:  # the server sells instead of estimating
                    self.shared.budget.settle(0.0, error.job.cost)
                    self.shared.refuse(error)
                raise
            except (RateLimitedError, ConnectionFailedError) as error:
                failed += 1
                was_sent = isinstance(error, ConnectionFailedError) and error.sent
                if was_sent or failed == _ESTIMATES:
                    raise
                pause = max(self.timing.back_off(failed), retry.requested_pause(error) or 0.0)
            yield Pause(min(pause, self.timing.longest_requested_pause))

    def _bought(self, record: Record, body: Mapping[str, Any], content: str | None) -> Flow[Job]:
        """Submit when a slot is free. What was put off is looked for before it goes again."""
        slots = self.shared.slots
        put_off: Submission | None = None
        while True:
            yield Tell(slots.enter, ())
            started = datetime.now(UTC)
            try:
                job = (yield from self.listed(record, put_off)) if put_off else None
                if job is None:
                    job = yield from self._certain(record, body, content)
            except (RateLimitedError, NoSlotError) as error:
                if isinstance(error, RateLimitedError) and put_off is None:
                    project = self.operations.project_id
                    put_off = Submission(
                        seed=body["seed"], body=body, started_at=started, project_id=project
                    )
                yield from self._refused(error)
            except BaseException:
                slots.leave()
                raise
            else:
                slots.taken()
                self._holds_slot = True
                return job

    def _refused(self, error: RateLimitedError | NoSlotError) -> Flow[None]:
        self.shared.slots.refused(error)
        if isinstance(error, NoSlotError):
            self.shared.mind(error.jobs)
            if not self.shared.others_told:
                self.shared.others_told = True
                detail = f"{len(error.jobs)} jobs on record still run, and leave no slot"
                yield from self._tell("limited", detail=detail)
        else:
            now = self.shared.slots.limit.now
            yield from self._tell("limited", detail=f"{now} jobs side by side")

    def _certain(self, record: Record, body: Mapping[str, Any], content: str | None) -> Flow[Job]:
        """Submit; with the caller's leave again, until it is known what became of it."""
        after = self.shared.resubmit_after
        while True:
            slots = self.shared.slots.shared + len(self.shared.gone)
            self.shared.posting += 1
            try:
                return (yield from super()._pay(record, body, content, slots))
            except NotFoundError:
                self.shared.uploaded.pop(self._clip, None)
                raise
            except SubmissionUncertainError as error:
                if after is None:
                    raise
                settled_for = partial(self._settled_for, error.submission, self.timing.clock())
                lost = error.submission
            finally:
                self.shared.posting -= 1
                self.shared.answered.set()
            job = yield from self.lost(record, lost, settled_for, after)
            if job is not None:
                return job

    def lost(
        self,
        record: Record,
        submission: Submission,
        settled_for: Callable[[], float],
        resubmit_after: float | None,
    ) -> Flow[Job | None]:
        """With the caller's leave to submit again, look until that may be done."""
        while True:
            left = 0.0 if resubmit_after is None else resubmit_after - settled_for()
            try:
                return (yield from super().lost(record, submission, settled_for, resubmit_after))
            except SubmissionUncertainError:
                if left <= 0.0:
                    raise
            yield Pause(min(max(left, 0.1), self.timing.look_up_pause))

    def _look(self, submission: Submission) -> Flow[Found]:
        """Read the list, however often that fails. Raises SubmissionUncertainError in the end."""
        failed = 0
        while True:
            try:
                return (yield from super()._look(submission))
            except ReframeError as error:
                failed += 1
                if failed == _FAILED_LOOKS or not retry.is_passing(error):
                    raise uncertain(submission, Found(), error) from error
            yield Pause(self.timing.look_up_pause)

    def _settled_for(self, submission: Submission, ended: float) -> float:
        """Seconds since a POST, which had ended by then, can last have been accepted."""
        return min(seconds_since(submission) - self.patience, self.timing.clock() - ended)

    async def _updated(self, job: Job) -> None:
        await self.shared.tell(BatchEvent(kind="updated", item=self.plan.item, job=job))

    def _tell(self, kind: str, job: Job | None = None, detail: str = "") -> Flow[None]:
        event = BatchEvent(kind=kind, item=self.plan.item, job=job, detail=detail)
        yield Tell(self.shared.tell, (event,))


def is_counted(entry: Entry) -> bool:
    """Whether its cost counts as spent when a run begins: it is paid for, or may be."""
    return entry.job_id is not None or entry.state in {"intent", "uncertain"}
