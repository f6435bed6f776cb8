"""Plays a fault on one request, without a server and without waiting."""

import asyncio
from types import SimpleNamespace
from unittest.mock import patch

from starlette.types import Message, Receive, Scope, Send

from scenario_reframe.sandbox.faults import Fault


def course(fault: Fault, body: bytes = b"01") -> list[str]:
    """What happens, in order: `pause 3`, `work`, the reply's status, the pieces of its body."""
    seen: list[str] = []

    async def pause(seconds: float) -> None:
        seen.append(f"pause {seconds:g}")

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append("work")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Message) -> None:
        shown = str(message["status"]) if "status" in message else message["body"].decode()
        seen.extend([shown] if shown else [])

    async def play() -> None:
        await fault(app, {}, receive, send)

    with patch("scenario_reframe.sandbox.faults.asyncio", SimpleNamespace(sleep=pause)):
        asyncio.run(play())
    return seen
