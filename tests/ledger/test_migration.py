"""The migration of a ledger of version 1, as this package's first release wrote it."""

import hashlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ledger_rows import BASE, PROJECT, Ledgers, job, sql, submission
from scenario_reframe import LedgerBusyError
from scenario_reframe.cli.doctor_ledger import EntryFilter, ledger_checks
from scenario_reframe.ledger.interface import Claim, ClipRequest, Entry, SubmitConditions
from scenario_reframe.ledger.rows import request_key
from scenario_reframe.ledger.tables import VERSION

TABLES = """
CREATE TABLE schema_version (
	version INTEGER NOT NULL,
	PRIMARY KEY (version)
);
CREATE TABLE entries (
	id INTEGER NOT NULL,
	"key" VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	owner VARCHAR,
	lease_until FLOAT NOT NULL,
	fence INTEGER NOT NULL,
	base_url VARCHAR NOT NULL,
	project_id VARCHAR,
	content VARCHAR,
	source VARCHAR,
	settings VARCHAR NOT NULL,
	output VARCHAR,
	body VARCHAR,
	seed INTEGER,
	posted_at FLOAT,
	settled_at FLOAT,
	job_id VARCHAR,
	asset_ids VARCHAR NOT NULL,
	files VARCHAR NOT NULL,
	cost FLOAT,
	error VARCHAR,
	created_at FLOAT NOT NULL,
	updated_at FLOAT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (job_id)
);
CREATE UNIQUE INDEX one_unfinished_per_key ON entries ("key") WHERE state NOT IN ('done', 'failed');
CREATE INDEX by_key ON entries ("key");
CREATE INDEX by_output ON entries (output);
CREATE INDEX by_state ON entries (state);
CREATE TABLE uploads (
	base_url VARCHAR NOT NULL,
	project_id VARCHAR NOT NULL,
	content VARCHAR NOT NULL,
	upload_id VARCHAR,
	asset_id VARCHAR,
	PRIMARY KEY (base_url, project_id, content)
);
INSERT INTO schema_version VALUES (1);
"""
LATER = 9e9
"""When the leases of a living process end."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a ledger of version 1."""
    place = tmp_path / "ledger.db"
    connection = sqlite3.connect(place)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(TABLES)
    connection.close()
    return place


def settings_of(number: int) -> dict[str, Any]:
    """The settings of a request; number 3 has a seed of the caller's."""
    return {"a": 1, "n": number} | ({"seed": 3} if number == 3 else {})


def inner_key(number: int) -> str:
    """The part of a request key that identifies the request, as before the target was added."""
    return json.dumps([f"sha256:{number:02}", settings_of(number), f"/out/{number}.mp4"])


def old_key(number: int, project: str | None = PROJECT) -> str:
    """A request key as version 1 stored it."""
    text = json.dumps([BASE, project, inner_key(number)])
    return hashlib.sha256(text.encode()).hexdigest()


def row(path: Path, number: int, state: str, **changes: Any) -> None:
    """Insert a row of version 1; its body was sent if it has got that far."""
    values = {
        "key": old_key(number, changes.get("project_id", PROJECT)),
        "state": state,
        "owner": "another-machine:1:x",
        "lease_until": 0.0,
        "fence": 3,
        "base_url": BASE,
        "project_id": PROJECT,
        "content": f"sha256:{number:02}",
        "source": f"/clips/{number}.mp4",
        "settings": json.dumps(dict(reversed(settings_of(number).items()))),
        "output": f"/out/{number}.mp4",
        "asset_ids": '["asset_1"]',
        "files": '{"/out/x.mp4": "00"}',
        "cost": 4.0,
        "created_at": 1000.0,
        "updated_at": 2000.0,
    }
    if state != "leased" or changes.get("body"):
        body = json.dumps({"n": number, "a": 1, "seed": number})
        values |= {"body": body, "seed": number, "posted_at": 1500.0, "settled_at": 1560.0}
    if state in ("submitted", "ready", "done"):
        values["job_id"] = f"job_{number}"
    values |= changes
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    sql(path, f"INSERT INTO entries ({names}) VALUES ({marks})", *values.values())  # noqa: S608


