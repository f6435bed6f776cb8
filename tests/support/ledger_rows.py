"""Opens ledgers for tests, and reads and changes their rows."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenario_reframe import Job, Submission
from scenario_reframe.ledger.interface import Claim, ClipRequest, Outcome, SubmitConditions
from scenario_reframe.ledger.lease import THREAD
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.timing import Timing

BASE = "https://api.test/v1"
PROJECT = "proj_1"
KEY = "key-of-test"
SLOW = Timing(lease=3600.0, renewal=3600.0)
"""No lease ends or is renewed by itself: a test lets it lapse, or renews it by hand."""


def open_ledger(where: str | Path | None, **options: Any) -> SqlLedger:
    """Open a ledger; its project is known unless the options say otherwise."""
    given: dict[str, Any] = {
        "base_url": BASE,
        "project_id": PROJECT,
        "api_key": KEY,
        "longest_post": 60.0,
        "timing": SLOW,
    }
    return SqlLedger(where, **given | options)


class Ledgers:
    """Opens ledgers at one place, each as a process of its own would."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: list[SqlLedger] = []

    def __call__(self, where: str | Path | None = None, **options: Any) -> SqlLedger:
        """Open one."""
        self._opened.append(open_ledger(self._path if where is None else where, **options))
        return self._opened[-1]

    def close(self) -> None:
        """No lease is renewed any more, and no connection is open."""
        for one in self._opened:
            one.close()
        for thread in renewers():
            thread.join(60)


@contextmanager
def opened_ledgers(path: Path) -> Iterator[Ledgers]:
    """Opens ledgers at this path, and closes them all afterwards."""
    make = Ledgers(path)
    try:
        yield make
    finally:
        make.close()


def renewers() -> list[threading.Thread]:
    """The threads that renew leases."""
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def sql(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement on the ledger's file, over a connection of its own."""
    connection = sqlite3.connect(path, timeout=60)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def lapse(path: Path) -> None:
    """End every lease, as if its owner had slept through it."""
    sql(path, "UPDATE entries SET lease_until = 1")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the ledger, as another program does whose transaction does not end."""
    beside = sqlite3.connect(path, isolation_level=None)
    try:
        beside.execute("BEGIN IMMEDIATE")
        yield
    finally:
        beside.close()


def request(number: int = 1, **changes: Any) -> ClipRequest:
    """One of several requests."""
    given: dict[str, Any] = {
        "key": f"request {number}",
        "content": f"sha256:{number:02}",
        "source": f"/clips/{number}.mp4",
        "settings": {"n": number},
        "target": f"/out/{number}.mp4",
    }
    return ClipRequest(**given | changes)


def submission(seed: int = 7, **more: Any) -> Submission:
    """A submission to post."""
    return Submission(seed=seed, body={"seed": seed}, started_at=datetime.now(UTC), **more)


def job(number: int = 1, status: str = "queued", **more: Any) -> Job:
    """A job as the server describes it."""
    return Job(id=f"job_{number}", status=status, **more)


def claimed(ledger: SqlLedger, number: int = 1, *, run: int | None = None) -> Claim:
    """Claim a request."""
    found = ledger.claim(request(number), run=run)
    assert isinstance(found, Claim)
    return found


def posting(ledger: SqlLedger, number: int = 1, **conditions: Any) -> Claim:
    """Claim a request and open its POST."""
    claim = claimed(ledger, number)
    ledger.open_post(claim, submission(number), SubmitConditions(**conditions))
    return claim


def end(ledger: SqlLedger, claim: Claim, outcome: Outcome, reason: str = "why") -> None:
    """End a claim's POST with this outcome."""
    claim.posts[-1].outcome = outcome
    ledger.end_post(claim, claim.posts[-1], reason)


def submitted(ledger: SqlLedger, number: int = 1, **conditions: Any) -> Claim:
    """Claim a request, post it, and record its job."""
    claim = posting(ledger, number, **conditions)
    end(ledger, claim, "made")
    assert ledger.record_job(claim.token, job(number))
    return claim


def state_of(ledger: SqlLedger, number: int = 1) -> str:
    """The state of a request's newest entry."""
    return ledger.with_targets([f"/out/{number}.mp4"])[-1].state


def outcomes(path: Path) -> list[str]:
    """The outcomes of all POSTs, oldest first."""
    return [outcome for (outcome,) in sql(path, "SELECT outcome FROM posts ORDER BY id")]
