"""The pipeline of one item: the client's, with the steps overridden that a batch shares.

No I/O of its own: uploads wait for those of the same clip, submits for a slot and the budget, jobs
are watched together, the list is read once for all, and downloads wait for their turn.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from scenario_reframe.api import retry
from scenario_reframe.api.sanitize import printable
from scenario_reframe.errors import (
    ConnectionFailedError,
    DownloadError,
    LedgerBusyError,
    RateLimitedError,
    ReframeError,
    UnexpectedResponseError,
)
from scenario_reframe.flow.steps import Blocking, Call, Flow, Pause
from scenario_reframe.job_matching import LookUpResult
from scenario_reframe.ledger.interface import Entry, Ledger, NoSlotError
from scenario_reframe.models import Asset, Job, ReframeResult
from scenario_reframe.pipeline import Pipeline, job_of
from scenario_reframe.polling import UpdateCallback, require_success
from scenario_reframe.recovery import uncertain_error
from scenario_reframe.run_state import Options, Run
from scenario_reframe.video import VideoAsset

from .items import BatchEvent, EventKind
from .planning import ItemPlan
from .submit_slots import Slots

_LOG = logging.getLogger("scenario_reframe")

DOWNLOADS = 4
"""Jobs whose results are downloaded side by side."""
_ESTIMATES = 4


@define
class BatchState:
    """What the items of one run share.

    `run`: the id of its row in the ledger. `started`: when it began, in seconds of `Timing.clock`.
    `unknown_jobs`: recorded jobs that the server does not know for this key; they hold no slot.
    `look_up`: read the list of jobs, once for all who ask. `watch_others`: watch the jobs of other
    processes, which hold slots. `stop_starting`: start no more items.
    """

    ledger: Ledger
    slots: Slots
    budget: float | None
    wait: Callable[[Job, UpdateCallback | None], Awaitable[Job]]
    look_up: Callable[[datetime], Awaitable[Mapping[str, Job]]]
    watch_others: Callable[[Sequence[str]], None]
    emit: Callable[[BatchEvent], Awaitable[None]]
    stop_starting: Callable[[ReframeError], None]
    resubmit_after: float | None
    started: float
    run: int = 0
    unknown_jobs: set[str] = field(factory=set)
    are_others_reported: bool = False
    downloads: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(DOWNLOADS))
    uploading: defaultdict[Any, asyncio.Lock] = field(factory=lambda: defaultdict(asyncio.Lock))
    uploaded: dict[Any, str] = field(factory=dict)


@define(kw_only=True)
class ItemPipeline(Pipeline):
    """The pipeline of one item. `on_job_known`: called once its job is known."""

    shared: BatchState
    plan: ItemPlan
    on_job_known: Callable[[], None]
    job: Job | None = None
    taken_up: bool = False
    _run: Run | None = None
    _holds_slot: bool = False

    def run_item(self) -> Flow[ReframeResult]:
        """Run the whole pipeline, or collect the result of an earlier run."""
        options = Options(
            to=self.plan.output,
            on_update=self._updated,
            resubmit_after=self.shared.resubmit_after,
            waits_to_resubmit=True,
        )
        run = self._run = yield from self.begin(self.plan.item.video, self.plan.body, options)
        run.batch = self.shared.run
        run.is_repeatable = True
        entry = yield from self._claim_when_free(run)
        if entry is None:
            return (yield from self.run_and_release(run, self.result(run)))
        self.taken_up = True
        self.on_job_known()
        files = yield from self.files_of(entry, options)
        return ReframeResult(job=job_of(entry), assets=(), files=tuple(files))

    def error_of(self, fault: Exception) -> ReframeError:
        """The item's error for anything that is not one of the package's own errors."""
        job = getattr(fault, "job", None) or self.job
        where = f"{self.plan.output}: "
        if isinstance(fault, OSError):
            error: ReframeError = DownloadError(f"{where}{fault.strerror or fault}")
        else:
            text = f"{type(fault).__name__}: {printable(str(fault), 200)}"
            _LOG.error("%s%s", where, text, exc_info=fault)
            error = ReframeError(
                f"{where}{text}. This is a fault of scenario-reframe: "
                "please report it, with the traceback in its log"
            )
        if job is None and self._run is not None and self._run.has_open_post:
            error = uncertain_error(self._run.first_open, LookUpResult(), error)
        error.job, error.__cause__ = job, fault
        return error

    def _claim_when_free(self, run: Run) -> Flow[Entry | None]:
        """Claim the item's entry, waiting for the lease of a process that was killed."""
        while True:
            try:
                return (yield from self.claim(run))
            except LedgerBusyError:
                if self.timing.clock() - self.shared.started >= self.timing.longest_busy:
                    raise
            yield Pause(self.timing.busy_pause)

    def ensure_uploaded(self, run: Run) -> Flow[str]:
        """Upload the item's clip, once for all items that use it."""
        yield Blocking(partial(self.shared.ledger.check_budget, self.shared.run))
        if isinstance(run.source, VideoAsset):
            return run.source.asset_id
        lock = self.shared.uploading[run.content]
        yield Call(lock.acquire, ())
        try:
            known = self.shared.uploaded.get(run.content)
            if known is None:
                if (
                    yield Blocking(partial(self.shared.ledger.asset_of, run.content or ""))
                ) is None:
                    yield from self._emit("uploading")
                known = yield from super().ensure_uploaded(run)
                self.shared.uploaded[run.content] = known
            return known
        finally:
            lock.release()

    def forget_upload(self, run: Run) -> Flow[bool]:
        """Forget the clip's asset, which the server no longer has."""
        is_forgotten = self.shared.uploaded.pop(run.content, None) is not None
        return (yield from super().forget_upload(run)) or is_forgotten

    def submit(self, run: Run) -> Flow[Job]:
        """Submit when a slot is free and the budget allows it."""
        if self.shared.budget is not None:
            run.conditions = evolve(run.conditions, price=(yield from self._price_before(run)))
        slots = self.shared.slots
        while True:
            yield from self._until_settled(run)
            yield Call(slots.acquire, ())
            try:
                job = yield from self._submit_in_slot(run)
            except (RateLimitedError, NoSlotError) as error:
                yield from self._refused(error)
            except BaseException:
                slots.release()
                raise
            else:
                self.job = job
                slots.accepted()
                self._holds_slot = True
                yield from self._emit("submitted", job)
                return job

    def _submit_in_slot(self, run: Run) -> Flow[Job]:
        """Submit under the account's limit of jobs and the budget. Raises NoSlotError."""
        shared = self.shared.slots.account_limit + len(self.shared.unknown_jobs)
        run.conditions = evolve(run.conditions, slots=shared)
        if run.claim is not None and not run.has_open_post:
            yield Blocking(partial(self.shared.ledger.may_post, run.claim, run.conditions))
        elif self.shared.budget is not None and run.conditions.price is None:
            # It was sent in a run without a budget: look it up even if this budget is used up.
            job = yield from self.recover(run)
            if job is not None:
                return job
            run.conditions = evolve(run.conditions, price=(yield from self._price(run)))
        return (yield from super().submit(run))

    def _until_settled(self, run: Run) -> Flow[None]:
        """After a 429, wait until a look-up is conclusive; meanwhile the item holds no slot."""
        refused = [post.ended or 0.0 for post in run.posts if post.outcome == "deferred"]
        if refused and not run.must_repeat:
            left = max(refused) + self.timing.refusal_settled - self.timing.clock()
            if left > 0.0:
                yield Pause(left)

    def _refused(self, error: RateLimitedError | NoSlotError) -> Flow[None]:
        """Release the slot of a refused submit, and report the limit."""
        self.shared.slots.refused(error)
        if isinstance(error, NoSlotError):
            self.shared.watch_others(error.jobs)
            if not self.shared.are_others_reported:
                self.shared.are_others_reported = True
                detail = f"{len(error.jobs)} jobs in the ledger still run and leave no slot"
                yield from self._emit("limited", detail=detail)
        else:
            now = self.shared.slots.limit.current
            yield from self._emit("limited", detail=f"{now} jobs side by side")

    def _price_before(self, run: Run) -> Flow[float | None]:
        """The price: estimated, or as recorded if a POST was sent (perhaps no other is needed)."""
        if run.claim is not None and run.has_open_post:
            return run.claim.entry.cost
        return (yield from self._price(run))

    def _price(self, run: Run) -> Flow[float]:
        """The estimated price; tried again only if it was not sent, or answered with 429."""
        failed = 0
        while True:
            try:
                return (yield from self.price(run)).creative_units
            except UnexpectedResponseError as error:
                if error.job is not None:  # the server made a paid job instead of an estimate
                    self.shared.stop_starting(error)
                raise
            except (RateLimitedError, ConnectionFailedError) as error:
                failed += 1
                was_sent = isinstance(error, ConnectionFailedError) and error.sent
                if was_sent or failed == _ESTIMATES:
                    raise
                pause = max(self.timing.back_off(failed), retry.requested_pause(error) or 0.0)
            yield Pause(min(pause, self.timing.longest_requested_pause))

    def look_up(self, created_after: datetime) -> Flow[Mapping[str, Job]]:
        """The jobs since then, from one reading of the list for all items that ask."""
        jobs: Mapping[str, Job] = yield Call(self.shared.look_up, (created_after,))
        return jobs

    def wait(
        self,
        job: Job | str,
        timeout: float | None,  # noqa: ARG002 - `watch` has its own
        on_update: UpdateCallback | None,
        known: Job | None,  # noqa: ARG002
    ) -> Flow[Job]:
        """Wait with all other items; the slot is released when the job is done."""
        job = self.job = job if isinstance(job, Job) else Job(id=job, status="unknown")
        if not self._holds_slot:
            self.taken_up = True
            self.shared.slots.occupy()
            yield from self._emit("taken-up", job)
        self.on_job_known()
        try:
            done = self.job = yield Call(self.shared.wait, (job, on_update))
        finally:
            self.shared.slots.release()
        return require_success(done if done.cost is not None else evolve(done, cost=job.cost))

    def download(
        self,
        what: Job | Asset | str,
        options: Options,
        *,
        keep_whole: bool = False,
        assets: Sequence[Asset] = (),
    ) -> Flow[list[Path]]:
        """Download when it is this item's turn."""
        yield Call(self.shared.downloads.acquire, ())
        try:
            yield from self._emit("downloading", what if isinstance(what, Job) else None)
            return (
                yield from super().download(what, options, keep_whole=keep_whole, assets=assets)
            )
        finally:
            self.shared.downloads.release()

    async def _updated(self, job: Job) -> None:
        await self.shared.emit(BatchEvent(kind="updated", item=self.plan.item, job=job))

    def _emit(self, kind: EventKind, job: Job | None = None, detail: str = "") -> Flow[None]:
        event = BatchEvent(kind=kind, item=self.plan.item, job=job, detail=detail)
        yield Call(self.shared.emit, (event,))
