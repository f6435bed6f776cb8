"""The ledger's file: where it may be, who shares it, and when it is locked or missing."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from ledger_rows import (
    SLOW,
    Ledgers,
    claimed,
    end,
    job,
    locked,
    open_ledger,
    outcomes,
    posting,
    request,
    sql,
    state_of,
    submission,
    submitted,
)
from scenario_reframe import (
    ConfigurationError,
    ReframeClient,
    ReframeError,
)
from scenario_reframe.ledger.default_path import path_of
from scenario_reframe.ledger.interface import Claim, Entry, SubmitConditions
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.ledger.tables import VERSION
from waiting import Clock

HURRIED = evolve(SLOW, database_lock=0.05, last_check=0.05)
"""Short timeouts for a locked database and for the last check."""


# --- what cannot be written yet --------------------------------------------------------------


def write_all(ledger: SqlLedger, claims: list[Claim]) -> None:
    """Write everything that has happened."""
    ledger.record_job(claims[0].token, job(1))
    facts: list[Callable[[], None]] = [
        lambda: ledger.record_status(job(1, "success")),
        lambda: ledger.record_asset("sha256:01", "asset_1"),
        lambda: ledger.record_files("job_1", []),
    ]
    for fact in facts:
        with pytest.raises(ConfigurationError, match="is locked by another program"):
            fact()
    end(ledger, claims[1], "refused")
    ledger.withdraw_post(claims[2])
    ledger.release(claims[0])


@pytest.mark.parametrize("writes", ["next", "close"])
def test_what_cannot_be_written_yet_is_written_later(
    make_ledger: Ledgers, path: Path, caplog: pytest.LogCaptureFixture, writes: str
) -> None:
    """With the next transaction, or when the ledger is closed."""
    ledger = make_ledger(timing=HURRIED)
    claims = [posting(ledger, number) for number in (1, 2, 3)]
    with locked(path):
        write_all(ledger, claims)
        assert "is tried again later" in caplog.text
    ledger.close() if writes == "close" else ledger.entries()
    rows = sql(path, "SELECT state, job_id, owner IS NULL FROM entries ORDER BY id")
    assert rows == [("done", "job_1", 1), ("claimed", None, 0), ("claimed", None, 0)]
    assert outcomes(path) == ["made", "refused"]
    assert make_ledger().asset_of("sha256:01") == "asset_1"
    ledger.record_job(claims[1].token, job(2))
    assert state_of(make_ledger(), 2) == "submitted", "even after it was closed"


def test_a_locked_ledger_sends_nothing(make_ledger: Ledgers, path: Path) -> None:
    """After a short wait, also if it is a thread of this process that holds the lock."""
    ledger = make_ledger(timing=evolve(SLOW, last_check=0.05))
    claim = claimed(ledger)
    with locked(path), pytest.raises(ConfigurationError, match="is locked by another program"):
        ledger.open_post(claim, submission(), SubmitConditions())
    inside, done = threading.Event(), threading.Event()

    def long_check(_: Entry | None) -> None:
        inside.set()
        assert done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ledger.claim, request(2), long_check)
        assert inside.wait(60)
        with pytest.raises(ConfigurationError, match="is locked"):
            ledger.open_post(claim, submission(), SubmitConditions())
        done.set()
        assert isinstance(slow.result(60), Claim)
    assert (outcomes(path), claim.posts) == ([], [])


def test_a_last_check_that_took_too_long_sends_nothing(make_ledger: Ledgers, path: Path) -> None:
    """What has happened meanwhile is unknown."""
    clock = Clock()
    ledger = make_ledger(timing=evolve(SLOW, clock=clock))
    claim = claimed(ledger)
    conditions = SubmitConditions(check_target=lambda: clock.forward(10))
    with pytest.raises(ConfigurationError, match="took too long: nothing was submitted"):
        ledger.open_post(claim, submission(), conditions)
    assert (outcomes(path), claim.posts, state_of(ledger)) == ([], [], "claimed")


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_ledger_whose_file_was_removed_sends_nothing(
    make_ledger: Ledgers, path: Path, is_replaced: bool
) -> None:
    """Another process would not find what is written into a deleted file."""
    ledger = make_ledger()
    claim = claimed(ledger)
    for file in path.parent.glob("ledger.db*"):
        file.unlink()
    if is_replaced:
        make_ledger()
    attempts: list[Callable[[], None]] = [
        lambda: ledger.may_post(claim, SubmitConditions()),
        lambda: ledger.open_post(claim, submission(), SubmitConditions()),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigurationError, match="was removed or replaced while it was in use"):
            attempt()


# --- the file --------------------------------------------------------------------------------


def test_a_ledger_in_memory_is_a_ledger(tmp_path: Path) -> None:
    """It belongs to this object alone, and ends with it."""
    ledger, other = open_ledger(None), open_ledger(None)
    submitted(ledger)
    assert (len(ledger.entries()), len(other.entries())) == (1, 0)
    assert "memory" in repr(ledger)
    for one in (ledger, other):
        one.close()
    with pytest.raises(ConfigurationError, match="ended with its connection"):
        ledger.entries()


def test_only_the_owner_can_read_the_ledger(make_ledger: Ledgers, tmp_path: Path) -> None:
    """The file, what SQLite puts beside it, and a folder that was created for it."""
    claimed(make_ledger(tmp_path / "new" / "ledger.db"))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    files = [*(tmp_path / "new").iterdir()]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_only_the_owner_can_read_a_ledger_behind_a_link(
    make_ledger: Ledgers, path: Path, tmp_path: Path
) -> None:
    """The file that the link leads to may be missing yet; SQLite would make it for all to read."""
    path.symlink_to(tmp_path / "new" / "real.db")
    claimed(make_ledger(path))
    files = [*(tmp_path / "new").iterdir()]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_every_commit_reaches_the_disk(make_ledger: Ledgers) -> None:
    """Write-ahead log, fully synchronous: a POST's row survives a loss of power."""
    with make_ledger().database.transaction() as transaction:
        assert transaction.one("PRAGMA journal_mode")[0] == "wal"
        assert transaction.one("PRAGMA synchronous")[0] == 2


