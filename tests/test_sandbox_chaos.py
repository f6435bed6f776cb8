"""Faults that the sandbox draws: as many as told, the same again, and none that tells a lie."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import httpx
import pytest

from sandbox_clips import GENERATE, QUICK, Client
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.drawing import KINDS
from scenario_reframe.sandbox.faults import answer

PAGES: Final = ("duplicated jobs", "reordered jobs", "moved jobs", "short page", "empty page")
FILES: Final = ("403", "ignored range")
SHORT: Final[dict[str, Any]] = {"slow_seconds": 0.02, "late_seconds": 0.05}
# What says that a submit made nothing, or that something is not there.
LIES: Final = {400, 401, 403, 404, 405, 413, 415, 422}


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """A client of a fast sandbox that the module's tests share."""
    with Sandbox(stage_seconds=0.01, fast=True) as sandbox, closing(Client(sandbox)) as client:
        yield client


@pytest.fixture
def chaos(shared: Client) -> Iterator[Client]:
    """The same, without faults before or after a test."""
    shared.sandbox.faults.clear()
    yield shared
    shared.sandbox.faults.clear()


def attempt(client: httpx.Client, method: str, url: str, **options: Any) -> int | str:
    """What a request came to: a status, or that its reply is late or lost. Never sent twice."""
    try:
        return client.request(method, url, **options).status_code
    except httpx.TimeoutException:
        return "late"
    except httpx.TransportError:
        return "lost"


def made_of(sandbox: Sandbox, seed: int) -> int:
    """How many jobs a seed made."""
    return sum(job.input.get("seed") == seed for job in sandbox.made)


def submitted(client: Client, count: int, first_seed: int) -> list[str]:
    """Submit so many jobs and give their ids."""
    seeds = range(first_seed, first_seed + count)
    got = [client.post(GENERATE, json={**QUICK, "seed": seed}) for seed in seeds]
    return [one.raise_for_status().json()["job"]["jobId"] for one in got]


def trace(seed: int) -> tuple[list[int | str], Counter[str]]:
    """What 60 requests of three operations meet in a sandbox of their own."""
    with Sandbox(fast=True) as sandbox, closing(Client(sandbox)) as client:
        sandbox.faults.draw(seed, 0.5, **SHORT)
        got = [
            attempt(client, method, path, **options)
            for _ in range(20)
            for method, path, options in (
                ("POST", GENERATE, {"json": QUICK}),
                ("GET", "/jobs", {}),
                ("GET", "/jobs/job_none", {}),
            )
        ]
        return got, sandbox.faults.drawn


def test_the_same_seed_draws_the_same_faults() -> None:
    """Request by request; another seed draws others."""
    first, again, other = trace(1), trace(1), trace(2)
    assert first == again
    assert first[1] != other[1]


def test_the_rate_is_kept_and_every_request_and_fault_is_counted(chaos: Client) -> None:
    """About one request in five, and what is drawn is what is counted and recorded."""
    sandbox = chaos.sandbox
    before, seen = sandbox.faults.drawn, len(sandbox.requests)
    sandbox.faults.draw(3, 0.2, kinds=["500", "drop"])
    got = Counter(attempt(chaos, "GET", "/models/none") for _ in range(500))
    drawn = sandbox.faults.drawn - before
    assert 70 < drawn.total() < 130
    assert drawn["500"] == got[500]
    assert drawn.total() == 500 - got[404]
    records = sandbox.requests[seen:]
    assert len(records) == 500
    assert Counter(record.status for record in records) == {
        404: got[404],
        500: got[500],
        None: drawn["drop"],
    }


@pytest.mark.parametrize("end", ["clear", "rate"])
def test_drawing_ends_when_told(chaos: Client, end: str) -> None:
    """By forgetting all faults, or with a rate of nothing."""
    faults = chaos.sandbox.faults
    faults.draw(1, 1, kinds=["500"])
    assert attempt(chaos, "GET", "/jobs") == 500
    faults.clear() if end == "clear" else faults.draw(rate=0)
    before = faults.drawn
    assert {attempt(chaos, "GET", "/jobs") for _ in range(20)} == {200}
    assert faults.drawn == before


