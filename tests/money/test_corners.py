"""Corner cases of the submit path in which a job was once lost, or bought twice."""

import asyncio
import gc
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import ledger_rows as rows
from batch_sessions import Batches
from ledger_sessions import BOTH, GENERATE, JOB, LIST, Runs
from scenario_reframe import AsyncReframeClient, BatchItem, ReframeClient, errors
from scenario_reframe.ledger.interface import SubmitConditions, TwinOpenError
from scenario_reframe.pipeline import Pipeline
from scenario_reframe.recovery import KnownJobs
from scenario_reframe.run_state import Options
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, rewrite
from scenes import POST, Scene, mine
from stepping import VENDORS_429, Stepper, job_reply, lost, reply
from timings import SOON

TOO_MANY = {"reason": "Too many"}


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """A sandbox whose jobs are done at once."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox:
        yield sandbox


@pytest.fixture
def runs(request: pytest.FixtureRequest, server: Sandbox, tmp_path: Path) -> Iterator[Runs]:
    """Runs of a program with one ledger, with the sync client unless `BOTH` is used."""
    is_async = getattr(request, "param", "sync") == "async"
    with closing(Runs(server, tmp_path / "ledger.db", is_async=is_async)) as made:
        yield made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file that begins like a video, with content of its own."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + str(tmp_path).encode())
    return path


def async_client(runs: Runs, **timing: Any) -> AsyncReframeClient:
    """An async client with connections of its own."""
    keys, place = (runs.sandbox.api_key, runs.sandbox.api_secret), runs.sandbox.base_url
    timings = evolve(SOON, **timing)
    return AsyncReframeClient(*keys, base_url=place, ledger=runs.ledger, timing=timings)


@pytest.mark.parametrize("has_ledger", [False, True], ids=["no ledger", "ledger"])
@pytest.mark.parametrize("was_made", [False, True], ids=["not made", "made"])
def test_a_submit_without_a_key_settles_its_429_itself(*, was_made: bool, has_ledger: bool) -> None:
    """It looks the job up once settled, and returns it, or closes its entry and frees the seed."""
    scene = Scene(reply(VENDORS_429, 429), job_reply(job_id="job_2"), has_ledger=has_ledger)

    def listed_late(body: Any) -> Any:
        listed: Any = mine()
        is_late = scene.paused >= scene.stepper.timing.refusal_settled
        return reply({"jobs": [listed(body)] if was_made and is_late else []})

    scene.pages = [listed_late]
    if was_made:
        assert scene.submit(seed=42).id == "job_mine"
        assert scene.states == ["submitted"] * has_ledger
        return
    assert scene.fails(errors.RateLimitedError, seed=42).submission.seed == 42
    assert scene.states == ["failed"] * has_ledger
    assert scene.submit(seed=42).id == "job_2"


def test_a_deferred_clip_is_uploaded_again_if_the_server_lost_it(
    runs: Runs, clip: Path, tmp_path: Path
) -> None:
    """The server answers 404; the same call then uploads the clip and buys once."""
    session, to = runs(), tmp_path / "a.mp4"
    runs.sandbox.faults.add(answer(429, TOO_MANY), GENERATE, method="POST")
    session.fails(errors.RateLimitedError, "reframe", clip, to)
    runs.sandbox._state.assets.clear()
    session.fails(errors.NotFoundError, "reframe", clip, to)
    assert session("reframe", clip, to).files == (to,)
    assert (runs.uploads, runs.jobs, runs.states()) == (2, 1, ["done"])


def test_a_job_made_despite_a_429_is_found_without_its_source(runs: Runs, clip: Path) -> None:
    """The first look-up failed, and the file was moved: resume no longer needs it."""
    session = runs()
    session("upload", clip)
    runs.sandbox.faults.add(answer(429, TOO_MANY, after=True), GENERATE, method="POST")
    runs.sandbox.faults.add(answer(403), LIST)
    session.fails(errors.RateLimitedError, "reframe", clip)
    clip.unlink()
    assert session("resume", runs.entry()).job.id == runs.sandbox.made[-1].id
    assert (runs.posts, runs.jobs) == (1, 1)


@pytest.mark.parametrize("answered", [reply({}, 404), reply({}, 500), lost()], ids=str)
def test_a_reply_with_only_an_id_is_a_job_whatever_is_answered_later(answered: Any) -> None:
    """For this call, and for the next one with its key."""
    scene = Scene(reply({"jobId": "job_1"}), by_id={"job_1": answered}, has_ledger=True)
    assert [scene.submit(key="k").id for _ in range(2)] == ["job_1", "job_1"]
    assert scene.sent.count(POST) == 1


def test_a_file_at_another_target_is_not_this_one_s_result(
    runs: Runs, clip: Path, tmp_path: Path
) -> None:
    """Not a downloaded copy, nor the second target of one key."""
    session = runs()
    a, one, two, foreign = (tmp_path / name for name in ("a.mp4", "1.mp4", "2.mp4", "mine.mp4"))
    session("download", session("reframe", clip, a).job, tmp_path / "copy.mp4")
    a.unlink()
    assert session("reframe", clip, a).files == (a,)
    assert a.exists()
    for to in (one, two, one):
        assert session("reframe", clip, to, key="k").files == (to,)
        assert to.exists()
    assert {*session("entries")[0].files} == {str(one), str(two)}
    foreign.write_bytes(b"m" * one.stat().st_size)
    session.fails(errors.InvalidInputError, "reframe", clip, foreign, key="k")
    assert foreign.read_bytes() == b"m" * one.stat().st_size
    assert len(session("entries")[0].files) == 2
    assert runs.jobs == 2


def test_a_job_that_went_to_another_entry_leaves_its_post_uncertain(tmp_path: Path) -> None:
    """Two accounts turn out to be one, and both had the job: the second posts nothing."""
    with rows.opened_ledgers(tmp_path / "ledger.db") as make:
        old, new = make(), make(project_id=None, api_key="new")
        rows.submitted(old, 1)
        claim = rows.posting(new, 2)
        rows.end(new, claim, "made")
        assert new.record_job(claim.token, rows.job(1))
        new.learn_project("proj_1")
        new.release(claim)
        assert rows.outcomes(tmp_path / "ledger.db") == ["made", "uncertain"]
        stepper = Stepper(script=lambda _: reply({"jobs": []}))
        pipeline = Pipeline(stepper.operations("proj_1"), old, KnownJobs())
        with pytest.raises(errors.SubmissionUncertainError):
            stepper.run(pipeline.resume(old.entries(unfinished=True)[0], Options()))
        assert {request.method for request in stepper.requests} == {"GET"}


def test_a_callers_seed_matches_no_job_from_before_its_post() -> None:
    """The server's time is read again: another job was made since it was last named."""
    scene = Scene(lost(), pages=[[mine()]])
    scene.run(scene.pipeline.find_job(rows.submission()))  # names the time
    scene.stepper.now += 3.0
    error = scene.fails(errors.SubmissionUncertainError, seed=42)
    assert [one.id for one in error.candidates] == ["job_mine"]


