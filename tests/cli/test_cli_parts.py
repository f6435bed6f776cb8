"""The command line's decisions, without a server."""

from datetime import UTC, datetime

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
from scenario_reframe.cli.exit_codes import UnfinishedJobError, failure_of, resumable, shell_command
from scenario_reframe.cli.flags import Connection, GivenSettings, checked_settings
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
