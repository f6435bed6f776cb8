"""What must hold in the moment of a POST: twins, slots and the budget, counted from the rows."""

from scenario_reframe.errors import LedgerBusyError

from .database import Row, Transaction
from .interface import BudgetSpentError, Claim, NoSlotError, Terms, TwinOpenError
from .rows import unpacked

_ROUNDING = 1e-9
# One whose lease has ended is not waited for: whoever claims it makes it uncertain.
_TWINS = """
    SELECT e.source, e.target,
        CASE WHEN p.outcome = 'uncertain' OR (p.outcome = 'open' AND e.lease_until <= CLOCK)
            THEN 1 ELSE 0 END AS is_uncertain
    FROM posts p JOIN entries e ON e.id = p.entry
    WHERE p.twin = :twin AND p.outcome IN UNRESOLVED
    AND e.account = :account AND e.id <> :id AND e.state IN UNFINISHED AND e.job_id IS NULL
    ORDER BY is_uncertain DESC, p.id LIMIT 1
"""
_RUNNING = """
    SELECT e.job_id FROM entries e WHERE e.account = :account AND e.id <> :id
    AND e.state IN ('posting', 'submitted') AND (
        (e.state = 'posting' AND EXISTS (
            SELECT 1 FROM posts p WHERE p.entry = e.id AND p.outcome = 'open'
            AND e.lease_until + p.longest > CLOCK))
        OR (e.state = 'submitted' AND CLOCK - :slot < coalesce(
            (SELECT max(p.opened_at) FROM posts p WHERE p.entry = e.id), e.created_at)))
"""
# Of an entry that had to be kept beside another, too: it is in the same run.
_SPENT = """
    SELECT r.budget, coalesce((
        SELECT sum(e.cost) FROM entries e WHERE e.run = r.id AND e.id <> :id AND (
            e.job_id IS NOT NULL OR e.state IN ('posting', 'uncertain') OR EXISTS (
                SELECT 1 FROM posts p WHERE p.entry = e.id
                AND p.outcome IN UNRESOLVED))
    ), 0) AS spent FROM runs r WHERE r.id = :run
"""


def owned(transaction: Transaction, claim: Claim, owner: str) -> Row:
    """The entry, if its POST may go out as far as its owner and state go."""
    row = transaction.row("SELECT * FROM entries WHERE token = :token", token=claim.token)
    if row is None or (row["fence"], row["owner"]) != (claim.fence, owner):
        raise LedgerBusyError(
            "this was claimed by another process while this one slept; nothing was submitted"
        )
    if row["state"] not in ("claimed", "uncertain"):
        job = f", as job {row['job_id']}" if row["job_id"] else ""
        raise LedgerBusyError(f"this was submitted already{job}; nothing was submitted again")
    return row


def check_terms(transaction: Transaction, row: Row, terms: Terms, slot: float) -> None:
    """Raise what keeps this entry's POST from going out now.

    `slot`: seconds for which a job that nobody has seen to end counts as running.
    """
    _check_twin(transaction, row, terms.twin)
    if terms.slots is not None:
        running = transaction.rows(_RUNNING, account=row["account"], id=row["id"], slot=slot)
        if len(running) >= terms.slots:
            raise NoSlotError(terms.slots, [one["job_id"] for one in running if one["job_id"]])
    _check_price(transaction, row, terms.price)
    if terms.check_target is not None:
        terms.check_target()


def check_budget(transaction: Transaction, run: int) -> None:
    """Raise BudgetSpentError if nothing of a run's budget is left."""
    row = transaction.row(_SPENT, run=run, id=0)
    if row is None or row["budget"] is None:
        return
    if row["spent"] + _ROUNDING >= row["budget"]:
        raise BudgetSpentError(
            f"the budget of {row['budget']:g} creative units is spent. Nothing was paid for it"
        )


def _check_twin(transaction: Transaction, row: Row, twin: str | None) -> None:
    if twin is None:
        return
    other = transaction.row(_TWINS, twin=twin, account=row["account"], id=row["id"])
    if other is None:
        return
    place = unpacked(other["target"]) or unpacked(other["source"]) or "another request"
    how = "is uncertain" if other["is_uncertain"] else "is on its way"
    raise TwinOpenError(
        f"the same with the same seed {how} ({place}): its job could not be told from this one's. "
        "Nothing was submitted",
        is_uncertain=bool(other["is_uncertain"]),
    )


def _check_price(transaction: Transaction, row: Row, price: float | None) -> None:
    if price is None or row["run"] is None:
        return
    budget, spent = transaction.one(_SPENT, run=row["run"], id=row["id"])
    if budget is not None and spent + price > budget + _ROUNDING:
        raise BudgetSpentError(
            f"the budget of {budget:g} creative units does not allow it: {spent:g} are spent, "
            f"this one costs {price:g}. Nothing was paid for it"
        )
