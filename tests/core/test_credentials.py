"""Credentials, and the address that they are sent to."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from platformdirs import user_state_path

from scenario_reframe import AsyncReframeClient, ConfigurationError, ReframeClient
from scenario_reframe.cli.flags import Connection
from scenario_reframe.credentials import (
    BasicAuth,
    Credentials,
    find_base_url,
    find_credentials,
    find_project_id,
    is_safe,
    may_hold_files,
    origin_of,
)

BOTH = {"SCENARIO_API_KEY": "key", "SCENARIO_API_SECRET": "secret"}
SDK = {"SCENARIO_SDK_API_KEY": "sdk-key", "SCENARIO_SDK_API_SECRET": "sdk-secret"}
DEFAULT = "https://api.cloud.scenario.com/v1"


def test_arguments_come_before_the_environment() -> None:
    """Each on its own."""
    assert find_credentials("k", "s", BOTH) == Credentials("k", "s")
    assert find_credentials("k", None, BOTH) == Credentials("k", "secret")
    assert find_credentials(None, "s", BOTH) == Credentials("key", "s")


def test_the_environment_comes_before_the_official_variables() -> None:
    """The official SDK's names are a fallback, and an empty variable counts as unset."""
    assert find_credentials(None, None, {**SDK, **BOTH}) == Credentials("key", "secret")
    assert find_credentials(None, None, SDK) == Credentials("sdk-key", "sdk-secret")
    empty = {**SDK, "SCENARIO_API_KEY": "", "SCENARIO_API_SECRET": ""}
    assert find_credentials(None, None, empty) == Credentials("sdk-key", "sdk-secret")


@pytest.mark.parametrize(
    ("key", "secret", "environment", "named", "unnamed"),
    [
        (None, None, {}, ["SCENARIO_API_KEY", "SCENARIO_API_SECRET"], []),
        (None, None, {"SCENARIO_API_KEY": "k"}, ["SCENARIO_API_SECRET"], ["SCENARIO_API_KEY"]),
        ("k", None, {}, ["SCENARIO_API_SECRET", "api_secret"], ["SCENARIO_API_KEY"]),
        (None, "s", {}, ["SCENARIO_API_KEY", "api_key"], ["SCENARIO_API_SECRET"]),
        ("", "s", BOTH, ["SCENARIO_API_KEY"], []),
        ("k", "", BOTH, ["SCENARIO_API_SECRET"], []),
    ],
)
def test_missing_credentials_name_the_variable_to_set(
    key: str | None,
    secret: str | None,
    environment: dict[str, str],
    named: list[str],
    unnamed: list[str],
) -> None:
    """Only what is missing is named; an empty argument is not filled from the environment."""
    with pytest.raises(ConfigurationError) as caught:
        find_credentials(key, secret, environment)
    assert all(word in str(caught.value) for word in named)
    assert not any(word in str(caught.value) for word in unnamed)


