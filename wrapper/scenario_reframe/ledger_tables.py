"""The ledger's tables, and how its database is opened and brought up to date."""

import os
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from .errors import ConfigurationError

SCHEMA_VERSION = 1
_MOMENT = 0.01

_META = MetaData()
ENTRIES = Table(
    "entries",
    _META,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False),
    Column("state", String, nullable=False),
    Column("owner", String),
    Column("lease_until", Float, nullable=False, default=0.0),
    Column("fence", Integer, nullable=False, default=0),
    Column("base_url", String, nullable=False),
    Column("project_id", String),
    Column("content", String),
    Column("source", String),
    Column("settings", String, nullable=False),
    Column("output", String),
    Column("body", String),
    Column("seed", Integer),
    Column("posted_at", Float),
    Column("settled_at", Float),
    Column("job_id", String, unique=True),
    Column("asset_ids", String, nullable=False, default="[]"),
    Column("files", String, nullable=False, default="{}"),
    Column("cost", Float),
    Column("error", String),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
Index(
    "one_unfinished_per_key",
    ENTRIES.c.key,
    unique=True,
    sqlite_where=text("state NOT IN ('done', 'failed')"),
    postgresql_where=text("state NOT IN ('done', 'failed')"),
)
Index("by_key", ENTRIES.c.key)
Index("by_state", ENTRIES.c.state)
Index("by_output", ENTRIES.c.output)
UPLOADS = Table(
    "uploads",
    _META,
    Column("base_url", String, primary_key=True),
    Column("project_id", String, primary_key=True),
    Column("content", String, primary_key=True),
    Column("upload_id", String),
    Column("asset_id", String),
)
_VERSION = Table("schema_version", _META, Column("version", Integer, primary_key=True))
_MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_META.create_all,)
"""The step at place n leads from version n to version n + 1."""

# Read when a statement runs, so that no process's own clock decides about a lease.
NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch from clock_timestamp())",
}


def open_database(where: str | os.PathLike[str], lock: float) -> tuple[str, Engine]:
    """The place as it may be shown, and the engine. Raises ConfigurationError.

    `lock`: seconds for which another transaction may hold an SQLite file.
    """
    place = os.fspath(where)
    try:
        url = make_url(place) if "://" in place else URL.create("sqlite", database=place)
        shown = url.render_as_string(hide_password=True) if "://" in place else place
        if url.get_backend_name() not in NOW:
            raise ConfigurationError(f"the ledger {shown}: SQLite and PostgreSQL are supported")
        if url.get_backend_name() != "sqlite":
            return shown, create_engine(url)
    except (SQLAlchemyError, ImportError, ValueError) as fault:
        raise ConfigurationError(
            f"the ledger is at no place that can be used ({type(fault).__name__}): give a path, "
            "or a database URL whose driver is installed"
        ) from fault
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("the ledger needs a file: what is in memory would be lost")
    return shown, _open_file(url, lock)


def _open_file(url: URL, lock: float) -> Engine:
    path = Path(url.database or "").absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigurationError(
            f"the ledger {path} cannot be written: {why}; choose another place"
        ) from fault
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": lock})
    event.listen(engine, "connect", partial(_on_connect, lock=lock))
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: object, *, lock: float) -> None:
    connection.isolation_level = None  # transactions begin as _on_begin says
    try:
        _use_wal(connection, time.monotonic() + lock)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise


def _use_wal(connection: Any, deadline: float) -> None:
    """Set the journal's mode, for which SQLite does not wait when others open the new file too."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_MOMENT)


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def migrate(connection: Connection, shown: str) -> None:
    """Bring the tables up to SCHEMA_VERSION. Raises ConfigurationError if they are newer."""
    _VERSION.create(connection, checkfirst=True)
    version = connection.execute(select(func.max(_VERSION.c.version))).scalar() or 0
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"the ledger {shown} is of version {version}, this program knows {SCHEMA_VERSION}: "
            "use a newer scenario-reframe"
        )
    for number, step in enumerate(_MIGRATIONS[version:], version + 1):
        step(connection)
        connection.execute(insert(_VERSION).values(version=number))


def told(fault: SQLAlchemyError) -> str:
    """What a fault of the database means, in words that follow the name of the ledger."""
    cause = str(fault.orig) if isinstance(fault, DBAPIError) else type(fault).__name__
    if "locked" in cause:
        return f"is locked by another program ({cause}); end it, or choose another place"
    if "not a database" in cause or "malformed" in cause:
        return f"is no ledger, or is damaged ({cause}); move it away, or choose another place"
    if "readonly" in cause or "read-only" in cause:
        return f"cannot be written ({cause}); choose another place"
    return f"cannot be used ({cause})"
