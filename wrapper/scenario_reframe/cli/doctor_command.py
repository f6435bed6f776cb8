"""`doctor`: checks everything a run needs, with GETs only, so that nothing is paid."""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from platform import python_version

import httpx
from attrs import evolve

from scenario_reframe.api.sanitize import without_secrets
from scenario_reframe.credentials import (
    KEY_VARIABLES,
    SECRET_VARIABLES,
    Credentials,
    find_base_url,
    find_credentials,
    find_project_id,
)
from scenario_reframe.errors import ConfigurationError

from .doctor_findings import Finding, Status, exit_code, with_skipped
from .doctor_server import server_checks
from .exit_codes import REFUSED, shell_command
from .flags import Connection
from .output import print_json, print_line

_SERVER = ("server", "latency", "clock", "accepted", "model", "inputs")
_LEDGER = ("ledger", "integrity", "private", "entries", "writable")
_EXTRAS: dict[str, tuple[Status, tuple[str, ...]]] = {
    "cli": ("fail", ("cyclopts", "rich")),
    "sandbox": ("warn", ("av", "jsonschema", "starlette", "uvicorn")),
}
"""Each extra's modules, and the status if one is missing: real work needs no sandbox."""


def doctor(connection: Connection, *, as_json: bool) -> int:
    """Print one line for each check; the exit code of the first that failed, or 0."""
    findings = examine(connection)
    if as_json:
        print_json({"checks": [finding.to_json() for finding in findings]})
    else:
        for finding in findings:
            print_line(finding.line())
    return exit_code(findings)


def examine(
    connection: Connection, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[Finding]:
    """The findings of all checks, in order. Never raises; `now` is this machine's clock."""
    credentials, found = _credentials()
    findings = [
        *_run_checks(("versions",), _versions()),
        found,
        *_run_checks(_SERVER, server_checks(connection, credentials, now)),
        *_run_checks(_LEDGER, _ledger(connection, credentials)),
        *_run_checks([f"extra-{name}" for name in _EXTRAS], _extras()),
    ]
    return [_redacted(finding, credentials) for finding in findings]


def _run_checks(names: Sequence[str], checks: Iterator[Finding]) -> list[Finding]:
    """The findings of some checks; one that raises is a failure, later ones are skipped."""
    found: list[Finding] = []
    try:
        found.extend(checks)
    except Exception as fault:  # noqa: BLE001 - the other checks go on; its text may hold secrets
        known = {finding.name for finding in found}
        name = next((name for name in names if name not in known), names[-1])
        message = f"unexpected {type(fault).__name__}"
        found.append(Finding(name, "fail", message, "this is a bug in doctor: please report it"))
    return with_skipped(names, found)


def _redacted(finding: Finding, credentials: Credentials | None) -> Finding:
    """The finding without credentials and signatures that a server may have echoed."""
    message = without_secrets(finding.message)
    return evolve(finding, message=credentials.redact(message) if credentials else message)


def _versions() -> Iterator[Finding]:
    yield Finding(
        "versions",
        "ok",
        f"scenario-reframe {version('scenario-reframe')}, Python {python_version()}, "
        f"httpx {httpx.__version__}",
    )


def _credentials() -> tuple[Credentials | None, Finding]:
    used = [_variable(names) for names in (KEY_VARIABLES, SECRET_VARIABLES)]
    missing = [
        names[0]
        for name, names in zip(used, (KEY_VARIABLES, SECRET_VARIABLES), strict=True)
        if name is None
    ]
    if missing:
        what = " and ".join(missing)
        message = f"{what} {'is' if len(missing) == 1 else 'are'} not set"
        advice = f"set {what} (in Scenario: Project Settings, API Keys); without an account, run "
        advice += "scenario-reframe sandbox"
        return None, Finding("credentials", "fail", message, advice, REFUSED)
    try:
        found = find_credentials(None, None)
    except ConfigurationError as fault:
        return None, Finding("credentials", "fail", str(fault), "set it again", REFUSED)
    return found, Finding("credentials", "ok", f"{used[0]} and {used[1]} are set")


def _variable(names: Sequence[str]) -> str | None:
    return next((name for name in names if os.environ.get(name)), None)


def _ledger(connection: Connection, credentials: Credentials | None) -> Iterator[Finding]:
    location = connection.ledger_location()
    if location is None:
        yield from (Finding(name, "skip", "no ledger is used") for name in _LEDGER)
        return
    from .doctor_ledger import EntryFilter, ledger_checks  # noqa: PLC0415 - imports sqlite3

    try:
        base_url = find_base_url(connection.base_url)
    except ConfigurationError:
        base_url = None
    api_key = None if credentials is None else credentials.key
    chosen = EntryFilter(base_url, find_project_id(connection.project_id), api_key)
    yield from ledger_checks(location, chosen, shell_command("resume", connection=connection))


def _extras() -> Iterator[Finding]:
    for extra, (status, modules) in _EXTRAS.items():
        missing = [name for name in modules if _is_missing(name)]
        if missing:
            message = f"{', '.join(missing)} not installed"
            advice = f"pip install 'scenario-reframe[{extra}]'"
            yield Finding(f"extra-{extra}", status, message, advice)
        else:
            yield Finding(f"extra-{extra}", "ok", "installed")


def _is_missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ValueError:  # loaded, but not from an installed file
        return False