@pytest.mark.parametrize(
    ("key", "secret", "words"),
    [
        ("k\n", "s", "API key contains control characters"),
        ("k", "s\r\n", "API secret contains control characters"),
        ("k\x00", "s", "control"),
        ("k\x85", "s", "control"),
        ("k\x7f", "s", "control"),
        (" k", "s", "begins or ends with a space"),
        ("k", "s ", "begins or ends with a space"),
        ("k:s", "s", "colon"),
        ("k", "s\ud800", "UTF-8"),
        (5, "s", "must be a string, not int"),
        ("k", b"s", "must be a string, not bytes"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused(key: Any, secret: Any, words: str) -> None:
    """The error gives the reason, without repeating the secret."""
    with pytest.raises(ConfigurationError, match=words):
        find_credentials(key, secret, {})


@pytest.mark.parametrize(
    ("key", "secret"), [("k", "s"), ("k", "a:b:c"), ("schlüssel", "pässwörd✓"), ("k", "a b")]
)
def test_header_is_basic_over_utf_8(key: str, secret: str) -> None:
    """The first colon separates key and secret; the bytes are UTF-8."""
    scheme, encoded = Credentials(key, secret).header.split(" ")
    assert scheme == "Basic"
    found = base64.b64decode(encoded).decode("utf-8")
    assert found.split(":", 1) == [key, secret]


def test_no_repr_shows_a_secret() -> None:
    """Neither in the credentials nor in what holds them."""
    credentials = Credentials("the-key", "the-secret")
    auth = BasicAuth(credentials, origin=("https", "api.test", None))
    for shown in (repr(credentials), str(credentials), repr(auth), f"{[credentials, auth]}"):
        assert "the-key" not in shown
        assert "the-secret" not in shown
        assert credentials.header[6:] not in shown


@pytest.mark.parametrize("secret", ["s3cret", "a:b/c+d=", 'pä"ss\\wörd ✓', "tab-less"])
def test_redact_removes_every_form_of_the_secret(secret: str) -> None:
    """Plain, in the header, in a URL, and as JSON escapes it."""
    credentials = Credentials("the-key", secret)
    forms = [
        secret,
        credentials.header,
        str(httpx.URL("https://x.test", params={"s": secret})).split("=", 1)[1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ]
    for form in forms:
        assert form not in credentials.redact(f"you sent {form} here")


@pytest.mark.parametrize(
    ("url", "origin", "signed"),
    [
        ("https://api.test/v1/jobs", "https://api.test/v1", True),
        ("https://api.test:443/v1/jobs", "https://api.test/v1", True),
        ("https://API.test/v1/jobs", "https://api.test/v1", True),
        ("http://api.test/v1/jobs", "https://api.test/v1", False),
        ("https://api.test:8443/v1/jobs", "https://api.test/v1", False),
        ("https://api.test.evil.test/v1", "https://api.test/v1", False),
        ("https://cdn.test/v1", "https://api.test/v1", False),
    ],
)
def test_auth_signs_requests_to_its_own_origin_only(url: str, origin: str, signed: bool) -> None:
    """Scheme, host and port must be those of the base URL."""
    auth = BasicAuth(Credentials("k", "s"), origin=origin_of(httpx.URL(origin)))
    request = next(auth.auth_flow(httpx.Request("GET", url)))
    assert ("Authorization" in request.headers) is signed


@pytest.mark.parametrize(
    ("given", "environment", "found"),
    [
        (None, {}, DEFAULT),
        (None, {"SCENARIO_BASE_URL": ""}, DEFAULT),
        (None, {"SCENARIO_BASE_URL": "https://env.test/v1"}, "https://env.test/v1"),
        ("https://arg.test/v1", {"SCENARIO_BASE_URL": "https://env.test"}, "https://arg.test/v1"),
        ("https://arg.test/v1/", {}, "https://arg.test/v1"),
        ("https://arg.test", {}, "https://arg.test"),
        ("HTTPS://arg.test/v2", {}, "HTTPS://arg.test/v2"),
        ("http://localhost:8000/v1", {}, "http://localhost:8000/v1"),
        ("http://127.0.0.1:8000/v1", {}, "http://127.0.0.1:8000/v1"),
        ("http://[::1]:8000/v1", {}, "http://[::1]:8000/v1"),
    ],
)
def test_base_url_is_found_and_nothing_is_appended(
    given: str | None, environment: dict[str, str], found: str
) -> None:
    """Argument, environment, spec; without a final slash."""
    assert find_base_url(given, environment) == found


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.test/v1",
        "//api.test/v1",
        "https://",
        "https:///v1",
        "https://?x",
        "ftp://api.test/v1",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://api.test/v1",
        "http://localhost.evil.test/v1",
        "http://127.0.0.1.evil.test/v1",
        "http://0.0.0.0/v1",
        "https://user:pw@api.test/v1",
        "https://user@api.test/v1",
        "https://@api.test/v1",
        "https://api.test/v1?key=1",
        "https://api.test/v1?",
        "https://api.test/v1#top",
        "https://api.test/v1#",
        "https://api.test:port/v1",
        "https://api.test:99999/v1",
        "https://[::1/v1",
        "https://api.test/v 1",
        "https://api.test/v1\n",
        " https://api.test/v1",
        "https://api.test\\@evil.test/v1",
        "https://äpi.test/v1",
        "https://api.test/v1\x00",
        5,
        b"https://api.test/v1",
    ],
)
def test_an_invalid_base_url_is_refused(url: Any) -> None:
    """Credentials are sent there, so the address must be unambiguous."""
    with pytest.raises(ConfigurationError, match=r"base[ _]url|base URL"):
        find_base_url(url, {})


def test_base_url_with_credentials_in_it_is_refused_without_showing_them() -> None:
    """Credentials have arguments of their own."""
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        find_base_url("https://user:hunter2@api.test/v1", {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "environment", "found"),
    [
        (None, {}, None),
        (None, {"SCENARIO_PROJECT_ID": ""}, None),
        (None, {"SCENARIO_PROJECT_ID": "proj_env"}, "proj_env"),
        ("proj_arg", {"SCENARIO_PROJECT_ID": "proj_env"}, "proj_arg"),
    ],
)
def test_project_id_is_found(
    given: str | None, environment: dict[str, str], found: str | None
) -> None:
    """None means the key's own project."""
    assert find_project_id(given, environment) == found


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://cdn.test/a", True),
        ("http://localhost:1/a", True),
        ("http://127.0.0.1/a", True),
        ("http://[::1]/a", True),
        ("http://cdn.test/a", False),
        ("ftp://cdn.test/a", False),
        ("/a", False),
    ],
)
def test_is_safe_wants_https_or_this_machine(url: str, safe: bool) -> None:
    """Files travel encrypted or not at all."""
    assert is_safe(httpx.URL(url)) is safe


