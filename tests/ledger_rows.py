"""Ledgers of a test's own, and what is in their rows."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenario_reframe.ledger import Ledger
from scenario_reframe.timing import Timing

BASE = "https://api.test/v1"
SLOW = Timing(lease=3600.0, renewal=3600.0)
"""No lease ends or is renewed by itself: a test lets it lapse, or renews it by hand."""


class Make:
    """Opens ledgers at one place, each as a process of its own would."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: list[Ledger] = []

    def __call__(self, where: str | Path | None = None, **options: Any) -> Ledger:
        """Open one."""
        given = {"base_url": BASE, "timing": SLOW, **options}
        self._opened.append(Ledger(self._path if where is None else where, **given))
        return self._opened[-1]

    def close(self) -> None:
        """No lease is renewed any more, and no connection is open."""
        for one in self._opened:
            one.heart._holds.clear()
            one.heart._changed.set()
        for thread in hearts():
            thread.join(60)
        for one in self._opened:
            one.close()


@contextmanager
def ledgers(path: Path) -> Iterator[Make]:
    """Ledgers at this place, all closed in the end."""
    make = Make(path)
    try:
        yield make
    finally:
        make.close()


def hearts() -> list[threading.Thread]:
    """The threads that renew leases."""
    return [thread for thread in threading.enumerate() if thread.name == "scenario-reframe-leases"]


def sql(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement beside the ledger."""
    connection = sqlite3.connect(path, timeout=60)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def lapse(path: Path) -> None:
    """Let every lease end, as if its owner had slept through it."""
    sql(path, "UPDATE entries SET lease_until = 1")
