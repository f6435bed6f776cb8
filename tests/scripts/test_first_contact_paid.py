"""scripts/first-contact with --pay against the sandbox: one job, whatever happens."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from _first_contact.__main__ import main
from _first_contact.free import PROBES
from _first_contact.session import Clocks
from commands import credentials_of, point_to
from contact_runs import AT_ONCE, Run, facts, findings, only_paid
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, drop, rewrite
from timings import SOON
from waiting import Clock, until

ROOT = Path(__file__).parents[2]
FOLLOWED = (
    "submit", "how soon it is listed", "echo of the request", "the job's statuses", "result",
    "owners", "file host", "expiry of the URL", "file",
)  # fmt: skip


def test_one_job_is_bought_followed_and_never_bought_again(
    monkeypatch: pytest.MonkeyPatch, folder: Path, short_clip: Path
) -> None:
    """With real video; the second run finds the first one's job, and keeps its findings."""
    arguments = ["--report", str(folder), "--pay", "--video", str(short_clip)]
    with Sandbox(stage_seconds=0) as sandbox:
        point_to(sandbox, monkeypatch)
        assert main(arguments, AT_ONCE, lambda: "pay") == 0
        assert sandbox.jobs_made == 1
        sent = dict(sandbox.made[0].input)
        before = findings(folder)
        assert main([*arguments, "--yes"], AT_ONCE) == 0
        assert sandbox.jobs_made == 1
        assert sandbox.credentials_leaked == 0
    after = findings(folder)
    assert {name: row["outcome"] for name, row in after.items()} == dict.fromkeys(after, "found")
    assert set(FOLLOWED) < set(after)
    assert after["submit"] == before["submit"]
    assert after["submit"]["facts"]["status"] == 200
    echo = facts(folder, "echo of the request")
    for view in ("in the submit's response", "in the list", "by its id"):
        assert echo[view] == dict.fromkeys(sent, "same") | {"echoed but not sent": {}}
    assert facts(folder, "file host")["first bytes"]["content-range"].startswith("bytes 0-1")
    assert facts(folder, "file host")["whole"]["etag"] == "strong"
    assert facts(folder, "expiry of the URL")["signature changed"]["status"] == 403
    assert facts(folder, "file")["sound"] is False
    assert facts(folder, "file")["video"]["frames"] == facts(folder, "result")["frames"] == 81
    assert facts(folder, "owners")["all the same"] is True


@pytest.mark.parametrize("typed", ["", "yes", "pay me"])
def test_nothing_is_bought_without_confirmation(
    typed: str, sandbox: Sandbox, run: Run, folder: Path
) -> None:
    """The word must be typed exactly."""
    assert run("--pay", ask=lambda: typed) == 0
    assert sandbox.jobs_made == 0
    assert findings(folder)["submit"]["outcome"].startswith("skipped")


def test_without_a_price_nothing_is_bought(sandbox: Sandbox, run: Run, folder: Path) -> None:
    """Not even with a person's permission."""
    sandbox.faults.add(answer(500), r"/generate/", times=1000)
    assert run("--pay", "--yes") == 1
    assert sandbox.jobs_made == 0
    assert "no price is known" in findings(folder)["submit"]["outcome"]


def test_a_run_that_is_killed_after_its_submit_is_continued(
    sandbox: Sandbox, run: Run, folder: Path, tmp_path: Path
) -> None:
    """The next one finds the job, and buys none."""
    sandbox.hold_jobs = True
    command = [sys.executable, "-m", "_first_contact", "--pay", "--yes"]
    command += ["--report", str(folder), "--video", str(tmp_path / "clip.mp4")]
    paths = os.pathsep.join([str(ROOT / "scripts"), *sys.path])
    environment = os.environ | credentials_of(sandbox) | {"PYTHONPATH": paths}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        until(lambda: sandbox.jobs_made)
        process.kill()
    sandbox.hold_jobs = False
    assert run("--pay", "--yes") == 0
    assert sandbox.jobs_made == 1
    assert facts(folder, "echo of the request")["by its id"]["prompt"] == "same"
    assert facts(folder, "file")["size matches the asset"] is True


