"""Fixtures for the command line's bad input."""

import os
import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import evolve

from bad_commands import Refusal
from bad_input_tables import AddRow
from commands import point_to
from scenario_reframe.cli import main, run_command
from scenario_reframe.sandbox import Sandbox
from timings import SOON


@pytest.fixture
def folder(tmp_path: Path, short_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with bad files, and a locked ledger."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(short_clip.read_bytes())
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video. It goes on for a while.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("fifo", "fifo.mp4", "fifo.csv", "fifo.jsonl"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "corrupt.db").write_bytes(b"not a database, by far " * 100)
    with sqlite3.connect(tmp_path / "newer.db") as newer:
        newer.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY)")
        newer.execute("INSERT INTO schema_version VALUES (99)")
    newer.close()
    monkeypatch.setattr(run_command, "TIMING", evolve(SOON, database_lock=0.1))
    locked = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")
    yield tmp_path
    locked.close()


@pytest.fixture
def refused(
    sandbox: Sandbox,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bad_input_row: AddRow,
) -> Refusal:
    """Runs a command that must be refused, and returns what it says.

    The message names what is wrong, in one line or with its details before it; nothing was sent,
    written or shown that should not be.
    """

    def run(
        argv: Sequence[str],
        environment: Mapping[str, str],
        code: int,
        word: str,
        shown: str | None = None,
    ) -> str:
        point_to(sandbox, monkeypatch)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        before = {path: path.stat().st_size for path in folder.iterdir() if path.is_file()}
        requests = len(sandbox.requests)
        found = main(list(argv))
        output = capsys.readouterr()
        given = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
        message = output.err.replace(f"{folder}{os.sep}", "")
        given_line = shown or " ".join([*given, shlex.join(argv)])
        bad_input_row("command line", given_line, message, found)
        assert found == code, output.err
        assert word in output.err, output.err
        assert [line[:18] for line in output.err.splitlines()].count("scenario-reframe: ") == 1
        assert not any(bad in output.err for bad in ("Traceback", "unexpected", "hidden"))
        assert output.out == ""
        assert len(sandbox.requests) == requests
        assert {path: path.stat().st_size for path in before} == before
        return output.err

    return run
