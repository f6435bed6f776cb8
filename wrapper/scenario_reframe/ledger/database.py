"""The connection to the ledger's database, shared by all threads; a forked child opens its own.

A write that fails is kept here, and repeated with the next transaction.
"""

import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from scenario_reframe.errors import ConfigurationError, LedgerBusyError
from scenario_reframe.timing import Timing

from .default_path import path_of
from .tables import in_dialect

_LOG = logging.getLogger("scenario_reframe")
_WAL_RETRY_SECONDS = 0.01
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
# Errors that only a bad value causes: the same write would always fail.
_BAD_VALUES = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    UnicodeEncodeError,
    OverflowError,
)

Row = sqlite3.Row
T = TypeVar("T")


class Transaction:
    """Runs statements with named values."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """All rows of the result."""
        return self._connection.execute(in_dialect(sql), values).fetchall()

    def row(self, sql: str, **values: Any) -> Row | None:
        """The first row, if any."""
        return next(iter(self.rows(sql, **values)), None)

    def one(self, sql: str, **values: Any) -> Row:
        """The first row, which must exist."""
        return self.rows(sql, **values)[0]

    def run(self, sql: str, **values: Any) -> int:
        """Run a statement; returns the number of changed rows."""
        return self._connection.execute(in_dialect(sql), values).rowcount


Write = Callable[[Transaction], Any]


class Database:
    """A database in a file, or in memory for as long as this object lives."""

    def __init__(self, where: str | os.PathLike[str] | None, timing: Timing) -> None:
        self._path = None if where is None else path_of(os.fspath(where))
        self.label = "in memory" if self._path is None else str(self._path)
        self._timing = timing
        self._lock = threading.Lock()
        self._postponed: list[Write] = []
        self._identity: tuple[int, int] | None = None
        self._is_closed = False
        self._is_locked_for_fork = False
        with self._translated():
            self._connection: sqlite3.Connection | None = self._connect()
        if self._path is not None:
            self._identity = _identity(self._path)
        _OPEN.add(self)

    @contextmanager
    def transaction(self, lock_timeout: float | None = None) -> Iterator[Transaction]:
        """Run the postponed writes, then a transaction.

        `lock_timeout`: seconds to wait for a locked database. Raises ConfigurationError if it
        cannot be used, LedgerBusyError if another process wrote the same row first.
        """
        with self._translated(), self._locked(lock_timeout) as connection:
            self._write_postponed(connection)
            with _begun(connection) as transaction:
                yield transaction

    def write_now_or_later(self, write: Callable[[Transaction], T], otherwise: T) -> T:
        """Write a fact, or postpone the write and return `otherwise` if it fails now."""
        try:
            return self.write_or_raise(write)
        except (ConfigurationError, LedgerBusyError) as fault:
            _LOG.warning("%s; the write is tried again later", fault)
            return otherwise

    def write_or_raise(self, write: Callable[[Transaction], T]) -> T:
        """The same, but if the write is postponed, raise why."""
        try:
            with self.transaction() as transaction:
                return write(transaction)
        except (ConfigurationError, LedgerBusyError):
            self._postponed.append(write)
            raise

    def check_file(self) -> None:
        """Raise ConfigurationError if the file is no longer the one that was opened."""
        if self._path is not None and _identity(self._path) != self._identity:
            raise ConfigurationError(
                f"the ledger {self.label} was removed or replaced while it was in use: "
                "nothing was submitted"
            )

    def close(self) -> None:
        """Run the postponed writes, and close the connection.

        A later write opens the file again for a moment: a job's id is never lost.
        """
        if self._postponed:
            with suppress(ConfigurationError), self.transaction():
                pass
        if self._postponed:
            _LOG.warning(
                "the ledger %s lacks the last %d changes", self.label, len(self._postponed)
            )
        self._is_closed = True
        with self._lock:
            self._disconnect()

    def before_fork(self) -> None:
        """Close the handle: a child that inherited it would break its parent's locks."""
        self._is_locked_for_fork = self._lock.acquire(timeout=self._timing.last_check)
        if self._is_locked_for_fork and self._path is not None:
            self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Unlock."""
        if self._is_locked_for_fork:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start afresh. An inherited handle must be neither used nor closed."""
        self._lock = threading.Lock()
        self._postponed = []
        if self._connection is not None:
            _INHERITED.append(self._connection)
            self._connection = None

    @contextmanager
    def _locked(self, lock_timeout: float | None) -> Iterator[sqlite3.Connection]:
        """The connection, which no other thread of this program uses meanwhile."""
        lock_timeout = self._timing.database_lock if lock_timeout is None else lock_timeout
        deadline = time.monotonic() + lock_timeout
        lock = self._lock
        if not lock.acquire(timeout=lock_timeout):
            raise sqlite3.OperationalError("database is locked by another thread of this program")
        try:
            connection = self._connected()
            left = max(0.0, deadline - time.monotonic())
            # Rounded, because the connection caches every distinct text as a statement.
            connection.execute(f"PRAGMA busy_timeout = {round(left * 100) * 10}")
            yield connection
        finally:
            if self._is_closed:
                self._disconnect()
            lock.release()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path is None:
                raise ConfigurationError("the ledger in memory ended with its connection")
            self.check_file()
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            _make_file(self._path)
        lock = self._timing.database_lock
        connection = sqlite3.connect(
            self._path or ":memory:", timeout=lock, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            if self._path is not None:
                _use_wal(connection, time.monotonic() + lock)
                connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write_postponed(self, connection: sqlite3.Connection) -> None:
        while self._postponed:
            try:
                with _begun(connection) as transaction:
                    self._postponed[0](transaction)
            except _BAD_VALUES as fault:
                _LOG.warning("the ledger %s cannot store one change (%s)", self.label, fault)
            del self._postponed[0]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as fault:
            raise LedgerBusyError(
                "another process did the same at the same moment: nothing was submitted; try again"
            ) from fault
        except (sqlite3.Error, UnicodeEncodeError, OverflowError) as fault:
            raise ConfigurationError(f"the ledger {self.label} {explain(fault)}") from fault


@contextmanager
def _begun(connection: sqlite3.Connection) -> Iterator[Transaction]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield Transaction(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def explain(fault: Exception) -> str:
    """What an error of the database means and how to fix it, to follow the ledger's name."""
    cause = str(fault)
    if "locked" in cause:
        return f"is locked by another program ({cause}); end it, or choose another path"
    if "not a database" in cause or "malformed" in cause:
        return f"is not a ledger, or is damaged ({cause}); move it away, or choose another path"
    if "readonly" in cause or "read-only" in cause or "unable to open" in cause:
        return f"cannot be written ({cause}); choose another path"
    return f"cannot be used ({cause})"


def _make_file(path: Path) -> None:
    """Make the file and its folder if missing, readable by their owner only; through a link, too.

    An existing file is not opened, since closing it would drop the locks that SQLite has on it.
    """
    try:
        real = Path(os.path.realpath(path))
        real.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigurationError(
            f"the ledger {path} cannot be written: {why}; choose another path"
        ) from fault


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Set WAL mode; SQLite does not wait by itself while others open the new file, too."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as fault:
            # Anything else, such as a file that cannot be written, is not a matter of time.
            if fault.sqlite_errorcode not in _BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_SECONDS)


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None on Windows, where an open file cannot be replaced."""
    if os.name == "nt":
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


_OPEN: "weakref.WeakSet[Database]" = weakref.WeakSet()
_INHERITED: list[sqlite3.Connection] = []
"""Handles that a child process inherited, kept so that nothing closes them."""


def _each(act: Callable[[Database], None]) -> Callable[[], None]:
    def act_on_all() -> None:
        for database in list(_OPEN):
            act(database)

    return act_on_all


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_each(Database.before_fork),
        after_in_parent=_each(Database.after_fork_in_parent),
        after_in_child=_each(Database.after_fork_in_child),
    )
