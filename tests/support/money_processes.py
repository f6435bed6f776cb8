"""The processes of the model, their ledger, and the clock that they share."""

import sqlite3
import tempfile
from contextlib import ExitStack, closing
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from unittest.mock import patch

from attrs import define, field

from money_rules import LONGEST_POST, Process, Row, Rules, Walk
from money_server import BEGIN
from scenario_reframe.api.operations import Operations
from scenario_reframe.ledger.lease import LeaseRenewer
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.pipeline import Pipeline
from scenario_reframe.recovery import KnownJobs
from scenario_reframe.timing import Timing

_RENEWAL = 10.0
_UNIX_DAY = 2440587.5


class DeadDatabase:
    """The database as a killed process sees it: writes have no effect."""

    def write_now_or_later(self, _write: object, otherwise: Any) -> Any:
        """Do nothing."""
        return otherwise


@define(eq=False)
class Processes(Rules):
    """The processes of one machine, its clock, and their ledger if they have one.

    `set_by`: seconds by which this machine's wall clock was set forward.
    """

    has_ledger: bool = False
    now: float = 1000.0
    set_by: float = 0.0
    processes: list[Process] = field(factory=list)
    walks: list[Walk] = field(factory=list)
    _drawn: int = 0
    _stack: ExitStack = field(factory=ExitStack)
    _path: Path | None = None
    _beside: sqlite3.Connection | None = None

    def __attrs_post_init__(self) -> None:
        world = self

        class WallClock(datetime):
            """The machine's wall clock."""

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                assert tz is not None
                return BEGIN + timedelta(seconds=world.now + world.set_by)

        for patched in (
            patch("scenario_reframe.recovery.datetime", WallClock),
            patch("scenario_reframe.submitting.datetime", WallClock),
            patch("scenario_reframe.submitting.secrets.randbelow", self._draw),
            patch.object(LeaseRenewer, "_run", lambda _: None),  # `tick` renews
        ):
            self._stack.enter_context(patched)
        if self.has_ledger:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="money-"))
            self._path = Path(folder, "ledger.db")
        self.server.move(self.now)
        self.start()
        if self._path is not None:
            self._beside = self._stack.enter_context(closing(sqlite3.connect(self._path)))

    def tick(self, seconds: float) -> None:
        """Let time pass; living processes renew their leases."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + _RENEWAL, end)
            for process in self.processes:
                _renew(process)
            if self.now + _RENEWAL < end and not any(map(_has_claims, self.processes)):
                self.now = end
        self.server.move(self.now)
        self.check_jobs()

    def start(self) -> Process:
        """Start a process."""
        timing = Timing(clock=lambda: self.now, lease=30.0, renewal=3600.0)
        ledger = None if self._path is None else self._open(self._path, timing)
        pipeline = Pipeline(Operations("proj_1", timing), ledger, KnownJobs())
        self.processes.append(Process(pipeline, ledger))
        return self.processes[-1]

    def kill(self, process: Process, *, is_noticed: bool) -> None:
        """End a process. `is_noticed`: its leases end at once, so others need not wait for them."""
        if process.ledger is not None:
            if is_noticed:
                lapse = "UPDATE entries SET lease_until = min(lease_until, ?) WHERE owner = ?"
                self._change(lapse, self._unix(), process.ledger._leases.owner)
        else:  # what only it knew is lost
            self.owners.clear()
            self.found.clear()
            self.uncertain.clear()
        _end(process)
        self.processes.remove(process)
        posting = {number for number, state, _ in self.rows() if state == "posting"}
        for walk in self.under_way(process):
            for post in walk.own[-1:]:
                if post.entry in posting:  # the ledger does not know how it ended
                    post.ended, post.is_answered = None, False
            walk.is_over = True
            walk.flow.close()

    def close(self) -> None:
        """End everything."""
        for process in self.processes:
            _end(process)
        for walk in self.under_way():
            walk.flow.close()
        self._stack.close()

    def under_way(self, process: Process | None = None) -> list[Walk]:
        """The walks that have not ended."""
        return [
            walk
            for walk in self.walks
            if not walk.is_over and (walk.process is process or process is None)
        ]

    def rows(self) -> list[Row]:
        """The ledger's entries: id, state and job."""
        if self._beside is None:
            return []
        return self._beside.execute("SELECT id, state, job_id FROM entries ORDER BY id").fetchall()

    def _change(self, statement: str, *values: object) -> None:
        if self._beside is not None:
            with self._beside:
                self._beside.execute(statement, values)

    def _open(self, path: Path, timing: Timing) -> SqlLedger:
        ledger = SqlLedger(
            path,
            base_url="https://api.test/v1",
            project_id="proj_1",
            api_key="key",
            longest_post=LONGEST_POST,
            timing=timing,
        )
        connection = ledger.database._connection
        assert connection is not None
        connection.execute("PRAGMA synchronous = OFF")
        # The database goes by the model's clock.
        connection.create_function("julianday", 1, lambda _: self._unix() / 86400.0 + _UNIX_DAY)
        return ledger

    def _unix(self) -> float:
        return BEGIN.timestamp() + self.now + self.set_by

    def _draw(self, below: int) -> int:
        self._drawn += 1
        return self._drawn * 2654435761 % below


def _has_claims(process: Process) -> bool:
    return process.ledger is not None and bool(process.ledger._leases._claims)


def _renew(process: Process) -> None:
    if process.ledger is not None and not process.is_stopped and _has_claims(process):
        process.ledger._renew([claim.token for claim in process.ledger._leases._claims])


def _end(process: Process) -> None:
    if process.ledger is not None:
        process.ledger.close()
        process.ledger.database = DeadDatabase()  # type: ignore[assignment]
