"""The command line's decisions, without a server."""

import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scenario_reframe import (
    ApiError,
    InvalidSettingsError,
    Job,
    JobCanceledError,
    RateLimitedError,
    ReframeError,
    Submission,
    SubmissionUncertainError,
    UnexpectedResponseError,
)
from scenario_reframe.cli.exit_codes import (
    UnfinishedJobError,
    failure_of,
    remember_command_line,
    resumable,
    shell_command,
    typed_command,
)
from scenario_reframe.cli.flags import Connection, GivenSettings, checked_settings
from scenario_reframe.cli.output import print_paths
from scenario_reframe.cli.progress import print_message
from scenario_reframe.cli.run_command import default_output
from scenario_reframe.video import resolve


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ("https://files.test/a/my%20clip.mp4?Signature=x", "my_clip-9x16.mp4"),
        ("https://files.test/", "video-9x16.mp4"),
        ("https://files.test/..%2F..%2Fetc%2Fpasswd", "passwd-9x16.mp4"),
        ("https://files.test/-o.mp4", "o-9x16.mp4"),
        ("asset_abc", "asset_abc-9x16.mp4"),
    ],
)
def test_the_default_output_is_a_plain_name_in_the_working_directory(video: str, name: str) -> None:
    """Whatever a URL contains, no folder and no query gets into it."""
    assert default_output(resolve(video), GivenSettings({"aspect_ratio": "9:16"}, {})) == name


def test_extra_values_are_json_if_they_parse() -> None:
    """Otherwise they are text; an equals sign belongs to the value."""
    given = checked_settings(None, ["a=1", "b=true", "c=x=y", 'd={"e": [1]}', "f="])
    assert given.extra == {"a": 1, "b": True, "c": "x=y", "d": {"e": [1]}, "f": ""}


def test_an_extra_given_twice_is_refused() -> None:
    """One of the two values would be lost."""
    with pytest.raises(InvalidSettingsError, match="a is given twice"):
        checked_settings({}, ["a=1", "a=2"])


def test_a_printed_command_keeps_the_connection_and_can_be_pasted() -> None:
    """Spaces are quoted."""
    connection = Connection(base_url="https://api.test/v1", project_id="my project")
    assert shell_command("jobs", "list", connection=connection) == (
        "scenario-reframe jobs list --base-url https://api.test/v1 --project-id 'my project'"
    )


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a\nb.mp4", r"$'a\x0ab.mp4'"),
        ("it's \x1b[0m.mp4", r"$'it\x27s \x1b[0m.mp4'"),
        ("bad\udcff.mp4", r"$'bad\xff.mp4'"),
        ("a\u202eb", r"$'a\xe2\x80\xaeb'"),
    ],
)
def test_a_name_that_cannot_be_printed_can_be_pasted(name: str, quoted: str) -> None:
    """In one line, and bash reads the very bytes again."""
    command = shell_command("run", name, connection=Connection())
    assert command == f"scenario-reframe run {quoted}"
    with remember_command_line(["run", name]):
        assert typed_command() == command
    bash = shutil.which("bash")
    if bash is not None:
        printed = subprocess.run(
            [bash, "-c", f"printf %s {quoted}"], capture_output=True, check=True
        )
        assert os.fsdecode(printed.stdout) == name


def test_a_typed_password_is_not_repeated() -> None:
    """Nor the signature of a URL."""
    for word in ("--ledger=postgresql://a:pw-in-url@h/x", "https://a.test/v?Signature=x"):
        with remember_command_line(["batch", word]):
            assert typed_command() == "scenario-reframe batch ... (as before)"


def test_a_path_is_one_line_of_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    """As it is, but for control characters and line ends."""
    names = ["a b", "caf\u00e9\u200d", "a\nforged", "a\x1b[2J", "a\u2028b", "back\\slash"]
    print_paths(map(Path, names))
    lines = ["a b", "caf\u00e9\u200d", r"a\nforged", r"a\x1b[2J", r"a\u2028b", "back\\slash"]
    assert capfd.readouterr().out.split("\n") == [*lines, ""]


