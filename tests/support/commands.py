"""Runs the real command in its own processes, and sets the environment for a sandbox."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from scenario_reframe.sandbox import Sandbox

_START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner may ignore it
from scenario_reframe.cli import main
sys.exit(main())
"""
_LONG = 120.0
"""Seconds after which a process counts as hanging."""

Process = subprocess.Popen[str]


def credentials_of(sandbox: Sandbox) -> Mapping[str, str]:
    """The environment variables that point to a sandbox."""
    return {
        "SCENARIO_BASE_URL": sandbox.base_url,
        "SCENARIO_API_KEY": sandbox.api_key,
        "SCENARIO_API_SECRET": sandbox.api_secret,
    }


def point_to(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set these variables for this process and for those that it starts."""
    for name, value in credentials_of(sandbox).items():
        monkeypatch.setenv(name, value)


class Commands:
    """Starts commands in one folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._started: list[Process] = []

    def __call__(self, *arguments: str, stderr: int = subprocess.PIPE) -> Process:
        """Start a command."""
        process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=self._folder,
            env=os.environ | self._environment,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._started:
            process.kill()
            process.communicate()


@contextmanager
def commands(folder: Path, environment: Mapping[str, str]) -> Iterator[Commands]:
    """Commands in this folder, all of which are ended afterwards."""
    made = Commands(folder, environment)
    try:
        yield made
    finally:
        made.close()


def output_of(process: Process) -> tuple[str, str]:
    """The rest of what a process writes to stdout and stderr."""
    return process.communicate(timeout=_LONG)


def interrupt(process: Process) -> tuple[int, str, str]:
    """Press Ctrl-C; return the exit code, stdout, and the rest of stderr."""
    process.send_signal(signal.SIGINT)
    out, err = output_of(process)
    return process.returncode, out, err
