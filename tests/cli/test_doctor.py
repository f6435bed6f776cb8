"""`doctor` against the sandbox: its report on everything that can be wrong."""

import json
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import point_to
from ledger_rows import claimed, end, open_ledger, posting, submitted
from scenario_reframe.cli import doctor_command, doctor_findings, doctor_ledger, doctor_server, main
from scenario_reframe.cli.doctor_findings import Finding, exit_code, unreachable, with_skipped
from scenario_reframe.cli.flags import DEFAULT_CONNECTION
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import Fault, answer, drop, rewrite
from scenario_reframe_api.settings import MODEL_ID

Output = pytest.CaptureFixture[str]
Checks = dict[str, dict[str, Any]]
Doctor = Callable[..., tuple[int, Checks]]

NAMES = [
    "versions", "credentials", "server", "latency", "clock", "accepted", "model", "inputs",
    "ledger", "integrity", "private", "entries", "writable",
    "extra-cli", "extra-sandbox",
]  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox for the module, since no job is ever made on it."""
    with Sandbox(stage_seconds=0) as sandbox:
        yield sandbox
        assert {seen.method for seen in sandbox.requests} <= {"GET"}
        assert sandbox.jobs_made == 0


@pytest.fixture
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The sandbox, to which the environment points."""
    point_to(running, monkeypatch)
    yield running
    running.faults.clear()


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path where the ledger will be."""
    place = tmp_path / "state" / "ledger.db"
    monkeypatch.setenv("SCENARIO_LEDGER", str(place))
    return place


@pytest.fixture
def examined(capsys: Output) -> Doctor:
    """Runs `doctor --json`: the exit code, and each check by its name."""

    def run(*flags: str) -> tuple[int, Checks]:
        code = main(["doctor", "--json", *flags])
        captured = capsys.readouterr()
        assert captured.err == ""
        assert "sandbox-secret" not in captured.out
        assert "Signature" not in captured.out
        checks = json.loads(captured.out)["checks"]
        assert [check["name"] for check in checks] == NAMES
        for check in checks:
            assert set(check) == {"name", "status", "message", "advice"}
            assert check["advice"] or check["status"] in {"ok", "skip"} or "; " in check["message"]
        return code, {check["name"]: check for check in checks}

    return run


def with_status(checks: Checks, status: str) -> list[str]:
    """The names of the checks with this status."""
    return [name for name, check in checks.items() if check["status"] == status]


def sql(path: Path, statement: str, *values: Any) -> None:
    """Run a statement on the database over a connection of its own."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_all_is_fine(sandbox: Sandbox, path: Path, examined: Doctor, capsys: Output) -> None:
    """Exit code 0, every check is ok, one line each on stdout, and two GETs were sent."""
    open_ledger(path, base_url=sandbox.base_url).close()
    before = len(sandbox.requests)
    code, checks = examined()
    assert code == 0
    assert with_status(checks, "ok") == NAMES
    assert sandbox.base_url in checks["server"]["message"]
    assert [seen.path for seen in sandbox.requests[before:]] == [
        "/v1/jobs",
        f"/v1/models/{MODEL_ID}",
    ]
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", name] for name in NAMES]
    assert lines[1] == "ok   credentials   SCENARIO_API_KEY and SCENARIO_API_SECRET are set"


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, "SCENARIO_API_KEY and SCENARIO_API_SECRET are not set"),
        ({"SCENARIO_SDK_API_KEY": "k"}, "SCENARIO_API_SECRET is not set"),
        ({"SCENARIO_API_SECRET": "s3cr3t", "SCENARIO_API_KEY": ""}, "SCENARIO_API_KEY is not set"),
    ],
)
def test_missing_credentials_are_named_and_nothing_is_sent(
    variables: dict[str, str],
    missing: str,
    running: Sandbox,
    examined: Doctor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 3; the server gets no request, everything else is checked."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = len(running.requests)
    code, checks = examined("--base-url", running.base_url)
    assert code == 3
    assert with_status(checks, "fail") == ["credentials"]
    assert checks["credentials"]["message"] == missing
    assert with_status(checks, "skip")[:6] == NAMES[2:8]
    assert len(running.requests) == before


def test_credentials_that_cannot_be_sent_fail(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line end, perhaps from a file."""
    monkeypatch.setenv("SCENARIO_API_SECRET", "mine\n")
    code, checks = examined()
    assert code == 3
    assert "control characters" in checks["credentials"]["message"]


def test_the_variables_that_are_used_are_named(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a user can see where a key comes from."""
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", sandbox.api_key)
    monkeypatch.delenv("SCENARIO_API_KEY")
    told = examined()[1]["credentials"]["message"]
    assert told == "SCENARIO_SDK_API_KEY and SCENARIO_API_SECRET are set"


def test_wrong_credentials_fail(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3; the server was reached."""
    monkeypatch.setenv("SCENARIO_API_SECRET", "not-it")
    code, checks = examined()
    assert code == 3
    assert with_status(checks, "fail") == ["accepted"]
    assert checks["server"]["status"] == "ok"
    assert "401" in checks["accepted"]["message"]
    assert "the key or the secret is wrong" in checks["accepted"]["advice"]
    assert {checks[name]["status"] for name in ("model", "inputs")} == {"skip"}


@pytest.mark.parametrize(
    ("fault", "message", "advice"),
    [
        (answer(403, {"reason": "no plan"}), "403: no plan", "plan is not allowed"),
        (answer(404, {}), "404", "check the base URL"),
        (answer(429, {}), "429", "wait"),
        (answer(503, "<h1>Bad</h1>"), "503: a page of HTML", "try later"),
        (answer(302, "", {"location": "https://l.test/"}), "302", "a login page"),
        (answer(200, "<html>Sign in</html>"), "200 with a page of HTML", "log in to the network"),
        (answer(403, " <html>Blocked"), "403 with a page of HTML", "a proxy or a login page"),
        (answer(511, "<html>Sign in"), "511 with a page of HTML", "log in to the network"),
        (answer(200, "Hello"), "no JSON object", "login page"),
        (answer(200, {"jobs": "none"}), "not a list of JSON objects", "base URL"),
        (answer(403, {"reason": "see https://l.test/a?Signature=x"}), "https://l.test/a", "plan"),
        (answer(400, {"reason": "not for sandbox-secret"}), "400: not for ***", "base URL"),
    ],
)
def test_a_refusal_is_shown_with_advice(
    fault: Fault, message: str, advice: str, sandbox: Sandbox, examined: Doctor
) -> None:
    """Exit code 3, in the first call's own words, without signatures and credentials."""
    sandbox.faults.add(fault, r"/jobs")
    code, checks = examined()
    assert code == 3
    assert with_status(checks, "fail") == ["accepted"]
    assert message in checks["accepted"]["message"]
    assert advice in checks["accepted"]["advice"]


def test_a_server_that_is_down_fails(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3; what needs the server is skipped, what does not is checked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        code, checks = examined("--base-url", url)
    assert code == 3
    assert checks["server"]["message"] == f"{url}: the connection is refused"
    assert {checks[name]["status"] for name in NAMES[3:8]} == {"skip"}
    assert checks["extra-sandbox"]["status"] == "ok"


def test_a_server_that_never_answers_fails(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only listens."""
    monkeypatch.setattr(doctor_server, "_REPLY_TIMEOUT", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        code, checks = examined("--base-url", f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
    assert code == 3
    assert "no reply in time" in checks["server"]["message"]


def test_a_server_without_tls_fails(sandbox: Sandbox, examined: Doctor) -> None:
    """The request is https."""
    url = sandbox.base_url.replace("http://", "https://")
    code, checks = examined("--base-url", url)
    assert code == 3
    assert checks["server"]["message"] == f"{url}: no TLS connection can be made"


def test_a_host_name_that_cannot_be_resolved_fails(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without a network."""

    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    code, checks = examined("--base-url", "https://api.test/v1")
    assert code == 3
    assert "the host's name cannot be resolved" in checks["server"]["message"]


def test_a_connection_that_breaks_fails_either_call(sandbox: Sandbox, examined: Doctor) -> None:
    """If the second breaks, the model's description is missing."""
    for pattern, name in ((r"/jobs", "server"), (r"/models/", "model")):
        sandbox.faults.add(drop(), pattern)
        code, checks = examined()
        assert code == 3
        assert with_status(checks, "fail") == [name]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ssl.SSLCertVerificationError("self-signed"), "the certificate cannot be verified"),
        (httpx.ProxyError("http://me:pw@proxy"), "the proxy refuses the connection"),
        (httpx.RemoteProtocolError("x"), "does not speak HTTP"),
        (None, "no complete reply came"),
        (ValueError("http://me:pw@proxy"), "no complete reply came"),
    ],
    ids=repr,
)
def test_other_reasons_have_words_as_well(cause: Exception | None, words: str) -> None:
    """However deep the cause is; the error's own text is not shown."""
    fault = httpx.ConnectError("outer")
    fault.__cause__ = cause
    told = unreachable("https://api.test/v1", fault).line()
    assert words in told
    assert "pw" not in told


@pytest.mark.parametrize("url", ["http://api.test/v1", "https://me:pw@api.test/v1", "nonsense"])
def test_a_wrong_base_url_fails(url: str, sandbox: Sandbox, examined: Doctor) -> None:
    """Exit code 3, and the credentials are sent nowhere."""
    before = len(sandbox.requests)
    code, checks = examined("--base-url", url)
    assert code == 3
    assert "the base URL must look like" in checks["server"]["message"]
    assert "pw" not in str(checks)
    assert len(sandbox.requests) == before


def test_a_wrong_proxy_is_shown_without_its_password(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client cannot even be made with it."""
    monkeypatch.setenv("ALL_PROXY", "nonsense://me:pw-of-proxy@proxy.test")
    code, checks = examined()
    assert code == 3
    assert "the proxy cannot be used" in checks["server"]["message"]
    assert "ALL_PROXY" in checks["server"]["message"]
    assert "unset it" in checks["server"]["advice"]
    assert "pw-of-proxy" not in str(checks)


@pytest.mark.parametrize(
    ("hours", "words"),
    [(1, "3,600 s ahead of"), (-1, "3,600 s behind"), (0, "within 60 s")],
)
def test_a_wrong_clock_is_a_warning(hours: int, words: str) -> None:
    """Not a failure: jobs are found by the server's clock."""
    here = datetime(2026, 1, 1, 10, tzinfo=UTC) + timedelta(hours=hours)
    found = doctor_findings.clock("Thu, 01 Jan 2026 10:00:00 GMT", here)
    assert words in found.message
    assert found.status == ("warn" if hours else "ok")
    assert ("set the clock" in found.advice) is bool(hours)


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_without_the_servers_clock_none_is_compared(date: str | None) -> None:
    """A proxy may remove the header."""
    assert doctor_findings.clock(date, datetime.now(UTC)).status == "skip"


def test_the_clock_is_compared_with_the_servers(sandbox: Sandbox) -> None:
    """A real reply's Date is read; a wrong clock does not fail."""
    found = doctor_command.examine(
        DEFAULT_CONNECTION, lambda: datetime.now(UTC) + timedelta(hours=1)
    )
    (clock,) = [finding for finding in found if finding.name == "clock"]
    assert clock.status == "warn"
    assert "ahead of the server's" in clock.message
    assert exit_code(found) == 0


def test_a_slow_server_is_a_warning() -> None:
    """A quick one is not."""
    assert doctor_findings.latency(0.2) == Finding(
        "latency", "ok", "200 ms for one call, connecting included"
    )
    assert doctor_findings.latency(9).status == "warn"


def changed(change: Callable[[list[dict[str, Any]]], Any]) -> Fault:
    """A fault that changes the inputs in the model's description."""

    def rewritten(payload: Any) -> Any:
        change(payload["model"]["inputs"])
        return payload

    return rewrite(rewritten)


def lower(inputs: list[dict[str, Any]]) -> None:
    """Allow fewer frames, and add a setting."""
    next(row for row in inputs if row["name"] == "numFrames")["max"] = 100
    inputs.append({"name": "newOne", "type": "boolean"})


@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        (lambda rows: rows.append({"name": "newOne", "type": "boolean"}), "warn", 0, "newOne: add"),
        (lower, "fail", 1, "2 differences between the model and this version (numFrames: bounds"),
        (lambda rows: rows.pop(3), "fail", 1, "removed"),
        (lambda rows: rows.append({"name": "sandbox-secret", "type": "x"}), "warn", 0, "***: add"),
        (lambda rows: rows.extend({"name": f"n{i}", "type": "x"} for i in range(9)), "warn", 0,
         "; 4 more)"),
    ],
    ids=["added", "narrowed", "removed", "secretive", "many"],
)  # fmt: skip
def test_changed_inputs_are_reported(
    change: Any, status: str, code: int, words: str, sandbox: Sandbox, examined: Doctor
) -> None:
    """Changes that break callers fail, and come first; others are a warning."""
    sandbox.faults.add(changed(change), r"/models/")
    found, checks = examined()
    assert found == code
    assert checks["inputs"]["status"] == status
    assert words in checks["inputs"]["message"]
    assert "scripts/drift --live --apply" in checks["inputs"]["advice"]


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (answer(404, {"reason": "Model not found"}), 3, "404: Model not found"),
        (answer(403, {}), 3, "403"),
        (answer(200, "<html>"), 3, "a page of HTML"),
        (answer(200, {"model": {"id": "model_other"}}), 1, "it describes model_other"),
        (changed(list.clear), 1, "has no inputs"),
    ],
)
def test_a_model_that_cannot_be_read_is_reported(
    fault: Fault, code: int, words: str, sandbox: Sandbox, examined: Doctor
) -> None:
    """The check of its inputs is then skipped."""
    sandbox.faults.add(fault, r"/models/")
    found, checks = examined()
    assert found == code
    assert with_status(checks, "fail") == ["model"]
    assert words in checks["model"]["message"]
    assert checks["inputs"]["status"] == "skip"


