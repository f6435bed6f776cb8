"""What must hold at the moment of a POST: twins, slots and budget, over all processes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ledger_rows import (
    Ledgers,
    claimed,
    end,
    job,
    outcomes,
    posting,
    request,
    sql,
    state_of,
    submission,
    submitted,
)
from scenario_reframe import InvalidInputError
from scenario_reframe.ledger.interface import (
    BudgetSpentError,
    Claim,
    NoSlotError,
    SubmitConditions,
    TwinOpenError,
)
from scenario_reframe.ledger.store import SqlLedger


def test_a_target_that_exists_prevents_the_post(make_ledger: Ledgers, path: Path) -> None:
    """When the check raises, no row is left; may_post raises the same."""
    ledger = make_ledger()
    claim = claimed(ledger)

    def taken() -> None:
        raise InvalidInputError("taken")

    with pytest.raises(InvalidInputError, match="taken"):
        ledger.may_post(claim, SubmitConditions(check_target=taken))
    with pytest.raises(InvalidInputError, match="taken"):
        ledger.open_post(claim, submission(), SubmitConditions(check_target=taken))
    ledger.may_post(claim, SubmitConditions())
    assert (outcomes(path), state_of(ledger)) == ([], "claimed")


# --- twins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "is_uncertain"), [("open", False), ("deferred", False), ("uncertain", True)]
)
def test_twins_are_never_open_at_once(
    make_ledger: Ledgers, path: Path, outcome: Any, is_uncertain: bool
) -> None:
    """The second one's error says whether waiting helps; the ledger holds no POST of it."""
    first, second = make_ledger(), make_ledger()
    claim = posting(first, 1, twin="t")
    if outcome != "open":
        end(first, claim, outcome)
    other = claimed(second, 2)
    attempts: list[Callable[[], None]] = [
        lambda: second.may_post(other, SubmitConditions(twin="t")),
        lambda: second.open_post(other, submission(), SubmitConditions(twin="t")),
    ]
    for attempt in attempts:
        with pytest.raises(TwinOpenError, match=r"/out/1\.mp4") as caught:
            attempt()
        assert caught.value.is_uncertain is is_uncertain
    for free in (SubmitConditions(twin="u"), SubmitConditions()):
        second.may_post(other, free)
    posting(make_ledger(project_id="proj_2"), 1, twin="t")
    if outcome != "open":
        first.open_post(claim, submission(), SubmitConditions(twin="t"))
    sql(path, "UPDATE entries SET lease_until = 1 WHERE id = 1")
    with pytest.raises(TwinOpenError) as caught:
        second.open_post(other, submission(), SubmitConditions(twin="t"))
    assert caught.value.is_uncertain, "its owner is gone: waiting does not help"


@pytest.mark.parametrize("how", ["made", "refused", "failed"])
def test_a_settled_twin_blocks_no_post(make_ledger: Ledgers, path: Path, how: str) -> None:
    """Its job is known, or there is none."""
    ledger = make_ledger()
    claim = posting(ledger, 1, twin="t")
    end(ledger, claim, "uncertain")
    if how == "made":
        ledger.record_job(claim.token, job(1))
    elif how == "refused":
        end(ledger, claim, "refused")
    else:
        sql(path, "UPDATE entries SET state = 'failed'")
    posting(ledger, 2, twin="t")


# --- slots -----------------------------------------------------------------------------------


def test_slots_are_counted_over_all_processes(make_ledger: Ledgers) -> None:
    """Two of one process and one of another: no more may post until a fourth slot is added."""
    first, second = make_ledger(), make_ledger()
    submitted(first, 1)
    posting(first, 2)
    submitted(second, 3)
    claim = claimed(second, 4)
    with pytest.raises(NoSlotError) as caught:
        second.open_post(claim, submission(), SubmitConditions(slots=3))
    assert sorted(caught.value.jobs) == ["job_1", "job_3"]
    assert (state_of(second, 4), claim.posts) == ("claimed", [])
    second.open_post(claim, submission(), SubmitConditions(slots=4))
    end(second, claim, "uncertain")
    second.open_post(claim, submission(), SubmitConditions(slots=4))


