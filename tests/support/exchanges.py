"""Records the requests and replies of a contract test, and finds those that break the spec."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import httpx
from pytest_httpx import HTTPXMock

from contracts import Contract


@dataclass
class Exchange:
    """A captured request and its reply, or None if there was none.

    `off_spec` is the reason why a test mocks a reply that the spec forbids.
    """

    request: httpx.Request
    off_spec: str | None
    reply: httpx.Response | None = None


class Record:
    """Every exchange of a test, also those before an `httpx_mock.reset()`."""

    def __init__(self, mock: HTTPXMock) -> None:
        self._add = mock.add_callback
        self._exchanges: list[Exchange] = []
        self._reasons: set[str] = set()

    def add_callback(
        self, callback: Callable[[httpx.Request], Any], *, off_spec: str | None = None, **more: Any
    ) -> None:
        """Replaces HTTPXMock.add_callback, which its other `add_` methods call."""
        if off_spec is not None:
            self._reasons.add(off_spec)

        def recorded(request: httpx.Request) -> Any:
            exchange = Exchange(request, off_spec)
            self._exchanges.append(exchange)
            reply = callback(request)
            if isawaitable(reply):
                return later(exchange, reply)
            exchange.reply = _copied(reply)
            return reply

        async def later(exchange: Exchange, awaited: Any) -> Any:
            reply = await awaited
            exchange.reply = _copied(reply)
            return reply

        self._add(recorded, **more)

    def faults(self, contract: Contract) -> list[str]:
        """What broke the contract, and each `off_spec` that was not needed."""
        lines: list[str] = []
        broken: set[str | None] = set()
        for one in self._exchanges:
            name = f"{one.request.method} {one.request.url}"
            lines += [f"request {name}: {fault}" for fault in contract.request_faults(one.request)]
            found = contract.reply_faults(one.request, one.reply) if one.reply else []
            if one.off_spec is None:
                lines += [f"reply to {name}: {fault}" for fault in found]
            elif found:
                broken.add(one.off_spec)
        stale = sorted(self._reasons - broken)
        return lines + [f"off_spec={why!r}, but the spec allows every such reply" for why in stale]


def _copied(reply: httpx.Response) -> httpx.Response:
    """A copy, since a client consumes the body; a streamed reply itself."""
    kind = {name: reply.headers[name] for name in ("Content-Type",) if name in reply.headers}
    try:
        return httpx.Response(reply.status_code, headers=kind, content=reply.content)
    except httpx.ResponseNotRead:
        return reply
