"""What the client makes of replies: every error of every operation, and senseless replies."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from clients import BASE_URL, SECRET, Caller
from scenario_reframe import (
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ReframeError,
    ServerError,
    UnexpectedResponseError,
)
from scenario_reframe.timing import Timing
from stepping import DATE, VENDORS_429, asset_record, job_record

pytestmark = pytest.mark.usefixtures("pauses")

READS: dict[str, tuple[Any, ...]] = {
    "get_job": ("job_1",),
    "jobs": (),
    "get_asset": ("asset_1",),
}
ONCE: dict[str, tuple[Any, ...]] = {"cancel": ("job_1",), "estimate": ("asset_in",)}
FREE = {**READS, **ONCE}
ALL = {**FREE, "submit": ("asset_in",)}
REFUSALS: dict[int, type[ApiError]] = {
    400: ApiError, 401: AuthenticationError, 402: ApiError, 403: PermissionDeniedError,
    404: NotFoundError, 405: ApiError, 413: ApiError, 415: ApiError, 422: ApiError,
}  # fmt: skip
NO_JSON = "a gateway's own words"


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("name", ALL)
def test_refusal_is_raised_at_once(
    call: Caller, httpx_mock: HTTPXMock, name: str, status: int
) -> None:
    """With the vendor's reason, the status and the request's id, after one request."""
    body = {"reason": '"numFrames" must be greater than or equal to 81', "trace_id": "trace-1"}
    httpx_mock.add_response(status_code=status, json=body)
    with pytest.raises(ApiError) as caught:
        call(name, *ALL[name])
    error = caught.value
    assert type(error) is REFUSALS[status]
    assert (error.status_code, error.reason, error.body) == (status, body["reason"], body)
    assert error.request_id == "trace-1"
    assert body["reason"] in str(error)
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize(
    ("status", "content", "kind", "off_spec"),
    [
        (429, b"{}", RateLimitedError, None),
        (500, b'{"message": "Internal server error"}', ServerError, None),
        (502, b"<html><body>502 Bad Gateway</body></html>", ServerError, NO_JSON),
        (503, b"", ServerError, NO_JSON),
        (504, b'{"message": "Endpoint request timed out"}', ServerError, None),
        (520, b"\xff\xfe", ServerError, NO_JSON),
        (599, b"null", ServerError, "no object"),
    ],
)
@pytest.mark.parametrize("name", READS)
def test_read_is_repeated_after_a_temporary_fault(
    call: Caller, httpx_mock: HTTPXMock, pauses: list[float], name: str, status: int,
    content: bytes, kind: type[ApiError], off_spec: str | None,
) -> None:  # fmt: skip
    """Four attempts, with growing pauses; then the error."""
    httpx_mock.add_response(
        status_code=status, content=content, is_reusable=True, off_spec=off_spec
    )
    with pytest.raises(kind) as caught:
        call(name, *READS[name])
    assert caught.value.status_code == status
    assert len(httpx_mock.get_requests()) == 4
    assert pauses == [0.5, 1.0, 2.0]
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 502])
@pytest.mark.parametrize("name", ONCE)
def test_action_is_sent_once(
    call: Caller, httpx_mock: HTTPXMock, pauses: list[float], name: str, status: int
) -> None:
    """A dry run whose reply is lost may have started a paid job, so it is not repeated."""
    httpx_mock.add_response(status_code=status, json={})
    with pytest.raises(ApiError):
        call(name, *ONCE[name])
    assert len(httpx_mock.get_requests()) == 1
    assert pauses == []


def test_a_successful_retry_hides_the_fault(call: Caller, httpx_mock: HTTPXMock) -> None:
    """A temporary fault is not seen by the caller."""
    httpx_mock.add_exception(httpx.ReadError("reset"))
    httpx_mock.add_response(status_code=502, text="<html>", off_spec=NO_JSON)
    httpx_mock.add_response(content=b'{"job": {"jobId": "job_1", "st', off_spec="cut off")
    httpx_mock.add_response(json={"job": job_record(status="success")})
    assert call("get_job", "job_1").is_success


@pytest.mark.parametrize(
    ("headers", "body", "seconds", "limit"),
    [
        ({"Retry-After": "7"}, {}, 7.0, None),
        ({"Retry-After": "Thu, 01 Jan 2026 10:00:20 GMT", "Date": DATE}, {}, 20.0, None),
        ({}, {"reason": "Cooldown", "remainingSeconds": 12}, 12.0, None),
        ({}, VENDORS_429, None, 5),
        ({"Retry-After": "3"}, {**VENDORS_429, "remainingSeconds": 12}, 3.0, 5),
    ],
)
def test_rate_limit_has_the_pause_and_the_limit(
    call: Caller, httpx_mock: HTTPXMock, headers: dict[str, str], body: dict[str, Any],
    seconds: float | None, limit: int | None,
) -> None:  # fmt: skip
    """`retry_after` in seconds, and the number of jobs allowed side by side."""
    httpx_mock.add_response(status_code=429, headers=headers, json=body)
    with pytest.raises(RateLimitedError) as caught:
        call("cancel", "job_1")
    assert (caught.value.retry_after, caught.value.limit) == (seconds, limit)


def test_reply_that_is_too_large_counts_as_none(
    call: Caller, httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of bytes does not fill the memory."""
    monkeypatch.setattr("scenario_reframe.flow.transport.MAX_REPLY_BYTES", 1000)
    httpx_mock.add_response(content=b" " * 1001 + b"{}", is_reusable=True)
    with pytest.raises(ConnectionFailedError, match="larger than 1000"):
        call("get_job", "job_1")


