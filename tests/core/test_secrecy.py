"""The watch over secrets detects every kind of leak: else its silence would prove nothing."""

import base64
import logging
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

from scenario_reframe import Asset, ReframeClient
from scenario_reframe.flow.transport import signed_urls
from scenario_reframe.sandbox import Sandbox
from secrecy import Watch

LEAKS = Path(__file__).parents[1] / "support" / "secrecy_leaks.py"
SIGNED = "https://cdn.example.org/a.mp4?Policy=abc&Signature=def"
HEADER = base64.b64encode(b"sandbox-key:sandbox-secret").decode()


@pytest.mark.parametrize("options", [["-n1"], ["-s"]], ids=" ".join)
def test_each_leak_is_detected_however_pytest_runs(options: list[str], tmp_path: Path) -> None:
    """Streams, child processes, logs, errors, files; a test without a leak passes."""
    command = [sys.executable, "-m", "pytest", str(LEAKS), "-o", "addopts=", *options]
    results = tmp_path / "results.xml"
    quiet = [f"--junitxml={results}", "-p", "no:cacheprovider"]
    # Its output is discarded, since it holds the secret.
    subprocess.run(
        [*command, *quiet],
        cwd=LEAKS.parents[2],
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        timeout=300,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    seen = {}
    for case in ET.parse(results).iter("testcase"):  # noqa: S314 - our own file
        assert case.find("failure") is None, case.get("name")
        error = case.find("error")
        seen[case.get("name")] = error is not None and "Secrets seen:" in str(error.get("message"))
    assert len(seen) > 20
    assert [name for name, found in seen.items() if not found] == ["test_nothing", "test_allowed"]


@pytest.mark.parametrize(
    "text", ["it is sandbox-secret", f"Basic {HEADER}", f"GET {SIGNED}", "GET /a?x-amz-date=1"]
)
def test_what_is_forbidden(text: str) -> None:
    """The secret itself and in a header, and a signed query; the finding does not repeat it."""
    watch = Watch()
    watch.look("here", text.encode(), text.upper())
    assert len(watch.found) >= 2
    assert "here: b'" in watch.found[0]
    Watch().look("again", *watch.found)


def test_httpx_s_own_log_hides_signed_queries(caplog: pytest.LogCaptureFixture) -> None:
    """Other queries are shown, so it is the filter that hides these."""
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


def test_reprs_hold_no_secret(watch: Watch, tmp_path: Path) -> None:
    """Of client, driver, connection, credentials and asset."""
    with ReframeClient("sandbox-key", "sandbox-secret", ledger=tmp_path / "l.db") as client:
        parts = [client, *vars(client).values(), client._wire.credentials, client._wire.auth]
        parts += [vars(client), Asset(id="asset_1", url=SIGNED)]
        watch.look("repr", *map(repr, parts))