def test_no_ledger_yet_is_fine_and_none_is_made(
    sandbox: Sandbox, path: Path, examined: Doctor
) -> None:
    """The checks leave no traces."""
    code, checks = examined()
    assert code == 0
    assert checks["ledger"]["message"] == f"none yet; the first run makes {path}"
    assert not path.parent.exists()


def test_a_ledger_that_cannot_be_created_fails(
    sandbox: Sandbox, tmp_path: Path, examined: Doctor
) -> None:
    """Where a file is in the place of its folder."""
    (tmp_path / "file").touch()
    code, checks = examined("--ledger", str(tmp_path / "file" / "ledger.db"))
    assert code == 1
    assert "cannot be made" in checks["ledger"]["message"]
    assert "--ledger" in checks["ledger"]["advice"]


def test_without_a_ledger_its_checks_are_skipped(sandbox: Sandbox, examined: Doctor) -> None:
    """The user wants none."""
    code, checks = examined("--ledger", "none")
    assert code == 0
    assert with_status(checks, "skip") == NAMES[8:13]


def test_unfinished_and_uncertain_entries_are_counted(
    sandbox: Sandbox, path: Path, examined: Doctor
) -> None:
    """Those of this server and project, with the command that finishes them."""
    key = sandbox.api_key
    for base_url in (sandbox.base_url, "https://other.test/v1"):
        ledger = open_ledger(path, base_url=base_url, project_id=None, api_key=key)
        claim = posting(ledger, 1)
        end(ledger, claim, "uncertain")
        claimed(ledger, 2)
        submitted(ledger, 3)
        ledger.record_files("job_3", [])
        ledger.close()
    code, checks = examined()
    assert code == 0
    assert checks["entries"]["status"] == "warn"
    assert checks["entries"]["message"].startswith(
        "3 of this server and project, 2 unfinished (1 uncertain:"
    )
    assert "scenario-reframe resume" in checks["entries"]["advice"]
    assert checks["integrity"]["status"] == checks["writable"]["status"] == "ok"


