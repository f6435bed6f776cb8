"""Both clients with a ledger that becomes locked, is deleted, or cannot be used."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from ledger_rows import lapse, sql
from ledger_sessions import BOTH, FILE, GENERATE, JOB, QUICK, Runs, when_it_comes, whole
from scenario_reframe import (
    ApiError,
    ConfigurationError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.sandbox.faults import Fault, answer, drop
from timings import SOON

AT_ONCE = evolve(SOON, database_lock=0.05)
"""Of a client that does not wait long for a ledger that another program holds."""


class Lock:
    """Another program that locks the ledger, from a moment on until it is released."""

    def __init__(self, path: Path) -> None:
        self._other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def take(self) -> None:
        """Lock the ledger."""
        self._other.execute("BEGIN IMMEDIATE")

    def free(self) -> None:
        """Release it."""
        self._other.close()


@pytest.fixture
def lock(runs: Runs) -> Iterator[Lock]:
    """A lock that is not taken yet, and that is released afterwards."""
    runs()  # creates the file
    made = Lock(runs.ledger)
    yield made
    made.free()


def lock_at(runs: Runs, lock: Lock, path: str, method: str = "GET") -> None:
    """Lock the ledger as soon as such a request arrives."""
    fault = when_it_comes(lock.take)
    runs.sandbox.faults.add(fault, path, method=method)


@BOTH
@pytest.mark.parametrize("moment", [GENERATE, JOB, FILE])
def test_a_ledger_that_becomes_locked_does_not_lose_the_result(
    runs: Runs, lock: Lock, video: str, tmp_path: Path, moment: str
) -> None:
    """The call returns what was paid for; the next one finds or finishes it, and buys nothing."""
    to = tmp_path / "a.mp4"
    lock_at(runs, lock, moment, "POST" if moment == GENERATE else "GET")
    result = runs(timing=AT_ONCE)("reframe", video, to, **QUICK)
    assert result.files == (to,)
    assert whole(to)
    assert sql_state(runs) != "done"
    lock.free()
    lapse(runs.ledger)  # nor could the claim be released
    again = runs()("reframe", video, to, **QUICK)
    assert (again.job.id, again.files) == (result.job.id, (to,))
    assert (runs.posts, runs.jobs) == (1, 1)
    assert runs.states() == ["done"]


def sql_state(runs: Runs) -> str:
    """The state of the only entry, read while another program writes."""
    ((state,),) = sql(runs.ledger, "SELECT state FROM entries")
    return str(state)


@BOTH
def test_what_could_not_be_written_is_written_with_the_next_call(
    runs: Runs, lock: Lock, video: str, tmp_path: Path
) -> None:
    """By the same client, once the ledger is free: nothing has to be looked up."""
    session = runs(timing=AT_ONCE)
    lock_at(runs, lock, GENERATE, "POST")
    job = session("submit", video, key="order-1", **QUICK)
    assert sql_state(runs) == "posting"
    lock.free()
    entry = session("entries")[0]
    assert (entry.state, entry.job_id) == ("submitted", job.id)


@BOTH
@pytest.mark.parametrize(
    ("fault", "kind"),
    [(drop(), SubmissionUncertainError), (answer(400, {"reason": "no"}), ApiError)],
)
def test_a_failing_ledger_does_not_hide_the_submit_s_error(
    runs: Runs, lock: Lock, video: str, fault: Fault, kind: type[ReframeError]
) -> None:
    """A ConfigurationError would mean that nothing was sent."""
    runs.sandbox.faults.add(when_it_comes(lock.take, fault), GENERATE, method="POST")
    runs(timing=AT_ONCE).fails(kind, "submit", video, **QUICK)


@BOTH
def test_nothing_is_sent_when_the_intent_cannot_be_written(
    runs: Runs, lock: Lock, short_clip: Path, tmp_path: Path
) -> None:
    """No POST without its intent on disk; later the same call buys it, once."""
    lock_at(runs, lock, r"/uploads/[^/]+/action$", "POST")
    runs(timing=evolve(AT_ONCE, last_check=0.05)).fails(
        ConfigurationError, "reframe", short_clip, tmp_path / "a.mp4", **QUICK
    )
    assert runs.jobs == 0  # the head of the POST had arrived: the last check comes before its body
    assert sql(runs.ledger, "SELECT * FROM posts") == []
    lock.free()
    lapse(runs.ledger)
    runs()("reframe", short_clip, tmp_path / "a.mp4", **QUICK)
    assert runs.jobs == 1


@BOTH
@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_ledger_that_is_deleted_meanwhile_is_an_error_and_nothing_is_bought(
    runs: Runs, short_clip: Path, tmp_path: Path, *, is_replaced: bool
) -> None:
    """The intent would be in a file that nobody can open again."""

    def delete() -> None:
        for file in runs.ledger.parent.glob("ledger.db*"):
            file.unlink()
        if is_replaced:
            sqlite3.connect(runs.ledger).close()

    runs.sandbox.faults.add(when_it_comes(delete), r"/uploads$", method="POST")
    error = runs().fails(ConfigurationError, "reframe", short_clip, tmp_path / "a.mp4", **QUICK)
    assert "removed or replaced" in str(error)
    assert runs.jobs == 0


@BOTH
@pytest.mark.parametrize("bad", ["folder", "text"])
def test_a_client_is_not_made_with_a_ledger_that_cannot_be_used(runs: Runs, bad: str) -> None:
    """Nothing is sent."""
    seen = len(runs.sandbox.requests)
    if bad == "folder":
        runs.ledger.mkdir()
    else:
        runs.ledger.write_text("Dear diary, " * 500)
    with pytest.raises(ConfigurationError, match=r"ledger\.db"):
        runs()
    assert len(runs.sandbox.requests) == seen


@BOTH
def test_a_client_without_a_ledger_has_no_entries(runs: Runs, video: str, tmp_path: Path) -> None:
    """The error says how to make a client that has, and nothing is sent."""
    runs()("submit", video, **QUICK)
    session = runs(ledger=None)
    assert "ledger=" in str(session.fails(ConfigurationError, "entries"))
    session.fails(ConfigurationError, "resume", runs.entry(), tmp_path / "a.mp4")
    assert runs.posts == 1