def test_rules_come_before_what_is_drawn(chaos: Client) -> None:
    """A fault that a test asked for is not replaced, and does not count as drawn."""
    faults = chaos.sandbox.faults
    faults.draw(1, 1, kinds=["500"])
    faults.add(answer(418), "/jobs")
    before = faults.drawn
    assert [attempt(chaos, "GET", "/jobs") for _ in range(2)] == [418, 500]
    assert faults.drawn - before == {"500": 1}


@pytest.mark.parametrize(
    "wrong", [{"rate": 1.5}, {"rate": -1}, {"kinds": ["meteorite"]}], ids=["over", "under", "kind"]
)
def test_what_cannot_be_drawn_is_an_error_at_once(chaos: Client, wrong: dict[str, Any]) -> None:
    """A misspelt kind must not mean a test without faults."""
    with pytest.raises(ValueError, match=r"rate must be|unknown kinds \['meteorite'\]"):
        chaos.sandbox.faults.draw(1, **wrong)


BEFORE: Final = ["drop", "408", "409", "429", "500", "502", "503", "504"]
AFTER: Final = [f"{kind} after" for kind in (*BEFORE, "hang")]
BROKEN: Final = ["hang", "cut", "trickle", "nonsense"]


@pytest.mark.parametrize("kind", [*BEFORE, *AFTER, *BROKEN])
def test_submit_makes_a_job_or_none_as_the_fault_says(chaos: Client, kind: str) -> None:
    """One, and before the client hears of it, unless the fault comes before the work."""
    sandbox, made = chaos.sandbox, chaos.sandbox.jobs_made
    sandbox.faults.draw(5, 1, kinds=[kind], **SHORT)
    got = attempt(chaos, "POST", GENERATE, json=QUICK)
    assert sandbox.jobs_made - made == (kind not in BEFORE)
    name = kind.removesuffix(" after")
    if name.isdigit():
        assert got == int(name)
    else:
        assert got == ("lost" if name in {"drop", "cut"} else 200)


@pytest.mark.parametrize("kind", ["late 504", "late drop"])
def test_late_acceptance_makes_the_job_after_the_answer(chaos: Client, kind: str) -> None:
    """The client is told of a failure while there is no job yet; then there is one, whole."""
    sandbox, made = chaos.sandbox, chaos.sandbox.jobs_made
    sandbox.faults.draw(5, 1, kinds=[kind], late_seconds=1)
    body = {**QUICK, "seed": 77, "prompt": "p" * 200_000}
    got = attempt(chaos, "POST", GENERATE, json=body)
    assert got == (504 if kind == "late 504" else "lost")
    assert sandbox.jobs_made == made
    while sandbox.jobs_made == made:
        time.sleep(0.02)
    assert sandbox.made[-1].input == body
    assert sandbox.requests[-1].status == (504 if kind == "late 504" else None)


def test_no_submit_is_lied_to_and_none_makes_two_jobs(chaos: Client) -> None:
    """Whatever is drawn, a refusal is true, a job that a reply names is there, and is one."""
    sandbox = chaos.sandbox
    sandbox.faults.draw(11, 1, **SHORT)
    promised: dict[int, str] = {}
    for seed in range(1000, 1400):
        try:
            got = chaos.post(GENERATE, json={**QUICK, "seed": seed})
            assert got.status_code not in LIES
            if got.status_code == 429:
                assert "details" not in got.json()
            promised[seed] = got.json()["job"]["jobId"]
        except (httpx.TransportError, ValueError, LookupError, TypeError):
            continue
    time.sleep(0.1)
    sandbox.faults.clear()
    made = {job.input["seed"]: job.id for job in sandbox.made if job.input.get("seed", 0) >= 1000}
    assert promised
    assert promised.items() <= made.items()
    assert max(made_of(sandbox, seed) for seed in made) == 1
    unmet = {*KINDS} - {*PAGES, *FILES, "unknown status"} - sandbox.faults.drawn.keys()
    assert unmet == set()


def chain(client: Client) -> tuple[list[dict[str, Any]], list[str]]:
    """Follow the list's tokens to the end: every record shown, and the tokens."""
    query: dict[str, Any] = {"pageSize": 8, "createdAfter": "2020-01-01"}
    records: list[dict[str, Any]] = []
    tokens: list[str] = []
    while True:
        page = client.get("/jobs", params=query).raise_for_status().json()
        records += page["jobs"]
        if "nextPaginationToken" not in page:
            return records, tokens
        query["paginationToken"] = page["nextPaginationToken"]
        tokens.append(page["nextPaginationToken"])


