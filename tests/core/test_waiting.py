"""Waiting for a job, stepped by hand."""

import threading
from typing import Any

import pytest

from scenario_reframe import (
    ApiError,
    InvalidInputError,
    Job,
    JobCanceledError,
    JobFailedError,
    NotFoundError,
    ReframeError,
    WaitTimeoutError,
)
from scenario_reframe.arguments import check_seconds
from scenario_reframe.polling import poll_interval, wait
from scenario_reframe.timing import DEFAULT_TIMING
from stepping import Answer, Stepper, job_record, job_reply, lost, reply

SUBMITTED = Job(id="job_1", status="queued")


def waited(
    *answers: Answer, job: Job | str = SUBMITTED, timeout: float | None = 600.0, **more: Any
) -> tuple[Job, Stepper]:
    """Wait, stepped by hand: the job, and the steps."""
    stepper = Stepper(*answers)
    flow = wait(stepper.operations(), job, timeout=timeout, on_update=more.get("on_update"))
    return stepper.run(flow), stepper


def failed(
    *answers: Answer, job: Job | str = SUBMITTED, timeout: float | None = 600.0
) -> tuple[ReframeError, Stepper]:
    """Wait, stepped by hand, with an error: the error, and the steps."""
    stepper = Stepper(*answers)
    with pytest.raises(ReframeError) as caught:
        stepper.run(wait(stepper.operations(), job, timeout=timeout, on_update=None))
    return caught.value, stepper


def test_wait_polls_until_the_job_succeeds() -> None:
    """Every status that is not final is polled again; the finished job is returned."""
    running = [job_reply(status) for status in ("pending", "warming-up", "in-progress")]
    job, stepper = waited(*running, job_reply("success", metadata={"assetIds": ["asset_9"]}))
    assert (job.status, job.asset_ids) == ("success", ("asset_9",))
    assert stepper.sent == ["GET /jobs/job_1"] * 4


def test_wait_polls_soon_at_first_and_then_in_proportion() -> None:
    """The pauses never shrink, begin at a quarter of a second, and end at five."""
    running = [job_reply("in-progress")] * 60
    _, stepper = waited(*running, job_reply("success"))
    assert stepper.pauses[0] == 0.25
    assert stepper.pauses == sorted(stepper.pauses)
    assert stepper.pauses[-1] == 5.0


@pytest.mark.parametrize(
    ("seconds", "pause"), [(0, 0.25), (2, 0.25), (10, 1.2), (60, 5.0), (3600, 5.0)]
)
def test_poll_interval_follows_the_time_waited(seconds: float, pause: float) -> None:
    """An eighth of the time waited, within its bounds."""
    assert poll_interval(seconds, DEFAULT_TIMING) == pytest.approx(pause)


def test_wait_accepts_an_id() -> None:
    """A job's id serves as well as the job."""
    job, _ = waited(job_reply("success"), job="job_1")
    assert job.id == "job_1"


def test_wait_sends_nothing_when_the_job_is_known_to_be_done() -> None:
    """A job that has succeeded is returned without a request."""
    done = Job(id="job_1", status="success")
    job, stepper = waited(job=done)
    assert job is done
    assert stepper.steps == []


@pytest.mark.parametrize("bad", ["", "..", "a/b", "job 1", "job_1?x=1", 5, None, "j" * 201])
def test_wait_refuses_what_is_not_an_id(bad: Any) -> None:
    """An id that would make another address is refused before anything is sent."""
    error, stepper = failed(job=bad)
    assert isinstance(error, InvalidInputError)
    assert stepper.steps == []


@pytest.mark.parametrize(
    "fault",
    [
        lost(),
        lost(sent=False),
        reply({"reason": "oops"}, 500),
        reply(b"<html>bad gateway</html>", 502),
        reply(b"", 520),
        reply({}, 408),
        reply({}, 425),
        reply({}, 429),
        reply(b"<html>all is well</html>"),
        reply([]),
        reply(None),
        reply({"job": None}),
        reply({"job": {"jobId": "job_1", "status": None}}),
        reply({"job": job_record("job_2")}),
        reply(b'{"job": {"jobId": "job_1", "sta'),
    ],
    ids=repr,
)
def test_wait_survives_a_poll_that_goes_wrong(fault: Answer) -> None:
    """After no connection, 408, 425, 429, 5xx and nonsense it polls again."""
    job, stepper = waited(fault, fault, job_reply("success"))
    assert job.is_success
    assert len(stepper.requests) == 3


