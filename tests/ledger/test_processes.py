"""Several processes with one ledger: killed, stopped, side by side. The sandbox counts jobs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ledger_rows import lapse, sql
from ledger_sessions import GENERATE, QUICK, held, posts, quick_sandbox, when_it_comes, whole
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import Fault, cut, hang
from waiting import until

PROGRAM = Path(__file__).parents[1] / "support" / "ledger_program.py"
LEASE = 3600.0
"""Seconds: none lapses but by `Stage.lapse`, however slow the machine is."""

Report = dict[str, Any]


class Run:
    """A process that makes one call."""

    def __init__(self, order: Report) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), json.dumps(order)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def outcome(self) -> Report:
        """What the process printed."""
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, err
        report = json.loads(out)
        assert isinstance(report, dict)
        return {**report, "stderr": err}

    def kill(self) -> None:
        """End it as a crash does: nothing of it runs any more."""
        self.process.kill()
        self.process.communicate(timeout=60)

    def signal(self, number: signal.Signals) -> None:
        """Stop it, or let it continue."""
        self.process.send_signal(number)
        if number is signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)


class Stage:
    """A sandbox, a clip, a ledger, and processes that use them."""

    def __init__(self, sandbox: Sandbox, short_clip: Path, folder: Path) -> None:
        self.sandbox = sandbox
        self.clip = short_clip
        self.to = folder / "out.mp4"
        self.ledger = folder / "ledger.db"
        self.go_on, self.arrived = Event(), Event()
        self.runs: list[Run] = []
        self._made, self._posts = sandbox.jobs_made, posts(sandbox)
        self._seen = len(sandbox.requests)

    def start(self, call: str = "reframe", **changes: Any) -> Run:
        """Start a process; by default one that reframes the clip."""
        order = {
            "call": call,
            "lease": LEASE,
            "renewal": LEASE,
            "video": str(self.clip),
            "to": str(self.to),
            "settings": QUICK,
            "client": {
                "api_key": self.sandbox.api_key,
                "api_secret": self.sandbox.api_secret,
                "base_url": self.sandbox.base_url,
                "ledger": str(self.ledger),
            },
            **changes,
        }
        self.runs.append(Run(order))
        return self.runs[-1]

    def seen(self, method: str, part: str) -> int:
        """How many such requests arrived since the test began."""
        new = self.sandbox.requests[self._seen :]
        return sum(one.method == method and part in one.path for one in new)

    @property
    def jobs(self) -> int:
        """Paid jobs since the test began."""
        return self.sandbox.jobs_made - self._made

    @property
    def posts(self) -> int:
        """Submits since the test began; of an aborted one, the head had arrived."""
        return posts(self.sandbox) - self._posts

    def rows(self, columns: str, table: str = "entries") -> list[tuple[Any, ...]]:
        """These columns of the ledger."""
        return sql(self.ledger, f"SELECT {columns} FROM {table}")  # noqa: S608

    def lapse(self) -> None:
        """End every lease, as if its owner had slept through it."""
        lapse(self.ledger)

    def close(self) -> None:
        """Release what is held, and end the processes that still run."""
        self.go_on.set()
        for run in self.runs:
            if run.process.poll() is None:
                run.process.kill()
            for pipe in (run.process.stdout, run.process.stderr):
                if pipe:
                    pipe.close()
            run.process.wait(60)
        self.sandbox.faults.clear()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module."""
    with quick_sandbox(stage_seconds=0.02) as running:
        yield running


@pytest.fixture
def stage(sandbox: Sandbox, short_clip: Path, tmp_path: Path) -> Iterator[Stage]:
    """A new ledger and a new target."""
    made = Stage(sandbox, short_clip, tmp_path)
    yield made
    made.close()


Moment = Callable[[Stage], None]


def at_fault(fault: Callable[[Event], Fault], path: str, method: str) -> Moment:
    """Hold the first such request."""
    return lambda stage: stage.sandbox.faults.add(fault(stage.go_on), path, method=method)


