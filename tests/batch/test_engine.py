"""Batches of both clients against the sandbox, which counts what is bought."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from batch_sessions import (
    ALWAYS,
    GENERATE,
    LIMITED,
    LIST,
    UPLOADS,
    Batches,
    MostRunning,
    clips,
    errors,
    no_threads_left,
    running,
    shapes,
    side_by_side,
    squares,
    statuses,
)
from ledger_rows import open_ledger, submitted
from scenario_reframe import (
    AuthenticationError,
    BatchEvent,
    BatchItem,
    BatchOutcome,
    InvalidBatchError,
    InvalidInputError,
    JobFailedError,
    LedgerBusyError,
    PermissionDeniedError,
    ReframeClient,
    ReframeError,
)
from scenario_reframe.batch import engine
from scenario_reframe.sandbox.faults import answer, rewrite
from timings import SOON

BOTH = pytest.mark.parametrize("batch", ["sync", "async"], indirect=True)
"""For what the bridge from threads to asyncio could do otherwise."""
KEPT_OR_NOT = pytest.mark.parametrize("batch", ["async", "async, no ledger"], indirect=True)


# --- the whole of it, and again ------------------------------------------------------------------


@pytest.mark.parametrize(
    "batch", ["sync", "async", "sync, no ledger", "async, no ledger"], indirect=True
)
def test_twelve_clips_in_two_shapes(batch: Batches, tmp_path: Path) -> None:
    """24 jobs, but 12 uploads; each outcome comes once, with its own file and its cost."""
    items = shapes(clips(tmp_path / "in", 12))
    got = batch(items)
    assert statuses(got) == {"done": 24}
    count = batch.count
    assert (count.jobs, count.posts, count.uploads) == (24, 24, 12)
    assert {id(one.item) for one in got} == {id(item) for item in items}
    names = {f"clip{place}-{shape}.mp4" for place in range(12) for shape in ("9x16", "1x1")}
    assert {path.name for path in batch.to.iterdir()} == names
    assert {(one.cost, one.taken_up, one.error) for one in got} == {(40.0, False, None)}
    batch.check_own(got)
    assert batch.kinds()[0] == "checked"
    assert (batch.kinds().count("submitted"), batch.kinds().count("uploading")) == (24, 12)


@BOTH
def test_second_run_continues_from_the_ledger_and_buys_nothing(
    batch: Batches, tmp_path: Path
) -> None:
    """Finished items are reported again; only missing files are fetched."""
    items = shapes(clips(tmp_path / "in", 3))
    first = {one.files: one.job.id for one in batch(items) if one.job}
    before = batch.count.all
    again = batch(items)
    assert batch.count.all == before
    assert statuses(again) == {"done": 6}
    assert all(one.taken_up for one in again)
    assert {one.files: one.job.id for one in again if one.job} == first
    jobs, results = batch.count.jobs, batch.count.results
    (batch.to / "clip1-1x1.mp4").unlink()
    got = batch(items)
    assert statuses(got) == {"done": 6}
    batch.check_own(got)
    assert (batch.count.jobs, batch.count.results) == (jobs, results + 1)


def test_two_batches_of_the_same_items(batch: Batches, tmp_path: Path) -> None:
    """At once, with one ledger: each item is bought once, and both report it as done."""
    batch.timing = evolve(SOON, longest_busy=600.0)
    items = shapes(clips(tmp_path / "in", 5))
    other = batch.beside()
    other.is_async = False
    for got in side_by_side(lambda: batch(items), lambda: other(items)):
        assert statuses(got) == {"done": 10}
        batch.check_own(got)
    assert batch.count.jobs == 10


def test_item_that_another_process_works_on_is_skipped(batch: Batches, tmp_path: Path) -> None:
    """If that takes long: nothing is sent for it, and the other process finishes it."""
    items = squares(tmp_path / "in", 1)
    other = batch.beside()
    other.is_async, other.timing = False, evolve(SOON, longest_busy=0.0)
    got: list[BatchOutcome] = []

    def on_event(event: BatchEvent) -> None:
        got.extend(other(items) if event.kind == "submitted" else [])

    assert statuses(batch(items, on_event=on_event)) == {"done": 1}
    assert statuses(got) == {"skipped": 1}
    assert errors(got, LedgerBusyError) == {"LedgerBusyError": 1}
    assert batch.count.posts == 1


# --- the limit -----------------------------------------------------------------------------------


@KEPT_OR_NOT
def test_limit_is_found_and_kept(batch: Batches, tmp_path: Path) -> None:
    """Three may run: all are done, each once, and few submits were refused."""
    sandbox = batch.sandbox
    sandbox.parallel_jobs, sandbox.hold_jobs = 3, True
    at_once: list[int] = []

    def on_event(event: BatchEvent) -> None:
        if event.kind == "limited":
            at_once.append(running(sandbox))
            sandbox.hold_jobs = False

    with MostRunning(sandbox) as most:
        got = batch(shapes(clips(tmp_path / "in", 5)), on_event=on_event)
    assert statuses(got) == {"done": 10}
    batch.check_own(got)
    assert at_once[0] == 3
    assert most.seen <= 3
    assert batch.count.jobs == 10
    assert batch.count.posts <= 20


def test_without_a_limit_all_jobs_run_at_once(batch: Batches, tmp_path: Path) -> None:
    """Twelve on a server without a limit: none ends before the last is submitted."""
    batch.timing = evolve(SOON, longest_wait=120.0)
    batch.sandbox.hold_jobs = True
    submitted_jobs: list[BatchEvent] = []

    def on_event(event: BatchEvent) -> None:
        submitted_jobs.extend([event] if event.kind == "submitted" else [])
        batch.sandbox.hold_jobs = len(submitted_jobs) < 12

    assert statuses(batch(squares(tmp_path / "in", 12), on_event=on_event)) == {"done": 12}


def test_concurrency_is_not_passed(batch: Batches, tmp_path: Path) -> None:
    """The caller's two, though the server would run more."""
    with MostRunning(batch.sandbox) as most:
        got = batch(squares(tmp_path / "in", 8), concurrency=2)
    assert statuses(got) == {"done": 8}
    assert most.seen <= 2


