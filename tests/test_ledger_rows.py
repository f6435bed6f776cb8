"""The ledger alone, on SQLite files: rows, leases, fences, and files that are none."""

import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from ledger_rows import BASE, SLOW, Make, hearts, lapse, ledgers, sql
from scenario_reframe import (
    ConfigurationError,
    InvalidInputError,
    Job,
    LedgerBusyError,
    Submission,
    UnexpectedResponseError,
    ledger_tables,
)
from scenario_reframe.ledger import Ledger
from scenario_reframe.ledger_holds import Hold
from scenario_reframe.recording import Entry, Wanted
from waiting import until

WISH = Wanted(
    key="a wish", content="sha256:00", source="/clips/a.mp4", settings={"a": 1}, output="/out/a.mp4"
)
SENT = Submission(seed=7, body={"seed": 7, "video": "asset_1"}, started_at=datetime.now(UTC))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Opens ledgers at one place."""
    with ledgers(path) as opener:
        yield opener


def row(of: Ledger) -> Entry:
    """The only entry."""
    (entry,) = of.entries()
    return entry


def job(job_id: str = "job_1", status: str = "queued", **more: Any) -> Job:
    """A job as the server tells of it."""
    return Job(id=job_id, status=status, **more)


# --- the road of one entry ---------------------------------------------------------------------


def test_a_new_wish_is_leased_with_what_was_wanted(make: Make) -> None:
    """take() writes the wish down before anything is sent."""
    one, before = make(project_id="proj"), time.time()
    one.take(WISH)
    entry = row(one)
    assert (entry.state, entry.source, entry.content) == ("leased", WISH.source, WISH.content)
    assert (entry.settings, entry.output, entry.project_id) == ({"a": 1}, WISH.output, "proj")
    assert (entry.body, entry.job_id, entry.files, entry.posted_at) == (None, None, (), None)
    assert entry.base_url == BASE
    assert before - 1 <= entry.created_at <= time.time() + 1
    assert not entry.is_finished


def test_an_intent_is_on_disk_with_its_body_when_begin_post_returns(make: Make, path: Path) -> None:
    """Another connection sees body, seed and times before the POST can begin."""
    make(patience=90.0).take(WISH).begin_post(SENT)
    ((state, body, seed, posted, settled),) = sql(
        path, "SELECT state, body, seed, posted_at, settled_at FROM entries"
    )
    assert (state, seed) == ("intent", 7)
    assert '"video": "asset_1"' in body
    assert settled - posted == pytest.approx(90.0, abs=0.01)


def test_a_job_passes_through_its_states_to_done(make: Make, tmp_path: Path) -> None:
    """posted, seen, saved: submitted, ready, done, with cost, assets and file digests."""
    one, target = make(), tmp_path / "a.mp4"
    target.write_bytes(b"film")
    hold = one.take(WISH)
    hold.begin_post(SENT)
    hold.posted(job(cost=4.0))
    assert (row(one).state, row(one).job_id, row(one).cost) == ("submitted", "job_1", 4.0)
    one.seen(job(status="in-progress"))
    assert row(one).state == "submitted"
    one.seen(job(status="success", asset_ids=("asset_9",)))
    assert (row(one).state, row(one).asset_ids, row(one).cost) == ("ready", ("asset_9",), 4.0)
    one.saved("job_1", [target])
    assert (row(one).state, row(one).files) == ("done", (str(target),))
    assert row(one).is_finished
    assert one.entries(unfinished=True) == []


@pytest.mark.parametrize("status", ["failure", "canceled"])
def test_a_job_that_failed_closes_its_entry(make: Make, status: str) -> None:
    """The entry says why, and the wish may be bought again."""
    one = make()
    first = one.take(WISH)
    first.begin_post(SENT)
    first.posted(job())
    one.seen(job(status=status, error="no frames"))
    assert (row(one).state, row(one).error) == ("failed", "no frames")
    assert one.take(WISH).entry.id != first.entry.id


def test_a_refusal_closes_the_entry(make: Make) -> None:
    """not_made() leaves a failed entry with the reason, and no job."""
    one = make()
    hold = one.take(WISH)
    hold.begin_post(SENT)
    hold.not_made(UnexpectedResponseError("400: no"))
    assert (row(one).state, row(one).error, row(one).job_id) == ("failed", "400: no", None)


def test_a_refusal_is_kept_though_the_lease_lapsed_with_nobody_else_at_it(
    make: Make, path: Path
) -> None:
    """A machine that slept during the POST: the proof that no job was made is not lost."""
    one = make()
    hold = one.take(WISH)
    hold.begin_post(SENT)
    lapse(path)
    hold.not_made(UnexpectedResponseError("400: no"))
    assert row(one).state == "failed"


def test_a_later_word_of_a_finished_job_changes_nothing(make: Make, tmp_path: Path) -> None:
    """A poll that is told late, of a job whose files are there, does not reopen the entry."""
    one = make()
    hold = one.take(WISH)
    hold.begin_post(SENT)
    hold.posted(job())
    one.saved("job_1", [])
    one.seen(job(status="in-progress"))
    one.seen(job(status="success"))
    assert row(one).state == "done"


def test_a_job_id_that_comes_late_does_not_reopen_a_finished_entry(make: Make, path: Path) -> None:
    """The reply reaches a stopped owner after another has found the same job and finished."""
    one = make()
    slow = one.take(WISH)
    slow.begin_post(SENT)
    lapse(path)
    quick = make().take(WISH)
    quick.posted(job(cost=4.0))
    one.saved("job_1", [])
    slow.posted(job())
    assert row(one).state == "done"
    assert row(one).cost == 4.0


def test_a_wish_whose_entry_is_finished_may_be_bought_again(make: Make) -> None:
    """A new entry of the same key; the old one stays."""
    one = make()
    hold = one.take(WISH)
    hold.begin_post(SENT)
    hold.posted(job())
    one.saved("job_1", [])
    hold.released()
    again = one.take(WISH)
    assert again.entry.state == "leased"
    assert [entry.state for entry in one.entries()] == ["leased", "done"]


def test_an_unfinished_wish_is_taken_up_and_not_begun_again(make: Make) -> None:
    """Every state short of the end: the same entry, with what is known of it."""
    one = make()
    steps: list[tuple[Callable[[Hold], None], str]] = [
        (lambda _hold: None, "leased"),
        (lambda hold: hold.begin_post(SENT), "uncertain"),
        (lambda hold: hold.uncertain(), "uncertain"),
        (lambda hold: hold.posted(job()), "submitted"),
        (lambda _hold: one.seen(job(status="success")), "ready"),
    ]
    hold = one.take(WISH)
    for step, state in steps:
        step(hold)
        hold.released()
        hold = one.take(WISH)
        assert (hold.entry.id, hold.entry.state) == (row(one).id, state)
    assert len(one.entries()) == 1


def test_the_database_itself_refuses_two_unfinished_rows_of_a_key(make: Make, path: Path) -> None:
    """Even a program that is wrong cannot begin a wish twice."""
    make().take(WISH)
    columns = "key, state, lease_until, fence, base_url, settings, asset_ids, files"
    copied = f"INSERT INTO entries ({columns}, created_at, updated_at) SELECT {columns}, 0, 0"
    with pytest.raises(sqlite3.IntegrityError):
        sql(path, f"{copied} FROM entries")


def test_a_job_that_another_entry_has_is_refused(make: Make) -> None:
    """One job answers one wish."""
    one = make()
    first, second = one.take(WISH), one.take(Wanted(key="another"))
    for hold in (first, second):
        hold.begin_post(SENT)
    first.posted(job())
    with pytest.raises(LedgerBusyError, match="job_1 belongs to another entry"):
        second.posted(job())
    assert sorted(str(entry.job_id) for entry in one.entries()) == ["None", "job_1"]
    assert one.claimed() == {"job_1"}


def test_entries_of_other_servers_and_projects_are_apart(make: Make) -> None:
    """One file may serve many; the same wish elsewhere is another, and is not shown."""
    places: list[dict[str, Any]] = [
        {}, {"base_url": "https://other.test/v1"}, {"project_id": "p"}, {"project_id": "q"},
    ]  # fmt: skip
    ledgers = [make(**place) for place in places]
    ids = {one.take(WISH).entry.id for one in ledgers}
    assert len(ids) == len(places)
    for one in ledgers[1:]:
        assert len(one.entries()) == 1
    assert len(ledgers[0].entries()) == 1, "a client without a project sees those of projects"


@pytest.mark.parametrize("other", [{"base_url": "https://other.test/v1"}, {"project_id": "p"}])
def test_an_entry_of_elsewhere_is_not_taken_up(make: Make, other: dict[str, Any]) -> None:
    """Looked for at the wrong server or project, its job would seem never to have been made."""
    hold = make(**other).take(WISH)
    hold.released()
    with pytest.raises(ConfigurationError):
        make().take_up(hold.entry)


def test_an_entry_of_another_file_is_not_taken_up(make: Make, tmp_path: Path) -> None:
    """The number of an entry means something in its own file only."""
    elsewhere = make(tmp_path / "other.db").take(Wanted(key="elsewhere"))
    mine = make().take(WISH)
    mine.released()
    assert mine.entry.id == elsewhere.entry.id
    with pytest.raises(ConfigurationError):
        make().take_up(elsewhere.entry)


def test_a_finished_entry_is_not_taken_up(make: Make) -> None:
    """Nothing of it is left to do."""
    one = make()
    hold = one.take(WISH)
    hold.begin_post(SENT)
    hold.posted(job())
    one.saved("job_1", [])
    hold.released()
    with pytest.raises(ConfigurationError, match="finished"):
        one.take_up(row(one))


def test_an_entry_that_is_not_there_is_told_plainly(make: Make, path: Path) -> None:
    """An entry that somebody deleted."""
    one = make()
    hold = one.take(WISH)
    hold.released()
    sql(path, "DELETE FROM entries")
    with pytest.raises(ConfigurationError) as caught:
        one.take_up(hold.entry)
    assert "NoResultFound" not in str(caught.value)


def test_entries_come_newest_first(make: Make) -> None:
    """As many as are asked for."""
    one = make()
    for number in range(4):
        one.take(Wanted(key=f"wish {number}", source=str(number)))
    assert [entry.source for entry in one.entries()] == ["3", "2", "1", "0"]
    assert [entry.source for entry in one.entries(most=2)] == ["3", "2"]


def test_uploads_are_kept_replaced_and_forgotten(make: Make) -> None:
    """By content, and apart for every server and project."""
    one, other = make(), make(project_id="p")
    assert one.asset_of("sha256:00") is None
    one.uploaded("sha256:00", "asset_1")
    one.uploaded("sha256:00", "asset_2")
    assert one.asset_of("sha256:00") == "asset_2"
    assert other.asset_of("sha256:00") is None
    other.uploaded("sha256:00", "asset_3")
    one.forget_upload("sha256:00")
    assert (one.asset_of("sha256:00"), other.asset_of("sha256:00")) == (None, "asset_3")


def test_another_process_finds_everything_as_it_was(make: Make) -> None:
    """A ledger that is closed and opened again."""
    first = make()
    hold = first.take(WISH)
    hold.begin_post(SENT)
    hold.posted(job())
    hold.released()
    before = first.entries()
    first.close()
    assert make().entries() == before


# --- leases and fences -------------------------------------------------------------------------


def test_a_living_owner_keeps_others_off(make: Make) -> None:
    """take() and take_up() say that somebody is at it, and which job it is."""
    hold = make().take(WISH)
    hold.begin_post(SENT)
    hold.posted(job())
    with pytest.raises(LedgerBusyError, match=r"job_1.*nothing was submitted"):
        make().take(WISH)
    with pytest.raises(LedgerBusyError, match=r"job_1.*nothing was submitted"):
        make().take_up(hold.entry)


def test_the_same_process_is_kept_off_too(make: Make) -> None:
    """Two threads of one program cannot hold one wish."""
    one = make()
    one.take(WISH)
    with pytest.raises(LedgerBusyError):
        one.take(WISH)


def test_what_a_check_refuses_is_not_claimed(make: Make, path: Path) -> None:
    """It is asked while nobody else can write, and sees the unfinished entry."""
    seen: list[Entry | None] = []

    def check(entry: Entry | None) -> None:
        seen.append(entry)
        beside = sqlite3.connect(path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            beside.execute("BEGIN IMMEDIATE")
        beside.close()
        raise InvalidInputError("no")

    one = make()
    for take in (one.take, one.take_once):
        with pytest.raises(InvalidInputError):
            take(WISH, check)
    assert one.entries() == []
    one.take(WISH).released()
    with pytest.raises(InvalidInputError):
        one.take(WISH, check)
    assert [entry and entry.state for entry in seen] == [None, None, "leased"]
    one.take(WISH)


def test_a_released_entry_may_be_taken_at_once(make: Make) -> None:
    """Nobody waits for a lease that its owner gave back."""
    hold = make().take(WISH)
    hold.released()
    assert make().take(WISH).entry.id == hold.entry.id


def test_released_hearts_stop(make: Make) -> None:
    """No thread is left behind, and no lease."""
    one = make()
    before = len(hearts())
    hold = one.take(WISH)
    assert len(hearts()) == before + 1
    hold.released()
    until(lambda: len(hearts()) == before)


def test_a_lease_ends_by_the_clock_of_the_database(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose own clock is a day ahead takes nothing from anybody."""
    make().take(WISH)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(LedgerBusyError):
        make().take(WISH)
    lapse(path)
    assert make().take(WISH).entry.state == "leased"


