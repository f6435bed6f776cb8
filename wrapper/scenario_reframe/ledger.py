"""What was paid for, on disk: SQLAlchemy Core over one database that several processes share.

Short transactions only. A row has an owner, a lease by the database's clock with a heartbeat, and
a fence number that grows with every owner and that every later write checks: an owner that was
stopped and wakes up finds that it owns nothing. No credentials and no URLs are in it.
"""

import hashlib
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from attrs import fields
from sqlalchemy import (
    Column,
    Connection,
    Float,
    Row,
    Select,
    and_,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from .errors import ConfigurationError, LedgerBusyError
from .ledger_holds import Heart, Hold, is_gone
from .ledger_tables import ENTRIES, NOW, UPLOADS, migrate, open_database, told
from .models import Job, Submission
from .recording import UNFINISHED, Check, Entry, NoSlotError, Wanted, accept
from .timing import USUAL, Timing

T = TypeVar("T")


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
        timing: Timing = USUAL,
    ) -> None:
        self.patience = patience
        self._base_url = base_url
        self._project_id = project_id
        self._timing = timing
        self._shown, self._engine = open_database(where, timing.database_lock)
        self._now = literal_column(NOW[self._engine.dialect.name], Float)
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.heart = Heart(self.beat, timing.renewal)
        try:
            with self._transaction() as connection:
                migrate(connection, self._shown)
        except BaseException:
            self.close()
            raise

    keeps = True

    def __repr__(self) -> str:
        return f"Ledger({self._shown!r})"

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def take(self, wanted: Wanted, check: Check = accept) -> Hold:
        """Claim the unfinished entry of this key, or a new one.

        `check` gets the unfinished entry, or None, in the transaction that claims it. Raises
        LedgerBusyError if a living process works on it, and whatever `check` raises.
        """
        with self._transaction() as connection:
            return self._take(connection, wanted, check)

    def take_once(self, wanted: Wanted, check: Check = accept) -> Hold | Entry:
        """The same; but if this key has ended with files before, the newest such entry."""
        is_done = ENTRIES.c.key == self._key(wanted.key), ENTRIES.c.state == "done"
        query = select(ENTRIES).where(*is_done).order_by(ENTRIES.c.id.desc()).limit(1)
        with self._transaction() as connection:
            row = connection.execute(query).first()
            return self._take(connection, wanted, check) if row is None else _entry(row)

    def take_up(self, entry: Entry) -> Hold:
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

    def with_outputs(self, outputs: Sequence[str]) -> list[Entry]:
        """The entries whose results go to these places, oldest first."""
        query = select(ENTRIES).where(*self._mine()).order_by(ENTRIES.c.id)
        with self._transaction() as connection:
            return [
                _entry(row)
                for some in chunked(outputs)
                for row in connection.execute(query.where(ENTRIES.c.output.in_(some)))
            ]

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
        values |= _cost_of(job)
        with self._transaction() as connection:
            self._set(connection, values, job_id=job.id, states=("submitted", "ready"))

    def found(self, submission: Submission, job: Job) -> None:
        """Keep the job of a submission that was uncertain, if it is on record."""
        values: dict[str, Any] = {"state": "submitted", "job_id": job.id} | _cost_of(job)
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
        return self._of_upload(content, UPLOADS.c.asset_id)

    def upload_of(self, content: str) -> str | None:
        """The upload that this content was sent in, if it is not known what became of it."""
        return self._of_upload(content, UPLOADS.c.upload_id)

    def sent(self, content: str, upload_id: str) -> None:
        """Keep which upload a content was sent in."""
        self._keep_upload(content, {"upload_id": upload_id})

    def uploaded(self, content: str, asset_id: str) -> None:
        """Keep which asset a content became."""
        self._keep_upload(content, {"asset_id": asset_id})

    def forget_upload(self, content: str) -> None:
        """The server has this content no more."""
        with self._transaction() as connection:
            connection.execute(UPLOADS.delete().where(*self._upload(content)))

    def write(self, hold: Hold, values: Mapping[str, Any], states: Sequence[str]) -> bool:
        """Change a row in one of these states, if nobody has taken it up since."""
        with self._transaction() as connection:
            return self._set(connection, values, hold=hold, states=states)

    def begin_post(
        self, hold: Hold, values: Mapping[str, Any], states: Sequence[str], slots: int | None
    ) -> bool:
        """The same, if the lease still holds. Raises NoSlotError if no slot is free."""
        with self._transaction() as connection:
            if slots is not None:
                running = connection.execute(self._running(but=hold.entry.id)).all()
                if len(running) >= slots:
                    raise NoSlotError(slots, [row.job_id for row in running if row.job_id])
            return self._set(connection, values, hold=hold, states=states, within_lease=True)

    def keep_job(self, hold: Hold, job: Job) -> None:
        """Keep a paid job's id, whoever owns the row by now.

        Raises LedgerBusyError if another row has this job.
        """
        values: dict[str, Any] = {"state": "submitted", "job_id": job.id} | _cost_of(job)
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

    def beat(self, ids: Sequence[int]) -> None:
        """Prolong the leases of these entries, as far as they are still ours."""
        change = update(ENTRIES).values(lease_until=self._now + self._timing.lease)
        change = change.where(
            ENTRIES.c.owner == self._owner,
            ENTRIES.c.lease_until > self._now,
            ENTRIES.c.state.in_(UNFINISHED),
        )
        with self._transaction() as connection:
            for some in chunked(ids):
                connection.execute(change.where(ENTRIES.c.id.in_(some)))

    def _key(self, key: str) -> str:
        return hashlib.sha256(
            json.dumps([self._base_url, self._project_id, key]).encode()
        ).hexdigest()

    def _mine(self) -> tuple[Any, ...]:
        project = ENTRIES.c.project_id
        same = project.is_(None) if self._project_id is None else project == self._project_id
        return ENTRIES.c.base_url == self._base_url, same

    def _running(self, but: int) -> Select[Any]:
        """The job ids, None where they aren't known yet, of what takes a slot at the server."""
        is_posting = and_(ENTRIES.c.state == "intent", ENTRIES.c.settled_at > self._now)
        recent = ENTRIES.c.posted_at > self._now - self._timing.slot
        is_waiting = and_(ENTRIES.c.state == "submitted", recent)
        return select(ENTRIES.c.job_id).where(
            *self._mine(), or_(is_posting, is_waiting), ENTRIES.c.id != but
        )

    def _of_upload(self, content: str, column: Column[Any]) -> str | None:
        with self._transaction() as connection:
            found: str | None = connection.execute(
                select(column).where(*self._upload(content))
            ).scalar()
        return found

    def _keep_upload(self, content: str, values: Mapping[str, Any]) -> None:
        place = {"base_url": self._base_url, "project_id": self._project_id or ""}
        row = {**place, "content": content, **values}
        with self._transaction() as connection:
            connection.execute(UPLOADS.delete().where(*self._upload(content)))
            connection.execute(insert(UPLOADS).values(row))

    def _upload(self, content: str) -> tuple[Any, ...]:
        return (
            UPLOADS.c.base_url == self._base_url,
            UPLOADS.c.project_id == (self._project_id or ""),
            UPLOADS.c.content == content,
        )

    def _take(self, connection: Connection, wanted: Wanted, check: Check) -> Hold:
        query = select(ENTRIES).where(
            ENTRIES.c.key == self._key(wanted.key), ENTRIES.c.state.in_(UNFINISHED)
        )
        found = connection.execute(query).first()
        check(None if found is None else _entry(found))
        entry_id = self._begin(connection, wanted) if found is None else found.id
        return self._lease_out(connection, entry_id)

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

    def _lease_out(self, connection: Connection, entry_id: int) -> Hold:
        row = connection.execute(select(ENTRIES).where(ENTRIES.c.id == entry_id)).one()
        # An intent whose owner is gone was posted or was not: nobody knows.
        values = {
            "state": "uncertain" if row.state == "intent" else row.state,
            "owner": self._owner,
            "fence": row.fence + 1,
            "lease_until": self._now + self._timing.lease,
        }
        change = update(ENTRIES).values({**values, "updated_at": self._now})
        change = change.where(ENTRIES.c.id == entry_id, ENTRIES.c.fence == row.fence)
        if not is_gone(row.owner):
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
        hold: Hold | None = None,
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


def _cost_of(job: Job) -> dict[str, float]:
    """Where the server names none, the estimate stays."""
    return {} if job.cost is None else {"cost": job.cost}


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


def chunked(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """In pieces that fit into one statement."""
    for start in range(0, len(values), 500):
        yield values[start : start + 500]
