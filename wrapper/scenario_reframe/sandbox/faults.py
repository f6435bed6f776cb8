"""Faults that a test adds to the sandbox: what a client must survive.

    sandbox.faults.add(drop(after=True), r"/generate/", method="POST")
    sandbox.faults.add(answer(502, "<h1>Bad Gateway</h1>"), r"/jobs/", times=2)

A fault is a callable that is given the application and one request (ASGI's `scope`, `receive` and
`send`) and may do anything with them; a new kind is a new function that returns one.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Fault = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]

TRANSPORT: Final = "scenario_reframe.transport"
"""Key of the connection's asyncio transport in the scope's extensions."""


def answer(
    status: int,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    after: bool = False,
) -> Fault:
    """Respond without doing the work, or `after` it has been done.

    A `str` or `bytes` body is sent as it is, any other as JSON.
    """
    kind = "text/html" if isinstance(body, str | bytes) else "application/json"
    text = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
    content = text.encode() if isinstance(text, str) else text
    fields = {"content-type": kind, "content-length": str(len(content))} | dict(headers or {})

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await (app(scope, receive, _discard) if after else _read_body(receive))
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return fault


def drop(*, after: bool = False) -> Fault:
    """Close the connection without a response; `after`: once the work has been done."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, _send: Send) -> None:
        if after:
            await app(scope, receive, _discard)
        await _abort(scope, receive)

    return fault


def hang(seconds: float, *, after: bool = False) -> Fault:
    """Delay the request by so many seconds; `after`: do the work, then delay the response."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        is_due = after

        async def delayed_send(message: Message) -> None:
            nonlocal is_due
            if is_due:
                is_due = False
                await asyncio.sleep(seconds)
            await send(message)

        if not after:
            await asyncio.sleep(seconds)
        await app(scope, receive, delayed_send)

    return fault


def cut(after_bytes: int = 0, *, share: float | None = None) -> Fault:
    """Close the connection after so many bytes of the response's body, or after a share of it."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        left = after_bytes

        async def cut_send(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start" and share is not None:
                left = int(int(dict(message["headers"]).get(b"content-length", b"0")) * share)
            if message["type"] == "http.response.body" and left >= 0:
                body = message.get("body", b"")
                if len(body) >= left:
                    await send({**message, "body": body[:left], "more_body": True})
                    scope["extensions"][TRANSPORT].close()
                    left = -1
                    return
                left -= len(body)
            if left >= 0:
                await send(message)

        await app(scope, receive, cut_send)
        await _wait_for_disconnect(receive)

    return fault


def trickle(seconds: float) -> Fault:
    """Send a response's body byte by byte, with this many seconds between them."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def slowly(message: Message) -> None:
            for byte in message.get("body", b""):
                await send({**message, "body": bytes([byte]), "more_body": True})
                await asyncio.sleep(seconds)
            await send({**message, "body": b""} if "body" in message else message)

        await app(scope, receive, slowly)

    return fault


def slow_down(seconds: float, pieces: int = 10) -> Fault:
    """Send a response's body in pieces, delayed by this many seconds in all."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        left = pieces

        async def slowly(message: Message) -> None:
            nonlocal left
            body = message.get("body", b"")
            step = max(1, -(-len(body) // pieces))
            while len(body) > step and left:
                left -= 1
                await send({**message, "body": body[:step], "more_body": True})
                await asyncio.sleep(seconds / pieces)
                body = body[step:]
            await send({**message, "body": body} if "body" in message else message)

        await app(scope, receive, slowly)

    return fault


def late(seconds: float, fault: Fault) -> Fault:
    """Respond at once with another fault, and do the work this many seconds later."""

    async def fault_first(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                await fault(app, scope, _replayed(body, receive), send)
                await asyncio.sleep(seconds)
                await app(scope, _replayed(body, receive), _discard)
                return

    return fault_first


def rewrite(change: Callable[[Any], Any]) -> Fault:
    """Change a JSON response with a function before it is sent."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await app(scope, receive, collect)
        body = b"".join(message.get("body", b"") for message in messages)
        start, content = messages[0], json.dumps(change(json.loads(body))).encode()
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        headers.append((b"content-length", str(len(content)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return fault


def ignore_range() -> Fault:
    """Respond to a range request with the whole file."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await app(dict(scope) | {"headers": headers}, receive, send)

    return fault


async def _read_body(receive: Receive) -> None:
    """Read a request's body to its end, so that the client is not cut off while it sends."""
    while (await receive()).get("more_body"):
        pass


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was already read once more."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def _discard(_message: Message) -> None:
    """A `send` that sends nothing."""


async def _abort(scope: Scope, receive: Receive) -> None:
    transport: Any = scope["extensions"][TRANSPORT]
    transport.abort()
    await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    """Wait until the server has noticed that the connection is closed."""
    while (await receive())["type"] != "http.disconnect":
        pass
