"""The parts of scripts/first-contact: the guard, the redaction, and what is read from replies."""

import base64
import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest

from _first_contact.__main__ import main
from _first_contact.paid import Purchase
from _first_contact.pricing import Pricing
from _first_contact.redaction import Redactor
from _first_contact.result import handlers_of, tracks
from _first_contact.session import Clocks, ContactSession
from _first_contact.shapes import compare, shape
from _first_contact.traffic import PaidRequestError
from commands import point_to
from sandbox_clips import GENERATE
from scenario_reframe import Asset, Job, ReframeClient
from scenario_reframe.credentials import Credentials
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer
from scenario_reframe.sandbox.sample_clip import make_sample
from timings import SOON

KEY, SECRET = "api_Ab12Cd34Ef", 'S3cr3t/+&="x<y'
PAIR = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
ALONE = base64.urlsafe_b64encode(SECRET.encode()).decode()
SIGNED = (
    "https://cdn.test/assets/asset_Qw3rTy12?Policy=aPolicy99&Signature=aSignature99&Key-Pair-Id=K99"
)
PART = "https://bucket.test/part-of-a-secret-path/1?X-Amz-Signature=aSignature99&X-Amz-Expires=60"
NEEDLES = (
    KEY, SECRET, PAIR, PAIR.rstrip("="), quote(SECRET, safe=""), json.dumps(SECRET)[1:-1],
    ALONE, escape(SECRET), "aPolicy99", "aSignature99", "part-of-a-secret-path", "S3cr3t",
)  # fmt: skip
LEAKS = (
    f"key {KEY}, secret {SECRET}",
    f"Authorization: Basic {PAIR}",
    f"basic {PAIR.rstrip('=').lower()} {PAIR}",
    PAIR.rstrip("="),
    f"x-debug:{ALONE}",
    escape(SECRET),
    f"?secret={quote(SECRET, safe='')}",
    f"{SIGNED} and {PART}",
    f"see({SIGNED})",
    json.dumps({"deep": {"url": SIGNED, "secret": SECRET}}),
    SIGNED.replace("/", "\\/").replace("&", "\\u0026"),
    quote(SIGNED, safe=""),
    quote(quote(SIGNED, safe=""), safe=""),
    "/assets/x?Policy=aPolicy99&Signature=aSignature99",
    "Signature=aSignature99; Policy=aPolicy99",
    "CloudFront-Signature=aSignature99; CloudFront-Policy=aPolicy99; Path=/",
    "X-Amz-Signature%3DaSignature99%26Policy%3DaPolicy99",
    f"https://{KEY}:S3cr3t@host.test",
    f"s3://bucket.test/part-of-a-secret-path?{SECRET}",
)


@pytest.fixture
def redact() -> Redactor:
    """The redaction for an account with an odd secret."""
    return Redactor(Credentials(KEY, SECRET))


def leaks_in(text: str) -> list[str]:
    """Which of the forbidden texts a text contains."""
    return [needle for needle in NEEDLES if needle.lower() in text.lower()]


@pytest.mark.parametrize("leak", LEAKS)
def test_no_form_of_a_secret_is_shown(redact: Redactor, leak: str) -> None:
    """In text, in a key, deep in JSON; redacting again changes nothing."""
    assert leaks_in(leak)
    value = {leak: [{"reason": leak, "url": leak, "ownerId": leak, "token": leak}, leak]}
    shown = redact(value)
    assert not leaks_in(json.dumps(shown, ensure_ascii=False))
    assert redact(shown) == shown
    assert not leaks_in(redact.text(leak))


def test_ids_are_shortened_alike_unless_they_are_wanted(redact: Redactor) -> None:
    """By their form, by their keys, and where an earlier reply has shown them."""
    redact.learn({"ownerId": "Zx98-an-owner", "jobs": [{"assetIds": ["9f8e7d6c5b4a"]}]})
    told = redact({"jobId": "job_Abc123def", "text": "job_Abc123def of Zx98-an-owner"})
    assert told["text"].startswith(told["jobId"])
    assert told["jobId"].startswith("job_#")
    assert "Zx98" not in str(told)
    assert redact.text("9f8e7d6c5b4a") != "9f8e7d6c5b4a"
    whole = Redactor(Credentials(KEY, SECRET), keep_ids=True)
    assert whole.text("job_Abc123def") == "job_Abc123def"
    redact.reveal("job_Abc123def")
    assert redact.text("job_Abc123def") == "job_Abc123def"


def test_the_value_of_a_secret_key_is_hidden_whatever_it_is(redact: Redactor) -> None:
    """Also secrets of others."""
    told = redact({"clientSecret": "another", "headers": {"set-cookie": "a=b"}, "paging": "x"})
    assert told == {"clientSecret": "***", "headers": {"set-cookie": "***"}, "paging": "x"}


def test_a_plain_text_stays_what_it_is(redact: Redactor) -> None:
    """Redaction hides no answers."""
    for text in ("200", "bytes 0-1023/498710", '"numFrames" must be 81 or more', "not found"):
        assert redact.text(text) == text
    assert redact({"nextPaginationToken": "text"}) == {"nextPaginationToken": "text"}


