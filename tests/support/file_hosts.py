"""A file host on a real socket that sends whatever bytes a test wants, and closes."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

Answering = Callable[["FileHost"], Iterable[bytes]]


class FileHost:
    """Counts requests and their ranges. `answering` makes the pieces of the next reply."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.starts: list[int] = []
        self.heads: list[bytes] = []
        self.answering: Answering = lambda _: ()

    def note(self, head: bytes) -> None:
        """Note a request's head: where its range starts, 0 without one."""
        self.heads.append(head)
        match = re.search(rb"\r\nrange: bytes=([0-9]+)-", head, re.IGNORECASE)
        self.starts.append(int(match[1]) if match else 0)


@contextmanager
def file_host() -> Iterator[FileHost]:
    """Serve on a free port until the end; a client that goes away is no error."""

    class Handler(StreamRequestHandler):
        """Reads one request, sends one reply and closes."""

        def handle(self) -> None:
            lines = list(iter(self.rfile.readline, b"\r\n"))
            with suppress(OSError):
                host.note(b"".join(lines))
                for piece in host.answering(host):
                    self.wfile.write(piece)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        host = FileHost(f"http://127.0.0.1:{server.server_address[1]}/clip.mp4?Signature=s")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()


def head(status: int = 200, *lines: str) -> bytes:
    """A reply's head, with these lines after the first one."""
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} It", *lines, "")).encode(
        "latin-1"
    )


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)
