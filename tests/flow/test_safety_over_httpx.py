"""Where credentials are sent, what the logs show, and which connections are closed."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from pytest_httpx import HTTPXMock

from clients import BASE_URL, KEY, SECRET, TIMING, Caller, plain
from scenario_reframe import (
    ApiError,
    AsyncReframeClient,
    ConfigurationError,
    DownloadError,
    ReframeClient,
    SubmissionUncertainError,
)
from scenario_reframe.video import VideoFile
from stepping import SUBMIT_PATH, asset_record, job_record

pytestmark = pytest.mark.usefixtures("pauses")

SIGNED = "https://cdn.test/asset_1?Policy=p&Signature=top-secret&Key-Pair-Id=k"


def furnished(make: Any) -> Any:
    """An httpx client with defaults of its own, which must not appear in any request."""
    return make(
        headers={"Authorization": "Bearer mine", "X-Mine": "1", "User-Agent": "mine"},
        auth=("mine", "mine"),
        cookies={"session": "mine"},
        params={"mine": "1"},
        follow_redirects=True,
        base_url="https://mine.test",
    )


def bare(request: httpx.Request) -> bool:
    """Whether a request has nothing of any client's."""
    names = {"authorization", "cookie", "x-mine"} & {name.lower() for name in request.headers}
    return not names and "mine" not in str(request.url) + request.headers["User-Agent"]


def serve_asset(httpx_mock: HTTPXMock, url: str = SIGNED) -> None:
    """Mock the API's reply with the asset and its URL."""
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_1",
        json={"asset": asset_record(url=url, properties={"size": 5})},
        is_reusable=True,
    )


@pytest.mark.parametrize("http", [plain, furnished])
def test_download_host_sees_no_credentials(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, http: Any
) -> None:
    """Neither the API's nor those of a given client."""
    serve_asset(httpx_mock)
    httpx_mock.add_response(url=SIGNED, content=b"video")
    call("download", "asset_1", tmp_path / "o.mp4", http=http)
    request = httpx_mock.get_requests()[-1]
    assert request.url.host == "cdn.test"
    assert bare(request)
    assert request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("http", [plain, furnished])
def test_download_host_s_redirect_sees_no_credentials(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, http: Any
) -> None:
    """A file's URL may redirect; a given client's cookies are not sent on."""
    serve_asset(httpx_mock)
    httpx_mock.add_response(url=SIGNED, status_code=302, headers={"Location": "https://far.test/"})
    httpx_mock.add_response(url="https://far.test/", content=b"video")
    files = call("download", "asset_1", tmp_path / "o.mp4", http=http)
    assert files[0].read_bytes() == b"video"
    assert all(bare(request) for request in httpx_mock.get_requests()[1:])


@pytest.mark.parametrize(
    ("location", "hosts"),
    [
        (SIGNED, {"cdn.test"}),
        ("http://cdn.test/plain", {"cdn.test"}),
        ("ftp://cdn.test/a", {"cdn.test"}),
        ("http://[bad", {"cdn.test"}),
    ],
)
def test_download_follows_no_redirect_in_circles_or_without_encryption(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, location: str, hosts: set[str]
) -> None:
    """It raises the package's own error, without any request to another host."""
    serve_asset(httpx_mock)
    httpx_mock.add_response(
        url=SIGNED, status_code=302, headers={"Location": location}, is_reusable=True
    )
    with pytest.raises(DownloadError):
        call("download", "asset_1", tmp_path / "o.mp4")
    requests = [request for request in httpx_mock.get_requests() if request.url.host != "api.test"]
    assert {request.url.host for request in requests} == hosts
    assert {request.url.scheme for request in requests} == {"https"}
    assert len(requests) <= 5 * 6
    assert list(tmp_path.iterdir()) == []


def test_download_host_sees_no_cookie_that_the_api_set(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path
) -> None:
    """Cookies that the API sets for its whole domain stay with the API."""
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_1",
        json={"asset": asset_record(url="https://cdn.api.test/a")},
        headers={"Set-Cookie": "session=api; Domain=api.test; Path=/"},
    )
    httpx_mock.add_response(
        url="https://cdn.api.test/a", status_code=302, headers={"Location": "/b"}
    )
    httpx_mock.add_response(url="https://cdn.api.test/b", content=b"video")
    call("download", "asset_1", tmp_path / "o.mp4")
    assert all(bare(request) for request in httpx_mock.get_requests()[1:])


