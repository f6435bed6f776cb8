"""Tests that each leak a secret in one way; `test_secrecy` runs them to see them fail.

All but the last two pass by themselves: only the watch can fail them.
"""
# ruff: noqa: T201

import importlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import point_to
from scenario_reframe import ConfigurationError, ReframeClient
from scenario_reframe.cli import main, progress
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import rewrite
from secrecy import Watch

SECRET = "sandbox-secret"
PRINT = [sys.executable, "-c", f"import sys; print('{SECRET}'); print('{SECRET}', file=sys.stderr)"]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """A sandbox with other credentials, so that the client does not redact `SECRET`."""
    with Sandbox(api_key="another-key", api_secret="another", fast=True) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, to which the environment points."""
    point_to(running, monkeypatch)
    return running


def test_print() -> None:
    """What pytest captures."""
    print(SECRET)


def test_descriptor_1() -> None:
    """Written past Python's streams."""
    os.write(1, SECRET.encode())


def test_descriptor_2() -> None:
    """Written past Python's streams."""
    os.write(2, SECRET.encode())


def test_capsys(capsys: pytest.CaptureFixture[str]) -> None:
    """What a test has read is not in the report."""
    print(SECRET)
    capsys.readouterr()


def test_capsys_unread(capsys: pytest.CaptureFixture[str]) -> None:
    """What it has not read is in the report."""
    print(SECRET)


def test_capfd(capfd: pytest.CaptureFixture[str]) -> None:
    """What a test has read is not in the report."""
    os.write(2, SECRET.encode())
    capfd.readouterr()


def test_capsysbinary(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The same for bytes."""
    print(SECRET)
    capsysbinary.readouterr()


def test_child() -> None:
    """A child that inherits our descriptors."""
    subprocess.run(PRINT, check=True)


def test_child_run() -> None:
    """A child that writes to two pipes."""
    subprocess.run(PRINT, check=True, capture_output=True)


def test_child_one_pipe() -> None:
    """A child with a pipe for stderr alone."""
    subprocess.run(PRINT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_child_lines() -> None:
    """A child whose output is read line by line."""
    with subprocess.Popen(PRINT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        assert len(list(child.stdout)) == 1


def test_jobs(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """`jobs show` prints a job's settings."""
    with ReframeClient() as client:
        job = client.submit(prompt=SECRET)
    assert main(["jobs", "show", job.id]) == 0
    assert SECRET in capsys.readouterr().out


def test_doctor(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """`doctor` prints the name of an input that it does not know."""

    def with_another_input(record: Any) -> Any:
        record["model"]["inputs"].append({"name": SECRET, "type": "boolean"})
        return record

    sandbox.faults.add(rewrite(with_another_input), r"/models/")
    assert main(["doctor"]) == 0
    assert SECRET in capsys.readouterr().out


def test_display_output() -> None:
    """The line of a result, on stdout."""
    progress.PlainDisplay().output(SECRET)


def test_print_message() -> None:
    """A line on stderr, of a function that was imported by its name."""
    commands: Any = importlib.import_module("scenario_reframe.cli.commands")
    commands.print_message(SECRET)


def test_log_debug() -> None:
    """The lowest level of any logger."""
    logging.getLogger("any").debug("it is %s", SECRET)


def test_log_own_handler() -> None:
    """A logger that does not propagate to the root's handlers."""
    logger = logging.getLogger("apart")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    logger.warning(SECRET)


def test_log_argument() -> None:
    """An argument that the message omits, but a handler may show."""
    logging.getLogger("any").debug("%.3s", SECRET)


def test_log_extra() -> None:
    """An attribute of the record."""
    logging.getLogger("any").debug("it", extra={"url": "https://cdn.test/a.mp4?Policy=abc"})


def test_log_traceback() -> None:
    """An exception's text, in a log."""
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("any").exception("it failed")


def test_error() -> None:
    """An error that is raised and caught."""
    with pytest.raises(ConfigurationError):
        raise ConfigurationError(SECRET)


def test_error_kept() -> None:
    """An error that is still alive at the end."""
    running.kept = ConfigurationError(SECRET)  # type: ignore[attr-defined]


def test_error_cause() -> None:
    """An error's cause, handled long before."""
    cause = ValueError(SECRET)
    with pytest.raises(ConfigurationError):
        raise ConfigurationError("it failed") from cause


def test_file(tmp_path: Path) -> None:
    """A file in the test's own folder."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "o.mp4.part.json").write_text(json.dumps({"url": "x://y?Signature=abc"}))


def test_file_name(tmp_path: Path) -> None:
    """A file's name."""
    (tmp_path / "o.mp4?Signature=abc").touch()


def test_ledger() -> None:
    """A row of the ledger."""
    with sqlite3.connect(os.environ["SCENARIO_LEDGER"]) as ledger:
        ledger.execute("CREATE TABLE t (v)")
        ledger.execute("INSERT INTO t VALUES (?)", (SECRET,))
    ledger.close()


def test_ledger_wal() -> None:
    """SQLite's files beside the ledger, as a killed process leaves them."""
    Path(os.environ["SCENARIO_LEDGER"] + "-wal").write_text(SECRET)


def test_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No leak: it passes."""
    print("nothing")
    logging.getLogger("any").warning("nothing")
    (tmp_path / "clip.mp4").write_text("nothing")
    os.mkfifo(tmp_path / "pipe")
    assert capsys.readouterr().out == "nothing\n"


def test_allowed(watch: Watch) -> None:
    """A secret declared as shown on purpose: it passes."""
    watch.allowed = SECRET.encode()
    print(SECRET)
