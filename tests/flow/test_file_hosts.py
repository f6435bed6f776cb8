"""Hosts of files that lie, break, or lead elsewhere: both clients, over real sockets or mocked."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from clients import BASE_URL, Caller
from downloads import listed
from raw_server import RawAnswer, RawRequest, RawServer
from scenario_reframe import (
    Asset,
    AsyncReframeClient,
    DownloadError,
    ReframeClient,
    UploadError,
    transfer_plan,
)
from scenario_reframe.downloading import FRUITLESS_ATTEMPTS, LEAST_PROGRESS
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import rewrite
from stepping import asset_record
from timings import SOON

LOCAL = ["http://127.0.0.1:9/a", "http://localhost/a", "http://[::1]:8080/a"]


def serve_asset(httpx_mock: HTTPXMock, url: str) -> None:
    """Mock the API's reply with the asset and its URL."""
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_1",
        json={"asset": asset_record(url=url, properties={"size": 5})},
        is_reusable=True,
    )


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("url", LOCAL)
def test_a_remote_api_names_no_file_on_this_machine(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, url: str
) -> None:
    """Nothing is requested there, and the URL is not asked a second time."""
    serve_asset(httpx_mock, url)
    with pytest.raises(DownloadError, match="a URL of a file that is not https"):
        call("download", "asset_1", tmp_path / "o.mp4")
    assert [request.url.host for request in httpx_mock.get_requests()] == ["api.test"]
    assert listed(tmp_path) == []


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize(
    "location", [*LOCAL, "file:///etc/passwd", "http://far.test/", "gopher://x/"]
)
def test_a_redirect_leads_neither_to_this_machine_nor_to_another_protocol(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, location: str
) -> None:
    """One request, and an error that says why."""
    serve_asset(httpx_mock, "https://cdn.test/a")
    httpx_mock.add_response(
        url="https://cdn.test/a", status_code=307, headers={"Location": location}
    )
    with pytest.raises(DownloadError, match=r"cannot be downloaded: .*(https|protocol)"):
        call("download", "asset_1", tmp_path / "o.mp4")
    assert [r.url.host for r in httpx_mock.get_requests()] == ["api.test", "cdn.test"]
    assert listed(tmp_path) == []


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("url", LOCAL)
def test_a_remote_api_has_nothing_uploaded_to_this_machine(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, url: str
) -> None:
    """The part's bytes are sent nowhere."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    begun = {"id": "upload_1", "status": "pending", "parts": [{"number": 1, "url": url}]}
    httpx_mock.add_callback(lambda _: httpx.Response(200, json={"upload": begun}), is_reusable=True)
    with pytest.raises(UploadError, match="UnsupportedProtocol"):
        call("upload", path)
    assert {request.url.host for request in httpx_mock.get_requests()} == {"api.test"}


Downloading = Callable[[Path], list[Path]]


@pytest.fixture
def host() -> Iterator[RawServer]:
    """A file host that sends what a test wants."""
    with RawServer(lambda _: b"") as made:
        yield made


def head(status: int = 200, *lines: str) -> bytes:
    """A reply's head, with these lines after the first one."""
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} It", *lines, "")).encode(
        "latin-1"
    )


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def start_of(request: RawRequest) -> int:
    """The first byte that was asked for."""
    return int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


@pytest.fixture(scope="module")
def asset(sandbox: Sandbox, short_clip: Path) -> Asset:
    """A real video on the server."""
    with ReframeClient(sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url) as client:
        return client.upload(short_clip)


