"""Bad input of every kind: one clear message, the documented exit code, nothing sent or lost."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from bad_commands import Refusal
from scenario_reframe.cli import main
from scenario_reframe.sandbox import Sandbox

USAGE, REFUSED = 2, 3
RUN = ("run", "clip.mp4")
BATCH = ("batch", "clip.mp4", "-o", "out")
NOT_UTF8 = "\udce9"  # how Python reads a byte that is not UTF-8
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
    ((*RUN, "-o", "y" * 246 + ".mp4"), {}, USAGE, "name of 250 bytes"),
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
        ("fifo", "not a regular file"),
        ("/dev/null", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        (":memory:", "would be lost"),
        ("sqlite:///", "would be lost"),
        ("postgresql://me:hidden@127.0.0.1/db", "ledger"),
        ("z" * 300, "too long"),
        ("loop.mp4", "ledger"),
    )
]
NUMBERS: list[Case] = [
    ((*command, flag, value), {}, USAGE, f"{flag}: '{value}'" if text else f"{flag}: {value}")
    for command, flag, texts, numbers in (
        (BATCH, "--budget", ("x", "", "0x10", "50 units"), ("nan", "inf", "-inf", "-1")),
        (BATCH, "--concurrency", ("x", "", "1.5", "1e3", "nan"), ("0", "-1")),
        (BATCH, "--resubmit-after", ("x", "", "1h"), ("nan", "-1", "-inf")),
        ((*BATCH, "--check"), "--budget", ("much",), ("nan",)),
        ((*BATCH, "--check"), "--concurrency", ("1.5",), ("0",)),
        (RUN, "--timeout", ("soon", "", "1:30"), ("nan", "-1", "-inf")),
        (("jobs", "wait", "job_1"), "--timeout", ("x",), ("nan", "-1")),
        (("jobs", "download", "job_1"), "--timeout", ("x",), ("nan", "-1")),
        (("resume",), "--timeout", ("x",), ("nan", "-1")),
        (("resume",), "--after", ("x",), ("nan", "-1")),
        (("resume", "--resubmit"), "--after", ("",), ("nan", "-1")),
        (("jobs", "list"), "--limit", ("x", "", "1.5", "inf"), ("-1", "9" * 30)),
        (("sandbox",), "--port", ("x", "", "1.5", "http"), ("99999", "-1", "9" * 30)),
    )
    for text, values in ((True, texts), (False, numbers))
    for value in values
]
EXTRA: list[Case] = [
    ((*RUN, "--extra", text), {}, USAGE, word)
    for text, word in (
        ("=1", "KEY=VALUE"),
        ("", "KEY=VALUE"),
        ("a=" + "9" * 5000, "4,300 digits"),
        ('a={"b": [' + "9" * 5000 + "]}", "4,300 digits"),
        ("a=" + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("a=" + "[" * 900 + "]" * 900, "cannot be written as JSON"),
        (f"{NOT_UTF8}=1", "not a setting's name"),
        ("a=1e999", "cannot be written as JSON"),
        ("a=-Infinity", "cannot be written as JSON"),
        ('a={"b": [NaN]}', "cannot be written as JSON"),
        ('a="\\ud800"', "cannot be written as JSON"),
        (f"a=caf{NOT_UTF8}", "cannot be written as JSON"),
    )
]
EACH: list[Case] = [
    ((*BATCH, "--each", text), {}, USAGE, word)
    for text, word in (
        ("seed", "SETTING=VALUE"),
        ("", "SETTING=VALUE"),
        ("=1", "SETTING=VALUE"),
        ("seed=", "--each seed: ''"),
        ("seed=1,,2", "--each seed: ''"),
        ("seed=1,01", "duplicate value"),
        ("seed=nan", "whole number"),
        ("seed=" + "9" * 5000, "whole number"),
        ("zoom-factor=0,inf", "--each zoom_factor: inf"),
        ("aspect-ratio=9:16;1:1", "one of"),
        ("video=a.mp4", "no such setting"),
        ("output=a,b", "no such setting"),
        ("extra=1", "no such setting"),
        ("x" * 100_000 + "=1", "no such setting"),
        (f"{NOT_UTF8}=1", "no such setting"),
        (f"prompt={NOT_UTF8}", "prompt"),
    )
]
EACH.append(
    (
        (
            *BATCH,
            *(f"--each={name}=" + ",".join(map(str, range(400))) for name in ("seed", "prompt")),
        ),
        {},
        USAGE,
        "160,000 combinations",
    )
)
SOURCES: list[Case] = [
    (("batch", *sources, "-o", "out"), {}, USAGE, word)
    for *sources, word in (
        ("SOURCES",),
        ("", "empty name"),
        ("nowhere.mp4", "no such file or folder"),
        ("nowhere.csv", "No such file"),
        ("nowhere-*.mp4", "no video found"),
        ("[", "no video found"),
        ("folder", "no video found"),
        ("folder.csv", "no video found"),
        ("text.mp4", "begin like a video"),
        ("fifo.mp4", "not a regular file"),
        ("fifo.csv", "not a regular file"),
        ("fifo.jsonl", "not a regular file"),
        ("/dev/null", "not a regular file"),
        ("zero.csv", "not a regular file"),
        ("loop.mp4", "no such file or folder"),
        ("x" * 300, "too long"),
        ("x" * 300 + ".csv", "too long"),
        (f"gone{NOT_UTF8}.mp4", "no such file or folder"),
        (f"gone{NOT_UTF8}.jsonl", "No such file"),
        ("https://", "host"),
        ("https://files.test/a b.mp4", "spaces"),
    )
]
FOLDERS: list[Case] = [
    (("batch", "clip.mp4", *output), {}, USAGE, word)
    for *output, word in (
        ("--output",),
        ("-o", "", "--output"),
        ("-o", "text.mp4", "is a file"),
        ("-o", "fifo", "is a file"),
        ("-o", ".", "no clips are left"),
    )
]
IDS: list[Case] = [
    (("jobs", command, job), {}, USAGE, "job id")
    for command in ("show", "wait", "download")
    for job in ("job_1/../../models", "job_1?page=2", "job 1", f"job_{NOT_UTF8}", "j" * 5000, "é")
]
NAMES: list[Case] = [
    ((f"fr{NOT_UTF8}",), {}, USAGE, "Unknown command"),
    ((*RUN, f"--pr{NOT_UTF8}=x"), {}, USAGE, "Unknown option"),
    ((*RUN, "--prompt", NOT_UTF8), {}, USAGE, "--prompt"),
    (("run", f"gone{NOT_UTF8}.mp4"), {}, USAGE, "does not exist"),
    (("estimate", f"gone{NOT_UTF8}.mp4"), {}, USAGE, "does not exist"),
    (("estimate", "fifo.mp4"), {}, USAGE, "not a regular file"),
    (("demo", "fifo.mp4"), {}, USAGE, "not a regular file"),
    (("run", "fifo.mp4"), {}, USAGE, "not a regular file"),
    ((*RUN, "--base-url", f"http://127.0.0.1/{NOT_UTF8}"), {}, REFUSED, "base URL"),
    ((*RUN, "-o", "fifo", "--ledger", "none"), {}, USAGE, "--output"),
    (("jobs", "frob"), {}, USAGE, "frob"),
    (("jobs", "list", "--project-id", NOT_UTF8), {}, REFUSED, "project id"),
    (("resume", "--ledger", "none"), {}, REFUSED, "needs a ledger"),
]
PROXIES: list[Case] = [
    (command, {name: value}, REFUSED, name)
    for command, name, value in (
        (RUN, "ALL_PROXY", "socks5://127.0.0.1:9"),
        (RUN, "ALL_PROXY", "ftp://127.0.0.1:9"),
        (RUN, "all_proxy", "socks5h://127.0.0.1:9"),
        (RUN, "HTTPS_PROXY", "http://[::1"),
        (RUN, "HTTPS_PROXY", "://"),
        (RUN, "NO_PROXY", "[::1"),
        (RUN, "SSL_CERT_FILE", "nowhere.pem"),
        (RUN, "SSL_CERT_FILE", "folder"),
        (RUN, "SSL_CERT_FILE", "text.mp4"),
        (RUN, "SSL_CERT_FILE", "fifo"),
        (("jobs", "list"), "SSL_CERT_FILE", "nowhere.pem"),
        (BATCH, "ALL_PROXY", "ftp://127.0.0.1:9"),
        (("jobs", "list"), "ALL_PROXY", "ftp://127.0.0.1:9"),
        (("jobs", "show", "job_1"), "ALL_PROXY", "ftp://127.0.0.1:9"),
        (("resume",), "ALL_PROXY", "ftp://127.0.0.1:9"),
        (("estimate",), "ALL_PROXY", "ftp://127.0.0.1:9"),
    )
]
CASES = [
    *(*SETTINGS, *USE, *VIDEOS, *TARGETS, *CREDENTIALS, *LEDGERS, *NUMBERS),
    *(*EXTRA, *EACH, *SOURCES, *FOLDERS, *IDS, *NAMES, *PROXIES),
]


def test_there_are_at_least_two_hundred_cases() -> None:
    """And no two are the same."""
    assert len({repr(case[:2]) for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize(("argv", "environment", "code", "word"), CASES)
def test_bad_input_is_reported_once_and_nothing_is_sent(
    refused: Refusal, argv: tuple[str, ...], environment: Mapping[str, str], code: int, word: str
) -> None:
    """In at most three lines."""
    message = refused(argv, environment, code, word)
    assert len(message.splitlines()) <= 3
    assert len(message) < 1500


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

    monkeypatch.setattr("scenario_reframe.video._open_file", refuse)
    assert main(list(RUN)) == USAGE
    assert "Permission denied" in capsys.readouterr().err
