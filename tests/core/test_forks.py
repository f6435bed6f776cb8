"""A program that calls `os.fork`: connections, database handles and claims do not survive it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fork_program import EACH
from ledger_rows import sql
from ledger_sessions import QUICK
from scenario_reframe.sandbox import Sandbox

PROGRAM = Path(__file__).parents[1] / "support" / "fork_program.py"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork here")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose jobs are done at once, without video."""
    with Sandbox(stage_seconds=0.0, fast=True) as running:
        yield running


def run(sandbox: Sandbox, ledger: Path | None, *, is_given: bool = False) -> dict[str, Any]:
    """What parent and child reported."""
    client = {
        "api_key": sandbox.api_key,
        "api_secret": sandbox.api_secret,
        "base_url": sandbox.base_url,
        "ledger": None if ledger is None else str(ledger),
    }
    order = {"client": client, "settings": QUICK, "is_given": is_given}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), json.dumps(order)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["who"]: one for one in reports}


@pytest.mark.parametrize("with_ledger", [False, True])
def test_parent_and_child_submit_side_by_side_and_get_their_own_jobs(
    sandbox: Sandbox, tmp_path: Path, *, with_ledger: bool
) -> None:
    """One job for each submit; each process has its own, and the ledger has all."""
    path = tmp_path / "ledger.db"
    reports = run(sandbox, path if with_ledger else None)
    rows = [row for who in ("parent", "child") for row in reports[who]["jobs"]]
    prompts = {job.id: job.input["prompt"] for job in sandbox.made}
    assert sandbox.jobs_made == 1 + 2 * EACH
    assert len({job_id for *_, job_id in rows}) == 2 * EACH
    assert all(wanted == echoed == prompts[job_id] for wanted, echoed, job_id in rows)
    if with_ledger:
        kept = sql(path, "SELECT state, job_id, settings FROM entries")
        assert {(state, job_id) for state, job_id, _ in kept} == {
            ("submitted", job_id) for job_id in prompts
        }
        assert all(json.loads(given)["prompt"] == prompts[job_id] for _, job_id, given in kept)


def test_a_given_http_client_is_not_used_in_a_child(sandbox: Sandbox) -> None:
    """Its connections are the parent's: the child gets an error, and the parent continues."""
    reports = run(sandbox, None, is_given=True)
    assert "os.fork" in reports["child"]["error"]
    assert len(reports["parent"]["jobs"]) == EACH
    assert sandbox.jobs_made == 1 + EACH