@pytest.fixture(params=["sync", "async"])
def get(
    request: pytest.FixtureRequest, sandbox: Sandbox, asset: Asset, host: RawServer
) -> Iterator[Downloading]:
    """Download, with either client, an asset that is at the file host and whose size is unknown."""
    keys = (sandbox.api_key, sandbox.api_secret)

    def elsewhere(body: Any) -> Any:
        body["asset"]["url"] = f"{host.origin}/clip.mp4?Signature=s"
        del body["asset"]["properties"]["size"]
        return body

    def sync(to: Path) -> list[Path]:
        with ReframeClient(*keys, base_url=sandbox.base_url, timing=SOON) as client:
            return client.download(asset.id, to)

    async def later(to: Path) -> list[Path]:
        async with AsyncReframeClient(*keys, base_url=sandbox.base_url, timing=SOON) as client:
            return await client.download(asset.id, to)

    sandbox.faults.add(rewrite(elsewhere), r"/v1/assets/", times=99)
    yield sync if request.param == "sync" else lambda to: asyncio.run(later(to))
    sandbox.faults.clear()


def test_an_api_on_this_machine_names_files_on_it(
    get: Downloading, host: RawServer, tmp_path: Path
) -> None:
    """As the sandbox does; redirects may lead there, too."""
    there = head(302, f"Location: {host.origin.replace('127.0.0.1', 'localhost')}")
    replies = iter([(there,), (head(200, "Content-Length: 3"), b"any")])
    host.answer = lambda _: next(replies)
    (file,) = get(tmp_path / "out.mp4")
    assert file.read_bytes() == b"any"
    assert host.requests[1].headers["host"].startswith("localhost:")


