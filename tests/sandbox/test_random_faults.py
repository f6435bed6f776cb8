"""Faults that the sandbox draws: at the given rate, reproducible, and none that lies."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import httpx
import pytest

from sandbox_clips import GENERATE, QUICK, Client
from sandbox_faults import course
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer
from scenario_reframe.sandbox.random_faults import KINDS, RandomFaults
from waiting import until

PAGES: Final = ("duplicated jobs", "reordered jobs", "moved jobs", "short page", "empty page")
FILES: Final = ("403", "ignored range")
SHORT: Final[dict[str, Any]] = {"slow_seconds": 0.02, "late_seconds": 0.05}
SUBMIT: Final[dict[str, Any]] = {"method": "POST", "path": "/v1/generate/x", "query_string": b""}
# Statuses that, in the API's words, mean that a submit made nothing or an id is unknown.
LIES: Final = {400, 401, 403, 404, 405, 413, 415, 422}


@pytest.fixture(scope="module")
def listed() -> Iterator[tuple[Client, list[str]]]:
    """A client of a sandbox that lists 60 jobs, and their ids in the order of creation."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        yield client, submitted(client, 60, 1)


def attempt(client: httpx.Client, method: str, url: str, **options: Any) -> int | str:
    """The outcome of a request: a status, or a lost reply. It is never sent twice."""
    try:
        return client.request(method, url, **options).status_code
    except (httpx.TransportError, httpx.InvalidURL):
        return "lost"


def submitted(client: Client, count: int, first_seed: int) -> list[str]:
    """Submit so many jobs and give their ids."""
    seeds = range(first_seed, first_seed + count)
    got = [client.post(GENERATE, json={**QUICK, "seed": seed}) for seed in seeds]
    return [one.raise_for_status().json()["job"]["jobId"] for one in got]


def trace(seed: int) -> tuple[list[int | str], Counter[str]]:
    """What happens to 30 requests of three operations in a new sandbox."""
    with Sandbox(fast=True) as sandbox, closing(Client(sandbox)) as client:
        sandbox.faults.draw(seed, 0.5, **SHORT)
        got = [
            attempt(client, method, path, **options)
            for _ in range(10)
            for method, path, options in (
                ("POST", GENERATE, {"json": QUICK}),
                ("GET", "/jobs", {}),
                ("GET", "/jobs/job_none", {}),
            )
        ]
        return got, sandbox.faults.drawn


def test_the_same_seed_draws_the_same_faults() -> None:
    """Request by request; another seed draws other faults."""
    first, again, other = trace(1), trace(1), trace(2)
    assert first == again
    assert first[1] != other[1]


def test_the_rate_is_kept_and_every_request_and_fault_is_counted(fast: Client) -> None:
    """About one request in five; every drawn fault is counted and recorded."""
    sandbox = fast.sandbox
    before, seen = sandbox.faults.drawn, len(sandbox.requests)
    sandbox.faults.draw(3, 0.2, kinds=["500", "drop"])
    got = Counter(attempt(fast, "GET", "/models/none") for _ in range(300))
    drawn = sandbox.faults.drawn - before
    assert 40 < drawn.total() < 80
    assert drawn["500"] == got[500]
    assert drawn.total() == 300 - got[404]
    records = sandbox.requests[seen:]
    assert len(records) == 300
    assert Counter(record.status for record in records) == {
        404: got[404],
        500: got[500],
        None: drawn["drop"],
    }


def test_a_mapping_gives_kinds_their_weights(fast: Client) -> None:
    """Of two kinds, the heavier one occurs more often; one without weight never."""
    before = fast.sandbox.faults.drawn
    fast.sandbox.faults.draw(3, 1, kinds={"500": 9, "503": 1, "504": 0})
    got = Counter(attempt(fast, "GET", "/jobs") for _ in range(100))
    assert got.keys() == {500, 503}
    assert got[500] > 75
    assert (fast.sandbox.faults.drawn - before).keys() == {"500", "503"}


@pytest.mark.parametrize("end", ["clear", "rate"])
def test_drawing_can_be_ended(fast: Client, end: str) -> None:
    """By removing all faults, or with a rate of zero."""
    faults = fast.sandbox.faults
    faults.draw(1, 1, kinds=["500"])
    assert attempt(fast, "GET", "/jobs") == 500
    faults.clear() if end == "clear" else faults.draw(rate=0)
    before = faults.drawn
    assert {attempt(fast, "GET", "/jobs") for _ in range(20)} == {200}
    assert faults.drawn == before


