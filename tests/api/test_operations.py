"""Operations: their requests, the objects made from replies, and when one is repeated."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from scenario_reframe import (
    ApiError,
    ConnectionFailedError,
    Estimate,
    InvalidInputError,
    Job,
    ReframeError,
    ServerError,
    UnexpectedResponseError,
)
from scenario_reframe.api.calling import repeat, send, within
from scenario_reframe.api.operations import Operations, checked_id
from scenario_reframe.api.replies import api_error
from scenario_reframe.api.retry import ATTEMPTS, is_transient, pause_before_retry
from scenario_reframe.flow.steps import Request
from scenario_reframe.timing import DEFAULT_TIMING
from stepping import Stepper, asset_record, job_record, lost, reply

NAN, INFINITY = float("nan"), float("inf")
OPERATIONS = Operations()


@pytest.mark.parametrize(
    ("status", "done", "success"),
    [("success", True, True), ("failure", True, False), ("canceled", True, False),
     ("queued", False, False), ("cancelled", False, False), ("SUCCESS", False, False)],
)  # fmt: skip
def test_job_knows_whether_it_is_done(status: str, done: bool, success: bool) -> None:
    """Only three statuses of the vendor's are final."""
    job = Job(id="job_1", status=status)
    assert (job.is_done, job.is_success) == (done, success)


def test_job_has_every_field_of_the_reply() -> None:
    """In the package's own types."""
    answer = reply(
        {"job": job_record(
            status="failure", progress=0.25, createdAt="2026-01-01T10:00:00Z",
            updatedAt="2026-01-01T10:00:05Z", billing={"cuCost": 7.25, "cuDiscount": 0},
            statusHistory=[{"status": "queued", "date": "x"}], authorId="a", unknownKey=[1],
            metadata={"assetIds": ["asset_1"], "error": "e", "hint": "h", "input": {"seed": 7}},
        )}
    )  # fmt: skip
    job = OPERATIONS.get_job("job_1").parse(answer)
    assert (job.id, job.status, job.progress, job.cost) == ("job_1", "failure", 0.25, 7.25)
    assert (job.asset_ids, job.error, job.hint) == (("asset_1",), "e", "h")
    assert job.input == {"seed": 7}
    assert job.created_at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert job.updated_at == datetime(2026, 1, 1, 10, 0, 5, tzinfo=UTC)
    assert job.raw["unknownKey"] == [1]


@pytest.mark.parametrize(
    ("given_progress", "found"),
    [(0.5, 0.5), (1, 1.0), (7, 1.0), (-1, 0.0), ("x", 0.0), (None, 0.0)],
)
def test_job_s_progress_lies_between_0_and_1(given_progress: Any, found: float) -> None:
    """Whatever unit the server uses."""
    answer = reply({"job": job_record(progress=given_progress)})
    assert OPERATIONS.get_job("job_1").parse(answer).progress == found


@pytest.mark.parametrize("ids", ["asset_1", {"asset_1": 1}, 5])
def test_job_s_assets_are_a_list_or_none(ids: Any) -> None:
    """A text is not read as a list of letters."""
    answer = reply({"job": job_record(status="success", metadata={"assetIds": ids})})
    try:
        found = OPERATIONS.get_job("job_1").parse(answer).asset_ids
    except UnexpectedResponseError:
        return
    assert found == ()


def test_asset_has_every_field_of_the_reply() -> None:
    """In the package's own types."""
    known = {"size": 5.0, "width": 720, "height": 1280, "nbFrames": 81, "frameRate": 16,
             "duration": 5.06, "codecName": "h264"}  # fmt: skip
    answer = reply({"asset": asset_record(mimeType="video/mp4", properties=known, new=1)})
    asset = OPERATIONS.get_asset("asset_1").parse(answer)
    assert (asset.size, asset.width, asset.height, asset.frames) == (5, 720, 1280, 81)
    assert (asset.frame_rate, asset.duration, asset.mime_type) == (16.0, 5.06, "video/mp4")
    assert asset.raw["new"] == 1


