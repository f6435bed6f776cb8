"""Every exchange ends: its seconds and its raw bytes are bounded, whatever a server sends."""

import asyncio
import gzip
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from clients import KEY, SECRET
from raw_server import RawAnswer, RawRequest, RawServer, http_reply
from scenario_reframe import (
    AsyncReframeClient,
    ConfigurationError,
    ConnectionFailedError,
    DownloadError,
    ReframeClient,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from scenario_reframe.flow.bounds import HEAD_BYTES, PACE_BYTES, Bound
from timings import SOON

SHORT = 0.3
"""A timeout in seconds for what never ends."""
JSON = b"Content-Type: application/json"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "status line": (b"HTTP/1.1 200 ", b"x"),
    "header": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
    "1xx replies": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "chunk size": (CHUNKED, b"0"),
    "chunk extension": (CHUNKED + b"1;", b"x"),
    "chunks": (CHUNKED, b"1\r\n \r\n"),
    "trailer": (CHUNKED + b"0\r\nX-Long: ", b"x"),
    "name in a gzip header": (
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n"
            b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03"
        ),
        b"x",
    ),
}
Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Call a client's method over a connection of its own."""

    def run(base_url: str, name: str, *args: Any, within: float = 60.0, **kwargs: Any) -> Any:
        options: dict[str, Any] = {"base_url": base_url, "timeout": within, "timing": SOON}
        if request.param == "sync":
            with ReframeClient(KEY, SECRET, **options) as client:
                found = getattr(client, name)(*args, **kwargs)
                return list(found) if name == "jobs" else found

        async def later() -> Any:
            async with AsyncReframeClient(KEY, SECRET, **options) as client:
                found = getattr(client, name)(*args, **kwargs)
                return [item async for item in found] if name == "jobs" else await found

        return asyncio.run(later())

    return run


def drops(server: RawServer, start: bytes, again: bytes) -> Iterator[bytes]:
    """A reply that goes on for ever, a little at a time."""
    for piece in chain([start], repeat(again)):
        yield piece
        if server.stopped.wait(0.01):
            return


def answering(answer: RawAnswer | Callable[[], RawAnswer]) -> RawServer:
    """A server with one answer."""
    return RawServer(lambda _: answer() if callable(answer) else answer)


@pytest.mark.parametrize(("start", "again"), ENDLESS.values(), ids=ENDLESS)
def test_a_reply_without_end_ends_at_the_timeout(call: Call, start: bytes, again: bytes) -> None:
    """Each byte comes in time, but the reply never does."""
    with answering(b"") as server:
        server.answer = lambda _: drops(server, start, again)
        with pytest.raises(ConnectionFailedError):
            call(server.base_url, "get_job", "job_1", within=SHORT)


def test_a_wait_ends_in_spite_of_a_reply_without_end(call: Call) -> None:
    """The time that the caller gave bounds each request, too."""
    with answering(b"") as server:
        server.answer = lambda _: drops(server, *ENDLESS["headers"])
        with pytest.raises(WaitTimeoutError):
            call(server.base_url, "wait", "job_1", timeout=SHORT)


@pytest.mark.parametrize("name", sorted({*ENDLESS} - {"chunks"}))
def test_a_flood_ends_at_the_limit_of_bytes(call: Call, name: str) -> None:
    """As fast as the client can read (chunks of one byte reach the timeout before the limit)."""
    start, again = ENDLESS[name]
    many = again * (1 + 2**20 // len(again))
    with (
        answering(lambda: chain([start], repeat(many, 20))) as server,
        pytest.raises((ConnectionFailedError, UnexpectedResponseError)),
    ):
        call(server.base_url, "get_job", "job_1")


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_gzip_bomb_is_not_unpacked(call: Call, layers: int) -> None:
    """A reply is decoded once, and no further than the limit of a reply."""
    bomb = bytes(200_000_000)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    encoding = b"Content-Encoding: " + b", ".join([b"gzip"] * layers)
    with answering(http_reply(bomb, "200 OK", JSON, encoding)) as server:
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionFailedError, match=r"larger than|not asked for"):
                call(server.base_url, "get_job", "job_1")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 120_000_000


def test_a_reply_in_gzip_is_read(call: Call) -> None:
    """It is asked for."""
    body = gzip.compress(b'{"job": {"jobId": "job_1", "status": "success"}}')
    with answering(http_reply(body, "200 OK", JSON, b"Content-Encoding: gzip")) as server:
        assert call(server.base_url, "get_job", "job_1").is_success
        assert server.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b'{"job": {"jobId": "job_1", "status": "success"}}')[:-9], b"gzip"),
        (b'{"job": {"jobId": "job_1", "status": "success"}}', b"gzip"),
        (b'{"job": {"jobId": "job_1", "status": "success"}}', b"br"),
    ],
    ids=["cut", "not gzip", "not asked for"],
)
def test_an_encoding_that_cannot_be_read_is_no_reply(
    call: Call, body: bytes, encoding: bytes
) -> None:
    """Nothing is guessed from half a reply."""
    reply = http_reply(body, "200 OK", JSON, b"Content-Encoding: " + encoding)
    with answering(reply) as server, pytest.raises(ConnectionFailedError):
        call(server.base_url, "get_job", "job_1")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_reply_that_a_hook_has_read_is_not_read_again(encoding: str) -> None:
    """A given client may have hooks that log bodies."""
    body = b'{"job": {"jobId": "job_1", "status": "success"}}'
    content = gzip.compress(body) if encoding == "gzip" else body
    reply = http_reply(content, "200 OK", JSON, b"Content-Encoding: " + encoding.encode())

    async def read(response: httpx.Response) -> None:
        await response.aread()

    async def later(base_url: str) -> str:
        async with (
            httpx.AsyncClient(event_hooks={"response": [read]}) as http,
            AsyncReframeClient(KEY, SECRET, base_url=base_url, http_client=http) as client,
        ):
            return (await client.get_job("job_1")).id

    with (
        answering(reply) as server,
        httpx.Client(event_hooks={"response": [lambda response: response.read()]}) as http,
        ReframeClient(KEY, SECRET, base_url=server.base_url, http_client=http) as client,
    ):
        assert client.get_job("job_1").id == "job_1"
        assert asyncio.run(later(server.base_url)) == "job_1"
        assert len(server.requests) == 2


