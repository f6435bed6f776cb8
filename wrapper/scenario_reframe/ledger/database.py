"""The connection to the ledger's database: all threads take turns, and a child gets another.

What could not be written is kept here until it can be.
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

from .tables import spelled

_LOG = logging.getLogger("scenario_reframe")
_MOMENT = 0.01
# What only a value can be at fault for: the same write would fail for ever.
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
    """Runs statements; their values have names."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """All rows of the answer."""
        return self._connection.execute(spelled(sql), values).fetchall()

    def row(self, sql: str, **values: Any) -> Row | None:
        """The first row."""
        return next(iter(self.rows(sql, **values)), None)

    def one(self, sql: str, **values: Any) -> Row:
        """The first row, of which it is known that it is there."""
        return self.rows(sql, **values)[0]

    def run(self, sql: str, **values: Any) -> int:
        """How many rows were changed."""
        return self._connection.execute(spelled(sql), values).rowcount


Write = Callable[[Transaction], Any]


class Database:
    """A file, or a database in memory that ends with this object."""

    def __init__(self, where: str | os.PathLike[str] | None, timing: Timing) -> None:
        self._path = None if where is None else path_of(os.fspath(where))
        self.shown = "in memory" if self._path is None else str(self._path)
        self._timing = timing
        self._lock = threading.Lock()
        self._late: list[Write] = []
        self._identity: tuple[int, int] | None = None
        self._is_closed = False
        self._is_held = False  # by a fork that is going on
        with self._translated():
            self._connection: sqlite3.Connection | None = self._connect()
        if self._path is not None:
            self._identity = _identity(self._path)
        _OPEN.add(self)

    @contextmanager
    def transaction(self, patience: float | None = None) -> Iterator[Transaction]:
        """What was put off, and then a transaction.

        `patience`: seconds for which others may hold the database. Raises ConfigurationError when
        it cannot be used, LedgerBusyError when somebody else was quicker.
        """
        with self._translated(), self._turn(patience) as connection:
            self._write_late(connection)
            with _begun(connection) as transaction:
                yield transaction

    def keep(self, write: Callable[[Transaction], T], otherwise: T) -> T:
        """Write what has happened. If it cannot be written now, it is written later."""
        try:
            return self.keep_or_raise(write)
        except (ConfigurationError, LedgerBusyError) as fault:
            _LOG.warning("%s; it is tried again", fault)
            return otherwise

    def keep_or_raise(self, write: Callable[[Transaction], T]) -> T:
        """The same; but whoever asked for it is told that it is written later."""
        try:
            with self.transaction() as transaction:
                return write(transaction)
        except (ConfigurationError, LedgerBusyError):
            self._late.append(write)
            raise

    def check_in_place(self) -> None:
        """Raise ConfigurationError unless the file is still the one that was opened."""
        if self._path is not None and _identity(self._path) != self._identity:
            raise ConfigurationError(
                f"the ledger {self.shown} was removed or replaced while it was in use: "
                "nothing was submitted"
            )

    def close(self) -> None:
        """Write what was put off, and close the connection.

        What comes later opens the file for as long as it takes: a job's id is never lost.
        """
        if self._late:
            with suppress(ConfigurationError), self.transaction():
                pass
        if self._late:
            _LOG.warning("the ledger %s lacks the last %d changes", self.shown, len(self._late))
        self._is_closed = True
        with self._lock:
            self._disconnect()

    def before_fork(self) -> None:
        """Let no child have a handle of SQLite: it would break the locks of its parent."""
        self._is_held = self._lock.acquire(timeout=self._timing.last_check)
        if self._is_held and self._path is not None:
            self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._is_held:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew. A handle that is here all the same must be neither used nor closed."""
        self._lock = threading.Lock()
        self._late = []
        if self._connection is not None:
            _PARENTS.append(self._connection)
            self._connection = None

    @contextmanager
    def _turn(self, patience: float | None) -> Iterator[sqlite3.Connection]:
        patience = self._timing.database_lock if patience is None else patience
        deadline = time.monotonic() + patience
        lock = self._lock
        if not lock.acquire(timeout=patience):
            raise sqlite3.OperationalError("database is locked by a thread of this program")
        try:
            connection = self._connected()
            left = max(0.0, deadline - time.monotonic())
            # Rounded: each other text would be a statement of its own in the connection's cache.
            connection.execute(f"PRAGMA busy_timeout = {round(left * 100) * 10}")
            yield connection
        finally:
            if self._is_closed:
                self._disconnect()
            lock.release()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path is None:
                raise ConfigurationError("what was in memory is not there any more")
            self.check_in_place()
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

    def _write_late(self, connection: sqlite3.Connection) -> None:
        while self._late:
            try:
                with _begun(connection) as transaction:
                    self._late[0](transaction)
            except _BAD_VALUES as fault:
                _LOG.warning("the ledger %s cannot keep one change (%s)", self.shown, fault)
            del self._late[0]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as fault:
            raise LedgerBusyError(
                "another process did the same at the same moment: nothing was submitted. Try again"
            ) from fault
        except (sqlite3.Error, UnicodeEncodeError, OverflowError) as fault:
            raise ConfigurationError(f"the ledger {self.shown} {told(fault)}") from fault


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


def told(fault: Exception) -> str:
    """What a fault of the database means, in words that follow the name of the ledger."""
    cause = str(fault)
    if "locked" in cause:
        return f"is locked by another program ({cause}); end it, or choose another place"
    if "not a database" in cause or "malformed" in cause:
        return f"is no ledger, or is damaged ({cause}); move it away, or choose another place"
    if "readonly" in cause or "read-only" in cause or "unable to open" in cause:
        return f"cannot be written ({cause}); choose another place"
    return f"cannot be used ({cause})"


def path_of(place: str) -> Path:
    """The file of a ledger. Raises ConfigurationError if it would be in none."""
    if "://" in place and not place.startswith("sqlite:///"):
        if place.startswith("postgresql"):
            raise ConfigurationError("the ledger: PostgreSQL is not supported yet; give a path")
        raise ConfigurationError("the ledger is at no place that can be used: give a path")
    path = place.removeprefix("sqlite:///")
    if path in {"", ":memory:"}:
        raise ConfigurationError("the ledger needs a file: what is in memory would be lost")
    if "\0" in path:
        raise ConfigurationError("the ledger is at no place that can be used: a NUL is in its path")
    return Path(path).absolute()


def _make_file(path: Path) -> None:
    """Make the file and its folder, for their owner alone, if they are not there.

    A file that is there is not opened: closing it would end the locks that SQLite has on it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigurationError(
            f"the ledger {path} cannot be written: {why}; choose another place"
        ) from fault


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Set the journal's mode, for which SQLite does not wait when others open the new file too."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_MOMENT)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another that has its name; nothing on Windows, which keeps it."""
    if os.name == "nt":
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


_OPEN: "weakref.WeakSet[Database]" = weakref.WeakSet()
_PARENTS: list[sqlite3.Connection] = []
"""Handles that a child process has of its parent, kept from being closed."""


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
