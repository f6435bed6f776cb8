"""The ledger's checks, for `doctor`. They only read: no ledger is made or changed."""

import os
import shlex
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from attrs import frozen

from scenario_reframe.errors import ConfigurationError
from scenario_reframe.ledger.accounts import fingerprint_of
from scenario_reframe.ledger.database import explain
from scenario_reframe.ledger.default_path import path_of
from scenario_reframe.ledger.tables import VERSION
from scenario_reframe.secret import Secret

from .doctor_findings import UPGRADE, Finding

_LOCK_TIMEOUT = 5.0  # seconds; the ledger's own transactions take far less
_CHOOSE = "choose another path with --ledger or SCENARIO_LEDGER"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_FINISHED = {"done", "failed"}
_HAS_VERSION = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"
_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"
_COUNT = """
    SELECT state, count(*) FROM entries e JOIN accounts a ON a.id = e.account
    WHERE a.base_url = :base_url AND CASE
        WHEN :project IS NOT NULL THEN a.project = :project
        WHEN :fingerprint IS NOT NULL THEN
            a.id IN (SELECT account FROM keys WHERE fingerprint = :fingerprint)
        ELSE 1 END GROUP BY state
"""
_COUNT_1 = """
    SELECT state, count(*) FROM entries WHERE base_url = :base_url
    AND coalesce(project_id, '') = coalesce(:project, '') GROUP BY state
"""


@frozen
class EntryFilter:
    """Which entries are counted: the project's, else the key's, else all of the server.

    `base_url` is None if it is not a URL.
    """

    base_url: str | None
    project_id: str | None
    api_key: Secret[str] | None = None


def ledger_checks(location: str, chosen: EntryFilter, resume: str) -> Iterator[Finding]:
    """The findings on a ledger. `resume`: the command that finishes its entries."""
    try:
        path = path_of(location)
    except ConfigurationError as fault:
        yield Finding("ledger", "fail", str(fault), _CHOOSE)
        return
    yield from _check_file(path, chosen, resume) if path.exists() else _check_folder(path)


def _check_folder(path: Path) -> Iterator[Finding]:
    """Where there is no ledger yet: whether one can be made."""
    folder = next(parent for parent in path.parents if parent.exists())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        yield Finding("ledger", "ok", f"none yet; the first run makes {path}")
        for name in ("integrity", "private", "entries", "writable"):
            yield Finding(name, "skip", "there is no ledger yet")
    else:
        yield Finding("ledger", "fail", f"{path} cannot be made in {folder}", _CHOOSE)


def _check_file(path: Path, chosen: EntryFilter, resume: str) -> Iterator[Finding]:
    """The checks of a ledger's file, up to the first that fails."""
    # Not through `SqlLedger`, which would create or migrate its tables.
    checks: dict[str, Callable[[sqlite3.Connection], Finding]] = {
        "ledger": partial(_version, path),
        "integrity": partial(_integrity, path),
        "private": lambda _: _private(path),
        "entries": partial(_entries, chosen, resume),
        "writable": _writable,
    }
    for name, check in checks.items():
        mode = "rw" if name == "writable" else "ro"
        try:
            with closing(_opened(path, mode)) as connection:
                finding = check(connection)
        except sqlite3.Error as fault:
            finding = Finding(name, "fail", f"{path} {explain(fault)}")
        yield finding
        if finding.status == "fail":
            return


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT, isolation_level=None)


def _version_of(connection: sqlite3.Connection) -> int:
    (has_version,) = connection.execute(_HAS_VERSION).fetchone()
    return int(connection.execute(_VERSION).fetchone()[0]) if has_version else 0


def _version(path: Path, connection: sqlite3.Connection) -> Finding:
    version = _version_of(connection)
    if version > VERSION:
        message = f"{path} has version {version}, and this program knows {VERSION}"
        return Finding("ledger", "fail", message, UPGRADE)
    if version == 0:
        return Finding("ledger", "ok", f"{path} is still empty; the first run fills it")
    later = "" if version == VERSION else f"; the next run migrates it to version {VERSION}"
    return Finding("ledger", "ok", f"{path}, version {version}{later}")


def _integrity(path: Path, connection: sqlite3.Connection) -> Finding:
    answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if answer == "ok":
        return Finding("integrity", "ok", "the file is not damaged")
    advice = f"copy what you need from scenario-reframe jobs list, then move it away, or {_CHOOSE}"
    return Finding("integrity", "fail", f"{path} is damaged ({answer})", advice)


def _private(path: Path) -> Finding:
    if os.name == "nt":
        return Finding("private", "skip", "Windows has no file modes")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        advice = f"chmod 600 {shlex.quote(str(path))}"
        return Finding(
            "private", "warn", f"other users can access {path} (mode {mode:04o})", advice
        )
    return Finding("private", "ok", f"mode {mode:04o}: no other user can access it")


def _writable(connection: sqlite3.Connection) -> Finding:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
    return Finding("writable", "ok", "it can be written")


def _entries(chosen: EntryFilter, resume: str, connection: sqlite3.Connection) -> Finding:
    if chosen.base_url is None:
        return Finding("entries", "skip", "the base URL that they belong to is not valid")
    version = _version_of(connection)
    if version == 0:
        return Finding("entries", "ok", "none yet")
    values = {"base_url": chosen.base_url, "project": chosen.project_id, "fingerprint": None}
    if version > 1 and chosen.api_key is not None:
        (salt,) = connection.execute("SELECT salt FROM salt").fetchone()
        values["fingerprint"] = fingerprint_of(salt, chosen.api_key)
    rows = connection.execute(_COUNT if version > 1 else _COUNT_1, values).fetchall()
    return _counted(dict(rows), resume)


def _counted(counts: dict[str, int], resume: str) -> Finding:
    unfinished = sum(count for state, count in counts.items() if state not in _FINISHED)
    uncertain = counts.get("uncertain", 0)
    message = f"{sum(counts.values()):,} of this server and project, {unfinished:,} unfinished"
    if not unfinished:
        return Finding("entries", "ok", message)
    if uncertain:
        message += f" ({uncertain:,} uncertain: it is not known whether a job was made)"
    return Finding(
        "entries", "warn", message, f"{resume} finishes those that no process is working on"
    )
