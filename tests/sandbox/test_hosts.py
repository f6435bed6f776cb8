"""The sandbox answers this machine only: neither the network, nor a web page under another name."""

import base64
import json
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from commands import commands, output_of
from sandbox_clips import Client
from scenario_reframe.sandbox.uvicorn_server import listen

_AUTHORIZATION = b"Authorization: Basic " + base64.b64encode(b"sandbox-key:sandbox-secret")


def sent(quiet: Client, request: bytes, *headers: bytes) -> tuple[int, bytes]:
    """Send a GET request as it is; return the status and the body."""
    port = quiet.base_url.port or 0
    lines = [request, *headers, _AUTHORIZATION, b"Connection: close", b"", b""]
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"\r\n".join(lines).replace(b"PORT", b"%d" % port))
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    "host", [b"localhost:PORT", b"LocalHost", b"127.0.0.1:PORT", b"127.0.0.1:1", b"[::1]:PORT"]
)
def test_names_of_this_machine_are_answered(quiet: Client, host: bytes) -> None:
    """With any port, since one may be forwarded."""
    assert sent(quiet, b"GET /v1/jobs HTTP/1.1", b"Host: " + host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        b"evil.test",
        b"evil.test:PORT",
        b"localhost.evil.test",
        b"evil.localhost",
        b"127.0.0.1.nip.test",
        b"127.1",
        b"0.0.0.0",
        b"[::]",
        b"10.0.0.1",
        b"localhost:80@evil.test",
        b"localhost:x",
        b"\xe4",
        b"",
    ],
)
@pytest.mark.parametrize("path", [b"/v1/jobs", b"/assets/asset_1", b"/"])
def test_any_other_name_is_refused(quiet: Client, host: bytes, path: bytes) -> None:
    """Even with the right credentials: a page whose name was rebound to this machine sends them."""
    status, body = sent(quiet, b"GET " + path + b" HTTP/1.1", b"Host: " + host)
    assert status == 421
    assert "it takes localhost, 127.0.0.1 or [::1]" in json.loads(body)["reason"]


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (b"GET /v1/jobs HTTP/1.0", [], 421),
        (b"GET /v1/jobs HTTP/1.1", [], 400),
        (b"GET /v1/jobs HTTP/1.1", [b"Host: localhost", b"Host: evil.test"], 400),
        (b"GET http://localhost/v1/jobs HTTP/1.1", [b"Host: evil.test"], 421),
        (b"GET http://evil.test/v1/jobs HTTP/1.1", [b"Host: localhost"], 404),
    ],
)
def test_a_host_is_neither_missing_nor_ambiguous(
    quiet: Client, request_line: bytes, headers: list[bytes], status: int
) -> None:
    """Nothing is guessed."""
    assert sent(quiet, request_line, *headers)[0] == status


def test_a_refused_host_changes_nothing(quiet: Client) -> None:
    """It is recorded like any request, and makes no job."""
    sent(quiet, b"GET /v1/jobs HTTP/1.1", b"Host: evil.test")
    assert quiet.sandbox.requests[-1].status == 421
    assert quiet.sandbox.jobs_made == 0


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    """No address of the network reaches it, and no option changes that."""
    sockets, _ = listen(0)
    for sock in sockets:
        assert ip_address(sock.getsockname()[0]).is_loopback
        sock.close()
    with commands(tmp_path, {}) as command:
        process = command("sandbox", "--host", "0.0.0.0")  # noqa: S104 - it is refused
        assert "--host" in output_of(process)[1]
        assert process.returncode == 2
