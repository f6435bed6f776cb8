"""The sandbox's temporary folder goes with its process, however that ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scenario_reframe.sandbox import Sandbox
from waiting import until

_LONG = 120.0  # seconds after which a process counts as hanging
_RUNS = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)  # a test runner may ignore them
from scenario_reframe.sandbox import Sandbox
sandbox = Sandbox(fast=True)
sandbox.__enter__()
print(sandbox._state.folder, flush=True)
"""
_WAITS = _RUNS + "time.sleep(600)"
_FORKS = """
if child := os.fork():
    os.waitpid(child, 0)
    assert sandbox._state.folder.exists()
    sandbox.close()
    assert not sandbox._state.folder.exists()
"""
_CLOSES = """
sandbox.close()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
"""


def started(program: str, folder: Path) -> "subprocess.Popen[str]":
    """Start a program, as the leader of a group, with its temporary files in a folder."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],  # of fork with threads
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("end", [os.kill, os.killpg], ids=["process", "group"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_a_killed_program_leaves_nothing(
    tmp_path: Path, end: Callable[[int, int], None], number: signal.Signals
) -> None:
    """Not even with `kill -9`, alone or with its group, as when a terminal is closed."""
    with started(_WAITS, tmp_path) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().rstrip())
        (folder / "more").mkdir()
        assert [*tmp_path.iterdir()] == [folder]
        end(process.pid, number)
        try:
            assert process.wait(_LONG) == -number
        finally:
            process.kill()
        until(lambda: not folder.exists())
    assert [*tmp_path.iterdir()] == []


def test_a_forked_child_leaves_the_folder_to_its_parent(tmp_path: Path) -> None:
    """It may end in any way; the parent's sandbox goes on, and cleans up."""
    with started(_RUNS + _FORKS, tmp_path) as process:
        _, stderr = process.communicate(timeout=_LONG)
    assert (process.returncode, stderr) == (0, "")
    assert [*tmp_path.iterdir()] == []


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    """The process that watches ends, too."""
    with started(_RUNS + _CLOSES, tmp_path) as process:
        stdout, stderr = process.communicate(timeout=_LONG)
    assert (stdout.splitlines()[1:], stderr) == (["no child"], "")


def test_the_folder_is_its_users_own() -> None:
    """Other users of the machine see no clips."""
    with Sandbox(fast=True) as sandbox:
        assert sandbox._state.folder.stat().st_mode & 0o077 == 0
