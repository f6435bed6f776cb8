"""Misbehaviour on demand: what a client must survive, told to the sandbox by a test.

    sandbox.faults.add(drop(after=True), r"/generate/", method="POST")
    sandbox.faults.add(answer(502, "<h1>Bad Gateway</h1>"), r"/jobs/", times=2)

A fault is a callable that gets the application and one request of it (ASGI's `scope`, `receive`
and `send`) and does with them what it likes; a new kind is a new function that returns one.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Fault = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]

TRANSPORT: Final = "scenario_reframe.transport"
"""Key of the connection's asyncio transport in the scope's extensions."""


@dataclass
class _Rule:
    fault: Fault
    path: re.Pattern[str]
    method: str | None
    left: int


class Faults:
    """The faults still to come. The first rule that matches a request is used on it."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = Lock()

    def add(
        self, fault: Fault, path: str = "", *, method: str | None = None, times: int = 1
    ) -> None:
        """Use a fault on the next `times` requests whose path matches the regular expression.

        The path is a URL's, with `/v1` for the API and without a query.
        """
        with self._lock:
            self._rules.append(_Rule(fault, re.compile(path), method, times))

    def clear(self) -> None:
        """Forget the faults still to come."""
        with self._lock:
            self._rules.clear()

    @property
    def left(self) -> int:
        """How many faults are still to come."""
        with self._lock:
            return sum(rule.left for rule in self._rules)

    def take(self, method: str, path: str) -> Fault | None:
        """Use up one fault for a request, if there is one for it."""
        with self._lock:
            for rule in self._rules:
                if rule.left and rule.method in {None, method} and rule.path.search(path):
                    rule.left -= 1
                    return rule.fault
        return None


def answer(
    status: int,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    after: bool = False,
) -> Fault:
    """Answer without doing anything, or `after` the work has been done.

    A text or bytes body goes as it is, another as JSON.
    """
    kind = "text/html" if isinstance(body, str | bytes) else "application/json"
    text = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
    content = text.encode() if isinstance(text, str) else text
    fields = {"content-type": kind, "content-length": str(len(content))} | dict(headers or {})

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        await (app(scope, receive, _nowhere) if after else _read(receive))
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return fault


def drop(*, after: bool = False) -> Fault:
    """Close the connection without a reply; `after`: when the work has been done."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, _send: Send) -> None:
        if after:
            await app(scope, receive, _nowhere)
        await _hang_up(scope, receive)

    return fault


def hang(seconds: float, *, after: bool = False) -> Fault:
    """Hold the request for a time and then go on; `after`: hold the reply, the work being done."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        held = after

        async def held_send(message: Message) -> None:
            nonlocal held
            if held:
                held = False
                await asyncio.sleep(seconds)
            await send(message)

        if not after:
            await asyncio.sleep(seconds)
        await app(scope, receive, held_send)

    return fault


def cut(after_bytes: int) -> Fault:
    """Close the connection after so many bytes of the reply's body."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        left = after_bytes

        async def cut_send(message: Message) -> None:
            nonlocal left
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
        await _disconnected(receive)

    return fault


def trickle(seconds: float) -> Fault:
    """Send a reply's body byte by byte, so long after each other."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def slowly(message: Message) -> None:
            for byte in message.get("body", b""):
                await send({**message, "body": bytes([byte]), "more_body": True})
                await asyncio.sleep(seconds)
            await send({**message, "body": b""} if "body" in message else message)

        await app(scope, receive, slowly)

    return fault


def rewrite(change: Callable[[Any], Any]) -> Fault:
    """Pass a JSON reply through a function on its way out."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def kept(message: Message) -> None:
            messages.append(message)

        await app(scope, receive, kept)
        body = b"".join(message.get("body", b"") for message in messages)
        start, content = messages[0], json.dumps(change(json.loads(body))).encode()
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        headers.append((b"content-length", str(len(content)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return fault


def ignore_range() -> Fault:
    """Answer a request for a range with the whole."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await app(dict(scope) | {"headers": headers}, receive, send)

    return fault


async def _read(receive: Receive) -> None:
    """Read a request's body to its end, so that the client is not cut off while it sends."""
    while (await receive()).get("more_body"):
        pass


async def _nowhere(_message: Message) -> None:
    pass


async def _hang_up(scope: Scope, receive: Receive) -> None:
    transport: Any = scope["extensions"][TRANSPORT]
    transport.abort()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    """Wait until the server has noticed that the connection is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
