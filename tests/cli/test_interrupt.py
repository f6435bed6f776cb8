"""Ctrl-C, closed pipes and terminals, with the real command in a process of its own."""

import json
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Commands, Process, commands, credentials_of, interrupt, output_of
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import hang
from secrecy import Watch
from waiting import until

QUICK = ("--resolution", "480p", "--num-interpolated-frames", "0")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose statuses take no time."""
    with Sandbox(stage_seconds=0.0) as running:
        yield running


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path, short_clip: Path) -> Iterator[Commands]:
    """Starts the command in an empty folder that holds `clip.mp4`."""
    shutil.copy(short_clip, tmp_path)
    with commands(tmp_path, {**credentials_of(sandbox), "TERM": "xterm"}) as made:
        yield made


def read_until(process: Process, wanted: str) -> str:
    """The lines of stderr up to one that holds `wanted`."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if wanted in line:
            return seen
    raise AssertionError(seen)


def test_ctrl_c_in_a_wait_prints_the_command_that_finishes_the_job(
    start: Commands, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Exit code 130; the printed command waits and downloads; one job was paid for."""
    sandbox.hold_jobs = True
    process = start("run", "clip.mp4", "--aspect-ratio", "9:16", *QUICK)
    seen = read_until(process, ": queued")
    code, out, err = interrupt(process)
    sandbox.hold_jobs = False
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    again = shlex.split(err.splitlines()[-1])
    assert again[:3] == ["scenario-reframe", "jobs", "download"]
    assert f"Job {again[3]} submitted" in seen
    out, _ = output_of(start(*again[1:]))
    assert out == "clip-9x16.mp4\n"
    assert (tmp_path / "clip-9x16.mp4").stat().st_size > 1000
    assert sandbox.jobs_made == 1


def test_ctrl_c_in_a_wait_is_json_too(start: Commands, sandbox: Sandbox) -> None:
    """A script gets the job and the command."""
    sandbox.hold_jobs = True
    process = start("run", "clip.mp4", "--json", *QUICK)
    read_until(process, ": queued")
    code, out, _ = interrupt(process)
    record = json.loads(out)
    assert (code, record["error"]) == (130, "Interrupted")
    assert record["job"] in record["resume"]


def test_ctrl_c_in_the_post_says_that_a_job_may_have_been_made(
    start: Commands, sandbox: Sandbox
) -> None:
    """With its seed, and how to look for it."""
    sandbox.faults.add(hang(3600.0, after=True), r"/generate/", method="POST")
    process = start("run", "clip.mp4", "--seed", "424242", *QUICK)
    until(lambda: sandbox.jobs_made)
    code, out, err = interrupt(process)
    assert (code, out) == (130, "")
    assert "424242" in err
    assert err.endswith("scenario-reframe jobs list\n")
    assert "Traceback" not in err


def test_ctrl_c_in_an_upload_says_that_nothing_was_paid(start: Commands, sandbox: Sandbox) -> None:
    """No job was made."""
    sandbox.faults.add(hang(3600.0), r"/uploads", method="POST")
    process = start("run", "clip.mp4", *QUICK)
    read_until(process, "Uploading")
    until(lambda: sandbox.requests)
    code, _, err = interrupt(process)
    assert code == 130
    assert "nothing paid" in err
    assert sandbox.jobs_made == 0


def test_a_reader_that_goes_away_gets_no_traceback(start: Commands, sandbox: Sandbox) -> None:
    """As with `| head`."""
    process = start("jobs", "list", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(120) == 1


def test_a_closed_stderr_does_not_stop_a_paid_job(start: Commands, sandbox: Sandbox) -> None:
    """Its progress is lost, but not its result."""
    process = start("run", "clip.mp4", *QUICK)
    read_until(process, "Uploading")
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdout is not None
    assert process.stdout.read() == "clip-reframed.mp4\n"
    assert process.wait(120) == 0


def test_a_terminal_shows_bars_and_stdout_stays_clean(start: Commands, sandbox: Sandbox) -> None:
    """One bar for upload, job and download each; only the path goes to the pipe."""
    ours, theirs = os.openpty()
    process = start("run", "clip.mp4", *QUICK, stderr=theirs)
    os.close(theirs)
    shown = read_terminal(ours)
    out, _ = output_of(process)
    assert out == "clip-reframed.mp4\n"
    assert "\x1b[" in shown
    for what in ("Upload", "Job", "Download", "success", "submitted"):
        assert what in shown


def test_sandbox_prints_what_to_export_and_ends_cleanly(start: Commands, watch: Watch) -> None:
    """Another command needs nothing but these three lines."""
    watch.allowed = b"export SCENARIO_API_SECRET=sandbox-secret\n"
    process = start("sandbox", "--port", "0")
    read_until(process, "Ctrl-C")
    assert process.stdout is not None
    exported = [process.stdout.readline() for _ in range(3)]
    variables = dict(re.findall(r"export (\w+)=(\S+)", "".join(exported)))
    assert set(variables) == {"SCENARIO_BASE_URL", "SCENARIO_API_KEY", "SCENARIO_API_SECRET"}
    listed = subprocess.run(
        [sys.executable, "-m", "scenario_reframe", "jobs", "list"],
        env=os.environ | variables, capture_output=True, check=False,
    )  # fmt: skip
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, b"", b"")
    code, _, err = interrupt(process)
    assert (code, err) == (0, "")


def test_sandbox_reports_that_its_port_is_taken(start: Commands, sandbox: Sandbox) -> None:
    """Exit code 2."""
    port = sandbox.base_url.split(":")[2].split("/")[0]
    process = start("sandbox", "--port", port)
    _, err = output_of(process)
    assert process.returncode == 2
    assert f"port {port}" in err


def read_terminal(descriptor: int) -> str:
    """Everything written to a terminal until its other end is closed."""
    seen = b""
    while select.select([descriptor], [], [], 120)[0]:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux raises this when the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(descriptor)
    sys.stdout.write(seen.decode())  # where the watch over secrets sees it
    return seen.decode()
