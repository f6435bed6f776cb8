"""The ledger for batches: slots counted from the rows, what was done before, one heart for all."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from ledger_rows import SLOW, Make, hearts, ledgers, sql
from scenario_reframe import (
    ApiError,
    Job,
    LedgerBusyError,
    RateLimitedError,
    Submission,
    SubmissionUncertainError,
)
from scenario_reframe.ledger import Ledger
from scenario_reframe.ledger_holds import Hold
from scenario_reframe.recording import Entry, NoSlotError, Wanted
from waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Opens ledgers at one place."""
    with ledgers(path) as opener:
        yield opener


def wish(number: int) -> Wanted:
    """One of several wishes."""
    return Wanted(key=f"wish {number}", settings={"n": number}, output=f"/out/{number}.mp4")


def sent(seed: int) -> Submission:
    """What is posted for it."""
    return Submission(seed=seed, body={"seed": seed}, started_at=datetime.now(UTC))


def posting(ledger: Ledger, number: int, slots: int | None = None) -> Hold:
    """A wish that is being posted."""
    hold = ledger.take(wish(number))
    hold.begin_post(sent(number), slots)
    return hold


def running(ledger: Ledger, number: int) -> Hold:
    """A wish whose job runs."""
    hold = posting(ledger, number)
    hold.posted(Job(id=f"job_{number}", status="queued"))
    return hold


def taken(ledger: Ledger, number: int) -> Hold:
    """Take a wish up that is not done."""
    found = ledger.take_once(wish(number))
    assert isinstance(found, Hold)
    return found


def refused(status: int) -> ApiError:
    """A submit's refusal."""
    kind = RateLimitedError if status == 429 else ApiError
    return kind("no", status_code=status, reason="no", request_id=None, body={"details": {}})


def row(ledger: Ledger, number: int) -> Entry:
    """The newest row of a wish."""
    return ledger.with_outputs([f"/out/{number}.mp4"])[-1]


# --- slots ---------------------------------------------------------------------------------------


def test_slots_are_counted_over_all_processes(make: Make) -> None:
    """Two of one process and one of another: no third may post, and a fourth slot lets it."""
    first, second = make(), make()
    running(first, 1)
    posting(first, 2)
    running(second, 3)
    hold = second.take(wish(4))
    with pytest.raises(NoSlotError) as caught:
        hold.begin_post(sent(4), 3)
    assert sorted(caught.value.jobs) == ["job_1", "job_3"]
    assert (row(second, 4).state, row(second, 4).body) == ("leased", None)
    hold.begin_post(sent(4), 4)
    assert row(second, 4).state == "intent"


def end_success(ledger: Ledger, _hold: Hold) -> None:
    """Another process sees that it is done."""
    ledger.seen(Job(id="job_1", status="success", asset_ids=("asset_1",)))


def end_failure(ledger: Ledger, _hold: Hold) -> None:
    """That it failed."""
    ledger.seen(Job(id="job_1", status="failure"))


def end_saved(ledger: Ledger, _hold: Hold) -> None:
    """Its results are saved."""
    ledger.saved("job_1", [])


@pytest.mark.parametrize("end", [end_success, end_failure, end_saved])
def test_ended_job_gives_its_slot_back(make: Make, end: Callable[[Ledger, Hold], None]) -> None:
    """Whoever saw it end, its owner or another process."""
    dead, living = make(), make()
    hold = running(dead, 1)
    waiting = living.take(wish(2))
    with pytest.raises(NoSlotError):
        waiting.begin_post(sent(2), 1)
    end(living, hold)
    waiting.begin_post(sent(2), 1)


@pytest.mark.parametrize("error", [refused(400), refused(429)], ids=["400", "429"])
def test_refused_post_holds_no_slot(make: Make, error: ApiError) -> None:
    """It made no job."""
    ledger = make()
    posting(ledger, 1).not_made(error)
    posting(ledger, 2, 1)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET settled_at = 1",
        "UPDATE entries SET state = 'submitted', posted_at = posted_at - 3601",
        "UPDATE entries SET project_id = 'proj_other'",
        "UPDATE entries SET base_url = 'https://other.test/v1'",
        "UPDATE entries SET state = 'uncertain'",
    ],
)
def test_what_cannot_run_here_any_more_holds_no_slot(make: Make, path: Path, change: str) -> None:
    """A POST that is long settled, a job of an hour ago, another project, another server."""
    posting(make(), 1)
    sql(path, change)
    posting(make(), 2, 1)