def success(ledger: SqlLedger, _: Claim) -> None:
    """A process sees that the job is done."""
    ledger.record_status(job(1, "success"))


def failure(ledger: SqlLedger, _: Claim) -> None:
    """A process sees that the job has failed."""
    ledger.record_status(job(1, "failure"))


def files(ledger: SqlLedger, _: Claim) -> None:
    """The results are saved."""
    ledger.record_files("job_1", [])


@pytest.mark.parametrize("ended", [success, failure, files])
def test_a_job_that_ended_frees_its_slot(
    make_ledger: Ledgers, ended: Callable[[SqlLedger, Claim], None]
) -> None:
    """Whoever saw it end, its owner or another process."""
    dead, living = make_ledger(), make_ledger()
    claim, waiting = submitted(dead, 1), claimed(living, 2)
    with pytest.raises(NoSlotError):
        living.may_post(waiting, SubmitConditions(slots=1))
    ended(living, claim)
    living.open_post(waiting, submission(), SubmitConditions(slots=1))


@pytest.mark.parametrize("outcome", ["refused", "deferred", "uncertain"])
def test_a_post_that_ended_holds_no_slot(make_ledger: Ledgers, outcome: Any) -> None:
    """Not for its own entry either."""
    ledger = make_ledger()
    end(ledger, posting(ledger, 1, slots=1), outcome)
    posting(ledger, 2, slots=1)


@pytest.mark.parametrize(
    ("change", "is_free"),
    [
        ("UPDATE entries SET lease_until = lease_until - 3610", False),
        ("UPDATE entries SET lease_until = lease_until - 3670", True),
        ("UPDATE entries SET state = 'uncertain'", True),
        ("UPDATE entries SET state = 'submitted'", False),
        ("UPDATE posts SET opened_at = opened_at - 3601", False),
    ],
)
def test_what_can_no_longer_run_holds_no_slot(
    make_ledger: Ledgers, path: Path, change: str, is_free: bool
) -> None:
    """A POST may go on for a while after its lease; an hour-old job has ended."""
    posting(make_ledger(longest_post=60.0), 1)
    sql(path, change)
    ledger = make_ledger()
    claim = claimed(ledger, 2)
    if is_free:
        ledger.open_post(claim, submission(), SubmitConditions(slots=1))
        return
    with pytest.raises(NoSlotError):
        ledger.may_post(claim, SubmitConditions(slots=1))
    sql(path, "UPDATE entries SET state = 'submitted' WHERE id = 1")
    sql(path, "UPDATE posts SET opened_at = opened_at - 3601")
    ledger.may_post(claim, SubmitConditions(slots=1))


def test_no_slot_leaves_an_uncertain_entry_uncertain(make_ledger: Ledgers) -> None:
    """Its first POST is not forgotten because a second has no slot now."""
    ledger = make_ledger()
    claim = posting(ledger, 1)
    end(ledger, claim, "uncertain")
    submitted(ledger, 2)
    with pytest.raises(NoSlotError) as caught:
        ledger.open_post(claim, submission(), SubmitConditions(slots=1))
    ledger.release(claim, caught.value)
    assert state_of(ledger, 1) == "uncertain"


def test_many_threads_do_not_pass_slots_or_budget(make_ledger: Ledgers, path: Path) -> None:
    """Twenty at once, over four ledgers: exactly as many post as are allowed."""
    made = [make_ledger() for _ in range(4)]
    run = made[0].begin_run([f"/out/{number}.mp4" for number in range(20)], 0.7)

    def one(number: int, terms: SubmitConditions) -> bool:
        ledger = made[number % 4]
        claim = claimed(ledger, number, run=run)
        try:
            ledger.open_post(claim, submission(), terms)
        except (NoSlotError, BudgetSpentError):
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(lambda number: one(number, SubmitConditions(slots=5)), range(20))) == 5
    sql(path, "DELETE FROM posts")
    sql(path, "DELETE FROM entries")
    with ThreadPoolExecutor(20) as pool:
        # Seven times 0.1 is slightly more than 0.7.
        assert (
            sum(pool.map(lambda number: one(number, SubmitConditions(price=0.1)), range(20))) == 7
        )
    ((reserved,),) = sql(path, "SELECT sum(cost) FROM entries WHERE state = 'posting'")
    assert reserved == pytest.approx(0.7)


