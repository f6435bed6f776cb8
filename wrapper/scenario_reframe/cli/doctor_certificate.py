"""Who signed a certificate that this machine does not trust, for `doctor` to name.

Only TLS handshakes, which are ended at once: nothing is ever sent over such a connection.
"""

import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx

from scenario_reframe.errors import ConfigurationError
from scenario_reframe.flow.bounds import Bound, bounded
from scenario_reframe.flow.http_clients import make_client

from .output import one_line

_TIMEOUT = 5.0  # seconds
_LONGEST = 100  # characters
_NAMES = ("organizationName", "commonName")

Read = Callable[[ssl.SSLObject], Any]


class _HandshakeDoneError(Exception):
    """Ends a connection before a request is sent over it."""


def issuer_of(url: str, proxy: str | None) -> str | None:
    """The issuer's organisation and name, as the certificate claims; None if they are unknown.

    `proxy`: whether there is one between. The certificate is first taken as it is, then verified
    against itself, so that OpenSSL reads its issuer: Python shows no more of an unverified one.
    """
    with_any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with_any.check_hostname = False
    with_any.verify_mode = ssl.CERT_NONE
    with_itself = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with_itself.check_hostname = False
    with_itself.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        certificate = _shake_hands(url, proxy, with_any, _certificate)
        with_itself.load_verify_locations(cadata=certificate)
        verified = _shake_hands(url, proxy, with_itself, lambda tls: tls.getpeercert())
    except (httpx.HTTPError, OSError, ConfigurationError):
        return None
    issuer = dict(pair for group in verified["issuer"] for pair in group)
    found = ", ".join(issuer[name] for name in _NAMES if name in issuer)
    return one_line(found)[:_LONGEST] or None


def _certificate(tls: ssl.SSLObject) -> bytes | None:
    return tls.getpeercert(True)  # noqa: FBT003 - a socket's own TLS object takes no keyword


def _shake_hands(url: str, proxy: str | None, context: ssl.SSLContext, read: Read) -> Any:
    """What is read of a finished handshake. Raises httpx.HTTPError, OSError."""
    found: list[Any] = []

    def trace(event: str, info: Any) -> None:
        # A proxy may speak TLS itself; that is its connection's handshake, not the tunnel's.
        if not event.endswith("start_tls.complete") or (proxy and event.startswith("connection.")):
            return
        stream = info["return_value"]
        try:
            found.append(read(stream.get_extra_info("ssl_object")))
        finally:
            stream.close()
        raise _HandshakeDoneError

    with make_client(context) as http, bounded(Bound(time.monotonic, _TIMEOUT)):
        try:
            http.get(url, timeout=_TIMEOUT, extensions={"trace": trace})
        except _HandshakeDoneError:
            return found[0]
    raise ssl.SSLError("no handshake")
