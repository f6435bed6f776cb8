"""The wheel, installed alone into an empty environment."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from scenario_reframe.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
PROGRAM = """
import sys
from scenario_reframe import ReframeClient
with ReframeClient() as client:
    job = client.submit(resolution="480p", num_interpolated_frames=0, video_write_mode="fast")
    print(*client.download(client.wait(job, timeout=120), "out.mp4"))
extras = {"rich", "cyclopts", "starlette", "uvicorn", "av", "jsonschema"} & set(sys.modules)
assert not extras, extras
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binaries of an environment that holds the wheel and what it requires, no more."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    binaries = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return binaries


def run(sandbox: Sandbox, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the sandbox's credentials."""
    environment = {
        "PATH": os.environ["PATH"],
        "SCENARIO_API_KEY": sandbox.api_key,
        "SCENARIO_API_SECRET": sandbox.api_secret,
        "SCENARIO_BASE_URL": sandbox.base_url,
    }
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_bare_wheel_submits_waits_and_downloads(installed: Path, tmp_path: Path) -> None:
    """Without extras the library does its whole job."""
    with Sandbox() as sandbox:
        done = run(sandbox, tmp_path, str(installed / "python"), "-c", PROGRAM)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / done.stdout.strip()).stat().st_size > 0
        assert sandbox.jobs_made == 1


def test_the_bare_command_says_which_extra_to_install(installed: Path, tmp_path: Path) -> None:
    """The command is there, and names what it lacks in one line."""
    with Sandbox() as sandbox:
        done = run(sandbox, tmp_path, str(installed / "scenario-reframe"), "jobs", "list")
    assert done.returncode != 0
    assert "scenario-reframe[cli]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
