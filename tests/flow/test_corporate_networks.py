"""Both clients in a company's network, over real sockets: own authorities, and proxies."""

import asyncio
import base64
import logging
import ssl
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from clients import KEY, SECRET
from scenario_reframe import (
    AsyncReframeClient,
    ConfigurationError,
    ConnectionFailedError,
    Job,
    ReframeClient,
)
from scenario_reframe.sandbox import Sandbox
from timings import SOON
from tls_network import BASE_URL, HOST, LOGIN_PAGE, Authority, Network, http_reply, network

PASSWORD = "pw-of-proxy"
BASIC = base64.b64encode(f"{KEY}:{SECRET}".encode())
ListJobs = Callable[..., list[Job]]


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The company's authority."""
    return Authority()


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """A network in which nothing runs yet."""
    with network(monkeypatch) as made:
        yield made


@pytest.fixture(params=["sync", "async"])
def list_jobs(request: pytest.FixtureRequest) -> ListJobs:
    """Makes either client from the environment, and reads the list of jobs."""

    async def later(options: dict[str, Any], context: ssl.SSLContext | None) -> list[Job]:
        given = httpx.AsyncClient(verify=context) if context else None
        try:
            async with AsyncReframeClient(http_client=given, **options) as client:
                return [job async for job in client.jobs()]
        finally:
            if given:
                await given.aclose()

    def listed(base_url: str, context: ssl.SSLContext | None = None, **options: Any) -> list[Job]:
        options = {
            "api_key": KEY, "api_secret": SECRET, "base_url": base_url, "timing": SOON, **options,
        }  # fmt: skip
        if request.param == "async":
            return asyncio.run(later(options, context))
        given = httpx.Client(verify=context) if context else None
        try:
            with ReframeClient(http_client=given, **options) as client:
                return list(client.jobs())
        finally:
            if given:
                given.close()

    return listed


def fake_truststore(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> list[int]:
    """Install a module of this name that trusts the authority; the protocols it was called with."""
    called: list[int] = []

    def make(protocol: int) -> ssl.SSLContext:
        called.append(protocol)
        return authority.client_context()

    module = ModuleType("truststore")
    module.__spec__ = ModuleSpec("truststore", None)
    module.SSLContext = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "truststore", module)
    return called


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_of_authorities(
    variable: str, authority: Authority, net: Network, list_jobs: ListJobs, tmp_path: Path
) -> None:
    """Each of the usual variables makes the server trusted; without it, it is not."""
    server = net.server(authority.server_context())
    with pytest.raises(ConnectionFailedError):
        list_jobs(server.base_url)
    assert server.requests == []
    net.set(**{variable: authority.file(tmp_path)})
    assert list_jobs(server.base_url) == []
    assert BASIC in server.requests[0]


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_folder_of_authorities(
    variable: str, authority: Authority, net: Network, list_jobs: ListJobs, tmp_path: Path
) -> None:
    """Its files' names are hashes, as `openssl rehash` makes them."""
    net.set(**{variable: authority.folder(tmp_path)})
    server = net.server(authority.server_context())
    assert list_jobs(server.base_url) == []


def test_ssl_cert_file_comes_first(
    authority: Authority, net: Network, list_jobs: ListJobs, tmp_path: Path
) -> None:
    """Other programs' variables only stand in for it."""
    (other := tmp_path / "other").mkdir()
    net.set(
        SSL_CERT_FILE=authority.file(tmp_path),
        REQUESTS_CA_BUNDLE=Authority("Other").file(other),
    )
    assert list_jobs(net.server(authority.server_context()).base_url) == []