def request(number: int) -> ClipRequest:
    """The same request today."""
    return ClipRequest(key=inner_key(number), content=f"sha256:{number:02}")


def test_every_state_has_its_counterpart_and_can_be_finished(
    make_ledger: Ledgers, path: Path
) -> None:
    """With what is known of its last POST; the same request finds it."""
    deferred = json.dumps({"n": 2, "a": 1, "seed": 2})
    row(path, 1, "leased", lease_until=LATER)
    row(path, 2, "leased", body=deferred, seed=2, posted_at=1500.0, settled_at=1560.0)
    row(path, 3, "intent")
    for number, state in enumerate(("uncertain", "submitted", "ready", "done"), 4):
        row(path, number, state)
    row(path, 8, "failed", error="400: no")
    row(path, 9, "failed", job_id="job_9", error="no frames")
    ledger = make_ledger()
    assert sql(path, "SELECT id, state, fence FROM entries ORDER BY id") == [
        (1, "new", 3), (2, "new", 3), (3, "posting", 3), (4, "uncertain", 3), (5, "submitted", 3),
        (6, "ready", 3), (7, "done", 3), (8, "failed", 3), (9, "failed", 3),
    ]  # fmt: skip
    assert sql(path, "SELECT entry, seed, is_seed_drawn, outcome, job_id, ended_at FROM posts") == [
        (2, 2, 1, "deferred", None, 1560.0),
        (3, 3, 0, "open", None, None),
        (4, 4, 1, "uncertain", None, 1560.0),
        (5, 5, 1, "made", "job_5", 1560.0),
        (6, 6, 1, "made", "job_6", 1560.0),
        (7, 7, 1, "made", "job_7", 1560.0),
        (8, 8, 1, "refused", None, 1560.0),
        (9, 9, 1, "made", "job_9", 1560.0),
    ]
    done = ledger.claim(request(7))
    assert isinstance(done, Entry)
    assert (done.job_id, done.asset_ids, done.files) == (
        "job_7", ("asset_1",), {"/out/x.mp4": "00"},
    )  # fmt: skip
    assert (done.source, done.target, done.cost, done.seed) == (
        "/clips/7.mp4", "/out/7.mp4", 4.0, 7,
    )  # fmt: skip
    states = ["claimed", "claimed", "uncertain", "uncertain", "submitted", "ready"]
    for number, state in enumerate(states, 1):
        claim = ledger.claim(request(number))
        assert isinstance(claim, Claim)
        assert (claim.entry.id, claim.entry.state) == (number, state)
        assert len(claim.token) == 32
        if number > 1:
            assert claim.posts[0].submission.body == {"n": number, "a": 1, "seed": number}
        if state in ("claimed", "uncertain"):
            ledger.open_post(claim, submission(), SubmitConditions())
            ledger.record_job(claim.token, job(number))
        ledger.record_files(f"job_{number}", [])
        ledger.release(claim)
    assert {entry.state for entry in ledger.entries()} == {"done", "failed"}
    second = ledger.claim(request(8))
    assert isinstance(second, Claim)
    assert second.entry.id == 10


def test_a_post_of_version_1_becomes_uncertain_when_its_lease_ends(
    make_ledger: Ledgers, path: Path
) -> None:
    """Its process may still get the reply, so the lease is respected."""
    row(path, 1, "intent", lease_until=LATER)
    ledger = make_ledger()
    with pytest.raises(LedgerBusyError):
        ledger.claim(request(1))
    sql(path, "UPDATE entries SET lease_until = 5000")
    claim = ledger.claim(request(1))
    assert isinstance(claim, Claim)
    assert (claim.entry.state, claim.posts[0].outcome) == ("uncertain", "uncertain")
    assert sql(path, "SELECT ended_at FROM posts") == [(5060.0,)]