def test_any_path_can_be_printed_whatever_the_encoding_of_stdout(tmp_path: Path) -> None:
    """Byte for byte."""
    program = "from scenario_reframe.cli.output import *; import sys; from pathlib import Path\n"
    program += "tolerate_any_path(); print_paths([Path(sys.argv[1])])"
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for name in ("\u732b.mp4", "bad\udcff.mp4"):
        command = [sys.executable, "-c", program, name]
        printed = subprocess.run(command, capture_output=True, check=True, env=environ)
        assert printed.stdout.rstrip() == os.fsencode(name)


def test_no_text_of_the_server_makes_a_line_of_its_own() -> None:
    """Whatever error it stands in, what is printed of it is one line."""
    forged = "no\nTo finish, run: evil\u2028scenario-reframe: done"
    for error in (ReframeError(forged), JobCanceledError(forged), ValueError(forged)):
        with redirect_stderr(io.StringIO()) as printed:
            for line in failure_of(error).lines():
                print_message(line)
        assert len(printed.getvalue().splitlines()) == 1


def test_each_wrong_setting_has_a_line() -> None:
    """And the last line counts them."""
    failure = failure_of(InvalidSettingsError(["seed: no", "prompt: no"]))
    assert failure.lines() == [
        "--seed: no",
        "--prompt: no",
        "scenario-reframe: 2 settings are wrong; nothing was sent",
    ]


def test_candidates_of_an_uncertain_submit_are_listed() -> None:
    """For people, line by line, and for scripts."""
    lost = Submission(seed=9, body={}, started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    jobs = [Job(id="job_1", status="queued"), Job(id="job_2", status="new\nthing")]
    failure = failure_of(SubmissionUncertainError("lost", submission=lost, candidates=jobs))
    assert failure.code == 6
    assert failure.lines()[1:] == [
        "Sent at 2026-01-02T03:04:05+00:00 with seed 9.",
        "Candidate: job_1 (queued)",
        "Candidate: job_2 (new thing)",
    ]
    assert failure.to_json()["candidates"] == ["job_1", "job_2"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (RateLimitedError("slow", status_code=429, reason="", request_id=None, body=None), 3),
        (ApiError("odd", status_code=409, reason="", request_id=None, body=None), 3),
        (JobCanceledError("gone", job=Job(id="job_1", status="canceled")), 4),
        (UnexpectedResponseError("nonsense"), 1),
        (ReframeError("some"), 1),
        (ZeroDivisionError("a bug"), 1),
    ],
)
def test_every_error_has_its_exit_code(fault: Exception, code: int) -> None:
    """Errors that the sandbox does not cause."""
    assert failure_of(fault).code == code


def test_no_command_resumes_a_canceled_job() -> None:
    """There is nothing left to resume."""
    with (
        pytest.raises(JobCanceledError),
        resumable("job_1", "scenario-reframe jobs download job_1"),
    ):
        raise JobCanceledError("canceled")


def test_an_unexpected_error_in_a_wait_still_prints_how_to_go_on() -> None:
    """Even a bug must not lose a paid job."""
    with (
        pytest.raises(Exception, match="bug") as caught,
        resumable("job_1", "scenario-reframe jobs download job_1"),
    ):
        raise ZeroDivisionError("a bug")
    failure = failure_of(caught.value)
    assert failure.code == 1
    assert failure.message == "unexpected ZeroDivisionError: a bug"
    assert failure.lines()[-1] == "scenario-reframe jobs download job_1"


def test_the_library_s_note_on_a_job_is_not_repeated() -> None:
    """The command that resumes the job says as much; other notes stay."""
    stop = KeyboardInterrupt()
    stop.add_note("Job job_1 goes on, and is paid for: wait for this id.")
    stop.add_note("another note")
    with pytest.raises(UnfinishedJobError) as caught, resumable("job_1", "the command"):
        raise stop
    assert failure_of(caught.value).lines() == [
        "scenario-reframe: interrupted",
        "another note",
        "Job job_1 is paid for and continues on the server. To resume it, run:",
        "the command",
    ]
