"""Jobs and money when a program is stopped, forked, refused or locked out; the server counts."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger_rows import lapse, outcomes, sql
from ledger_sessions import posts
from money_scenes import NO_LEDGER, SMALL, WELL, Asked, Ending, Scene
from scenario_reframe import (
    ApiError,
    BatchItem,
    InvalidInputError,
    RateLimitedError,
)
from scenario_reframe.ledger import tables
from scenario_reframe.sandbox.faults import Fault, answer
from waiting import until

PROGRAM = Path(__file__).parents[1] / "support" / "money_program.py"
KINDS = pytest.mark.parametrize("kind", ["reframe, ledger", "reframe", "batch, ledger", "batch"])


class Run:
    """A process that makes one call."""

    def __init__(self, stage: Scene, **order: Any) -> None:
        given = {
            "is_async": stage.is_async,
            "client": client_of(stage),
            "args": [],
            "kwargs": {},
            **order,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), json.dumps(given)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself, or was stopped."""
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """Let it continue."""
        self.process.send_signal(signal.SIGCONT)

    def outcome(self) -> dict[str, str]:
        """What it printed."""
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, err
        printed: dict[str, str] = json.loads(out)
        return printed

    def close(self) -> None:
        """End it and its child if they still run."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=60)


@pytest.fixture
def start(stage: Scene) -> Iterator[Callable[..., Run]]:
    """Start processes, which end with the test."""
    runs: list[Run] = []

    def started(**order: Any) -> Run:
        runs.append(Run(stage, **order))
        return runs[-1]

    yield started
    for run in runs:
        run.close()


def played(stage: Scene, kind: str) -> Any:
    """Reframe the clip into a file, in one of several ways: the result."""
    if kind.startswith("batch"):
        item = BatchItem(stage.clip, "out.mp4", settings=SMALL)
        (got,) = stage.batch(item, keeps="ledger" in kind)
        return got
    client = {} if "ledger" in kind else NO_LEDGER
    return stage.tried("reframe", stage.clip, stage.to, client=client, **SMALL)


def target_of(stage: Scene, kind: str) -> Path:
    """The target of that way."""
    return stage.folder / "out" / "out.mp4" if kind.startswith("batch") else stage.to


def client_of(stage: Scene) -> dict[str, Any]:
    """The arguments for a client of another process."""
    plain = {name: value for name, value in stage.options.items() if name != "timing"}
    return {**plain, "ledger": str(stage.ledger)}


def hold_jobs(stage: Scene) -> None:
    """Let no job advance."""
    stage.sandbox.hold_jobs = True
    stage.clock.forward(1.0)


def is_waited_for(stage: Scene) -> bool:
    """Whether a job has been read by its id."""
    return any("/jobs/job_" in one.path for one in stage.sandbox.requests)


def error_of(got: Any) -> Any:
    """What a call raised, or the error of an item's outcome."""
    return got if isinstance(got, Exception) else got.error


# --- 10, 15: a process that is stopped ------------------------------------------------------------


def test_a_process_that_wakes_up_before_its_last_check_sends_nothing(
    stage: Scene, start: Callable[..., Run]
) -> None:
    """Stopped once connected; another process resubmits with permission: one job is made."""
    stage.uncertain("reframe", stage.clip, stage.to, accepted=False, **SMALL)
    entry = stage.unfinished()
    sleeper = start(call="resume", kwargs={"resubmit_after": 0.0}, task="stop")
    sleeper.wait_until_stopped()
    lapse(stage.ledger)
    got = stage.call("resume", entry, resubmit_after=0.0)
    sleeper.go_on()
    assert sleeper.outcome() == {"error": "LedgerBusyError"}
    assert stage.ending(Asked(SMALL, got)) == WELL
    assert outcomes(stage.ledger) == ["uncertain", "made"]


def test_a_process_that_wakes_up_after_its_lease_goes_on_if_not_replaced(
    stage: Scene, start: Callable[..., Run]
) -> None:
    """A laptop's lid was closed: it renews its lease, and posts once."""
    args = [str(stage.clip), str(stage.to)]
    sleeper = start(call="reframe", args=args, kwargs=dict(SMALL), task="stop")
    sleeper.wait_until_stopped()
    lapse(stage.ledger)
    sleeper.go_on()
    assert sleeper.outcome() == {"job": stage.sandbox.made[0].id}
    got = stage.call("reframe", stage.clip, stage.to, **SMALL)
    assert stage.ending(Asked(SMALL, got)) == WELL
    assert outcomes(stage.ledger) == ["made"]


# --- 12: os.fork ----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("stage", ["sync"], indirect=True)
def test_the_lease_of_a_forked_child_is_renewed(stage: Scene, start: Callable[..., Run]) -> None:
    """The parent's thread does not exist in the child, which starts its own."""
    hold_jobs(stage)
    run = start(task="fork", args=[str(stage.clip), str(stage.to)], kwargs=dict(SMALL))
    until(lambda: is_waited_for(stage))
    sql(stage.ledger, "UPDATE entries SET lease_until = lease_until - 2000")
    left = tables.in_dialect("SELECT lease_until - CLOCK FROM entries WHERE target IS NOT NULL")
    until(lambda: sql(stage.ledger, left)[0][0] > 2000)
    stage.sandbox.hold_jobs = False
    run.outcome()
    assert len(stage.sandbox.made) == stage.posts == 2


