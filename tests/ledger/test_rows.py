"""The ledger alone, on SQLite files: entries, leases, fences, and POSTs."""

import hashlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
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
    lapse,
    outcomes,
    posting,
    renewers,
    request,
    sql,
    state_of,
    submission,
    submitted,
)
from scenario_reframe import (
    ConfigurationError,
    InvalidInputError,
    LedgerBusyError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.ledger.interface import Claim, Entry, Ledger, Post, SubmitConditions
from waiting import Clock, until

# --- entries ---------------------------------------------------------------------------------


def test_a_request_goes_through_its_states_to_done(make_ledger: Ledgers, tmp_path: Path) -> None:
    """Each is on disk when the call returns, and another ledger on the file sees it."""
    ledger, other, file = make_ledger(), make_ledger(), tmp_path / "1.mp4"
    file.write_bytes(b"video")
    as_protocol: Ledger = ledger
    claim = claimed(ledger)
    (entry,) = other.entries()
    assert (entry.state, entry.source, entry.content) == ("claimed", "/clips/1.mp4", "sha256:01")
    assert (entry.settings, entry.target, entry.seed) == ({"n": 1}, "/out/1.mp4", None)
    assert abs(entry.created_at - time.time()) < 60
    ledger.open_post(claim, submission(7), SubmitConditions())
    assert (state_of(other), other.entries()[0].seed) == ("posting", 7)
    assert ledger.record_job(claim.token, job(cost=4.0))
    assert (state_of(other), other.entries()[0].cost) == ("submitted", 4.0)
    as_protocol.record_status(job(status="in-progress"))
    assert state_of(other) == "submitted"
    ledger.record_status(job(status="success", asset_ids=("asset_9",)))
    assert (state_of(other), other.entries()[0].asset_ids) == ("ready", ("asset_9",))
    ledger.record_files("job_1", [file])
    (entry,) = other.entries()
    assert (entry.state, [*entry.files], entry.cost) == ("done", [str(file)], 4.0)
    assert entry.files[str(file)] == hashlib.sha256(b"video").hexdigest()
    ledger.record_status(job(status="failure"))
    assert other.entries(unfinished=True) == []
    found = other.claim(request())
    assert found == entry, "a finished request is not bought again"


@pytest.mark.parametrize("status", ["failure", "canceled"])
def test_a_request_whose_job_failed_starts_again(make_ledger: Ledgers, status: str) -> None:
    """The old entry says why, without a signed URL; only a caller's key stays with it."""
    ledger = make_ledger()
    for key in (False, True):
        claim = ledger.claim(request(int(key), is_callers_key=key))
        assert isinstance(claim, Claim)
        ledger.open_post(claim, submission(), SubmitConditions())
        ledger.record_job(claim.token, job(int(key)))
        ledger.record_status(job(int(key), status, error="see https://s.test/x?Signature=1"))
        ledger.release(claim)
    assert {entry.error for entry in ledger.entries()} == {"see https://s.test/x"}
    assert claimed(ledger, 0).entry.id == 3
    failed = ledger.claim(request(1, is_callers_key=True))
    assert isinstance(failed, Entry)
    assert (failed.state, failed.job_id) == ("failed", "job_1")


def test_an_unfinished_request_is_claimed_and_not_started_again(make_ledger: Ledgers) -> None:
    """In every unfinished state, with all that is known of its POSTs."""
    ledger = make_ledger()
    server = datetime(2026, 1, 1, tzinfo=UTC)
    sent = submission(7, is_seed_drawn=True, server_time=server)

    def refused(claim: Claim) -> None:
        ledger.open_post(claim, sent, SubmitConditions())
        end(ledger, claim, "refused")

    def lost(claim: Claim) -> None:
        ledger.open_post(claim, sent, SubmitConditions())
        claim.posts[-1].server_ended = server
        end(ledger, claim, "uncertain")

    steps: list[tuple[Callable[[Claim], Any], str]] = [
        (lambda _: None, "claimed"),
        (refused, "claimed"),
        (lambda claim: ledger.open_post(claim, sent, SubmitConditions()), "uncertain"),
        (lost, "uncertain"),
        (lambda claim: ledger.record_job(claim.token, job()), "submitted"),
        (lambda _: ledger.record_status(job(status="success")), "ready"),
    ]
    claim = claimed(ledger)
    for step, state in steps:
        step(claim)
        ledger.release(claim)
        claim = claimed(ledger)
        assert (claim.entry.id, claim.entry.state) == (1, state)
    found = [(post.outcome, post.submission) for post in claim.posts]
    kept = evolve(found[0][1], token=claim.token, body={"seed": 7}, server_time=server)
    assert [outcome for outcome, _ in found] == ["refused", "uncertain", "made"]
    assert all(evolve(one, started_at=kept.started_at) == kept for _, one in found)
    assert kept.is_seed_drawn
    assert claim.posts[-1].server_ended == server
    assert len(ledger.entries()) == 1


def test_what_a_check_refuses_is_not_claimed(make_ledger: Ledgers, path: Path) -> None:
    """The check runs while nobody else can write, and gets an unfinished or done entry."""
    ledger, asked = make_ledger(), []

    def check(entry: Entry | None) -> None:
        asked.append(entry and entry.state)
        beside = sqlite3.connect(path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            beside.execute("BEGIN IMMEDIATE")
        beside.close()
        raise InvalidInputError("taken")

    for _ in range(3):
        with pytest.raises(InvalidInputError, match="taken"):
            ledger.claim(request(), check)
        ledger.release(submitted(ledger) if asked == [None, "new"] else claimed(ledger))
        if len(asked) == 2:
            ledger.record_files("job_1", [])
            with pytest.raises(InvalidInputError, match="taken"):
                ledger.claim(request(), check)
            break
    assert asked == [None, "new", "done"]


def test_a_callers_key_binds_video_and_settings_but_not_the_target(make_ledger: Ledgers) -> None:
    """The same key for another request is an error that says what differs."""
    ledger = make_ledger()
    mine = request(key="mine\udcff", is_callers_key=True)
    claim = ledger.claim(mine)
    assert isinstance(claim, Claim)
    ledger.release(claim)
    others: list[tuple[dict[str, Any], str]] = [
        ({"content": None}, "other video"),
        ({"settings": {}}, "other settings"),
        ({"settings": {}, "content": "x"}, "other video and settings"),
    ]
    for change, what in others:
        with pytest.raises(InvalidInputError, match=f"{what}; nothing was submitted"):
            ledger.claim(evolve(mine, **change))
    again = ledger.claim(evolve(mine, target="/elsewhere.mp4"))
    assert isinstance(again, Claim)
    assert again.entry.id == claim.entry.id
    assert ledger.claim(evolve(mine, is_callers_key=False)) != again, "keys of two kinds"
    assert "mine" not in ledger.entries()[0].key


def test_the_database_itself_refuses_two_unfinished_entries_of_a_key(
    make_ledger: Ledgers, path: Path
) -> None:
    """Even a faulty program cannot start a request twice; its error is 'busy'."""
    ledger = make_ledger()
    claimed(ledger)
    copied = """INSERT INTO entries (account, key, token, state, settings, created_at, updated_at)
        SELECT account, key, 'x', 'new', settings, 0, 0 FROM entries"""
    with pytest.raises(sqlite3.IntegrityError):
        sql(path, copied)
    with pytest.raises(LedgerBusyError), ledger.database.transaction() as transaction:
        transaction.run(copied)


@pytest.mark.parametrize(
    ("error", "outcome", "state"),
    [
        (None, None, "new"),
        (ReframeError("no\x1b[1m https://s.test/?Signature=1"), None, "failed"),
        (KeyboardInterrupt(), None, "failed"),
        (KeyboardInterrupt(), "refused", "failed"),
        (KeyboardInterrupt(), "deferred", "new"),
        (SubmissionUncertainError("?", submission=submission()), "deferred", "uncertain"),
        (ReframeError("no"), "uncertain", "uncertain"),
        (ReframeError("no"), "open", "posting"),
    ],
)
def test_an_entry_is_closed_when_every_post_is_proven_to_have_made_no_job(
    make_ledger: Ledgers, error: BaseException | None, outcome: Any, state: str
) -> None:
    """A caller who was told that nothing was paid does not expect a later run to pay."""
    ledger = make_ledger()
    claim = claimed(ledger)
    if outcome is not None:
        ledger.open_post(claim, submission(), SubmitConditions())
    if outcome not in (None, "open"):
        end(ledger, claim, outcome)
    ledger.release(claim, error)
    (entry,) = ledger.entries()
    assert entry.state == state
    assert (entry.error is not None) == (state == "failed")
    assert "Signature" not in str(entry.error)
    assert "\x1b" not in str(entry.error)
    assert claimed(make_ledger()).entry.id == (2 if state == "failed" else 1), (
        "and nobody waits for it"
    )


def test_entries_are_listed_newest_first_and_found_by_their_targets(
    make_ledger: Ledgers,
) -> None:
    """Twelve thousand of them, and none of another account."""
    ledger = make_ledger()
    with ledger.database.transaction() as transaction:
        for number in range(12_000):
            transaction.run(
                """INSERT INTO entries (account, key, token, state, settings, target, created_at,
                updated_at) VALUES (1, :key, :key, :state, '{}', :target, 0, 0)""",
                key=str(number),
                state="new" if number % 3 else "done",
                target=f"/out/{number}.mp4",
            )
    claimed(make_ledger(project_id="proj_2"))
    assert [entry.id for entry in ledger.entries()] == [*range(12_000, 0, -1)]
    assert len(ledger.entries(unfinished=True)) == 8_000
    targets = [f"/out/{number}.mp4" for number in range(20_000)]
    assert [entry.id for entry in ledger.with_targets(targets)] == [*range(1, 12_001)]
    assert ledger.with_targets([]) == []


def test_names_that_are_not_utf8_are_stored(make_ledger: Ledgers) -> None:
    """So are names that look like their stored form."""
    ledger, places = make_ledger(), ["/out/\udcff.mp4", 'json:"x"', "/out/ä\n.mp4"]
    run = ledger.begin_run(places, None)
    for number, place in enumerate(places):
        claim = ledger.claim(request(number, target=place, source=place), run=run)
        assert isinstance(claim, Claim)
    assert [entry.target for entry in ledger.with_targets(places)] == places
    assert [entry.source for entry in ledger.with_targets(places)] == places
    assert make_ledger().begin_run(places[::-1], None) == run
    with pytest.raises(ConfigurationError):
        ledger.record_asset("sha256:01", "asset_\ud800")
    ledger.record_asset("sha256:01", "asset_1")
    assert ledger.asset_of("sha256:01") == "asset_1", "it stands in nobody's way"


def test_uploads_are_stored_replaced_and_forgotten(make_ledger: Ledgers) -> None:
    """By content, and separately for every account."""
    one, other = make_ledger(), make_ledger(project_id="proj_2")
    assert one.asset_of("sha256:00") is None
    one.record_upload("sha256:00", "upload_1")
    assert (one.asset_of("sha256:00"), one.upload_of("sha256:00")) == (None, "upload_1")
    one.record_asset("sha256:00", "asset_1")
    assert (one.asset_of("sha256:00"), one.upload_of("sha256:00")) == ("asset_1", None)
    assert other.asset_of("sha256:00") is None
    other.record_asset("sha256:00", "asset_3")
    one.forget_upload("sha256:00")
    assert (one.asset_of("sha256:00"), other.asset_of("sha256:00")) == (None, "asset_3")


# --- leases ----------------------------------------------------------------------------------


def test_others_cannot_claim_what_a_living_owner_has(make_ledger: Ledgers) -> None:
    """Another ledger, and this one: claim and reclaim raise 'busy', with the job."""
    ledger = make_ledger()
    claim = submitted(ledger)
    for other in (ledger, make_ledger()):
        with pytest.raises(LedgerBusyError, match=r"job_1.*nothing was submitted"):
            other.claim(request())
        with pytest.raises(LedgerBusyError, match=r"job_1.*nothing was submitted"):
            other.reclaim(claim.entry)


def test_many_claims_at_once_succeed_once(make_ledger: Ledgers) -> None:
    """The first has it; the others get an error."""
    made = [make_ledger() for _ in range(4)]

    def one(number: int) -> bool:
        try:
            made[number % 4].claim(request())
        except LedgerBusyError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(one, range(16))) == 1


def test_a_lease_ends_by_the_clock_of_the_database_or_with_its_owner(
    make_ledger: Ledgers, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose clock is a day ahead gets nothing; a dead owner's lease is over."""
    ledger = make_ledger()
    claim = claimed(ledger)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(LedgerBusyError):
        make_ledger().claim(request())
    lapse(path)
    assert claimed(make_ledger()).fence == claim.fence + 1
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    ((owner,),) = sql(path, "SELECT owner FROM entries")
    machine = owner.rsplit(":", 2)[0]
    sql(path, "UPDATE entries SET owner = ?", f"{machine}:{ended.pid}:x")
    assert claimed(make_ledger()).fence == claim.fence + 2
    sql(path, "UPDATE entries SET owner = ?", f"other-machine:{ended.pid}:x")
    with pytest.raises(LedgerBusyError):
        make_ledger().claim(request())


def test_an_owner_that_slept_renews_its_lease_unless_it_was_replaced(
    make_ledger: Ledgers, path: Path
) -> None:
    """The fence: an owner that was replaced sends nothing and writes nothing."""
    slept = make_ledger()
    claim = claimed(slept)
    lapse(path)
    slept.open_post(claim, submission(), SubmitConditions())
    with pytest.raises(LedgerBusyError):
        make_ledger().claim(request())
    end(slept, claim, "refused")
    lapse(path)
    quick = make_ledger()
    posting(quick)
    before = sql(path, "SELECT * FROM entries")
    for attempt in (slept.open_post, lambda *given: slept.may_post(given[0], given[2])):
        with pytest.raises(LedgerBusyError, match="nothing was submitted"):
            attempt(claim, submission(), SubmitConditions())
    slept.withdraw_post(claim)
    slept.release(claim, ReframeError("no"))
    assert sql(path, "SELECT * FROM entries") == before
    assert outcomes(path) == ["refused", "open"]


@pytest.mark.parametrize("state", ["submitted", "ready", "done", "failed", "posting"])
def test_what_was_submitted_is_not_submitted_again(
    make_ledger: Ledgers, path: Path, state: str
) -> None:
    """Not even by its owner."""
    ledger = make_ledger()
    claim = submitted(ledger)
    sql(path, "UPDATE entries SET state = ?", state)
    with pytest.raises(LedgerBusyError, match="nothing was submitted again"):
        ledger.open_post(claim, submission(), SubmitConditions())
    assert outcomes(path) == ["made"]


@pytest.mark.parametrize("change", ["state = 'done'", "key = 'x'", "created_at = 1", "account = 9"])
def test_a_finished_or_foreign_entry_is_not_reclaimed(
    make_ledger: Ledgers, path: Path, change: str
) -> None:
    """Of another file or account, finished, or missing."""
    ledger = make_ledger()
    claim = claimed(ledger)
    ledger.release(claim)
    sql(path, f"UPDATE entries SET {change}")  # noqa: S608
    with pytest.raises(ConfigurationError, match="is finished, or belongs to another"):
        ledger.reclaim(claim.entry)
    sql(path, "DELETE FROM entries")
    with pytest.raises(ConfigurationError, match="is finished, or belongs to another"):
        ledger.reclaim(claim.entry)
    assert renewers() == []


def test_one_thread_renews_our_leases(make_ledger: Ledgers, path: Path) -> None:
    """Also a lease that was slept through, but neither another's nor one of a POST."""
    ledger = make_ledger(timing=evolve(SLOW, renewal=0.05))
    claims = [claimed(ledger, number) for number in range(200)]
    claims.append(posting(ledger, 200))
    assert len(renewers()) == 1
    sql(path, "UPDATE entries SET lease_until = 1 WHERE id <> 2")
    sql(path, "UPDATE entries SET owner = 'x', lease_until = 9e9 WHERE id = 2")
    until(lambda: sql(path, "SELECT count(*) FROM entries WHERE lease_until > 1000") == [(200,)])
    assert sql(path, "SELECT id FROM entries WHERE lease_until = 1") == [(201,)]
    assert sql(path, "SELECT lease_until FROM entries WHERE id = 2") == [(9e9,)]
    for claim in claims:
        ledger.release(claim)
    until(lambda: renewers() == [])
    claim = claimed(ledger, 201)
    assert len(renewers()) == 1
    del claim, claims
    until(lambda: renewers() == [])


# --- POSTs -----------------------------------------------------------------------------------


def test_a_later_post_hides_nothing_of_an_earlier_one(make_ledger: Ledgers, path: Path) -> None:
    """An entry with an uncertain POST stays uncertain, however a later POST ends."""
    ledger = make_ledger()
    claim = claimed(ledger)
    for outcome in ("uncertain", "refused", "deferred"):
        ledger.open_post(claim, submission(), SubmitConditions())
        end(ledger, claim, outcome)
        assert state_of(ledger) == "uncertain"
    ledger.open_post(claim, submission(), SubmitConditions())
    ledger.withdraw_post(claim)
    assert state_of(ledger) == "uncertain"
    ledger.release(claim, ReframeError("no"))
    assert state_of(ledger) == "uncertain"
    assert outcomes(path) == ["uncertain", "refused", "deferred"]
    assert [post.outcome for post in claim.posts] == outcomes(path)


def test_a_post_that_was_not_sent_leaves_no_trace(make_ledger: Ledgers, path: Path) -> None:
    """Its entry is as it was before."""
    ledger = make_ledger()
    claim = posting(ledger)
    ledger.withdraw_post(claim)
    ledger.withdraw_post(claim)
    assert (outcomes(path), claim.posts, state_of(ledger)) == ([], [], "claimed")
    ledger.open_post(claim, submission(), SubmitConditions())
    assert outcomes(path) == ["open"]


def test_the_end_of_a_post_is_stored_as_a_time_of_the_database(
    make_ledger: Ledgers, path: Path
) -> None:
    """What this process measured is the same moment for the next one."""
    clock, later = Clock(), Clock()
    later.forward(5000)
    ledger = make_ledger(timing=evolve(SLOW, clock=clock))
    claim = posting(ledger)
    clock.forward(100)
    claim.posts[-1].ended = clock() - 30
    end(ledger, claim, "deferred", "slow down https://s.test/?Signature=1")
    ledger.release(claim)
    ((ago, reason),) = sql(
        path, "SELECT (julianday('now') - 2440587.5) * 86400 - ended_at, reason FROM posts"
    )
    assert ago == pytest.approx(30, abs=5)
    assert reason == "slow down https://s.test/"
    (post,) = claimed(make_ledger(timing=evolve(SLOW, clock=later))).posts
    assert post.ended == pytest.approx(later() - 30, abs=5)


def test_the_post_of_a_dead_owner_is_uncertain_and_may_still_arrive(
    make_ledger: Ledgers, path: Path
) -> None:
    """It ended at the latest one longest POST (of its own client) after the lease."""
    dead = make_ledger(longest_post=100.0)
    posting(dead)
    sql(path, "UPDATE entries SET lease_until = lease_until - 3610")  # 10 s ago
    (post,) = claimed(make_ledger(timing=evolve(SLOW, clock=lambda: 1000.0))).posts
    assert (post.outcome, state_of(dead)) == ("uncertain", "uncertain")
    assert post.ended == pytest.approx(1090, abs=5)


@pytest.mark.parametrize("outcome", ["refused", "uncertain", "deferred"])
def test_the_end_of_a_post_is_stored_whoever_has_its_entry(
    make_ledger: Ledgers, path: Path, outcome: Any
) -> None:
    """The machine slept during the POST; its late end is marked."""
    slept = make_ledger()
    claim = posting(slept)
    lapse(path)
    end(slept, claim, outcome)
    assert sql(path, "SELECT outcome, overslept FROM posts") == [(outcome, 1)]
    assert state_of(slept) == ("uncertain" if outcome == "uncertain" else "claimed")
    slept.open_post(claim, submission(), SubmitConditions())
    lapse(path)
    other = claimed(make_ledger())
    slept.end_post(claim, Post(submission=submission(), outcome=outcome), "why")
    assert sql(path, "SELECT outcome, overslept FROM posts") == [(outcome, 1)] * 2
    assert (other.entry.state, state_of(slept)) == ("uncertain", "uncertain")
    other_posts = [post.outcome for post in other.posts]
    assert other_posts == [outcome, "uncertain"], "as it was when it was claimed"


def test_a_job_is_stored_whoever_has_its_entry(make_ledger: Ledgers, path: Path) -> None:
    """The process that has claimed the entry meanwhile sends nothing."""
    slept = make_ledger()
    claim = posting(slept)
    lapse(path)
    other = make_ledger()
    theirs = claimed(other)
    assert slept.record_job(claim.token, job())
    assert slept.record_job(claim.token, job()), "the same again"
    assert (state_of(slept), outcomes(path)) == ("submitted", ["made"])
    assert sql(path, "SELECT job_id FROM posts") == [("job_1",)]
    with pytest.raises(LedgerBusyError, match="as job job_1"):
        other.open_post(theirs, submission(), SubmitConditions())


def test_a_second_job_of_an_entry_is_stored_beside_it(make_ledger: Ledgers, path: Path) -> None:
    """A paid job is recorded, even if it should not have been bought."""
    ledger = make_ledger()
    claim = submitted(ledger, 1)
    ledger.record_files("job_1", [])
    assert ledger.record_job(claim.token, job(2, cost=4.0))
    assert ledger.record_job(claim.token, job(2, cost=4.0)), "the same again"
    beside, first = ledger.entries()
    assert (first.job_id, first.state) == ("job_1", "done")
    assert (beside.job_id, beside.state, beside.cost) == ("job_2", "submitted", 4.0)
    assert beside.key == f"{first.key}:job_2"
    again = ledger.reclaim(beside)
    assert again.token != claim.token
    ledger.record_files("job_2", [])
    assert [entry.state for entry in ledger.entries()] == ["done", "done"]


def test_a_failed_job_leaves_a_request_open_whose_other_post_may_have_made_one(
    make_ledger: Ledgers, path: Path
) -> None:
    """It is set aside: the request looks for its other job instead of starting again."""
    ledger = make_ledger()
    claim = posting(ledger)
    end(ledger, claim, "uncertain")
    ledger.open_post(claim, submission(), SubmitConditions())
    ledger.record_job(claim.token, job(2, cost=4.0))
    ledger.record_status(job(2, "failure", error="no memory"))
    ledger.release(claim)
    beside, first = ledger.entries()
    assert (beside.job_id, beside.state, beside.error) == ("job_2", "failed", "no memory")
    assert (first.job_id, first.state, first.error) == (None, "uncertain", None)
    again = claimed(ledger)
    assert again.entry.id == first.id
    assert [post.outcome for post in again.posts] == ["uncertain"]
    assert ledger.owned_by_others(again.token, ["job_1", "job_2"]) == {"job_2"}
    assert ledger.record_job(again.token, job(1))
    assert sorted(outcomes(path)) == ["made", "made"]
    ledger.record_status(job(1, "failure"))
    assert [entry.state for entry in ledger.entries()] == ["failed", "failed"]
    assert claimed(ledger).entry.id not in {beside.id, first.id}


def test_one_job_answers_one_request(make_ledger: Ledgers, path: Path) -> None:
    """A second request for it is an error; other accounts may have the same id."""
    ledger = make_ledger()
    first, second = submitted(ledger, 1), posting(ledger, 2)
    assert not ledger.record_job(second.token, job(1))
    assert state_of(ledger, 2) == "posting"
    assert ledger.owned_by_others(second.token, ["job_1", "job_2"]) == {"job_1"}
    assert ledger.owned_by_others(first.token, ["job_1", "job_2"]) == frozenset()
    assert not ledger.record_job("of a request that is not on record", job(1))
    assert ledger.record_job("of a request that is not on record", job(3))
    assert make_ledger(project_id="proj_2").owned_by_others("", ["job_1"]) == frozenset()
    assert submitted(make_ledger(project_id="proj_2"), 1).token != first.token