def test_the_container_ends_a_body_that_nobody_measured(
    get: Downloading, host: RawServer, short_clip: Path, tmp_path: Path
) -> None:
    """Cut at many places, once each, the file arrives whole all the same, or not at all."""
    data = short_clip.read_bytes()
    assert len(data) > 500
    for number, cut in enumerate(range(0, len(data), len(data) // 8 + 1)):
        replies = iter([data[:cut], data])
        host.answer = lambda _, replies=replies: (head(), next(replies))  # type: ignore[misc]
        (file,) = get(tmp_path / f"{number}.mp4")
        assert file.read_bytes() == data
    host.answer = lambda _: (head(), data[:-1])
    with pytest.raises(DownloadError, match="did not arrive whole"):
        get(tmp_path / "out.mp4")
    assert not list(tmp_path.glob("out*"))


def test_a_body_without_any_end_is_an_error(
    get: Downloading, host: RawServer, tmp_path: Path
) -> None:
    """A page, say, that the host closed: it is asked once."""
    host.answer = lambda _: (head(), b"<html>something</html>")
    with pytest.raises(DownloadError, match="neither its host nor the API stated its length"):
        get(tmp_path / "out.mp4")
    assert len(host.requests) == 1
    assert listed(tmp_path) == []


def test_a_chunked_body_is_whole_when_http_says_so(
    get: Downloading, host: RawServer, tmp_path: Path
) -> None:
    """Whatever it holds; without the last chunk it was cut."""
    chunked = head(200, "Transfer-Encoding: chunked")
    replies = iter([chunk(b"any"), chunk(b"any") + b"0\r\n\r\n"])
    host.answer = lambda _: (chunked, next(replies))
    (file,) = get(tmp_path / "out.mp4")
    assert (file.read_bytes(), len(host.requests)) == (b"any", 2)


def test_an_endless_body_stops_at_the_limit(
    get: Downloading,
    host: RawServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not when the disk is full; nothing of it stays."""
    monkeypatch.setattr(transfer_plan, "MOST_BYTES", 1_000_000)
    sent: list[int] = []

    def endless(_: RawRequest) -> Iterator[bytes]:
        yield head(200, 'ETag: "v1"')
        while True:
            yield bytes(50_000)
            sent.append(max((path.stat().st_size for path in tmp_path.iterdir()), default=0))

    host.answer = endless
    with pytest.raises(DownloadError, match="longer than the limit of 1000000 bytes"):
        get(tmp_path / "out.mp4")
    assert max(sent) <= 1_000_000
    assert listed(tmp_path) == []


@pytest.mark.parametrize("total", ["4294967297", "9" * 18, "9" * 5000], ids=len)
def test_a_range_of_too_large_a_file_is_refused(
    get: Downloading, host: RawServer, tmp_path: Path, total: str
) -> None:
    """Before a byte of it is written; 5,000 digits are no raw error either."""
    first = (head(200, "Content-Length: 100", 'ETag: "v1"'), b"x" * 10)
    second = (head(206, f"Content-Range: bytes 10-99/{total}", "Content-Length: 90"), b"y" * 90)
    host.answer = lambda request: second if start_of(request) else first
    with pytest.raises(DownloadError, match="announces more than the limit of 4294967296 bytes"):
        get(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4.part").read_bytes() == b"x" * 10


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: " + "9" * 19],
        ["Content-Length: " + "9" * 5000],
        ["Content-Length: -1"],
        ["Content-Length: \xb2"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 3", "Content-Encoding: gzip"],
        ["Transfer-Encoding: gzip"],
        ["Location: //[x"],
        ["Location: https://xn--/"],
        ["Location: https://xn--a/"],
        ["ETag: \x01"],
    ],
    ids=range(11),
)
@pytest.mark.parametrize("status", [200, 206, 302])
def test_odd_heads_are_download_errors(
    get: Downloading, host: RawServer, tmp_path: Path, status: int, lines: list[str]
) -> None:
    """Never a raw one, and no file."""
    host.answer = lambda _: (head(status, *lines), b"abc")
    with pytest.raises(DownloadError):
        get(tmp_path / "out.mp4")
    assert len(host.requests) <= FRUITLESS_ATTEMPTS
    assert listed(tmp_path) == []


@pytest.mark.parametrize("etag", ['"\xe9"', '"' + "x" * 50_000 + '"'], ids=["odd", "long"])
def test_an_etag_that_cannot_be_sent_back_is_none(
    get: Downloading, host: RawServer, short_clip: Path, tmp_path: Path, etag: str
) -> None:
    """The file is fetched again from its start."""
    data = short_clip.read_bytes()
    line = head(200, f"Content-Length: {len(data)}", f"ETag: {etag}")
    replies = iter([data[:100], data])
    host.answer = lambda _: (line, next(replies))
    (file,) = get(tmp_path / "out.mp4")
    assert (file.read_bytes(), list(map(start_of, host.requests))) == (data, [0, 0])


def test_one_byte_an_attempt_ends(get: Downloading, host: RawServer, tmp_path: Path) -> None:
    """The host would otherwise be asked as often as the file has bytes."""

    def one(request: RawRequest) -> RawAnswer:
        start = start_of(request)
        span = f"Content-Range: bytes {start}-999999/1000000"
        length = f"Content-Length: {1_000_000 - start}"
        return head(206 if start else 200, length, 'ETag: "v1"', *[span] * bool(start)), b"x"

    host.answer = one
    with pytest.raises(DownloadError, match=f"in {FRUITLESS_ATTEMPTS} attempts"):
        get(tmp_path / "out.mp4")
    assert list(map(start_of, host.requests)) == list(range(FRUITLESS_ATTEMPTS))


def test_a_host_that_breaks_after_enough_bytes_is_asked_for_the_rest(
    get: Downloading, host: RawServer, tmp_path: Path
) -> None:
    """However often."""
    data = bytes(range(256)) * (8 * LEAST_PROGRESS // 256)

    def some(request: RawRequest) -> RawAnswer:
        start = start_of(request)
        span = f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}"
        length = f"Content-Length: {len(data) - start}"
        lines = [length, 'ETag: "v1"', *[span] * bool(start)]
        return head(206 if start else 200, *lines), data[start : start + LEAST_PROGRESS]

    host.answer = some
    (file,) = get(tmp_path / "out.mp4")
    assert (file.read_bytes() == data, len(host.requests)) == (True, 8)
