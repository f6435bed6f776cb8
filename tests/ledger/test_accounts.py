"""Which account owns a ledger's rows, and how a key finds those of its project."""

from pathlib import Path

import pytest

from ledger_rows import (
    KEY,
    Ledgers,
    claimed,
    job,
    posting,
    sql,
    submitted,
)
from scenario_reframe import (
    ConfigurationError,
)


def test_accounts_are_apart(make_ledger: Ledgers) -> None:
    """One file may serve many servers, projects, and keys of unknown projects."""
    made = [
        make_ledger(),
        make_ledger(base_url="https://other.test/v1"),
        make_ledger(project_id="proj_2"),
        make_ledger(project_id=None, api_key="key-2"),
        make_ledger(project_id=None, api_key="key-3"),
        make_ledger(project_id=None, api_key="key-2", base_url="https://other.test/v1"),
    ]
    claims = [claimed(ledger) for ledger in made]
    assert {claim.entry.id for claim in claims} == {1, 2, 3, 4, 5, 6}
    assert all(len(ledger.entries()) == 1 for ledger in made)
    assert [ledger.is_project_known for ledger in made] == [True] * 3 + [False] * 3
    for ledger in made[1:]:
        with pytest.raises(ConfigurationError):
            ledger.reclaim(claims[0].entry)


def test_a_rotated_key_keeps_its_rows(make_ledger: Ledgers, path: Path) -> None:
    """Once its project is known, the rows that it made before join those of the old key."""
    old = make_ledger(project_id=None, api_key="old-key")
    old.learn_project("proj_9")
    submitted(old, 1)
    new = make_ledger(project_id=None, api_key="new-key")
    other = make_ledger(project_id=None, api_key="new-key")
    assert not new.is_project_known
    claim = posting(new, 2)
    new.record_asset("sha256:02", "asset_2")
    new.learn_project("proj_9")
    assert new.is_project_known
    assert other.is_project_known, "another process learns it from the rows"
    for ledger in (old, new, other, make_ledger(project_id="proj_9", api_key="third")):
        assert [entry.target for entry in ledger.entries()] == ["/out/2.mp4", "/out/1.mp4"]
        assert ledger.asset_of("sha256:02") == "asset_2"
    assert other.record_job(claim.token, job(2))
    assert make_ledger(project_id=None, api_key="new-key").is_project_known
    new.learn_project("proj_10")
    assert sql(path, "SELECT project FROM accounts") == [("proj_9",)]


def test_a_project_is_learned_from_a_job(make_ledger: Ledgers) -> None:
    """The server's description of the job names it."""
    ledger = make_ledger(project_id=None)
    claim = posting(ledger)
    assert ledger.record_job(claim.token, job(raw={"ownerId": "proj_9"}))
    assert ledger.is_project_known
    assert len(make_ledger(project_id="proj_9").entries()) == 1


def test_a_key_of_several_named_projects_has_none_of_its_own_yet(make_ledger: Ledgers) -> None:
    """A submit without a project may go to any of them, until a reply names it."""
    for project in ("proj_1", "proj_2"):
        claimed(make_ledger(project_id=project))
    ledger = make_ledger(project_id=None)
    assert (ledger.is_project_known, ledger.entries()) == (False, [])
    ledger.learn_project("proj_2")
    assert ledger.is_project_known
    assert [entry.id for entry in ledger.entries()] == [2]


def test_nothing_is_lost_when_two_accounts_turn_out_to_be_one(
    make_ledger: Ledgers, path: Path
) -> None:
    """Of two entries of one request, the finished or else the older one keeps its key."""
    old, new = make_ledger(), make_ledger(project_id=None, api_key="new")
    states = [("done", "done"), ("done", "new"), ("claimed", "done"), ("new", "uncertain"),
              ("failed", "new")]  # fmt: skip
    for number, pair in enumerate(states):
        for ledger, state in zip((old, new), pair, strict=True):
            claim = claimed(ledger, number)
            ledger.release(claim)
            sql(path, "UPDATE entries SET state = ? WHERE id = ?", state, claim.entry.id)
    keys = dict(sql(path, "SELECT id, key FROM entries"))
    runs = [ledger.begin_run(["/out/0.mp4"], 5.0) for ledger in (old, new)]
    runs.append(new.begin_run(["/out/1.mp4"], None))
    for ledger in (old, new):
        ledger.record_asset("sha256:00", f"asset_{ledger.entries()[0].id}")
    new.learn_project("proj_1")
    assert len(old.entries()) == 10
    now = sql(path, "SELECT id, key FROM entries ORDER BY id")
    renamed = [entry_id for entry_id, key in now if keys[entry_id] != key]
    assert renamed == [1, 4, 5, 8]
    assert sql(path, "SELECT id FROM runs ORDER BY id") == [(runs[0],), (runs[2],)]
    assert sql(path, "SELECT run FROM entries WHERE id IN (1, 2, 4)") == [(1,), (1,), (3,)]
    assert sql(path, "SELECT account, asset_id FROM uploads") == [(1, "asset_9")]


def test_a_job_that_two_accounts_share_stays_with_one(make_ledger: Ledgers, path: Path) -> None:
    """The other's entry is uncertain again, and nothing is bought for it by itself."""
    old, new = make_ledger(), make_ledger(project_id=None, api_key="new")
    submitted(old, 1)
    claim = posting(new, 2)
    new.record_job(claim.token, job(1))
    new.learn_project("proj_1")
    rows = sql(path, "SELECT state, job_id FROM entries ORDER BY id")
    assert rows == [("submitted", "job_1"), ("uncertain", None)]


def test_no_credential_is_in_the_file(make_ledger: Ledgers, path: Path) -> None:
    """Not even a hash that would be the same in another ledger."""
    make_ledger(project_id=None).close()
    elsewhere = path.with_name("other.db")
    make_ledger(elsewhere, project_id=None).close()
    assert KEY.encode() not in path.read_bytes()
    prints = [sql(place, "SELECT fingerprint FROM keys") for place in (path, elsewhere)]
    assert prints[0] != prints[1]
    assert KEY not in repr(make_ledger())
