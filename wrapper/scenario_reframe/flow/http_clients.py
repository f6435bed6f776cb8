"""Makes httpx clients: proxies and certificates from the environment, bounded connections.

Proxies are read from the environment as httpx does (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY),
but requests to this machine go direct: through a proxy, the credentials would leave it in clear.
"""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from scenario_reframe.credentials import LOOPBACK
from scenario_reframe.errors import ConfigurationError

from .bounds import AsyncBoundedBackend, BoundedBackend

_CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXY_VARIABLES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_DIRECT = {f"all://{f'[{host}]' if ':' in host else host}": None for host in LOOPBACK}


def make_client(context: ssl.SSLContext | None = None) -> httpx.Client:
    """An httpx client. `context` replaces the environment's for servers, never for a proxy.

    Raises ConfigurationError for variables that cannot be used.
    """
    trusted = _tls_context()
    with _proxy_errors():
        http = httpx.Client(verify=context or trusted, mounts=_DIRECT)
    _bind(http, BoundedBackend, trusted)
    return http


def make_async_client() -> httpx.AsyncClient:
    """The same for asyncio."""
    trusted = _tls_context()
    with _proxy_errors():
        http = httpx.AsyncClient(verify=trusted, mounts=_DIRECT)
    _bind(http, AsyncBoundedBackend, trusted)
    return http


def proxy_of(http: httpx.Client, url: str) -> str | None:
    """The proxy between a client and a URL, as `http://host:port`, never with its credentials."""
    pool = http._transport_for_url(httpx.URL(url))._pool  # type: ignore[attr-defined]  # noqa: SLF001
    proxy = getattr(pool, "_proxy_url", None)
    return None if proxy is None else str(proxy.origin)


def _bind(
    http: httpx.Client | httpx.AsyncClient, bounded: Callable[[Any], Any], trusted: ssl.SSLContext
) -> None:
    """Put a bounded backend under every pool: httpx has no argument for it, httpcore has.

    A proxy that itself speaks TLS is verified as servers are: httpx takes certifi's authorities.
    """
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001
        if transport is not None:
            pool = transport._pool  # noqa: SLF001
            pool._network_backend = bounded(pool._network_backend)  # noqa: SLF001
            if hasattr(pool, "_proxy_ssl_context"):
                pool._proxy_ssl_context = trusted  # noqa: SLF001


def _tls_context() -> ssl.SSLContext:
    """The authorities to trust: a variable's, else the system's (truststore), else certifi's."""
    variable = next((name for name in _CA_VARIABLES if os.environ.get(name)), None)
    try:
        if variable is not None:
            return _trusting(variable, Path(os.environ[variable]))
        if find_spec("truststore") is not None:
            truststore: Any = import_module("truststore")
            context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            return context
        return httpx.create_ssl_context()
    except (OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        reason = getattr(fault, "strerror", None) or fault
        names = [name for name in (variable, "SSLKEYLOGFILE") if name and name in os.environ]
        raise ConfigurationError(
            f"the trusted certificates cannot be loaded: {reason}; check {', '.join(names)}: "
            "it takes an existing file, or folder, of certificates in PEM"
        ) from fault


def _trusting(variable: str, path: Path) -> ssl.SSLContext:
    if path.is_file() and variable != "SSL_CERT_DIR":
        return ssl.create_default_context(cafile=path)
    if path.is_dir() and variable != "SSL_CERT_FILE":
        return ssl.create_default_context(capath=path)
    raise FileNotFoundError(2, "no such file or folder")


@contextmanager
def _proxy_errors() -> Iterator[None]:
    """Turn httpx's errors about variables into a ConfigurationError, without a proxy's password."""
    try:
        for scheme, url in getproxies().items():
            if scheme in {"http", "https", "all"}:
                urlsplit(url).port  # noqa: B018 - raises ValueError for one that is too large
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as fault:
        names = ", ".join(sorted(name for name in os.environ if name.upper() in _PROXY_VARIABLES))
        reason = (
            "a SOCKS proxy needs socksio: pip install 'httpx[socks]'"
            if isinstance(fault, ImportError)
            else "a proxy is http://host:port, https://host:port or socks5://host:port, "
            "and NO_PROXY a list of hosts"
        )
        raise ConfigurationError(f"the proxy cannot be used: {reason}; check {names}") from None
