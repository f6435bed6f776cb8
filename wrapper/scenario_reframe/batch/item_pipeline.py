"""One item's way: the client's pipeline, with what a batch shares at its narrow places.

No I/O of its own: uploads wait for those of the same clip, submits for a slot and the budget, jobs
are watched together, the list is read for all, and downloads wait for their turn.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from scenario_reframe.api import retry
from scenario_reframe.errors import (
    ConnectionFailedError,
    LedgerBusyError,
    RateLimitedError,
    ReframeError,
    UnexpectedResponseError,
)
from scenario_reframe.flow.steps import Blocking, Call, Flow, Pause
from scenario_reframe.ledger.interface import Entry, Ledger, NoSlotError
from scenario_reframe.models import Asset, Job, ReframeResult
from scenario_reframe.pipeline import Pipeline, job_of
from scenario_reframe.polling import UpdateCallback, outcome
from scenario_reframe.run import Options, Run
from scenario_reframe.video import VideoAsset

from .items import BatchEvent
from .planning import ItemPlan
from .slots import Slots

DOWNLOADS = 4
"""Jobs whose results are downloaded side by side."""
_ESTIMATES = 4


@define
class Shared:
    """What the items of one run share.

    `run`: its row in the ledger. `started`: when it began. `gone`: jobs that are on record and that
    the server does not know for this key: they hold no slot. `look_up`: the list of jobs, read once
    for all who ask. `mind`: watch other processes' jobs, which hold slots. `refuse`: let no more
    items set out.
    """

    ledger: Ledger
    slots: Slots
    budget: float | None
    wait: Callable[[Job, UpdateCallback | None], Awaitable[Job]]
    look_up: Callable[[datetime], Awaitable[Mapping[str, Job]]]
    mind: Callable[[Sequence[str]], None]
    emit: Callable[[BatchEvent], Awaitable[None]]
    refuse: Callable[[ReframeError], None]
    resubmit_after: float | None
    started: float
    run: int = 0
    gone: set[str] = field(factory=set)
    others_seen: bool = False
    downloads: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(DOWNLOADS))
    uploading: defaultdict[Any, asyncio.Lock] = field(factory=lambda: defaultdict(asyncio.Lock))
    uploaded: dict[Any, str] = field(factory=dict)


@define(kw_only=True)
class ItemPipeline(Pipeline):
    """The pipeline of one item. `entered` is called when its job is known: another may set out."""

    shared: Shared
    plan: ItemPlan
    entered: Callable[[], None]
    job: Job | None = None
    taken_up: bool = False
    _holds_slot: bool = False

    def run_item(self) -> Flow[ReframeResult]:
        """All of it; what an earlier run has finished is only looked at."""
        options = Options(
            to=self.plan.output,
            on_update=self._updated,
            resubmit_after=self.shared.resubmit_after,
            waits_to_resubmit=True,
        )
        run = yield from self.begin(self.plan.item.video, self.plan.body, options)
        run.batch = self.shared.run
        run.is_repeatable = True
        entry = yield from self._claim_when_free(run)
        if entry is None:
            return (yield from self.held(run, self.result(run)))
        self.taken_up = True
        self.entered()
        files = yield from self.files_of(entry, options)
        return ReframeResult(job=job_of(entry), assets=(), files=tuple(files))

    def _claim_when_free(self, run: Run) -> Flow[Entry | None]:
        """Claim the item's entry. A process that was killed holds it for a while."""
        while True:
            try:
                return (yield from self.claim(run))
            except LedgerBusyError:
                if self.timing.clock() - self.shared.started >= self.timing.longest_busy:
                    raise
            yield Pause(self.timing.busy_pause)

    def ensure_uploaded(self, run: Run) -> Flow[str]:
        """Upload the item's clip, once for all items of it."""
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
        """The server has the clip no more."""
        is_forgotten = self.shared.uploaded.pop(run.content, None) is not None
        return (yield from super().forget_upload(run)) or is_forgotten

    def submit(self, run: Run) -> Flow[Job]:
        """Submit when a slot is free and the budget allows it."""
        if self.shared.budget is not None:
            run.terms = evolve(run.terms, price=(yield from self._price_before(run)))
        slots = self.shared.slots
        while True:
            yield from self._until_settled(run)
            yield Call(slots.enter, ())
            try:
                job = yield from self._submit_in_slot(run)
            except (RateLimitedError, NoSlotError) as error:
                yield from self._refused(error)
            except BaseException:
                slots.leave()
                raise
            else:
                slots.taken()
                self._holds_slot = True
                yield from self._emit("submitted", job)
                return job

    def _submit_in_slot(self, run: Run) -> Flow[Job]:
        shared = self.shared.slots.shared + len(self.shared.gone)
        run.terms = evolve(run.terms, slots=shared)
        if run.claim is not None and not run.has_open_post:
            yield Blocking(partial(self.shared.ledger.may_post, run.claim, run.terms))
        elif self.shared.budget is not None and run.terms.price is None:
            # It was sent in a run without a budget. It is looked for whatever is left of this one.
            job = yield from self.recovered(run)
            if job is not None:
                return job
            run.terms = evolve(run.terms, price=(yield from self._price(run)))
        return (yield from super().submit(run))

    def _until_settled(self, run: Run) -> Flow[None]:
        """What was refused for now is looked for after a while: until then it takes no slot."""
        refused = [post.ended or 0.0 for post in run.posts if post.outcome == "deferred"]
        if refused and not run.must_repeat:
            left = max(refused) + self.timing.refusal_settled - self.timing.clock()
            if left > 0.0:
                yield Pause(left)

    def _refused(self, error: RateLimitedError | NoSlotError) -> Flow[None]:
        self.shared.slots.refused(error)
        if isinstance(error, NoSlotError):
            self.shared.mind(error.jobs)
            if not self.shared.others_seen:
                self.shared.others_seen = True
                detail = f"{len(error.jobs)} jobs on record still run, and leave no slot"
                yield from self._emit("limited", detail=detail)
        else:
            now = self.shared.slots.limit.now
            yield from self._emit("limited", detail=f"{now} jobs side by side")

    def _price_before(self, run: Run) -> Flow[float | None]:
        """Of what was sent before, the price on record, if any: perhaps it is not sent again."""
        if run.claim is not None and run.has_open_post:
            return run.claim.entry.cost
        return (yield from self._price(run))

    def _price(self, run: Run) -> Flow[float]:
        """Asked again only if nothing was answered to it, or that it came too soon."""
        failed = 0
        while True:
            try:
                return (yield from self.price(run)).creative_units
            except UnexpectedResponseError as error:
                if error.job is not None:  # the server sells instead of estimating
                    self.shared.refuse(error)
                raise
            except (RateLimitedError, ConnectionFailedError) as error:
                failed += 1
                was_sent = isinstance(error, ConnectionFailedError) and error.sent
                if was_sent or failed == _ESTIMATES:
                    raise
                pause = max(self.timing.back_off(failed), retry.requested_pause(error) or 0.0)
            yield Pause(min(pause, self.timing.longest_requested_pause))

    def look_up(self, created_after: datetime) -> Flow[Mapping[str, Job]]:
        """Read the list of jobs once for all items that ask."""
        jobs: Mapping[str, Job] = yield Call(self.shared.look_up, (created_after,))
        return jobs

    def wait(
        self,
        job: Job | str,
        timeout: float | None,  # noqa: ARG002 - the watch has its own
        on_update: UpdateCallback | None,
        known: Job | None,  # noqa: ARG002
    ) -> Flow[Job]:
        """Wait among all others; the slot is released when the job is done."""
        job = self.job = job if isinstance(job, Job) else Job(id=job, status="unknown")
        if not self._holds_slot:
            self.taken_up = True
            self.shared.slots.hold()
            yield from self._emit("taken-up", job)
        self.entered()
        try:
            done = self.job = yield Call(self.shared.wait, (job, on_update))
        finally:
            self.shared.slots.leave()
        return outcome(done if done.cost is not None else evolve(done, cost=job.cost))

    def download(
        self,
        what: Job | Asset | str,
        options: Options,
        *,
        keep_whole: bool = False,
        assets: Sequence[Asset] = (),
    ) -> Flow[list[Path]]:
        """Download, in turn."""
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

    def _emit(self, kind: str, job: Job | None = None, detail: str = "") -> Flow[None]:
        event = BatchEvent(kind=kind, item=self.plan.item, job=job, detail=detail)
        yield Call(self.shared.emit, (event,))