def test_an_owner_whose_lease_was_taken_cannot_begin_a_post(make: Make, path: Path) -> None:
    """The fence: whoever wakes up finds that the entry is another's, and sends nothing."""
    slept = make().take(WISH)
    lapse(path)
    other = make().take(WISH)
    with pytest.raises(LedgerBusyError, match="nothing was submitted"):
        slept.begin_post(SENT)
    assert row(make()).state == "leased"
    other.begin_post(SENT)
    assert row(make()).state == "intent"


def test_an_owner_whose_lease_lapsed_cannot_begin_a_post(make: Make, path: Path) -> None:
    """Another might take it up at any moment."""
    slept = make().take(WISH)
    lapse(path)
    with pytest.raises(LedgerBusyError):
        slept.begin_post(SENT)
    assert row(make()).state == "leased"


def test_an_owner_that_lost_the_entry_writes_nothing_into_it(make: Make, path: Path) -> None:
    """not_made, uncertain and released of the old owner do not touch the new one's row."""
    slept = make().take(WISH)
    lapse(path)
    make().take(WISH).begin_post(SENT)
    before = sql(path, "SELECT * FROM entries")
    slept.not_made(UnexpectedResponseError("400"))
    slept.uncertain()
    slept.released()
    assert sql(path, "SELECT * FROM entries") == before