def test_a_submit_whose_reply_is_lost_is_looked_up_and_not_repeated(
    sandbox: Sandbox, run: Run, folder: Path
) -> None:
    """It stays uncertain until the job is listed; then a later run continues it."""
    sandbox.faults.add(only_paid(drop(after=True)), r"/generate/", times=1000)
    sandbox.list_lag = 3600
    assert run("--pay", "--yes") == 1
    assert "SubmissionUncertainError" in findings(folder)["submit"]["outcome"]
    assert run("--pay", "--yes") == 1
    assert sandbox.jobs_made == 1
    sandbox.list_lag = 0
    assert run("--pay", "--yes") == 0
    assert sandbox.jobs_made == 1
    assert facts(folder, "job of an earlier run") == {"earlier job": "found in the list"}


def test_another_account_does_not_buy_in_the_same_folder(
    sandbox: Sandbox, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger shows a project's rows only to that project."""
    assert run("--pay", "--yes") == 0
    monkeypatch.setenv("SCENARIO_PROJECT_ID", "proj_another")
    assert run("--pay", "--yes") == 1
    assert sandbox.jobs_made == 1


def test_a_report_is_of_one_server(
    sandbox: Sandbox, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default each server has its folder; in a shared one, the job is bought only once."""
    assert run("--pay", "--yes") == 0
    monkeypatch.setenv("HOME", str(folder))
    with Sandbox(fast=True, stage_seconds=0) as other:
        point_to(other, monkeypatch)
        assert run("--pay", "--yes") == 1
        assert "result" not in findings(folder) or findings(folder)["result"]["facts"] == {}
        assert main([], AT_ONCE) == 0
        assert other.jobs_made == 0
    port = other.base_url.split(":")[2].split("/")[0]
    assert set(findings(folder / "first-contact-report" / f"127.0.0.1-{port}")) > set(PROBES)


def test_how_soon_a_job_is_listed_is_measured(
    monkeypatch: pytest.MonkeyPatch, run: Run, folder: Path
) -> None:
    """By a clock that only pauses move: 30 s, to the next poll."""
    clock = Clock()
    clocks = Clocks(now=clock, elapsed=clock, pause=clock.forward, timing=SOON)
    with Sandbox(fast=True, stage_seconds=0, list_lag=30, clock=clock) as sandbox:
        point_to(sandbox, monkeypatch)
        assert run("--pay", "--yes", clocks=clocks) == 0
    found = facts(folder, "how soon it is listed")
    assert 30 <= found["seconds after the reply"] <= 35
    assert found["polls"] > 20
    assert facts(folder, "echo of the request")["in the list"]["seed"] == "same"


def test_the_end_of_the_urls_life_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, run: Run, folder: Path
) -> None:
    """And then tested, by the same clock."""
    clock = Clock()
    clocks = Clocks(now=clock, elapsed=clock, pause=clock.forward, timing=SOON)
    with Sandbox(fast=True, stage_seconds=0, url_lifetime=7200, clock=clock) as sandbox:
        point_to(sandbox, monkeypatch)
        assert run("--pay", "--yes", "--until-expired", clocks=clocks) == 0
    found = facts(folder, "expiry of the URL")
    assert found["hours left"] == pytest.approx(2, abs=0.01)
    assert found["expired"]["status"] == 403
    assert 0 < found["expired"]["seconds after expiry"] < 60


def test_a_job_without_an_echo_is_followed(sandbox: Sandbox, run: Run, folder: Path) -> None:
    """Replies with nothing but the id and the status."""

    def bare(reply: dict[str, Any]) -> dict[str, Any]:
        if "jobs" in reply:
            return {"jobs": [bare({"job": job})["job"] for job in reply["jobs"]]}
        job = reply["job"]
        return {"job": {key: job[key] for key in ("jobId", "status")}}

    sandbox.faults.add(only_paid(rewrite(bare)), r"/generate/", times=1000)
    sandbox.faults.add(rewrite(bare), r"/v1/jobs", times=1)
    sandbox.faults.add(rewrite(lambda reply: reply if "reason" in reply else bare(reply)),
                       r"/v1/jobs", times=1000)  # fmt: skip
    assert run("--pay", "--yes") == 0
    assert sandbox.jobs_made == 1
    echo = facts(folder, "echo of the request")
    assert echo["by its id"] == {"metadata.input": "missing"}