@pytest.mark.parametrize("kind", [*PAGES, "all"])
def test_odd_pages_hide_no_job_from_who_reads_them_all(kind: str) -> None:
    """Every job is in the chain, as it is in truth, and no token comes twice."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        ids = submitted(client, 60, 1)
        faults, orders = sandbox.faults, []
        for seed in range(8):
            faults.draw(seed, 0.7, kinds=PAGES if kind == "all" else [kind])
            records, tokens = chain(client)
            faults.draw(rate=0)
            shown = {record["jobId"]: record for record in records}
            assert shown.keys() == {*ids}
            assert all(record == shown[record["jobId"]] for record in records)
            assert len({*tokens}) == len(tokens)
            orders.append([record["jobId"] for record in records])
        drawn = faults.drawn
    assert drawn.keys() == ({*PAGES} if kind == "all" else {kind})
    if kind in {"reordered jobs", "moved jobs", "all"}:
        assert any([*dict.fromkeys(order)] != ids[::-1] for order in orders)
    if kind in {"duplicated jobs", "all"}:
        assert any(len(order) > len(ids) for order in orders)


@pytest.mark.parametrize("kind", ["short page", "empty page", "moved jobs"])
def test_page_that_is_short_has_a_token(chaos: Client, kind: str) -> None:
    """Also when it is the last one, or the first and nothing is on it."""
    submitted(chaos, 3, 1)
    chaos.sandbox.faults.draw(1, 1, kinds=[kind])
    page = chaos.get("/jobs", params={"pageSize": 4}).json()
    assert len(page["jobs"]) < 4
    assert page["nextPaginationToken"]
    assert kind != "empty page" or page["jobs"] == []


def test_held_job_comes_though_nothing_else_is_left() -> None:
    """A job moved from the last page gets a page of its own."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        (job_id,) = submitted(client, 1, 1)
        sandbox.faults.draw(1, 1, kinds=["moved jobs"])
        page = client.get("/jobs").json()
        assert page["jobs"] == []
        sandbox.faults.clear()
        last = client.get("/jobs", params={"paginationToken": page["nextPaginationToken"]}).json()
    assert [job["jobId"] for job in last["jobs"]] == [job_id]
    assert "nextPaginationToken" not in last


def test_status_that_nobody_knows_is_shown_and_passes(chaos: Client) -> None:
    """Of a job that is there; a 404 stays what it is."""
    (job_id,) = submitted(chaos, 1, 1)
    known = {"queued", "warming-up", "in-progress", "finalizing", "success"}
    chaos.sandbox.faults.draw(1, 1, kinds=["unknown status"])
    assert chaos.get(f"/jobs/{job_id}").json()["job"]["status"] not in known
    assert chaos.get("/jobs/job_none").status_code == 404
    chaos.sandbox.faults.clear()
    assert chaos.settled(f"/jobs/{job_id}", "job")["status"] == "success"


def resumed(files: httpx.Client, url: str, size: int) -> tuple[bytes, set[int]]:
    """Fetch a file in as many tries as it takes, going on where the last one broke off."""
    got, statuses = bytearray(), set()
    while len(got) < size:
        headers = {"Range": f"bytes={len(got)}-"} if got else {}
        try:
            with files.stream("GET", url, headers=headers) as reply:
                statuses.add(reply.status_code)
                if reply.status_code == 200:
                    got.clear()
                if reply.status_code in {200, 206}:
                    for chunk in reply.iter_raw():
                        got += chunk
        except httpx.TransportError:
            continue
    return bytes(got), statuses


