"""Batches of both clients against the sandbox: what is bought is counted on its side."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import pytest
from attrs import evolve

from batch_sessions import (
    Batches,
    Count,
    clips,
    no_threads_left,
    shapes,
    statuses,
)
from scenario_reframe import (
    AuthenticationError,
    BatchEvent,
    BatchItem,
    BatchOutcome,
    InvalidBatchError,
    InvalidInputError,
    Job,
    JobFailedError,
    PermissionDeniedError,
    ReframeError,
    Submission,
    SubmissionUncertainError,
)
from scenario_reframe.batch import engine, road
from scenario_reframe.batch.budgeting import BudgetSpentError
from scenario_reframe.batch.limiting import Limit
from scenario_reframe.ledger import Ledger
from scenario_reframe.recording import Wanted
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, drop, rewrite
from scenario_reframe.timing import Timing
from timings import SOON

GENERATE, LIST, UPLOADS = r"/generate/", r"/jobs$", r"/uploads$"
LIMITED = {"reason": "Too many parallel jobs", "details": {"actionName": "p", "actionLimit": 3}}
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"], indirect=True)
"""For what the bridge from threads to asyncio could do otherwise."""


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox for the module; its counts are compared before and after."""
    with Sandbox(fast=True, stage_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    """The sandbox, which does as it is told again when the test is over."""
    yield running
    running.faults.clear()
    running.parallel_jobs, running.list_lag, running.hold_jobs = None, 0.0, False


@pytest.fixture
def is_async(request: pytest.FixtureRequest) -> bool:
    """Which client: the async one, since one engine does the work of both; or as `BOTH` says."""
    return bool(getattr(request, "param", True))


@pytest.fixture
def batch(sandbox: Sandbox, tmp_path: Path, *, is_async: bool) -> Iterator[Batches]:
    """Batches of either client with a ledger; none leaves a thread behind."""
    yield Batches(sandbox, tmp_path / "out", tmp_path / "ledger.db", is_async=is_async)
    assert no_threads_left()


@pytest.fixture
def sync_batch(sandbox: Sandbox, tmp_path: Path) -> Batches:
    """Batches of the sync client with a ledger."""
    return Batches(sandbox, tmp_path / "out", tmp_path / "ledger.db", is_async=False)


@pytest.fixture
def count(sandbox: Sandbox) -> Count:
    """What the sandbox counted since the test began."""
    return Count(sandbox)


def rows(batch: Batches, columns: str) -> list[tuple[Any, ...]]:
    """What is in the ledger."""
    assert batch.ledger is not None
    connection = sqlite3.connect(batch.ledger, timeout=10)
    try:
        return connection.execute(f"SELECT {columns} FROM entries ORDER BY id").fetchall()  # noqa: S608
    finally:
        connection.close()


def write(batch: Batches, statement: str) -> None:
    """Change the ledger behind the client's back."""
    assert batch.ledger is not None
    connection = sqlite3.connect(batch.ledger, timeout=10)
    with connection:
        connection.execute(statement)
    connection.close()


def ordered(outcomes: list[BatchOutcome]) -> list[BatchOutcome]:
    """By the places of their files."""
    return sorted(outcomes, key=lambda one: one.files)


def errors(outcomes: list[BatchOutcome]) -> set[str]:
    """The kinds of the errors."""
    return {type(one.error).__name__ for one in outcomes if one.error is not None}


# --- the whole of it, and again ------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("keeps", [True, False], ids=["ledger", "none"])
def test_twelve_clips_in_two_shapes(
    batch: Batches, count: Count, tmp_path: Path, *, keeps: bool
) -> None:
    """24 jobs, but 12 uploads; every outcome is told once, with its file and its cost."""
    batch.ledger = batch.ledger if keeps else None
    items = shapes(clips(tmp_path / "in", 12))
    got = batch(items)
    assert statuses(got) == {"done": 24}
    assert (count.jobs, count.posts, count.uploads) == (24, 24, 12)
    assert {id(one.item) for one in got} == {id(item) for item in items}
    made = {job.id: job for job in batch.sandbox.made}
    names = {f"clip{place}-{shape}.mp4" for place in range(12) for shape in ("9x16", "1x1")}
    assert {path.name for path in batch.to.iterdir()} == names
    for one in got:
        assert one.job is not None
        (file,) = one.files
        settings = made[one.job.id].input
        assert file.name.endswith(f"{settings['aspectRatio'].replace(':', 'x')}.mp4")
        assert (one.cost, one.taken_up, one.error) == (40.0, False, None)
    assert batch.kinds()[0] == "checked"
    assert (batch.kinds().count("submitted"), batch.kinds().count("uploading")) == (24, 12)


@BOTH
def test_run_again_takes_all_up_and_asks_nothing(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """What is done is told again, from the ledger alone."""
    items = shapes(clips(tmp_path / "in", 3))
    first = batch(items)
    before = count.all
    again = batch(items)
    assert count.all == before
    assert statuses(again) == {"done": 6}
    assert all(one.taken_up for one in again)
    assert {one.files for one in again} == {one.files for one in first}
    assert [one.job.id for one in ordered(again) if one.job] == [
        one.job.id for one in ordered(first) if one.job
    ]


def test_deleted_output_is_downloaded_and_not_bought_again(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """One file of six is gone: one download more, no job more."""
    items = shapes(clips(tmp_path / "in", 3))
    batch(items)
    target = batch.to / "clip1-1x1.mp4"
    content = target.read_bytes()
    target.unlink()
    jobs, results = count.jobs, count.results
    assert statuses(batch(items)) == {"done": 6}
    assert (count.jobs, count.results) == (jobs, results + 1)
    assert target.read_bytes() == content


# --- the limit -----------------------------------------------------------------------------------


class Most:
    """The most jobs that ran side by side, asked for again and again."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._end, self.seen = sandbox, Event(), 0
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.002):
            self.seen = max(self.seen, self._sandbox._state.running())


@pytest.mark.parametrize("keeps", [True, False], ids=["ledger", "none"])
def test_limit_is_found_and_kept(
    batch: Batches, count: Count, tmp_path: Path, *, keeps: bool
) -> None:
    """Three may run: all is done, and few submits were refused."""
    batch.ledger = batch.ledger if keeps else None
    sandbox = batch.sandbox
    sandbox.parallel_jobs, sandbox.hold_jobs = 3, True
    at_once: list[int] = []

    def on_event(event: BatchEvent) -> None:
        if event.kind == "limited":
            at_once.append(sandbox._state.running())
            sandbox.hold_jobs = False

    with Most(sandbox) as most:
        got = batch(shapes(clips(tmp_path / "in", 5)), on_event=on_event)
    assert statuses(got) == {"done": 10}
    assert at_once[0] == 3
    assert most.seen <= 3
    assert count.jobs == 10
    assert count.posts <= 20


def test_raised_limit_is_found(
    sync_batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at first, then eight: what the run allows itself creeps up."""
    limits: list[Limit] = []

    def made(_concurrency: int | None, timing: Timing) -> Limit:
        limits.append(Limit(timing=timing))
        return limits[-1]

    monkeypatch.setattr(Limit, "of", made)
    sync_batch.timing = evolve(SOON, limit_memory=0.0)
    sync_batch.sandbox.parallel_jobs = 1
    before: list[int] = []

    def on_event(event: BatchEvent) -> None:
        if event.kind == "limited":
            before.append(limits[0].now)
            sync_batch.sandbox.parallel_jobs = 8

    outcomes = sync_batch(shapes(clips(tmp_path / "in", 16), ["1:1"]), on_event=on_event)
    assert statuses(outcomes) == {"done": 16}
    assert before[0] == 1
    assert limits[0].now >= 4


def test_concurrency_is_not_passed(batch: Batches, tmp_path: Path) -> None:
    """The caller's two, though the server would run more."""
    with Most(batch.sandbox) as most:
        got = batch(shapes(clips(tmp_path / "in", 8), ["1:1"]), concurrency=2)
    assert statuses(got) == {"done": 8}
    assert most.seen <= 2


def test_slots_that_others_hold_at_first(batch: Batches, count: Count, tmp_path: Path) -> None:
    """All three are other people's for a while: refusals, then everything is done."""
    batch.sandbox.faults.add(answer(429, LIMITED), GENERATE, method="POST", times=12)
    assert statuses(batch(shapes(clips(tmp_path / "in", 6), ["1:1"]))) == {"done": 6}
    assert (count.jobs, count.posts) == (6, 18)


def test_refusal_that_was_none_is_not_paid_twice(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """A 429 in the vendor's words, but the job was made; the first look misses it: it is found."""
    batch.sandbox.faults.add(answer(429, LIMITED, after=True), GENERATE, method="POST")
    batch.sandbox.faults.add(rewrite(lambda body: body | {"jobs": []}), LIST, times=2)
    got = batch(shapes(clips(tmp_path / "in", 1), ["1:1"]))
    assert statuses(got) == {"done": 1}
    assert count.jobs == 1


@pytest.mark.parametrize("of_this", [True, False], ids=["of this batch", "of another"])
def test_jobs_of_a_dead_run_hold_slots_until_they_end(
    batch: Batches, count: Count, tmp_path: Path, *, of_this: bool
) -> None:
    """Rows that a gone process left as submitted: their slots come free when the jobs have."""
    first = clips(tmp_path / "in", 4)
    assert statuses(batch(shapes(first, ["1:1"]))) == {"done": 4}
    write(batch, "UPDATE entries SET state = 'submitted', owner = NULL, lease_until = 0.0")
    before = count.jobs
    if of_this:
        for file in batch.to.iterdir():
            file.unlink()
    videos = first if of_this else clips(tmp_path / "more", 3)
    batch.to = batch.to if of_this else tmp_path / "out2"
    got = batch(shapes(videos, ["1:1"]), concurrency=2)
    assert statuses(got) == {"done": len(videos)}
    assert count.jobs == before + (0 if of_this else 3)
    assert not [state for (state,) in rows(batch, "state") if state == "submitted"]


@BOTH
def test_two_clients_at_the_same_items(
    batch: Batches, count: Count, tmp_path: Path, sandbox: Sandbox, *, is_async: bool
) -> None:
    """At once, with one ledger: each item is bought once; the other is told it is busy, or done."""
    items = shapes(clips(tmp_path / "in", 3))
    other = Batches(sandbox, batch.to, batch.ledger, is_async=is_async)
    Ledger(tmp_path / "ledger.db").close()  # the tables are there
    found: list[list[BatchOutcome]] = []
    threads = [Thread(target=lambda one=one: found.append(one(items))) for one in (batch, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert count.jobs == 6
    for got in found:
        assert len(got) == 6
        assert {one.status for one in got} <= {"done", "skipped"}
        assert errors(got) <= {"LedgerBusyError"}
    assert statuses(batch(items)) == {"done": 6}
    assert count.jobs == 6


def test_jobs_of_others_do_not_keep_a_batch_from_its_own(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """Twenty of a living process run on, and the server has room: all is done meanwhile."""
    other = Ledger(tmp_path / "ledger.db", base_url=batch.sandbox.base_url)
    for seed in range(20):
        hold = other.take(Wanted(key=str(seed), output=f"/elsewhere/{seed}.mp4"))
        sent = Submission(seed=seed, body={"seed": seed}, started_at=datetime.now(UTC))
        hold.begin_post(sent)
        hold.posted(Job(id=f"job_of_another_{seed}", status="queued"))
        hold.released()
    other.close()
    assert statuses(batch(shapes(clips(tmp_path / "in", 3), ["1:1"]))) == {"done": 3}
    assert count.jobs == 3


# --- budget --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "jobs"), [(120, 3), (119, 2), (39, 0), (0, 0), (1e9, 5)])
def test_budget_is_not_passed(
    batch: Batches, count: Count, tmp_path: Path, budget: float, jobs: int
) -> None:
    """40 a piece: exact, too small for one more, too small for any, none, plenty."""
    got = batch(shapes(clips(tmp_path / "in", 5), ["1:1"]), budget=budget)
    assert count.jobs == jobs
    assert statuses(got) == {
        status: number for status, number in (("done", jobs), ("skipped", 5 - jobs)) if number
    }
    assert errors(got) <= {BudgetSpentError.__name__}
    if budget == 0:
        assert count.all == 0


@pytest.mark.parametrize("named", [True, False], ids=["cost named", "cost not named"])
def test_budget_counts_what_was_bought_before(
    batch: Batches, count: Count, tmp_path: Path, *, named: bool
) -> None:
    """Two runs with the same budget buy what it allows, not twice that."""
    if not named:
        batch.sandbox.faults.add(rewrite(without_billing), r"/generate/|/jobs", times=10_000)
    items = shapes(clips(tmp_path / "in", 5), ["1:1"])
    assert statuses(batch(items, budget=80)) == {"done": 2, "skipped": 3}
    assert statuses(batch(items, budget=80)) == {"done": 2, "skipped": 3}
    assert statuses(batch(items, budget=120)) == {"done": 3, "skipped": 2}
    assert count.jobs == 3


def without_billing(body: Any) -> Any:
    """A reply whose jobs say nothing of their costs."""
    if "job" in body:
        return body | {"job": {**body["job"], "billing": None}}
    if "jobs" in body:
        return body | {"jobs": [{**job, "billing": None} for job in body["jobs"]]}
    return body


def test_uncertain_jobs_count_in_the_budget(batch: Batches, count: Count, tmp_path: Path) -> None:
    """A lost answer may have been a paid job: the next run does not spend its price again."""
    items = shapes(clips(tmp_path / "in", 3), ["1:1"])
    batch.sandbox.faults.add(lose_submits(1), GENERATE, method="POST", times=1000)
    got = batch(items, budget=80)
    assert statuses(got) == {"done": 1, "skipped": 1, "uncertain": 1}
    assert statuses(batch(items, budget=80)) == {"done": 1, "skipped": 1, "uncertain": 1}
    assert count.jobs == 1


def lose_submits(times: int, *, after: bool = False) -> Any:
    """Lose the replies of so many submits, dry runs apart."""
    left = [times]
    losing = drop(after=after)

    async def fault(app: Any, scope: Any, receive: Any, send: Any) -> None:
        if b"dryRun" in scope["query_string"] or not left[0]:
            await app(scope, receive, send)
            return
        left[0] -= 1
        await losing(app, scope, receive, send)

    return fault


def test_dry_run_that_was_paid_ends_the_estimating(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """The server takes dry runs for orders: that is told at once, and not repeated for all."""
    batch.sandbox.faults.add(order_dry_runs, GENERATE, method="POST", times=1000)
    got = batch(shapes(clips(tmp_path / "in", 17), ["1:1"]), budget=10_000)
    assert len(got) == 17
    assert count.jobs <= engine.PREPARING
    assert any(one.job is not None for one in got)


async def order_dry_runs(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """A server that ignores `dryRun`."""
    await app({**scope, "query_string": b""}, receive, send)


# --- what fails ----------------------------------------------------------------------------------


@BOTH
def test_one_failure_stops_nothing_else(batch: Batches, count: Count, tmp_path: Path) -> None:
    """An upload, a submit and a job fail; the others are done, and every outcome is told."""
    videos = clips(tmp_path / "in", 6)
    batch.sandbox.faults.add(answer(400, {"reason": "no"}), UPLOADS, method="POST")
    batch.sandbox.faults.add(answer(400, {"reason": "bad"}), GENERATE, method="POST")
    got = batch(shapes(videos, ["1:1"]))
    assert statuses(got) == {"done": 4, "failed": 2}
    assert count.jobs == 4
    assert all(one.job is None and one.cost is None for one in got if one.status == "failed")
    assert statuses(batch(shapes(videos, ["1:1"]))) == {"done": 6}
    assert count.jobs == 6


def test_failed_job_is_told_with_its_cost(batch: Batches, count: Count, tmp_path: Path) -> None:
    """It was paid: the outcome names the job and what it cost."""
    videos = clips(tmp_path / "in", 3)

    def fail(body: Any) -> Any:
        return {"jobs": [failed(job) if ratio(job) == "16:9" else job for job in body["jobs"]]}

    def ratio(job: Any) -> Any:
        return job["metadata"].get("input", {}).get("aspectRatio")

    def failed(job: Any) -> Any:
        return {**job, "status": "failure", "metadata": {**job["metadata"], "error": "too dark"}}

    batch.sandbox.faults.add(rewrite(fail), LIST, times=10_000)
    items = [*shapes(videos[:2], ["1:1"]), *shapes(videos[2:], ["16:9"])]
    got = batch(items)
    assert statuses(got) == {"done": 2, "failed": 1}
    (bad,) = [one for one in got if one.status == "failed"]
    assert isinstance(bad.error, JobFailedError)
    assert "too dark" in str(bad.error)
    assert bad.job is not None
    assert (bad.item, bad.cost, count.jobs) == (items[2], 40.0, 3)


def test_clip_that_vanishes_fails_alone(batch: Batches, count: Count, tmp_path: Path) -> None:
    """It was there when everything was checked."""
    videos = clips(tmp_path / "in", 12)

    def remove(event: BatchEvent) -> None:
        if event.kind == "checked":
            videos[9].unlink()

    got = batch(shapes(videos, ["1:1"]), on_event=remove)
    assert statuses(got) == {"done": 11, "failed": 1}
    assert count.jobs == 11


@BOTH
def test_bad_items_are_all_told_before_anything_is_sent(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """A missing file, a wrong setting, an output twice, one outside: each by its place."""
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
    assert count.all == 0


def test_occupied_targets_are_told_before_anything_is_sent(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """A file of somebody else's is not overwritten; nor is one that comes up later."""
    videos = clips(tmp_path / "in", 2)
    batch.to.mkdir()
    theirs = batch.to / "clip1-1x1.mp4"
    theirs.write_text("theirs")
    with pytest.raises(InvalidBatchError) as caught:
        batch(shapes(videos, ["1:1"]))
    assert [place for place, _ in caught.value.faults] == [1]
    assert count.all == 0
    theirs.unlink()
    got = batch(
        shapes(videos, ["1:1"]),
        on_event=lambda event: theirs.write_text("theirs") if event.kind == "checked" else None,
    )
    assert statuses(got) == {"done": 1, "failed": 1}
    assert errors(got) == {InvalidInputError.__name__}
    assert (theirs.read_text(), count.jobs) == ("theirs", 1)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
def test_refused_key_skips_the_rest(
    batch: Batches, count: Count, tmp_path: Path, status: int, kind: type[ReframeError]
) -> None:
    """Nothing more is uploaded than what was under way."""
    batch.sandbox.faults.add(answer(status, {"reason": "no"}), GENERATE, method="POST", times=1000)
    got = batch(shapes(clips(tmp_path / "in", 20), ["1:1"]))
    found = statuses(got)
    assert found["failed"] + found["skipped"] == 20
    assert found["failed"] <= 2 * engine.PREPARING
    assert all(isinstance(one.error, kind) for one in got)
    assert count.uploads <= 2 * engine.PREPARING
    assert count.jobs == 0


def test_refused_asset_fails_alone(batch: Batches, count: Count, tmp_path: Path) -> None:
    """A 403 that is about one result stops no other; its job is told, and kept for the next run."""
    items = shapes(clips(tmp_path / "in", 10), ["1:1"])
    batch.sandbox.faults.add(answer(403, {"reason": "no"}), r"/v1/assets/", method="GET")
    got = batch(items)
    assert statuses(got) == {"done": 9, "failed": 1}
    (bad,) = [one for one in got if one.status == "failed"]
    assert bad.job is not None
    assert bad.cost == 40.0
    again = batch(items)
    assert statuses(again) == {"done": 10}
    assert bad.job.id in {one.job.id for one in again if one.job}
    assert count.jobs == 10


# --- lost answers --------------------------------------------------------------------------------


@BOTH
def test_lost_answer_of_an_accepted_submit(batch: Batches, count: Count, tmp_path: Path) -> None:
    """Its job is found by its seed."""
    batch.sandbox.faults.add(drop(after=True), GENERATE, method="POST", times=2)
    assert statuses(batch(shapes(clips(tmp_path / "in", 4), ["1:1"]))) == {"done": 4}
    assert (count.jobs, count.posts) == (4, 4)


def test_lost_answer_of_a_submit_that_never_came(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """Uncertain in this run and the next; with leave, it is bought: once."""
    items = shapes(clips(tmp_path / "in", 3), ["1:1"])
    batch.sandbox.faults.add(drop(), GENERATE, method="POST")
    got = batch(items)
    assert statuses(got) == {"done": 2, "uncertain": 1}
    assert errors(got) == {SubmissionUncertainError.__name__}
    assert statuses(batch(items)) == {"done": 2, "uncertain": 1}
    write(batch, "UPDATE entries SET settled_at = settled_at - 3600, posted_at = posted_at - 3600")
    assert statuses(batch(items, resubmit_after=0.0)) == {"done": 3}
    assert (count.jobs, count.posts) == (3, 4)


def test_with_leave_a_lost_submit_goes_out_again_in_the_same_run(
    batch: Batches, count: Count, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once nothing of it can be accepted any more."""
    monkeypatch.setattr(road.ItemRoad, "_settled_for", lambda *_: 1.0)
    batch.sandbox.faults.add(drop(), GENERATE, method="POST")
    items = shapes(clips(tmp_path / "in", 3), ["1:1"])
    assert statuses(batch(items, resubmit_after=0.5)) == {"done": 3}
    assert (count.jobs, count.posts) == (3, 4)


def test_with_leave_an_accepted_submit_that_is_listed_late_is_not_made_twice(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """It is waited for as long as the caller said."""
    batch.sandbox.list_lag = 0.4
    batch.sandbox.faults.add(drop(after=True), GENERATE, method="POST")
    items = shapes(clips(tmp_path / "in", 2), ["1:1"])
    assert statuses(batch(items, resubmit_after=1.0)) == {"done": 2}
    assert (count.jobs, count.posts) == (2, 2)


def test_put_off_item_that_cannot_be_looked_for_is_not_bought_anew(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """Refused with 429 although made; then the list cannot be read: the next run finds the job."""
    items = shapes(clips(tmp_path / "in", 1), ["1:1"])
    batch.sandbox.faults.add(answer(429, LIMITED, after=True), GENERATE, method="POST")
    batch.sandbox.faults.add(answer(503), LIST, times=1000)
    assert statuses(batch(items)) == {"uncertain": 1}
    batch.sandbox.faults.clear()
    assert statuses(batch(items)) == {"done": 1}
    assert count.jobs == 1


# --- watching ------------------------------------------------------------------------------------


def test_waiting_goes_through_the_list(batch: Batches, count: Count, tmp_path: Path) -> None:
    """No job is asked for by its id when the list shows it."""
    assert statuses(batch(shapes(clips(tmp_path / "in", 4)))) == {"done": 8}
    made = [job.id for job in batch.sandbox.made[-8:]]
    assert sum(count.seen("GET", job_id) for job_id in made) == 0


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "lags"])
def test_jobs_that_the_list_does_not_show_are_asked_for(
    batch: Batches, count: Count, tmp_path: Path, *, refused: bool
) -> None:
    """The list is not open to this key, or lags for an hour."""
    if refused:
        batch.sandbox.faults.add(answer(403, {"reason": "no"}), LIST, times=10_000)
    batch.sandbox.list_lag = 0.0 if refused else 3600.0
    batch.timing = evolve(SOON, unheard=0.1)
    assert statuses(batch(shapes(clips(tmp_path / "in", 6)))) == {"done": 12}
    assert count.jobs == 12


# --- the end of it -------------------------------------------------------------------------------


@BOTH
def test_left_early_leaves_nothing_and_is_taken_up(
    batch: Batches, count: Count, tmp_path: Path
) -> None:
    """After the first outcome: no thread, no task; the next run buys what is missing, no more."""
    items = shapes(clips(tmp_path / "in", 5))

    def on_event(event: BatchEvent) -> None:
        if event.kind == "downloading":
            batch.sandbox.hold_jobs = True

    assert len(batch(items, most=1, concurrency=2, on_event=on_event)) == 1
    assert no_threads_left()
    bought = count.jobs
    assert bought < 10
    batch.sandbox.hold_jobs = False
    on_record = [job for (job, state) in rows(batch, "job_id, state") if job or state != "failed"]
    assert len(on_record) >= bought
    assert statuses(batch(items)) == {"done": 10}
    assert count.jobs == 10


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
def test_error_of_on_event_comes_out_as_itself(
    batch: Batches, count: Count, tmp_path: Path, kind: str, error: type[Exception]
) -> None:
    """Whatever it is, it ends the batch at once; what was bought is taken up by the next."""
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
    assert count.jobs == 10


def test_on_event_may_be_a_coroutine_function(sandbox: Sandbox, tmp_path: Path) -> None:
    """In the async client, it is awaited."""
    batch = Batches(sandbox, tmp_path / "out", None, is_async=True)
    told: list[str] = []

    async def on_event(event: BatchEvent) -> None:
        told.append(event.kind)

    assert statuses(batch(shapes(clips(tmp_path / "in", 2)), on_event=on_event)) == {"done": 4}
    assert told.count("submitted") == 4


def test_ctrl_c_while_waiting_for_an_outcome(
    sync_batch: Batches, count: Count, tmp_path: Path
) -> None:
    """The consumer is interrupted: the engine's thread ends, and the jobs are on record."""
    items = shapes(clips(tmp_path / "in", 4))

    def interrupt(_outcome: BatchOutcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync_batch(items, on_outcome=interrupt)
    assert no_threads_left()
    assert statuses(sync_batch(items)) == {"done": 8}
    assert count.jobs == 8
