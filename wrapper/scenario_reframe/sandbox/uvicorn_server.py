"""The web server under the sandbox: uvicorn on this machine only, on a thread of its own."""

import asyncio
import socket
import time
from collections.abc import Callable
from threading import Thread
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from scenario_reframe.sandbox.faults import TRANSPORT

# For a very busy machine; otherwise both take less than a second.
STOP_SECONDS: Final = 60.0
_START_SECONDS: Final = 60.0
# Longer than clients keep idle connections, so that none is closed while a request is sent.
_KEEP_ALIVE_SECONDS: Final = 75


class _Protocol(H11Protocol):
    """uvicorn's protocol, which gives the application its transport so that faults can close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {TRANSPORT: transport}
            await app(scope, receive, send)

        self.app = with_transport


def listen(port: int) -> tuple[list[socket.socket], int]:
    """Listen on the loopback addresses, IPv6 too if it is available; return the port."""
    first = _bound(socket.AF_INET, "127.0.0.1", port)
    port = first.getsockname()[1]
    try:
        return [first, _bound(socket.AF_INET6, "::1", port)], port
    except OSError:
        return [first], port


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # With its protocol number, as asyncio sets TCP_NODELAY (small responses at once) only then.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def serve(app: ASGIApp, sockets: list[socket.socket]) -> Callable[[], None]:
    """Run uvicorn on a thread; return the function that stops it."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # faults are intended; the application logs its own errors
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        access_log=False,
        date_header=False,  # the application sets it, by its own clock
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=(sockets,), name="sandbox", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the sandbox's server did not start")
        time.sleep(0.005)

    def stop() -> None:
        server.should_exit = server.force_exit = True
        thread.join(STOP_SECONDS)

    return stop