@pytest.mark.parametrize("timeout", [30.0, None])
@pytest.mark.parametrize("is_ours", [True, False], ids=["this process", "another"])
def test_a_call_waits_for_its_twin_only_until_its_timeout(
    timeout: float | None, *, is_ours: bool
) -> None:
    """The first one's POST is unanswered: the second gives up without submitting."""
    scene, other = Scene(job_reply(), has_ledger=not is_ours), Scene(job_reply())
    known = scene.pipeline.known if is_ours else KnownJobs()
    other.pipeline = evolve(other.pipeline, ledger=scene.pipeline.ledger, known=known)
    kind = errors.LedgerBusyError if timeout is None else errors.WaitTimeoutError

    def meanwhile() -> Any:
        with pytest.raises(kind, match="othing was submitted"):
            other.reframe({"seed": 1}, timeout=timeout)
        return job_reply()

    scene.answers = [meanwhile]
    assert scene.submit(seed=1).id == "job_1"
    assert POST not in other.sent
    assert other.paused >= (timeout or other.stepper.timing.longest_busy)


@pytest.mark.parametrize("ledger", [False, True], ids=["no ledger", "ledger"])
def test_threads_that_share_a_client_get_a_job_each(
    runs: Runs, clip: Path, *, ledger: bool
) -> None:
    """With the same seed, one after the other; with different seeds, at once."""
    session = runs() if ledger else runs(ledger=None)
    video = session("upload", clip).id
    seeds = [1, 2, 1, 3, 1, 4] * 2
    with ThreadPoolExecutor(len(seeds)) as pool:
        got = list(pool.map(lambda seed: session("submit", video, seed=seed), seeds))
    assert [job.input["seed"] for job in got] == seeds
    assert len({job.id for job in got}) == runs.jobs == len(seeds)


