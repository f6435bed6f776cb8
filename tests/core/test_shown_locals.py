"""What tools show of an error and of a client: tracebacks with locals, pretty-printers, pickles."""

import asyncio
import base64
import io
import pickle
import pprint
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from sandbox_clips import MP4
from scenario_reframe import AsyncReframeClient, ReframeClient
from scenario_reframe.flow.bounds import (
    AsyncBoundedBackend,
    AsyncBoundedStream,
    BoundedBackend,
    BoundedStream,
)
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, cut, drop
from scenario_reframe.secret import Secret

KEY, SECRET = "key-qfw81", "secret-zkp27"
FORMS = [KEY, SECRET, *(base64.b64encode(text.encode()).decode().rstrip("=")
                        for text in (f"{KEY}:{SECRET}", SECRET, KEY))]  # fmt: skip


def shown_of(error: BaseException) -> str:
    """What rich, the standard library and `repr` show of an error and of those behind it."""
    stream = io.StringIO()
    shown = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True,
        locals_max_length=1000, locals_max_string=100_000, max_frames=1000,
    )  # fmt: skip
    Console(file=stream, width=10_000).print(shown)
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = [stream.getvalue(), *whole.format()]
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        fault = left.pop()
        if fault is not None and id(fault) not in seen:
            seen.add(id(fault))
            left += [fault.__cause__, fault.__context__]
            parts += [repr(fault), pretty_repr(fault), pprint.pformat(vars(fault))]
            parts += walked(fault)
    return "\n".join(parts)


def walked(value: object, depth: int = 6) -> list[str]:
    """The reprs of all that a walk over attributes and items finds."""
    if depth == 0:
        return []
    found = [repr(value)]
    items = list(value) if isinstance(value, list | tuple | set) else []
    if isinstance(value, dict):
        items = [*value, *value.values()]
    for item in [*items, *getattr(value, "__dict__", {}).values()]:
        found += walked(item, depth - 1)
    return found


def assert_clean(text: str) -> None:
    """No form of key or secret."""
    for form in FORMS:
        assert form not in text, text[max(0, text.find(form) - 200) :][:300]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A server that knows the key."""
    with Sandbox(fast=True, api_key=KEY, api_secret=SECRET) as running:
        yield running


@contextmanager
def raw_server(reply: bytes | None) -> Iterator[str]:
    """A server that accepts connections; it says `reply` to each, or nothing. Gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            kept = []
            try:
                while True:
                    connection, _ = listener.accept()
                    kept.append(connection)
                    if reply is not None:
                        connection.recv(65536)
                        connection.sendall(reply)
                        connection.close()
            except OSError:
                for connection in kept:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def refused_url() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def error_of(call: Callable[[], Any]) -> BaseException:
    """The error that a call raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        call()
    return caught.value


def both(url: str, use: Callable[[Any], Any], **options: Any) -> Iterator[BaseException]:
    """The errors of the same call of both clients. The secret is in no frame of this module."""

    def sync() -> None:
        with ReframeClient(*ACCOUNT.reveal(), base_url=url, **options) as client:
            use(client)

    async def asynchronous() -> None:
        async with AsyncReframeClient(*ACCOUNT.reveal(), base_url=url, **options) as client:
            await use(client)

    yield error_of(sync)
    yield error_of(lambda: asyncio.run(asynchronous()))


ACCOUNT = Secret((KEY, SECRET))


FAULTS = {
    "401": answer(401, {"reason": f"no {SECRET} Basic {FORMS[2]}"}),
    "500": answer(500, {"message": KEY}),
    "no-json": answer(200, [SECRET]),
    "cut": cut(),
    "dropped": drop(),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_reply(kind: str, sandbox: Sandbox) -> None:
    """An error reply that echoes them, no JSON, none at all."""
    for error in both(sandbox.base_url, lambda client: once(client, sandbox, kind)):
        assert_clean(shown_of(error))


def once(client: Any, sandbox: Sandbox, kind: str) -> Any:
    """Send one request that meets this fault; a POST is not repeated."""
    sandbox.faults.add(FAULTS[kind], r"/cancel|/action|/jobs/", times=9)
    return client.cancel("job_1")


@pytest.mark.parametrize(
    "reply",
    [None, b"nonsense secret-zkp27\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
     b"HTTP/1.1 302 Found\r\nLocation: http://[secret-zkp27\r\nContent-Length: 0\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Encoding: secret-zkp27\r\nContent-Length: 0\r\n\r\n"],
    ids=["none", "no-http", "cut", "location", "encoding"],
)  # fmt: skip
def test_a_connection(reply: bytes | None) -> None:
    """Time-out, malformed replies that echo the secret."""
    with raw_server(reply) as url:
        for error in both(url, lambda client: client.cancel("job_1"), timeout=0.5):
            assert_clean(shown_of(error))


def test_no_connection() -> None:
    """Refused, and TLS with a server that speaks none."""
    for error in both(refused_url(), lambda client: client.cancel("job_1")):
        assert_clean(shown_of(error))
    with raw_server(b"no TLS here") as url:
        https = f"https://{urlsplit(url).netloc}/v1"
        for error in both(https, lambda client: client.cancel("job_1")):
            assert_clean(shown_of(error))


@pytest.mark.parametrize(
    "options",
    [{"timeout": -1}, {"base_url": "http://api.test"}, {"base_url": 5}, {"ledger": "mysql://x"},
     {"ledger": "/dev/null/x"}, {"api_secret": f"{SECRET}\n"}, {"api_secret": f"{SECRET}\ud800"},
     {"api_key": f"{KEY}:{SECRET}"}, {"api_secret": SECRET.encode()}, {"api_secret": ""}],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("client", [ReframeClient, AsyncReframeClient])
def test_wrong_settings(client: Any, options: dict[str, Any]) -> None:
    """From arguments and from the environment."""
    usual = {"api_key": KEY, "api_secret": SECRET, "base_url": "http://127.0.0.1/v1"}
    given = Secret(usual | options)
    del usual
    del options
    error = error_of(lambda: client(**given.reveal()))
    assert_clean(shown_of(error))


def test_wrong_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment itself is in no frame."""
    monkeypatch.setenv("SCENARIO_API_KEY", KEY)
    monkeypatch.setenv("SCENARIO_API_SECRET", f"{SECRET}\ud800".encode("utf-8", "replace").decode())
    monkeypatch.setenv("SCENARIO_BASE_URL", "http://api.test")
    assert_clean(shown_of(error_of(ReframeClient)))
    monkeypatch.setenv("SCENARIO_API_SECRET", f"{SECRET}\x01")
    assert_clean(shown_of(error_of(ReframeClient)))