@pytest.mark.parametrize("http", [plain, furnished])
def test_upload_host_sees_no_credentials(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, http: Any
) -> None:
    """It gets bytes, their type and their length."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    done = {"id": "upload_1", "status": "imported", "entityId": "asset_1",
            "parts": [{"number": 1, "url": "https://s3.test/1?sig=s"}]}  # fmt: skip
    httpx_mock.add_response(
        method="POST", url=re.compile(f"{BASE_URL}/uploads.*"), json={"upload": done},
        is_reusable=True,
    )  # fmt: skip
    httpx_mock.add_response(method="PUT", url="https://s3.test/1?sig=s")
    serve_asset(httpx_mock)
    call("upload", path, http=http)
    (put,) = httpx_mock.get_requests(method="PUT")
    assert bare(put)
    assert put.headers["Content-Type"] == "video/mp4"
    assert put.content == path.read_bytes()


def test_api_sees_its_credentials_and_nothing_of_a_given_client(
    call: Caller, httpx_mock: HTTPXMock
) -> None:
    """Headers, auth, cookies, query and base URL of a given client have no effect."""
    httpx_mock.add_response(json={"job": job_record()})
    call("submit", "asset_in", http=furnished)
    (request,) = httpx_mock.get_requests()
    assert str(request.url) == f"{BASE_URL}{SUBMIT_PATH}"
    assert request.headers["Authorization"] == httpx.BasicAuth(KEY, SECRET)._auth_header
    assert request.headers["User-Agent"].startswith("scenario-reframe/")
    assert {"cookie", "x-mine"}.isdisjoint(name.lower() for name in request.headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("http", [plain, furnished])
@pytest.mark.parametrize("name", ["cancel", "get_job"])
def test_redirect_of_the_api_is_not_followed(
    call: Caller, httpx_mock: HTTPXMock, status: int, http: Any, name: str
) -> None:
    """Credentials are sent nowhere else, even by a client that follows redirects."""
    httpx_mock.add_response(
        status_code=status, headers={"Location": "https://evil.test/"}, off_spec="a redirect"
    )
    with pytest.raises(ApiError, match="redirects are not followed") as caught:
        call(name, "job_1", http=http)
    assert caught.value.status_code == status
    assert len(httpx_mock.get_requests()) == 1


def test_redirected_submit_is_uncertain(call: Caller, httpx_mock: HTTPXMock) -> None:
    """A 307 is not followed either, and proves nothing."""
    httpx_mock.add_response(
        method="POST", status_code=307, headers={"Location": "https://evil.test/"},
        off_spec="a redirect",
    )  # fmt: skip
    httpx_mock.add_response(method="GET", json={"jobs": []}, is_reusable=True)
    with pytest.raises(SubmissionUncertainError):
        call("submit", "asset_in")
    assert {request.url.host for request in httpx_mock.get_requests()} == {"api.test"}


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_no_log_shows_a_signed_query_or_a_credential(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    level: int,
) -> None:  # fmt: skip
    """Httpx logs whole URLs; signed queries are hidden, also after a redirect."""
    serve_asset(httpx_mock)
    httpx_mock.add_response(
        url=SIGNED, status_code=302, headers={"Location": "https://far.test/?Signature=top-secret"}
    )
    httpx_mock.add_response(url="https://far.test/?Signature=top-secret", content=b"video")
    with caplog.at_level(level):
        call("download", "asset_1", tmp_path / "o.mp4")
    text = caplog.text
    assert "https://cdn.test/asset_1?hidden" in text
    assert "https://far.test/?hidden" in text
    assert "top-secret" not in text
    assert SECRET not in text
    assert httpx.BasicAuth(KEY, SECRET)._auth_header[6:] not in text


def test_log_of_other_requests_is_left_alone(
    httpx_mock: HTTPXMock, caplog: pytest.LogCaptureFixture
) -> None:
    """A program's other requests with httpx are logged as usual."""
    httpx_mock.add_response()
    with ReframeClient(KEY, SECRET), caplog.at_level(logging.INFO), httpx.Client() as other:
        other.get("https://other.test/?q=1")
    assert "https://other.test/?q=1" in caplog.text


def test_no_error_shows_a_signed_query(call: Caller, httpx_mock: HTTPXMock, tmp_path: Path) -> None:
    """Nor does its cause."""
    serve_asset(httpx_mock)
    httpx_mock.add_response(url=SIGNED, status_code=400)
    with pytest.raises(DownloadError) as caught:
        call("download", "asset_1", tmp_path / "o.mp4")
    fault: BaseException | None = caught.value
    while fault is not None:
        assert "top-secret" not in str(fault)
        fault = fault.__cause__


def test_closed_client_raises(httpx_mock: HTTPXMock) -> None:
    """An error of this package, not httpx's."""
    client = ReframeClient(KEY, SECRET, base_url=BASE_URL)
    client.close()
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        client.get_job("job_1")

    async def later() -> None:
        twin = AsyncReframeClient(KEY, SECRET, base_url=BASE_URL)
        await twin.aclose()
        await twin.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await twin.get_job("job_1")

    asyncio.run(later())