def test_a_lease_that_is_renewed_goes_on(make: Make, path: Path) -> None:
    """Every owner's thread renews, again and again, what is its own."""
    one = make(timing=evolve(SLOW, renewal=0.01))
    hold = one.take(WISH)
    for _ in range(3):
        ((end,),) = sql(path, "SELECT lease_until FROM entries")
        until(lambda end=end: sql(path, "SELECT lease_until FROM entries")[0][0] > end)  # type: ignore[misc]
    with pytest.raises(LedgerBusyError):
        make().take(WISH)
    hold.released()


def test_an_owner_that_lost_the_entry_renews_nothing(make: Make, path: Path) -> None:
    """Neither nobody's lease, once it lapsed, nor another's."""
    one = make()
    hold = one.take(WISH)
    sql(path, "UPDATE entries SET fence = fence + 1, owner = 'another', lease_until = 9e9")
    one.beat([hold.entry.id])
    assert sql(path, "SELECT lease_until FROM entries") == [(9e9,)]
    sql(path, "UPDATE entries SET owner = ?, lease_until = 1", one._owner)
    one.beat([hold.entry.id])
    assert sql(path, "SELECT lease_until FROM entries") == [(1,)]
    hold.released()


def test_one_thread_renews_all(make: Make, path: Path) -> None:
    """A batch with hundreds of jobs has one thread for their leases, and loses none."""
    one = make(timing=evolve(SLOW, renewal=0.2))
    before = len(hearts())
    holds = [one.take(Wanted(key=f"wish {number}")) for number in range(600)]
    assert len(hearts()) == before + 1
    ((last,),) = sql(path, "SELECT max(lease_until) FROM entries")
    until(lambda: sql(path, "SELECT min(lease_until) FROM entries")[0][0] > last)
    for hold in holds:
        hold.released()
    until(lambda: len(hearts()) == before)


