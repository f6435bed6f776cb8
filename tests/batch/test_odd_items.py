"""One bad item of a batch is one bad item: whatever it raises is its outcome, and only its own."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from batch_sessions import (
    ALWAYS,
    GENERATE,
    LIST,
    Batches,
    clips,
    shapes,
    squares,
    statuses,
    to_submits,
)
from scenario_reframe import (
    BatchOutcome,
    Job,
    ReframeError,
    SubmissionUncertainError,
    UnexpectedResponseError,
)
from scenario_reframe.api import parsing
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.sandbox.faults import answer, drop, rewrite

BOTH = pytest.mark.parametrize("batch", ["sync", "async, no ledger"], indirect=True)
OPERATIONS = "scenario_reframe.api.operations"
HOSTILE_URLS = ("https://cdn.test/\ud800", "https://xn--/a", "https://a..b/c")


def check_each_has_one_job(batch: Batches, got: Sequence[BatchOutcome]) -> None:
    """Check that every item has an outcome with a job of its own, and that each was bought once."""
    assert len({one.job.id for one in got if one.job}) == len(got)
    assert batch.count.jobs == batch.count.posts == len(got)


def raising(
    read: Callable[..., Any], is_due: Callable[[], bool] = lambda: True
) -> Callable[..., Any]:
    """A function that reads replies, and raises what no caller expects, when it is due."""

    def odd(*arguments: Any) -> Any:
        if is_due():
            raise ZeroDivisionError("odd")
        return read(*arguments)

    return odd


def first(number: int) -> Callable[[], bool]:
    """True so many times."""
    left = iter(range(number))
    return lambda: next(left, None) is not None


@BOTH
def test_hostile_assets_are_their_items_outcomes(batch: Batches, tmp_path: Path) -> None:
    """Three of six jobs have a URL that cannot be used: paid, known, and reported."""
    chosen: dict[str, str] = {}

    def change(payload: Any) -> Any:
        asset = payload["asset"]
        if asset["id"] not in chosen and len(chosen) < 3:
            chosen[asset["id"]] = HOSTILE_URLS[len(chosen)]
        return {"asset": {**asset, "url": chosen.get(asset["id"], asset["url"])}}

    batch.sandbox.faults.add(rewrite(change), r"/v1/assets/", method="GET", times=ALWAYS)
    got = batch(shapes(clips(tmp_path / "in", 3)))
    assert statuses(got) == {"done": 3, "failed": 3}
    assert {type(one.error) for one in got if one.status == "failed"} == {UnexpectedResponseError}
    check_each_has_one_job(batch, got)


@BOTH
def test_hostile_dates_of_jobs_cost_nothing(batch: Batches, tmp_path: Path) -> None:
    """Times that no arithmetic can take are as good as none."""
    times = iter(["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "\ud800"] * 3)

    def change(payload: Any) -> Any:
        return {"job": {**payload["job"], "createdAt": next(times), "updatedAt": "\ud800"}}

    batch.sandbox.faults.add(rewrite(change), GENERATE, method="POST", times=6)
    got = batch(shapes(clips(tmp_path / "in", 3)))
    assert statuses(got) == {"done": 6}
    check_each_has_one_job(batch, got)


@BOTH
def test_odd_error_of_an_item_is_its_outcome(
    batch: Batches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fault of ours: logged with its traceback, carried with the job, and the others go on."""
    odd = raising(parsing.parse_asset, first(3))
    monkeypatch.setattr(f"{OPERATIONS}.parse_asset", odd)
    got = batch(squares(tmp_path / "in", 6))
    assert statuses(got) == {"done": 3, "failed": 3}
    check_each_has_one_job(batch, got)
    for one in got:
        if one.error is not None:
            assert type(one.error) is ReframeError
            assert one.error.job == one.job
            assert isinstance(one.error.__cause__, ZeroDivisionError)
            str(one.error).encode()
    logged = [one for one in caplog.records if one.exc_info and one.levelno == logging.ERROR]
    assert [one.name for one in logged] == ["scenario_reframe"] * 3


