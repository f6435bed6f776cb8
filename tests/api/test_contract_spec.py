"""The contract check itself: what the spec forbids is found, and fails the test that has it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients import BASE_URL
from contracts import Contract, load_spec
from stepping import SUBMIT_PATH, asset_record, job_record

pytestmark = pytest.mark.any_python

pytest_plugins = ["pytester"]

AUTHORIZATION = {"Authorization": "Basic a2V5OnNlY3JldA=="}
ACT = "/jobs/job_1/action"


def api_request(method: str, path: str, **more: Any) -> httpx.Request:
    """A request to the API with credentials, unless other headers are given."""
    return httpx.Request(method, BASE_URL + path, **{"headers": AUTHORIZATION, **more})


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/jobs", {"params": {"pageSize": "100", "createdAfter": "x", "projectId": "p"}}),
        ("GET", "/jobs/a%2Fb", {}),
        ("POST", "/uploads", {"json": {"kind": "video", "url": "https://clips.test/a"}}),
        ("POST", SUBMIT_PATH, {"json": {"newKey": 1}, "params": {"dryRun": "api"}}),
    ],
)
def test_request_that_the_spec_allows_has_no_fault(
    method: str, path: str, more: dict[str, Any]
) -> None:
    """Numbers in a query are text; an escaped slash is not a separator; settings may be new."""
    assert Contract(load_spec()).request_faults(api_request(method, path, **more)) == []


@pytest.mark.parametrize(
    ("method", "path", "more", "fault"),
    [
        ("GET", "/job", {}, "no such operation"),
        ("DELETE", "/jobs", {}, "no such operation"),
        ("GET", "/jobs/a/b", {}, "no such operation"),
        ("GET", "/jobs", {"headers": {}}, "no basic credentials"),
        ("GET", "/jobs", {"params": {"pagesize": "5"}}, "pagesize is not in the spec"),
        ("GET", "/jobs", {"params": {"pageSize": "0"}}, "less than the minimum"),
        ("GET", "/jobs", {"params": {"pageSize": "ten"}}, "not of type 'integer'"),
        ("GET", "/jobs", {"params": {"status": ["a", "b"]}}, "is there twice"),
        ("GET", "/jobs", {"json": {}}, "a body where the spec has none"),
        ("POST", SUBMIT_PATH, {"json": {"numFrames": 80}}, "less than the minimum"),
        ("POST", SUBMIT_PATH, {"json": {"resolution": "1080p"}}, "is not one of"),
        ("POST", SUBMIT_PATH, {"json": []}, "not of type 'object'"),
        ("POST", SUBMIT_PATH, {}, "Content-Type '' is not in the spec"),
        ("POST", ACT, {"json": {}}, "'action' is a required property"),
        ("POST", ACT, {"json": {"action": "cancel", "now": 5}}, "'now' was unexpected"),
        ("POST", "/uploads", {"json": {"kind": "video"}}, "is not valid under any of"),
        ("POST", "/uploads", {"json": {"kind": "video", "url": "u", "parts": 1}}, "not valid"),
    ],
)  # fmt: skip
def test_request_that_the_spec_forbids_is_found(
    method: str, path: str, more: dict[str, Any], fault: str
) -> None:
    """Operation, credentials, query and body: one fault each, by name."""
    headers = {**AUTHORIZATION, "Content-Type": "application/json"} if "json" in more else None
    changed = more if headers is None else {**more, "headers": headers}
    (found,) = Contract(load_spec()).request_faults(api_request(method, path, **changed))
    assert fault in found


def test_credentials_for_a_files_host_are_found() -> None:
    """URLs of parts and assets get none, even on a host named like the API's."""
    contract = Contract(load_spec())
    for address in ("https://s3.test/1", "https://api.test.evil/v1/jobs", "https://api.test/v10"):
        assert contract.request_faults(httpx.Request("PUT", address)) == []
        given = httpx.Request("PUT", address, headers=AUTHORIZATION)
        assert contract.request_faults(given) == ["credentials for a file's host"]


PRICE = {"creativeUnitsCost": 7.25, "costDetails": {"custom-generation": 7.25}}


@pytest.mark.parametrize(
    ("method", "path", "reply"),
    [
        ("GET", "/jobs/job_1", httpx.Response(200, json={"job": job_record(progress=0.5)})),
        ("GET", "/jobs/job_1", httpx.Response(404, json={"reason": "Job job_1 not found"})),
        ("GET", "/jobs/j", httpx.Response(200, json={"job": {"metadata": {"input": {"a": 1}}}})),
        ("GET", "/assets/a", httpx.Response(200, json={"asset": asset_record()})),
        ("GET", "/jobs/job_1", httpx.Response(500, json={"message": "Internal server error"})),
        ("POST", SUBMIT_PATH, httpx.Response(200, json={"job": job_record(), **PRICE})),
        ("POST", SUBMIT_PATH, httpx.Response(269, json=PRICE)),
    ],
)  # fmt: skip
def test_reply_that_the_spec_allows_has_no_fault(
    method: str, path: str, reply: httpx.Response
) -> None:
    """By operation and status; other errors by the default."""
    assert Contract(load_spec()).reply_faults(api_request(method, path), reply) == []


