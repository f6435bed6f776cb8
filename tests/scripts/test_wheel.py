"""The wheel, installed alone into an empty environment."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from scenario_reframe.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import scenario_reframe
QUICK = {"resolution": "480p", "num_interpolated_frames": 0, "video_write_mode": "fast"}
late = {"httpx", "sqlite3", "platformdirs"}
assert not late & set(sys.modules), late & set(sys.modules)
with scenario_reframe.ReframeClient() as client:
    job = client.wait(client.submit(**QUICK), timeout=120)
    print(*client.download(job, "out.mp4"))
late = {"sqlite3", "platformdirs", "scenario_reframe.ledger.store"}
assert not late & set(sys.modules), late & set(sys.modules)
for target in ("a.mp4", "b.mp4"):
    with scenario_reframe.ReframeClient(ledger=True) as client:
        print(*client.reframe(job.asset_ids[0], target, key="order-1", **QUICK).files)
extras = {"rich", "cyclopts", "starlette", "uvicorn", "av", "jsonschema"} & set(sys.modules)
assert not extras, extras
"""
NEEDED = """
from importlib.metadata import requires
print(*(one for one in requires("scenario-reframe") if "extra ==" not in one or "ledger" in one))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binaries of an environment that holds only the wheel and what it requires."""
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
        "SCENARIO_LEDGER": str(cwd / "ledger.db"),
    }
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_bare_wheel_does_the_whole_job_with_a_ledger_and_without(
    installed: Path, tmp_path: Path
) -> None:
    """Without extras; the ledger's modules are loaded only if a ledger is used."""
    with Sandbox() as sandbox:
        done = run(sandbox, tmp_path, str(installed / "python"), "-c", PROGRAM)
        assert done.returncode == 0, done.stderr
        files = [tmp_path / line for line in done.stdout.splitlines()]
        assert [file.name for file in files] == ["out.mp4", "a.mp4", "b.mp4"]
        assert all(file.stat().st_size > 0 for file in files)
        assert sandbox.jobs_made == 2
    assert (tmp_path / "ledger.db").exists()


def test_the_wheel_needs_little_and_its_extra_for_the_ledger_nothing(
    installed: Path, tmp_path: Path
) -> None:
    """`scenario-reframe[ledger]` is an old name that installations still use."""
    command = [str(installed / "python"), "-c", NEEDED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sorted(re.findall(r"[a-z]+", done.stdout)) == ["attrs", "httpx", "platformdirs"]


def test_the_bare_command_says_which_extra_to_install(installed: Path, tmp_path: Path) -> None:
    """The command exists, and names what is missing in one line."""
    with Sandbox() as sandbox:
        done = run(sandbox, tmp_path, str(installed / "scenario-reframe"), "jobs", "list")
    assert done.returncode != 0
    assert "scenario-reframe[cli]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