def test_a_ledger_that_others_can_read_is_a_warning(
    sandbox: Sandbox, path: Path, examined: Doctor
) -> None:
    """With the command that repairs it."""
    open_ledger(path).close()
    path.chmod(0o644)
    code, checks = examined()
    assert code == 0
    assert checks["private"]["status"] == "warn"
    assert checks["private"]["advice"] == f"chmod 600 {path}"


def test_a_newer_ledger_fails_and_is_left_alone(
    sandbox: Sandbox, path: Path, examined: Doctor
) -> None:
    """It is the package that is too old."""
    open_ledger(path).close()
    sql(path, "INSERT INTO schema_version VALUES (99)")
    before = path.read_bytes()
    code, checks = examined()
    assert code == 1
    assert "version 99" in checks["ledger"]["message"]
    assert "pip install --upgrade" in checks["ledger"]["advice"]
    assert path.read_bytes() == before


def break_the_head(whole: bytes) -> bytes:
    """Keep the first page, and damage the rest."""
    return whole[:100] + b"\xff" * (len(whole) - 100)


def break_a_page(whole: bytes) -> bytes:
    """Damage the last table's rows and indexes."""
    return whole[:8192] + b"\xff" * (len(whole) - 8192)


@pytest.mark.parametrize("damage", [lambda _: b"Dear diary, " * 999, break_the_head, break_a_page])
def test_a_damaged_ledger_fails(
    damage: Callable[[bytes], bytes], sandbox: Sandbox, path: Path, examined: Doctor
) -> None:
    """Exit code 1; the file is not changed."""
    open_ledger(path).close()
    for number in range(20):
        content = f"{number:02}" * 1000
        sql(path, "INSERT INTO uploads (account, content) VALUES (1, ?)", content)
    spoilt = damage(path.read_bytes())
    path.write_bytes(spoilt)
    code, checks = examined()
    assert code == 1
    (failed,) = with_status(checks, "fail")
    assert failed in {"ledger", "integrity"}
    assert "damaged" in checks[failed]["message"]
    assert checks["entries"]["status"] == "skip"
    assert path.read_bytes() == spoilt