@pytest.mark.parametrize(
    ("method", "path", "reply", "fault"),
    [
        ("GET", "/jobs/job_1", httpx.Response(302, json={}), "status 302 is not documented"),
        ("GET", "/jobs/job_1", httpx.Response(500, json={"reason": 5}), "$.reason: 5"),
        ("GET", "/jobs/job_1", httpx.Response(201, json={}), "status 201 is not documented"),
        ("GET", "/jobs/job_1", httpx.Response(200, json={"job": {"jobId": 5}}), "$.job.jobId: 5"),
        ("GET", "/jobs/job_1", httpx.Response(200, json={"job": {"id": "5"}}), "'id' was unexp"),
        ("GET", "/jobs/job_1", httpx.Response(200, html="<p>"), "Content-Type 'text/html'"),
        ("GET", "/jobs/job_1", httpx.Response(200, content=b"<p>"), "no JSON"),
        ("GET", "/jobs/job_1", httpx.Response(200, content=b'{"job": NaN}'), "no JSON"),
        ("GET", "/jobs/job_1", httpx.Response(200, content=b"[" * 50_000), "no JSON"),
        ("GET", "/jobs/job_1", httpx.Response(200, content=iter([b"{}"])), "cannot be checked"),
        ("GET", "/jobs", httpx.Response(200, json={"jobs": [{}, None]}), "$.jobs[1]: None"),
        ("GET", "/jobs/job_1", httpx.Response(404, json={"reason": 5}), "$.reason: 5"),
        ("POST", SUBMIT_PATH, httpx.Response(269, json={"job": {}}), "'job' was unexpected"),
        ("POST", SUBMIT_PATH, httpx.Response(269, json={"costDetails": {"a": "1"}}), "'1'"),
    ],
)  # fmt: skip
def test_reply_that_the_spec_forbids_is_found(
    method: str, path: str, reply: httpx.Response, fault: str
) -> None:
    """Status, content type, syntax, types and names: one fault each, by name."""
    (found,) = Contract(load_spec()).reply_faults(api_request(method, path), reply)
    assert fault in found


def test_contract_follows_the_spec() -> None:
    """A newly required field is reported as missing, and a removed status as unknown."""
    spec = deepcopy(load_spec())
    spec["components"]["schemas"]["JobResponse"]["required"] = ["job"]
    for status in ("404", "default"):
        del spec["paths"]["/jobs/{jobId}"]["get"]["responses"][status]
    asked = api_request("GET", "/jobs/job_1")
    faults = [
        Contract(spec).reply_faults(asked, httpx.Response(status, json={})) for status in (200, 404)
    ]
    assert faults == [["$: 'job' is a required property"], ["status 404 is not documented"]]


INNER = """
import asyncio
import httpx, pytest
from clients import BASE_URL

def get(path="/jobs/job_1", auth=("key", "secret")):
    return httpx.get(BASE_URL + path, auth=auth).status_code

def test_conforming(httpx_mock):
    httpx_mock.add_response(json={"job": {}})
    get()

def test_wrong_type(httpx_mock):
    httpx_mock.add_response(json={"job": {"status": 5}})
    get()

def test_wrong_query(httpx_mock):
    httpx_mock.add_response(json={"jobs": []})
    get("/jobs?pagesize=5")

def test_wrong_request_without_reply(httpx_mock):
    httpx_mock.add_exception(httpx.ReadTimeout("slow"))
    with pytest.raises(httpx.ReadTimeout):
        get("/jobz")

def test_wrong_before_reset(httpx_mock):
    httpx_mock.add_response(status_code=201)
    get()
    httpx_mock.reset()

def test_wrong_from_coroutine(httpx_mock):
    async def answer(request):
        return httpx.Response(202)

    async def ask():
        async with httpx.AsyncClient(auth=("key", "secret")) as client:
            await client.get(BASE_URL + "/jobs")

    httpx_mock.add_callback(answer)
    asyncio.run(ask())

def test_marked(httpx_mock):
    httpx_mock.add_response(status_code=203, off_spec="another 2xx")
    get()

def test_marked_beside_unmarked(httpx_mock):
    httpx_mock.add_response(status_code=203, off_spec="another 2xx")
    httpx_mock.add_response(status_code=204)
    get(), get()

def test_stale_mark(httpx_mock):
    httpx_mock.add_response(json={}, off_spec="no longer wrong")
    get()

def test_mark_of_no_reply(httpx_mock):
    httpx_mock.add_response(json=5, off_spec="never sent", is_optional=True)
"""
FOUND = {
    "wrong_type": "*reply to GET*$.job.status: 5 is not of type*",
    "wrong_query": "*request GET*pagesize is not in the spec*",
    "wrong_request_without_reply": "*request GET*jobz: no such operation*",
    "wrong_before_reset": "*status 201 is not documented*",
    "wrong_from_coroutine": "*status 202 is not documented*",
    "marked_beside_unmarked": "*status 204 is not documented*",
    "stale_mark": "*off_spec='no longer wrong', but the spec allows*",
    "mark_of_no_reply": "*off_spec='never sent', but the spec allows*",
}


def test_breach_fails_the_test_that_has_it(pytester: pytest.Pytester) -> None:
    """Through the fixture itself: every breach, and every `off_spec` that is not needed."""
    tests = Path(__file__).parents[1]
    pytester.syspathinsert(tests / "support")
    pytester.makeconftest((tests / "conftest.py").read_text("utf-8"))
    pytester.makepyfile(INNER)
    result = pytester.runpytest("-vv")
    result.assert_outcomes(passed=10, errors=len(FOUND))
    for name, line in FOUND.items():
        result.stdout.fnmatch_lines([f"*ERROR at teardown of test_{name} *", line])
