"""`doctor` in a company's network: it names proxies, unknown authorities and login pages."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scenario_reframe.cli import main
from scenario_reframe.sandbox import Sandbox
from tls_network import BASE_URL, HOST, LOGIN_PAGE, Authority, Network, http_reply, network

PASSWORD = "pw-of-proxy"
REMEDY = "set SSL_CERT_FILE=/path/to/ca.pem"
Found = dict[str, str]
Doctor = Callable[[str], Found]


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority that no machine knows."""
    return Authority("Example\x1b[31m\nCorp")


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """A network in which nothing runs yet."""
    monkeypatch.setenv("SCENARIO_API_KEY", "the-key")
    monkeypatch.setenv("SCENARIO_API_SECRET", "the-secret")
    with network(monkeypatch) as made:
        yield made


@pytest.fixture
def failed(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs `doctor` for a base URL; the first check that failed."""

    def run(base_url: str) -> Found:
        assert main(["doctor", "--json", "--base-url", base_url]) == 3
        out = capsys.readouterr().out
        assert PASSWORD not in out
        for bad in ("verify=False", "CERT_NONE", "insecure", "disable", "turn off", "unexpected"):
            assert bad not in out
        return next(row for row in json.loads(out)["checks"] if row["status"] == "fail")

    return run


def test_an_intercepting_proxy(authority: Authority, net: Network, failed: Doctor) -> None:
    """It is named, without its credentials, and so is its authority; it gets no request."""
    interceptor = net.server(authority.server_context())
    proxy = net.proxy(interceptor, login=f"me:{PASSWORD}")
    net.set(HTTPS_PROXY=f"http://me:{PASSWORD}@{proxy.address}")
    found = failed(BASE_URL)
    assert found["name"] == "server"
    assert found["message"] == (
        f"{BASE_URL}: through the proxy http://{proxy.address}: the certificate is signed by an "
        "authority that this machine does not trust: a company's proxy may be intercepting TLS "
        "(it names its issuer 'Example Corp')"
    )
    assert REMEDY in found["advice"]
    assert "truststore" in found["advice"]
    assert interceptor.requests == []
    assert b"GET" not in proxy.received


def test_an_unknown_authority_without_a_proxy(
    authority: Authority, net: Network, failed: Doctor, tmp_path: Path
) -> None:
    """Also if the server sends the authority's certificate along."""
    for context in (authority.server_context(), authority.context_with_root(tmp_path)):
        server = net.server(context)
        found = failed(server.base_url)
        assert found["message"].startswith(f"{server.base_url}: the certificate is signed by an")
        assert "'Example Corp'" in found["message"]
        assert REMEDY in found["advice"]
        assert server.requests == []


def test_an_issuer_that_cannot_be_read_is_not_named(
    authority: Authority, net: Network, failed: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finding stays."""
    monkeypatch.setattr("scenario_reframe.cli.doctor_certificate._TIMEOUT", 0.0)
    found = failed(net.server(authority.server_context()).base_url)
    assert "does not trust" in found["message"]
    assert "issuer" not in found["message"]


def test_an_expired_certificate(
    authority: Authority, net: Network, failed: Doctor, tmp_path: Path
) -> None:
    """Of an authority that is trusted, too; the clock may be wrong."""
    net.set(SSL_CERT_FILE=authority.file(tmp_path))
    found = failed(net.server(authority.server_context(days=(-9, -2))).base_url)
    assert "the certificate has expired" in found["message"]
    assert "clock" in found["advice"]
    found = failed(net.server(authority.server_context(days=(2, 9))).base_url)
    assert "the certificate is not valid yet" in found["message"]
    assert "clock" in found["advice"]


def test_a_certificate_of_another_host(
    authority: Authority, net: Network, failed: Doctor, tmp_path: Path
) -> None:
    """As of a network's login page; by an address or a name."""
    net.set(SSL_CERT_FILE=authority.file(tmp_path))
    server = net.server(authority.server_context("login.test"))
    assert "belongs to another host" in failed(server.base_url)["message"]
    net.set(HTTPS_PROXY=f"http://{net.proxy(server).address}")
    found = failed(BASE_URL)
    assert "belongs to another host" in found["message"]
    assert "login page" in found["advice"]
    assert server.requests == []


def test_a_self_signed_certificate(
    authority: Authority, net: Network, failed: Doctor, tmp_path: Path
) -> None:
    """It is to be trusted by itself, if at all."""
    found = failed(net.server(authority.self_signed_context(tmp_path)).base_url)
    assert "the certificate is self-signed" in found["message"]
    assert REMEDY in found["advice"]


@pytest.mark.parametrize(
    ("status", "words", "advice"),
    [
        ("407 Authenticate", "the proxy asks for a user and password", "user:password@"),
        ("403 Forbidden", "the proxy refuses to connect to the server (403)", "administrator"),
        ("502 Bad Gateway", "the proxy cannot reach the server (502)", "check the URL"),
        ("302 Found", "the proxy wants a login (302)", "log in to the network"),
        ("511 Network Authentication Required", "the proxy wants a login (511)", "log in"),
    ],
)
def test_a_proxys_refusal(
    status: str, words: str, advice: str, net: Network, failed: Doctor
) -> None:
    """A line for each; whatever else the proxy says is not shown."""
    proxy = net.proxy(reply=http_reply(f"{status}", LOGIN_PAGE))
    net.set(ALL_PROXY=f"http://me:{PASSWORD}@{proxy.address}")
    found = failed(BASE_URL)
    assert found["message"].startswith(f"{BASE_URL}: through the proxy http://{proxy.address}: ")
    assert words in found["message"]
    assert advice in found["advice"]


def test_a_proxy_that_is_down(net: Network, failed: Doctor) -> None:
    """It is the proxy that cannot be reached, not the server."""
    (proxy := net.proxy()).close()
    net.set(HTTPS_PROXY=f"http://me:{PASSWORD}@{proxy.address}")
    found = failed(BASE_URL)
    assert found["message"] == (
        f"{BASE_URL}: the proxy http://{proxy.address} cannot be reached: the connection is refused"
    )
    assert found["advice"] == "check HTTPS_PROXY, ALL_PROXY and NO_PROXY"


def test_a_proxy_whose_url_should_begin_with_http(net: Network, failed: Doctor) -> None:
    """Nearly all proxies are reached in clear, and tunnel TLS."""
    proxy = net.proxy(reply=http_reply("400 Bad Request"))
    net.set(HTTPS_PROXY=f"https://{proxy.address}")
    found = failed(BASE_URL)
    assert "no TLS connection can be made" in found["message"]
    assert "begin with http://" in found["advice"]


def test_a_proxy_that_speaks_tls_gets_its_credentials_only_if_it_is_trusted(
    authority: Authority, net: Network, failed: Doctor
) -> None:
    """Not while the issuer is read, either."""
    proxy = net.proxy(login=f"me:{PASSWORD}", context=authority.server_context())
    net.set(HTTPS_PROXY=f"https://me:{PASSWORD}@{proxy.address}")
    assert "that this machine does not trust" in failed(BASE_URL)["message"]
    assert proxy.received == b""


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "511 Sign in", "302 Found"])
def test_a_login_page(
    status: str, authority: Authority, net: Network, failed: Doctor, tmp_path: Path
) -> None:
    """HTML where JSON should be, from a proxy that is trusted or from the network."""
    net.set(SSL_CERT_FILE=authority.file(tmp_path))
    portal = net.server(authority.server_context(), http_reply(status, LOGIN_PAGE))
    net.set(HTTPS_PROXY=f"http://{net.proxy(portal).address}")
    found = failed(BASE_URL)
    assert found["name"] == "accepted"
    assert found["message"] == (
        f"the server answered {status[:3]} with a page of HTML instead of JSON"
    )
    assert "log in to the network" in found["advice"]


