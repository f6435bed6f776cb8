"""Bounds of one HTTP exchange, in seconds and bytes: a network backend for httpcore.

httpx's own timeouts start again with each read, and it limits no bytes, so that a reply which
dribbles or never ends passes them. These bounds are kept on the raw bytes of the connection,
whatever they are: a proxy's reply, a TLS handshake, 1xx replies, headers, chunk sizes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import Any

import httpcore

from scenario_reframe.timing import Clock

HEAD_BYTES = 256 * 1024
"""The most raw bytes before a reply's body: 1xx replies, headers, a proxy's reply, a handshake."""

PACE_BYTES = 64 * 1024
"""A transfer's time starts again with each so many bytes."""

_current: ContextVar["Bound | None"] = ContextVar("_current", default=None)


class Bound:
    """The seconds and raw bytes that an exchange may take. `most_bytes`: those of the body.

    A download's body has no limit here, but must keep up a pace: PACE_BYTES in `seconds`.
    """

    def __init__(self, clock: Clock, seconds: float, most_bytes: float = inf) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._bytes_left: float = HEAD_BYTES
        self._deadline = clock() + seconds
        self._moved = 0

    def left(self, timeout: float | None = None) -> float:
        """Seconds left, at most `timeout`. Raises httpcore.ReadTimeout if there are none."""
        left = self._deadline - self._clock()
        if left <= 0.0:
            raise httpcore.ReadTimeout(f"not complete within {self._seconds:g} s")
        return left if timeout is None else min(left, timeout)

    def count(self, number: int) -> None:
        """Count bytes that were received. Raises httpcore.RemoteProtocolError if too many."""
        self._bytes_left -= number
        if self._bytes_left < 0:
            raise httpcore.RemoteProtocolError("the reply has too many bytes")

    def head_ended(self) -> None:
        """The body comes now."""
        self._bytes_left = self._most_bytes

    def moved(self, number: int) -> None:
        """Count bytes that a transfer moved: each PACE_BYTES of them start the time again."""
        self._moved += number
        if self._moved >= PACE_BYTES:
            self._moved = 0
            self._deadline = self._clock() + self._seconds


@contextmanager
def bounded(bound: Bound) -> Iterator[Bound]:
    """While this is entered, the streams of this thread or task keep within a bound."""
    token = _current.set(bound)
    try:
        yield bound
    finally:
        _current.reset(token)


def is_ours() -> bool:
    """Whether this thread or task is in an exchange of this package."""
    return _current.get() is not None


def _left(timeout: float | None) -> float | None:
    bound = _current.get()
    return timeout if bound is None else bound.left(timeout)


def _counted(chunk: bytes) -> bytes:
    if (bound := _current.get()) is not None:
        bound.count(len(chunk))
    return chunk


class BoundedStream(httpcore.NetworkStream):
    """A connection whose reads and writes keep within the current exchange's bound."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes."""
        return _counted(self._stream.read(max_bytes, _left(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes."""
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Encrypt the connection."""
        return BoundedStream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about a connection."""
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.NetworkBackend):
    """Opens bounded connections."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *arguments: Any, **options: Any
    ) -> httpcore.NetworkStream:
        """Open a TCP connection."""
        left = _left(timeout)
        return BoundedStream(self._backend.connect_tcp(host, port, left, *arguments, **options))


class AsyncBoundedStream(httpcore.AsyncNetworkStream):
    """BoundedStream for asyncio."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes."""
        return _counted(await self._stream.read(max_bytes, _left(timeout)))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes."""
        await self._stream.write(buffer, _left(timeout))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Encrypt the connection."""
        left = _left(timeout)
        stream = await self._stream.start_tls(ssl_context, server_hostname, left)
        return AsyncBoundedStream(stream)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about a connection."""
        return self._stream.get_extra_info(info)


class AsyncBoundedBackend(httpcore.AsyncNetworkBackend):
    """BoundedBackend for asyncio."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *arguments: Any, **options: Any
    ) -> httpcore.AsyncNetworkStream:
        """Open a TCP connection."""
        left = _left(timeout)
        stream = await self._backend.connect_tcp(host, port, left, *arguments, **options)
        return AsyncBoundedStream(stream)
