"""The rows of POSTs, and how the end of a POST changes its entry."""

import json
import secrets

from scenario_reframe.models import Job, Submission

from .database import Row, Transaction
from .interface import UNFINISHED, Claim, Post, SubmitConditions
from .lease import owns
from .rows import PostRow, cleaned, seconds_of

_OPEN = """
    INSERT INTO posts (
        entry, body, seed, is_seed_drawn, twin, server_before, opened_at, longest, outcome
    ) VALUES (
        :entry, :body, :seed, :is_seed_drawn, :twin, :server_before, CLOCK, :longest, 'open'
    ) RETURNING id
"""
_SET_POSTING = """
    UPDATE entries SET state = 'posting', cost = coalesce(:price, cost),
        lease_until = CLOCK + :lease, updated_at = CLOCK WHERE id = :id
"""
# The outcome `made` is final: the reply named a job.
_END = """
    UPDATE posts SET ended_at = :ended, server_ended = :server_ended, reason = :reason,
        overslept = :overslept,
        outcome = CASE WHEN outcome = 'made' THEN outcome ELSE :outcome END
    WHERE id = :id
"""
_ENTRY_OF = """
    SELECT e.*, CLOCK AS now, (
        SELECT count(*) FROM posts o
        WHERE o.entry = e.id AND o.id <> p.id AND o.outcome = 'open'
    ) AS others_open, (
        SELECT count(*) FROM posts o
        WHERE o.entry = e.id AND o.id <> p.id AND o.outcome = 'uncertain'
    ) AS others_uncertain FROM posts p JOIN entries e ON e.id = p.entry WHERE p.id = :id
"""
_SET_STATE = "UPDATE entries SET state = :state, updated_at = CLOCK WHERE id = :id"
_SET_JOB = """
    UPDATE entries SET state = 'submitted', job_id = :job_id, cost = coalesce(:cost, cost),
        updated_at = CLOCK WHERE id = :id
"""
# The job is assigned to the POST that was sent last, as far as that can be known.
_MADE = """
    UPDATE posts SET outcome = 'made', job_id = :job_id, entry = :entry,
        overslept = CASE WHEN outcome = 'open' AND :lease_until < CLOCK THEN 1 ELSE overslept END,
        ended_at = CASE WHEN outcome = 'open' THEN CLOCK ELSE ended_at END
    WHERE id = (
        SELECT id FROM posts WHERE entry = :id AND outcome <> 'refused' AND job_id IS NULL
        ORDER BY CASE outcome WHEN 'open' THEN 0 WHEN 'made' THEN 1 ELSE 2 END, id DESC LIMIT 1
    )
"""
_INSERT_BESIDE = """
    INSERT INTO entries (
        account, key, token, state, content, source, settings, target, run, job_id, cost,
        created_at, updated_at
    ) SELECT account, :key, :token, 'submitted', content, source, settings, target, run, :job_id,
        coalesce(:cost, cost), created_at, CLOCK FROM entries WHERE id = :id RETURNING id
"""
_DETACH_JOB = """
    UPDATE entries SET state = 'uncertain', job_id = NULL, asset_ids = '[]', updated_at = CLOCK
    WHERE id = :id
"""
_MOVE_POST = "UPDATE posts SET entry = :beside WHERE entry = :id AND job_id = :job_id"
COUNT_UNRESOLVED = "SELECT count(*) FROM posts WHERE entry = :id AND outcome IN UNRESOLVED"


def add_post(
    transaction: Transaction,
    row: Row,
    submission: Submission,
    conditions: SubmitConditions,
    longest: float,
) -> int:
    """Insert the row of a POST that is about to be sent; returns its id."""
    made = transaction.one(
        _OPEN,
        entry=row["id"],
        body=json.dumps(dict(submission.body)),
        seed=submission.seed,
        is_seed_drawn=int(submission.is_seed_drawn),
        twin=conditions.twin,
        server_before=seconds_of(submission.server_time),
        longest=longest,
    )
    return int(made["id"])


def set_posting(transaction: Transaction, row: Row, price: float | None, lease: float) -> None:
    """Set an entry to `posting`, with a fresh lease even if the last one has lapsed."""
    transaction.run(_SET_POSTING, id=row["id"], price=price, lease=lease)


