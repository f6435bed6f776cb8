"""`jobs list`, `show`, `wait`, `download` against the sandbox."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import point_to
from scenario_reframe import Job, ReframeClient
from scenario_reframe.cli import main
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer
from scenario_reframe.sandbox.sample_clip import make_sample

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox for the module."""
    with Sandbox(stage_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def finished(running: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job that is done."""
    clip = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_sample(clip, seconds=1, size="160x90", rate=10)
    with ReframeClient(running.api_key, running.api_secret, base_url=running.base_url) as client:
        return client.wait(client.submit(clip, resolution="480p", seed=5, prompt="a [b]bold[/b]"))


@pytest.fixture
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """The sandbox, to which the environment points; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    point_to(running, monkeypatch)
    return running


def test_list_prints_one_line_a_job_with_its_seed(
    sandbox: Sandbox, finished: Job, capsys: Output
) -> None:
    """A lost job is looked for by its seed."""
    assert main(["jobs", "list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    (row,) = [row for row in rows if row.startswith(finished.id)]
    assert "success" in row
    assert row.endswith("seed 5")


def test_list_stops_at_the_limit(sandbox: Sandbox, finished: Job, capsys: Output) -> None:
    """Newest first, as text and as JSON."""
    assert main(["jobs", "list", "--limit", "1"]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    assert main(["jobs", "list", "--limit", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"jobs": [], "without_job": []}


def test_show_prints_the_job_in_lines_or_as_json(
    sandbox: Sandbox, finished: Job, capsys: Output
) -> None:
    """The server's text is not read as markup."""
    assert main(["jobs", "show", finished.id]) == 0
    told = capsys.readouterr().out
    assert "status      success" in told
    assert "prompt=a [b]bold[/b]" in told
    assert main(["jobs", "show", finished.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["prompt"] == "a [b]bold[/b]"


def test_wait_ends_at_once_for_a_job_that_is_done(
    sandbox: Sandbox, finished: Job, capsys: Output
) -> None:
    """It prints the job."""
    assert main(["jobs", "wait", finished.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "success"


def test_wait_that_times_out_prints_the_command_to_go_on(sandbox: Sandbox, capsys: Output) -> None:
    """Exit code 5."""
    queued = {"job": {"jobId": "job_q", "status": "queued"}}
    sandbox.faults.add(answer(200, queued), r"/jobs/job_q", times=2)
    assert main(["jobs", "wait", "job_q", "--timeout", "0"]) == 5
    assert capsys.readouterr().err.endswith("scenario-reframe jobs wait job_q\n")


def test_download_into_a_folder_names_the_file_by_its_asset(
    sandbox: Sandbox, finished: Job, capsys: Output
) -> None:
    """The default is the working directory."""
    (asset,) = finished.asset_ids
    assert main(["jobs", "download", finished.id]) == 0
    assert capsys.readouterr().out == f"{asset}.mp4\n"
    assert Path(f"{asset}.mp4").stat().st_size > 1000


def test_download_refuses_an_existing_target(
    sandbox: Sandbox, finished: Job, capsys: Output
) -> None:
    """Before any request."""
    Path("mine.mp4").touch()
    before = len(sandbox.requests)
    assert main(["jobs", "download", finished.id, "-o", "mine.mp4"]) == 2
    assert len(sandbox.requests) == before


@pytest.mark.parametrize("verb", ["show", "wait", "download"])
def test_an_unknown_job_exits_3(verb: str, sandbox: Sandbox, capsys: Output) -> None:
    """The id is printed, and no command to resume it."""
    assert main(["jobs", verb, "job_none"]) == 3
    told = capsys.readouterr().err
    assert "job_none" in told
    assert "jobs download" not in told


def test_a_signed_url_in_the_echo_is_shown_without_its_query(
    sandbox: Sandbox, capsys: Output
) -> None:
    """And without its user."""
    url = "https://me:pw@files.test/a.mp4?Signature=secret"
    job = {"jobId": "job_u", "status": "queued", "metadata": {"input": {"videoUrl": url}}}
    sandbox.faults.add(answer(200, {"job": job}), r"/jobs/job_u")
    assert main(["jobs", "show", "job_u", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["settings"] == {"videoUrl": "https://files.test/a.mp4"}
