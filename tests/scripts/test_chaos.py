"""Chaos runs: batches are killed while the sandbox misbehaves; and deliberate bugs are detected."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from _chaos import chaos, is_good
from _chaos_rows import REQUESTS, ManifestRow, judge, write_rows
from _chaos_server import REWRITES, RandomEcho
from scenario_reframe.sandbox import MadeJob
from scenario_reframe_api.settings import SETTINGS

ROOT = Path(__file__).parents[2]


def test_a_killed_batch_buys_everything_once_and_loses_nothing() -> None:
    """60 jobs, 6 kills and 20 % faults, run as a person would."""
    command = [str(ROOT / "scripts" / "chaos"), "--jobs", "60", "--kills", "6", "--faults", "20"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(run.stdout.splitlines()[-1])
    expected = {
        "jobs_asked": 60,
        "jobs_made": 60,
        "duplicates": 0,
        "lost": 0,
        "wrong_row": 0,
        "files_whole": 60,
        "partial_files_seen": 0,
        "credentials_found": 0,
        "hung": 0,
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
    """The run detects what it looks for."""
    client = (sys.executable, str(ROOT / "tests" / "support" / "chaos_bugs.py"), bug)
    figures = chaos(jobs=16, kills=0, faults=0.4, seed=1, client=client, rounds=1, kinds=[kind])
    assert figures[seen] > 0, figures
    assert not is_good(figures)


@pytest.fixture
def rows(tmp_path: Path) -> Sequence[ManifestRow]:
    """A project's rows for two clips."""
    return write_rows(tmp_path, "a", "proj_a", 2 * len(REQUESTS))


def made_for(row: ManifestRow, seed: int = 7, project_id: str = "proj_a") -> MadeJob:
    """A job that does what a row requests, with a hash that depends on its input."""
    wire = {setting.name: setting.wire for setting in SETTINGS}
    given = {"seed": seed, **{wire[name]: value for name, value in row.settings.items()}}
    source = hashlib.sha256(row.clip.read_bytes()).hexdigest()
    digest = hashlib.sha256(content_of(given, source)).hexdigest()
    body = {**given, "videoUrl": "asset_1"}
    return MadeJob("job_1", body, "success", project_id, 0, ("asset_2",), (digest,), source)


def content_of(given: dict[str, Any], source: str) -> bytes:
    """A result's bytes."""
    return json.dumps([given, source], sort_keys=True).encode()


def save(row: ManifestRow, job: MadeJob, out: Path) -> None:
    """Write a job's result to a row's target."""
    given = {name: value for name, value in job.input.items() if name != "videoUrl"}
    (out / row.output).write_bytes(content_of(given, job.source_digest or ""))


def test_a_job_and_a_file_for_each_row_are_as_they_should_be(
    rows: Sequence[ManifestRow], tmp_path: Path
) -> None:
    """Also for rows with equal requests, with a seed of the caller's or drawn seeds."""
    jobs = [made_for(row, seed) for seed, row in enumerate(rows)]
    for row, job in zip(rows, jobs, strict=True):
        save(row, job, tmp_path)
    verdict = judge(rows, jobs, tmp_path)
    counts = (verdict.whole, verdict.wrong_row, verdict.lost, verdict.duplicates)
    assert counts == (len(rows), 0, 0, 0)
    assert verdict.notes == []


def test_files_of_other_rows_are_detected(rows: Sequence[ManifestRow], tmp_path: Path) -> None:
    """Swapped between clips, or one job's bytes in two files, even of equal requests."""
    jobs = [made_for(row, seed) for seed, row in enumerate(rows)]
    twin = next(place for place in range(1, len(REQUESTS)) if REQUESTS[place] == REQUESTS[0])
    for place, source in ((0, 0), (twin, 0), (2, 2 + len(REQUESTS)), (2 + len(REQUESTS), 2)):
        save(rows[place], jobs[source], tmp_path)
    verdict = judge(rows, jobs, tmp_path)
    assert (verdict.whole, verdict.wrong_row, verdict.lost) == (1, 3, len(rows) - 1)
    assert len(verdict.notes) == 3


def test_surplus_jobs_are_detected(rows: Sequence[ManifestRow], tmp_path: Path) -> None:
    """A row's second job, one in another project, one with settings that no row has."""
    given = made_for(rows[0], 100)
    odd = MadeJob(**{**vars(given), "input": given.input | {"numFrames": 90}})
    jobs = [*map(made_for, rows), given, made_for(rows[0], project_id="proj_b"), odd]
    verdict = judge(rows, jobs, tmp_path)
    assert (verdict.duplicates, verdict.lost, verdict.whole) == (3, len(rows), 0)


def test_rows_repeat_the_callers_seed_and_leave_cells_blank() -> None:
    """The rows are hard to tell apart: a third share one seed; twins; blank prompts."""
    seeded = [ask for ask in REQUESTS if "seed" in ask]
    assert len(seeded) == len(REQUESTS) // 3
    assert all(REQUESTS.count(ask) == 2 for ask in (REQUESTS[0], seeded[0]))
    assert sum("prompt" not in ask for ask in REQUESTS) > len(REQUESTS) // 2


def test_an_echo_stays_the_same_for_a_job(rows: Sequence[ManifestRow]) -> None:
    """List and single job agree, unless the list shows nothing; echoes differ between jobs."""
    echo, bodies = RandomEcho(1), [made_for(rows[5], seed).input for seed in range(60)]
    shown = [[echo(dict(body), place) for place in ("list", "job")] for body in bodies]
    assert all(listed in (None, by_id) for listed, by_id in shown)
    for place, ways in (("list", len(REWRITES)), ("job", len(REWRITES) - 1)):
        seen = {json.dumps(way(dict(bodies[0]), place)) for way in REWRITES}
        assert len(seen) == ways


def test_the_clients_clock_can_be_wrong() -> None:
    """For all modules that it imports from then on, in `time` and in `datetime`."""
    program = """
import time
from _chaos_client import shift_clock
true = time.time()
shift_clock(-18000)
from datetime import UTC, datetime
now = datetime.now(UTC)
hours = [round((moment - true) / 3600) for moment in (time.time(), now.timestamp())]
print(*hours, isinstance(now, datetime))
"""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}){program}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["-5", "-5", "True"]