def test_rules_come_before_what_is_drawn(fast: Client) -> None:
    """A fault that a test added is played, and does not count as drawn."""
    faults = fast.sandbox.faults
    faults.draw(1, 1, kinds=["500"])
    faults.add(answer(418), "/jobs")
    before = faults.drawn
    assert [attempt(fast, "GET", "/jobs") for _ in range(2)] == [418, 500]
    assert faults.drawn - before == {"500": 1}


@pytest.mark.parametrize(
    "wrong", [{"rate": 1.5}, {"rate": -1}, {"kinds": ["meteorite"]}], ids=["over", "under", "kind"]
)
def test_what_cannot_be_drawn_is_an_error_at_once(fast: Client, wrong: dict[str, Any]) -> None:
    """A misspelt kind must not lead to a test without faults."""
    with pytest.raises(
        ValueError, match=r"rate: .* it takes|kinds: \['meteorite'\] is not allowed"
    ):
        fast.sandbox.faults.draw(1, **wrong)


LOST: Final = ["drop", "408", "409", "429", "500", "502", "503", "504"]
BEFORE: Final = [*LOST, "402"]
AFTER: Final = [f"{kind} after" for kind in (*LOST, "hang", "429 limit", "303", "307", "403")]
BROKEN: Final = ["hang", "cut", "trickle", "nonsense"]


@pytest.mark.parametrize("kind", [*BEFORE, *AFTER, *BROKEN])
def test_submit_makes_a_job_or_none_as_the_fault_says(fast: Client, kind: str) -> None:
    """One job, made before the answer, unless the fault comes before the work."""
    sandbox, made = fast.sandbox, fast.sandbox.jobs_made
    sandbox.faults.draw(5, 1, kinds=[kind], **SHORT)
    got = attempt(fast, "POST", GENERATE, json=QUICK)
    assert sandbox.jobs_made - made == (kind not in BEFORE)
    name = kind.removesuffix(" after").removesuffix(" limit")
    if name in {"drop", "cut", "303", "307"}:
        assert got == "lost"
    else:
        assert got == (int(name) if name.isdigit() else 200)


@pytest.mark.parametrize("kind", ["late 504", "late drop", "late 429"])
def test_late_acceptance_makes_the_job_after_the_answer(fast: Client, kind: str) -> None:
    """The client gets a failure while there is no job yet; then there is one, complete."""
    sandbox, made = fast.sandbox, fast.sandbox.jobs_made
    body = {**QUICK, "seed": 77, "prompt": "p" * 200_000}
    for late_seconds in (36_000, 0):
        assert sandbox.jobs_made == made
        sandbox.faults.draw(5, 1, kinds=[kind], late_seconds=late_seconds)
        got = attempt(fast, "POST", GENERATE, json=body)
        status = None if kind == "late drop" else int(kind.removeprefix("late "))
        assert got == (status or "lost")
        assert sandbox.requests[-1].status == status
    until(lambda: sandbox.jobs_made > made)
    assert sandbox.jobs_made == made + 1
    assert sandbox.made[-1].input == body


def test_429_for_a_made_job_has_the_words_of_the_application_or_of_a_gateway(fast: Client) -> None:
    """In either case the job exists: at once, or a little later."""
    faults = fast.sandbox.faults
    bodies: dict[str, list[Any]] = {}
    for kind in ("429 after", "429 limit after", "late 429"):
        faults.draw(3, 1, kinds=[kind], late_seconds=0)
        made = fast.sandbox.jobs_made
        bodies[kind] = [fast.post(GENERATE, json=QUICK).json() for _ in range(8)]
        until(lambda made=made: fast.sandbox.jobs_made == made + 8)  # type: ignore[misc]
    gateway = {"message": "Too Many Requests"}
    assert bodies["429 after"] == [gateway] * 8
    limits = [body["details"] for body in bodies["429 limit after"]]
    assert {limit["actionName"] for limit in limits} == {"parallel-custom-jobs"}
    assert all(limit["actionLimit"] >= 20 for limit in limits)
    assert gateway in bodies["late 429"]
    assert any("details" in body for body in bodies["late 429"])


def test_redirect_for_a_made_job_leads_nowhere(fast: Client) -> None:
    """Httpx raises on such a `Location` even with redirects off, after the whole reply."""
    for kind in ("303 after", "307 after"):
        fast.sandbox.faults.draw(3, 1, kinds=[kind])
        with pytest.raises(httpx.InvalidURL):
            fast.post(GENERATE, json=QUICK)