def test_others_may_come_and_go_while_a_twin_is_released() -> None:
    """As other threads do; here it happens at each comparison."""
    known = KnownJobs()

    class Token(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            known.twins.pop("mine", None)
            known.reserve_twin(f"place {len(known.twins)}", "another's")
            return str.__eq__(self, other)

    known.reserve_twin("mine", "mine")
    known.release_twins(Token("mine"))
    assert list(known.twins.values()) == ["another's"]


def test_a_refusal_of_a_job_that_was_made_later_blocks_no_twin(tmp_path: Path) -> None:
    """Its entry has its job: nothing is open, though its files are still missing."""
    with closing(rows.open_ledger(tmp_path / "ledger.db")) as ledger:
        claim = rows.posting(ledger, 1, twin="t")
        rows.end(ledger, claim, "deferred")
        ledger.open_post(claim, rows.submission(), SubmitConditions(twin="t"))
        with pytest.raises(TwinOpenError):
            ledger.may_post(rows.claimed(ledger, 2), SubmitConditions(twin="t"))
        rows.end(ledger, claim, "made")
        assert ledger.record_job(claim.token, rows.job(1))
        rows.posting(ledger, 3, twin="t")


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # asyncio no longer closes those of a dead loop
def test_async_client_works_in_a_loop_for_each_call(runs: Runs, clip: Path) -> None:
    """Its connections belong to the loop that made them; it is closed in another one."""
    client = async_client(runs)
    video = asyncio.run(client.upload(clip))
    got = {asyncio.run(client.submit(video)).id for _ in range(2)}
    asyncio.run(client.aclose())
    assert {made.id for made in runs.sandbox.made[-2:]} == got
    with pytest.raises(errors.ConfigurationError, match="closed"):
        asyncio.run(client.get_asset(video))
    del client
    gc.collect()


@BOTH
@pytest.mark.parametrize("when", ["request", "response"])
def test_an_error_of_a_given_client_is_judged_by_the_body(
    runs: Runs, clip: Path, when: str
) -> None:
    """Before the POST, it is just that error; after it, the job is looked up and found."""
    session = runs()
    failed: list[Any] = []

    def fail(what: Any) -> None:
        if "/generate/" in what.url.path and not failed:
            failed.append(what)
            raise ZeroDivisionError

    async def fail_later(what: Any) -> None:
        fail(what)

    video = session("upload", clip).id
    session._http.event_hooks = {when: [fail_later if runs.is_async else fail]}
    if when == "request":
        with pytest.raises(ZeroDivisionError):
            session("submit", video, seed=1)
        assert (runs.posts, runs.states()) == (0, ["failed"])
    assert session("submit", video, seed=1).id == runs.sandbox.made[-1].id
    assert (runs.posts, runs.jobs, len(failed)) == (1, 1, 1)


def test_ctrl_c_while_sqlite_waits_leaves_no_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised when BEGIN has waited and then succeeded."""
    path, stops = tmp_path / "ledger.db", [False]

    class Interrupted(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            done = super().execute(statement, *values)
            if statement.startswith("BEGIN") and stops[-1]:
                stops.append(False)
                raise KeyboardInterrupt
            return done

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Interrupted))
    with closing(rows.open_ledger(path)) as ledger:
        stops.append(True)
        with pytest.raises(KeyboardInterrupt):
            ledger.claim(rows.request())
        with closing(sqlite3.connect(path, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
        rows.posting(ledger)


def test_a_locked_ledger_does_not_stop_the_loop_of_a_cancelled_call(runs: Runs, clip: Path) -> None:
    """The loop goes on, and can release the lock; then the entry is released."""
    runs.sandbox.hold_jobs = True

    async def cancelled() -> None:
        reached = asyncio.Event()
        async with async_client(runs, database_lock=5.0) as client:
            flow = client.reframe(clip, on_update=lambda _: reached.set())
            task = asyncio.create_task(flow)
            await reached.wait()
            with closing(sqlite3.connect(runs.ledger, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                asyncio.get_running_loop().call_later(0, other.execute, "ROLLBACK")
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert rows.sql(runs.ledger, "SELECT owner FROM entries") == [(None,)]

    asyncio.run(cancelled())


def test_a_batch_ends_though_its_jobs_are_dated_to_the_year_1(
    runs: Runs, clip: Path, tmp_path: Path
) -> None:
    """Some servers send that date when they do not know one."""

    def old(body: Any, **more: Any) -> Any:
        for record in body.get("jobs", [body.get("job")]):
            record.update(createdAt="0001-01-01T00:00:00Z", **more)
        return body

    begun = rewrite(partial(old, status="queued"))  # finished jobs are not waited for
    for fault, path in ((begun, GENERATE), (rewrite(old), JOB), (rewrite(old), LIST)):
        runs.sandbox.faults.add(fault, path, times=1000)
    batch = Batches(runs.sandbox, tmp_path / "out", None, is_async=True)
    (outcome,) = batch([BatchItem(clip, output="a.mp4")])
    assert (outcome.status, outcome.error, runs.jobs) == ("done", None, 1)


def test_a_paid_reply_keeps_no_secret_and_its_id(clip: Path, tmp_path: Path) -> None:
    """What the server echoes is redacted; an id that contains a key is not changed."""
    secret = "TopSecretValue"

    def echoing(body: Any) -> Any:
        body["job"]["metadata"]["error"] = f"refused job_:{secret}"
        return {"job": {**body["job"], "status": "failure"}}

    with Sandbox(fast=True, api_key="job_", api_secret=secret) as sandbox:
        sandbox.faults.add(rewrite(echoing), GENERATE, method="POST")
        sandbox.faults.add(rewrite(echoing), JOB, times=9)
        options: Any = {"base_url": sandbox.base_url, "ledger": tmp_path / "l.db"}
        with ReframeClient("job_", secret, **options) as client:
            made = client.submit(clip)
            with pytest.raises(errors.JobFailedError, match="refused") as caught:
                client.wait(made)
            (entry,) = client.entries()
        assert entry.job_id == made.id == sandbox.made[-1].id
    failed: Any = caught.value.job
    assert secret not in f"{made} {made.raw} {caught.value} {failed} {failed.raw} {entry}"
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.glob("l.db*"))


def test_a_folder_is_the_same_target_with_and_without_its_separator(
    runs: Runs, clip: Path, tmp_path: Path
) -> None:
    """It needs one only as long as the folder does not exist."""
    first, second = (runs()("reframe", clip, f"{tmp_path}/new{end}") for end in ("/", ""))
    assert (first.files, runs.jobs) == (second.files, 1)


def test_odd_arguments_are_refused_before_anything_is_sent(runs: Runs, clip: Path) -> None:
    """Each with an error of this package."""
    session, before = runs(), len(runs.sandbox.requests)
    odd: Any
    for odd in ("", 5, b"k"):
        session.fails(errors.InvalidInputError, "submit", clip, key=odd)
        session.fails(errors.InvalidInputError, "reframe", clip, key=odd)
        session.fails(errors.InvalidInputError, "reframe", clip, odd)
    for odd in (None, "job_1"):
        session.fails(errors.InvalidInputError, "find_job", odd)
        session.fails(errors.InvalidInputError, "resume", odd)
    for odd in (5, False, b"x"):
        with pytest.raises(errors.ConfigurationError):
            runs(ledger=odd)
    assert len(runs.sandbox.requests) == before