# --- 17: the target -------------------------------------------------------------------------------


@KINDS
def test_a_target_that_appears_during_the_upload_prevents_the_purchase(
    stage: Scene, kind: str
) -> None:
    """What could not be saved is not paid for, and the file there is kept."""
    target = target_of(stage, kind)

    async def taken(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b"mine")
        await app(scope, receive, send)

    stage.sandbox.faults.add(taken, r"/uploads/.*/action$", method="POST")
    got = played(stage, kind)
    assert isinstance(error_of(got), InvalidInputError)
    assert target.read_bytes() == b"mine"
    assert stage.ending(Asked(SMALL, got)) == Ending(jobs=0, held=0)


# --- 19: what is certain is raised at once --------------------------------------------------------


@KINDS
@pytest.mark.parametrize(
    ("refusal", "kind_of_error", "looks"),
    [
        (answer(402, {"reason": "Not enough credits"}), ApiError, 0),
        (answer(429, "<h1>Too many requests</h1>"), RateLimitedError, 1),
    ],
    ids=["402", "a gateway's 429"],
)
def test_a_refusal_is_raised_at_once_and_the_call_can_be_repeated(
    stage: Scene, kind: str, refusal: Fault, kind_of_error: type[Exception], looks: int
) -> None:
    """It is not uncertain: no minute of look-ups. The same call buys it once."""
    stage.to_submit(refusal)
    got = played(stage, kind)
    seen = list(stage.sandbox.requests)
    submit = next(place for place, one in enumerate(seen) if "/generate/" in one.path)
    read = [one for one in seen[submit:] if one.path.endswith("/jobs")]
    if kind_of_error is ApiError or kind.startswith("reframe"):
        assert type(error_of(got)) is kind_of_error
        assert len([one for one in read if "createdAfter" in one.query]) == looks
        assert stage.ending(Asked(SMALL, got)) == Ending(jobs=0, held=0)
        got = played(stage, kind)
    assert stage.ending(Asked(SMALL, got)) == WELL
    assert stage.posts == 2


@pytest.mark.parametrize("kind", ["reframe, ledger", "batch, ledger"])
def test_a_proxys_402_proves_nothing(stage: Scene, kind: str) -> None:
    """The job was made behind it, and is found."""
    stage.to_submit(answer(402, "<h1>Payment required</h1>", after=True))
    assert stage.ending(Asked(SMALL, played(stage, kind))) == WELL
    assert stage.posts == 1


def test_an_asset_that_the_server_lost_is_uploaded_again_for_an_estimate(stage: Scene) -> None:
    """The ledger has it; the dry run shows that the server does not."""
    stage.call("upload", stage.clip)
    stage.sandbox._state.assets.clear()
    assert stage.call("estimate", stage.clip, **SMALL).creative_units > 0
    assert posts(stage.sandbox, "/v1/uploads") == 4  # two say that everything was sent
    assert stage.sandbox.jobs_made == 0


def test_an_asset_that_the_server_lost_does_not_keep_a_budgeted_batch_from_its_work(
    stage: Scene,
) -> None:
    """Its price is requested first, with the asset in the ledger."""
    stage.call("upload", stage.clip)
    stage.sandbox._state.assets.clear()
    item = BatchItem(stage.clip, settings=SMALL)
    (got,) = stage.batch(item, keeps=True, budget=1000.0)
    assert stage.ending(Asked(SMALL, got)) == WELL


def test_all_unfinished_entries_are_returned(stage: Scene) -> None:
    """However many there are."""
    stage.uncertain("submit", **SMALL)
    copies = """
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
        INSERT INTO entries (account, key, token, state, settings, created_at, updated_at)
        SELECT account, key || i, token || i, state, settings, created_at, updated_at
        FROM entries, n
    """
    sql(stage.ledger, copies)
    assert len(stage.call("entries", unfinished=True)) == 1501


# --- 20: a ledger that cannot be written ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["reframe, ledger", "batch, ledger"])
def test_a_result_that_could_not_be_recorded_is_used_by_the_next_run(
    stage: Scene, kind: str
) -> None:
    """Another program locks the ledger from the file's first byte until the run has ended."""
    beside = sqlite3.connect(stage.ledger, isolation_level=None, check_same_thread=False)

    async def locked(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        beside.execute("BEGIN IMMEDIATE")
        await app(scope, receive, send)

    stage.sandbox.faults.add(locked, r"^/assets/", method="GET")
    stage.timing = evolve(stage.timing, database_lock=0.2)
    with closing(beside):
        first = played(stage, kind)
    assert stage.ending(Asked(SMALL, first)) == WELL
    assert [file for file in first.files if file.exists()] == [target_of(stage, kind)]
    assert sql(stage.ledger, "SELECT state FROM entries") != [("done",)]
    lapse(stage.ledger)
    again = played(stage, kind)
    assert stage.ending(Asked(SMALL, again)) == WELL
    assert again.files == first.files
    assert sql(stage.ledger, "SELECT state FROM entries") == [("done",)]
