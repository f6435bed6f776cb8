"""The part of the ledger that needs no claim: jobs, entries, runs, uploads and the account."""

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from scenario_reframe.models import Job

from .accounts import Account
from .database import Database, Row, Transaction
from .interface import Entry, digest_of
from .posts import move_job_aside
from .rows import ENTRY, cleaned, encode_name, entry_of
from .submit_conditions import check_budget

_BEGIN_RUN = """
    INSERT INTO runs (account, targets, budget, created_at)
    VALUES (:account, :targets, :budget, CLOCK)
    ON CONFLICT (account, targets) DO UPDATE SET budget = excluded.budget RETURNING id
"""
_JOIN_RUN = "UPDATE entries SET run = :run WHERE account = :account AND target IN ITEMS"
_SEEN = """
    UPDATE entries SET state = :state, asset_ids = :asset_ids, cost = :cost, error = :error,
        updated_at = CLOCK WHERE id = :id
"""
_SAVED = "UPDATE entries SET state = 'done', files = :files, updated_at = CLOCK WHERE id = :id"
_RECORD_UPLOAD = """
    INSERT INTO uploads (account, content, upload_id, asset_id)
    VALUES (:account, :content, :upload_id, :asset_id)
    ON CONFLICT (account, content) DO UPDATE
    SET upload_id = excluded.upload_id, asset_id = excluded.asset_id
"""


class JobsAndUploads:
    """The methods of the ledger that need no claim. See `Ledger`."""

    database: Database
    account: Account

    @property
    def is_project_known(self) -> bool:
        """Whether the key's project is recorded, or was given by the caller."""
        if not self.account.is_known:  # another process may have learnt it
            with self.database.transaction() as transaction:
                self.account.id_in(transaction)
        return self.account.is_known

    def learn_project(self, project_id: str) -> None:
        """Record the project that the server names for this key."""

        def learn(transaction: Transaction) -> int:
            return self.account.learn(transaction, project_id)

        self.account.use(self.database.write_or_raise(learn))

    # --- jobs and entries -------------------------------------------------------------------------

    def owned_by_others(self, token: str, job_ids: Collection[str]) -> frozenset[str]:
        """Which of these jobs belong to other requests."""
        # An entry's further jobs (see `record_job`) are its own, except those moved aside (failed):
        # then another job is looked up.
        query = """SELECT e.job_id FROM entries e
            WHERE e.account = :account AND e.job_id IN ITEMS AND e.token <> :token
            AND NOT (e.state <> 'failed' AND EXISTS (SELECT 1 FROM entries o
                WHERE o.token = :token AND e.key = o.key || ':' || e.job_id))"""
        with self.database.transaction() as transaction:
            account, items = self.account.id_in(transaction), json.dumps(list(job_ids))
            rows = transaction.rows(query, account=account, items=items, token=token)
        return frozenset(row["job_id"] for row in rows)

    def record_status(self, job: Job) -> None:
        """Record the status of a job."""
        state = "ready" if job.is_success else "failed" if job.is_done else "submitted"

        def write(transaction: Transaction) -> None:
            row = self._of_job(transaction, job.id)
            if row is None or row["state"] not in ("submitted", "ready"):
                return
            new = {
                "state": state,
                "asset_ids": json.dumps(job.asset_ids) if job.asset_ids else row["asset_ids"],
                "cost": row["cost"] if job.cost is None else job.cost,
                "error": cleaned(job.error),
            }
            if any(row[name] != value for name, value in new.items()):  # no write without a change
                entry = move_job_aside(transaction, row) if state == "failed" else row["id"]
                transaction.run(_SEEN, id=entry, **new)

        self.database.write_or_raise(write)

    def record_files(self, job_id: str, files: Sequence[Path]) -> None:
        """Record the files of a job's results: its entry is done."""
        digests = {str(path.absolute()): digest_of(path) for path in files}

        def write(transaction: Transaction) -> None:
            row = self._of_job(transaction, job_id)
            if row is not None and row["state"] in ("submitted", "ready", "done"):
                known = json.loads(row["files"]) | digests
                transaction.run(_SAVED, id=row["id"], files=json.dumps(known))

        self.database.write_or_raise(write)

    def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """The entries of this account, newest first."""
        only = "AND state IN UNFINISHED" if unfinished else ""
        query = f"{ENTRY} WHERE account = :account {only} ORDER BY id DESC"
        with self.database.transaction() as transaction:
            rows = transaction.rows(query, account=self.account.id_in(transaction))
        return [entry_of(row) for row in rows]

    def with_targets(self, targets: Sequence[str]) -> list[Entry]:
        """The entries with these targets, oldest first."""
        query = f"{ENTRY} WHERE account = :account AND target IN ITEMS ORDER BY id"
        items = json.dumps([encode_name(target) for target in targets])
        with self.database.transaction() as transaction:
            account = self.account.id_in(transaction)
            rows = transaction.rows(query, account=account, items=items)
        return [entry_of(row) for row in rows]

    # --- runs -------------------------------------------------------------------------------------

    def begin_run(self, targets: Sequence[str], budget: float | None) -> int:
        """The id of the run of these targets, which other processes may share."""
        items = json.dumps(sorted({encode_name(target) or "" for target in targets}))
        digest = hashlib.sha256(items.encode()).hexdigest()
        with self.database.transaction() as transaction:
            account = self.account.id_in(transaction)
            row = transaction.one(_BEGIN_RUN, account=account, targets=digest, budget=budget)
            transaction.run(_JOIN_RUN, account=account, items=items, run=row["id"])
        return int(row["id"])

    def check_budget(self, run: int) -> None:
        """Raise BudgetSpentError if a run's budget is used up."""
        with self.database.transaction() as transaction:
            check_budget(transaction, run)

    # --- uploads ----------------------------------------------------------------------------------

    def asset_of(self, content: str) -> str | None:
        """The asset id that this content was uploaded as."""
        return self._upload(content)[1]

    def upload_of(self, content: str) -> str | None:
        """The id of the upload that sent this content and whose end is not known."""
        return self._upload(content)[0]

    def record_upload(self, content: str, upload_id: str) -> None:
        """Record that an upload has sent all of this content."""
        self._write_upload(content, upload_id=upload_id, asset_id=None)

    def record_asset(self, content: str, asset_id: str) -> None:
        """Record the asset that this content is on the server."""
        self._write_upload(content, upload_id=None, asset_id=asset_id)

    def forget_upload(self, content: str) -> None:
        """Forget that this content is on the server."""
        self._write_upload(content, upload_id=None, asset_id=None)

    def _upload(self, content: str) -> tuple[str | None, str | None]:
        query = """SELECT upload_id, asset_id FROM uploads
            WHERE account = :account AND content = :content"""
        with self.database.transaction() as transaction:
            account = self.account.id_in(transaction)
            row = transaction.row(query, account=account, content=content)
        return (None, None) if row is None else (row["upload_id"], row["asset_id"])

    def _write_upload(self, content: str, **ids: str | None) -> None:
        def write(transaction: Transaction) -> None:
            account = self.account.id_in(transaction)
            transaction.run(_RECORD_UPLOAD, account=account, content=content, **ids)

        self.database.write_or_raise(write)

    def _of_job(self, transaction: Transaction, job_id: str) -> Row | None:
        query = "SELECT * FROM entries WHERE account = :account AND job_id = :job_id"
        return transaction.row(query, account=self.account.id_in(transaction), job_id=job_id)