def test_wait_survives_faults_until_the_deadline_and_no_longer() -> None:
    """A server that only fails is polled until the time is over."""
    stepper = Stepper(script=lambda _: lost())
    flow = wait(stepper.operations(), SUBMITTED, timeout=60.0, on_update=None)
    with pytest.raises(WaitTimeoutError):
        stepper.run(flow)
    assert stepper.now == 1060.0
    assert len(stepper.requests) > 10


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_wait_raises_a_refusal_at_once_with_the_job(status: int) -> None:
    """A poll that the server refuses ends the wait; the error carries the job."""
    error, stepper = failed(reply({"reason": "no"}, status))
    assert isinstance(error, ApiError)
    assert error.status_code == status
    assert error.job == SUBMITTED
    assert len(stepper.requests) == 1


def test_wait_survives_a_404_of_a_job_that_was_just_submitted() -> None:
    """The server itself named the job, so a 404 in the first seconds is not believed."""
    job, _ = waited(reply({}, 404), reply({}, 404), job_reply("success"))
    assert job.is_success


def test_wait_believes_a_404_after_half_a_minute() -> None:
    """A submitted job that stays unknown ends the wait."""
    stepper = Stepper(script=lambda _: reply({}, 404))
    flow = wait(stepper.operations(), SUBMITTED, timeout=600.0, on_update=None)
    with pytest.raises(NotFoundError) as caught:
        stepper.run(flow)
    assert 30.0 <= stepper.now - 1000.0 < 40.0
    assert caught.value.job == SUBMITTED


def test_wait_believes_the_first_404_of_a_bare_id() -> None:
    """An id that a person typed may be wrong."""
    error, stepper = failed(reply({}, 404), job="job_1")
    assert isinstance(error, NotFoundError)
    assert len(stepper.requests) == 1


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (reply({}, 429, retry_after="7"), 7.0),
        (reply({"remainingSeconds": 12}, 429), 12.0),
        (reply({}, 503, retry_after="90"), 90.0),
        (reply({}, 503, retry_after="Thu, 01 Jan 2026 10:00:30 GMT",
               date="Thu, 01 Jan 2026 10:00:00 GMT"), 30.0),
        (reply({"remainingSeconds": 12}, 429, retry_after="3"), 3.0),
        (reply({"remainingSeconds": 12}, 429, retry_after="soon"), 12.0),
        (reply({}, 429, retry_after="-5"), 0.25),
        (reply({}, 429, retry_after="nan"), 0.25),
    ],
)  # fmt: skip
def test_wait_obeys_the_pause_that_the_server_requests(answer: Answer, seconds: float) -> None:
    """`Retry-After` in both its forms, then `remainingSeconds`; nonsense is ignored."""
    _, stepper = waited(answer, job_reply("success"))
    assert stepper.pauses == [seconds]


@pytest.mark.parametrize("retry_after", ["1e300", "inf", "99999999999999999999"])
def test_wait_survives_an_absurd_retry_after(retry_after: str) -> None:
    """A pause that no clock can express is ignored, even by a wait without end."""
    _, stepper = waited(reply({}, 429, retry_after=retry_after), job_reply("success"), timeout=None)
    assert stepper.pauses[0] < threading.TIMEOUT_MAX


def test_wait_does_not_pause_beyond_its_deadline() -> None:
    """A longer pause is cut to the time left, and the job is polled once more."""
    job, stepper = waited(reply({}, 429, retry_after="50"), job_reply("success"), timeout=20.0)
    assert job.is_success
    assert stepper.pauses == [20.0]


def test_wait_times_out_with_the_job_as_last_seen() -> None:
    """The error gives the job's progress, and says that it goes on."""
    running = [job_reply("in-progress", progress=0.5)] * 50
    error, stepper = failed(*running, timeout=10.0)
    assert isinstance(error, WaitTimeoutError)
    assert error.job is not None
    assert error.job.status == "in-progress"
    assert "50%" in str(error)
    assert "job_1" in str(error)
    assert stepper.now == 1010.0


def test_wait_times_out_with_the_id_when_no_poll_ever_came_through() -> None:
    """`.job` exists even when nothing but its id is known."""
    error, _ = failed(*[lost()] * 50, job="job_7", timeout=10.0)
    assert error.job is not None
    assert (error.job.id, error.job.status) == ("job_7", "unknown")


def test_wait_with_no_time_polls_once() -> None:
    """With a timeout of 0 it polls once."""
    job, _ = waited(job_reply("success"), timeout=0)
    assert job.is_success
    error, stepper = failed(job_reply("queued"), timeout=0)
    assert isinstance(error, WaitTimeoutError)
    assert stepper.sent == ["GET /jobs/job_1"]


