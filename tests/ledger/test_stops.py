"""Both clients, stopped at any moment: no paid job is lost, and no call buys twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from attrs import evolve

from ledger_rows import lapse
from ledger_sessions import BOTH, FILE, GENERATE, QUICK, Runs, held, whole
from scenario_reframe import (
    AsyncReframeClient,
    DownloadError,
    InvalidInputError,
    Job,
    SubmissionUncertainError,
)
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.sandbox.faults import answer
from timings import SOON
from waiting import until

MOMENTS = ("claim", "open_post", "record_job", "record_status", "record_files", "release")
"""What the ledger is asked to do for a request, in this order."""

PATIENT = evolve(SOON, last_answers=600.0)
"""A reply that is on its way is waited for, however slow the machine is."""


# --- at every write of the ledger ---------------------------------------------------------------


def stop_at(patch: pytest.MonkeyPatch, name: str, stop: Callable[[], None], *, after: bool) -> None:
    """Stop the program when this method of the ledger is first called."""
    whole_method, stopped = getattr(SqlLedger, name), Event()

    def method(self: SqlLedger, *args: Any, **kwargs: Any) -> Any:
        if stopped.is_set():
            return whole_method(self, *args, **kwargs)
        stopped.set()
        found = whole_method(self, *args, **kwargs) if after else None
        stop()
        return found if after else whole_method(self, *args, **kwargs)

    patch.setattr(SqlLedger, name, method)


def ctrl_c() -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("runs", ["sync"], indirect=True)
@pytest.mark.parametrize("target", ["a file", "none"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_at_any_write_costs_no_second_job(
    runs: Runs, video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str,
    target: str, *, after: bool,
) -> None:  # fmt: skip
    """The same call finishes it, or asks a person where a POST may have been sent.

    Everything is bought once; a complete file is not fetched again.
    """
    to = tmp_path / "a.mp4" if target == "a file" else None
    with monkeypatch.context() as patch:
        stop_at(patch, moment, ctrl_c, after=after)
        with pytest.raises(KeyboardInterrupt) as stopped:
            runs()("reframe", video, to, **QUICK)
    made, fetched = runs.jobs, fetches(runs)
    if moment not in {"claim", "open_post"}:
        assert stopped.value.job.id == runs.sandbox.made[-1].id  # type: ignore[attr-defined]
    lapse(runs.ledger)  # the process has ended
    if (moment, after) == ("open_post", True):
        runs().fails(SubmissionUncertainError, "reframe", video, to, **QUICK)
        assert runs.jobs == 0
        return
    result = runs()("reframe", video, to, **QUICK)
    assert result.job.id == runs.sandbox.made[-1].id
    assert runs.jobs == 1
    assert made == (moment not in {"claim", "open_post"})
    assert runs.states()[0] == "done"
    assert to is None or whole(to)
    if moment in {"record_files", "release"}:
        assert fetches(runs) == fetched


def fetches(runs: Runs) -> int:
    """Requests to the file host."""
    return sum(not seen.path.startswith("/v1/") for seen in runs.sandbox.requests)


@pytest.mark.parametrize(
    ("call", "moment"),
    [
        *(("reframe", moment) for moment in MOMENTS),
        *(
            ("submit", moment)
            for moment in MOMENTS
            if moment not in {"record_status", "record_files"}
        ),
    ],
)
def test_a_task_that_is_cancelled_at_any_write_costs_no_second_job(
    runs: Runs, video: str, monkeypatch: pytest.MonkeyPatch, call: str,
    moment: str,
) -> None:  # fmt: skip
    """A write that has begun is completed; the same call finishes the request at once."""

    async def cancelled() -> None:
        async with a_client(runs) as client:
            task = asyncio.ensure_future(getattr(client, call)(video, key="order-1", **QUICK))
            loop = asyncio.get_running_loop()

            def cancel() -> None:
                asyncio.run_coroutine_threadsafe(cancelling(task), loop).result(60)

            with monkeypatch.context() as patch:
                stop_at(patch, moment, cancel, after=False)
                await task

    with pytest.raises(asyncio.CancelledError) as stopped:
        asyncio.run(cancelled())
    made = moment not in {"claim", "open_post"}
    if made:
        assert stopped.value.job.id == runs.sandbox.made[-1].id  # type: ignore[attr-defined]
    assert runs.jobs == made
    result = runs()("reframe", video, key="order-1", **QUICK)
    assert result.job.id == runs.sandbox.made[-1].id
    assert runs.jobs == 1


async def cancelling(task: "asyncio.Future[Any]") -> None:
    """Cancel a task from the thread of its loop."""
    task.cancel()


@asynccontextmanager
async def a_client(
    runs: Runs, *, ledger: bool = True, **options: Any
) -> AsyncIterator[AsyncReframeClient]:
    """An async client, with the ledger of these runs or without one."""
    given: dict[str, Any] = {"timing": PATIENT, "base_url": runs.sandbox.base_url, **options}
    keys = (runs.sandbox.api_key, runs.sandbox.api_secret)
    given["ledger"] = runs.ledger if ledger else None
    async with AsyncReframeClient(*keys, **given) as client:
        yield client


# --- around the POST ----------------------------------------------------------------------------


class CancelsAfterSubmit(httpx.AsyncHTTPTransport):
    """A transport that cancels a task when the reply to a submit has arrived."""

    task: "asyncio.Future[Any]"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on."""
        response = await super().handle_async_request(request)
        if "/generate/" in request.url.path:
            self.task.cancel()
        return response