def test_request_keys_are_recomputed_where_they_can_be(make_ledger: Ledgers, path: Path) -> None:
    """Of several entries of one request the newest finished one keeps the key."""
    row(path, 1, "done", job_id="job_1")
    row(path, 1, "failed")
    row(path, 1, "done", job_id="job_2")
    row(path, 1, "submitted", job_id="job_3")
    row(path, 2, "uncertain", key="random")
    row(path, 2, "submitted", key="random:job_5", job_id="job_5")
    make_ledger()
    new = request_key(request(1))
    assert sql(path, "SELECT id, key FROM entries ORDER BY id") == [
        (1, f"{new}:1"), (2, new), (3, new), (4, f"{new}:4"), (5, "random"), (6, "random:job_5"),
    ]  # fmt: skip
    found = make_ledger().claim(request(1))
    assert isinstance(found, Entry)
    assert found.job_id == "job_2"
    assert len({token for (token,) in sql(path, "SELECT token FROM entries")}) == 6


def test_accounts_of_version_1_stay_apart(make_ledger: Ledgers, path: Path) -> None:
    """Entries without a project go to the first key without one, and to no other."""
    row(path, 1, "submitted")
    row(path, 2, "submitted", project_id=None)
    row(path, 3, "submitted", base_url="https://other.test/v1", project_id=None)
    for project, asset in (("", "asset_a"), (PROJECT, "asset_b"), ("proj_9", "asset_c")):
        sql(path, "INSERT INTO uploads VALUES (?, ?, 'x', NULL, ?)", BASE, project, asset)
    named, first = make_ledger(), make_ledger(project_id=None, api_key="first")
    second, again = (
        make_ledger(project_id=None, api_key="second"),
        make_ledger(project_id=None, api_key="first"),
    )
    for ledger, ids in ((named, [1]), (first, [2]), (second, []), (again, [2])):
        assert [entry.id for entry in ledger.entries()] == ids
    assert [one.asset_of("x") for one in (named, first, second)] == ["asset_b", "asset_a", None]
    assert make_ledger(project_id="proj_9").asset_of("x") == "asset_c"
    assert not first.is_project_known
    first.learn_project(PROJECT)
    assert [entry.id for entry in named.entries()] == [2, 1]
    known = make_ledger(project_id=None, base_url="https://other.test/v1", api_key="first")
    assert [entry.id for entry in known.entries()] == [3]


def test_processes_that_open_it_at_once_migrate_it_once(make_ledger: Ledgers, path: Path) -> None:
    """And an old program that has it open can do no harm."""
    for number in range(20):
        row(path, number, "submitted")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: make_ledger(), range(4)))
    assert [len(ledger.entries()) for ledger in made] == [20] * 4
    assert sql(path, "SELECT version FROM schema_version") == [(1,), (VERSION,)]
    tables = {name for (name,) in sql(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert "entries_1" not in tables
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        sql(path, "UPDATE entries SET body = 'x'")


def test_an_interrupted_migration_changes_nothing(
    make_ledger: Ledgers, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is one transaction."""
    row(path, 1, "submitted")
    before = sql(path, "SELECT * FROM entries"), sql(path, "SELECT * FROM sqlite_schema")

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("scenario_reframe.ledger.migration._copy_post", cut_off)
        with pytest.raises(KeyboardInterrupt):
            make_ledger()
    assert (sql(path, "SELECT * FROM entries"), sql(path, "SELECT * FROM sqlite_schema")) == before
    assert [entry.job_id for entry in make_ledger().entries()] == ["job_1"]


def test_doctor_reads_it_and_leaves_it_alone(path: Path) -> None:
    """It says what the next run will do."""
    row(path, 1, "uncertain")
    row(path, 2, "done")
    row(path, 3, "done", project_id=None)
    before = path.read_bytes()
    found = {
        finding.name: finding.message
        for finding in ledger_checks(str(path), EntryFilter(BASE, PROJECT), "x")
    }
    assert f"version 1; the next run migrates it to version {VERSION}" in found["ledger"]
    assert found["entries"].startswith("2 of this server and project, 1 unfinished (1 uncertain")
    assert "writable" in found
    assert path.read_bytes() == before
