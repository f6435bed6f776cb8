"""A network as companies have it, on this machine: TLS servers of own authorities, and proxies.

Everything listens on 127.0.0.1. `HOST` is resolved by a proxy only, as in such a network.
"""

import base64
import hashlib
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import pytest
import trustme

HOST = "api.test.invalid"
BASE_URL = f"https://{HOST}/v1"
VARIABLES = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
"""What can be set in the environment of the machine that runs the tests."""

UNIT = "Web Gateway"
NO_JOBS = b'{"jobs": []}'
LOGIN_PAGE = b"<!DOCTYPE html><title>Guest network</title><p>Please sign in.</p>"
_SILENCE = 20.0  # seconds after which a connection is given up: only a failed test leaves one open
_DAY = timedelta(days=1)
_HEAD_END = b"\r\n\r\n"


def http_reply(status: str, body: bytes = b"", content_type: str = "text/html") -> bytes:
    """A whole reply, after which the connection is closed. `status`: `200 OK`."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


EMPTY_LIST = http_reply("200 OK", NO_JOBS, "application/json")


class Authority:
    """An authority, whose certificates no machine trusts by itself."""

    def __init__(self, name: str = "Example Corp") -> None:
        self.name = name
        self.ca = trustme.CA(organization_name=name, organization_unit_name=UNIT)

    def file(self, folder: Path) -> Path:
        """Its own certificate as a file (PEM)."""
        path = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(path)
        return path

    def folder(self, folder: Path) -> Path:
        """A folder as OpenSSL wants it: the file's name is the hash of the authority's name."""
        self.ca.cert_pem.write_to_path(folder / f"{self._subject_hash()}.0")
        return folder

    def server_context(self, *names: str, days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
        """A server's context with a certificate for some names, valid within these days."""
        now = datetime.now(UTC)
        issued = self.ca.issue_cert(
            *(names or (HOST, "localhost", "127.0.0.1")),
            not_before=now + days[0] * _DAY,
            not_after=now + days[1] * _DAY,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)
        return context

    def context_with_root(self, folder: Path) -> ssl.SSLContext:
        """The same, but the server sends the authority's own certificate, too."""
        issued = self.ca.issue_cert(HOST, "localhost", "127.0.0.1")
        return _loaded(folder, issued.private_key_pem, *issued.cert_chain_pems, self.ca.cert_pem)

    def self_signed_context(self, folder: Path) -> ssl.SSLContext:
        """A server's context with the authority's own certificate."""
        return _loaded(folder, self.ca.private_key_pem, self.ca.cert_pem)

    def client_context(self) -> ssl.SSLContext:
        """A client's context that trusts this authority only."""
        return ssl.create_default_context(cadata=self.ca.cert_pem.bytes().decode())

    def _subject_hash(self) -> str:
        """As `openssl x509 -subject_hash`: of SHA-1 of the canonical name, the first 4 bytes."""
        name = b"".join(
            _der(0x31, _der(0x30, _der(0x06, kind) + _der(0x0C, text.lower().encode())))
            for kind, text in ((b"\x55\x04\x0a", self.name), (b"\x55\x04\x0b", UNIT))
        )
        return hashlib.sha1(name, usedforsecurity=False).digest()[3::-1].hex()


def _der(tag: int, content: bytes) -> bytes:
    """A short ASN.1 value."""
    return bytes([tag, len(content)]) + content


def _loaded(folder: Path, *pems: trustme.Blob) -> ssl.SSLContext:
    path = folder / "server.pem"
    path.write_bytes(b"".join(pem.bytes() for pem in pems))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    path.unlink()
    return context


class Listener:
    """Serves each connection in a thread, until it is closed."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.connections = 0

        class Handler(BaseRequestHandler):
            def handle(handler) -> None:  # noqa: N805 - `self` is the listener
                self.connections += 1
                handler.request.settimeout(_SILENCE)
                with suppress(OSError):  # a client may go at any time
                    serve(handler.request)

        class Server(ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = False

        self._listening = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._listening.server_address[1]
        self._thread = Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop, once the connections are closed."""
        self._listening.shutdown()
        self._thread.join()
        self._listening.server_close()


