"""What a batch may spend, counted from the rows of its run, whichever process wrote them."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from batch_sessions import (
    ALWAYS,
    GENERATE,
    RATIOS,
    Batches,
    clips,
    errors,
    shapes,
    side_by_side,
    squares,
    statuses,
    to_submits,
)
from scenario_reframe import NotFoundError
from scenario_reframe.batch import engine
from scenario_reframe.ledger.interface import BudgetSpentError
from scenario_reframe.sandbox.faults import answer, drop, rewrite
from timings import SOON

KEPT_OR_NOT = pytest.mark.parametrize("batch", ["async", "sync, no ledger"], indirect=True)


@KEPT_OR_NOT
@pytest.mark.parametrize(("budget", "jobs"), [(120, 3), (119, 2), (39, 0), (0, 0), (1e9, 5)])
def test_budget_is_not_passed(batch: Batches, tmp_path: Path, budget: float, jobs: int) -> None:
    """Exact, too small for one more, too small for any, none, plenty."""
    got = batch(squares(tmp_path / "in", 5), budget=budget)
    assert batch.count.jobs == jobs
    assert statuses(got) == {
        status: number for status, number in (("done", jobs), ("skipped", 5 - jobs)) if number
    }
    assert errors(got, BudgetSpentError).keys() <= {"BudgetSpentError"}
    assert all(one.job is None and one.cost is None for one in got if one.status == "skipped")
    if budget == 0:
        assert batch.count.writes == 0


@pytest.mark.parametrize("named", [True, False], ids=["cost named", "cost not named"])
def test_budget_counts_what_was_bought_before(
    batch: Batches, tmp_path: Path, *, named: bool
) -> None:
    """Two runs with one budget together buy what it allows; a third may have a larger one."""
    if not named:
        batch.sandbox.faults.add(rewrite(without_billing), r"/generate/|/jobs", times=ALWAYS)
    items = squares(tmp_path / "in", 5)
    assert statuses(batch(items, budget=80)) == {"done": 2, "skipped": 3}
    assert statuses(batch(items, budget=80)) == {"done": 2, "skipped": 3}
    assert statuses(batch(items, budget=120)) == {"done": 3, "skipped": 2}
    assert batch.count.jobs == 3


def without_billing(body: Any) -> Any:
    """A reply whose jobs have no costs."""
    if "job" in body:
        return body | {"job": {**body["job"], "billing": None}}
    if "jobs" in body:
        return body | {"jobs": [{**job, "billing": None} for job in body["jobs"]]}
    return body


def test_budget_counts_what_a_batch_of_some_of_the_items_bought(
    batch: Batches, tmp_path: Path
) -> None:
    """Even one without a budget: the cost of its items counts."""
    items = squares(tmp_path / "in", 5)
    assert statuses(batch(items[:2])) == {"done": 2}
    assert statuses(batch(items, budget=120)) == {"done": 3, "skipped": 2}
    assert batch.count.jobs == 3


def test_two_batches_at_once_share_the_budget(batch: Batches, tmp_path: Path) -> None:
    """The same items on one ledger: together they buy what it allows, and no less."""
    batch.timing = evolve(SOON, longest_busy=600.0)
    items = shapes(clips(tmp_path / "in", 8))
    other = batch.beside()
    other.is_async = False
    runs = side_by_side(lambda: batch(items, budget=200), lambda: other(items, budget=200))
    assert batch.count.jobs == 5
    for got in runs:
        assert statuses(got).keys() <= {"done", "skipped"}
        assert errors(got, BudgetSpentError).keys() <= {"BudgetSpentError"}
        batch.check_own(got)
    paid = {one.job.id for got in runs for one in got if one.job}
    assert len(paid) == 5


def test_each_batch_of_one_ledger_has_its_own_budget(batch: Batches, tmp_path: Path) -> None:
    """The cost of other items, bought at the same time, does not count."""
    mine, theirs = squares(tmp_path / "in", 4), shapes(clips(tmp_path / "in", 4), ["9:16"])
    other = batch.beside()
    other.is_async = False
    runs = side_by_side(lambda: batch(mine, budget=80), lambda: other(theirs, budget=120))
    assert [statuses(got)["done"] for got in runs] == [2, 3]
    assert batch.count.jobs == 5


def test_uncertain_jobs_count_in_the_budget(batch: Batches, tmp_path: Path) -> None:
    """A lost reply may mean a paid job: no run spends its price again."""
    items = squares(tmp_path / "in", 3)
    to_submits(batch.sandbox, drop())
    for _ in range(2):
        got = batch(items, budget=80)
        assert statuses(got) == {"done": 1, "skipped": 1, "uncertain": 1}
    assert batch.count.jobs == 1
    assert statuses(batch(items, budget=80, resubmit_after=0.0)) == {"done": 2, "skipped": 1}
    assert batch.count.jobs == 2


@pytest.mark.parametrize("budget", [0, 39, 40])
@pytest.mark.parametrize("was_made", [True, False])
def test_budget_holds_for_what_was_lost_without_one(
    batch: Batches, tmp_path: Path, budget: float, *, was_made: bool
) -> None:
    """A lost job is found whatever is left; resubmitting it takes enough budget."""
    items = squares(tmp_path / "in", 1)
    batch.sandbox.list_lag = 3600.0
    to_submits(batch.sandbox, drop(after=was_made))
    assert statuses(batch(items)) == {"uncertain": 1}
    batch.sandbox.list_lag = 0.0
    got = batch(items, budget=budget, resubmit_after=0.0)
    assert statuses(got) == ({"done": 1} if was_made or budget == 40 else {"skipped": 1})
    assert batch.count.jobs == (was_made or budget == 40)


def test_what_is_resubmitted_is_counted_in_a_smaller_budget(batch: Batches, tmp_path: Path) -> None:
    """Of 80, one was bought and one lost; a budget of 40 leaves nothing for the second."""
    items = squares(tmp_path / "in", 2)
    to_submits(batch.sandbox, drop())
    assert statuses(batch(items, budget=80)) == {"done": 1, "uncertain": 1}
    got = batch(items, budget=40, resubmit_after=0.0)
    assert statuses(got) == {"done": 1, "skipped": 1}
    assert batch.count.jobs == 1
    assert statuses(batch(items, budget=80, resubmit_after=0.0)) == {"done": 2}
    assert batch.count.jobs == 2


def test_what_was_refused_costs_nothing(batch: Batches, tmp_path: Path) -> None:
    """Another item uses its share of the budget."""
    to_submits(batch.sandbox, answer(400, {"reason": "bad"}))
    got = batch(squares(tmp_path / "in", 4), budget=80, concurrency=1)
    assert statuses(got) == {"done": 2, "failed": 1, "skipped": 1}
    assert batch.count.jobs == 2


def test_lost_reply_is_counted_once(batch: Batches, tmp_path: Path) -> None:
    """Its job is found, and nothing more is bought than was reserved."""
    left = to_submits(batch.sandbox, drop(after=True), drop(after=True))
    got = batch(squares(tmp_path / "in", 4), budget=120)
    assert statuses(got) == {"done": 3, "skipped": 1}
    assert (len(left), batch.count.jobs) == (0, 3)


def test_clip_that_the_server_lost_is_uploaded_again(batch: Batches, tmp_path: Path) -> None:
    """In the ledger, but answered with 404: the estimate notices it, and all is done."""
    clip = clips(tmp_path / "in", 1)
    assert statuses(batch(shapes(clip, ["16:9"]))) == {"done": 1}
    batch.sql("UPDATE uploads SET asset_id = 'asset_lost'")
    got = batch(shapes(clip), budget=1000)
    assert statuses(got) == {"done": len(RATIOS)}
    batch.check_own(got)
    assert batch.count.jobs == 1 + len(RATIOS)
    assert batch.count.uploads > 1


def test_clip_that_the_server_lost_fails_once_where_nothing_is_estimated(
    batch: Batches, tmp_path: Path
) -> None:
    """A refused submit proves that there is no job: the next run uploads again."""
    clip = clips(tmp_path / "in", 1)
    assert statuses(batch(shapes(clip, ["16:9"]))) == {"done": 1}
    batch.sql("UPDATE uploads SET asset_id = 'asset_lost'")
    got = batch(shapes(clip, ["1:1"]))
    assert statuses(got) == {"failed": 1}
    assert errors(got, NotFoundError) == {"NotFoundError": 1}
    assert statuses(batch(shapes(clip, ["1:1"]))) == {"done": 1}
    assert (batch.count.jobs, batch.count.uploads) == (2, 2)


def test_dry_run_that_was_paid_for_ends_the_estimates(batch: Batches, tmp_path: Path) -> None:
    """The server treats dry runs as submits: an error at once, not once per item."""
    batch.sandbox.faults.add(order_dry_runs, GENERATE, method="POST", times=ALWAYS)
    got = batch(squares(tmp_path / "in", 17), budget=10_000)
    assert len(got) == 17
    assert batch.count.jobs <= engine.PREPARING
    assert any(one.job is not None for one in got)


async def order_dry_runs(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """A server that ignores `dryRun`."""
    await app({**scope, "query_string": b""}, receive, send)