def test_reply_that_takes_too_long_counts_as_none(
    call: Caller, httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole reply has a deadline, not only each byte."""
    now = iter(range(0, 10_000, 50))
    timing = Timing(clock=lambda: float(next(now)))
    httpx_mock.add_response(json={"job": job_record()}, is_reusable=True)
    with pytest.raises(ConnectionFailedError, match="not complete within"):
        call("get_job", "job_1", client={"timeout": 10, "timing": timing})


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage collection while deep JSON is on the stack: it needs stack for errors."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def deep(count: int) -> bytes:
    """A JSON object with one very deep value."""
    nested = b'{"a":' * count + b"1" + b"}" * count
    return (
        b'{"job": {"jobId": "job_1", "status": "success", "metadata": {"input": ' + nested
        + b'}}, "jobs": [{"jobId": "job_1", "metadata": {"input": ' + nested
        + b'}}], "asset": {"id": "asset_1", "url": "https://cdn.test", "properties": ' + nested
        + b'}, "creativeUnitsCost": 1, "costDetails": ' + nested + b"}"
    )  # fmt: skip


WRONG: list[Any] = [None, 5, -1.5, True, "x", "", [], [None], [5], ["x"], {}, {"a": None}, [[]]]
HOSTILE = [
    b"",
    b"<!doctype html><title>Welcome</title>",
    b"[]",
    b"null",
    b"true",
    b'"job_1"',
    b"1e999",
    b"NaN",
    b"{",
    b'{"job": {"jobId": "jo',
    b"\xff\xfe\x00",
    b"[" * 50_000,
    b'{"job": ' * 50_000,
    b'{"creativeUnitsCost": ' + b"9" * 5000 + b"}",
    b'{"creativeUnitsCost": 1e999, "costDetails": {"a": NaN}}',
    *[deep(count) for count in (50, 480, 700, 900)],
    *[
        json.dumps(dict.fromkeys(("job", "jobs", "asset", "creativeUnitsCost"), value)).encode()
        for value in WRONG
    ],
    *[
        json.dumps(
            {
                "job": {**job_record(), field: value},
                "jobs": [{**job_record(), field: value}, value],
            }
        ).encode()
        for field in ("jobId", "status", "progress", "createdAt", "updatedAt", "statusHistory",
                      "metadata", "billing", "jobType", "authorId")
        for value in WRONG
    ],
    *[
        json.dumps(
            {
                "job": {**job_record(), outer: {field: value}},
                "jobs": [{**job_record(), outer: {field: value}}],
            }
        ).encode()
        for outer, field in (("metadata", "assetIds"), ("metadata", "input"), ("metadata", "error"),
                             ("billing", "cuCost"))
        for value in WRONG
    ],
    *[
        json.dumps({"asset": {**asset_record(), field: value}}).encode()
        for field in ("id", "url", "mimeType", "properties", "outputIndex", "kind", "status")
        for value in [*WRONG, "http://[bad", "../../x"]
    ],
    *[json.dumps({"jobs": [], "nextPaginationToken": value}).encode() for value in WRONG],
    *[
        json.dumps({"creativeUnitsCost": 1, field: value}).encode()
        for field in ("creativeUnitsDiscount", "costDetails")
        for value in WRONG
    ],
]  # fmt: skip


def outcome(call: Caller, name: str, *arguments: Any) -> str:
    """How a call ended: well, or with an error of the package. Other errors pass through."""
    try:
        found = call(name, *arguments)
    except ReframeError as error:
        assert not isinstance(error, InvalidInputError)  # noqa: PT017
        assert len(str(error)) < 2000  # noqa: PT017
        return type(error).__name__
    assert repr(found)
    if name == "get_asset":
        assert found.url_expires_at is None
    return "well"


CONCERNED = {
    "get_job": b'"job"',
    "cancel": b'"job"',
    "jobs": b'"jobs"',
    "get_asset": b'"asset"',
    "estimate": b'"creativeUnitsCost"',
}


def outcome_or_failure(call: Caller, name: str, content: bytes) -> str:
    """How a call ended. Fails and shows the reply if an error of another package came through."""
    try:
        return outcome(call, name, *ALL[name])
    except ReframeError:
        raise
    except Exception as fault:
        raise AssertionError(f"{content[:300]!r} lets {fault!r} through") from fault


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", FREE)
def test_no_hostile_2xx_lets_a_strange_error_through(
    call: Caller, httpx_mock: HTTPXMock, name: str
) -> None:
    """No KeyError, TypeError, ValueError or JSONDecodeError of the generated code."""
    ends = set()
    for content in HOSTILE:
        if not content.startswith(b'{"') or CONCERNED[name] in content:
            httpx_mock.reset()
            httpx_mock.add_response(
                status_code=269 if name == "estimate" else 200, content=content,
                is_reusable=True, off_spec="hostile",
            )  # fmt: skip
            ends.add(outcome_or_failure(call, name, content))
    assert ends == {"well", "UnexpectedResponseError"}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("status", [302, 400, 429, 520])
@pytest.mark.parametrize("name", ["get_job", "estimate", "submit"])
def test_no_hostile_error_lets_a_strange_one_through(
    call: Caller, httpx_mock: HTTPXMock, name: str, status: int
) -> None:
    """Bodies and headers of errors are as arbitrary as those of successes."""
    keys = ("reason", "message", "error", "details", "trace_id", "remainingSeconds")
    bodies = [
        *HOSTILE[:19],
        *(json.dumps(dict.fromkeys(keys, value)).encode() for value in WRONG),
        *(json.dumps({"details": {"actionLimit": value}}).encode() for value in WRONG),
    ]
    wild = {
        "Retry-After": "Thu, 01 Jan 99999999999999999999 10:00:00 GMT",
        "Date": "Thu, 01 Jan 2026 10:00:00 +99999999999999",
        "x-amzn-requestid": "x" * 300,
    }
    for content in bodies:
        httpx_mock.reset()
        httpx_mock.add_response(
            status_code=status, content=content, headers=wild, is_reusable=True, off_spec="hostile"
        )
        assert outcome_or_failure(call, name, content) not in {"well", "UnexpectedResponseError"}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("status", [200, 269])
def test_no_paid_job_is_lost_in_a_hostile_reply(
    call: Caller, httpx_mock: HTTPXMock, status: int
) -> None:
    """If the reply can be read and names a job, the job is returned; else it is uncertain."""
    found = []
    for number, hostile in enumerate(HOSTILE):
        if hostile.startswith(b'{"') and b'"job"' not in hostile:
            continue
        job_id = f"job_{number}"  # two submits never get one job
        content = hostile.replace(b"job_1", job_id.encode())
        httpx_mock.reset()
        httpx_mock.add_response(
            method="POST", status_code=status, content=content, off_spec="hostile"
        )
        httpx_mock.add_response(
            method="GET", json={"jobs": []}, headers={"Date": DATE}, is_reusable=True,
            is_optional=True,
        )  # fmt: skip
        try:
            named = json.loads(content)["job"]["jobId"]
        except (ValueError, LookupError, TypeError, RecursionError):
            named = None
        if named == job_id:
            assert call("submit").id == job_id
            found.append(job_id)
        elif named != "x":
            assert outcome_or_failure(call, "submit", content) == "SubmissionUncertainError"
    assert len(found) > 100


SENSELESS_UPLOADS: list[Any] = [
    {}, {"upload": {"id": "u", "parts": [{"number": 1, "url": "http://[bad"}]}},
    {"upload": {"id": "u", "parts": [{"number": 1, "url": "ftp://s3.test"}]}},
    {"upload": {"id": "u", "parts": [{"number": 1, "url": "http://s3.test/plain"}]}},
]  # fmt: skip
FORBIDDEN_UPLOADS: list[Any] = [
    {"upload": None}, {"upload": 5}, {"upload": []}, {"upload": {"id": 5}},
    {"upload": {"id": "u", "parts": 5}}, {"upload": {"id": "u", "parts": [5]}},
    {"upload": {"id": "u", "parts": {"a": 1}}},
    {"upload": {"id": "u", "parts": [{"number": "one", "url": 5}]}},
    {"upload": {"id": "u", "status": "failed", "errorMessage": {"a": 1}}},
    {"upload": {"id": "../jobs", "status": 5, "entityId": [1]}},
]  # fmt: skip


@pytest.mark.parametrize("payload", SENSELESS_UPLOADS + FORBIDDEN_UPLOADS, ids=repr)
def test_no_hostile_upload_lets_a_strange_error_through(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, payload: Any
) -> None:
    """Senseless announcements, parts and imports raise the package's own errors."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    off_spec = "wrong types" if payload in FORBIDDEN_UPLOADS else None
    httpx_mock.add_response(json=payload, is_reusable=True, off_spec=off_spec)
    assert outcome(call, "upload", path) in {"UploadError", "UnexpectedResponseError"}
    assert not [request for request in httpx_mock.get_requests() if request.method == "PUT"]


@pytest.mark.parametrize(
    "url", ["http://[bad", "ftp://cdn.test/a", "http://cdn.test/a", "//cdn.test/a", "a" * 70_000,
            "https://cdn.test/\x00"],
    ids=lambda url: url[:20],
)  # fmt: skip
def test_no_hostile_asset_url_lets_a_strange_error_through(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, url: str
) -> None:
    """An invalid or forbidden address is an error, and makes no file."""
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_1", json={"asset": asset_record(url=url)}, is_reusable=True
    )
    httpx_mock.add_response(
        url="https://cdn.test/", status_code=400, is_optional=True, is_reusable=True
    )
    end = outcome(call, "download", "asset_1", tmp_path / "o.mp4")
    assert end in {"DownloadError", "UnexpectedResponseError"}
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize(
    ("status", "body", "off_spec"),
    [
        (400, b'{"reason": "you sent %s"}', None),
        (401, b"<p>unknown: %s</p>", "HTML"),
        (404, b'{"echo": ["%s"]}', "a key of its own"),
        (500, b"%s", NO_JSON),
        (302, b"moved, %s", "a redirect"),
        (200, b"<html>hello %s", "HTML"),
    ],
)
def test_a_secret_that_the_server_echoes_is_redacted(
    call: Caller, httpx_mock: HTTPXMock, status: int, body: bytes, off_spec: str | None
) -> None:
    """In the message and in the body, also in the form of the header."""
    encoded = httpx.BasicAuth("the-key", SECRET)._auth_header.removeprefix("Basic ")
    for part in (SECRET, encoded):
        httpx_mock.reset()
        content = body % part.encode()
        httpx_mock.add_response(
            status_code=status, content=content, is_reusable=True, off_spec=off_spec
        )
        with pytest.raises(ReframeError) as caught:
            call("cancel", "job_1")
        assert part not in str(caught.value)
        assert part not in repr(getattr(caught.value, "body", ""))
        assert part not in str(getattr(caught.value, "reason", ""))


def test_unexpected_reply_to_a_read_is_named_as_such(call: Caller, httpx_mock: HTTPXMock) -> None:
    """HTML under a 200 is not blamed on the caller."""
    httpx_mock.add_response(text="<html>hello", is_reusable=True, off_spec="HTML")
    with pytest.raises(UnexpectedResponseError, match="JSON"):
        call("get_job", "job_1")