def test_wait_for_ever_outlasts_any_deadline() -> None:
    """Without a timeout the job is polled for as long as it takes."""
    running = [job_reply("queued")] * 2000
    job, stepper = waited(*running, job_reply("success"), timeout=None)
    assert job.is_success
    assert stepper.now > 1000.0 + 3600.0


def test_wait_gives_each_request_no_more_than_the_time_left() -> None:
    """A poll near the deadline may not outlast it; it gets at least a second."""
    _, stepper = waited(
        reply({}, 429, retry_after="15"), job_reply("queued"), job_reply("success"), timeout=20.0
    )
    assert [request.timeout for request in stepper.requests] == [20.0, 5.0, pytest.approx(3.2)]
    _, stepper = waited(reply({}, 429, retry_after="50"), job_reply("success"), timeout=20.0)
    assert stepper.requests[-1].timeout == 1.0


def test_wait_goes_on_through_an_unknown_status() -> None:
    """A status that this version does not know is not final."""
    job, _ = waited(job_reply("sublimating"), job_reply("succeeded"), job_reply("success"))
    assert job.status == "success"


def test_wait_reports_each_change_once() -> None:
    """Status and progress count; an identical reply does not."""
    told: list[tuple[str, float]] = []
    answers = [
        job_reply("queued"),
        job_reply("queued"),
        job_reply("in-progress", progress=0.1),
        job_reply("in-progress", progress=0.1),
        job_reply("in-progress", progress=0.6),
        job_reply("success", progress=1),
    ]
    waited(*answers, on_update=lambda job: told.append((job.status, job.progress)))
    assert told == [("queued", 0.0), ("in-progress", 0.1), ("in-progress", 0.6), ("success", 1.0)]


def test_wait_raises_a_callback_s_own_error() -> None:
    """It is not wrapped."""
    with pytest.raises(ZeroDivisionError):
        waited(job_reply("queued"), on_update=lambda _: 1 // 0)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"error": "too dark", "hint": "add light"}, ["too dark", "Hint: add light"]),
        ({"error": "too dark"}, ["too dark"]),
        ({"hint": "add light"}, ["Hint: add light"]),
        ({}, ["no reason given"]),
        (None, ["no reason given"]),
    ],
)
def test_wait_raises_a_failure_with_the_server_s_words(
    metadata: dict[str, str] | None, words: list[str]
) -> None:
    """The job's error and hint are in the message, and the job is on the error."""
    error, _ = failed(job_reply("failure", metadata=metadata))
    assert isinstance(error, JobFailedError)
    assert error.job is not None
    assert error.job.status == "failure"
    assert all(word in str(error) for word in words)


def test_wait_raises_a_cancellation() -> None:
    """A canceled job has an error of its own."""
    error, _ = failed(job_reply("canceled", metadata={"error": "by its owner"}))
    assert isinstance(error, JobCanceledError)
    assert error.job is not None
    assert str(error) == "job job_1 was canceled. by its owner"


def test_wait_raises_a_known_failure() -> None:
    """A job that is known to have failed is not read again."""
    error, stepper = failed(job=Job(id="job_1", status="failure", error="too dark"))
    assert isinstance(error, JobFailedError)
    assert stepper.steps == []


@pytest.mark.parametrize(
    "surprise",
    [
        {"billing": 5},
        {"statusHistory": [5]},
        {"statusHistory": {"a": 1}},
        {"metadata": {"assetIds": ["asset_1"], "input": "x"}},
        {"progress": "all"},
        {"createdAt": 5},
        {"updatedAt": "yesterday"},
    ],
    ids=repr,
)
def test_wait_sees_success_through_a_surprise_in_another_field(surprise: dict[str, Any]) -> None:
    """A paid result is not lost because another field has an odd type."""
    record = {"metadata": {"assetIds": ["asset_1"]}, **surprise}
    job, _ = waited(job_reply("success", **record), timeout=1.0)
    assert job.asset_ids == ("asset_1",)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "60", True, [], -0.001])
def test_check_seconds_refuses_what_is_not_a_number_of_seconds(timeout: object) -> None:
    """Negative, NaN, text and bool are refused before anything is sent."""
    with pytest.raises(InvalidInputError, match="timeout"):
        check_seconds(timeout)


@pytest.mark.parametrize("timeout", [None, 0, 1, 0.5, float("inf")])
def test_check_seconds_accepts_seconds_or_none(timeout: float | None) -> None:
    """None waits for ever, and so does infinity."""
    check_seconds(timeout)
