"""How the ledger is, for `doctor`. It is looked at, and neither made nor changed."""

import os
import shlex
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from attrs import frozen
from sqlalchemy import URL, Connection, NullPool, create_engine, func, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from scenario_reframe.errors import ConfigurationError
from scenario_reframe.ledger import Ledger
from scenario_reframe.ledger_tables import ENTRIES, SCHEMA_VERSION, told
from scenario_reframe.recording import UNFINISHED

from .findings import UPGRADE, Finding

_PATIENCE = 5.0  # seconds for a lock; the ledger's own transactions take far less
_CHOOSE = "choose another place with --ledger or SCENARIO_LEDGER"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_VERSION_TABLE = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"
_ENTRIES_TABLE = "SELECT count(*) FROM sqlite_schema WHERE name = 'entries'"


@frozen
class Scope:
    """Whose entries are counted; no base URL if it cannot be read."""

    base_url: str | None
    project_id: str | None


def health(place: str, scope: Scope, resume: str) -> Iterator[Finding]:
    """What there is to say of a ledger. `resume`: the command that finishes its entries."""
    path = _file_of(place)
    if path is None:
        yield from _database(place, scope, resume)
    elif path.exists():
        yield from _file(path, scope, resume)
    else:
        yield from _absent(path)


def _file_of(place: str) -> Path | None:
    """The SQLite file, None for another database or nonsense."""
    if "://" not in place:
        return None if place == ":memory:" or "\0" in place else Path(place).absolute()
    try:
        url = make_url(place)
    except (SQLAlchemyError, ValueError):
        return None
    is_file = url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}
    return Path(url.database or "").absolute() if is_file else None


def _absent(path: Path) -> Iterator[Finding]:
    folder = next(parent for parent in path.parents if parent.exists())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        yield Finding("ledger", "ok", f"none yet; the first run makes {path}")
        for name in ("integrity", "private", "entries", "writable"):
            yield Finding(name, "skip", "there is no ledger yet")
    else:
        yield Finding("ledger", "fail", f"{path} cannot be made in {folder}", _CHOOSE)


def _file(path: Path, scope: Scope, resume: str) -> Iterator[Finding]:
    # Not through `Ledger`, which would make tables in it and bring it up to date.
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _PATIENCE})
    looks: dict[str, Callable[[Connection], Finding]] = {
        "ledger": partial(_version, path),
        "integrity": partial(_integrity, path),
        "private": lambda _: _private(path),
        "entries": partial(_entries, scope, resume),
        "writable": _writable,
    }
    for name, look in looks.items():
        try:
            with engine.connect() as connection:
                finding = look(connection)
        except SQLAlchemyError as fault:
            finding = Finding(name, "fail", f"{path} {told(fault)}")
        yield finding
        if finding.status == "fail":
            return


def _version(path: Path, connection: Connection) -> Finding:
    version = 0
    if connection.exec_driver_sql(_VERSION_TABLE).scalar():
        query = "SELECT max(version) FROM schema_version"
        version = connection.exec_driver_sql(query).scalar() or 0
    if version > SCHEMA_VERSION:
        message = f"{path} is of version {version}, this program knows {SCHEMA_VERSION}"
        return Finding("ledger", "fail", message, UPGRADE)
    if version == 0:
        return Finding("ledger", "ok", f"{path} is empty yet; the first run fills it")
    return Finding("ledger", "ok", f"{path}, version {version}")


def _integrity(path: Path, connection: Connection) -> Finding:
    answer = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    if answer == "ok":
        return Finding("integrity", "ok", "the file is whole")
    advice = f"copy what you need from scenario-reframe jobs list, then move it away, or {_CHOOSE}"
    return Finding("integrity", "fail", f"{path} is damaged ({answer})", advice)


def _private(path: Path) -> Finding:
    if os.name == "nt":
        return Finding("private", "skip", "Windows has no such mode")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        advice = f"chmod 600 {shlex.quote(str(path))}"
        return Finding("private", "warn", f"others may use {path} (mode {mode:04o})", advice)
    return Finding("private", "ok", f"mode {mode:04o}: nobody else can read it")


def _writable(connection: Connection) -> Finding:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    connection.exec_driver_sql("ROLLBACK")
    return Finding("writable", "ok", "it can be written")


def _entries(scope: Scope, resume: str, connection: Connection) -> Finding:
    if scope.base_url is None:
        return Finding("entries", "skip", "they belong to a base URL, which cannot be read")
    if not connection.exec_driver_sql(_ENTRIES_TABLE).scalar():
        return Finding("entries", "ok", "none yet")
    project = ENTRIES.c.project_id
    same = project.is_(None) if scope.project_id is None else project == scope.project_id
    query = select(ENTRIES.c.state, func.count()).group_by(ENTRIES.c.state)
    rows = connection.execute(query.where(ENTRIES.c.base_url == scope.base_url, same)).all()
    return _counted({row[0]: row[1] for row in rows}, resume)


def _counted(counts: dict[str, int], resume: str) -> Finding:
    unfinished = sum(count for state, count in counts.items() if state in UNFINISHED)
    uncertain = counts.get("uncertain", 0)
    message = f"{sum(counts.values()):,} of this server and project, {unfinished:,} unfinished"
    if not unfinished:
        return Finding("entries", "ok", message)
    if uncertain:
        message += f" ({uncertain:,} uncertain: it is not known whether a job was made)"
    return Finding("entries", "warn", message, f"{resume} finishes what no process is at")


def _database(place: str, scope: Scope, resume: str) -> Iterator[Finding]:
    """Another database than a file, or none that can be used: opened as a run does it."""
    base_url = scope.base_url or ""
    try:
        with closing(Ledger(place, base_url=base_url, project_id=scope.project_id)) as ledger:
            entries = ledger.entries()
    except ConfigurationError as fault:
        yield Finding("ledger", "fail", str(fault), _CHOOSE)
        return
    yield Finding("ledger", "ok", f"a database, version {SCHEMA_VERSION}")
    for name in ("integrity", "private"):
        yield Finding(name, "skip", "that is the database's own affair")
    yield _counted(Counter(entry.state for entry in entries), resume)
    yield Finding("writable", "ok", "it can be written")