def test_a_list_without_end_ends(call: Call) -> None:
    """Each page is empty, and names a token that is new."""
    with answering(b"") as server:
        server.answer = lambda _: http_reply(
            b'{"jobs": [], "nextPaginationToken": "t%d"}' % len(server.requests)
        )
        with pytest.raises(UnexpectedResponseError, match="100 empty pages"):
            call(server.base_url, "jobs")


def test_a_download_keeps_up_a_pace(call: Call, tmp_path: Path) -> None:
    """A byte now and then is no progress, though none of them is late."""
    with answering(b"") as server:

        def answer(request: RawRequest) -> RawAnswer:
            if "/assets/" in request.target:
                url = f"{server.origin}/file".encode()
                return http_reply(b'{"asset": {"id": "asset_1", "url": "%s"}}' % url)
            return drops(server, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x")

        server.answer = answer
        with pytest.raises(DownloadError):
            call(server.base_url, "download", "asset_1", tmp_path / "out.mp4", within=SHORT)
    assert list(tmp_path.iterdir()) == []


def test_no_log_shows_a_signed_location(
    call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Httpcore's debug log has the headers of replies."""
    with answering(b"") as server:

        def answer(request: RawRequest) -> RawAnswer:
            if "/assets/" in request.target:
                url = f"{server.origin}/file".encode()
                return http_reply(b'{"asset": {"id": "asset_1", "url": "%s"}}' % url)
            if request.target == "/file":
                signed = f"{server.origin}/moved?Signature=top-secret".encode()
                return http_reply(b"", "302 Found", b"Location: " + signed)
            return http_reply(b"video")

        server.answer = answer
        with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "httpcore"):
            call(server.base_url, "download", "asset_1", tmp_path / "out.mp4")
    assert "receive_response_headers.complete" in caplog.text
    assert "top-secret" not in caplog.text


def test_the_time_of_an_exchange_runs_on() -> None:
    """Reads do not start it again; the steady progress of a transfer does."""
    now = [0.0]
    bound = Bound(lambda: now[0], 10.0)
    now[0] = 4.0
    assert (bound.left(), bound.left(3.0), bound.left(60.0)) == (6.0, 3.0, 6.0)
    bound.moved(PACE_BYTES - 1)
    assert bound.left() == 6.0
    bound.moved(1)
    assert bound.left() == 10.0
    bound.moved(PACE_BYTES - 1)
    now[0] = 14.0
    with pytest.raises(httpcore.ReadTimeout, match="10 s"):
        bound.left()


def test_the_bytes_of_an_exchange_are_counted() -> None:
    """The head has a limit of its own; the last byte that is allowed is still read."""
    bound = Bound(lambda: 0.0, 1.0, 10)
    bound.count(HEAD_BYTES)
    bound.head_ended()
    bound.count(4)
    bound.count(6)
    with pytest.raises(httpcore.RemoteProtocolError, match="too many bytes"):
        bound.count(1)
    with pytest.raises(httpcore.RemoteProtocolError):
        Bound(lambda: 0.0, 1.0, 10).count(HEAD_BYTES + 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "ftp://me:pw-of-proxy@proxy.test"),
        ("ALL_PROXY", "http://me:pw-of-proxy@proxy.test:99999"),
        ("all_proxy", "http://me:pw-of-proxy@[::1"),
        ("HTTP_PROXY", "socks5://me:pw-of-proxy@proxy.test"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", "/"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_DIR", "/nowhere"),
        ("SSL_CERT_DIR", __file__),
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("CURL_CA_BUNDLE", __file__),
        ("SSLKEYLOGFILE", "/nowhere/keys.log"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both clients, as soon as they are made, without a proxy's password."""
    for other in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    for make in (ReframeClient, AsyncReframeClient):
        with pytest.raises(ConfigurationError, match=name) as caught:
            make(KEY, SECRET)
        assert "pw-of-proxy" not in repr([caught.value, caught.value.__cause__])


def test_a_proxy_is_bounded_too(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reply to CONNECT may dribble as well."""
    with answering(b"") as proxy:
        proxy.answer = lambda _: drops(proxy, *ENDLESS["headers"])
        monkeypatch.setenv("HTTPS_PROXY", proxy.origin)
        with pytest.raises(ConnectionFailedError):
            call("https://api.test.invalid/v1", "get_job", "job_1", within=SHORT)
        assert {request.method for request in proxy.requests} == {"CONNECT"}
