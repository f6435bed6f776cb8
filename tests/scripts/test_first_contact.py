"""scripts/first-contact against the sandbox: the free questions, and what stops the run."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from _first_contact.__main__ import main
from _first_contact.free import PROBES
from contact_runs import AT_ONCE, Run, facts, findings
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, drop

ROOT = Path(__file__).parents[2]


def test_free_questions_are_asked_and_nothing_is_bought(
    sandbox: Sandbox, run: Run, folder: Path
) -> None:
    """Statuses and shapes are recorded; only GETs and dry runs are sent."""
    assert run() == 0
    assert sandbox.jobs_made == 0
    posts = [seen for seen in sandbox.requests if seen.method != "GET"]
    assert posts
    assert all("dryRun=true" in seen.query for seen in posts)
    assert [seen.status for seen in sandbox.requests].count(401) == 1
    assert facts(folder, "dry run")["status"] == 269
    assert facts(folder, "dry run")["price"] == 60
    assert facts(folder, "unknown job")["body"] == {"reason": "text", "trace_id": "text"}
    assert facts(folder, "wrong credentials")["status"] == 401
    assert facts(folder, "prices")["status"] == 404
    assert facts(folder, "the model's inputs")["inputs"]["videoUrl"]["costImpact"] is True
    assert facts(folder, "dry run of a bad setting")["out of bounds"]["status"] == 400
    asked = facts(folder, "price of the cheapest job")["prices in creative units"]
    assert asked["nothing set"] > asked["as submitted"]
    assert "| status of a dry run | `269` |" in (folder / "report.md").read_text("utf-8")


ODD = {
    "500": answer(500, {"message": "Internal"}),
    "html": answer(502, "<h1>Bad Gateway</h1>"),
    "html as 200": answer(200, "<p>hello</p>"),
    "empty": answer(200, ""),
    "a list": answer(200, [1, "two"]),
    "nothing in it": answer(200, {}),
    "nulls": answer(200, {"jobs": None, "model": [None], "job": 3, "creativeUnitsCost": "many"}),
    "an odd redirect": answer(302, "", {"location": "urn:x"}),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_replies_are_findings(odd: str, sandbox: Sandbox, run: Run, folder: Path) -> None:
    """Whatever the API answers, every question is asked."""
    sandbox.faults.add(ODD[odd], r"^/v1/", times=10_000)
    assert run() == 0
    assert set(PROBES) < set(findings(folder))
    assert sandbox.jobs_made == 0


def test_no_reply_is_a_failure_and_stops_nothing(sandbox: Sandbox, run: Run, folder: Path) -> None:
    """That probe is marked, the others are asked, and the exit code shows it."""
    sandbox.faults.add(drop(), r"/models/", times=1000)
    assert run() == 1
    outcomes = {name: row["outcome"] for name, row in findings(folder).items()}
    assert outcomes.pop("the model's inputs").startswith("failed: ")
    assert set(outcomes.values()) == {"found"}


def test_a_dry_run_that_makes_a_job_ends_everything(
    sandbox: Sandbox, run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing more is sent, and the job's whole id is printed."""

    async def deaf(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await app(dict(scope) | {"query_string": b""}, receive, send)

    sandbox.faults.add(deaf, r"/generate/", times=1000)
    assert run("--pay", "--yes") == 1
    assert sandbox.jobs_made == 1
    assert sandbox.requests[-1].method == "POST"
    job_id = sandbox.made[0].id
    assert job_id in capsys.readouterr().out
    assert job_id in (folder / "report.md").read_text("utf-8")


def test_wrong_usage_is_an_error(
    run: Run, folder: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, and nothing is sent."""
    assert main(["--report", str(ROOT / "report")], AT_ONCE) == 2
    assert not (ROOT / "report").exists()
    assert run("--video", "nothing.mp4") == 2
    with pytest.raises(SystemExit) as caught:
        run("--yes")
    assert caught.value.code == 2
    with (folder / "lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert run() == 2
    monkeypatch.delenv("SCENARIO_API_SECRET")
    assert run() == 2
    assert not sandbox.requests


def test_the_launcher_explains_itself() -> None:
    """The script that a person runs."""
    environment = os.environ | {"VENV": os.environ.get("VENV", str(Path(sys.prefix)))}
    command = [str(ROOT / "scripts" / "first-contact"), "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--until-expired" in done.stdout
