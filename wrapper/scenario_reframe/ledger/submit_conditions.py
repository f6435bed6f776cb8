"""The conditions of a POST, checked against the rows: claim, twins, slots and budget."""

from scenario_reframe.errors import LedgerBusyError

from .database import Row, Transaction
from .interface import BudgetSpentError, Claim, NoSlotError, SubmitConditions, TwinOpenError
from .lease import owns
from .rows import decode_name

_ROUNDING = 1e-9
# An open POST whose lease has lapsed counts as uncertain: its next owner will mark it so.
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
# Entries stored beside another one count, too: they belong to the same run.
_SPENT = """
    SELECT r.budget, coalesce((
        SELECT sum(e.cost) FROM entries e WHERE e.run = r.id AND e.id <> :id AND (
            e.job_id IS NOT NULL OR e.state IN ('posting', 'uncertain') OR EXISTS (
                SELECT 1 FROM posts p WHERE p.entry = e.id
                AND p.outcome IN UNRESOLVED))
    ), 0) AS spent FROM runs r WHERE r.id = :run
"""


def owned_entry(transaction: Transaction, claim: Claim, owner: str) -> Row:
    """The claimed entry. Raises LedgerBusyError unless its owner and state allow a POST."""
    row = transaction.row("SELECT * FROM entries WHERE token = :token", token=claim.token)
    if row is None or not owns(row, claim, owner):
        raise LedgerBusyError(
            "another process claimed this while this one was suspended; nothing was submitted"
        )
    if row["state"] not in ("claimed", "uncertain"):
        job = f", as job {row['job_id']}" if row["job_id"] else ""
        raise LedgerBusyError(f"this was submitted already{job}; nothing was submitted again")
    return row


def check_conditions(
    transaction: Transaction, row: Row, conditions: SubmitConditions, slot: float
) -> None:
    """Raise an error if a condition of this entry's POST does not hold now.

    `slot`: seconds for which a job counts as running although nobody has seen it end.
    """
    _check_twin(transaction, row, conditions.twin)
    if conditions.slots is not None:
        running = transaction.rows(_RUNNING, account=row["account"], id=row["id"], slot=slot)
        if len(running) >= conditions.slots:
            raise NoSlotError(conditions.slots, [one["job_id"] for one in running if one["job_id"]])
    _check_price(transaction, row, conditions.price)
    if conditions.check_target is not None:
        conditions.check_target()


def check_budget(transaction: Transaction, run: int) -> None:
    """Raise BudgetSpentError if a run's budget is used up."""
    row = transaction.row(_SPENT, run=run, id=0)
    if row is None or row["budget"] is None:
        return
    if row["spent"] + _ROUNDING >= row["budget"]:
        raise BudgetSpentError(
            f"the budget of {row['budget']:g} creative units is spent; nothing was paid for it"
        )


def _check_twin(transaction: Transaction, row: Row, twin: str | None) -> None:
    if twin is None:
        return
    other = transaction.row(_TWINS, twin=twin, account=row["account"], id=row["id"])
    if other is None:
        return
    name = decode_name(other["target"]) or decode_name(other["source"]) or "another request"
    how = "is uncertain" if other["is_uncertain"] else "is on its way"
    raise TwinOpenError(
        f"a submit of the same settings with the same seed {how} ({name}), so the two jobs would "
        "be indistinguishable: nothing was submitted. Wait, or change the seed",
        is_uncertain=bool(other["is_uncertain"]),
    )


def _check_price(transaction: Transaction, row: Row, price: float | None) -> None:
    if price is None or row["run"] is None:
        return
    budget, spent = transaction.one(_SPENT, run=row["run"], id=row["id"])
    if budget is not None and spent + price > budget + _ROUNDING:
        raise BudgetSpentError(
            f"the budget of {budget:g} creative units does not allow this item: {spent:g} are "
            f"spent, it costs {price:g}; nothing was paid for it"
        )