def test_files_arrive_whole_through_every_fault_of_a_file(chaos: Client) -> None:
    """What is served is the truth, cut, held, refused or whole: who resumes gets it all."""
    sandbox = chaos.sandbox
    jobs = [chaos.settled(f"/jobs/{job}", "job") for job in submitted(chaos, 30, 5000)]
    ids = [job["metadata"]["assetIds"][0] for job in jobs]
    assets = [chaos.get(f"/assets/{asset_id}").json()["asset"] for asset_id in ids]
    truth = {job.asset_ids: job.digests for job in sandbox.made}
    before = sandbox.faults.drawn
    sandbox.faults.draw(9, 0.8, **SHORT)
    statuses: set[int] = set()
    for asset in assets:
        content, met = resumed(chaos.files, asset["url"], asset["properties"]["size"])
        statuses |= met
        assert (hashlib.sha256(content).hexdigest(),) == truth[asset["id"],]
    assert statuses == {200, 206, 403, 408, 429, 500, 502, 503, 504}
    met_kinds = (sandbox.faults.drawn - before).keys()
    assert met_kinds == {
        *("drop", "hang", "408", "429", "500", "502", "503", "504"),
        *("cut", "trickle", "403", "ignored range"),
    }


def test_parts_arrive_or_not_as_the_fault_says(chaos: Client) -> None:
    """A part counts once its bytes were taken, whatever its sender was told."""
    announced = {"kind": "video", "fileName": "a.mp4", "contentType": "video/mp4"}
    content = b"\x00\x00\x00\x18ftypisom" + bytes(100)
    faults = chaos.sandbox.faults
    for kind, arrives in (("drop", False), ("503", False), ("drop after", True), ("500 after", 1)):
        faults.clear()
        body = announced | {"fileSize": len(content), "parts": 1}
        upload = chaos.post("/uploads", json=body).json()["upload"]
        faults.draw(1, 1, kinds=[kind])
        assert attempt(chaos.files, "PUT", upload["parts"][0]["url"], content=content) != 200
        faults.clear()
        done = chaos.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
        assert done.status_code == (200 if arrives else 400)


def test_faults_of_the_api_do_not_befall_what_they_do_not_suit(chaos: Client) -> None:
    """A dry run has no late acceptance, a file no nonsense, a poll no conflict."""
    faults = chaos.sandbox.faults
    (job_id,) = submitted(chaos, 1, 1)
    job = chaos.settled(f"/jobs/{job_id}", "job")
    url = chaos.get(f"/assets/{job['metadata']['assetIds'][0]}").json()["asset"]["url"]
    before = faults.drawn
    faults.draw(1, 1, kinds=["late 504", "late drop", "nonsense", "409", "403", *PAGES])
    assert attempt(chaos.files, "GET", url) == 403
    faults.draw(1, 1, kinds=["late 504", "late drop", "unknown status", *PAGES])
    assert attempt(chaos.files, "GET", url) == 200
    assert attempt(chaos, "POST", GENERATE, json=QUICK, params={"dryRun": "true"}) == 269
    faults.draw(1, 1, kinds=["409", "403", "504 after", "late 504", *PAGES])
    assert attempt(chaos, "GET", f"/jobs/{job_id}") == 200
    assert faults.drawn - before == {"403": 1}


@pytest.mark.parametrize("kind", ["drop", "500", "403", "hang", "cut"])
def test_leaked_credentials_are_counted_whatever_is_drawn(chaos: Client, kind: str) -> None:
    """Once per request, also when the fault keeps it from the file host."""
    sandbox = chaos.sandbox
    sandbox.faults.draw(1, 1, kinds=[kind], **SHORT)
    leaked, seen = sandbox.credentials_leaked, len(sandbox.requests)
    root = sandbox.base_url.removesuffix("/v1")
    attempt(chaos.files, "GET", f"{root}/assets/x", headers={"Authorization": "Basic eDp5"})
    assert sandbox.credentials_leaked - leaked == 1
    assert len(sandbox.requests) - seen == 1


def test_waiting_faults_are_short(chaos: Client) -> None:
    """Nothing that is drawn holds a request for longer than told; a trickle a second at most."""
    chaos.sandbox.faults.draw(2, 1, kinds=["hang", "hang after", "trickle"], slow_seconds=0.05)
    assert {attempt(chaos, "GET", "/jobs", timeout=5) for _ in range(30)} == {200}
    chaos.sandbox.faults.draw(2, 1, kinds=["hang after"], slow_seconds=30)
    got = {attempt(chaos, "POST", GENERATE, json=QUICK, timeout=0.1) for _ in range(3)}
    assert got == {"late"}