def test_slots_that_others_use_at_first(batch: Batches, tmp_path: Path) -> None:
    """All three are other people's for a while: refusals, then all are done, each once."""
    batch.sandbox.faults.add(answer(429, LIMITED), GENERATE, method="POST", times=12)
    got = batch(squares(tmp_path / "in", 6))
    assert statuses(got) == {"done": 6}
    batch.check_own(got)
    assert (batch.count.jobs, batch.count.posts) == (6, 18)


def test_jobs_of_another_process_use_slots(batch: Batches, tmp_path: Path) -> None:
    """Two may run, and two of its jobs do: none is submitted until one has ended."""
    sandbox = batch.sandbox
    sandbox.hold_jobs = True
    with ReframeClient(**batch.options) as other:
        for ratio in ("9:16", "16:9"):
            other.submit(clips(tmp_path / "theirs", 1)[0], aspect_ratio=ratio)
        seen: list[int] = []

        def on_event(event: BatchEvent) -> None:
            if event.kind == "limited":
                seen.append(batch.count.posts)
                sandbox.hold_jobs = False

        with MostRunning(sandbox) as most:
            got = batch(squares(tmp_path / "in", 4), concurrency=2, on_event=on_event)
    assert statuses(got) == {"done": 4}
    assert seen == [2]
    assert most.seen <= 2
    assert batch.count.jobs == 6


@pytest.mark.parametrize("of_this", [True, False], ids=["of this batch", "of another"])
def test_jobs_of_a_dead_run_use_slots_until_they_end(
    batch: Batches, tmp_path: Path, *, of_this: bool
) -> None:
    """Rows that a dead process left as submitted: their slots are free when the jobs end."""
    first = squares(tmp_path / "in", 4)
    assert statuses(batch(first)) == {"done": 4}
    batch.sql("UPDATE entries SET state = 'submitted', owner = NULL, lease_until = 0.0")
    if of_this:
        for file in batch.to.iterdir():
            file.unlink()
    items = first if of_this else squares(tmp_path / "more", 3)
    batch.to = batch.to if of_this else tmp_path / "out2"
    got = batch(items, concurrency=2)
    assert statuses(got) == {"done": len(items)}
    assert batch.count.jobs == 4 + (0 if of_this else 3)
    assert not batch.sql("SELECT 1 FROM entries WHERE state = 'submitted'")