def test_an_error_of_a_callback_keeps_its_frames(sandbox: Sandbox, tmp_path: Path) -> None:
    """Only the transport's are left out."""
    (tmp_path / "clip.mp4").write_bytes(MP4)

    def fail(*_: object) -> None:
        raise LookupError

    for error in both(
        sandbox.base_url, lambda client: client.upload(tmp_path / "clip.mp4", on_progress=fail)
    ):
        assert isinstance(error, LookupError)
        frames = traceback.extract_tb(error.__traceback__)
        assert frames[-1].name == "fail"
        assert not [frame for frame in frames if "httpcore" in frame.filename]
        assert_clean(shown_of(error))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, RuntimeError])
def test_whatever_ends_an_exchange(
    kind: type[BaseException], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the request is being written, in the very frame that holds its bytes."""

    def stop(*_: object, **__: object) -> None:
        raise kind

    for backend in (BoundedBackend, AsyncBoundedBackend):
        monkeypatch.setattr(backend, "connect_tcp", stop)
    for error in both(sandbox.base_url, lambda client: client.cancel("job_1")):
        assert_clean(shown_of(error))
    monkeypatch.undo()
    for stream in (BoundedStream, AsyncBoundedStream):
        monkeypatch.setattr(stream, "write", stop)
    for error in both(sandbox.base_url, lambda client: client.cancel("job_1")):
        assert_clean(shown_of(error))


def test_the_client_and_its_parts(tmp_path: Path) -> None:
    """repr, rich, pprint, and a walk over every attribute."""
    with ReframeClient(KEY, SECRET, ledger=tmp_path / "l.db") as client:
        parts = [client, client._wire, client._driver, client._wire.auth, client._wire.credentials]
        parts += [client._pipeline, client.ledger, vars(client)]
        for part in parts:
            shown = (repr(part), str(part), pretty_repr(part), pprint.pformat(part), *walked(part))
            assert_clean("\n".join(shown))


def test_a_secret_is_neither_shown_nor_pickled() -> None:
    """It compares and copies."""
    secret = Secret(SECRET)
    assert_clean(f"{secret} {secret!r} {[secret]} {pretty_repr(secret)} {pprint.pformat(secret)}")
    assert deepcopy(secret) == secret != Secret("x")
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