@pytest.mark.parametrize("more", [{}, {"properties": None}, {"properties": {}}, {"mimeType": 5}])
def test_asset_needs_no_more_than_its_url(more: dict[str, Any]) -> None:
    """What the server does not send is None."""
    asset = OPERATIONS.get_asset("asset_1").parse(reply({"asset": asset_record(**more)}))
    assert (asset.size, asset.width, asset.frame_rate, asset.mime_type) == (None, None, None, "")


@pytest.mark.parametrize(
    "payload",
    [{}, {"asset": None}, {"asset": 5}, {"asset": {"id": "asset_1"}}, {"asset": {"url": None}},
     {"asset": {"id": "asset_2", "url": "https://cdn.test"}},
     {"asset": {"id": "asset_1", "url": "u", "properties": 5}}],
    ids=repr,
)  # fmt: skip
def test_asset_without_a_url_or_of_another_id_is_unexpected(payload: Any) -> None:
    """Another asset's file is never used instead."""
    with pytest.raises(UnexpectedResponseError):
        OPERATIONS.get_asset("asset_1").parse(reply(payload))


@pytest.mark.parametrize("status", [200, 269])
def test_estimate_reads_the_price(status: int) -> None:
    """A fraction is kept, and what is not a number is left out."""
    answer = reply(
        {"creativeUnitsCost": 7.25, "creativeUnitsDiscount": 0.5,
         "costDetails": {"custom-generation": 7.25, "odd": "x"}}, status,
    )  # fmt: skip
    assert OPERATIONS.estimate({}).parse(answer) == Estimate(
        creative_units=7.25, discount=0.5, details={"custom-generation": 7.25}
    )


@pytest.mark.parametrize("more", [{}, {"costDetails": None, "creativeUnitsDiscount": None}])
def test_estimate_needs_no_more_than_the_price(more: dict[str, Any]) -> None:
    """And no usable job."""
    answer = reply({"creativeUnitsCost": 0, "job": {"status": "x"}, **more}, 269)
    assert OPERATIONS.estimate({}).parse(answer) == Estimate(creative_units=0.0)


@pytest.mark.parametrize("price", [None, "60", True, [], NAN])
def test_estimate_without_a_price_is_unexpected(price: Any) -> None:
    """A price must be a number."""
    with pytest.raises(UnexpectedResponseError):
        OPERATIONS.estimate({}).parse(reply({"creativeUnitsCost": price}, 269))


@pytest.mark.parametrize(
    "payload", [{"job": job_record("job_9")}, {"jobId": "job_9"}, {"job": {"id": "job_9"}}]
)
@pytest.mark.parametrize("status", [200, 269])
def test_estimate_that_started_a_job_raises_with_the_job(payload: Any, status: int) -> None:
    """A paid dry run must not pass as a price."""
    with pytest.raises(UnexpectedResponseError, match="job_9") as caught:
        OPERATIONS.estimate({}).parse(reply({"creativeUnitsCost": 60, **payload}, status))
    assert caught.value.job is not None
    assert caught.value.job.id == "job_9"


@pytest.mark.parametrize("good", ["job_abc123", "a", "A-1.b_c-d", "-_", "j" * 200, "job_..x"])
def test_checked_id_accepts_ids(good: str) -> None:
    """Letters, digits and a few signs."""
    assert checked_id(good, "job") == good


@pytest.mark.parametrize(
    "bad",
    ["", ".", "..", ".a", "a/b", "a\\b", "c:", "a:b", "a b", "ä", "a\n", "j" * 201, 5, None],
)
def test_checked_id_refuses_another_address_or_file(bad: Any) -> None:
    """A file may be named by it, on Windows too. The message says what ids look like."""
    with pytest.raises(InvalidInputError, match="job_abc123"):
        checked_id(bad, "job")


@pytest.mark.parametrize(
    ("failed", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (5000, 8.0)]
)
def test_back_off_doubles_up_to_eight_seconds(failed: int, seconds: float) -> None:
    """For any number of failures."""
    assert DEFAULT_TIMING.back_off(failed) == seconds