MOMENTS: dict[str, tuple[Moment, Callable[[Stage], object], str]] = {
    "while a part is on its way": (
        at_fault(held, r"^/uploads/", "PUT"), lambda stage: stage.seen("PUT", "/uploads/"),
        "claimed",
    ),
    "before the POST is accepted": (
        lambda stage: stage.sandbox.faults.add(
            held(stage.go_on, arrived=stage.arrived), r"/generate/", method="POST"
        ),
        lambda stage: stage.arrived.is_set(), "posting",
    ),
    "right after the POST was accepted": (
        at_fault(lambda go: held(go, after=True), r"/generate/", "POST"),
        lambda stage: stage.jobs, "posting",
    ),
    "during the wait": (
        at_fault(held, r"/jobs/job_", "GET"), lambda stage: stage.seen("GET", "/jobs/job_"),
        "submitted",
    ),
    "before the first byte of the file": (
        at_fault(held, r"^/assets/", "GET"), lambda stage: stage.seen("GET", "/assets/") >= 2,
        "ready",
    ),
    "amid the bytes of the file": (
        at_fault(lambda go: held(go, after=True, sent=1000), r"^/assets/", "GET"),
        lambda stage: list(stage.to.parent.glob("*.part")), "ready",
    ),
}  # fmt: skip
"""How to hold a process at a moment, how to see that it is there, and its entry's state."""


@pytest.mark.parametrize(
    ("moment", "again", "is_async"),
    [
        *((name, "reframe", False) for name in MOMENTS if "before the POST" not in name),
        ("right after the POST was accepted", "reframe", True),
        ("right after the POST was accepted", "resume", False),
        ("amid the bytes of the file", "resume", True),
    ],
)
def test_the_work_of_a_killed_process_is_finished_by_the_next(
    stage: Stage, moment: str, again: str, *, is_async: bool
) -> None:
    """Killed at any moment; then the same program or resume(): one job was bought."""
    hold, is_there, state = MOMENTS[moment]
    hold(stage)
    first = stage.start(is_async=is_async)
    until(lambda: is_there(stage))
    if state == "ready":
        until(lambda: stage.rows("state") == [("ready",)])
    first.kill()
    assert stage.rows("state") == [(state,)]
    assert not stage.to.exists()
    stage.go_on.set()
    report = stage.start(again, patient=True, is_async=is_async).outcome()
    assert report.get("files") == [str(stage.to)], report
    assert whole(stage.to)
    assert (stage.jobs, stage.posts) == (1, 1)
    assert stage.rows("state, job_id") == [("done", report["job"])]


def test_a_post_that_is_accepted_after_its_process_was_killed_is_found(stage: Stage) -> None:
    """Not listed at first, so nothing is bought; listed later, its job is used."""
    hold, is_there, _ = MOMENTS["before the POST is accepted"]
    hold(stage)
    first = stage.start()
    until(lambda: is_there(stage))
    first.kill()
    sql(stage.ledger, "UPDATE posts SET longest = 0")  # as if it could no longer be on its way
    for call in ("reframe", "resume"):
        early = stage.start(call, patient=True).outcome()
        assert early["error"] == "SubmissionUncertainError"
    assert (stage.jobs, stage.posts) == (0, 1)
    stage.go_on.set()
    until(lambda: stage.jobs == 1)
    assert stage.start(patient=True).outcome().get("files") == [str(stage.to)]
    assert whole(stage.to)
    assert (stage.jobs, stage.posts) == (1, 1)


def test_the_work_of_two_killed_processes_is_finished_by_the_third(stage: Stage) -> None:
    """One was killed after the POST, the other during the download."""
    for moment in ("right after the POST was accepted", "amid the bytes of the file"):
        hold, is_there, _ = MOMENTS[moment]
        hold(stage)
        run = stage.start(patient=True)
        until(partial(is_there, stage))
        run.kill()
    stage.go_on.set()
    assert stage.start(patient=True).outcome().get("files") == [str(stage.to)]
    assert whole(stage.to)
    assert (stage.jobs, stage.posts) == (1, 1)


