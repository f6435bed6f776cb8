"""`run` and `estimate` against the sandbox, over a real socket, in this process."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from commands import point_to
from scenario_reframe.cli import main
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, cut, drop

QUICK = ("--resolution", "480p", "--num-interpolated-frames", "0", "--video-write-mode", "fast")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
Output = pytest.CaptureFixture[str]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox that the environment points to; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    with Sandbox(stage_seconds=0.02) as running:
        point_to(running, monkeypatch)
        yield running


@pytest.fixture
def clip(short_clip: Path) -> str:
    """The path of a short clip of 16:9."""
    return str(short_clip)


def test_run_writes_a_tall_video_and_prints_only_its_path(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """Stdout has the path, named by the aspect ratio; one job was paid for."""
    assert main(["run", clip, "--aspect-ratio", "9:16", *QUICK]) == 0
    assert capsys.readouterr().out == "clip-9x16.mp4\n"
    with av.open("clip-9x16.mp4") as container:
        shape = container.streams.video[0].codec_context
        assert (shape.width, shape.height) == (480, 854)
    assert sandbox.jobs_made == 1
    assert sandbox.credentials_leaked == 0


def test_progress_is_plain_lines_when_stderr_is_not_a_terminal(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """Every status is printed once, in order, and nothing moves the cursor."""
    assert main(["run", clip, "-o", "deep/er/x.mp4", *QUICK]) == 0
    captured = capsys.readouterr()
    assert not CONTROL.search(captured.err + captured.out)
    lines = captured.err.splitlines()
    statuses = [line.split(": ")[1] for line in lines if re.match(r"Job \S+: ", line)]
    assert statuses[-1] == "success"
    assert len(statuses) == len(set(statuses)) >= 2
    assert sum("submitted" in line for line in lines) == 1
    assert captured.out == "deep/er/x.mp4\n"


def test_only_the_given_settings_are_sent(sandbox: Sandbox, clip: str, capsys: Output) -> None:
    """The server echoes what was given, numbers as numbers, and a drawn seed."""
    flags = ["--num-frames", "82", "--frames-per-second", "12.5", "--no-trim-borders"]
    assert main(["run", clip, "--json", "--resolution", "480p", *flags]) == 0
    record = json.loads(capsys.readouterr().out)
    settings = record["settings"]
    assert settings.pop("seed") == record["seed"]
    assert settings.pop("videoUrl").startswith("asset_")
    assert settings == {
        "resolution": "480p", "numFrames": 82, "framesPerSecond": 12.5, "trimBorders": False,
    }  # fmt: skip


def test_json_is_one_object_with_the_files(sandbox: Sandbox, clip: str, capsys: Output) -> None:
    """With job, status, cost, seed and files, and without a signed URL."""
    assert main(["run", clip, "--json", "--seed", "7", *QUICK]) == 0
    out = capsys.readouterr().out
    record = json.loads(out)
    assert out.count("\n") == 1
    assert record["status"] == "success"
    assert record["cost"] > 0
    assert record["seed"] == 7
    assert record["files"] == ["clip-reframed.mp4"]
    assert "Signature" not in out
    assert sandbox.api_secret not in out


def test_all_wrong_settings_are_named_at_once_and_nothing_is_sent(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """Each by its flag, with what is allowed; exit code 2."""
    wrong = ["--num-frames", "5.5", "--aspect-ratio", "9:17", "--zoom-factor", "nan"]
    assert main(["run", clip, *wrong, "--extra", "oops", "--extra", "numFrames=90"]) == 2
    told = capsys.readouterr().err
    for part in (
        "--num-frames: '5.5' is not allowed; it takes a whole number (int) from 81 to 241",
        "--aspect-ratio: '9:17' is not allowed; it takes one of 'auto'",
        "--zoom-factor: nan is not allowed",
        "--extra: 'oops' is not KEY=VALUE",
        "pass it as --num-frames",
    ):
        assert part in told
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing.mp4"], "VIDEO: missing.mp4 does not exist"),
        (["run", "taken.mp4"], "taken.mp4 does not begin like a video"),
        (["run", "CLIP", "-o", "taken.mp4", "--ledger", "none"], "pass --overwrite"),
        (["run", "CLIP", "--timeout", "nan"], "--timeout: nan is not allowed"),
        (["run", "CLIP", "--timeout", "soon"], "--timeout"),
        (["run", "CLIP", "--trim-borders=maybe"], "--trim-borders"),
        (["run", "CLIP", "--aspect-ration", "1:1"], "--aspect-ratio?"),
        (["run"], "VIDEO"),
        (["run", "CLIP", "other.mp4"], "other.mp4"),
        (["estimate", "missing.mp4"], "does not exist"),
        (["bogus"], "bogus"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    arguments: list[str], message: str, sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """Exit code 2, one message on stderr, nothing on stdout, no request, no file changed."""
    Path("taken.mp4").write_text("mine", "utf-8")
    assert main([clip if word == "CLIP" else word for word in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert sandbox.requests == []
    assert Path("taken.mp4").read_text("utf-8") == "mine"


def test_a_target_that_is_not_the_result_of_this_request_is_kept(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """The ledger decides; one free request names the project, and nothing else is sent."""
    Path("taken.mp4").write_text("mine", "utf-8")
    assert main(["run", clip, "-o", "taken.mp4", *QUICK]) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert Path("taken.mp4").read_text("utf-8") == "mine"
    assert {(seen.method, seen.path) for seen in sandbox.requests} <= {("GET", "/v1/jobs")}


def test_overwrite_replaces_an_existing_file(sandbox: Sandbox, clip: str, capsys: Output) -> None:
    """The old file stays until the new one is whole."""
    Path("old.mp4").write_text("old", "utf-8")
    assert main(["run", clip, "-o", "old.mp4", "--overwrite", *QUICK]) == 0
    assert Path("old.mp4").stat().st_size > 1000


def test_errors_are_json_too(sandbox: Sandbox, clip: str, capsys: Output) -> None:
    """With the same exit code, and every problem as data."""
    assert main(["run", clip, "--num-frames", "5", "--seed", "x", "--json"]) == 2
    record = json.loads(capsys.readouterr().out)
    assert record["error"] == "InvalidSettingsError"
    assert len(record["problems"]) == 2
    assert main(["run", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "UsageError"


def test_missing_credentials_name_the_variables(
    sandbox: Sandbox, clip: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3, nothing sent."""
    monkeypatch.delenv("SCENARIO_API_KEY")
    assert main(["run", clip]) == 3
    assert "SCENARIO_API_KEY" in capsys.readouterr().err
    assert sandbox.requests == []