# --- runs and budgets ------------------------------------------------------------------------


def test_a_run_is_its_set_of_targets(make_ledger: Ledgers, path: Path) -> None:
    """Two processes with the same batch share it; it includes their earlier entries."""
    first, second = make_ledger(), make_ledger()
    submitted(first, 1, price=4.0)
    run = first.begin_run(["/out/1.mp4", "/out/2.mp4"], 10.0)
    assert second.begin_run(["/out/2.mp4", "/out/1.mp4", "/out/1.mp4"], 5.0) == run
    assert make_ledger(project_id="proj_2").begin_run(["/out/1.mp4", "/out/2.mp4"], 1.0) != run
    assert second.begin_run(["/out/1.mp4"], None) != run
    claim = claimed(second, 2, run=run)
    sql(path, "UPDATE entries SET run = ?", run)
    with pytest.raises(
        BudgetSpentError, match="the budget of 5 creative units does not allow this item"
    ):
        second.open_post(claim, submission(), SubmitConditions(price=1.5))
    second.open_post(claim, submission(), SubmitConditions(price=1.0))
    with pytest.raises(BudgetSpentError, match="the budget of 5 creative units is spent"):
        first.check_budget(run)
    end(second, claim, "refused")
    first.check_budget(run)


@pytest.mark.parametrize(
    ("how", "spent"),
    [
        ("open", True),
        ("deferred", True),
        ("uncertain", True),
        ("refused", False),
        ("withdrawn", False),
        ("made", True),
        ("failed", True),
        ("cheaper", False),
    ],
)
def test_what_may_have_been_bought_counts(make_ledger: Ledgers, how: Any, spent: bool) -> None:
    """At its price, until the server names a cost; a failed job was paid for, too."""
    ledger = make_ledger()
    run = ledger.begin_run(["/out/1.mp4", "/out/2.mp4"], 6.0)
    claim = claimed(ledger, 1, run=run)
    ledger.open_post(claim, submission(), SubmitConditions(price=4.0))
    if how in ("refused", "deferred", "uncertain"):
        end(ledger, claim, how)
    elif how == "withdrawn":
        ledger.withdraw_post(claim)
    elif how != "open":
        ledger.record_job(claim.token, job(1))
        assert ledger.entries()[0].cost == 4.0
        if how == "failed":
            ledger.record_status(job(1, "failure"))
        elif how == "cheaper":
            ledger.record_status(job(1, "success", cost=3.0))
    second = claimed(ledger, 2, run=run)
    if spent:
        with pytest.raises(BudgetSpentError):
            ledger.may_post(second, SubmitConditions(price=3.0))
    else:
        ledger.may_post(second, SubmitConditions(price=3.0))
    ledger.may_post(second, SubmitConditions(price=2.0))
    if how in ("deferred", "uncertain"):
        ledger.may_post(claim, SubmitConditions(price=6.0))  # its own price does not count twice


def test_a_second_job_of_an_entry_counts(make_ledger: Ledgers) -> None:
    """It was paid for in the same run."""
    ledger = make_ledger()
    run = ledger.begin_run(["/out/1.mp4"], 6.0)
    found = ledger.claim(request(1), run=run)
    assert isinstance(found, Claim)
    ledger.open_post(found, submission(), SubmitConditions(price=4.0))
    ledger.record_job(found.token, job(1))
    ledger.check_budget(run)
    ledger.record_job(found.token, job(2))
    with pytest.raises(BudgetSpentError):
        ledger.check_budget(run)


def test_without_a_budget_or_a_price_nothing_is_held_back(make_ledger: Ledgers) -> None:
    """Nor without a run."""
    ledger = make_ledger()
    run = ledger.begin_run(["/out/1.mp4"], None)
    ledger.check_budget(run)
    ledger.may_post(claimed(ledger, 1, run=run), SubmitConditions(price=1e9))
    ledger.may_post(claimed(ledger, 2), SubmitConditions(price=1e9))