def test_own_row_does_not_stand_in_its_own_way(make: Make) -> None:
    """One that is posted again, after a connection that was never opened, keeps its slot."""
    hold = posting(make(), 1, 1)
    hold.begin_post(sent(1), 1)


def test_no_slot_leaves_an_uncertain_row_uncertain(make: Make, path: Path) -> None:
    """It was posted once: that is not forgotten because it cannot go out again now."""
    ledger = make()
    posting(ledger, 1).uncertain()
    running(ledger, 2)
    sql(path, "UPDATE entries SET lease_until = 0")
    again = taken(make(), 1)
    with pytest.raises(NoSlotError) as caught:
        again.begin_post(sent(1), 1)
    again.not_made(caught.value)
    assert row(ledger, 1).state == "uncertain"


def test_many_threads_do_not_pass_the_slots(make: Make) -> None:
    """Twenty at once for five slots: five post."""
    ledgers = [make() for _ in range(4)]

    def one(number: int) -> bool:
        try:
            posting(ledgers[number % 4], number, 5)
        except NoSlotError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(one, range(20))) == 5


# --- what was done before ------------------------------------------------------------------------


def test_done_wish_is_not_begun_anew(make: Make, tmp_path: Path) -> None:
    """`take_once` gives its entry, and makes no row; `take` begins another."""
    ledger = make()
    file = tmp_path / "1.mp4"
    file.write_bytes(b"video")
    hold = running(ledger, 1)
    ledger.seen(Job(id="job_1", status="success", asset_ids=("asset_1",), cost=40.0))
    ledger.saved("job_1", [file])
    hold.released()
    found = make().take_once(wish(1))
    assert isinstance(found, Entry)
    assert (found.job_id, found.asset_ids, found.files, found.cost) == (
        "job_1", ("asset_1",), (str(file),), 40.0,
    )  # fmt: skip
    assert len(ledger.entries()) == 1
    ledger.take(wish(1))
    assert len(ledger.entries()) == 2


def test_failed_wish_is_begun_anew_and_unfinished_one_taken_up(make: Make) -> None:
    """A busy one is refused, whatever else is on record."""
    ledger = make()
    posting(ledger, 1).not_made(refused(400))
    first = taken(ledger, 1)
    assert first.entry.state == "leased"
    first.begin_post(sent(1))
    first.posted(Job(id="job_1", status="queued"))
    with pytest.raises(LedgerBusyError):
        make().take_once(wish(1))
    first.released()
    assert taken(make(), 1).entry.job_id == "job_1"
    assert len(ledger.entries()) == 2


def test_one_of_many_who_begin_at_once_gets_the_wish(make: Make) -> None:
    """The others are told that it is busy."""
    ledgers = [make() for _ in range(8)]

    def one(ledger: Ledger) -> Hold | None:
        try:
            return taken(ledger, 1)
        except LedgerBusyError:
            return None

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(one, ledgers))
    assert len([hold for hold in got if hold is not None]) == 1


def test_entries_are_found_by_their_outputs(make: Make) -> None:
    """Thousands of places in one question, oldest first; nothing of another project."""
    ledger = make()
    for number in (3, 1, 2):
        running(ledger, number)
    make(project_id="proj_a").take(wish(1))
    outputs = [f"/out/{number}.mp4" for number in range(1, 3000)]
    assert [one.output for one in ledger.with_outputs(outputs)] == [
        "/out/3.mp4", "/out/1.mp4", "/out/2.mp4",
    ]  # fmt: skip
    assert ledger.with_outputs([]) == []


# --- prices, and what was put off ----------------------------------------------------------------


def test_price_stays_where_the_server_names_no_cost(make: Make) -> None:
    """A budget counts it in the next run; a cost that is named takes its place."""
    ledger = make()
    hold = ledger.take(wish(1))
    hold.priced(40.0)
    hold.begin_post(sent(1))
    hold.posted(Job(id="job_1", status="queued"))
    ledger.seen(Job(id="job_1", status="in-progress"))
    assert row(ledger, 1).cost == 40.0
    ledger.seen(Job(id="job_1", status="success", cost=38.5))
    assert row(ledger, 1).cost == 38.5