@pytest.mark.parametrize("ledger", [False, True])
@pytest.mark.parametrize("call", ["submit", "reframe"])
def test_a_task_that_is_cancelled_just_after_the_reply_carries_the_job(
    runs: Runs, video: str, call: str, *, ledger: bool
) -> None:
    """On the CancelledError, with or without a ledger; its note names the id."""

    async def cancelled() -> None:
        transport = CancelsAfterSubmit()
        async with (
            httpx.AsyncClient(transport=transport) as http,
            a_client(runs, ledger=ledger, http_client=http) as client,
        ):
            transport.task = asyncio.ensure_future(getattr(client, call)(video, **QUICK))
            await transport.task

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(cancelled())
    job = caught.value.job  # type: ignore[attr-defined]
    assert isinstance(job, Job)
    assert job.id == runs.sandbox.made[-1].id
    assert job.id in "".join(caught.value.__notes__)
    assert runs.jobs == 1
    if ledger:
        assert (runs.entry().state, runs.entry().job_id) == ("submitted", job.id)


@pytest.mark.parametrize("ledger", [False, True])
def test_a_cancelled_task_waits_for_a_reply_on_its_way(
    runs: Runs, video: str, *, ledger: bool
) -> None:
    """Even if cancelled twice: the job was made, and its id is about to arrive."""
    go_on = Event()
    runs.sandbox.faults.add(held(go_on, after=True), GENERATE, method="POST")

    async def cancelled() -> None:
        async with a_client(runs, ledger=ledger) as client:
            task = asyncio.ensure_future(client.submit(video, **QUICK))
            await asyncio.to_thread(until, lambda: runs.jobs)
            task.cancel()
            await asyncio.sleep(0)
            go_on.set()
            await task

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(cancelled())
    assert caught.value.job.id == runs.sandbox.made[-1].id  # type: ignore[attr-defined]


def test_asyncio_timeout_raises_timeout_error_and_its_cause_carries_the_job(
    runs: Runs, video: str, tmp_path: Path
) -> None:
    """Around a wait that takes too long; the same call later finishes it."""
    runs.sandbox.hold_jobs = True
    to = tmp_path / "a.mp4"

    async def too_long() -> None:
        async with a_client(runs) as client, asyncio.timeout(None) as limit:

            def pass_it(_job: Job) -> None:
                limit.reschedule(asyncio.get_running_loop().time())

            await client.reframe(video, to, timeout=None, on_update=pass_it, **QUICK)

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(too_long())
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    job = caught.value.__cause__.job  # type: ignore[attr-defined]
    assert job.id == runs.sandbox.made[-1].id
    runs.sandbox.hold_jobs = False
    assert runs()("reframe", video, to, **QUICK).job.id == job.id
    assert runs.jobs == 1
    assert whole(to)


def test_asyncio_timeout_in_the_post_raises_timeout_error_too(runs: Runs, video: str) -> None:
    """No reply comes in time: the note names the seed, by which the job is found."""
    go_on = Event()
    runs.sandbox.faults.add(held(go_on, after=True), GENERATE, method="POST")

    async def too_long() -> None:
        timing = evolve(SOON, last_answers=0.01)
        async with a_client(runs, timing=timing) as client, asyncio.timeout(None) as limit:
            task = asyncio.ensure_future(client.submit(video, key="order-1", **QUICK))
            await asyncio.to_thread(until, lambda: runs.jobs)
            limit.reschedule(asyncio.get_running_loop().time())
            await task

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(too_long())
    go_on.set()
    seed = runs.sandbox.made[-1].input["seed"]
    assert caught.value.__cause__ is not None
    assert f"seed {seed}" in "".join(caught.value.__cause__.__notes__)
    assert runs.entry().state == "uncertain"
    assert runs()("submit", video, key="order-1", **QUICK).id == runs.sandbox.made[-1].id
    assert (runs.posts, runs.jobs) == (1, 1)


# --- a target that is no longer ours ------------------------------------------------------------


@BOTH
def test_a_target_that_another_program_wrote_meanwhile_is_kept(
    runs: Runs, video: str, tmp_path: Path
) -> None:
    """Its size differs, so it is not the result: an error, and nothing is overwritten."""
    to = tmp_path / "a.mp4"
    runs.sandbox.faults.add(answer(403), FILE, method="GET", times=99)
    runs().fails(DownloadError, "reframe", video, to, **QUICK)
    runs.sandbox.faults.clear()
    to.write_bytes(b"mine")
    runs().fails(InvalidInputError, "reframe", video, to, **QUICK)
    assert to.read_bytes() == b"mine"
    assert runs()("resume", runs.entry(), tmp_path / "b.mp4").files == (tmp_path / "b.mp4",)
    assert whole(tmp_path / "b.mp4")
    assert (runs.jobs, to.read_bytes()) == (1, b"mine")