def test_jobs_of_others_do_not_keep_a_batch_from_its_own(batch: Batches, tmp_path: Path) -> None:
    """Twenty of another process run on, and the server has room: all are done meanwhile."""
    box = batch.sandbox
    project = box.made[0].project_id if box.made else None
    other = open_ledger(
        batch.ledger, base_url=box.base_url, project_id=project, api_key=box.api_key
    )
    for number in range(20):
        submitted(other, number)
    assert statuses(batch(squares(tmp_path / "in", 3))) == {"done": 3}
    assert batch.count.jobs == 3
    other.close()


# --- what fails ----------------------------------------------------------------------------------


@BOTH
def test_one_failure_stops_nothing_else(batch: Batches, tmp_path: Path) -> None:
    """An upload and a submit fail; the others are done; the next run does what is missing."""
    items = squares(tmp_path / "in", 6)
    batch.sandbox.faults.add(answer(400, {"reason": "no"}), UPLOADS, method="POST")
    batch.sandbox.faults.add(answer(400, {"reason": "bad"}), GENERATE, method="POST")
    got = batch(items)
    assert statuses(got) == {"done": 4, "failed": 2}
    assert batch.count.jobs == 4
    assert all(one.job is None and one.cost is None for one in got if one.status == "failed")
    assert statuses(batch(items)) == {"done": 6}
    assert batch.count.jobs == 6


def test_failed_job_is_reported_with_its_cost(batch: Batches, tmp_path: Path) -> None:
    """It was paid for: the outcome has the job and its cost."""
    videos = clips(tmp_path / "in", 3)

    def fail(body: Any) -> Any:
        return {"jobs": [failed(job) if ratio(job) == "16:9" else job for job in body["jobs"]]}

    def ratio(job: Any) -> Any:
        return job["metadata"].get("input", {}).get("aspectRatio")

    def failed(job: Any) -> Any:
        return {**job, "status": "failure", "metadata": {**job["metadata"], "error": "too dark"}}

    batch.sandbox.faults.add(rewrite(fail), LIST, times=ALWAYS)
    items = [*shapes(videos[:2], ["1:1"]), *shapes(videos[2:], ["16:9"])]
    got = batch(items)
    assert statuses(got) == {"done": 2, "failed": 1}
    (bad,) = [one for one in got if one.status == "failed"]
    assert isinstance(bad.error, JobFailedError)
    assert "too dark" in str(bad.error)
    assert bad.job is not None
    assert (bad.item, bad.cost, batch.count.jobs) == (items[2], 40.0, 3)


def test_clip_that_vanishes_fails_alone(batch: Batches, tmp_path: Path) -> None:
    """It existed when everything was checked."""
    videos = clips(tmp_path / "in", 12)

    def remove(event: BatchEvent) -> None:
        if event.kind == "checked":
            videos[9].unlink()

    got = batch(shapes(videos, ["1:1"]), on_event=remove)
    assert statuses(got) == {"done": 11, "failed": 1}
    assert batch.count.jobs == 11


@BOTH
def test_all_bad_items_are_named_before_anything_is_sent(batch: Batches, tmp_path: Path) -> None:
    """A missing file, a wrong setting, a repeated output, one outside: each by its index."""
    (good,) = clips(tmp_path / "in", 1)
    items = [
        BatchItem(good),
        BatchItem(tmp_path / "none.mp4"),
        BatchItem(good, settings={"aspect_ratio": "7:1", "zoom": 3}),
        BatchItem(good, output="same.mp4"),
        BatchItem(good, output="./same.mp4"),
        BatchItem(good, output="../else.mp4"),
    ]
    with pytest.raises(InvalidBatchError) as caught:
        batch(items)
    assert [place for place, _ in caught.value.faults] == [1, 2, 2, 3, 4, 5]
    assert batch.count.all == 0


