"""Batches whose replies are lost or not awaited: each row gets its own job, and none gets two."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from threading import Event, Lock
from typing import Any
from urllib.parse import parse_qs

import pytest
from attrs import evolve
from starlette.types import ASGIApp, Receive, Scope, Send

from batch_sessions import (
    ALWAYS,
    LIMITED,
    LIST,
    PRICED,
    Batches,
    batches,
    clips,
    errors,
    no_threads_left,
    squares,
    statuses,
    to_submits,
)
from ledger_sessions import held
from scenario_reframe import (
    AsyncReframeClient,
    BatchEvent,
    BatchItem,
    BatchOutcome,
    LedgerBusyError,
    SubmissionUncertainError,
)
from scenario_reframe.batch.engine import PREPARING
from scenario_reframe.batch.submit_slots import Slots
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import Fault, answer, drop
from timings import SOON

EVERY = pytest.mark.parametrize(
    "batch", ["sync", "async", "sync, no ledger", "async, no ledger"], indirect=True
)
KEPT_OR_NOT = pytest.mark.parametrize("batch", ["async", "sync, no ledger"], indirect=True)
LOST = drop(after=True)
"""The job is made, and its reply is lost."""
NEVER_CAME = drop()


# --- seeds that the client draws -----------------------------------------------------------------


@EVERY
def test_lost_replies_to_accepted_submits(batch: Batches, tmp_path: Path) -> None:
    """Each job is found by its seed."""
    left = to_submits(batch.sandbox, LOST, None, LOST)
    got = batch(squares(tmp_path / "in", 4))
    assert statuses(got) == {"done": 4}
    batch.check_own(got)
    assert (len(left), batch.count.jobs, batch.count.posts) == (0, 4, 4)


def test_lost_reply_to_a_submit_that_never_arrived(batch: Batches, tmp_path: Path) -> None:
    """Uncertain in this run and the next; with permission it is bought, once."""
    items = squares(tmp_path / "in", 3)
    to_submits(batch.sandbox, NEVER_CAME)
    for _ in range(2):
        got = batch(items)
        assert statuses(got) == {"done": 2, "uncertain": 1}
        assert errors(got, SubmissionUncertainError) == {"SubmissionUncertainError": 1}
    assert batch.count.posts == 3
    got = batch(items, resubmit_after=0.0)
    assert statuses(got) == {"done": 3}
    batch.check_own(got)
    assert (batch.count.jobs, batch.count.posts) == (3, 4)


@KEPT_OR_NOT
def test_with_permission_it_is_resubmitted_in_the_same_run(batch: Batches, tmp_path: Path) -> None:
    """The run waits for the given seconds; the seed is the same."""
    left = to_submits(batch.sandbox, NEVER_CAME, None, NEVER_CAME)
    got = batch(squares(tmp_path / "in", 3), resubmit_after=0.5)
    assert statuses(got) == {"done": 3}
    batch.check_own(got)
    assert (len(left), batch.count.jobs, batch.count.posts) == (0, 3, 5)


@KEPT_OR_NOT
def test_with_permission_a_job_that_is_listed_late_is_not_made_twice(
    batch: Batches, tmp_path: Path
) -> None:
    """It is listed within the given seconds, long after the usual look-ups."""
    batch.sandbox.list_lag = 3600.0
    looks = list_after(batch.sandbox, 8)
    to_submits(batch.sandbox, LOST)
    got = batch(squares(tmp_path / "in", 1), resubmit_after=600.0)
    assert statuses(got) == {"done": 1}
    assert looks() >= 8
    assert (batch.count.jobs, batch.count.posts) == (1, 1)


def list_after(sandbox: Sandbox, looks: int) -> Callable[[], int]:
    """Show all jobs in the list after so many look-ups since a submit."""
    before = len(sandbox.requests)

    def looked() -> int:
        new = [one.path for one in sandbox.requests[before:]]
        submits = [place for place, path in enumerate(new) if "/generate/" in path]
        return sum(path.endswith("/jobs") for path in new[submits[0] :]) if submits else 0

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if looked() >= looks:
            sandbox.list_lag = 0.0
        await app(scope, receive, send)

    sandbox.faults.add(fault, LIST, times=ALWAYS)
    return looked


def test_lost_submits_share_the_readings_of_the_list(tmp_path: Path) -> None:
    """Many are lost at once: the list is not read for each of them."""
    number = PREPARING
    with Sandbox(fast=True, stage_seconds=0.02) as box, batches(box, tmp_path) as batch:

        async def until_all_are_lost(
            app: ASGIApp, scope: Scope, receive: Receive, send: Send
        ) -> None:
            while batch.count.posts and not all_are_lost():  # noqa: ASYNC110 - rows of another thread
                await asyncio.sleep(0.01)
            await app(scope, receive, send)

        def all_are_lost() -> bool:
            query = "SELECT count(*) FROM posts WHERE outcome IN ('uncertain', 'made')"
            return batch.sql(query) == [(number,)]

        to_submits(box, *[LOST] * number)
        box.faults.add(until_all_are_lost, LIST, times=ALWAYS)
        got = batch(squares(tmp_path / "in", number), concurrency=number)
        assert statuses(got) == {"done": number}
        batch.check_own(got)
        assert (batch.count.jobs, batch.count.posts) == (number, number)
        # One that the first started, one for all others; and one more for latecomers.
        assert 1 <= sum(is_look_up(one.query, box) for one in box.requests) <= 3


def is_look_up(query: str, box: Sandbox) -> bool:
    """Whether a reading of the list goes back a day: those for watching do not."""
    first = box.made[0].created
    after = parse_qs(query).get("createdAfter", [])
    return any(datetime.fromisoformat(one).timestamp() < first - 3600 for one in after)


# --- 429 -----------------------------------------------------------------------------------------


@EVERY
def test_job_that_was_made_despite_a_429_is_not_bought_twice(
    batch: Batches, tmp_path: Path
) -> None:
    """It is listed only after the first look-up."""
    batch.sandbox.list_lag = 3600.0

    def on_event(event: BatchEvent) -> None:
        if event.kind == "limited":
            batch.sandbox.list_lag = 0.0

    left = to_submits(batch.sandbox, answer(429, LIMITED, after=True))
    got = batch(squares(tmp_path / "in", 2), concurrency=1, on_event=on_event)
    assert statuses(got) == {"done": 2}
    batch.check_own(got)
    assert (len(left), batch.count.jobs, batch.count.posts) == (0, 2, 2)


@pytest.mark.parametrize("body", [LIMITED, "<h1>Too many</h1>", None], ids=["api", "proxy", "bare"])
def test_429_from_api_or_proxy_is_repeated(batch: Batches, tmp_path: Path, body: Any) -> None:
    """Every third submit is refused: all are done, each once."""
    left = to_submits(batch.sandbox, *[None, None, answer(429, body)] * 3)
    got = batch(squares(tmp_path / "in", 8))
    assert statuses(got) == {"done": 8}
    batch.check_own(got)
    assert (len(left), batch.count.jobs, batch.count.posts) == (0, 8, 11)


def test_refused_item_that_cannot_be_looked_up_is_not_bought_again(
    batch: Batches, tmp_path: Path
) -> None:
    """A 429, though made; the list cannot be read: the next run finds the job."""
    items = squares(tmp_path / "in", 1)
    to_submits(batch.sandbox, answer(429, LIMITED, after=True))
    batch.sandbox.faults.add(answer(503), LIST, times=ALWAYS)
    assert statuses(batch(items)) == {"uncertain": 1}
    batch.sandbox.faults.clear()
    got = batch(items)
    assert statuses(got) == {"done": 1}
    batch.check_own(got)
    assert batch.count.jobs == 1


# --- a seed that the caller gave ------------------------------------------------------------------

PROMPTS = ("a street in the rain", None, "a field")


def seeded(folder: Path) -> list[BatchItem]:
    """Ten clips with three prompts each, one of them blank, all with seed 42."""
    return [
        BatchItem(
            video,
            f"{video.stem}-{place}.mp4",
            settings=PRICED | {"seed": 42} | ({} if prompt is None else {"prompt": prompt}),
        )
        for video in clips(folder, 10)
        for place, prompt in enumerate(PROMPTS)
    ]


@EVERY
def test_one_seed_for_all_rows_and_one_reply_in_five_lost(batch: Batches, tmp_path: Path) -> None:
    """As many jobs as rows; every file is its own row's, whatever another row's job echoes."""
    left = to_submits(batch.sandbox, *[None, None, LOST, None, None] * 6)
    got = batch(seeded(tmp_path / "in"))
    assert statuses(got) == {"done": 30}
    batch.check_own(got)
    assert (len(left), batch.count.jobs, batch.count.posts) == (0, 30, 30)


def test_one_seed_for_all_rows_and_some_submits_never_arrived(
    batch: Batches, tmp_path: Path
) -> None:
    """None gets another row's job; with permission each missing one is bought, once."""
    items = seeded(tmp_path / "in")
    to_submits(batch.sandbox, *[None, LOST, NEVER_CAME, None, None] * 6)
    got = batch(items)
    batch.check_own(got)
    found = statuses(got)
    uncertain = found["uncertain"]
    assert errors(got, SubmissionUncertainError, LedgerBusyError) == Counter(
        SubmissionUncertainError=uncertain, LedgerBusyError=found.get("skipped", 0)
    )
    assert found["done"] == batch.count.jobs
    batch.sandbox.faults.clear()
    # A row whose twin is resubmitted in the same run may be left for the next.
    for _ in items:
        got = batch(items, resubmit_after=0.0)
        batch.check_own(got)
        if statuses(got) == {"done": 30}:
            break
    assert statuses(got) == {"done": 30}
    assert batch.count.jobs == 30