def test_price_of_a_found_job_stays(make: Make) -> None:
    """Of one whose answer was lost, too."""
    ledger = make()
    hold = ledger.take(wish(1))
    hold.priced(40.0)
    hold.begin_post(sent(1))
    hold.uncertain()
    ledger.found(sent(1), Job(id="job_1", status="queued"))
    assert (row(ledger, 1).job_id, row(ledger, 1).cost) == ("job_1", 40.0)


@pytest.mark.parametrize("taken_up", [False, True])
def test_put_off_row_keeps_its_body_when_interrupted(make: Make, *, taken_up: bool) -> None:
    """The server said 429, which proves little: the next run looks for this seed first."""
    ledger = make()
    hold = posting(ledger, 1)
    hold.not_made(refused(429))
    if taken_up:
        hold.given_up(KeyboardInterrupt())
        hold.released()
        hold = taken(make(), 1)
    hold.given_up(KeyboardInterrupt())
    hold.released()
    entry = taken(make(), 1).entry
    assert (entry.state, entry.seed, len(ledger.entries())) == ("leased", 1, 1)


def test_put_off_row_that_is_told_uncertain_is_uncertain(make: Make) -> None:
    """What the caller reads and what is on record are the same."""
    ledger = make()
    hold = posting(ledger, 1)
    hold.not_made(refused(429))
    hold.given_up(SubmissionUncertainError("?", submission=sent(1)))
    hold.released()
    assert row(ledger, 1).state == "uncertain"


def test_row_that_was_never_posted_is_closed_when_given_up(make: Make) -> None:
    """Nobody who read that nothing was paid wants a later run to pay for it."""
    ledger = make()
    for number, error in enumerate((refused(400), KeyboardInterrupt())):
        hold = ledger.take(wish(number))
        hold.given_up(error)
        hold.released()
        assert row(ledger, number).state == "failed"


def test_intent_is_taken_back_when_nothing_was_sent(make: Make) -> None:
    """An interruption right before the POST leaves nothing uncertain."""
    ledger = make()
    hold = posting(ledger, 1)
    hold.not_sent()
    hold.given_up(KeyboardInterrupt())
    hold.released()
    assert row(ledger, 1).state in {"leased", "failed"}


def test_owner_that_was_overtaken_can_neither_post_nor_close(make: Make, path: Path) -> None:
    """Its lease lapsed while it slept; the new owner's intent stays."""
    old = make().take(wish(1))
    sql(path, "UPDATE entries SET lease_until = 1")
    new = taken(make(), 1)
    new.begin_post(sent(2), 1)
    with pytest.raises(LedgerBusyError):
        old.begin_post(sent(1), 5)
    for write in (old.not_sent, old.uncertain, old.released):
        write()
    old.not_made(refused(400))
    old.given_up(ZeroDivisionError())
    entry = row(make(), 1)
    assert (entry.state, entry.seed) == ("intent", 2)
    assert sql(path, "SELECT lease_until > 1000 FROM entries") == [(1,)]


# --- renewing leases -----------------------------------------------------------------------------


def test_the_thread_that_renews_ends_with_the_last_and_begins_with_the_next(make: Make) -> None:
    """One for all fifty; what is released is free at once."""
    ledger, other = make(), make()
    for _ in range(2):
        holds = [ledger.take(wish(number)) for number in range(50)]
        assert len(hearts()) == 1
        for number in (0, 49):
            with pytest.raises(LedgerBusyError):
                other.take(wish(number))
        for hold in holds:
            hold.released()
        until(lambda: hearts() == [])
        other.take(wish(0)).released()
        until(lambda: hearts() == [])


def test_entry_that_nobody_has_any_more_lapses(make: Make) -> None:
    """It was lost, not released: its lease runs out."""
    short = evolve(SLOW, lease=0.2, renewal=0.05)
    ledger, other = make(timing=short), make()
    ledger.take(wish(1))
    until(lambda: is_free(other))


def is_free(ledger: Ledger) -> bool:
    """Whether the entry can be claimed."""
    try:
        ledger.take(wish(1)).released()
    except LedgerBusyError:
        return False
    return True