def test_a_ledger_that_another_program_locks_fails(
    sandbox: Sandbox, path: Path, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; it can still be read."""
    monkeypatch.setattr(doctor_ledger, "_LOCK_TIMEOUT", 0.02)
    open_ledger(path).close()
    lock = sqlite3.connect(path)
    try:
        lock.execute("BEGIN IMMEDIATE")
        code, checks = examined()
    finally:
        lock.close()
    assert code == 1
    assert with_status(checks, "fail") == ["writable"]
    assert "is locked by another program" in checks["writable"]["message"]
    assert checks["entries"]["status"] == "ok"


@pytest.mark.parametrize(
    "place", ["postgresql+nodriver://a:pw-in-url@127.0.0.1:1/x", "://", ":memory:", "a\0b"]
)
def test_an_invalid_ledger_fails(place: str, sandbox: Sandbox, examined: Doctor) -> None:
    """The password is not shown."""
    code, checks = examined("--ledger", place)
    assert code == 1
    assert with_status(checks, "fail") == ["ledger"]
    assert "pw-in-url" not in str(checks)


def test_a_missing_extra_is_shown_with_its_command(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox's is a warning, since real work does not need it."""
    missing = {"av", "uvicorn"}
    monkeypatch.setattr(doctor_command, "find_spec", lambda name: None if name in missing else name)
    code, checks = examined()
    assert code == 0
    assert checks["extra-sandbox"]["status"] == "warn"
    assert checks["extra-sandbox"]["message"] == "av, uvicorn not installed"
    assert checks["extra-sandbox"]["advice"] == "pip install 'scenario-reframe[sandbox]'"


def test_a_bug_in_one_check_stops_no_other(
    sandbox: Sandbox, examined: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its type is shown: its text may hold anything."""

    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("sandbox-secret")

    monkeypatch.setattr(doctor_server, "read_model", broken)
    code, checks = examined()
    assert code == 1
    assert checks["model"]["message"] == "unexpected ZeroDivisionError"
    assert checks["inputs"]["status"] == "skip"
    assert checks["extra-cli"]["status"] == "ok"


def test_the_exit_code_is_the_first_failures() -> None:
    """A warning is not a failure, nor is a check that was skipped because of one."""
    warned = Finding("a", "warn", "odd")
    refused = Finding("b", "fail", "no", code=3)
    assert exit_code([warned]) == 0
    assert exit_code([warned, refused, Finding("c", "fail", "no")]) == 3
    found = with_skipped(("b", "c"), [refused])
    assert [finding.status for finding in found] == ["fail", "skip"]
    assert found[1].line() == "skip c             not checked, because of b"


def test_a_finding_is_one_line_whatever_a_server_says() -> None:
    """No control sequence, no line end."""
    found = Finding("a", "fail", "red\x1b[31m\nline", "do\nthis")
    assert found.line() == "fail a             red line; do this"
    assert found.to_json()["message"] == "red line"
