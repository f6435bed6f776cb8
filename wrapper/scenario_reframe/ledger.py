"""What was paid for, on disk: SQLAlchemy Core over one database that several processes share.

Short transactions only. A row has an owner, a lease by the database's clock with a heartbeat, and
a fence number that grows with every owner and that every later write checks: an owner that was
stopped and wakes up finds that it owns nothing. No credentials and no URLs are in it.
"""

import hashlib
import json
import logging
import os
import secrets
import socket
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import fields
from sqlalchemy import Connection, Float, Row, insert, literal_column, select, update
from sqlalchemy.exc import SQLAlchemyError

from .errors import ConfigurationError, LedgerBusyError, ReframeError
from .ledger_tables import ENTRIES, NOW, UPLOADS, migrate, open_database, told
from .models import Job, Submission
from .recording import UNFINISHED, Entry, Wanted
from .text import unsigned

_LOG = logging.getLogger("scenario_reframe")

LEASE_SECONDS = 30.0


class Ledger:
    """The ledger of one project at one server.

    `where`: a path (SQLite, on this machine, mode 0600) or a database URL. `patience`: seconds
    for which a POST may go on after it began. Raises ConfigurationError when it cannot be opened,
    is of a newer version, or is no ledger.
    """

    def __init__(
        self,
        where: str | os.PathLike[str],
        *,
        base_url: str = "",
        project_id: str | None = None,
        patience: float = 60.0,
        lease_seconds: float | None = None,
    ) -> None:
        self.patience = patience
        self._base_url = base_url
        self._project_id = project_id
        self._lease = LEASE_SECONDS if lease_seconds is None else lease_seconds
        self._shown, self._engine = open_database(where)
        self._now = literal_column(NOW[self._engine.dialect.name], Float)
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        with self._transaction() as connection:
            migrate(connection, self._shown)

    keeps = True

    def __repr__(self) -> str:
        return f"Ledger({self._shown!r})"

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def take(self, wanted: Wanted) -> "Hold":
        """Take up the unfinished entry of this key, or begin a new one.

        Raises LedgerBusyError if a living process is at it.
        """
        with self._transaction() as connection:
            query = select(ENTRIES.c.id).where(*self._unfinished(wanted))
            found = connection.execute(query).scalar()
            if found is None:
                found = self._begin(connection, wanted)
            return self._lease_out(connection, found)

    def unfinished(self, wanted: Wanted) -> Entry | None:
        """The unfinished entry of this key, if there is one."""
        query = select(ENTRIES).where(*self._unfinished(wanted))
        with self._transaction() as connection:
            row = connection.execute(query).first()
        return None if row is None else _entry(row)

    def take_up(self, entry: Entry) -> "Hold":
        """Take up one unfinished entry of this server and project.

        Raises LedgerBusyError if a living process is at it, ConfigurationError if it is another
        ledger's, or finished.
        """
        with self._transaction() as connection:
            query = select(ENTRIES.c.id).where(
                ENTRIES.c.id == entry.id,
                ENTRIES.c.key == entry.key,
                ENTRIES.c.state.in_(UNFINISHED),
                *self._mine(),
            )
            if connection.execute(query).scalar() is None:
                raise ConfigurationError(
                    f"entry {entry.id} is finished, or of another ledger, server or project"
                )
            return self._lease_out(connection, entry.id)

    def entries(self, *, unfinished: bool = False, most: int = 1000) -> list[Entry]:
        """The entries of this server and project, newest first."""
        query = select(ENTRIES).where(*self._mine())
        if unfinished:
            query = query.where(ENTRIES.c.state.in_(UNFINISHED))
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(ENTRIES.c.id.desc()).limit(most)).all()
        return [_entry(row) for row in rows]

    def claimed(self) -> frozenset[str]:
        """Ids of all jobs on record."""
        with self._transaction() as connection:
            query = select(ENTRIES.c.job_id).where(ENTRIES.c.job_id.is_not(None))
            return frozenset(connection.execute(query).scalars())

    def seen(self, job: Job) -> None:
        """Keep what the server says of a job: a fact, whoever owns the row."""
        state = "ready" if job.is_success else "failed" if job.is_done else "submitted"
        values: dict[str, Any] = {"state": state, "error": job.error}
        if job.asset_ids:
            values["asset_ids"] = json.dumps(job.asset_ids)
        if job.cost is not None:
            values["cost"] = job.cost
        with self._transaction() as connection:
            self._set(connection, values, job_id=job.id, states=("submitted", "ready"))

    def found(self, submission: Submission, job: Job) -> None:
        """Keep the job of a submission that was uncertain, if it is on record."""
        values = {"state": "submitted", "job_id": job.id, "cost": job.cost}
        change = update(ENTRIES).values({**values, "updated_at": self._now})
        change = change.where(
            *self._mine(),
            ENTRIES.c.state.in_(("intent", "uncertain")),
            ENTRIES.c.body == json.dumps(dict(submission.body)),
        )
        with self._transaction() as connection:
            connection.execute(change)

    def saved(self, job_id: str, files: Sequence[Path]) -> None:
        """Keep where a job's results are, with their SHA-256."""
        digests = {}
        for path in files:
            with path.open("rb") as file:
                digests[str(path.absolute())] = hashlib.file_digest(file, "sha256").hexdigest()
        values = {"state": "done", "files": json.dumps(digests)}
        with self._transaction() as connection:
            self._set(connection, values, job_id=job_id, states=("submitted", "ready", "done"))

    def asset_of(self, content: str) -> str | None:
        """The asset that this content was uploaded as."""
        query = select(UPLOADS.c.asset_id).where(*self._upload(content))
        with self._transaction() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def uploaded(self, content: str, asset_id: str) -> None:
        """Keep which asset a content became."""
        with self._transaction() as connection:
            connection.execute(UPLOADS.delete().where(*self._upload(content)))
            row = {"base_url": self._base_url, "project_id": self._project_id or ""}
            row |= {"content": content, "asset_id": asset_id}
            connection.execute(insert(UPLOADS).values(row))

    def forget_upload(self, content: str) -> None:
        """The server has this content no more."""
        with self._transaction() as connection:
            connection.execute(UPLOADS.delete().where(*self._upload(content)))

    def write(
        self,
        hold: "Hold",
        values: Mapping[str, Any],
        states: Sequence[str],
        *,
        within_lease: bool = False,
    ) -> bool:
        """Change a row in one of these states, if nobody has taken it up since."""
        with self._transaction() as connection:
            return self._set(
                connection, values, hold=hold, states=states, within_lease=within_lease
            )

    def keep_job(self, hold: "Hold", job: Job) -> None:
        """Keep a paid job's id, whoever owns the row by now.

        Raises LedgerBusyError if another row has this job.
        """
        values = {"state": "submitted", "job_id": job.id, "cost": job.cost}
        with self._transaction() as connection:
            holder = select(ENTRIES.c.id).where(ENTRIES.c.job_id == job.id)
            owner = connection.execute(holder).scalar()
            if owner == hold.entry.id:
                return
            if owner is not None:
                raise LedgerBusyError(f"job {job.id} belongs to another entry of the ledger")
            row = connection.execute(select(ENTRIES).where(ENTRIES.c.id == hold.entry.id)).one()
            if row.job_id is None and row.state in UNFINISHED:
                self._set(connection, values, entry_id=hold.entry.id)
                return
            # Somebody else finished this row meanwhile: our job is kept beside it.
            kept = {**row._asdict(), **values, "key": f"{row.key}:{job.id}", "owner": None}
            del kept["id"]
            connection.execute(insert(ENTRIES).values(kept | {"lease_until": 0.0}))

    def beat(self, hold: "Hold") -> bool:
        """Prolong a lease; False if it is lost."""
        with self._transaction() as connection:
            lease = {"lease_until": self._now + self._lease}
            return self._set(connection, lease, hold=hold, states=UNFINISHED, within_lease=True)

    @property
    def lease_seconds(self) -> float:
        """How long a lease holds without a heartbeat."""
        return self._lease

    def _key(self, key: str) -> str:
        return hashlib.sha256(
            json.dumps([self._base_url, self._project_id, key]).encode()
        ).hexdigest()

    def _unfinished(self, wanted: Wanted) -> tuple[Any, ...]:
        return ENTRIES.c.key == self._key(wanted.key), ENTRIES.c.state.in_(UNFINISHED)

    def _mine(self) -> tuple[Any, ...]:
        project = ENTRIES.c.project_id
        same = project.is_(None) if self._project_id is None else project == self._project_id
        return ENTRIES.c.base_url == self._base_url, same

    def _upload(self, content: str) -> tuple[Any, ...]:
        return (
            UPLOADS.c.base_url == self._base_url,
            UPLOADS.c.project_id == (self._project_id or ""),
            UPLOADS.c.content == content,
        )

    def _begin(self, connection: Connection, wanted: Wanted) -> int:
        row = {
            "key": self._key(wanted.key),
            "state": "leased",
            "base_url": self._base_url,
            "project_id": self._project_id,
            "content": wanted.content,
            "source": wanted.source,
            "settings": json.dumps(wanted.settings),
            "output": wanted.output,
            "created_at": self._now,
            "updated_at": self._now,
        }
        made = connection.execute(insert(ENTRIES).values(row).returning(ENTRIES.c.id))
        return int(made.scalar_one())

    def _lease_out(self, connection: Connection, entry_id: int) -> "Hold":
        row = connection.execute(select(ENTRIES).where(ENTRIES.c.id == entry_id)).one()
        # An intent whose owner is gone was posted or was not: nobody knows.
        values = {
            "state": "uncertain" if row.state == "intent" else row.state,
            "owner": self._owner,
            "fence": row.fence + 1,
            "lease_until": self._now + self._lease,
        }
        change = update(ENTRIES).values({**values, "updated_at": self._now})
        change = change.where(ENTRIES.c.id == entry_id, ENTRIES.c.fence == row.fence)
        if not _is_gone(row.owner):
            change = change.where(ENTRIES.c.lease_until <= self._now)
        if not connection.execute(change).rowcount:
            told = f", job {row.job_id}" if row.job_id else ""
            raise LedgerBusyError(
                f"a running process ({row.owner}) is at this already{told}: nothing was submitted. "
                "Let it end, or end it, and try again"
            )
        taken = connection.execute(select(ENTRIES).where(ENTRIES.c.id == entry_id)).one()
        return Hold(self, _entry(taken), taken.fence)

    def _set(
        self,
        connection: Connection,
        values: Mapping[str, Any],
        *,
        entry_id: int | None = None,
        job_id: str | None = None,
        hold: "Hold | None" = None,
        states: Sequence[str] | None = None,
        within_lease: bool = False,
    ) -> bool:
        change = update(ENTRIES).values({**values, "updated_at": self._now})
        if entry_id is not None:
            change = change.where(ENTRIES.c.id == entry_id)
        if job_id is not None:
            change = change.where(ENTRIES.c.job_id == job_id)
        if hold is not None:
            change = change.where(ENTRIES.c.id == hold.entry.id, ENTRIES.c.fence == hold.fence)
        if within_lease:
            change = change.where(ENTRIES.c.lease_until > self._now)
        if states is not None:
            change = change.where(ENTRIES.c.state.in_(states))
        return bool(connection.execute(change).rowcount)

    @property
    def now(self) -> Any:
        """The database's clock, for use in a statement."""
        return self._now

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as fault:
            raise ConfigurationError(f"the ledger {self._shown} {told(fault)}") from fault