def test_truststore_is_used_if_it_is_installed(
    authority: Authority, net: Network, list_jobs: ListJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's authorities, among them a company's."""
    called = fake_truststore(monkeypatch, authority)
    assert list_jobs(net.server(authority.server_context()).base_url) == []
    assert called
    assert set(called) == {ssl.PROTOCOL_TLS_CLIENT}


def test_a_variable_overrules_truststore(
    authority: Authority,
    net: Network,
    list_jobs: ListJobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a user set on purpose is what is trusted."""
    called = fake_truststore(monkeypatch, Authority("Other"))
    net.set(SSL_CERT_FILE=authority.file(tmp_path))
    assert list_jobs(net.server(authority.server_context()).base_url) == []
    assert called == []


def test_a_given_http_client_has_its_own_authorities_and_client_certificate(
    authority: Authority, net: Network, list_jobs: ListJobs
) -> None:
    """The server wants a certificate of the same authority."""
    wanting = authority.server_context()
    wanting.verify_mode = ssl.CERT_REQUIRED
    authority.ca.configure_trust(wanting)
    server = net.server(wanting)
    context = authority.client_context()
    with pytest.raises(ConnectionFailedError, match="the server wants a client certificate"):
        list_jobs(server.base_url, context)
    authority.ca.issue_cert("somebody@example.test").configure_cert(context)
    assert list_jobs(server.base_url, context) == []


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_tunnels_and_sees_no_credentials(
    variable: str, authority: Authority, net: Network, list_jobs: ListJobs, tmp_path: Path
) -> None:
    """It resolves the server's name, and sees that name and TLS."""
    server = net.server(authority.server_context())
    proxy = net.proxy(server)
    net.set(SSL_CERT_FILE=authority.file(tmp_path), **{variable: f"http://{proxy.address}"})
    assert list_jobs(BASE_URL) == []
    assert BASIC in server.requests[0]
    assert proxy.received.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n".encode())
    for secret in (KEY.encode(), SECRET.encode(), BASIC, b"Authorization", b"/v1/jobs"):
        assert secret not in proxy.received


def test_a_proxys_own_credentials_reach_only_the_proxy(
    authority: Authority,
    net: Network,
    list_jobs: ListJobs,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the server nor any log gets them."""
    server = net.server(authority.server_context())
    proxy = net.proxy(server, login=f"me:{PASSWORD}")
    net.set(
        SSL_CERT_FILE=authority.file(tmp_path),
        HTTPS_PROXY=f"http://me:{PASSWORD}@{proxy.address}",
    )
    with caplog.at_level(logging.DEBUG):
        assert list_jobs(BASE_URL) == []
    encoded = base64.b64encode(f"me:{PASSWORD}".encode())
    assert b"Proxy-Authorization: Basic " + encoded in proxy.received
    seen = b"".join(server.requests) + caplog.text.encode()
    assert b"GET /v1/jobs" in seen
    assert PASSWORD.encode() not in seen
    assert encoded not in seen
    assert b"proxy-authorization" not in b"".join(server.requests).lower()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_proxy_that_speaks_tls_is_verified_by_the_same_authorities(
    variable: str, authority: Authority, net: Network, list_jobs: ListJobs, tmp_path: Path
) -> None:
    """Its own certificate is a company's, too."""
    server = net.server(authority.server_context())
    proxy = net.proxy(server, context=authority.server_context())
    net.set(HTTPS_PROXY=f"https://{proxy.address}")
    with pytest.raises(ConnectionFailedError, match="does not trust"):
        list_jobs(BASE_URL)
    assert proxy.received == b""
    net.set(**{variable: authority.file(tmp_path)})
    assert list_jobs(BASE_URL) == []
    assert b"Authorization" not in proxy.received


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_requests_to_this_machine_go_direct(
    variable: str, host: str, net: Network, list_jobs: ListJobs
) -> None:
    """The proxy sees no connection at all."""
    proxy = net.proxy(reply=http_reply("502 Bad Gateway"))
    net.set(**{variable: f"http://{proxy.address}"})
    with Sandbox(fast=True) as sandbox:
        base_url = sandbox.base_url.replace("127.0.0.1", host)
        options = {"api_key": sandbox.api_key, "api_secret": sandbox.api_secret}
        assert list_jobs(base_url, **options) == []
    assert proxy.connections == 0


def test_no_proxy(authority: Authority, net: Network, list_jobs: ListJobs, tmp_path: Path) -> None:
    """A host that is named there is called without the proxy, so that its name is unknown here."""
    proxy = net.proxy(net.server(authority.server_context()))
    net.set(
        SSL_CERT_FILE=authority.file(tmp_path),
        HTTPS_PROXY=f"http://{proxy.address}",
        NO_PROXY=f"other.test,{HOST}",
    )
    with pytest.raises(ConnectionFailedError):
        list_jobs(BASE_URL)
    assert proxy.connections == 0
    net.set(NO_PROXY="other.test")
    assert list_jobs(BASE_URL) == []
    assert proxy.connections == 1


def test_an_intercepting_proxy_gets_nothing(
    authority: Authority, net: Network, list_jobs: ListJobs
) -> None:
    """Its authority is unknown; the error says so in one line, with the remedy."""
    interceptor = net.server(authority.server_context())
    net.set(HTTPS_PROXY=f"http://me:{PASSWORD}@{net.proxy(interceptor).address}")
    with pytest.raises(ConnectionFailedError) as caught:
        list_jobs(BASE_URL)
    assert str(caught.value) == (
        "GET /jobs: could not connect (the certificate is signed by an authority that this machine "
        "does not trust: a company's proxy may be intercepting TLS; set "
        "SSL_CERT_FILE=/path/to/ca.pem, a file with that authority's certificate, or pip install "
        "truststore, to trust what the system trusts)"
    )
    assert not caught.value.sent
    assert interceptor.requests == []


def test_an_intercepting_proxy_whose_authority_is_trusted(
    authority: Authority, net: Network, list_jobs: ListJobs, tmp_path: Path
) -> None:
    """It is then as good as the server."""
    interceptor = net.server(authority.server_context())
    net.set(
        HTTPS_PROXY=f"http://{net.proxy(interceptor).address}",
        REQUESTS_CA_BUNDLE=authority.file(tmp_path),
    )
    assert list_jobs(BASE_URL) == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("407 Proxy Authentication Required", "the proxy asks for a user and password"),
        (f"407 {PASSWORD}", "the proxy asks for a user and password"),
        ("403 Forbidden", "the proxy refuses to connect to the server (403)"),
        ("502 Bad Gateway", "the proxy cannot reach the server (502)"),
        ("302 Found", "the proxy wants a login (302)"),
    ],
)
def test_a_proxys_refusal(
    status: str, words: str, net: Network, list_jobs: ListJobs, caplog: pytest.LogCaptureFixture
) -> None:
    """In our words, not in the proxy's, which could repeat its password."""
    proxy = net.proxy(reply=http_reply(status, LOGIN_PAGE))
    net.set(HTTPS_PROXY=f"http://me:{PASSWORD}@{proxy.address}")
    with caplog.at_level(logging.INFO), pytest.raises(ConnectionFailedError) as caught:
        list_jobs(BASE_URL)
    assert words in str(caught.value)
    assert not caught.value.sent
    assert PASSWORD not in str(caught.value) + caplog.text


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem"),
        ("HTTPS_PROXY", f"nonsense://me:{PASSWORD}@proxy.test"),
        ("ALL_PROXY", f"http://me:{PASSWORD}@proxy.test:port"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    variable: str, value: str, net: Network, list_jobs: ListJobs
) -> None:
    """Before anything is sent, and without a proxy's password."""
    net.set(**{variable: value})
    with pytest.raises(ConfigurationError, match=variable) as caught:
        list_jobs(BASE_URL)
    assert PASSWORD not in str(caught.value)