@KEPT_OR_NOT
@pytest.mark.parametrize("is_drawn", [True, False], ids=["drawn", "given"])
def test_rewritten_prompts(batch: Batches, tmp_path: Path, *, is_drawn: bool) -> None:
    """A drawn seed identifies the job all the same; with a given seed a person must look.

    Permission does not help: a listed job could be the lost one.
    """

    def expand(given: dict[str, Any], _place: str) -> dict[str, Any]:
        return given | {"prompt": f"{given.get('prompt')}, cinematic"}

    seed = {} if is_drawn else {"seed": 4242}
    settings = PRICED | seed | {"prompt": "a dog"}
    items = [BatchItem(video, settings=settings) for video in clips(tmp_path / "in", 4)]
    batch.sandbox.echo = expand
    to_submits(batch.sandbox, None, LOST)
    got = batch(items, resubmit_after=0.0)
    assert statuses(got) == ({"done": 4} if is_drawn else {"done": 3, "uncertain": 1})
    batch.check_own(got)
    assert (batch.count.jobs, batch.count.posts) == (4, 4)
    if not is_drawn:
        (error,) = [one.error for one in got if one.status == "uncertain"]
        assert isinstance(error, SubmissionUncertainError)
        known = {one.job.id for one in got if one.job}
        assert {job.id for job in error.candidates} == {
            job.id for job in batch.sandbox.made[-4:]
        } - known


