"""Which account a key's rows belong to, and what happens when its project becomes known."""

import hashlib
import secrets

from scenario_reframe.secret import Secret

from .database import Transaction

_OF_KEY = """
    SELECT a.id, a.project FROM keys k JOIN accounts a ON a.id = k.account
    WHERE k.fingerprint = :fingerprint AND a.base_url = :base_url
"""
_OF_PROJECT = "SELECT id FROM accounts WHERE base_url = :base_url AND project = :project"
# Rows older than the fingerprints belong to the first key that asks for them.
_WITHOUT_KEY = """
    SELECT id FROM accounts WHERE base_url = :base_url AND project IS NULL
    AND NOT EXISTS (SELECT 1 FROM keys WHERE account = accounts.id)
"""
_CREATE = "INSERT INTO accounts (base_url, project) VALUES (:base_url, :project) RETURNING id"
_NOTE_KEY = """
    INSERT INTO keys (account, fingerprint) VALUES (:account, :fingerprint) ON CONFLICT DO NOTHING
"""
# Of two entries of one request, the one that is done keeps the key, else the older one: a
# request that was bought or begun is found by its key, so nothing is bought again.
_RENAME = """
    UPDATE entries SET key = key || ':' || token
    WHERE account IN (:mine, :theirs) AND state <> 'failed' AND EXISTS (
        SELECT 1 FROM entries o WHERE o.account IN (:mine, :theirs) AND o.key = entries.key
        AND o.id <> entries.id AND o.state <> 'failed' AND (
            (o.state = 'done' AND (entries.state <> 'done' OR o.id > entries.id))
            OR (o.state <> 'done' AND entries.state <> 'done' AND o.id < entries.id)
        )
    )
"""
# A job that two entries claim stays with the one that is done, else with the older one.
_DROP_JOB = """
    UPDATE entries SET job_id = NULL,
        state = CASE WHEN state IN ('submitted', 'ready') THEN 'uncertain' ELSE state END
    WHERE account IN (:mine, :theirs) AND EXISTS (
        SELECT 1 FROM entries o WHERE o.account IN (:mine, :theirs)
        AND o.job_id = entries.job_id AND (
            (o.state = 'done' AND entries.state <> 'done')
            OR ((o.state = 'done') = (entries.state = 'done') AND o.id < entries.id)
        )
    )
"""
_OPEN_AGAIN = """
    UPDATE posts SET outcome = 'uncertain', job_id = NULL WHERE outcome = 'made' AND entry IN (
        SELECT id FROM entries WHERE account IN (:mine, :theirs)
        AND state = 'uncertain' AND job_id IS NULL
    )
"""
_MERGE = (
    _RENAME,
    _DROP_JOB,
    _OPEN_AGAIN,
    """UPDATE entries SET run = (
        SELECT t.id FROM runs t JOIN runs m ON t.targets = m.targets
        WHERE t.account = :theirs AND m.id = entries.run
    ) WHERE account = :mine AND run IN (
        SELECT m.id FROM runs t JOIN runs m ON t.targets = m.targets
        WHERE t.account = :theirs AND m.account = :mine
    )""",
    """DELETE FROM runs WHERE account = :mine
        AND targets IN (SELECT targets FROM runs WHERE account = :theirs)""",
    "UPDATE runs SET account = :theirs WHERE account = :mine",
    "UPDATE entries SET account = :theirs WHERE account = :mine",
    """INSERT INTO uploads (account, content, upload_id, asset_id)
        SELECT :theirs, content, upload_id, asset_id FROM uploads WHERE account = :mine
        ON CONFLICT DO NOTHING""",
    "DELETE FROM uploads WHERE account = :mine",
    """INSERT INTO keys (account, fingerprint)
        SELECT :theirs, fingerprint FROM keys WHERE account = :mine ON CONFLICT DO NOTHING""",
    "DELETE FROM keys WHERE account = :mine",
    "DELETE FROM accounts WHERE id = :mine",
)


class Account:
    """One server and one project; until the project is known, one server and one key."""

    def __init__(
        self,
        transaction: Transaction,
        base_url: str,
        project_id: str | None,
        api_key: str | Secret[str],
    ) -> None:
        self._base_url = base_url
        self._fingerprint = fingerprint_of(transaction.one("SELECT salt FROM salt")[0], api_key)
        self._id: int | None = None
        if project_id is not None:
            self._id = self._find_or_create(transaction, project_id)

    @property
    def is_known(self) -> bool:
        """Whether its project is known."""
        return self._id is not None

    def use(self, account: int) -> None:
        """Use this account's row from now on, since its project is known."""
        self._id = account

    def id_in(self, transaction: Transaction) -> int:
        """The id of its row, looked up each time until the project is known in this process."""
        if self._id is not None:
            return self._id
        values = {"base_url": self._base_url, "fingerprint": self._fingerprint}
        found = transaction.rows(_OF_KEY, **values)
        unnamed = [int(row["id"]) for row in found if row["project"] is None]
        if unnamed:
            return unnamed[0]
        # The server named this project. That the key was used with a project that the caller named
        # proves nothing: a request without one may belong to another one.
        if found:
            self._id = int(found[0]["id"])
            return self._id
        (account,) = transaction.row(_WITHOUT_KEY, **values) or transaction.one(
            _CREATE, **values, project=None
        )
        transaction.run(_NOTE_KEY, account=account, **values)
        return int(account)

    def learn(self, transaction: Transaction, project: str) -> int:
        """Merge its rows with those of this project. Returns the id of the row."""
        mine = self.id_in(transaction)
        if self._id is not None:
            return mine
        values = {"base_url": self._base_url, "project": project}
        known = transaction.row(_OF_PROJECT, **values)
        if known is None:
            transaction.run(
                "UPDATE accounts SET project = :project WHERE id = :id", id=mine, **values
            )
            return mine
        for statement in _MERGE:
            transaction.run(statement, mine=mine, theirs=known["id"])
        return int(known["id"])

    def _find_or_create(self, transaction: Transaction, project: str) -> int:
        values = {"base_url": self._base_url, "project": project}
        (account,) = transaction.row(_OF_PROJECT, **values) or transaction.one(_CREATE, **values)
        return int(account)


def fingerprint_of(salt: str, api_key: str | Secret[str]) -> str:
    """A hash that distinguishes keys in this ledger, and reveals nothing outside it."""
    return hashlib.sha256((salt + Secret.of(api_key).reveal()).encode()).hexdigest()


def new_salt(transaction: Transaction) -> None:
    """Give a new ledger a salt of its own."""
    transaction.run("INSERT INTO salt (salt) VALUES (:salt)", salt=secrets.token_hex(16))
