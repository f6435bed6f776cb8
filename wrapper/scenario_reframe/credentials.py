"""Find, hold and redact the API key and secret, and the address that they are for."""

import base64
import json
import os
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, urlsplit

import httpx
from attrs import field, frozen

from scenario_reframe_api.settings import BASE_URL

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_VARIABLES = ("SCENARIO_API_KEY", "SCENARIO_SDK_API_KEY")
SECRET_VARIABLES = ("SCENARIO_API_SECRET", "SCENARIO_SDK_API_SECRET")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@frozen(repr=False)
class Credentials:
    """Key and secret. Neither shows in the repr."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Credentials(***)"

    @property
    def header(self) -> str:
        """The Authorization header: HTTP Basic over UTF-8 (RFC 7617)."""
        pair = f"{self.key}:{self.secret}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def redact(self, text: str, shortest: int = 4) -> str:
        """The text with key, secret and header blotted out, should a server echo them.

        Those that are shorter are left: blotting them out would blot out the text.
        """
        forms = {self.header.removeprefix("Basic ")}
        for part in (self.secret, self.key):
            forms |= {part, quote(part, safe=""), quote_plus(part)}
            for escaped in (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]):
                forms |= {escaped, json.dumps(escaped)[1:-1]}  # JSON in JSON, too
        for form in sorted(forms, key=len, reverse=True):
            if len(form) >= shortest:
                text = text.replace(form, "***")
        return text


@frozen(repr=False)
class BasicAuth(httpx.Auth):
    """Adds the credentials to requests for the API's own origin, and to no others."""

    credentials: Credentials
    origin: tuple[str, str, int | None] = field(kw_only=True)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign one request."""
        if origin_of(request.url) == self.origin:
            request.headers["Authorization"] = self.credentials.header
        yield request


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port."""
    return url.scheme, url.host, url.port


def is_safe(url: httpx.URL) -> bool:
    """Whether the way there is encrypted, or does not leave this machine."""
    return url.scheme == "https" or (url.scheme == "http" and url.host in _LOOPBACK)


def find_credentials(
    api_key: str | None, api_secret: str | None, environ: Mapping[str, str] = os.environ
) -> Credentials:
    """From the arguments, else from the environment.

    Raises ConfigurationError that names the variable to set.
    """
    key = api_key if api_key is not None else _first(environ, KEY_VARIABLES)
    secret = api_secret if api_secret is not None else _first(environ, SECRET_VARIABLES)
    missing = [
        f"{word} (argument {argument}, or environment variable {variable})"
        for value, word, argument, variable in (
            (key, "API key", "api_key", KEY_VARIABLES[0]),
            (secret, "API secret", "api_secret", SECRET_VARIABLES[0]),
        )
        if not value
    ]
    if not key or not secret:
        raise ConfigurationError(
            f"missing {' and '.join(missing)}. Both stand in Scenario under Project Settings, "
            "API Keys; to try without an account, start `scenario-reframe sandbox`"
        )
    _check(key, "API key", KEY_VARIABLES[0], colon=False)
    _check(secret, "API secret", SECRET_VARIABLES[0], colon=True)
    return Credentials(key, secret)


def find_base_url(base_url: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """From the argument, else SCENARIO_BASE_URL, else the spec's server; without a final slash.

    Raises ConfigurationError unless it is https, or http on this machine.
    """
    text = base_url if base_url is not None else environ.get("SCENARIO_BASE_URL") or BASE_URL
    if not isinstance(text, str):
        raise ConfigurationError(f"base_url must be a string, not {type(text).__name__}")
    wanted = f"the base URL must look like {BASE_URL}"
    try:
        if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
            raise ConfigurationError(f"{wanted}: it holds characters that no URL may hold")
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL) as fault:
        raise ConfigurationError(f"{wanted}: it cannot be read as a URL") from fault
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{wanted}, without credentials in it: use api_key and api_secret")
    if not host or parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigurationError(f"{wanted}: a host, no query and no fragment")
    if parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK):
        return text.rstrip("/")
    raise ConfigurationError(
        f"{wanted}: https, since credentials are sent there; http only for "
        f"{', '.join(sorted(_LOOPBACK))}"
    )


def find_project_id(project_id: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """From the argument, else SCENARIO_PROJECT_ID; None means the key's own project."""
    return project_id if project_id is not None else environ.get("SCENARIO_PROJECT_ID") or None


def _first(environ: Mapping[str, str], names: "Iterable[str]") -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


def _check(value: str, word: str, variable: str, *, colon: bool) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"the {word} must be a string, not {type(value).__name__}")
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in value):  # noqa: PLR2004
        raise ConfigurationError(
            f"the {word} holds control characters, a line end perhaps: look at {variable}"
        )
    if value != value.strip():
        raise ConfigurationError(f"the {word} begins or ends with a space: look at {variable}")
    if not colon and ":" in value:
        raise ConfigurationError(
            f"the {word} holds a colon, which HTTP Basic does not allow: is it key and secret in "
            f"one? {KEY_VARIABLES[0]} and {SECRET_VARIABLES[0]} take them apart"
        )
    try:
        value.encode()
    except UnicodeEncodeError as fault:
        raise ConfigurationError(f"the {word} cannot be written as UTF-8") from fault