class OneAtATime:
    """Counts the submits that the server handles at the same time."""

    def __init__(self) -> None:
        self._lock, self._now, self.most = Lock(), 0, 0

    def around(self, fault: Fault | None) -> Fault:
        """Count this one too."""

        async def counted(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            try:
                await asyncio.sleep(0.05)  # another may arrive meanwhile
                await (fault(app, scope, receive, send) if fault else app(scope, receive, send))
            finally:
                with self._lock:
                    self._now -= 1

        return counted


@EVERY
@pytest.mark.parametrize("fault", [None, LOST], ids=["answered", "lost"])
def test_rows_that_are_equal_but_for_their_output(
    batch: Batches, tmp_path: Path, fault: Fault | None
) -> None:
    """With one seed: a job each, never two submits at once, and neither gets the other's."""
    (clip,) = clips(tmp_path / "in", 1)
    items = [BatchItem(clip, f"{n}.mp4", settings={"seed": 7, **PRICED}) for n in range(4)]
    watch = OneAtATime()
    left = to_submits(batch.sandbox, *[watch.around(fault)] * 4)
    got = batch(items)
    assert statuses(got) == {"done": 4}
    batch.check_own(got)
    assert (len(left), watch.most) == (0, 1)
    assert (batch.count.jobs, batch.count.posts) == (4, 4)


def test_twin_of_an_uncertain_row_is_left_for_later(batch: Batches, tmp_path: Path) -> None:
    """Its job could not be told from the other's: nothing is sent, and it is skipped."""
    (clip,) = clips(tmp_path / "in", 1)
    items = [BatchItem(clip, f"{n}.mp4", settings={"seed": 7, **PRICED}) for n in range(2)]
    to_submits(batch.sandbox, NEVER_CAME)
    for _ in range(2):
        got = batch(items)
        assert statuses(got) == {"skipped": 1, "uncertain": 1}
        assert errors(got, LedgerBusyError, SubmissionUncertainError).total() == 2
    assert (batch.count.jobs, batch.count.posts) == (0, 1)
    batch(items, resubmit_after=0.0)
    got = batch(items)
    assert statuses(got) == {"done": 2}
    batch.check_own(got)
    assert batch.count.jobs == 2


# --- a batch that is stopped ----------------------------------------------------------------------


def left_early(batch: Batches, items: list[BatchItem]) -> None:
    """Stop iterating after the first outcome."""
    batch(items, most=1)


def interrupted(batch: Batches, items: list[BatchItem]) -> None:
    """Press Ctrl-C after the first outcome."""

    def interrupt(_outcome: BatchOutcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch(items, on_outcome=interrupt)


def cancelled(batch: Batches, items: list[BatchItem]) -> None:
    """Cancel the task that waits for the next outcome."""

    async def consume() -> None:
        async with (
            AsyncReframeClient(**batch.options) as client,
            aclosing(client.batch(items, batch.to)) as found,
        ):
            await anext(found)
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            await anext(found)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(consume())


@pytest.mark.parametrize("grace", [600.0, 0.0], ids=["replies waited for", "not waited for"])
@pytest.mark.parametrize(
    ("batch", "stop"),
    [
        ("sync", left_early),
        ("async", left_early),
        ("sync", interrupted),
        ("async", interrupted),
        ("async", cancelled),
    ],
    ids=["break", "break-async", "ctrl-c", "ctrl-c-async", "cancel"],
    indirect=["batch"],
)
def test_stopped_while_submits_are_under_way(
    batch: Batches,
    tmp_path: Path,
    stop: Callable[[Batches, list[BatchItem]], None],
    grace: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ledger has what was sent, with jobs whose replies were awaited; nothing is paid twice."""
    items = squares(tmp_path / "in", 3)
    batch.timing = evolve(SOON, last_answers=grace)
    is_stopped, close = Event(), Slots.close

    def closed(slots: Slots) -> None:
        """Only now, when the batch stops, do the held replies arrive, if they are awaited."""
        close(slots)
        if grace:
            is_stopped.set()

    monkeypatch.setattr(Slots, "close", closed)
    hold = held(is_stopped, after=True)

    async def hold_last(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        batch.sandbox.hold_jobs = False  # the first job must not end earlier
        await hold(app, scope, receive, send)

    batch.sandbox.hold_jobs = True
    to_submits(batch.sandbox, None, hold, hold_last)
    stop(batch, items)
    is_stopped.set()
    assert no_threads_left()
    on_record = {job_id for (job_id,) in batch.sql("SELECT job_id FROM entries") if job_id}
    assert (batch.count.jobs, batch.count.posts) == (3, 3)
    jobs = {job.id for job in batch.sandbox.made[-3:]}
    assert on_record == jobs if grace else on_record < jobs
    got = batch(items)
    assert statuses(got) == {"done": 3}
    batch.check_own(got)
    assert (batch.count.jobs, batch.count.posts) == (3, 3)
