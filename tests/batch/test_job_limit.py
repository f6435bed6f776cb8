"""How many jobs a batch runs side by side: the limit, and who gets a slot."""

import asyncio
from collections.abc import Callable

import pytest

from scenario_reframe import RateLimitedError
from scenario_reframe.batch.job_limit import FIRST, MOST, JobLimit
from scenario_reframe.batch.submit_slots import Slots
from scenario_reframe.ledger.interface import NoSlotError
from scenario_reframe.timing import Timing

NOW = 1000.0


def limited(named: int | None = None, pause: float | None = None) -> RateLimitedError:
    """A 429, with the details that it may name."""
    error = RateLimitedError(
        "too many", status_code=429, reason="too many", request_id=None, body={"details": {}}
    )
    error.limit, error.retry_after = named, pause
    return error


def server(most: int, limit: JobLimit, clock: float, *, names: bool = True, others: int = 0) -> int:
    """Use every slot that the limit allows until the server refuses: how many jobs run."""
    running = 0
    while limit.pause(running, clock) == 0.0:
        running += 1
        if running + others > most:
            running -= 1
            limit.refused(running, clock, named=most if names else None, requested=None)
        else:
            limit.accepted(clock)
    return running


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("most", [1, 3, 4, 17, MOST])
def test_limit_is_found_with_one_refusal(most: int, names: bool) -> None:
    """It starts at four, grows with each accepted job, and stops where the server does."""
    limit = JobLimit()
    assert limit.current == FIRST
    assert server(most, limit, NOW) == most
    assert limit.current == most


def test_nothing_is_sent_while_all_slots_are_used() -> None:
    """It waits for one of our jobs to end, without a pause."""
    limit = JobLimit(current=3)
    assert limit.pause(2, NOW) == 0.0
    assert limit.pause(3, NOW) is None
    assert limit.pause(7, NOW) is None


def test_limit_grows_again_by_one_for_as_many_jobs_as_it_allows() -> None:
    """After a refusal that named no limit."""
    limit = JobLimit(current=8)
    limit.refused(4, NOW, named=None, requested=None)
    found = []
    for _ in range(20):
        limit.accepted(NOW)
        found.append(limit.current)
    assert found == [4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7]


def test_named_limit_holds_for_minutes_and_is_then_tried_again() -> None:
    """The plan may have been upgraded."""
    limit = JobLimit(current=8)
    limit.refused(1, NOW, named=3, requested=None)
    for _ in range(50):
        limit.accepted(NOW + 299)
    assert limit.current == 3
    for _ in range(3):
        limit.accepted(NOW + 301)
    assert limit.current == 4


def test_callers_number_is_never_passed() -> None:
    """It is the first limit, and reached again after refusals."""
    limit = JobLimit.of(5)
    assert (limit.current, limit.most) == (5, 5)
    limit.refused(2, NOW, named=50, requested=None)
    assert limit.current == 2
    for _ in range(100):
        limit.accepted(NOW)
    assert limit.current == 5


def test_pauses_grow_while_others_use_every_slot() -> None:
    """None of our jobs runs that could end; an accepted job resets the pause."""
    limit, clock, pauses = JobLimit(), NOW, []
    for _ in range(8):
        limit.refused(0, clock, named=3, requested=None)
        pause = limit.pause(0, clock)
        assert pause is not None
        pauses.append(pause)
        clock += pause
        assert limit.pause(0, clock) == 0.0
    assert pauses == [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 30.0, 30.0]
    limit.accepted(clock)
    limit.refused(0, clock, named=3, requested=None)
    assert limit.pause(0, clock) == 1.0


def test_requested_pause_is_obeyed_whatever_runs() -> None:
    """The server requested it; a shorter one does not end it."""
    limit = JobLimit(current=8)
    limit.refused(4, NOW, named=None, requested=20.0)
    limit.refused(3, NOW, named=None, requested=2.0)
    assert limit.pause(0, NOW) == 20.0
    assert limit.pause(0, NOW + 20.0) == 0.0


@pytest.mark.parametrize("named", [0, -1, None])
def test_one_may_always_be_tried(named: int | None) -> None:
    """A senseless limit stops nothing for good."""
    limit = JobLimit()
    limit.refused(0, NOW, named=named, requested=None)
    assert limit.current == 1
    assert limit.pause(0, NOW + 60) == 0.0


# --- slots ---------------------------------------------------------------------------------------


def run(work: Callable[[Slots], object], limit: JobLimit) -> None:
    """Run a function with slots, by a clock that stands still."""
    timing = Timing(clock=lambda: NOW)

    async def main() -> None:
        await asyncio.wait_for(work(Slots(limit, timing)), 60)  # type: ignore[arg-type]

    asyncio.run(main())


def end_job(slots: Slots) -> None:
    """A job ends."""
    slots.release()


def refuse(slots: Slots) -> None:
    """The server refuses a job while another runs, and names a limit of two."""
    slots.refused(limited(named=2))
    slots.accepted()


def block(slots: Slots) -> None:
    """The ledger says that other processes use all slots."""
    slots.refused(NoSlotError(2, []))


async def let_loop_run(number: int) -> None:
    """Let the event loop go round this many times."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("end", "entered"), [(end_job, True), (refuse, True), (block, False)])
def test_released_slot_goes_to_a_waiter(
    end: Callable[[Slots], None],
    entered: bool,
) -> None:
    """After a job's end or a refusal: at once, unless other processes use the slots."""

    async def work(slots: Slots) -> None:
        await slots.acquire()
        await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await let_loop_run(5)
        assert not waiting.done()
        end(slots)
        await let_loop_run(5)
        assert waiting.done() is entered
        assert slots.running == 1 + entered
        waiting.cancel()

    run(work, JobLimit(most=2, current=2))


@pytest.mark.parametrize("between", range(6))
def test_cancelled_waiter_uses_no_slot(between: int) -> None:
    """Even if a slot is released at the same time: it either has the slot or not."""

    async def work(slots: Slots) -> None:
        await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await let_loop_run(3)
        slots.release()
        await let_loop_run(between)
        had_it = waiting.done()
        waiting.cancel()
        (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError) is not had_it
        assert slots.running == had_it

    run(work, JobLimit(most=1, current=1))


def test_closed_slots_admit_no_job() -> None:
    """A stopped run buys no more, though a job ends."""

    async def work(slots: Slots) -> None:
        await slots.acquire()
        waiting = asyncio.create_task(slots.acquire())
        await let_loop_run(3)
        slots.close()
        slots.release()
        await let_loop_run(5)
        assert (waiting.done(), slots.running) == (False, 0)
        waiting.cancel()

    run(work, JobLimit(most=1, current=1))


def test_resumed_job_uses_a_slot_beyond_the_limit() -> None:
    """Resumed jobs run whatever the limit; nothing new is sent until they end."""

    async def work(slots: Slots) -> None:
        for _ in range(3):
            slots.occupy()
        waiting = asyncio.create_task(slots.acquire())
        for left in (2, 1):
            slots.release()
            await let_loop_run(5)
            assert (slots.running, waiting.done()) == (left, False)
        slots.release()
        await waiting

    run(work, JobLimit(most=1, current=1))