def test_wrong_credentials_exit_3(
    sandbox: Sandbox, clip: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is in the JSON, and the secret nowhere."""
    monkeypatch.setenv("SCENARIO_API_SECRET", "not-the-secret")
    assert main(["estimate", clip, "--json"]) == 3
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert (record["error"], record["status_code"]) == ("AuthenticationError", 401)
    assert "not-the-secret" not in captured.out + captured.err


def test_a_submit_that_the_server_refuses_exits_3(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """The server's own reason is printed, without control characters and not as markup."""
    reason = "[red]no[/red] \x1b[31mfunds\x1b[0m"
    sandbox.faults.add(answer(403, {"reason": reason}), r"/generate/")
    assert main(["run", clip]) == 3
    told = capsys.readouterr().err
    assert "[red]no[/red] funds" in told
    assert not CONTROL.search(told)


def test_a_failed_job_exits_4_with_the_servers_reason(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """There is nothing to resume, so no command is suggested."""
    failed = {"job": {"jobId": "job_x", "status": "failure", "metadata": {"error": "too dark"}}}
    sandbox.faults.add(answer(200, failed), r"/generate/")
    sandbox.faults.add(answer(200, failed), r"/jobs/job_x", times=9)
    assert main(["run", clip, "--json"]) == 4
    record = json.loads(capsys.readouterr().out)
    assert record["error"] == "JobFailedError"
    assert record["job"] == "job_x"
    assert "too dark" in record["message"]
    assert "resume" not in record


def test_a_timeout_exits_5_and_the_printed_command_finishes_the_job(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """The printed command downloads the video, and no second job is paid for."""
    assert main(["run", clip, "-o", "my out/x.mp4", "--timeout", "0", "--json", *QUICK]) == 5
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    again = record["resume"]
    assert again == f"scenario-reframe jobs download {record['job']} -o 'my out/x.mp4'"
    assert captured.err.endswith(f"{again}\n")
    assert main(["jobs", "download", record["job"], "-o", "my out/x.mp4"]) == 0
    assert capsys.readouterr().out == "my out/x.mp4\n"
    assert sandbox.jobs_made == 1


def test_the_job_of_a_lost_reply_is_found_and_not_paid_for_twice(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """The connection breaks after the job was made; the run goes on with that job."""
    sandbox.faults.add(drop(after=True), r"/generate/", method="POST")
    assert main(["run", clip, *QUICK]) == 0
    assert sandbox.jobs_made == 1


def test_an_uncertain_submit_exits_6_and_prints_what_is_known(
    sandbox: Sandbox, clip: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed, time, and the command that looks for it, with this command's connection."""
    sandbox.faults.add(drop(), r"/generate/", method="POST")
    base = ["--base-url", sandbox.base_url]
    assert main(["run", clip, "--seed", "77", "--json", *base]) == 6
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert (record["error"], record["seed"]) == ("SubmissionUncertainError", 77)
    assert record["candidates"] == []
    assert record["started_at"]
    assert "with seed 77" in captured.err
    assert captured.err.endswith(f"scenario-reframe jobs list --base-url {sandbox.base_url}\n")
    assert sandbox.jobs_made == 0


def test_an_upload_that_the_server_refuses_exits_7(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """A file that only begins like a video: no job is paid for."""
    Path("fake.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"x" * 500)
    assert main(["run", "fake.mp4"]) == 7
    assert "refused the video" in capsys.readouterr().err
    assert sandbox.jobs_made == 0


def test_a_download_that_fails_exits_7_and_prints_how_to_go_on(
    sandbox: Sandbox, clip: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is not lost, and no half-written file has the final name."""
    sandbox.faults.add(cut(0), r"^/(?!v1/)", method="GET", times=50)
    assert main(["run", clip, *QUICK]) == 7
    told = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"scenario-reframe jobs download job_\S+ -o clip-reframed.mp4", told[-1])
    assert not Path("clip-reframed.mp4").exists()


def test_an_unreachable_server_exits_1(
    sandbox: Sandbox, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, but the address."""
    assert main(["jobs", "list", "--base-url", "http://127.0.0.1:9/v1"]) == 1
    assert "could not connect" in capsys.readouterr().err


def test_estimate_prints_a_price_and_makes_no_job(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """With and without a video, as text and as JSON."""
    assert main(["estimate", clip, "--num-frames", "100"]) == 0
    assert re.fullmatch(r"[\d.]+ creative units\n", capsys.readouterr().out)
    assert main(["estimate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["creative_units"] > 0
    assert sandbox.jobs_made == 0


def test_an_existing_asset_is_not_uploaded_again(
    sandbox: Sandbox, clip: str, capsys: Output
) -> None:
    """A result's id serves as a video, and names the default output."""
    assert main(["run", clip, "--json", *QUICK]) == 0
    (asset,) = json.loads(capsys.readouterr().out)["assets"]
    before = len([seen for seen in sandbox.requests if seen.path.endswith("/uploads")])
    assert main(["run", asset, "--aspect-ratio", "1:1", *QUICK]) == 0
    assert capsys.readouterr().out == f"{asset}-1x1.mp4\n"
    uploads = [seen for seen in sandbox.requests if seen.path.endswith("/uploads")]
    assert len(uploads) == before