def delete_post(transaction: Transaction, claim: Claim, post: PostRow, owner: str) -> None:
    """Delete the row of a POST of which nothing was sent."""
    row = transaction.row(_ENTRY_OF, id=post.id)
    if row is not None and owns(row, claim, owner) and row["state"] == "posting":
        transaction.run("DELETE FROM posts WHERE id = :id", id=post.id)
        transaction.run(_SET_STATE, id=row["id"], state=post.before)


def record_end(
    transaction: Transaction,
    claim: Claim,
    post: PostRow,
    reason: str,
    *,
    ago: float,
    owner: str,
    lease: float,
) -> None:
    """Record how a POST ended, `ago` seconds before now."""
    row = transaction.row(_ENTRY_OF, id=post.id)
    if row is None:
        return
    is_ours, ended = owns(row, claim, owner), row["now"] - ago
    transaction.run(
        _END,
        id=post.id,
        ended=ended,
        server_ended=seconds_of(post.server_ended),
        reason=cleaned(reason),
        overslept=int(not is_ours or row["lease_until"] < ended),
        outcome=post.outcome,
    )
    state = _state_after(row, post, is_ours=is_ours)
    transaction.run(_SET_STATE, id=row["id"], state=state)
    if is_ours:
        renew = "UPDATE entries SET lease_until = CLOCK + :lease WHERE id = :id"
        transaction.run(renew, id=row["id"], lease=lease)


def store_job(transaction: Transaction, account: int, token: str, job: Job) -> bool:
    """Store a request's job in its entry or one beside it; False if it is another entry's."""
    row = transaction.row("SELECT * FROM entries WHERE token = :token", token=token)
    holder = transaction.row(
        "SELECT id, key FROM entries WHERE account = :account AND job_id = :job_id",
        account=account if row is None else row["account"],
        job_id=job.id,
    )
    if row is None:  # a request without an entry
        return holder is None
    if holder is not None:
        return bool(holder["id"] == row["id"] or holder["key"] == _key_beside(row, job.id))
    entry = row["id"]
    if row["job_id"] is None and row["state"] in UNFINISHED:
        transaction.run(_SET_JOB, id=row["id"], job_id=job.id, cost=job.cost)
    else:
        entry = _insert_beside(transaction, row, job.id, job.cost)
    lease_until = row["lease_until"]
    transaction.run(_MADE, id=row["id"], entry=entry, job_id=job.id, lease_until=lease_until)
    return True


def move_job_aside(transaction: Transaction, row: Row) -> int:
    """Move a failed job to an entry beside its own, if another POST may have made a job, too.

    Returns the id of the entry that holds the failed job. Its request stays open for the other job.
    """
    (unresolved,) = transaction.one(COUNT_UNRESOLVED, id=row["id"])
    if not unresolved:
        return int(row["id"])
    transaction.run(_DETACH_JOB, id=row["id"])
    beside = _insert_beside(transaction, row, row["job_id"], row["cost"])
    transaction.run(_MOVE_POST, id=row["id"], beside=beside, job_id=row["job_id"])
    return beside


def _insert_beside(transaction: Transaction, row: Row, job_id: str, cost: float | None) -> int:
    """Store a job in a new entry beside that of its request; returns the new entry's id."""
    key, token = _key_beside(row, job_id), secrets.token_hex(16)
    made = transaction.one(
        _INSERT_BESIDE, id=row["id"], key=key, token=token, job_id=job_id, cost=cost
    )
    return int(made["id"])


def _key_beside(row: Row, job_id: str) -> str:
    """The key of the entry that holds another job of this request."""
    return f"{row['key']}:{job_id}"


def _state_after(row: Row, post: Post, *, is_ours: bool) -> str:
    """The state of an entry after the end of one of its POSTs."""
    state = str(row["state"])
    if state not in ("new", "claimed", "posting", "uncertain"):
        return state
    if row["others_open"]:  # a later owner's POST
        return state
    if post.outcome == "made":  # `store_job` sets the state
        return state
    if row["others_uncertain"] or post.outcome in ("open", "uncertain"):
        return "uncertain"
    return "claimed" if is_ours else state
