"""The API key and secret, and the base URL that they belong to: found, checked, redacted."""

import base64
import os
import re
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from attrs import field, frozen

from scenario_reframe_api.settings import BASE_URL

from .arguments import is_text, shown
from .errors import ConfigurationError
from .redaction import SHORTEST, redact
from .secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_VARIABLES = ("SCENARIO_API_KEY", "SCENARIO_SDK_API_KEY")
SECRET_VARIABLES = ("SCENARIO_API_SECRET", "SCENARIO_SDK_API_SECRET")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _hidden(value: str | Secret[str]) -> Secret[str]:
    return Secret.of(value)


@frozen
class Credentials:
    """Key and secret, both hidden."""

    key: Secret[str] = field(converter=_hidden)
    secret: Secret[str] = field(converter=_hidden)

    @property
    def header(self) -> str:
        """The Authorization header: HTTP Basic over UTF-8 (RFC 7617)."""
        return "Basic " + base64.b64encode(
            f"{self.key.reveal()}:{self.secret.reveal()}".encode()
        ).decode("ascii")

    def redact(self, text: str, shortest: int = SHORTEST) -> str:
        """The text with `***` for key, secret and header, in case a server echoes them.

        One with fewer than `shortest` characters stays: it may be a part of ordinary words.
        """
        return redact(text, self.key, self.secret, shortest)


@frozen
class BasicAuth(httpx.Auth):
    """Adds the credentials to requests to the API's own origin only."""

    credentials: Credentials
    origin: tuple[str, str, int | None] = field(kw_only=True)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header to one request."""
        if origin_of(request.url) == self.origin:
            request.headers["Authorization"] = self.credentials.header
        yield request


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """The scheme, host and port of a URL."""
    return url.scheme, url.host, url.port


def is_safe(url: httpx.URL) -> bool:
    """Whether requests to a URL are encrypted, or do not leave this machine."""
    return url.scheme == "https" or (url.scheme == "http" and url.host in LOOPBACK)


def may_hold_files(url: httpx.URL, base_url: httpx.URL) -> bool:
    """Whether the API at `base_url` may name a file's URL. This machine: only if it is here, too.

    Else another machine could have requests sent to this one's own services.
    """
    return is_safe(url) and (url.scheme == "https" or base_url.host in LOOPBACK)


def find_credentials(
    api_key: "str | Secret[Any] | None",
    api_secret: "str | Secret[Any] | None",
    environ: Mapping[str, str] = os.environ,
) -> Credentials:
    """The credentials from the arguments, else from the environment.

    Raises ConfigurationError that names the variable to set.
    """
    key = _given_or_first(api_key, environ, KEY_VARIABLES)
    secret = _given_or_first(api_secret, environ, SECRET_VARIABLES)
    del api_key, api_secret, environ  # a traceback with locals would show them
    missing = [
        f"{word} (argument {argument}, or environment variable {variable})"
        for value, word, argument, variable in (
            (key, "API key", "api_key", KEY_VARIABLES[0]),
            (secret, "API secret", "api_secret", SECRET_VARIABLES[0]),
        )
        if not value.reveal()
    ]
    if missing:
        raise ConfigurationError(
            f"missing {' and '.join(missing)}. Scenario shows both under Project Settings, "
            "API Keys; to try without an account, start `scenario-reframe sandbox`"
        )
    _check(key, "API key", KEY_VARIABLES[0], colon=False)
    _check(secret, "API secret", SECRET_VARIABLES[0], colon=True)
    return Credentials(key, secret)


def find_base_url(base_url: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The base URL from the argument, SCENARIO_BASE_URL or the spec; without a final slash.

    Raises ConfigurationError unless it is https, or http to this machine.
    """
    text = base_url if base_url is not None else environ.get("SCENARIO_BASE_URL") or BASE_URL
    del environ  # a traceback with locals would show it
    if not isinstance(text, str):
        raise ConfigurationError(f"base_url must be a string, not {type(text).__name__}")
    rule = f"the base URL must look like {BASE_URL}"
    try:
        if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
            raise ConfigurationError(
                f"{rule}: it contains characters that are not allowed in a URL"
            )
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        # Only these two find a host that cannot be looked up: `a..b`, `xn--`.
        (host or "").encode("idna")
        _ = httpx.URL(text).host
    except (ValueError, httpx.InvalidURL) as fault:
        raise ConfigurationError(f"{rule}: it cannot be read as a URL") from fault
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{rule}, without credentials in it: use api_key and api_secret")
    if not host or parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigurationError(f"{rule}: a host, no query and no fragment")
    if parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK):
        return text.rstrip("/")
    raise ConfigurationError(
        f"{rule}: https, since credentials are sent there; http only for "
        f"{', '.join(sorted(LOOPBACK))}"
    )


def find_project_id(project_id: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The project from the argument or SCENARIO_PROJECT_ID; None means the key's own.

    Raises ConfigurationError.
    """
    found = project_id if project_id is not None else environ.get("SCENARIO_PROJECT_ID") or None
    if found is None or (isinstance(found, str) and re.fullmatch("[!-~]{1,200}", found)):
        return found
    raise ConfigurationError(
        f"the project id {shown(found)} is not allowed (argument project_id, or environment "
        "variable SCENARIO_PROJECT_ID); it takes up to 200 letters, digits and signs without spaces"
    )


def _given_or_first(
    given: "str | Secret[Any] | None", environ: Mapping[str, str], names: "Iterable[str]"
) -> Secret[Any]:
    hidden = Secret.of(given)
    if hidden.reveal() is not None:
        return hidden
    return next((Secret(environ[name]) for name in names if environ.get(name)), Secret(None))


def _check(value: Secret[Any], word: str, variable: str, *, colon: bool) -> None:
    if not isinstance(value.reveal(), str):
        raise ConfigurationError(
            f"the {word} must be a string, not {type(value.reveal()).__name__}"
        )
    if _CONTROLS.search(value.reveal()):
        raise ConfigurationError(
            f"the {word} contains control characters (a line end?): check {variable}"
        )
    if value.reveal() != value.reveal().strip():
        raise ConfigurationError(f"the {word} begins or ends with a space: check {variable}")
    if not colon and ":" in value.reveal():
        raise ConfigurationError(
            f"the {word} contains a colon, which HTTP Basic does not allow. Set key and "
            f"secret separately, as {KEY_VARIABLES[0]} and {SECRET_VARIABLES[0]}"
        )
    if not is_text(value.reveal()):  # an error of `encode` would hold the secret
        raise ConfigurationError(f"the {word} cannot be written as UTF-8")