@BOTH
def test_odd_error_after_a_post_is_uncertain(
    batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POST was on its way, so nobody may say that no job was made."""
    odd = raising(parsing.parse_paid_job, first(2))
    monkeypatch.setattr(f"{OPERATIONS}.parse_paid_job", odd)
    got = batch(squares(tmp_path / "in", 5))
    assert statuses(got) == {"done": 3, "uncertain": 2}
    for one in got:
        if one.status == "uncertain":
            assert isinstance(one.error, SubmissionUncertainError)
            made = [
                job for job in batch.sandbox.made if job.input["seed"] == one.error.submission.seed
            ]
            assert len(made) == 1
    assert batch.count.jobs == batch.count.posts == 5


@pytest.mark.parametrize("batch", ["sync", "async"], indirect=True)
def test_odd_error_after_a_post_is_found_by_the_next_run(
    batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger has the POST on record: its job is looked up, and nothing is bought again."""
    items = squares(tmp_path / "in", 3)
    with monkeypatch.context() as patch:
        odd = raising(parsing.parse_paid_job, first(1))
        patch.setattr(f"{OPERATIONS}.parse_paid_job", odd)
        assert statuses(batch(items)) == {"done": 2, "uncertain": 1}
    got = batch(items)
    assert statuses(got) == {"done": 3}
    check_each_has_one_job(batch, got)


@BOTH
def test_odd_error_before_a_post_is_a_failure(
    batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent for that item."""
    odd = raising(parsing.parse_upload, first(1))
    monkeypatch.setattr(f"{OPERATIONS}.parse_upload", odd)
    got = batch(squares(tmp_path / "in", 3))
    assert statuses(got) == {"done": 2, "failed": 1}
    assert [one.job for one in got if one.error] == [None]
    assert batch.count.jobs == 2


@BOTH
def test_odd_error_of_the_watch_leaves_nobody_waiting(
    batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who wait get an error with their own job."""

    def is_due() -> bool:
        return batch.count.jobs == 4

    for name in ("parse_job_page", "parse_job"):
        monkeypatch.setattr(f"{OPERATIONS}.{name}", raising(getattr(parsing, name), is_due))
    batch.sandbox.hold_jobs = True
    got = batch(squares(tmp_path / "in", 4))
    assert statuses(got) == {"failed": 4}
    check_each_has_one_job(batch, got)
    assert all(one.error is not None and one.error.job == one.job for one in got)


@BOTH
def test_odd_error_of_a_shared_look_up_leaves_nobody_waiting(
    batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All whose reply was lost stay uncertain, each with its own submission."""

    def is_due() -> bool:
        return batch.count.jobs > 0

    to_submits(batch.sandbox, *[drop(after=True)] * 3)
    odd = raising(parsing.parse_job_page, is_due)
    monkeypatch.setattr(f"{OPERATIONS}.parse_job_page", odd)
    got = batch(squares(tmp_path / "in", 3))
    assert statuses(got) == {"uncertain": 3}
    seeds = {
        one.error.submission.seed for one in got if isinstance(one.error, SubmissionUncertainError)
    }
    assert seeds == {job.input["seed"] for job in batch.sandbox.made[-3:]}
    assert batch.count.posts == 3


@pytest.mark.parametrize("batch", ["sync", "async"], indirect=True)
def test_job_survives_a_ledger_that_raises_anything(
    batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply named it, so it is waited for and downloaded."""

    def fail(_self: SqlLedger, _token: str, _job: Job) -> bool:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(SqlLedger, "record_job", fail)
    got = batch(squares(tmp_path / "in", 2))
    assert statuses(got) == {"done": 2}
    check_each_has_one_job(batch, got)


@BOTH
def test_owner_that_is_no_id_is_not_recorded(batch: Batches, tmp_path: Path) -> None:
    """Neither a database nor a path could take it."""

    def change(payload: Any) -> Any:
        return {"job": {**payload["job"], "ownerId": "proj_\ud800"}}

    batch.sandbox.faults.add(rewrite(change), GENERATE, method="POST", times=ALWAYS)
    batch.sandbox.faults.add(answer(200, {"jobs": []}), LIST, method="GET", times=1)
    got = batch(squares(tmp_path / "in", 2))
    assert statuses(got) == {"done": 2}
