"""A server on 127.0.0.1 that answers with bytes as they are, right or wrong, whole or in drops."""

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Event, Thread
from typing import BinaryIO, Self
from urllib.parse import urlsplit

from attrs import field, frozen


@frozen
class RawRequest:
    """A request as it came. `target`: its path and query. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path


RawAnswer = bytes | Iterable[bytes]
"""The bytes of a whole reply; or its pieces, each of which is sent when the iterator yields it."""


class RawServer:
    """Answers every request with what a function returns, then closes the connection.

    `requests`: those received, oldest first. `stopped`: set at the end, so that an answer which
    waits between its pieces can wait for that; one that never ends is ended by the client's or the
    server's closing of the connection, and its generator is closed.
    """

    def __init__(self, answer: Callable[[RawRequest], RawAnswer]) -> None:
        self.answer = answer
        self.requests: list[RawRequest] = []
        self.stopped = Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._connections: list[socket.socket] = []
        self._threads = [Thread(target=self._listen, daemon=True)]

    @property
    def origin(self) -> str:
        """The server's URL without a path."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def base_url(self) -> str:
        """The base URL for a client."""
        return f"{self.origin}/v1"

    def sent(self, method: str, part: str = "") -> int:
        """How many requests of a method came whose target contains a text."""
        return sum(one.method == method and part in one.target for one in self.requests)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        with suppress(OSError):  # wakes the thread that accepts connections
            socket.create_connection(self._listener.getsockname(), 5.0).close()
        self._threads[0].join(30.0)
        self._listener.close()
        for opened in self._connections:
            with suppress(OSError):  # wakes the thread that reads from it
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30.0)
            assert not thread.is_alive()

    def _listen(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            thread = Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            request = _read(stream)
            if request is None:
                return
            self.requests.append(request)
            answer = self.answer(request)
            pieces = iter([answer] if isinstance(answer, bytes) else answer)
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    if self.stopped.is_set():
                        return
            finally:
                if hasattr(pieces, "close"):
                    pieces.close()


def _read(stream: BinaryIO) -> RawRequest | None:
    """The next request, or None if the connection ends before it is whole."""
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    body = stream.read(length)
    return RawRequest(first[0], first[1], headers, body) if len(body) == length else None


def http_reply(
    body: bytes = b"", status: str = "200 OK", *headers: bytes, length: int | None = None
) -> bytes:
    """The bytes of a reply; `length` is its Content-Length, by default the true one."""
    stated = len(body) if length is None else length
    lines = [b"HTTP/1.1 " + status.encode("latin-1"), *headers, b"Content-Length: %d" % stated]
    return b"\r\n".join([*lines, b"", body])


def dripping(
    server: RawServer, answer: bytes, size: int = 1, seconds: float = 0.01
) -> Iterable[bytes]:
    """The bytes of an answer, `size` at a time, so many seconds apart."""
    for start in range(0, len(answer), size):
        yield answer[start : start + size]
        if server.stopped.wait(seconds):
            return