def test_a_download_that_breaks_repeatedly_buys_no_second_job(stage: Stage) -> None:
    """In one process, and the file is whole in the end."""
    stage.sandbox.faults.add(cut(700), r"^/assets/", method="GET", times=2)
    assert stage.start().outcome().get("files") == [str(stage.to)]
    assert whole(stage.to)
    assert (stage.jobs, stage.posts) == (1, 1)


def test_an_owner_that_wakes_up_before_its_post_sends_nothing(stage: Stage) -> None:
    """It was stopped, its lease lapsed, and another process has done the work meanwhile."""
    hold, is_there, _ = MOMENTS["while a part is on its way"]
    hold(stage)
    slept = stage.start()
    until(lambda: is_there(stage))
    slept.signal(signal.SIGSTOP)
    stage.lapse()
    other = stage.start().outcome()
    assert other.get("files") == [str(stage.to)], other
    stage.go_on.set()
    slept.signal(signal.SIGCONT)
    woken = slept.outcome()
    assert woken["error"] == "LedgerBusyError"
    assert (stage.jobs, stage.rows("outcome", "posts")) == (1, [("made",)])
    assert stage.rows("state, job_id") == [("done", other["job"])]
    assert whole(stage.to)


def test_an_owner_that_wakes_up_while_another_works_sends_nothing(stage: Stage) -> None:
    """The other is still uploading: two live processes, one of which owns the entry."""
    slow, own = Event(), MOMENTS["while a part is on its way"][0]
    stage.sandbox.faults.add(held(slow), r"^/uploads/", method="PUT")
    slept = stage.start()
    until(lambda: stage.seen("PUT", "/uploads/") == 1)
    slept.signal(signal.SIGSTOP)
    stage.lapse()
    own(stage)
    other = stage.start()
    until(lambda: stage.seen("PUT", "/uploads/") == 2)
    slow.set()
    slept.signal(signal.SIGCONT)
    assert slept.outcome()["error"] == "LedgerBusyError"
    assert (stage.jobs, stage.rows("outcome", "posts")) == (0, [])
    stage.go_on.set()
    assert other.outcome().get("files") == [str(stage.to)]
    assert stage.jobs == 1


def test_an_owner_that_wakes_up_after_its_post_loses_no_job(stage: Stage) -> None:
    """The other process found the job by its seed; both return the same job."""
    hold, is_there, _ = MOMENTS["right after the POST was accepted"]
    hold(stage)
    slept = stage.start()
    until(lambda: is_there(stage))
    slept.signal(signal.SIGSTOP)
    stage.lapse()
    other = stage.start().outcome()
    assert other.get("files") == [str(stage.to)], other
    stage.go_on.set()
    slept.signal(signal.SIGCONT)
    slept.outcome()
    assert (stage.jobs, stage.posts) == (1, 1)
    assert stage.rows("state, job_id") == [("done", other["job"])]
    assert whole(stage.to)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "moment", ["while a part is on its way", "right after the POST was accepted", "during the wait"]
)
def test_an_owner_that_was_not_replaced_while_it_slept_goes_on(
    stage: Stage, moment: str, *, is_async: bool
) -> None:
    """A laptop's lid was closed: nothing is lost, and nothing was closed."""
    hold, is_there, _ = MOMENTS[moment]
    hold(stage)
    slept = stage.start(is_async=is_async)
    until(lambda: is_there(stage))
    slept.signal(signal.SIGSTOP)
    stage.lapse()
    stage.go_on.set()
    slept.signal(signal.SIGCONT)
    report = slept.outcome()
    assert report.get("files") == [str(stage.to)], report
    assert (stage.jobs, stage.posts) == (1, 1)
    assert stage.rows("state, job_id") == [("done", report["job"])]
    overslept = moment == "right after the POST was accepted"
    assert stage.rows("overslept", "posts") == [(int(overslept),)]


