"""Ctrl-C, closed pipes and terminals: the real command, in a process of its own."""

import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import hang
from scenario_reframe.sandbox.sample import make_sample

START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner may have it ignored
from scenario_reframe.cli import main
sys.exit(main())
"""
QUICK = ("--resolution", "480p", "--num-interpolated-frames", "0")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose jobs take a second or two."""
    with Sandbox(stage_seconds=0.4) as running:
        yield running


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path) -> Iterator[Start]:
    """Start the command in an empty folder that holds `clip.mp4`."""
    make_sample(tmp_path / "clip.mp4", seconds=1, size="160x90", rate=10)
    environment = os.environ | {
        "SCENARIO_BASE_URL": sandbox.base_url,
        "SCENARIO_API_KEY": sandbox.api_key,
        "SCENARIO_API_SECRET": sandbox.api_secret,
        "TERM": "xterm",
    }
    started: list[subprocess.Popen[str]] = []

    def popen(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            stdout=subprocess.PIPE, stderr=stderr, cwd=tmp_path, env=environment, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """The lines of stderr up to one that holds `wanted`."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if wanted in line:
            return seen
    raise AssertionError(seen)


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Press Ctrl-C: exit code, stdout, and the rest of stderr."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def test_ctrl_c_in_a_wait_prints_the_command_that_finishes_the_job(
    start: Start, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Exit code 130; the command, pasted, waits and downloads; one job was paid for."""
    process = start("run", "clip.mp4", "--aspect-ratio", "9:16", *QUICK)
    seen = read_until(process, ": queued")
    code, out, err = interrupt(process)
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    again = shlex.split(err.splitlines()[-1])
    assert again[:3] == ["scenario-reframe", "jobs", "download"]
    assert f"Job {again[3]} submitted" in seen
    out, _ = start(*again[1:]).communicate(timeout=30)
    assert out == "clip-9x16.mp4\n"
    assert (tmp_path / "clip-9x16.mp4").stat().st_size > 1000
    assert sandbox.jobs_made == 1


def test_ctrl_c_in_a_wait_is_json_too(start: Start, sandbox: Sandbox) -> None:
    """A script finds the job and the command."""
    process = start("run", "clip.mp4", "--json", *QUICK)
    read_until(process, ": queued")
    code, out, _ = interrupt(process)
    record = json.loads(out)
    assert (code, record["error"]) == (130, "Interrupted")
    assert record["job"] in record["resume"]


def test_ctrl_c_in_the_post_says_that_a_job_may_have_been_made(
    start: Start, sandbox: Sandbox
) -> None:
    """Its seed is told, and how to look for it."""
    sandbox.faults.add(hang(5.0, after=True), r"/generate/", method="POST")
    process = start("run", "clip.mp4", "--seed", "424242", *QUICK)
    deadline = time.monotonic() + 20
    while not sandbox.jobs_made and time.monotonic() < deadline:
        time.sleep(0.01)
    code, out, err = interrupt(process)
    assert (code, out) == (130, "")
    assert "424242" in err
    assert err.endswith("scenario-reframe jobs list\n")
    assert "Traceback" not in err


def test_ctrl_c_in_an_upload_says_that_nothing_was_paid(start: Start, sandbox: Sandbox) -> None:
    """No job was made."""
    sandbox.faults.add(hang(3.0), r"/uploads", method="POST")
    process = start("run", "clip.mp4", *QUICK)
    read_until(process, "Uploading")
    deadline = time.monotonic() + 20
    while not sandbox.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    code, _, err = interrupt(process)
    assert code == 130
    assert "nothing paid" in err
    assert sandbox.jobs_made == 0


def test_a_reader_that_goes_away_gets_no_traceback(start: Start, sandbox: Sandbox) -> None:
    """As `| head` does."""
    process = start("jobs", "list", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(20) == 1


def test_a_closed_stderr_does_not_stop_a_paid_job(start: Start, sandbox: Sandbox) -> None:
    """Progress is lost, the result is not."""
    process = start("run", "clip.mp4", *QUICK)
    read_until(process, "Uploading")
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdout is not None
    assert process.stdout.read() == "clip-reframed.mp4\n"
    assert process.wait(30) == 0


def test_a_terminal_shows_bars_and_stdout_stays_clean(start: Start, sandbox: Sandbox) -> None:
    """Upload, job and download each have one; the path alone goes to the pipe."""
    ours, theirs = os.openpty()
    process = start("run", "clip.mp4", *QUICK, stderr=theirs)
    os.close(theirs)
    shown = read_terminal(ours)
    out, _ = process.communicate(timeout=30)
    assert out == "clip-reframed.mp4\n"
    assert "\x1b[" in shown
    for what in ("Upload", "Job", "Download", "success", "submitted"):
        assert what in shown


def test_sandbox_prints_what_to_export_and_ends_cleanly(start: Start) -> None:
    """Its three lines are all that another command needs."""
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


def test_sandbox_says_so_when_its_port_is_taken(start: Start, sandbox: Sandbox) -> None:
    """Exit code 2."""
    port = sandbox.base_url.split(":")[2].split("/")[0]
    process = start("sandbox", "--port", port)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"port {port}" in err


def read_terminal(descriptor: int) -> str:
    """All that is written to a terminal until its other end is closed."""
    seen = b""
    while select.select([descriptor], [], [], 30)[0]:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux's way to say that nobody writes any more
            break
        if not chunk:
            break
        seen += chunk
    os.close(descriptor)
    return seen.decode()
