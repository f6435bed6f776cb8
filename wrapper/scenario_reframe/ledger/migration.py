"""Creates the tables of a new ledger, and migrates those of an older version."""

import hashlib
import json
import secrets

from scenario_reframe.errors import ConfigurationError

from .accounts import new_salt
from .database import Row, Transaction
from .interface import ClipRequest
from .rows import request_key
from .tables import TABLES, VERSION

_ENTRY = """
    INSERT INTO entries (
        id, account, key, token, state, content, source, settings, target, owner, lease_until,
        fence, job_id, asset_ids, files, cost, error, created_at, updated_at
    ) VALUES (
        :id, :account, :key, :token, :state, :content, :source, :settings, :target, :owner,
        :lease_until, :fence, :job_id, :asset_ids, :files, :cost, :error, :created_at, :updated_at
    )
"""
_POST = """
    INSERT INTO posts (
        entry, body, seed, is_seed_drawn, opened_at, ended_at, longest, outcome, job_id, reason
    ) VALUES (
        :id, :body, :seed, :is_seed_drawn, :opened_at, :ended_at, :longest, :outcome, :job_id,
        :reason
    )
"""
# A request keeps one entry that is not failed: the newest that is done, else the only other one.
_RENAME = """
    UPDATE entries_1 SET key = key || ':' || id WHERE state <> 'failed' AND EXISTS (
        SELECT 1 FROM entries_1 o WHERE o.key = entries_1.key AND o.id <> entries_1.id
        AND o.state = 'done' AND (entries_1.state <> 'done' OR o.id > entries_1.id)
    )
"""
_ACCOUNTS = """
    INSERT INTO accounts (base_url, project)
    SELECT base_url, project_id FROM entries_1 UNION
    SELECT base_url, nullif(project_id, '') FROM uploads_1
"""
_UPLOADS = """
    INSERT INTO uploads (account, content, upload_id, asset_id)
    SELECT a.id, u.content, u.upload_id, u.asset_id FROM uploads_1 u
    JOIN accounts a ON a.base_url = u.base_url AND coalesce(a.project, '') = u.project_id
"""
_OLD_ENTRIES = """
    SELECT e.*, a.id AS account FROM entries_1 e JOIN accounts a
    ON a.base_url = e.base_url AND coalesce(a.project, '') = coalesce(e.project_id, '')
    ORDER BY e.id
"""
# What the states of version 1 mean now; it recorded the outcome of the last POST only.
_STATES = {"leased": "new", "intent": "posting"}
_OUTCOMES = {"leased": "deferred", "intent": "open", "uncertain": "uncertain"}
_LONGEST = 60.0


def prepare(transaction: Transaction, label: str) -> None:
    """Create the tables, or migrate them to VERSION. Raises ConfigurationError if newer."""
    transaction.run("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)")
    (version,) = transaction.one("SELECT coalesce(max(version), 0) FROM schema_version")
    if version == VERSION:
        return
    if version > VERSION:
        raise ConfigurationError(
            f"the ledger {label} has version {version}, this program supports {VERSION}: "
            "use a newer scenario-reframe"
        )
    if version == 1:
        transaction.run("ALTER TABLE entries RENAME TO entries_1")
        transaction.run("ALTER TABLE uploads RENAME TO uploads_1")
    for statement in TABLES:
        transaction.run(statement)
    new_salt(transaction)
    if version == 1:
        _copy(transaction)
    transaction.run("INSERT INTO schema_version (version) VALUES (:version)", version=VERSION)


def _copy(transaction: Transaction) -> None:
    """Copy from version 1, which had one row for a request and its last POST."""
    transaction.run(_ACCOUNTS)
    transaction.run(_UPLOADS)
    for row in transaction.rows("SELECT * FROM entries_1"):
        key = _key(row)
        transaction.run("UPDATE entries_1 SET key = :key WHERE id = :id", id=row["id"], key=key)
    transaction.run(_RENAME)
    for row in transaction.rows(_OLD_ENTRIES):
        _copy_entry(transaction, row)
    transaction.run("DROP TABLE entries_1")
    transaction.run("DROP TABLE uploads_1")


def _copy_entry(transaction: Transaction, row: Row) -> None:
    values = dict(row)
    if row["state"] == "leased":  # its owner, a program of version 1, can no longer use it
        values |= {"owner": None, "lease_until": 0.0}
    values |= {
        "state": _STATES.get(row["state"], row["state"]),
        "token": secrets.token_hex(16),
        "target": row["output"],
    }
    transaction.run(_ENTRY, **values)
    if row["body"] is not None:
        _copy_post(transaction, row)


def _copy_post(transaction: Transaction, row: Row) -> None:
    made = "made" if row["job_id"] else "refused"
    opened = row["posted_at"] or row["created_at"]
    settled = row["settled_at"] or row["updated_at"]
    is_open = row["state"] == "intent"
    transaction.run(
        _POST,
        id=row["id"],
        body=row["body"],
        seed=row["seed"],
        is_seed_drawn=int("seed" not in json.loads(row["settings"])),
        opened_at=opened,
        ended_at=None if is_open else settled,
        longest=max(settled - opened, 0.0) if is_open else _LONGEST,
        outcome=_OUTCOMES.get(row["state"], made),
        job_id=row["job_id"],
        reason=row["error"],
    )


def _key(row: Row) -> str:
    """The request key in today's form, if it was derived from the request's content."""
    settings = dict(sorted(json.loads(row["settings"]).items()))
    text = json.dumps([row["content"], settings, row["output"]])
    old = json.dumps([row["base_url"], row["project_id"], text])
    if hashlib.sha256(old.encode()).hexdigest() == row["key"]:
        return request_key(ClipRequest(key=text))
    return str(row["key"])
