"""Whatever a reply is, only values and the package's own errors come out of it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scenario_reframe import ReframeError
from scenario_reframe.api.json_values import datetime_or_none, http_date, iso, url_or_none
from scenario_reframe.api.operations import Operations
from scenario_reframe.api.replies import api_error
from scenario_reframe.arguments import is_id
from scenario_reframe.flow.steps import Reply
from scenario_reframe.models import Asset, Job, expiry_of
from scenario_reframe.recovery import MOST_PAGES, WINDOW, read_jobs
from scenes import NOON
from stepping import Stepper, job_record

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
OPERATIONS = Operations()
TEXT = st.text(st.characters(), max_size=8)
LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(
        ["\ud800", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "https://xn--/", "job_1",
         "https://a..b/", 10**400, -1e308, float("nan"), ".."]
    )
)  # fmt: skip
ANY = st.recursive(LEAF, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=5)
PARTS = ("metadata", "billing", "properties", "input", "parts", "costDetails", "details")
FIELDS = (
    "jobId", "id", "status", "progress", "createdAt", "updatedAt", "ownerId", "jobType",
    "statusHistory", "assetIds", "error", "hint", "cuCost", "url", "mimeType", "size", "width",
    "frameRate", "duration", "number", "entityId", "errorMessage", "creativeUnitsCost",
    "creativeUnitsDiscount", "nextPaginationToken", "jobs", "actionLimit", "remainingSeconds",
    "reason", "message", *PARTS,
)  # fmt: skip
RECORD = st.dictionaries(
    st.sampled_from(FIELDS), ANY | st.dictionaries(st.sampled_from(FIELDS), ANY), max_size=8
)
PAYLOAD = st.one_of(
    RECORD,
    st.dictionaries(st.sampled_from(["job", "asset", "upload", "jobs", "jobId"]), RECORD | ANY),
    st.builds(lambda jobs, token: {"jobs": jobs, "nextPaginationToken": token},
              st.lists(RECORD), ANY),
)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["date", "retry-after", "x-request-id", "content-type"]),
    TEXT | st.sampled_from(["Fri, 31 Dec 9999 23:59:59 -1400", "9" * 5000, "nan", "-inf"]),
)
PARSERS = {
    "get_job": OPERATIONS.get_job("job_1").parse,
    "paid": OPERATIONS.submit({}).parse,
    "page": OPERATIONS.list_jobs().parse,
    "asset": OPERATIONS.get_asset("asset_1").parse,
    "estimate": OPERATIONS.estimate({}).parse,
    "upload": OPERATIONS.get_upload("u_1").parse,
    "model": OPERATIONS.get_model("model_1").parse,
}


def check_is_sound(made: Any) -> None:
    """Check that what came out can be shown, stored and compared."""
    text = f"{made!r} {made!s} {getattr(made, 'raw', '')!r} {getattr(made, 'body', '')!r}"
    text.encode()
    for job in (made, getattr(made, "job", None)):
        if isinstance(job, Job):
            assert is_id(job.id)
            assert 0.0 <= job.progress <= 1.0
            for time in filter(None, (job.created_at, job.updated_at)):
                iso(time - WINDOW)
    if isinstance(made, Asset):
        assert url_or_none(made.url) == made.url
        assert made.url_expires_at is None or made.url_expires_at.tzinfo


def read(name: str, reply: Reply) -> Any:
    """What a parser makes of a reply."""
    try:
        return PARSERS[name](reply)
    except ReframeError as error:
        return error


@pytest.mark.parametrize("name", PARSERS)
@given(payload=PAYLOAD, headers=HEADERS, status=st.sampled_from([200, 201, 269]))
@QUICK
def test_any_json_is_a_value_or_an_error(
    name: str, payload: Any, headers: dict[str, str], status: int
) -> None:
    """Each field may be anything."""
    check_is_sound(read(name, Reply(status, headers, json.dumps(payload).encode())))


@pytest.mark.parametrize("name", PARSERS)
@given(content=st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
@example(b"\xff\xfe{")
@example(b"[" * 100_000)
@QUICK
def test_any_bytes_are_a_value_or_an_error(name: str, content: bytes) -> None:
    """They need not be JSON."""
    check_is_sound(read(name, Reply(200, {}, content)))


@given(payload=PAYLOAD | ANY, headers=HEADERS, status=st.integers(0, 999))
@QUICK
def test_any_refusal_is_an_error(payload: Any, headers: dict[str, str], status: int) -> None:
    """With a pause that is finite and not below zero, if any."""
    error = api_error(Reply(status, headers, json.dumps(payload).encode()))
    check_is_sound(error)
    assert error.retry_after is None or 0.0 <= error.retry_after <= 86_400.0


@given(record=RECORD, beside=RECORD)
@QUICK
def test_paid_job_comes_out_whatever_is_beside_its_id(record: Any, beside: Any) -> None:
    """A reply that carries a job's id is never lost over another field."""
    payload = {**beside, "job": {**record, "jobId": "job_9"}}
    job = read("paid", Reply(200, {}, json.dumps(payload).encode()))
    assert isinstance(job, Job)
    assert job.id == "job_9"


@given(tail=st.binary(max_size=40).filter(lambda tail: b'"' not in tail))
@QUICK
def test_an_id_in_a_reply_that_breaks_off_is_in_the_error(tail: bytes) -> None:
    """As a hint; if the rest happens to be whole, it is the job."""
    made = read("paid", Reply(200, {}, b'{"job": {"jobId": "job_9", "x": ' + tail))
    job = made if isinstance(made, Job) else made.job
    assert job.id == "job_9"


@given(
    pages=st.lists(
        PAYLOAD
        | st.builds(lambda token: {"jobs": [job_record()], "nextPaginationToken": token}, ANY),
        max_size=6,
    )
)
@QUICK
def test_page_reader_ends_with_the_jobs_or_an_error(pages: list[Any]) -> None:
    """Whatever the pages are, and however their tokens go on."""
    left = iter(pages)

    def answer(_: Any) -> Reply:
        return Reply(200, {}, json.dumps(next(left, {"jobs": []})).encode())

    stepper = Stepper(script=answer)
    try:
        jobs = stepper.run(read_jobs(stepper.operations(), NOON))
    except ReframeError as error:
        check_is_sound(error)
    else:
        assert all(map(is_id, jobs))
    assert len(stepper.requests) <= MOST_PAGES


@given(value=ANY | st.datetimes().map(str))
@QUICK
def test_single_values_never_raise(value: Any) -> None:
    """Dates and URLs of any kind."""
    for time in (datetime_or_none(value), http_date(value if isinstance(value, str) else None)):
        assert time is None or iso(time - WINDOW)
    url_or_none(value)
    if isinstance(value, str):
        expiry_of(value)