def fault(status: int, **headers: str) -> ApiError:
    """An error with this status."""
    return api_error(reply({}, status, **headers))


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (ConnectionFailedError("x", sent=True), True),
        (ConnectionFailedError("x", sent=False), True),
        (UnexpectedResponseError("x"), True),
        *[(fault(status), True) for status in (408, 425, 429, 500, 503, 520)],
        *[(fault(status), False) for status in (301, 400, 401, 403, 404, 405, 422)],
        (ReframeError("x"), False),
        (InvalidInputError("x"), False),
    ],
)
def test_is_passing_distinguishes_faults_from_refusals(error: ReframeError, passing: bool) -> None:
    """Temporary faults may not occur next time."""
    assert is_transient(error) is passing


@pytest.mark.parametrize(
    ("error", "failed", "pause"),
    [
        (fault(500), 1, 0.5),
        (fault(500), 3, 2.0),
        (fault(500), ATTEMPTS, None),
        (fault(429, retry_after="7"), 1, 7.0),
        (fault(429, retry_after="0.1"), 3, 2.0),
        (fault(429, retry_after="60"), 1, 60.0),
        (fault(429, retry_after="61"), 1, None),
        (fault(400), 1, None),
        (ConnectionFailedError("x", sent=True), 1, 0.5),
    ],
)
def test_pause_before_retry_follows_fault_attempts_and_retry_after(
    error: ReframeError, failed: int, pause: float | None
) -> None:
    """None means to give up."""
    assert pause_before_retry(error, failed, DEFAULT_TIMING) == pause


def test_repeat_gives_up_after_its_attempts() -> None:
    """The last error is raised."""
    stepper = Stepper(*[reply({}, 500)] * ATTEMPTS)
    with pytest.raises(ServerError):
        stepper.run(repeat(OPERATIONS.get_job("job_1"), DEFAULT_TIMING))
    assert len(stepper.requests) == ATTEMPTS
    assert stepper.pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(("sent", "words"), [(True, "was not complete"), (False, "connect")])
def test_error_of_send_says_whether_anything_may_have_arrived(sent: bool, words: str) -> None:
    """And it has the cause."""
    with pytest.raises(ConnectionFailedError, match=words) as caught:
        Stepper(lost(sent=sent)).run(send(OPERATIONS.get_job("job_1")))
    assert caught.value.sent is sent
    assert isinstance(caught.value.__cause__, OSError)


def test_within_limits_one_request() -> None:
    """The operation itself is unchanged."""
    operation = OPERATIONS.get_job("job_1")
    assert within(operation, 3.0).request.timeout == 3.0
    assert operation.request.timeout is None


@pytest.mark.parametrize(
    ("request_", "method", "path"),
    [
        (Operations("p").get_job("job_1").request, "GET", "/jobs/job_1"),
        (Operations("p").cancel("job_1").request, "POST", "/jobs/job_1/action"),
        (Operations("p").get_asset("asset_1").request, "GET", "/assets/asset_1"),
        (Operations("p").get_upload("u").request, "GET", "/uploads/u"),
        (Operations("p").complete_upload("u").request, "POST", "/uploads/u/action"),
        (Operations("p").create_upload(url="https://a").request, "POST", "/uploads"),
        (Operations("p").list_jobs().request, "GET", "/jobs"),
    ],
)
def test_every_operation_names_its_project(request_: Request, method: str, path: str) -> None:
    """In the query, and nowhere else."""
    assert (request_.method, request_.path) == (method, path)
    assert request_.params["projectId"] == "p"
    assert "projectId" not in (request_.body or {})


def test_no_project_means_no_parameter() -> None:
    """The key's own project applies."""
    assert OPERATIONS.get_job("job_1").request.params == {}


def test_server_s_clock_is_that_of_its_last_reply() -> None:
    """It goes on with our clock; a reply without a Date does not change it."""
    stepper = Stepper(
        reply({"jobs": []}),
        reply({"jobs": []}, date="Thu, 01 Jan 2026 10:00:00 GMT"),
        reply({"reason": "no"}, 403, date="Thu, 01 Jan 2026 10:00:07 GMT"),
        reply({"jobs": []}, date="today"),
    )
    operations = stepper.operations()
    ages = []
    for _ in range(4):
        with suppress(ApiError):
            stepper.run(send(operations.list_jobs()))
        stepper.now += 5.0
        ages.append(operations.server.age())
    assert ages == [INFINITY, 5.0, 5.0, 10.0]
    assert operations.server.last == datetime(2026, 1, 1, 10, 0, 7, tzinfo=UTC)