def test_the_thread_of_an_owner_that_was_forgotten_stops(make: Make) -> None:
    """A call that was cancelled while it claimed the entry: the lease lapses by itself."""
    one = make(timing=evolve(SLOW, renewal=0.01))
    before = len(hearts())
    hold = one.take(WISH)
    assert len(hearts()) == before + 1
    del hold
    until(lambda: len(hearts()) == before)


def test_the_fence_grows_with_every_owner(make: Make, path: Path) -> None:
    """Also when an owner comes back to its own entry."""
    one = make()
    fences = []
    for _ in range(3):
        hold = one.take(WISH)
        fences.append(hold.fence)
        hold.released()
    assert fences == sorted(set(fences))


def test_the_id_of_a_job_paid_by_an_owner_that_lost_the_entry_is_kept(
    make: Make, path: Path
) -> None:
    """Nobody has found a job meanwhile: it is the entry's, whoever owns it."""
    slept = make().take(WISH)
    slept.begin_post(SENT)
    lapse(path)
    other = make().take(WISH)
    slept.posted(job("job_slow"))
    assert (row(make()).state, row(make()).job_id) == ("submitted", "job_slow")
    with pytest.raises(LedgerBusyError):
        other.begin_post(SENT)


def test_a_second_job_of_one_entry_is_kept_beside_the_first(make: Make, path: Path) -> None:
    """What was paid for is on record, even where it should not have been bought."""
    one = make()
    slept = one.take(WISH)
    slept.begin_post(SENT)
    lapse(path)
    other = make().take(WISH)
    other.posted(job("job_new"))
    slept.posted(job("job_slow", cost=4.0))
    beside, first = one.entries(unfinished=True)
    assert (first.job_id, beside.job_id) == ("job_new", "job_slow")
    assert (beside.state, beside.cost, beside.source) == ("submitted", 4.0, WISH.source)
    assert one.take_up(beside).entry.job_id == "job_slow"
    one.seen(job("job_slow", "success"))
    one.saved("job_slow", [])
    assert {entry.job_id: entry.state for entry in one.entries()} == {
        "job_new": "submitted", "job_slow": "done",
    }  # fmt: skip