@pytest.mark.parametrize("name", ["a b.db", "a?mode=ro.db", "a#b.db", "a%20b.db", "ä.db"])
def test_a_path_with_odd_letters_is_taken_literally(
    make_ledger: Ledgers, tmp_path: Path, name: str
) -> None:
    """No part of a path is read as part of a URL, also in an SQLite URL."""
    for place in (tmp_path / name, f"sqlite:///{tmp_path}/url-{name}"):
        make_ledger(place)
    for file in (tmp_path / name, tmp_path / f"url-{name}"):
        assert file.read_bytes().startswith(b"SQLite format 3")


def refused(make_ledger: Ledgers, where: str | Path, words: str) -> None:
    """Opening it raises an error of one clear line that names it."""
    with pytest.raises(ConfigurationError) as caught:
        make_ledger(where, timing=HURRIED)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "ledger" in str(caught.value)
    assert "pw-in-url" not in str(caught.value)


@pytest.mark.parametrize(
    "where", ["{file}/ledger.db", "/proc/ledger.db", "{folder}", "/dev/null/x"]
)
def test_a_path_that_cannot_be_written_is_refused(
    make_ledger: Ledgers, tmp_path: Path, where: str
) -> None:
    """Under a file, in a read-only folder, or a folder itself."""
    file = tmp_path / "file"
    file.write_text("here")
    refused(make_ledger, where.format(file=file, folder=tmp_path), "choose another path")


@pytest.mark.parametrize(
    "where",
    ["mysql://a:pw-in-url@h/x", "://", "", ":memory:", "sqlite:///", "a\0b",
     "postgresql://a:pw-in-url@127.0.0.1:1/x", "postgresql+x://a:pw-in-url@127.0.0.1:1/x"],
)  # fmt: skip
def test_an_invalid_ledger_is_refused(make_ledger: Ledgers, where: str) -> None:
    """With one line, without the password."""
    refused(make_ledger, where, "ledger")


@pytest.mark.parametrize(
    "where",
    ["postgresql:/a:pw-in-url@h/x", "postgresql:a:pw-in-url@h", " MySQL://a:pw-in-url@h/x",
     "host=h password=pw-in-url", "sqlite:///x?password=pw-in-url", "'mysql://a:pw-in-url@h'",
     Path("postgresql://a:pw-in-url@h/x"), Path("mysql://h/x?password=pw-in-url")],
    ids=str,
)  # fmt: skip
def test_a_password_is_never_taken_for_a_path(
    make_ledger: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str | Path
) -> None:
    """A `Path` makes one slash of two: no file may get the password as its name."""
    monkeypatch.chdir(tmp_path)
    refused(make_ledger, where, "ledger")
    with pytest.raises(ConfigurationError) as caught:
        ReframeClient("a", "b", ledger=str(where).encode())  # type: ignore[arg-type]
    assert "pw-in-url" not in str(caught.value)
    assert not list(tmp_path.rglob("*pw-in-url*"))


