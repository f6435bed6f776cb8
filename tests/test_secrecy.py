"""The watch over secrets sees what it must see: else its silence would prove nothing."""

import logging
from pathlib import Path

import httpx
import pytest

from scenario_reframe import Asset, ConfigurationError, ReframeClient
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.wire import signed_urls
from secrecy import Watch

SIGNED = "https://cdn.example.org/a.mp4?Policy=abc&Signature=def"


@pytest.mark.parametrize("text", ["the key is sandbox-secret", f"GET {SIGNED}"])
def test_the_watch_sees_logs_errors_and_files(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A secret in a log at DEBUG, in an error's text and in a file are each found."""
    (tmp_path / "ledger.db").write_text(text)
    with Watch(monkeypatch) as watch:
        # Its own logger, so that the watch over all tests hears nothing of it.
        logger = logging.getLogger("test_secrecy")
        logger.propagate = False
        logger.addHandler(watch)
        logger.setLevel(logging.DEBUG)
        logger.debug(text)
        ConfigurationError(text)
        watch.read_file(tmp_path / "ledger.db")
    assert len(watch.found) == 3


def test_httpx_s_own_log_hides_signed_queries(caplog: pytest.LogCaptureFixture) -> None:
    """And shows them where they are not ours, so that the filter is what hides them."""
    with Sandbox() as sandbox:
        ReframeClient("a", "b", base_url=sandbox.base_url).close()
        url = sandbox.base_url.replace("/v1", "/nothing?visible=1")
        with caplog.at_level(logging.INFO, "httpx"):
            httpx.get(url, trust_env=False)
            assert "visible=1" in caplog.text
            caplog.clear()
            with signed_urls():
                httpx.get(url, trust_env=False)
    assert "/nothing" in caplog.text
    assert "visible" not in caplog.text


def test_reprs_hold_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Client, driver, wire, credentials and asset."""
    with ReframeClient("sandbox-key", "sandbox-secret", ledger=tmp_path / "l.db") as client:
        parts = [client, *vars(client).values(), client._wire.credentials, client._wire.auth]
        parts += [vars(client), Asset(id="asset_1", url=SIGNED)]
        with Watch(monkeypatch) as watch:
            for part in parts:
                watch.look("repr", repr(part))
    assert watch.found == []