@pytest.mark.parametrize("flags", [(), ("--pay", "--yes")])
def test_a_hostile_server_gets_nothing_into_the_report(
    flags: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    short_clip: Path,
) -> None:
    """Every reply, its headers and its keys are full of secrets."""
    text = " ".join(LEAKS)
    body = {text: text, "reason": text, "message": {"error": text}, "jobs": [{text: [text]}]}
    body |= {"model": {"status": text, "inputs": [{"name": text, "default": SIGNED, "type": PAIR}]}}
    body |= {"prices": [{"currency": text}], "teams": [{"id": text}], "upload": {"ownerId": text}}
    headers = {"retry-after": f"Basic {PAIR}", "x-request-id": PAIR, f"x-{KEY}": "1", "via": SIGNED}
    folder = tmp_path / "report"
    with Sandbox(fast=True, api_key=KEY, api_secret=SECRET) as sandbox:
        point_to(sandbox, monkeypatch)
        for status in (200, 400):
            sandbox.faults.clear()
            sandbox.faults.add(answer(status, body, headers), r"^/v1/", times=10_000)
            arguments = ["--report", str(folder), "--video", str(short_clip), *flags]
            main(arguments, Clocks(pause=lambda _: None, timing=SOON))
            for path in folder.glob("report.*"):
                assert leaks_in(path.read_text("utf-8")) == []
        assert sandbox.jobs_made == 0
    confirmations = capsys.readouterr()
    assert leaks_in(confirmations.out + confirmations.err) == []


@pytest.fixture
def session() -> Iterator[ContactSession]:
    """A session with a sandbox."""
    with Sandbox(fast=True, stage_seconds=0) as sandbox:
        account = Credentials(sandbox.api_key, sandbox.api_secret)
        made = ContactSession(
            account, sandbox.base_url, None, Redactor(account), Clocks(timing=SOON)
        )
        with made.http:
            yield made


def test_nothing_paid_is_sent_without_permission(session: ContactSession) -> None:
    """Not by the client, nor with `dryRun` in the body, where it has no effect."""
    with session.client() as client:
        with pytest.raises(PaidRequestError):
            client.submit(resolution="480p")
        with pytest.raises(PaidRequestError):
            session.http.post(session.base_url + GENERATE, json={"dryRun": True})
        with session.traffic.allow_paid_requests():
            job = client.submit(resolution="480p")
        with pytest.raises(PaidRequestError):
            client.cancel(job)
        assert [listed.id for listed in client.jobs()] == [job.id]
    assert session.traffic.submitted == {"resolution": "480p", "seed": job.input["seed"]}


def test_an_entry_that_was_never_posted_is_finished_with_permission(
    session: ContactSession, tmp_path: Path
) -> None:
    """A person must confirm this purchase too; no second entry is made."""
    entry = SimpleNamespace(job_id=None, state="leased")
    calls: list[str] = []

    def resume(_entry: object, **_: object) -> Any:
        calls.append("resume")
        return SimpleNamespace(job=Job(id="job_1", status="success"))

    client = SimpleNamespace(entries=lambda **_: [entry], resume=resume)
    confirmations: list[bool] = [False, True]
    stub = cast("ReframeClient", client)
    purchase = Purchase(session, stub, tmp_path, lambda _: confirmations.pop(0))
    purchase.find()
    purchase.asset, purchase.pricing.price = Asset(id="asset_1", url=""), 1.0
    with pytest.raises(Exception, match="not confirmed"):
        purchase.submit()
    assert calls == []
    purchase.submit()
    assert calls == ["resume"]


def test_a_setting_that_makes_the_job_dearer_is_left_out() -> None:
    """The others are kept, and the price is for all of them."""

    def dry_run(body: dict[str, Any]) -> Any:
        price = 5 + ("acceleration" in body) - ("numFrames" in body)
        return SimpleNamespace(status=269, payload={"creativeUnitsCost": price})

    pricing = Pricing()
    pricing.find(cast("ContactSession", SimpleNamespace(dry_run=dry_run)), None)
    assert pricing.price == 4
    assert "acceleration" not in pricing.settings
    assert {"num_frames", "num_inference_steps", "prompt"} <= set(pricing.settings)


@pytest.mark.parametrize(
    ("sent", "echoed", "verdict"),
    [
        (81, 81, "same"),
        (16.0, 16, "same number in another type (integer)"),
        (7, "7", "same number in another type (text)"),
        (4.7, 4.699999809265137, "same number, rounded (4.699999809265137)"),
        (7, 8, "other (8)"),
        (7, True, "other (boolean)"),
        (False, 0, "other (integer)"),
        ("a  b ", "a b", "text changed (spaces only)"),
        ("asset_1", "https://x/asset_1", "text changed (it contains what was sent)"),
        ("one", "two", "text changed"),
        ("one", ["one"], "other (['text'])"),
        (7, None, "other (null)"),
        (7, "nan", "other (nan)"),
    ],
)
def test_each_echo_has_a_verdict(sent: Any, echoed: Any, verdict: str) -> None:
    """What happened to a value."""
    assert compare(sent, echoed) == verdict


def test_a_shape_holds_no_values() -> None:
    """Only keys and types."""
    value = {"a": [{"b": "secret"}, 1], "c": {"d": None, "e": 1.5, "f": True, "g": []}}
    assert shape(value) == {
        "a": [{"b": "text"}],
        "c": {"d": "null", "e": "number", "f": "boolean", "g": "[]"},
    }


def test_sound_is_found_with_and_without_pyav(tmp_path: Path, short_clip: Path) -> None:
    """A clip has a sound track; a text that only names the box has none."""
    assert tracks(short_clip)["sound"] is True
    assert {"vide", "soun"} <= set(handlers_of(short_clip.read_bytes()))
    assert handlers_of(b"hdlr" + b"\1" * 8 + b"soun") == []
    other = tmp_path / "other.mp4"
    other.write_bytes(b"\0\0\0\x18ftypmp42 hdlr of soun")
    told = tracks(other)
    assert told["sound"] is False
    assert told["streams"].startswith("not read")
    make_sample(other, seconds=0.2, size="160x90", rate=10)
    assert tracks(other)["video"]["frames"] == 2