class Hold:
    """One entry that is ours for as long as the heart beats."""

    def __init__(self, ledger: Ledger, entry: Entry, fence: int) -> None:
        self.entry = entry
        self.fence = fence
        self._ledger = ledger
        self._released = threading.Event()
        beating = (weakref.ref(self), self._released, ledger.lease_seconds / 3)
        threading.Thread(
            target=_beat, args=beating, name="scenario-reframe-lease", daemon=True
        ).start()

    def begin_post(self, submission: Submission) -> None:
        """Put the intent on record, if the row is still ours, right before the POST.

        Raises LedgerBusyError if it is not: then nothing may be sent.
        """
        values = {
            "state": "intent",
            "body": json.dumps(dict(submission.body)),
            "seed": submission.seed,
            "posted_at": self._ledger.now,
            "settled_at": self._ledger.now + self._ledger.patience,
        }
        states = ("leased", "intent", "uncertain")
        if not self._ledger.write(self, values, states, within_lease=True):
            raise LedgerBusyError(
                "this was taken up by another process while this one slept; nothing was submitted"
            )

    def posted(self, job: Job) -> None:
        """Keep the job's id. Raises LedgerBusyError if another entry has this job."""
        self._ledger.keep_job(self, job)

    def not_made(self, error: ReframeError) -> None:
        """No job was made: the entry is closed, and the same may be asked for again."""
        self._tell({"state": "failed", "error": unsigned(str(error))[:500]}, ("leased", "intent"))

    def uncertain(self) -> None:
        """It is not known whether a job was made."""
        self._tell({"state": "uncertain"}, ("intent", "uncertain"))

    def given_up(self, error: BaseException) -> None:
        """Close what was not posted by the time its owner was told of an error.

        Nobody who has read that nothing was paid wants a later run to pay.
        """
        self._tell({"state": "failed", "error": unsigned(repr(error))[:500]}, ("leased",))

    def released(self) -> None:
        """Stop the heart, and let others at it."""
        self._released.set()
        self._tell({"lease_until": 0.0}, UNFINISHED)

    def _tell(self, values: Mapping[str, Any], states: Sequence[str]) -> None:
        # What happened has happened: a ledger that cannot be written must not hide it.
        try:
            self._ledger.write(self, values, states)
        except ReframeError as fault:
            _LOG.warning("the ledger could not be written: %s", fault)


def _is_gone(owner: str | None) -> bool:
    """Whether an owner was a process of this machine that has ended: no need to wait for its lease.

    The fence keeps things right even where this errs.
    """
    host, _, rest = (owner or "").rpartition(":")[0].rpartition(":")
    if os.name != "posix" or host != socket.gethostname() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _beat(of: "weakref.ref[Hold]", released: threading.Event, seconds: float) -> None:
    """Prolong a lease for as long as somebody has the hold."""
    while not released.wait(seconds):
        hold = of()
        if hold is None:
            return
        # A ledger that is locked for a while may answer the next beat.
        with suppress(ReframeError):
            if not hold._ledger.beat(hold):  # noqa: SLF001 - its own thread
                return
        del hold


def _entry(row: Row[Any]) -> Entry:
    names = {column.name for column in ENTRIES.columns} & {name.name for name in fields(Entry)}
    plain = {name: getattr(row, name) for name in names}
    unpacked = {
        "settings": json.loads(row.settings),
        "body": json.loads(row.body) if row.body else None,
        "asset_ids": tuple(json.loads(row.asset_ids)),
        "files": tuple(json.loads(row.files)),
    }
    return Entry(**plain | unpacked)
