"""Bad input of every kind: one clear message, the documented exit code, nothing sent or lost."""

import os
import shlex
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import evolve

from bad_input_tables import AddRow
from scenario_reframe.cli import main, run_command
from scenario_reframe.sandbox import Sandbox
from timings import SOON

USAGE, REFUSED = 2, 3
RUN = ("run", "clip.mp4")
LEDGER = "SCENARIO_LEDGER"

Case = tuple[tuple[str, ...], Mapping[str, str], int, str]
SETTINGS: list[Case] = [
    ((*RUN, flag, value), {}, USAGE, flag)
    for flag, value in (
        ("--num-frames", "80"),
        ("--num-frames", "242"),
        ("--num-frames", "81.5"),
        ("--num-frames", "many"),
        ("--num-frames", ""),
        ("--num-frames", "9" * 400),
        ("--frames-per-second", "4.9"),
        ("--frames-per-second", "31"),
        ("--frames-per-second", "nan"),
        ("--frames-per-second", "inf"),
        ("--resolution", "1080p"),
        ("--resolution", "480P"),
        ("--aspect-ratio", "4:3"),
        ("--aspect-ratio", "9x16"),
        ("--num-inference-steps", "1"),
        ("--guidance-scale", "0"),
        ("--acceleration", "fast"),
        ("--video-quality", "best"),
        ("--video-write-mode", "slow"),
        ("--num-interpolated-frames", "-1"),
        ("--num-interpolated-frames", "6"),
        ("--interpolator-model", "dain"),
        ("--zoom-factor", "1"),
        ("--zoom-factor", "-0.1"),
        ("--temporal-downsample-factor", "6"),
        ("--seed", "1.5"),
        ("--seed", str(2**60)),
    )
]
USE: list[Case] = [
    (("run",), {}, USAGE, "VIDEO"),
    ((*RUN, "--aspect-ration", "9:16"), {}, USAGE, "aspect-ratio"),
    ((*RUN, "--extra", "novalue"), {}, USAGE, "KEY=VALUE"),
    ((*RUN, "--extra", "aspectRatio=9:16"), {}, USAGE, "--aspect-ratio"),
    ((*RUN, "--extra", "dryRun=true"), {}, USAGE, "dryRun"),
    ((*RUN, "--extra", "videoUrl=asset_1"), {}, USAGE, "videoUrl"),
    ((*RUN, "--extra", "a=1", "--extra", "a=2"), {}, USAGE, "twice"),
    ((*RUN, "--extra", "a=NaN"), {}, USAGE, "JSON"),
    ((*RUN, "--timeout", "-1"), {}, USAGE, "--timeout"),
    ((*RUN, "--timeout", "nan"), {}, USAGE, "--timeout"),
    ((*RUN, "--timeout", "soon"), {}, USAGE, "timeout"),
    (("jobs", "show", "../models"), {}, USAGE, "job id"),
    (("jobs", "show", ""), {}, USAGE, "job id"),
    (("jobs", "download", "job_1\n"), {}, USAGE, "job id"),
    (("frobnicate",), {}, USAGE, "frobnicate"),
]
VIDEOS: list[Case] = [
    (("run", video), {}, USAGE, word)
    for video, word in (
        ("nowhere.mp4", "does not exist"),
        ("empty.mp4", "empty"),
        ("text.mp4", "begin like a video"),
        ("picture.png", "begin like a video"),
        ("folder", "folder"),
        ("", "path"),
        ("loop.mp4", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("https://", "host"),
        ("https://exa mple.org/a.mp4", "spaces"),
        ("/dev/null", "not a regular file"),
    )
]
TARGETS: list[Case] = [
    ((*RUN, "-o", "text.mp4", "--ledger", "none"), {}, USAGE, "--overwrite"),
    ((*RUN, "-o", "text.mp4/out.mp4"), {}, USAGE, "cannot be written"),
    ((*RUN, "-o", "text.mp4/"), {}, USAGE, "text.mp4"),
    ((*RUN, "-o", ""), {}, USAGE, "path"),
    ((*RUN, "-o", "/proc/nowhere/out.mp4"), {}, USAGE, "cannot be written"),
    ((*RUN, "-o", "y" * 300), {}, USAGE, "--output"),
]
CREDENTIALS: list[Case] = [
    (RUN, environment, REFUSED, word)
    for environment, word in (
        ({"SCENARIO_API_KEY": ""}, "SCENARIO_API_KEY"),
        ({"SCENARIO_API_SECRET": ""}, "SCENARIO_API_SECRET"),
        ({"SCENARIO_API_KEY": "key\n"}, "control characters"),
        ({"SCENARIO_API_SECRET": "hidden\r\nX-Evil: 1"}, "control characters"),
        ({"SCENARIO_API_SECRET": "hidden\x1b[31m"}, "control characters"),
        ({"SCENARIO_API_KEY": "key:hidden"}, "colon"),
        ({"SCENARIO_API_SECRET": " hidden"}, "space"),
        ({"SCENARIO_BASE_URL": "http://api.example.org/v1"}, "https"),
        ({"SCENARIO_BASE_URL": "ftp://api.example.org/v1"}, "https"),
        ({"SCENARIO_BASE_URL": "api.example.org/v1"}, "https"),
        ({"SCENARIO_BASE_URL": "https://me:hidden@api.example.org/v1"}, "without credentials"),
        ({"SCENARIO_BASE_URL": "https://api.example.org/v1?token=hidden"}, "no query"),
        ({"SCENARIO_BASE_URL": "https://api.example.org/v1#top"}, "no query"),
        ({"SCENARIO_BASE_URL": "https://"}, "host"),
        ({"SCENARIO_BASE_URL": "https://api.example.org:99999/v1"}, "URL"),
        ({"SCENARIO_BASE_URL": "https://[::1/v1"}, "URL"),
        ({"SCENARIO_BASE_URL": "http://localhost.example.org/v1"}, "https"),
        ({"SCENARIO_BASE_URL": "http://127.0.0.1@example.org/v1"}, "without credentials"),
        ({"SCENARIO_BASE_URL": "https://api.exämple.org/v1"}, "characters"),
        ({"SCENARIO_BASE_URL": "https://api.example.org/v1 "}, "characters"),
    )
]
LEDGERS: list[Case] = [
    (RUN, {LEDGER: place}, REFUSED, word)
    for place, word in (
        ("text.mp4/ledger.db", "cannot be written"),
        ("/proc/nowhere/ledger.db", "cannot be written"),
        ("folder", "not a regular file"),
        ("corrupt.db", "not a ledger, or is damaged"),
        ("newer.db", "version 99"),
        ("mysql://user:hidden@127.0.0.1/db", "ledger"),
        ("sqlite://", "this kind of URL is not allowed"),
        ("locked.db", "locked"),
    )
]
CASES = [*SETTINGS, *USE, *VIDEOS, *TARGETS, *CREDENTIALS, *LEDGERS]


@pytest.fixture
def folder(tmp_path: Path, short_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with bad files, and a locked ledger."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(short_clip.read_bytes())
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video. It goes on for a while.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
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


def test_there_are_at_least_sixty_cases() -> None:
    """And no two are the same."""
    assert len({repr(case[:2]) for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize(("argv", "environment", "code", "word"), CASES)
def test_bad_input_is_reported_once_and_nothing_is_sent(
    sandbox: Sandbox,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    bad_input_row: AddRow,
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    code: int,
    word: str,
) -> None:
    """The message names what is wrong, holds no secret and no traceback; no request was made."""
    usual = {
        "SCENARIO_BASE_URL": sandbox.base_url,
        "SCENARIO_API_KEY": sandbox.api_key,
        "SCENARIO_API_SECRET": sandbox.api_secret,
    }
    for name, value in (usual | dict(environment)).items():
        monkeypatch.setenv(name, value)
    before = {path: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    requests = len(sandbox.requests)
    assert main(list(argv)) == code
    output = capsys.readouterr()
    given = [*(f"{name}={shlex.quote(value)}" for name, value in environment.items()), *argv]
    bad_input_row("command line", " ".join(given), output.err, code)
    assert word in output.err, output.err
    assert "unexpected" not in output.err
    assert "Traceback" not in output.err
    assert "hidden" not in output.err + output.out
    assert output.out == ""
    assert len(output.err.splitlines()) <= 3
    assert len(sandbox.requests) == requests
    assert {path: path.stat().st_size for path in before} == before


@pytest.mark.parametrize(
    ("key", "secret"), [("key", "a:b::c"), ("schlüssel", "geheim-ß-秘密"), ("k", "with space")]
)
def test_unusual_credentials_work(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    secret: str,
) -> None:
    """Colons in the secret, and letters outside ASCII, as UTF-8 (RFC 7617)."""
    with Sandbox(api_key=key, api_secret=secret) as sandbox:
        monkeypatch.setenv("SCENARIO_BASE_URL", sandbox.base_url)
        monkeypatch.setenv("SCENARIO_API_KEY", key)
        monkeypatch.setenv("SCENARIO_API_SECRET", secret)
        assert main(["estimate", "--resolution", "480p"]) == 0
    assert "creative units" in capsys.readouterr().out


def test_an_unreadable_file_is_reported(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the system's own message."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "open", refuse)
    assert main(list(RUN)) == USAGE
    assert "Permission denied" in capsys.readouterr().err