def test_a_file_that_is_not_a_ledger_is_refused_and_left_alone(
    make_ledger: Ledgers, path: Path
) -> None:
    """Text, a damaged page, a newer version; but an empty file is a new ledger."""
    path.write_text("Dear diary, " * 1000)
    refused(make_ledger, path, "is not a ledger, or is damaged")
    assert path.read_text() == "Dear diary, " * 1000
    path.write_bytes(b"")
    claimed(make_ledger())
    make_ledger.close()
    whole = path.read_bytes()
    sql(path, "INSERT INTO schema_version VALUES (?)", VERSION + 1)
    before = sql(path, "SELECT * FROM sqlite_schema")
    refused(make_ledger, path, f"version {VERSION + 1}")
    refused(make_ledger, path, "newer scenario-reframe")
    assert sql(path, "SELECT * FROM sqlite_schema") == before
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    refused(make_ledger, path, "is not a ledger, or is damaged")


def test_a_ledger_that_another_program_locks_is_an_error(make_ledger: Ledgers, path: Path) -> None:
    """After a while, when it is opened and when it is used."""
    ledger = make_ledger(timing=HURRIED)
    with locked(path):
        refused(make_ledger, path, "is locked by another program")
        with pytest.raises(ConfigurationError, match="is locked by another program"):
            ledger.claim(request())
    assert isinstance(ledger.claim(request()), Claim)


# --- processes -------------------------------------------------------------------------------

_PROGRAM = """
import sys
from ledger_rows import claimed, open_ledger, posting
sys.stdin.readline()
ledger = open_ledger(sys.argv[1])
claimed(ledger, int(sys.argv[2]))
"""


def test_processes_that_open_a_new_ledger_at_once_all_can_use_it(path: Path) -> None:
    """The tables are made once, and no process fails because the file is locked."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(path), str(number)],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(3)
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write(b"\n")
        program.stdin.flush()
    for program in programs:
        program.communicate(timeout=60)
        assert program.returncode == 0
    assert len(sql(path, "SELECT * FROM entries")) == 3
    assert sql(path, "SELECT version FROM schema_version") == [(VERSION,)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_without_its_parent_s_claims(
    make_ledger: Ledgers, path: Path
) -> None:
    """It has its own connection and owner; leases and POSTs stay the parent's."""
    ledger, memory = make_ledger(), open_ledger(None)
    mine, sent = claimed(ledger, 1), posting(ledger, 2)
    told = path.with_name("told")
    child = os.fork()
    if child == 0:
        found: list[str] = []
        for act in (
            lambda: ledger.open_post(mine, submission(), SubmitConditions()),
            lambda: ledger.claim(request(1)),
            lambda: end(ledger, sent, "uncertain"),
            lambda: ledger.release(mine, ReframeError("no")),
            memory.entries,
            lambda: claimed(ledger, 3),
        ):
            try:
                act()
                found.append("ok")
            except BaseException as error:  # noqa: BLE001 - the child must end here
                found.append(type(error).__name__)
        told.write_text(json.dumps(found))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    memory.close()
    busy, unusable = "LedgerBusyError", "ConfigurationError"
    assert json.loads(told.read_text()) == [busy, busy, "ok", "ok", unusable, "ok"]
    assert [state_of(ledger, number) for number in (1, 2, 3)] == ["claimed", "uncertain", "claimed"]
    ledger.open_post(mine, submission(), SubmitConditions())
    ledger.record_job(mine.token, job())
    assert claimed(make_ledger(), 3).fence == 2, "the child has ended"
    assert [entry.state for entry in make_ledger().entries()] == [
        "claimed",
        "uncertain",
        "submitted",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_waits_for_a_transaction_of_another_thread(make_ledger: Ledgers, path: Path) -> None:
    """Else the child would wait for ever for a writer that it does not have."""
    ledger, inside, done = make_ledger(), threading.Event(), threading.Event()

    def slow(_: Entry | None) -> None:
        inside.set()
        done.wait(0.2)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(ledger.claim, request(1), slow)
        assert inside.wait(60)
        child = os.fork()
        if child == 0:
            try:
                claimed(ledger, 2)
            finally:
                os._exit(len(ledger.entries()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert len(ledger.entries()) == 2


def test_ledger_that_appears_while_it_is_checked_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may make it at that very moment."""
    path, status = tmp_path / "ledger.db", Path.stat

    def made_meanwhile(self: Path, **options: Any) -> os.stat_result:
        try:
            return status(self, **options)
        finally:
            if self == path:
                os.close(os.open(path, os.O_CREAT | os.O_RDWR))

    monkeypatch.setattr(Path, "stat", made_meanwhile)
    assert path_of(str(path)) == path