def test_context_managers_close_what_they_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """They return the client itself, and do not hide errors."""
    made: list[httpx.Client | httpx.AsyncClient] = []

    def kept(init: Any) -> Any:
        def noted(http: Any, **options: Any) -> None:
            init(http, **options)
            made.append(http)

        return noted

    monkeypatch.setattr(httpx.Client, "__init__", kept(httpx.Client.__init__))
    monkeypatch.setattr(httpx.AsyncClient, "__init__", kept(httpx.AsyncClient.__init__))
    with ReframeClient(KEY, SECRET) as client:
        assert isinstance(client, ReframeClient)
        assert [http.is_closed for http in made] == [False]
    assert [http.is_closed for http in made] == [True]
    with pytest.raises(ZeroDivisionError), ReframeClient(KEY, SECRET):
        _ = 1 // 0

    async def later() -> None:
        async with AsyncReframeClient(KEY, SECRET) as twin:
            assert isinstance(twin, AsyncReframeClient)
            assert [http.is_closed for http in made] == [True, True, False]

    asyncio.run(later())
    assert [http.is_closed for http in made] == [True, True, True]


def test_given_client_is_not_closed() -> None:
    """It belongs to the caller."""
    with httpx.Client() as given:
        ReframeClient(KEY, SECRET, http_client=given).close()
        assert not given.is_closed

    async def later() -> None:
        async with httpx.AsyncClient() as given:
            await AsyncReframeClient(KEY, SECRET, http_client=given).aclose()
            assert not given.is_closed

    asyncio.run(later())


def test_two_base_urls_each_get_their_own_credentials(httpx_mock: HTTPXMock) -> None:
    """Clients that share connections do not share credentials."""
    httpx_mock.add_response(json={"job": job_record()}, is_reusable=True)
    with httpx.Client() as shared:
        for key in ("key-1", "key-2"):
            ReframeClient(key, "s", base_url=BASE_URL, http_client=shared).get_job("job_1")
    headers = [request.headers["Authorization"] for request in httpx_mock.get_requests()]
    assert headers == [httpx.BasicAuth(key, "s")._auth_header for key in ("key-1", "key-2")]


@pytest.mark.parametrize("grace", [0.0, 600.0])
def test_cancelled_submit_of_the_async_client_loses_nothing(
    httpx_mock: HTTPXMock, grace: float
) -> None:
    """It waits for a reply for a while and carries its job; else a note names the seed."""

    async def later() -> asyncio.CancelledError:
        reached, cancelled = asyncio.Event(), asyncio.Event()

        async def answer(_: httpx.Request) -> httpx.Response:
            reached.set()
            await cancelled.wait()
            return httpx.Response(200, json={"job": job_record()})

        httpx_mock.add_callback(answer, method="POST")
        timing = evolve(TIMING, last_answers=grace)
        async with AsyncReframeClient(KEY, SECRET, base_url=BASE_URL, timing=timing) as client:
            task = asyncio.ensure_future(client.submit("asset_in"))
            await reached.wait()
            task.cancel()
            asyncio.get_running_loop().call_soon(cancelled.set) if grace else None
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
        return caught.value

    stop = asyncio.run(later())
    (posted,) = httpx_mock.get_requests()
    seed = json.loads(posted.content)["seed"]
    job = getattr(stop, "job", None)
    if grace:
        assert job is not None
        assert job.id == "job_1"
    else:
        assert job is None
        assert f"seed {seed}" in "".join(stop.__notes__)


def test_part_that_fails_stops_its_siblings_and_leaves_no_file_open(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A callback's error ends the upload unchanged, in whichever thread it was raised."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(40 * 1024 * 1024))
    parts = [{"number": n, "url": f"https://s3.test/{n}"} for n in range(1, 7)]
    httpx_mock.add_response(
        method="POST", json={"upload": {"id": "upload_1", "status": "pending", "parts": parts}}
    )
    httpx_mock.add_response(method="PUT", is_reusable=True, is_optional=True)
    opened: list[int] = []
    closed: list[int] = []
    read = VideoFile.read

    def watched(video: VideoFile, offset: int, length: int) -> Iterator[bytes]:
        opened.append(offset)
        try:
            yield from read(video, offset, length)
        finally:
            closed.append(offset)

    monkeypatch.setattr(VideoFile, "read", watched)
    kept: list[BaseException] = []  # a stored error keeps its frames alive

    def stop(*_: Any) -> None:
        raise ZeroDivisionError

    try:
        call("upload", path, on_progress=stop)
    except ZeroDivisionError as error:
        kept.append(error)
    assert kept
    assert len(httpx_mock.get_requests(method="POST")) == 1
    assert opened
    assert sorted(closed) == sorted(opened)