def test_the_proxy_of_a_server_that_answers(
    authority: Authority,
    net: Network,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is shown, without its credentials."""
    proxy = net.proxy(net.server(authority.server_context()), login=f"me:{PASSWORD}")
    net.set(
        SSL_CERT_FILE=authority.file(tmp_path),
        HTTPS_PROXY=f"http://me:{PASSWORD}@{proxy.address}",
    )
    main(["doctor", "--base-url", BASE_URL])
    out = capsys.readouterr().out
    line = f"ok   server        {BASE_URL} answers, through the proxy http://{proxy.address}"
    assert line in out.splitlines()
    assert PASSWORD not in out
    assert proxy.received.count(b"CONNECT " + HOST.encode()) > 0


def test_this_machine_is_called_without_a_proxy(
    net: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proxy sees no connection."""
    proxy = net.proxy(reply=http_reply("502 Bad Gateway"))
    net.set(HTTP_PROXY=f"http://{proxy.address}", ALL_PROXY=f"http://{proxy.address}")
    with Sandbox(fast=True) as sandbox:
        net.set(SCENARIO_API_KEY=sandbox.api_key, SCENARIO_API_SECRET=sandbox.api_secret)
        assert main(["doctor", "--base-url", sandbox.base_url]) == 0
        assert f"{sandbox.base_url} answers\n" in capsys.readouterr().out
    assert proxy.connections == 0
