"""The engine of a batch: runs the items' pipelines side by side, in bounded memory."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from scenario_reframe.arguments import check_amount, check_callback, is_whole_number, shown
from scenario_reframe.errors import (
    AuthenticationError,
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
from scenario_reframe.result_paths import Destination

from .item_pipeline import BatchState, ItemPipeline
from .items import BatchEvent, BatchItem, BatchOutcome, EventCallback
from .job_limit import JobLimit
from .planning import ItemPlan, occupied, plan
from .shared_readings import SharedReadings
from .submit_slots import Slots
from .watching import WatchList, watch

_LOG = logging.getLogger("scenario_reframe")

PREPARING = 8
"""How many items may be uploading or waiting for a slot at once."""
_MORE_ITEMS = 16
"""How many items may be in work beyond the slots: in preparation, or downloading."""


@define(kw_only=True)
class BatchRequest:
    """The arguments of `batch`, checked. Raises InvalidInputError."""

    items: Iterable[BatchItem]
    to: Destination
    concurrency: int | None = None
    budget: float | None = None
    resubmit_after: float | None = None
    on_event: EventCallback | None = None

    def __attrs_post_init__(self) -> None:
        if isinstance(self.items, str | bytes | Mapping) or not isinstance(self.items, Iterable):
            raise InvalidInputError(
                f"items: {shown(self.items)} is not allowed; it takes a list of BatchItems"
            )
        check_amount(self.resubmit_after, "resubmit_after", "seconds")
        check_amount(self.budget, "budget", "creative units")
        check_callback(self.on_event, "on_event")
        number = self.concurrency
        if number is not None and not (is_whole_number(number) and number >= 1):
            raise InvalidInputError(
                f"concurrency: {shown(number)} is not allowed; it takes a whole number, 1 or more"
            )


@define(eq=False)
class BatchEngine:
    """One run of a batch with one client's pipeline. It is used once."""

    pipeline: Pipeline
    ledger: Ledger
    driver: AsyncDriver
    request: BatchRequest
    _waiting: WatchList = field(init=False)
    _shared: BatchState = field(init=False)
    _outcomes: "asyncio.Queue[BatchOutcome | BaseException]" = field(factory=asyncio.Queue)
    _tasks: "set[asyncio.Task[None]]" = field(factory=set)
    _watching: "asyncio.Task[None] | None" = None
    _refusal: ReframeError | None = None
    _callers_fault: Exception | None = None

    def __attrs_post_init__(self) -> None:
        timing = self.pipeline.timing
        self._waiting = WatchList(timing)
        readings = SharedReadings(self.pipeline.operations, self.driver, self._start)
        self._shared = BatchState(
            ledger=self.ledger,
            slots=Slots(JobLimit.of(self.request.concurrency, timing), timing),
            budget=self.request.budget,
            wait=self._wait,
            look_up=readings.look_up,
            watch_others=self._watch_others,
            emit=self._emit,
            stop_starting=self._stop_starting,
            resubmit_after=self.request.resubmit_after,
            started=timing.clock(),
        )

    async def outcomes(self) -> AsyncGenerator[BatchOutcome, None]:
        """Check everything, then yield each item's outcome when it is known."""
        try:
            plans = await self._check_all()
            self._start(self._start_items(plans))
            for _ in plans:
                outcome = await self._outcomes.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            await self._stop()

    async def _check_all(self) -> list[ItemPlan]:
        """The checked items; those begun in an earlier run first, since their jobs hold slots."""
        plans = await asyncio.to_thread(plan, self.request.items, self.request.to)
        await self.driver.run(self.pipeline.learn_project())
        targets = [str(planned.output) for planned in plans]
        entries = await asyncio.to_thread(self.ledger.with_targets, targets)
        if faults := await asyncio.to_thread(occupied, plans, entries):
            raise InvalidBatchError(faults)
        self._shared.run = await asyncio.to_thread(
            self.ledger.begin_run, targets, self.request.budget
        )
        begun = {entry.target for entry in entries if not entry.is_finished}
        plans.sort(key=lambda planned: str(planned.output) not in begun)
        finished = {entry.target for entry in entries if entry.state == "done"}
        detail = f"{len(plans)} items: {len(finished)} finished, {len(begun)} begun before"
        await self._emit(BatchEvent(kind="checked", detail=detail))
        return plans

    async def _start_items(self, plans: Sequence[ItemPlan]) -> None:
        """Start one item after the other, as the limits of preparation and memory allow."""
        preparing = asyncio.Semaphore(PREPARING)
        under_way = asyncio.Semaphore(self._shared.slots.limit.most + _MORE_ITEMS)
        for planned in plans:
            await under_way.acquire()
            await preparing.acquire()
            on_job_known = _CallOnce(preparing.release)
            task = self._start(self._run_item(planned, on_job_known))
            task.add_done_callback(lambda _, on_job_known=on_job_known: on_job_known())  # type: ignore[misc]
            task.add_done_callback(lambda _: under_way.release())

    async def _run_item(self, planned: ItemPlan, on_job_known: "_CallOnce") -> None:
        """Run one item, and put its outcome on the queue."""
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
            on_job_known=on_job_known,
        )
        try:
            result: ReframeResult = await self.driver.run(pipeline.run_item())
        except ReframeError as error:
            self._put_error(pipeline, error)
        except Exception as fault:
            if fault is self._callers_fault:
                raise
            self._put_error(pipeline, pipeline.error_of(fault))
        else:
            self._put_outcome(
                planned,
                status="done",
                job=result.job,
                files=result.files,
                taken_up=pipeline.taken_up,
            )

    def _put_error(self, pipeline: ItemPipeline, error: ReframeError) -> None:
        """Put the outcome of an item that ended with an error on the queue."""
        status, job = "failed", error.job or pipeline.job
        if isinstance(error, SubmissionUncertainError):
            status = "uncertain"
        elif isinstance(error, BudgetSpentError | LedgerBusyError) and job is None:
            status = "skipped"
        elif isinstance(error, AuthenticationError) or (
            isinstance(error, PermissionDeniedError) and job is None
        ):
            # The server would refuse every other item as well, after its upload.
            self._refusal = error
        self._put_outcome(
            pipeline.plan, status=status, job=job, error=error, taken_up=pipeline.taken_up
        )

    def _put_outcome(self, planned: ItemPlan, **facts: Any) -> None:
        job = facts.get("job")
        cost = job.cost if job is not None else None
        self._outcomes.put_nowait(BatchOutcome(item=planned.item, cost=cost, **facts))

    async def _emit(self, event: BatchEvent) -> None:
        if self.request.on_event is None:
            return
        try:
            await awaited(self.request.on_event(event))
        except Exception as fault:
            self._callers_fault = fault
            self._outcomes.put_nowait(fault)  # the caller's own error ends the batch
            raise

    def _stop_starting(self, error: ReframeError) -> None:
        """Skip all items that have not started."""
        self._refusal = error

    async def _wait(self, job: Job, on_update: UpdateCallback | None) -> Job:
        """The job when it is done, however it ended. Raises ReframeError if it cannot be read."""
        if job.is_done:
            return job
        done: asyncio.Future[Job | ReframeError] = asyncio.get_running_loop().create_future()

        def settle(outcome: Job | ReframeError) -> None:
            if not done.done():
                done.set_result(outcome)

        self._waiting.add(job, settle, on_update)
        if self._watching is None or self._watching.done():
            self._watching = self._start(self._watch())
        outcome = await done
        if isinstance(outcome, NotFoundError):
            self._shared.unknown_jobs.add(job.id)
        if isinstance(outcome, ReframeError):
            raise outcome
        return outcome

    async def _watch(self) -> None:
        """Watch until no job is left. Nobody waits for ever, whatever is raised meanwhile."""
        try:
            await self.driver.run(watch(self.pipeline.operations, self._waiting))
        except Exception as fault:
            if fault is self._callers_fault:
                raise
            _LOG.exception("the jobs could not be watched")
            self._waiting.fail(fault)

    def _watch_others(self, job_ids: Sequence[str]) -> None:
        """Watch jobs of other processes, perhaps dead ones, so that their slots become free."""
        for job_id in job_ids:
            if job_id not in self._waiting.jobs and job_id not in self._shared.unknown_jobs:
                self._start(self._watch_other(job_id))

    async def _watch_other(self, job_id: str) -> None:
        """Wait for another process's job, and record its end."""
        try:
            job = await self._wait(Job(id=job_id, status="unknown"), None)
            await asyncio.to_thread(self.ledger.record_status, job)
        except ReframeError:
            return  # its own process reports it
        except Exception:  # noqa: BLE001 - logged
            _LOG.exception("job %s of another process could not be watched", job_id)

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outcomes.put_nowait(error)

    async def _stop(self) -> None:
        """Cancel all tasks; each waits `Timing.last_answers` for the reply to its POST, if any."""
        self._shared.slots.close()
        # Not `while self._tasks`: from Python 3.12 on, awaiting finished tasks may never let the
        # loop run the callbacks that empty it.
        while tasks := [task for task in self._tasks if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


class _CallOnce:
    """Calls a function at most once."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()