def test_no_submit_is_lied_to_and_none_makes_two_jobs(fast: Client) -> None:
    """Whatever is drawn, a refusal is true, and a job that a reply names exists, once."""
    sandbox, count = fast.sandbox, 150
    made, drawn = sandbox.jobs_made, sandbox.faults.drawn
    sandbox.faults.draw(11, 1, **SHORT)
    promised: dict[int, str] = {}
    for seed in range(count):
        try:
            got = fast.post(GENERATE, json={**QUICK, "seed": seed})
            if got.status_code in LIES:
                assert (got.status_code, got.text[:6]) == (403, "<html>")  # a proxy's page
            promised[seed] = got.json()["job"]["jobId"]
        except (httpx.TransportError, httpx.InvalidURL, ValueError, LookupError, TypeError):
            continue
    drawn = sandbox.faults.drawn - drawn
    accepted = count - sum(drawn[kind] for kind in BEFORE)
    until(lambda: sandbox.jobs_made - made >= accepted)
    jobs = {job.input["seed"]: job.id for job in sandbox.made[made:]}
    assert len(jobs) == accepted == sandbox.jobs_made - made
    assert promised
    assert promised.items() <= jobs.items()
    assert drawn.keys() == {*KINDS} - {*PAGES, *FILES, "unknown status"}


def chain(client: Client) -> tuple[list[dict[str, Any]], list[str]]:
    """Follow the list's tokens to the end: every job shown, and the tokens."""
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
def test_odd_pages_hide_no_job_from_who_reads_them_all(
    listed: tuple[Client, list[str]], kind: str
) -> None:
    """Every job is on some page, unchanged, and no token is repeated."""
    client, ids = listed
    faults, orders = client.sandbox.faults, []
    before = faults.drawn
    for seed in range(4):
        faults.draw(seed, 0.7, kinds=PAGES if kind == "all" else [kind])
        records, tokens = chain(client)
        shown = {record["jobId"]: record for record in records}
        assert shown.keys() == {*ids}
        assert all(record == shown[record["jobId"]] for record in records)
        assert len({*tokens}) == len(tokens)
        orders.append([record["jobId"] for record in records])
    assert (faults.drawn - before).keys() == ({*PAGES} if kind == "all" else {kind})
    if kind in {"reordered jobs", "moved jobs", "all"}:
        assert any([*dict.fromkeys(order)] != ids[::-1] for order in orders)
    if kind in {"duplicated jobs", "all"}:
        assert any(len(order) > len(ids) for order in orders)


@pytest.mark.parametrize("kind", ["short page", "empty page", "moved jobs"])
def test_page_that_is_short_has_a_token(fast: Client, kind: str) -> None:
    """Also on the last page, or on an empty first one."""
    submitted(fast, 3, 1)
    fast.sandbox.faults.draw(1, 1, kinds=[kind])
    page = fast.get("/jobs", params={"pageSize": 4}).json()
    assert len(page["jobs"]) < 4
    assert page["nextPaginationToken"]
    assert kind != "empty page" or page["jobs"] == []


def test_delayed_job_is_shown_though_nothing_else_is_left() -> None:
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


def test_unknown_status_is_shown_for_a_while(fast: Client) -> None:
    """For an existing job; a 404 stays a 404."""
    (job_id,) = submitted(fast, 1, 1)
    known = {"queued", "warming-up", "in-progress", "finalizing", "success"}
    fast.sandbox.faults.draw(1, 1, kinds=["unknown status"])
    assert fast.get(f"/jobs/{job_id}").json()["job"]["status"] not in known
    assert fast.get("/jobs/job_none").status_code == 404
    fast.sandbox.faults.clear()
    assert fast.settled(f"/jobs/{job_id}", "job")["status"] == "success"


def resumed(files: httpx.Client, url: str, size: int) -> tuple[bytes, set[int]]:
    """Fetch a file in as many tries as it takes, resuming where the last one broke off."""
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


