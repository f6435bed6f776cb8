"""Chaos: a batch whose client is killed while the sandbox misbehaves; and that it sees bugs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "scripts"))

from _chaos import chaos, is_good  # noqa: E402


def test_a_killed_batch_buys_everything_once_and_loses_nothing() -> None:
    """60 jobs, 6 kills and 20 % faults, as a person would run it."""
    command = [str(ROOT / "scripts" / "chaos"), "--jobs", "60", "--kills", "6", "--faults", "20"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(run.stdout.splitlines()[-1])
    expected = {
        "jobs_asked": 60,
        "jobs_made": 60,
        "duplicates": 0,
        "lost": 0,
        "files_whole": 60,
        "partial_files_seen": 0,
        "credentials_found": 0,
        "kills": 6,
    }
    assert {name: figures[name] for name in expected} == expected, run.stderr
    assert figures["faults"] > 30
    assert run.returncode == 0


@pytest.mark.parametrize(
    ("bug", "kind", "seen"),
    [
        ("blind-retry", "504 after", "duplicates"),
        ("early-rename", "cut", "partial_files_seen"),
    ],
)
def test_a_deliberate_bug_makes_the_run_fail(bug: str, kind: str, seen: str) -> None:
    """What the run looks for, it finds."""
    client = (sys.executable, str(ROOT / "tests" / "chaos_bugs.py"), bug)
    figures = chaos(jobs=16, kills=0, faults=0.4, seed=1, client=client, rounds=1, kinds=[kind])
    assert figures[seen] > 0, figures
    assert not is_good(figures)