class TlsServer(Listener):
    """An HTTPS server that sends one reply to everything; `requests`: the heads that it got."""

    def __init__(self, context: ssl.SSLContext, reply: bytes = EMPTY_LIST) -> None:
        self.requests: list[bytes] = []
        self._context = context
        self._reply = reply
        super().__init__(self._serve)

    @property
    def base_url(self) -> str:
        """Its address without a proxy."""
        return f"https://127.0.0.1:{self.port}/v1"

    def _serve(self, plain: socket.socket) -> None:
        with self._context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        ) as connection:
            try:
                connection.do_handshake()
            except ssl.SSLError:  # the alert must arrive: closing now could reset the connection
                _drain(connection)
                return
            if head := _head(connection):
                self.requests.append(head)
                connection.sendall(self._reply)
                _drain(connection)


class Proxy(Listener):
    """An HTTP proxy that tunnels every CONNECT to one server, or sends it a reply.

    To a client, a proxy that intercepts TLS is one that tunnels to another server. `received`: all
    bytes that clients sent to it. `login`: the `user:password` that it asks for. `context`: of a
    proxy that speaks TLS itself.
    """

    def __init__(
        self,
        server: Listener | None,
        reply: bytes = b"",
        login: str = "",
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.received = bytearray()
        self._context = context
        self._server = server
        self._reply = reply
        self._login = base64.b64encode(login.encode()) if login else b""
        super().__init__(self._serve)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def _serve(self, client: socket.socket) -> None:
        if self._context is None:
            self._serve_plain(client)
        else:
            with self._context.wrap_socket(client, server_side=True) as tls:
                self._serve_plain(tls)

    def _serve_plain(self, client: socket.socket) -> None:
        head = _head(client)
        self.received += head
        if self._login not in head:
            client.sendall(http_reply("407 Proxy Authentication Required"))
        elif self._server is None:
            client.sendall(self._reply)
        else:
            with socket.create_connection(("127.0.0.1", self._server.port), _SILENCE) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._tunnel(client, server)

    def _tunnel(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        while ready := select.select([client, server], [], [], _SILENCE)[0]:
            for source in ready:
                if not (chunk := source.recv(65536)):
                    return
                if source is client:
                    self.received += chunk
                other[source].sendall(chunk)


def _head(connection: socket.socket) -> bytes:
    """A request's head; what of it has come if the client closes, or begins a TLS handshake."""
    head = b""
    while not (_HEAD_END in head or head.startswith(b"\x16")) and (chunk := connection.recv(65536)):
        head += chunk
    return head


def _drain(connection: socket.socket) -> None:
    """End what is sent, and read until the client ends, too."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


class Network:
    """Servers and proxies that are closed together, and the variables that lead to them."""

    def __init__(self, stack: ExitStack, patch: pytest.MonkeyPatch) -> None:
        self._stack = stack
        self._patch = patch
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        resolve = socket.getaddrinfo

        def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
            if host in {HOST, HOST.encode()}:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return resolve(host, *arguments, **options)

        patch.setattr(socket, "getaddrinfo", resolved)

    def server(self, context: ssl.SSLContext, reply: bytes = EMPTY_LIST) -> TlsServer:
        """A server with this context."""
        return self._stack.enter_context(closing(TlsServer(context, reply)))

    def proxy(self, server: Listener | None = None, **options: Any) -> Proxy:
        """A proxy in front of a server, or one that only sends a reply."""
        return self._stack.enter_context(closing(Proxy(server, **options)))

    def set(self, **variables: object) -> None:
        """Set environment variables."""
        for name, value in variables.items():
            self._patch.setenv(name, str(value))


@contextmanager
def network(patch: pytest.MonkeyPatch) -> Iterator[Network]:
    """A network without proxies and authorities; the variables of this machine are hidden."""
    with ExitStack() as stack:
        yield Network(stack, patch)