def test_files_arrive_whole_through_every_fault_of_a_file(fast: Client) -> None:
    """What is served is true: cut, delayed, refused or whole. Resuming gets all of it."""
    sandbox = fast.sandbox
    jobs = [fast.settled(f"/jobs/{job}", "job") for job in submitted(fast, 30, 5000)]
    ids = [job["metadata"]["assetIds"][0] for job in jobs]
    assets = [fast.get(f"/assets/{asset_id}").json()["asset"] for asset_id in ids]
    truth = {job.asset_ids: job.digests for job in sandbox.made}
    before = sandbox.faults.drawn
    sandbox.faults.draw(9, 0.8, **SHORT)
    statuses: set[int] = set()
    for asset in assets:
        content, met = resumed(fast.files, asset["url"], asset["properties"]["size"])
        statuses |= met
        assert (hashlib.sha256(content).hexdigest(),) == truth[asset["id"],]
    assert statuses == {200, 206, 403, 408, 429, 500, 502, 503, 504}
    met_kinds = (sandbox.faults.drawn - before).keys()
    assert met_kinds == {
        *("drop", "hang", "408", "429", "500", "502", "503", "504"),
        *("cut", "trickle", "403", "ignored range"),
    }


def test_parts_arrive_or_not_as_the_fault_says(fast: Client) -> None:
    """A part counts once its bytes were received, whatever the answer was."""
    announced = {"kind": "video", "fileName": "a.mp4", "contentType": "video/mp4"}
    content = b"\x00\x00\x00\x18ftypisom" + bytes(100)
    faults = fast.sandbox.faults
    for kind, arrives in (("drop", False), ("503", False), ("drop after", True), ("500 after", 1)):
        faults.clear()
        body = announced | {"fileSize": len(content), "parts": 1}
        upload = fast.post("/uploads", json=body).json()["upload"]
        faults.draw(1, 1, kinds=[kind])
        assert attempt(fast.files, "PUT", upload["parts"][0]["url"], content=content) != 200
        faults.clear()
        done = fast.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
        assert done.status_code == (200 if arrives else 400)


def test_faults_occur_only_where_they_make_sense(fast: Client) -> None:
    """Dry runs have no late acceptance, files no nonsense, polls no conflict."""
    faults = fast.sandbox.faults
    (job_id,) = submitted(fast, 1, 1)
    job = fast.settled(f"/jobs/{job_id}", "job")
    url = fast.get(f"/assets/{job['metadata']['assetIds'][0]}").json()["asset"]["url"]
    before = faults.drawn
    faults.draw(1, 1, kinds=["late 504", "late drop", "nonsense", "409", "403", *PAGES])
    assert attempt(fast.files, "GET", url) == 403
    faults.draw(1, 1, kinds=["late 504", "late drop", "unknown status", *PAGES])
    assert attempt(fast.files, "GET", url) == 200
    assert attempt(fast, "POST", GENERATE, json=QUICK, params={"dryRun": "true"}) == 269
    faults.draw(1, 1, kinds=["409", "403", "504 after", "late 504", *PAGES])
    assert attempt(fast, "GET", f"/jobs/{job_id}") == 200
    assert faults.drawn - before == {"403": 1}


@pytest.mark.parametrize("kind", ["drop", "500", "403", "hang", "cut"])
def test_leaked_credentials_are_counted_whatever_is_drawn(fast: Client, kind: str) -> None:
    """Once per request, even if the fault keeps it from the file host."""
    sandbox = fast.sandbox
    sandbox.faults.draw(1, 1, kinds=[kind], **SHORT)
    leaked, seen = sandbox.credentials_leaked, len(sandbox.requests)
    root = sandbox.base_url.removesuffix("/v1")
    attempt(fast.files, "GET", f"{root}/assets/x", headers={"Authorization": "Basic eDp5"})
    assert sandbox.credentials_leaked - leaked == 1
    assert len(sandbox.requests) - seen == 1


@pytest.mark.parametrize(
    ("kind", "slow_seconds", "longest"),
    [("hang", 3, 3), ("hang after", 3, 3), ("trickle", 3, 1), ("trickle", 0.5, 0.5)],
)
def test_waiting_faults_are_short(kind: str, slow_seconds: float, longest: float) -> None:
    """No drawn fault holds a request longer than configured; a trickle at most a second."""
    drawing = RandomFaults(2, 1, slow_seconds, 0, [kind])
    drawn = filter(None, (drawing.take(SUBMIT) for _ in range(50)))
    courses = [course(fault, b"0" * 20) for _, fault in drawn]
    held = [
        sum(float(step.removeprefix("pause ")) for step in steps if step.startswith("pause"))
        for steps in courses
    ]
    assert len(held) == 50
    assert longest / 2 < max(held) <= longest