def test_of_two_processes_with_the_same_request_one_works(stage: Stage) -> None:
    """The other gets an error that says so, and sends nothing."""
    hold, is_there, _ = MOMENTS["while a part is on its way"]
    hold(stage)
    first = stage.start()
    until(lambda: is_there(stage))
    second = stage.start().outcome()
    assert second["error"] == "LedgerBusyError"
    stage.go_on.set()
    assert first.outcome().get("files") == [str(stage.to)]
    assert (stage.jobs, stage.posts, stage.seen("PUT", "/uploads/")) == (1, 1, 1)


def test_a_process_that_lives_renews_its_lease(stage: Stage) -> None:
    """While its upload hangs, its lease is extended, and no other process gets the entry."""
    hold, is_there, _ = MOMENTS["while a part is on its way"]
    hold(stage)
    first = stage.start(renewal=0.02)
    until(lambda: is_there(stage))
    ((lease,),) = stage.rows("lease_until")
    until(lambda: stage.rows("lease_until")[0][0] > lease)
    assert stage.start().outcome()["error"] == "LedgerBusyError"
    stage.go_on.set()
    assert first.outcome().get("files") == [str(stage.to)]
    assert (stage.jobs, stage.posts) == (1, 1)


def test_of_two_resumes_of_a_paid_job_one_works(stage: Stage) -> None:
    """The job is waited for and downloaded once."""
    hold, is_there, _ = MOMENTS["during the wait"]
    hold(stage)
    dead = stage.start()
    until(lambda: is_there(stage))
    dead.kill()
    stage.lapse()
    hold(stage)
    first = stage.start("resume")
    until(lambda: stage.seen("GET", "/jobs/job_") == 2)
    assert stage.start("resume").outcome()["error"] == "LedgerBusyError"
    stage.go_on.set()
    assert first.outcome().get("files") == [str(stage.to)]
    assert whole(stage.to)
    assert (stage.jobs, stage.posts) == (1, 1)


def test_of_two_resumes_that_may_post_again_one_does(stage: Stage) -> None:
    """An uncertain entry whose POST never arrived is bought once in all."""
    lost = when_it_comes(stage.arrived.set, hang(3600.0))
    stage.sandbox.faults.add(lost, GENERATE, method="POST")
    dead = stage.start()
    until(stage.arrived.is_set)
    dead.kill()
    long_ago = "longest = -9000, server_before = server_before - 9000"
    sql(stage.ledger, f"UPDATE posts SET {long_ago}")  # noqa: S608
    stage.sandbox.faults.add(held(stage.go_on), r"/jobs$", method="GET")
    listed = stage.seen("GET", "/jobs")
    leave = {"resubmit_after": 60.0}
    first = stage.start("resume", **leave)
    until(lambda: stage.seen("GET", "/jobs") > listed)
    assert stage.start("resume", **leave).outcome()["error"] == "LedgerBusyError"
    stage.go_on.set()
    assert first.outcome().get("files") == [str(stage.to)]
    assert (stage.jobs, stage.posts) == (1, 2)
    assert len(stage.rows("id")) == 1


def test_four_processes_with_one_request_at_once_buy_one_job(stage: Stage) -> None:
    """The first works; those that come later find the result."""
    runs = [stage.start() for _ in range(4)]
    report = [run.outcome() for run in runs]
    assert {one.get("error", "done") for one in report} <= {"done", "LedgerBusyError"}
    assert len({one["job"] for one in report if "job" in one}) == 1, report
    assert (stage.jobs, stage.posts) == (1, 1)
    assert whole(stage.to)


def test_ten_processes_with_different_requests_share_one_ledger(stage: Stage) -> None:
    """Ten jobs, ten files, ten entries; no process fails because the ledger is locked."""
    targets = [stage.to.with_name(f"{number}.mp4") for number in range(10)]
    runs = [stage.start(to=str(target)) for target in targets]
    report = [run.outcome() for run in runs]
    assert [one.get("files") for one in report] == [[str(target)] for target in targets]
    assert all(whole(target) for target in targets)
    assert stage.jobs == 10
    assert {job for (job,) in stage.rows("job_id")} == {one["job"] for one in report}
    assert {state for (state,) in stage.rows("state")} == {"done"}
