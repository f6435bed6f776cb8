"""Key and secret in what a server says, however it writes them."""

import base64
import json
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest

from scenario_reframe import JobFailedError, ReframeClient
from scenario_reframe.cli import main
from scenario_reframe.credentials import Credentials
from scenario_reframe.flow.transport import Wire
from scenario_reframe.redaction import redact_body
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer

KEY, SECRET = "api_k/7<ä>", 'se"cr&et\\+/ 9'
ACCOUNT = Credentials(KEY, SECRET)
COLONS = ":%253A\\\\u003a&#58;x"
"""What a colon, which stands between the two, is written with."""


def base64_of(text: str) -> str:
    """Standard base64."""
    return base64.b64encode(text.encode()).decode()


def all_forms(text: str) -> list[str]:
    """A text as servers write it."""
    points = [f"{ord(letter):x}" for letter in text]
    every = "".join(f"\\u{int(point, 16):04X}" for point in points)
    return [
        text, base64_of(text), base64.urlsafe_b64encode(text.encode()).decode(),
        json.dumps(text)[1:-1], json.dumps(json.dumps(text)), json.dumps(text).replace("/", "\\/"),
        every, json.dumps(every), quote(text, safe=""), quote_plus(text), quote(quote(text)),
        "".join(f"%{byte:02x}" for byte in text.encode()), escape(text), escape(escape(text)),
        "".join(f"&#{ord(letter)};" for letter in text),
        "".join(f"&#x{point};" for point in points),
        json.dumps(base64_of(text)).replace("/", "\\/"), quote(base64_of(text), safe=""),
    ]  # fmt: skip


@pytest.mark.parametrize("text", [KEY, SECRET, f"{KEY}:{SECRET}"])
def test_every_form_is_redacted(text: str) -> None:
    """In a text, in JSON of every status, and in a header."""
    for form in all_forms(text):
        shown = ACCOUNT.redact(f"you sent [{form}] here")
        rest = shown.removeprefix("you sent [").removesuffix("] here")
        assert set(rest) <= set('*"\\=%3D' + COLONS)
        body = json.dumps({"a": {"b": [f"x {form}"]}, form: 1}).encode()
        for is_success in (True, False):
            tree = json.loads(redact_body(body, ACCOUNT.redact, is_success=is_success))
            assert not [part for part in (text, form) if part in str(tree)]


def test_headers_and_other_encodings_are_redacted() -> None:
    """JSON may be UTF-16, too; a header's name and value."""
    wire = Wire("https://api.test/v1", Credentials("the-key-1", "the-secret-1"), 1.0)
    headers = {"X-Request-Id": "Basic the-secret-1", "X-the-key-1": "1", "Date": "now"}
    response = httpx.Response(200, headers=headers)
    reply = wire.reply(response, '{"a": "the-secret-1", "b": "ä"}'.encode("utf-16"))
    assert json.loads(reply.content) == {"a": "***", "b": "ä"}
    assert reply.headers["x-request-id"] == "Basic ***"
    assert reply.headers["x-***"] == "1"
    assert reply.headers["date"] == "now"


@pytest.mark.parametrize("secret", ["job", "12345678", "job_1234", "1", "true", "null", "jobId"])
def test_a_paid_reply_stays_whole(secret: str) -> None:
    """A secret that is a part of an id or a number damages neither, nor the JSON."""
    reply = {"job": {"jobId": "job_123456789", "assetIds": ["asset_123456789"], "seed": 123456789,
                     "ok": True, "none": None, "cost": 12345678.5}}  # fmt: skip
    account = Credentials("another-key", secret)
    body = redact_body(json.dumps(reply).encode(), account.redact, is_success=True)
    assert json.loads(body) == reply


def test_a_reply_without_a_secret_keeps_its_bytes() -> None:
    """Its numbers and escapes, too."""
    body = rb'{"a": 1.10, "b": "\u00e4\/ %41 &amp;", "c": 1e400}'
    assert redact_body(body, ACCOUNT.redact, is_success=True) == body


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", ["\\", "%25", "&amp;", "&#0", "0", "\\u00", "%", "api_", "\\/"])
def test_the_time_is_linear(pattern: str) -> None:
    """A million letters of what escapes are made of."""
    text = "&#" + pattern * (1_000_000 // len(pattern))
    ACCOUNT.redact(text)
    ACCOUNT.redact(f"{SECRET}{text}")  # with the patterns that look for each letter


def test_nothing_of_a_job_shows_an_echo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not its error, its input, `--json` or the ledger's bytes."""
    key, secret = "key-qfw81", "secret-zkp27"
    forms = [secret, "\\u0073ecret-zkp27", quote(secret), base64_of(f"{key}:{secret}")]
    echo = " ".join(forms)
    job = {"jobId": "job_x", "status": "failure", "metadata": {"error": echo, "input": {"p": echo}}}
    monkeypatch.setenv("SCENARIO_API_KEY", key)
    monkeypatch.setenv("SCENARIO_API_SECRET", secret)
    with Sandbox(api_key=key, api_secret=secret, fast=True) as sandbox:
        monkeypatch.setenv("SCENARIO_BASE_URL", sandbox.base_url)
        sandbox.faults.add(answer(200, {"job": job}), r"/generate/|/jobs/", times=99)
        with (
            ReframeClient(ledger=tmp_path / "l.db") as client,
            pytest.raises(JobFailedError) as caught,
        ):
            client.reframe("asset_1")
        assert main(["jobs", "show", "job_x", "--json", "--ledger", "none"]) == 0
    failed = caught.value.job
    assert failed is not None
    shown = [repr(caught.value), str(failed), str(failed.raw), capsys.readouterr().out]
    shown += [path.read_bytes().decode("latin-1") for path in tmp_path.iterdir()]
    for text in shown:
        assert not [form for form in forms if form in text]
    assert "***" in str(failed.error)
