"""The engine: runs the items' pipelines side by side, in bounded memory."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from attrs import define, field

from scenario_reframe.arguments import check_seconds, is_number, is_whole_number
from scenario_reframe.errors import (
    AuthenticationError,
    DownloadError,
    InvalidBatchError,
    InvalidInputError,
    LedgerBusyError,
    NotFoundError,
    PermissionDeniedError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.flow.async_driver import AsyncDriver, awaited
from scenario_reframe.ledger.interface import BudgetSpentError, Ledger
from scenario_reframe.models import Job, ReframeResult
from scenario_reframe.pipeline import Pipeline
from scenario_reframe.polling import UpdateCallback
from scenario_reframe.recovery import read_jobs
from scenario_reframe.result_paths import Destination

from .item_pipeline import ItemPipeline, Shared
from .items import BatchEvent, BatchItem, BatchOutcome, EventCallback
from .job_limit import Limit
from .planning import ItemPlan, occupied, plan
from .slots import Slots
from .watching import Waiting, watch

PREPARING = 8
"""Items that are uploaded, or wait for a slot, side by side."""
_ENDING = 16
"""Items beyond the slots that may be on their way: prepared, or being downloaded."""


@define(kw_only=True)
class BatchOrder:
    """What a caller of `batch` asks for. Raises InvalidInputError."""

    items: Iterable[BatchItem]
    to: Destination
    concurrency: int | None = None
    budget: float | None = None
    resubmit_after: float | None = None
    on_event: EventCallback | None = None

    def __attrs_post_init__(self) -> None:
        check_seconds(self.resubmit_after, "resubmit_after")
        if self.budget is not None and not (is_number(self.budget) and self.budget >= 0):
            raise InvalidInputError(
                f"budget: {self.budget!r:.80} is not allowed; it takes creative units from 0"
            )
        number = self.concurrency
        if number is not None and not (is_whole_number(number) and number >= 1):
            raise InvalidInputError(
                f"concurrency: {number!r:.80} is not allowed; it takes a whole number from 1"
            )


@define(eq=False)
class BatchEngine:
    """One run of a batch over one client's pipeline. Used once."""

    pipeline: Pipeline
    ledger: Ledger
    driver: AsyncDriver
    order: BatchOrder
    _waiting: Waiting = field(init=False)
    _shared: Shared = field(init=False)
    _outcomes: "asyncio.Queue[BatchOutcome | BaseException]" = field(factory=asyncio.Queue)
    _tasks: "set[asyncio.Task[None]]" = field(factory=set)
    _watching: "asyncio.Task[None] | None" = None
    _reading: "asyncio.Task[None] | None" = None
    _asking: "list[tuple[datetime, asyncio.Future[Mapping[str, Job]]]]" = field(factory=list)
    _refusal: ReframeError | None = None

    def __attrs_post_init__(self) -> None:
        timing = self.pipeline.timing
        self._waiting = Waiting(timing)
        self._shared = Shared(
            ledger=self.ledger,
            slots=Slots(Limit.of(self.order.concurrency, timing), timing),
            budget=self.order.budget,
            wait=self._wait,
            look_up=self._look_up,
            mind=self._mind,
            emit=self._emit,
            refuse=self._refuse,
            resubmit_after=self.order.resubmit_after,
            started=timing.clock(),
        )

    async def outcomes(self) -> AsyncGenerator[BatchOutcome, None]:
        """Check everything, then each item's outcome as it comes."""
        try:
            plans = await self._checked()
            self._start(self._feed(plans))
            for _ in plans:
                outcome = await self._outcomes.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            await self._stop()

    async def _checked(self) -> list[ItemPlan]:
        """All items, the unfinished ones of an earlier run first: their jobs hold slots."""
        plans = await asyncio.to_thread(plan, self.order.items, self.order.to)
        await self.driver.run(self.pipeline.learn_project())
        targets = [str(planned.output) for planned in plans]
        entries = await asyncio.to_thread(self.ledger.with_targets, targets)
        if faults := await asyncio.to_thread(occupied, plans, entries):
            raise InvalidBatchError(faults)
        self._shared.run = await asyncio.to_thread(
            self.ledger.begin_run, targets, self.order.budget
        )
        begun = {entry.target for entry in entries if not entry.is_finished}
        plans.sort(key=lambda planned: str(planned.output) not in begun)
        finished = {entry.target for entry in entries if entry.state == "done"}
        detail = f"{len(plans)} items: {len(finished)} finished, {len(begun)} begun before"
        await self._emit(BatchEvent(kind="checked", detail=detail))
        return plans

    async def _feed(self, plans: Sequence[ItemPlan]) -> None:
        preparing = asyncio.Semaphore(PREPARING)
        under_way = asyncio.Semaphore(self._shared.slots.limit.most + _ENDING)
        for planned in plans:
            await under_way.acquire()
            await preparing.acquire()
            entered = _Once(preparing.release)
            task = self._start(self._one(planned, entered))
            task.add_done_callback(lambda _, entered=entered: entered())  # type: ignore[misc]
            task.add_done_callback(lambda _: under_way.release())

    async def _one(self, planned: ItemPlan, entered: "_Once") -> None:
        if self._refusal is not None:
            self._put_outcome(planned, status="skipped", error=self._refusal)
            return
        pipeline = ItemPipeline(
            operations=self.pipeline.operations,
            ledger=self.ledger,
            known=self.pipeline.known,
            is_project_known=self.pipeline.is_project_known,
            shared=self._shared,
            plan=planned,
            entered=entered,
        )
        try:
            result: ReframeResult = await self.driver.run(pipeline.run_item())
        except ReframeError as error:
            self._ended_in(pipeline, error)
        except OSError as fault:
            self._ended_in(pipeline, DownloadError(f"{planned.output}: {fault.strerror or fault}"))
        else:
            self._put_outcome(
                planned,
                status="done",
                job=result.job,
                files=result.files,
                taken_up=pipeline.taken_up,
            )

    def _ended_in(self, pipeline: ItemPipeline, error: ReframeError) -> None:
        status, job = "failed", error.job or pipeline.job
        if isinstance(error, SubmissionUncertainError):
            status = "uncertain"
        elif isinstance(error, BudgetSpentError | LedgerBusyError) and job is None:
            status = "skipped"
        elif isinstance(error, AuthenticationError) or (
            isinstance(error, PermissionDeniedError) and job is None
        ):
            # Every other item would be refused as well, after its upload.
            self._refusal = error
        self._put_outcome(
            pipeline.plan, status=status, job=job, error=error, taken_up=pipeline.taken_up
        )

    def _put_outcome(self, planned: ItemPlan, **facts: Any) -> None:
        job = facts.get("job")
        cost = job.cost if job is not None else None
        self._outcomes.put_nowait(BatchOutcome(item=planned.item, cost=cost, **facts))

    async def _emit(self, event: BatchEvent) -> None:
        if self.order.on_event is None:
            return
        try:
            await awaited(self.order.on_event(event))
        except Exception as fault:
            self._outcomes.put_nowait(fault)  # it is the caller's, and ends the batch
            raise

    def _refuse(self, error: ReframeError) -> None:
        self._refusal = error

    async def _look_up(self, created_after: datetime) -> Mapping[str, Job]:
        """The jobs since then. One reading serves all who asked before it began."""
        read: asyncio.Future[Mapping[str, Job]] = asyncio.get_running_loop().create_future()
        self._asking.append((created_after, read))
        if self._reading is None or self._reading.done():
            self._reading = self._start(self._read())
        return await read

    async def _read(self) -> None:
        while self._asking:
            asking, self._asking = self._asking, []
            created_after = min(one for one, _ in asking)
            waiting = [read for _, read in asking]
            try:
                flow = read_jobs(self.pipeline.operations, created_after)
                jobs = await self.driver.run(flow)
            except ReframeError as error:
                for read in waiting:
                    if not read.done():
                        read.set_exception(error)
            else:
                for read in waiting:
                    if not read.done():
                        read.set_result(jobs)

    async def _wait(self, job: Job, on_update: UpdateCallback | None) -> Job:
        """The job when it is done, however it ended. Raises what keeps it from being known."""
        if job.is_done:
            return job
        done: asyncio.Future[Job | ReframeError] = asyncio.get_running_loop().create_future()

        def settle(outcome: Job | ReframeError) -> None:
            if not done.done():
                done.set_result(outcome)

        self._waiting.add(job, settle, on_update)
        if self._watching is None or self._watching.done():
            flow = watch(self.pipeline.operations, self._waiting)
            self._watching = self._start(self.driver.run(flow))
        outcome = await done
        if isinstance(outcome, NotFoundError):
            self._shared.gone.add(job.id)
        if isinstance(outcome, ReframeError):
            raise outcome
        return outcome

    def _mind(self, job_ids: Sequence[str]) -> None:
        """Watch jobs of other processes, dead ones perhaps, so that their slots become free."""
        for job_id in job_ids:
            if job_id not in self._waiting.jobs and job_id not in self._shared.gone:
                self._start(self._see(job_id))

    async def _see(self, job_id: str) -> None:
        with suppress(ReframeError):
            job = await self._wait(Job(id=job_id, status="unknown"), None)
            await asyncio.to_thread(self.ledger.seen, job)

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outcomes.put_nowait(error)

    async def _stop(self) -> None:
        """Cancel what is under way; replies to POSTs that were sent are waited for a while."""
        self._shared.slots.close()
        # Not until `_tasks` is empty: from Python 3.12 on, nothing that is awaited here need let
        # the loop run the callbacks that empty it.
        while tasks := [task for task in self._tasks if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


class _Once:
    """Calls a function at most once."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()