def test_existing_targets_are_named_before_anything_is_made(batch: Batches, tmp_path: Path) -> None:
    """Another program's file is not overwritten, nor one that appears later."""
    items = squares(tmp_path / "in", 2)
    batch.to.mkdir()
    theirs = batch.to / "clip1-1x1.mp4"
    theirs.write_text("theirs")
    with pytest.raises(InvalidBatchError) as caught:
        batch(items)
    assert [place for place, _ in caught.value.faults] == [1]
    assert batch.count.writes == 0
    theirs.unlink()
    got = batch(
        items,
        on_event=lambda event: theirs.write_text("theirs") if event.kind == "checked" else None,
    )
    assert statuses(got) == {"done": 1, "failed": 1}
    assert errors(got, InvalidInputError) == {"InvalidInputError": 1}
    assert (theirs.read_text(), batch.count.jobs) == ("theirs", 1)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
def test_refused_key_skips_the_rest(
    batch: Batches, tmp_path: Path, status: int, kind: type[ReframeError]
) -> None:
    """Nothing is uploaded except what was under way."""
    fault = answer(status, {"reason": "no"})
    batch.sandbox.faults.add(fault, GENERATE, method="POST", times=ALWAYS)
    got = batch(squares(tmp_path / "in", 20))
    found = statuses(got)
    assert found["failed"] + found["skipped"] == 20
    assert found["failed"] <= 2 * engine.PREPARING
    assert all(isinstance(one.error, kind) for one in got)
    assert batch.count.uploads <= 2 * engine.PREPARING
    assert batch.count.jobs == 0


def test_refused_asset_fails_alone(batch: Batches, tmp_path: Path) -> None:
    """A 403 for one result stops no other; its job is reported, and left to the next run."""
    items = squares(tmp_path / "in", 10)
    batch.sandbox.faults.add(answer(403, {"reason": "no"}), r"/v1/assets/", method="GET")
    got = batch(items)
    assert statuses(got) == {"done": 9, "failed": 1}
    (bad,) = [one for one in got if one.status == "failed"]
    assert bad.job is not None
    assert bad.cost == 40.0
    again = batch(items)
    assert statuses(again) == {"done": 10}
    assert bad.job.id in {one.job.id for one in again if one.job}
    assert batch.count.jobs == 10


# --- watching ------------------------------------------------------------------------------------


def test_waiting_goes_through_the_list(batch: Batches, tmp_path: Path) -> None:
    """No job that the list shows is read by its id."""
    assert statuses(batch(shapes(clips(tmp_path / "in", 4)))) == {"done": 8}
    assert batch.count.by_id == 0


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "lags"])
def test_jobs_that_the_list_does_not_show_are_read_by_id(
    batch: Batches, tmp_path: Path, *, refused: bool
) -> None:
    """This key may not read the list, or the list lags for an hour."""
    if refused:
        batch.sandbox.faults.add(answer(403, {"reason": "no"}), LIST, times=ALWAYS)
    batch.sandbox.list_lag = 0.0 if refused else 3600.0
    batch.timing = evolve(SOON, unheard=0.1)
    assert statuses(batch(shapes(clips(tmp_path / "in", 6)))) == {"done": 12}
    assert batch.count.jobs == 12


# --- the caller's function ------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("checked", BrokenPipeError),
        ("uploading", BrokenPipeError),
        ("submitted", BrokenPipeError),
        ("updated", InvalidInputError),
        ("downloading", InvalidInputError),
        ("downloading", ZeroDivisionError),
    ],
)
def test_error_of_on_event_is_raised_unchanged(
    batch: Batches, tmp_path: Path, kind: str, error: type[Exception]
) -> None:
    """Any error ends the batch at once; the next run continues what was bought."""
    items = shapes(clips(tmp_path / "in", 5))
    raised: list[Exception] = []

    def fail(event: BatchEvent) -> None:
        if event.kind == kind:
            raised.append(error("mine"))
            raise raised[-1]

    with pytest.raises(error) as caught:
        batch(items, on_event=fail)
    assert caught.value in raised
    assert no_threads_left()
    assert statuses(batch(items)) == {"done": 10}
    assert batch.count.jobs == 10


@pytest.mark.parametrize("batch", ["async, no ledger"], indirect=True)
def test_on_event_may_be_a_coroutine_function(batch: Batches, tmp_path: Path) -> None:
    """The async client awaits it."""
    told: list[str] = []

    async def on_event(event: BatchEvent) -> None:
        told.append(event.kind)

    assert statuses(batch(shapes(clips(tmp_path / "in", 2)), on_event=on_event)) == {"done": 4}
    assert told.count("submitted") == 4
