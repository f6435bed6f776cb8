"""Why no connection was made, and what to do: proxies, certificates, names, ports. No I/O."""

import socket
import ssl
from collections.abc import Iterator

import httpx
from attrs import frozen

from scenario_reframe.api.sanitize import printable


@frozen
class ConnectionFault:
    """Why a connection failed, and what to do about it. Never words of a proxy or a server."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


_CHECK_PROXY = "check HTTPS_PROXY, ALL_PROXY and NO_PROXY"
_LOG_IN = "open a web page in a browser and log in to the network, then try again"
UNKNOWN_AUTHORITY = ConnectionFault(
    "the certificate is signed by an authority that this machine does not trust: a company's proxy "
    "may be intercepting TLS",
    "set SSL_CERT_FILE=/path/to/ca.pem, a file with that authority's certificate, or pip install "
    "truststore, to trust what the system trusts",
)
_BY_VERIFY_CODE = {  # OpenSSL's X509_V_ERR_...
    9: ConnectionFault("the certificate is not valid yet", "set this machine's clock"),
    10: ConnectionFault(
        "the certificate has expired",
        "check this machine's clock; if it is right, the server's owner must renew the certificate",
    ),
    18: ConnectionFault(
        "the certificate is self-signed",
        "check the URL; if it is right, set SSL_CERT_FILE=/path/to/ca.pem, a file with that "
        "certificate, which you have from its owner",
    ),
    **dict.fromkeys((2, 19, 20, 21), UNKNOWN_AUTHORITY),
    **dict.fromkeys(
        (62, 64),  # of a name, of an IP address
        ConnectionFault(
            "the certificate belongs to another host",
            "check the URL; a proxy or a login page may be answering in the server's place",
        ),
    ),
}
_CLIENT_CERTIFICATE = ConnectionFault(
    "the server wants a client certificate",
    "in Python, pass http_client=httpx.Client(verify=context) with an ssl context that loaded it",
)
_NO_TLS = ConnectionFault(
    "no TLS connection can be made",
    "check the port, and that it serves https; most proxies' own URLs begin with http://",
)
_UNKNOWN_NAME = ConnectionFault(
    "the host's name cannot be resolved", "check the network, its DNS and the URL"
)
_NOT_LISTENING = ConnectionFault(
    "the connection is refused", "check that the server runs, and the URL's port"
)


def explain(error: BaseException | None) -> ConnectionFault | None:
    """The cause that is known for an error of httpx, however deep it is; else None."""
    for cause in causes_of(error):
        match cause:
            case httpx.ProxyError():
                return _proxy_fault(str(cause))
            case ssl.SSLCertVerificationError():
                return _certificate_fault(cause)
            case ssl.SSLError():
                wanted = "CERTIFICATE_REQUIRED" in str(cause)
                return _CLIENT_CERTIFICATE if wanted else _NO_TLS
            case socket.gaierror():
                return _UNKNOWN_NAME
            case ConnectionRefusedError():
                return _NOT_LISTENING
    return None


def is_tls(error: BaseException | None) -> bool:
    """Whether it failed over TLS, so that a connection was there."""
    return any(isinstance(cause, ssl.SSLError) for cause in causes_of(error))


def _certificate_fault(error: ssl.SSLCertVerificationError) -> ConnectionFault:
    known = _BY_VERIFY_CODE.get(getattr(error, "verify_code", 0))
    if known is not None:
        return known
    detail = printable(str(getattr(error, "verify_message", "")), 100)
    return ConnectionFault(
        "the certificate cannot be verified" + (f" ({detail})" if detail else ""),
        "ask its owner for a valid one; pip install truststore has the system judge it",
    )


def _proxy_fault(text: str) -> ConnectionFault:
    """What a proxy's refusal means. `text` begins with the status of its reply to CONNECT."""
    status = text[:3]
    match status:
        case "407":
            return ConnectionFault(
                "the proxy asks for a user and password, or refuses those that it got (407)",
                "put them before its host in HTTPS_PROXY, as user:password@host:port, with special "
                "characters percent-encoded; only Basic authentication is supported",
            )
        case "502" | "503" | "504":
            return ConnectionFault(
                f"the proxy cannot reach the server ({status})",
                "check the URL, and NO_PROXY if the server can be reached directly",
            )
        case "511" | "301" | "302" | "303" | "307" | "308":
            return ConnectionFault(f"the proxy wants a login ({status})", _LOG_IN)
    if status.isdecimal():
        return ConnectionFault(
            f"the proxy refuses to connect to the server ({status})",
            "ask its administrator to allow the host, or name it in NO_PROXY if it can be reached "
            "directly",
        )
    return ConnectionFault("the proxy refuses the connection", _CHECK_PROXY)


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
