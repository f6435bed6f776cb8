"""Submits over a real httpx client: what was sent, what was not, and what is uncertain."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from clients import Caller
from scenario_reframe import (
    ConnectionFailedError,
    InvalidInputError,
    RateLimitedError,
    SubmissionUncertainError,
)
from stepping import DATE, VENDORS_429, job_record

pytestmark = pytest.mark.usefixtures("pauses")


@pytest.mark.parametrize("content", [json.dumps(VENDORS_429).encode(), b"slow down"], ids=repr)
def test_submit_that_is_rate_limited_raises_it(
    call: Caller, httpx_mock: HTTPXMock, content: bytes
) -> None:
    """One POST and one look-up, whoever sent the refusal; the error carries the submission."""
    off_spec = None if content.startswith(b"{") else "a gateway's text"
    httpx_mock.add_response(method="POST", status_code=429, content=content, off_spec=off_spec)
    httpx_mock.add_response(
        method="GET", json={"jobs": []}, headers={"Date": DATE}, is_reusable=True
    )
    with pytest.raises(RateLimitedError) as caught:
        call("submit", "asset_in")
    assert caught.value.limit == (None if off_spec else 5)
    assert caught.value.submission is not None
    (posted,) = httpx_mock.get_requests(method="POST")
    assert json.loads(posted.content) == caught.value.submission.body


def test_submit_whose_reply_is_lost_finds_its_job(call: Caller, httpx_mock: HTTPXMock) -> None:
    """The job that echoes the drawn seed is found, and nothing is sent again."""

    def listed(_: httpx.Request) -> httpx.Response:
        (posted,) = httpx_mock.get_requests(method="POST")
        echoed = {"seed": json.loads(posted.content)["seed"], "prompt": "rewritten"}
        job = job_record("job_found", metadata={"input": echoed})
        return httpx.Response(200, json={"jobs": [job]}, headers={"Date": DATE})

    httpx_mock.add_exception(httpx.ReadTimeout("slow"), method="POST")
    httpx_mock.add_callback(listed, method="GET", is_reusable=True)
    assert call("submit", "asset_in", prompt="a").id == "job_found"
    assert len(httpx_mock.get_requests(method="POST")) == 1


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ReadTimeout("x"), httpx.WriteTimeout("x"), httpx.ReadError("x"),
        httpx.WriteError("x"), httpx.CloseError("x"), httpx.RemoteProtocolError("x"),
        httpx.LocalProtocolError("x"), httpx.DecodingError("x"), httpx.TooManyRedirects("x"),
        httpx.InvalidURL("x"), httpx.StreamError("x"), httpx.ConnectError("x"),
        httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"), httpx.ProxyError("x"),
    ],
    ids=repr,
)  # fmt: skip
def test_submit_that_may_have_arrived_is_never_sent_again(
    call: Caller, httpx_mock: HTTPXMock, pauses: list[float], fault: httpx.HTTPError
) -> None:
    """Once its body was read for sending, whatever broke it: one POST and a clear error."""
    httpx_mock.add_exception(fault, method="POST", is_reusable=True)
    httpx_mock.add_response(
        method="GET", json={"jobs": []}, headers={"Date": DATE}, is_reusable=True
    )
    with pytest.raises(SubmissionUncertainError) as caught:
        call("submit", "asset_in", client={"project_id": "proj_1"})
    submission = caught.value.submission
    assert submission.body == {"seed": submission.seed, "videoUrl": "asset_in"}
    assert submission.project_id == "proj_1"
    assert len(httpx_mock.get_requests(method="POST")) == 1
    assert sum(pauses) == 60.0


class Refusing(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that raises without reading the body, each time."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send nothing."""
        self.requests.append(request)
        raise self.fault

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send nothing."""
        return self.handle_request(request)


@pytest.mark.parametrize(
    "fault",
    [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x"),
     httpx.ProxyError("x"), httpx.ReadError("x"), httpx.InvalidURL("x")],
    ids=repr,
)  # fmt: skip
def test_submit_that_was_not_sent_is_tried_three_times(call: Caller, fault: Exception) -> None:
    """A body that was not read was not sent, whatever was raised: there is no look-up."""
    refusing = Refusing(fault)
    with pytest.raises(ConnectionFailedError) as caught:
        call("submit", "asset_in", http=lambda make: make(transport=refusing))
    assert not caught.value.sent
    assert caught.value.__cause__ is fault
    assert [request.method for request in refusing.requests] == ["POST"] * 3


@pytest.mark.parametrize(
    "location",
    ["urn:job:1", "job:abc", "https:x", "mailto:a@b.test", "about:blank", "http://[bad",
     "/" + "x" * 65_000],
    ids=lambda location: location[:20],
)  # fmt: skip
@pytest.mark.parametrize("status", [303, 307])
def test_submit_that_is_answered_with_an_odd_redirect_is_sent_once(
    call: Caller, httpx_mock: HTTPXMock, status: int, location: str
) -> None:
    """Httpx raises after such a reply, which proves nothing: a job may have been made."""
    httpx_mock.add_response(
        method="POST", status_code=status, headers={"Location": location}, off_spec="a redirect"
    )
    httpx_mock.add_response(
        method="GET", json={"jobs": []}, headers={"Date": DATE}, is_reusable=True
    )
    with pytest.raises(SubmissionUncertainError):
        call("submit", "asset_in")
    assert len(httpx_mock.get_requests(method="POST")) == 1


class Trickle(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off."""

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"job": {"jobId": "job_1"'
        raise httpx.ReadError("cut")

    async def __aiter__(self) -> Any:
        yield b'{"job": {"jobId": "job_1"'
        raise httpx.ReadError("cut")


def test_submit_whose_reply_is_cut_is_uncertain(call: Caller, httpx_mock: HTTPXMock) -> None:
    """Half a reply is not a reply."""
    httpx_mock.add_response(method="POST", stream=Trickle(), off_spec="cut off")
    httpx_mock.add_response(method="GET", json={"jobs": []}, is_reusable=True)
    with pytest.raises(SubmissionUncertainError):
        call("submit", "asset_in")


class Latecomer(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport during whose connecting another program writes the target."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.received: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Write the target, then read the body."""
        self.target.write_bytes(b"theirs")
        self.received.append(request.read())
        raise AssertionError

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The same."""
        self.target.write_bytes(b"theirs")
        self.received.append(await request.aread())
        raise AssertionError


def test_target_that_appears_while_connecting_prevents_the_post(
    call: Caller, tmp_path: Path
) -> None:
    """The last check runs when the body is read; then none of it is sent."""
    late = Latecomer(tmp_path / "out.mp4")
    with pytest.raises(InvalidInputError, match=r"out\.mp4"):
        call("reframe", "asset_in", late.target, http=lambda make: make(transport=late))
    assert late.received == []
    assert late.target.read_bytes() == b"theirs"