def test_a_job_id_that_comes_after_its_wish_was_begun_anew_is_kept(make: Make, path: Path) -> None:
    """The entry was closed meanwhile, and another of its key is open: both are on record."""
    one = make()
    slept = one.take(WISH)
    slept.begin_post(SENT)
    sql(path, "UPDATE entries SET state = 'failed', lease_until = 0")
    one.take(WISH)
    slept.posted(job("job_slow"))
    assert "job_slow" in one.claimed()


def test_the_intent_of_a_lapsed_owner_becomes_uncertain(make: Make, path: Path) -> None:
    """Nobody knows whether it was posted; what was to be posted is known."""
    make().take(WISH).begin_post(SENT)
    lapse(path)
    entry = make().take(WISH).entry
    assert (entry.state, entry.body, entry.seed) == ("uncertain", SENT.body, 7)


def test_an_uncertain_entry_may_be_posted_again_by_its_owner(make: Make, path: Path) -> None:
    """Whether it should be is not the ledger's to decide."""
    make().take(WISH).begin_post(SENT)
    lapse(path)
    hold = make().take(WISH)
    hold.begin_post(SENT)
    assert row(make()).state == "intent"


def test_an_entry_with_a_job_cannot_be_posted_again(make: Make) -> None:
    """Even by its owner."""
    hold = make().take(WISH)
    hold.begin_post(SENT)
    hold.posted(job())
    with pytest.raises(LedgerBusyError):
        hold.begin_post(SENT)


def test_many_threads_at_one_wish_get_it_once(make: Make) -> None:
    """Whoever is first has it; the others are told so."""
    one, got = make(), []

    def take() -> None:
        try:
            got.append(one.take(WISH).entry.state)
        except LedgerBusyError:
            got.append("busy")

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == ["busy"] * 7 + ["leased"]


# --- the file ----------------------------------------------------------------------------------


def test_the_ledger_is_open_to_its_owner_alone(make: Make, path: Path) -> None:
    """The file, and what SQLite puts beside it."""
    one = make()
    one.take(WISH)
    files = list(path.parent.glob("ledger.db*"))
    assert path in files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_is_made(make: Make, tmp_path: Path) -> None:
    """Open to its owner alone."""
    make(tmp_path / "new" / "ledger.db")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_every_commit_reaches_the_disk(make: Make) -> None:
    """Write-ahead log, synchronous in full: an intent survives a loss of power."""
    with make()._transaction() as connection:
        pragma = connection.exec_driver_sql
        assert pragma("PRAGMA journal_mode").scalar() == "wal"
        assert pragma("PRAGMA synchronous").scalar() == 2