@pytest.mark.parametrize(
    ("base_url", "url", "allowed"),
    [
        ("https://api.test/v1", "https://cdn.test/a", True),
        ("https://api.test/v1", "https://localhost:1/a", True),
        ("https://api.test/v1", "http://localhost:1/a", False),
        ("https://api.test/v1", "http://127.0.0.1/a", False),
        ("https://api.test/v1", "http://[::1]/a", False),
        ("https://localhost.test/v1", "http://localhost/a", False),
        ("https://api.test/v1", "http://cdn.test/a", False),
        ("http://127.0.0.1:9/v1", "http://localhost:1/a", True),
        ("https://localhost/v1", "http://[::1]:8/a", True),
        ("http://localhost/v1", "https://cdn.test/a", True),
        ("http://localhost/v1", "http://cdn.test/a", False),
        ("http://localhost/v1", "file://localhost/etc/passwd", False),
    ],
)
def test_only_a_server_on_this_machine_names_files_on_it(
    base_url: str, url: str, allowed: bool
) -> None:
    """Another one could have requests sent to services that trust this machine."""
    assert may_hold_files(httpx.URL(url), httpx.URL(base_url)) is allowed


@pytest.mark.parametrize("make", [ReframeClient, AsyncReframeClient])
@pytest.mark.parametrize("is_named", [True, False])
def test_the_default_ledger_is_that_of_the_command_line(
    make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_named: bool
) -> None:
    """SCENARIO_LEDGER, else the user's state folder; a given path takes precedence."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("SCENARIO_LEDGER", str(tmp_path / "named.db") if is_named else "")
    usual = tmp_path / "named.db" if is_named else user_state_path("scenario-reframe") / "ledger.db"
    for given, path in ((True, usual), (tmp_path / "given.db", tmp_path / "given.db")):
        assert not path.exists()
        client = make("key", "secret", ledger=given)
        assert path.exists()
        asyncio.run(client.aclose()) if make is AsyncReframeClient else client.close()
    assert Connection().ledger_location() == str(usual)
