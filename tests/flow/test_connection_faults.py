"""What an error of httpx means, and the remedy: pure, for the library and `doctor`."""

import socket
import ssl

import httpx
import pytest

from scenario_reframe import downloading, uploading
from scenario_reframe.flow.connection_faults import explain
from scenario_reframe.flow.steps import NoReply
from scenario_reframe.uploading import FilePart


def certificate_error(code: int, message: str = "") -> ssl.SSLCertVerificationError:
    """As OpenSSL's, or another system's, by its code."""
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


def tls_error(reason: str) -> ssl.SSLError:
    """Another error of TLS."""
    return ssl.SSLError(1, f"[SSL: {reason}] in other words (_ssl.c:2580)")


@pytest.mark.parametrize(
    ("cause", "reason", "remedy"),
    [
        (certificate_error(2), "does not trust", "SSL_CERT_FILE=/path/to/ca.pem"),
        (certificate_error(19), "does not trust", "pip install truststore"),
        (certificate_error(20), "a company's proxy may be intercepting TLS", "SSL_CERT_FILE"),
        (certificate_error(21), "does not trust", "SSL_CERT_FILE"),
        (certificate_error(18), "is self-signed", "which you have from its owner"),
        (certificate_error(10), "has expired", "check this machine's clock"),
        (certificate_error(9), "is not valid yet", "set this machine's clock"),
        (certificate_error(62), "belongs to another host", "login page"),
        (certificate_error(64), "belongs to another host", "check the URL"),
        (certificate_error(23, "certificate revoked"), "verified (certificate revoked)", "owner"),
        (certificate_error(-67843, "a\x1b[31m\nb" * 99), "cannot be verified (a ba b", "owner"),
        (ssl.SSLCertVerificationError("bare"), "cannot be verified", "valid one"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "a client certificate", "http_client="),
        (tls_error("WRONG_VERSION_NUMBER"), "no TLS connection", "check the port"),
        (ssl.SSLError("bare"), "no TLS connection", "begin with http://"),
        (httpx.ProxyError("407 Proxy Authentication Required"), "user and password", "HTTPS_PROXY"),
        (httpx.ProxyError("403 Forbidden"), "the proxy refuses to connect", "administrator"),
        (httpx.ProxyError("502 Bad Gateway"), "cannot reach the server (502)", "NO_PROXY"),
        (httpx.ProxyError("504 http://me:pw@x"), "cannot reach the server (504)", "NO_PROXY"),
        (httpx.ProxyError("302 Found"), "wants a login (302)", "log in to the network"),
        (httpx.ProxyError("511 Sign in"), "wants a login (511)", "browser"),
        (httpx.ProxyError("http://me:pw@proxy"), "the proxy refuses", "check HTTPS_PROXY"),
        (socket.gaierror(-2, "unknown"), "name cannot be resolved", "DNS"),
        (ConnectionRefusedError(), "the connection is refused", "port"),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_a_known_cause(cause: Exception, reason: str, remedy: str) -> None:
    """However deep it is; nothing suggests to trust whatever comes."""
    middle = httpx.ConnectError("middle")
    middle.__context__ = cause
    outer = httpx.ConnectError("outer")
    outer.__cause__ = middle
    for error in (cause, outer):
        found = explain(error)
        assert found is not None
        assert reason in found.reason
        assert remedy in found.remedy
        assert "pw" not in str(found)
        assert len(str(found)) < 400
        for bad in ("verify=False", "CERT_NONE", "insecure", "disable", "turn off", "\x1b"):
            assert bad not in str(found)


@pytest.mark.parametrize("error", [None, httpx.ReadTimeout("late"), ValueError("x")], ids=repr)
def test_an_unknown_cause(error: Exception | None) -> None:
    """Left to the caller."""
    assert explain(error) is None


def test_transfers_say_it_too() -> None:
    """A company's proxy may intercept only the hosts of files."""
    lost = NoReply(httpx.ConnectError("outer"), sent=False)
    lost.error.__cause__ = certificate_error(20)
    told = [downloading._cause(lost), str(uploading._part_failed(FilePart(1, 0, 1), lost))]
    assert all(
        "a company's proxy may be intercepting TLS; set SSL_CERT_FILE" in text for text in told
    )
    late = NoReply(httpx.ReadTimeout("at https://file.test/a"), sent=True)
    told = [downloading._cause(late), str(uploading._part_failed(FilePart(1, 0, 1), late))]
    assert all("ReadTimeout" in text and "file.test" not in text for text in told)