@pytest.mark.parametrize("name", ["a b.db", "a?mode=ro.db", "a#b.db", "a%20b.db", "ä.db"])
def test_a_path_with_odd_letters_is_that_very_file(make: Make, tmp_path: Path, name: str) -> None:
    """Nothing in a path is read as a part of a URL."""
    make(tmp_path / name).take(WISH)
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


def test_an_empty_file_is_a_new_ledger(make: Make, path: Path) -> None:
    """As mktemp leaves it."""
    path.touch()
    assert make().take(WISH).entry.state == "leased"


def test_a_sqlite_url_is_as_careful_as_a_path(make: Make, path: Path) -> None:
    """The same mode, the same log, and one writer at a time."""
    one = make(f"sqlite:///{path}")
    one.take(WISH)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sql(path, "PRAGMA journal_mode") == [("wal",)]
    beside = sqlite3.connect(path, timeout=0)
    try:
        with one._transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
            beside.execute("BEGIN IMMEDIATE")
    finally:
        beside.close()


def refused(make: Callable[[str | Path], Ledger], where: str | Path, told: str) -> None:
    """Opening it raises one clear line that names it."""
    with pytest.raises(ConfigurationError) as caught:
        make(where)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "ledger" in str(caught.value)


@pytest.mark.parametrize(
    "where", ["{file}/ledger.db", "/proc/ledger.db", "{folder}", "/dev/null/x"]
)
def test_a_place_that_cannot_be_written_is_refused(make: Make, tmp_path: Path, where: str) -> None:
    """Under a file, in a folder that takes nothing, a folder itself."""
    file = tmp_path / "file"
    file.write_text("here")
    place = where.format(file=file, folder=tmp_path)
    refused(make, place, "choose another place")


def test_a_path_that_no_file_can_have_is_refused(make: Make, tmp_path: Path) -> None:
    """A NUL in it."""
    refused(make, f"{tmp_path}/a\0b", "a")


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(make: Make, path: Path) -> None:
    """Text, where a database should be."""
    path.write_text("Dear diary, " * 1000)
    refused(make, path, "is no ledger, or is damaged")
    assert path.read_text() == "Dear diary, " * 1000


def test_a_damaged_ledger_is_refused(make: Make, path: Path) -> None:
    """Its first page is there, and the rest of it is not what it was."""
    one = make()
    one.take(WISH).released()
    one.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    refused(make, path, "is no ledger, or is damaged")


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(make: Make, path: Path) -> None:
    """It says which version it is of, and what to do."""
    make().close()
    sql(path, "INSERT INTO schema_version VALUES (?)", ledger_tables.SCHEMA_VERSION + 1)
    before = sql(path, "SELECT * FROM sqlite_schema")
    refused(make, path, f"version {ledger_tables.SCHEMA_VERSION + 1}")
    refused(make, path, "newer scenario-reframe")
    assert sql(path, "SELECT * FROM sqlite_schema") == before


def test_a_ledger_knows_its_version_and_is_migrated_once(make: Make, path: Path) -> None:
    """Opening it again changes nothing."""
    make()
    make()
    assert sql(path, "SELECT version FROM schema_version") == [(ledger_tables.SCHEMA_VERSION,)]


def test_a_ledger_that_another_program_locks_is_told_so(make: Make, path: Path) -> None:
    """After some patience, when it is opened and when it is used."""
    hurried = evolve(SLOW, database_lock=0.02)
    one = make(timing=hurried)
    lock = sqlite3.connect(path)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        refused(partial(make, timing=hurried), path, "is locked by another program")
        with pytest.raises(ConfigurationError, match="is locked by another program"):
            one.take(WISH)
    finally:
        lock.close()
    assert one.take(WISH).entry.state == "leased"


@pytest.mark.parametrize(
    "url",
    ["nonsense://here", "mysql://a:pw-in-url@127.0.0.1/x", "oracle://a:pw-in-url@h/x", "://",
     "postgresql+nodriver://a:pw-in-url@127.0.0.1:1/x", "postgresql://a:pw-in-url@127.0.0.1:1/x"],
)  # fmt: skip
def test_a_database_that_is_not_known_is_refused(make: Make, url: str) -> None:
    """One line, without the password."""
    with pytest.raises(ConfigurationError) as caught:
        make(url)
    assert "\n" not in str(caught.value)
    assert "pw-in-url" not in str(caught.value)
