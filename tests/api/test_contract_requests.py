"""What the client sends: every call of the API as the vendor's pages describe it."""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from clients import BASE_URL, KEY, SECRET, Caller
from reference import EXAMPLE
from scenario_reframe import Asset, Estimate, Job, Submission, UnexpectedResponseError
from scenario_reframe_api.settings import MODEL_ID
from stepping import DATE, SUBMIT_PATH, asset_record, job_record

pytestmark = pytest.mark.usefixtures("pauses")

SUBMIT_URL = f"{BASE_URL}{SUBMIT_PATH}"

# The reply on the model's page, unchanged.
PAGE_REPLY = {
    "job": {
        "jobId": "job_abc123",
        "status": "success",
        "metadata": {"assetIds": ["asset_abc123"]},
    }
}


def snake(wire: str) -> str:
    """`numFrames` as `num_frames`, computed without the package's own function."""
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), wire)


def only_request(httpx_mock: HTTPXMock) -> httpx.Request:
    """The one request that was sent."""
    (request,) = httpx_mock.get_requests()
    return request


def test_submit_sends_the_page_s_example_value_for_value(
    call: Caller, httpx_mock: HTTPXMock
) -> None:
    """All 17 settings of the page; the client adds a seed, and nothing else."""
    httpx_mock.add_response(json={"job": job_record("job_abc123")})
    settings: dict[str, Any] = {snake(wire): value for wire, value in EXAMPLE.items()}
    job = call("submit", **settings)
    request = only_request(httpx_mock)
    assert request.method == "POST"
    assert str(request.url) == f"{BASE_URL}/generate/custom/model_wan-2-2-vace-fun-a14b-reframe"
    body = json.loads(request.content)
    assert isinstance(body.pop("seed"), int)
    assert len(EXAMPLE) == 17
    assert json.dumps(body, sort_keys=True) == json.dumps(EXAMPLE, sort_keys=True)
    assert job.id == "job_abc123"


def test_submit_without_settings_sends_a_seed_alone(call: Caller, httpx_mock: HTTPXMock) -> None:
    """No default is sent: the server's apply."""
    httpx_mock.add_response(json={"job": job_record()})
    call("submit")
    assert list(json.loads(only_request(httpx_mock).content)) == ["seed"]


def test_submit_fills_the_video_with_the_asset_s_id(call: Caller, httpx_mock: HTTPXMock) -> None:
    """Under the name that the server wants, together with settings unknown to the spec."""
    httpx_mock.add_response(json={"job": job_record()})
    call("submit", "asset_in", extra={"newKey": [1]}, prompt="naïve 猫")
    body = json.loads(only_request(httpx_mock).content)
    assert isinstance(body.pop("seed"), int)
    assert body == {"videoUrl": "asset_in", "newKey": [1], "prompt": "naïve 猫"}


def test_submit_of_a_caller_s_seed_asks_for_the_server_s_time_first(
    call: Caller, httpx_mock: HTTPXMock
) -> None:
    """With a free GET: older jobs with the same seed are not its own."""
    httpx_mock.add_response(method="GET", json={"jobs": []}, headers={"Date": DATE})
    httpx_mock.add_response(method="POST", json={"job": job_record()})
    call("submit", "asset_in", seed=5)
    asked, posted = httpx_mock.get_requests()
    assert (asked.url.path, asked.url.params["pageSize"]) == ("/v1/jobs", "1")
    assert json.loads(posted.content) == {"seed": 5, "videoUrl": "asset_in"}


def test_wait_understands_the_page_s_example_reply(call: Caller, httpx_mock: HTTPXMock) -> None:
    """It has nothing but the status and asset ids."""
    httpx_mock.add_response(json=PAGE_REPLY)
    job = call("wait", "job_abc123")
    assert (job.id, job.status, job.asset_ids) == ("job_abc123", "success", ("asset_abc123",))
    request = only_request(httpx_mock)
    assert (request.method, str(request.url)) == ("GET", f"{BASE_URL}/jobs/job_abc123")


@pytest.mark.parametrize(("key", "secret"), [(KEY, SECRET), ("api_é", "pä:ss:✓"), ("k", "a" * 300)])
def test_every_request_carries_basic_credentials(
    call: Caller, httpx_mock: HTTPXMock, key: str, secret: str
) -> None:
    """Key and secret in UTF-8, in one line, whatever their length."""
    httpx_mock.add_response(json=PAGE_REPLY)
    call("get_job", "job_abc123", client={"api_key": key, "api_secret": secret})
    wanted = base64.b64encode(f"{key}:{secret}".encode()).decode()
    assert only_request(httpx_mock).headers["Authorization"] == f"Basic {wanted}"


def test_every_request_has_a_user_agent(call: Caller, httpx_mock: HTTPXMock) -> None:
    """The package, Python and httpx, with versions; and JSON is requested."""
    httpx_mock.add_response(json={"job": job_record()})
    call("submit")
    headers = only_request(httpx_mock).headers
    assert re.fullmatch(r"scenario-reframe/\S+ python/3\S+ httpx/\S+", headers["User-Agent"])
    assert headers["Accept"] == "application/json"
    assert headers["Content-Type"] == "application/json"


CALLS: list[tuple[str, tuple[Any, ...], str, str]] = [
    ("submit", (), "POST", SUBMIT_PATH),
    ("estimate", (), "POST", SUBMIT_PATH),
    ("get_job", ("job_1",), "GET", "/jobs/job_1"),
    ("wait", ("job_1",), "GET", "/jobs/job_1"),
    ("cancel", ("job_1",), "POST", "/jobs/job_1/action"),
    ("jobs", (), "GET", "/jobs"),
    ("get_asset", ("asset_1",), "GET", "/assets/asset_1"),
]
ANSWERS: dict[str, dict[str, Any]] = {
    "estimate": {"creativeUnitsCost": 1},
    "jobs": {"jobs": [job_record("job_1")]},
    "get_asset": {"asset": asset_record("asset_1")},
}


def answer_to(name: str) -> dict[str, Any]:
    """A reply that suits an operation: a job, unless it has one of its own."""
    return ANSWERS.get(name, {"job": job_record("job_1", "success")})


@pytest.mark.parametrize(("name", "arguments", "method", "path"), CALLS)
def test_every_operation_has_its_path_and_the_project(
    call: Caller, httpx_mock: HTTPXMock, name: str, arguments: Any, method: str, path: str
) -> None:
    """`projectId` is in the query of each, escaped."""
    httpx_mock.add_response(json=answer_to(name))
    call(name, *arguments, client={"project_id": "proj_a&b"})
    request = only_request(httpx_mock)
    assert (request.method, request.url.path) == (method, f"/v1{path}")
    assert request.url.params["projectId"] == "proj_a&b"


@pytest.mark.parametrize(("name", "arguments", "method", "path"), CALLS)
def test_no_project_is_named_if_none_is_given(
    call: Caller, httpx_mock: HTTPXMock, name: str, arguments: Any, method: str, path: str
) -> None:
    """The key's own project applies."""
    httpx_mock.add_response(json=answer_to(name))
    call(name, *arguments)
    assert "projectId" not in only_request(httpx_mock).url.params


def test_project_and_base_url_come_from_the_environment(
    call: Caller, httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like the credentials."""
    monkeypatch.setenv("SCENARIO_API_KEY", "env-key")
    monkeypatch.setenv("SCENARIO_API_SECRET", "env-secret")
    monkeypatch.setenv("SCENARIO_BASE_URL", "https://env.test/v7/")
    monkeypatch.setenv("SCENARIO_PROJECT_ID", "proj_env")
    httpx_mock.add_response(json=PAGE_REPLY)
    nothing = {"api_key": None, "api_secret": None, "base_url": None}
    call("get_job", "job_abc123", client=nothing)
    request = only_request(httpx_mock)
    assert str(request.url) == "https://env.test/v7/jobs/job_abc123?projectId=proj_env"
    wanted = base64.b64encode(b"env-key:env-secret").decode()
    assert request.headers["Authorization"] == f"Basic {wanted}"


def test_estimate_asks_in_the_query_and_reads_269(call: Caller, httpx_mock: HTTPXMock) -> None:
    """`dryRun` in the body would start a paid job; the price may be a fraction."""
    price = {
        "creativeUnitsCost": 7.25,
        "creativeUnitsDiscount": 0.5,
        "costDetails": {"custom-generation": 7.25},
    }
    httpx_mock.add_response(status_code=269, json=price)
    found = call("estimate", "asset_in", num_frames=100)
    request = only_request(httpx_mock)
    assert request.url.params["dryRun"] == "true"
    assert json.loads(request.content) == {"videoUrl": "asset_in", "numFrames": 100}
    assert found == Estimate(creative_units=7.25, discount=0.5, details={"custom-generation": 7.25})


@pytest.mark.parametrize(
    ("status", "off_spec"), [(200, None), (201, "another 2xx"), (269, "a job in a dry run's reply")]
)
def test_estimate_that_is_answered_with_a_job_raises_with_it(
    call: Caller, httpx_mock: HTTPXMock, status: int, off_spec: str | None
) -> None:
    """The dry run was paid for, so the error carries the job."""
    paid = {"job": job_record("job_paid"), "creativeUnitsCost": 60}
    httpx_mock.add_response(status_code=status, json=paid, off_spec=off_spec)
    with pytest.raises(UnexpectedResponseError, match="job_paid") as caught:
        call("estimate", "asset_in")
    assert caught.value.job is not None
    assert caught.value.job.id == "job_paid"
    assert len(httpx_mock.get_requests()) == 1


def test_cancel_sends_the_action(call: Caller, httpx_mock: HTTPXMock) -> None:
    """In the body; a Job serves as well as its id."""
    httpx_mock.add_response(json={"job": job_record("job_1", "canceled")})
    job = call("cancel", Job(id="job_1", status="queued"))
    assert json.loads(only_request(httpx_mock).content) == {"action": "cancel"}
    assert job.status == "canceled"


def test_jobs_pages_to_the_end(call: Caller, httpx_mock: HTTPXMock) -> None:
    """An empty page is not the end; `created_after` is sent in UTC."""
    pages: list[dict[str, Any]] = [
        {"jobs": [job_record("job_1")], "nextPaginationToken": "a b+c"},
        {"jobs": [], "nextPaginationToken": "t" * 2000},
        {"jobs": [job_record("job_2"), {"jobId": None}]},
    ]
    for page, off_spec in zip(pages, (None, None, "a job without an id"), strict=True):
        httpx_mock.add_response(json=page, off_spec=off_spec)
    after = datetime(2026, 1, 1, 10, tzinfo=UTC)
    found = call("jobs", after)
    assert [job.id for job in found] == ["job_1", "job_2"]
    requests = httpx_mock.get_requests()
    assert [request.url.params.get("paginationToken") for request in requests] == [
        None, "a b+c", "t" * 2000,
    ]  # fmt: skip
    assert {request.url.params["createdAfter"] for request in requests} == {
        "2026-01-01T10:00:00.000Z"
    }


@pytest.mark.parametrize("tokens", ["aa", "abab"])
def test_jobs_does_not_go_round_in_circles(
    call: Caller, httpx_mock: HTTPXMock, tokens: str
) -> None:
    """A repeated token ends the list with an error."""
    for token in tokens:
        httpx_mock.add_response(json={"jobs": [], "nextPaginationToken": token}, is_optional=True)
    with pytest.raises(UnexpectedResponseError, match="repeats a page"):
        call("jobs")


def test_jobs_refuses_what_is_not_a_datetime(call: Caller) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="created_after"):
        call("jobs", "yesterday")


def test_find_job_asks_in_the_submission_s_project(call: Caller, httpx_mock: HTTPXMock) -> None:
    """Whatever the client's own project is."""
    listed = job_record("job_1", metadata={"input": {"seed": 7}})
    httpx_mock.add_response(json={"jobs": [listed]}, is_reusable=True)
    submission = Submission(
        seed=7,
        body={"seed": 7},
        started_at=datetime.now(UTC),
        project_id="proj_sub",
        is_seed_drawn=True,
    )
    job = call("find_job", submission, client={"project_id": "proj_client"})
    assert job.id == "job_1"
    projects = {request.url.params["projectId"] for request in httpx_mock.get_requests()}
    assert projects == {"proj_sub"}


def test_get_asset_reads_an_asset_again(call: Caller, httpx_mock: HTTPXMock) -> None:
    """The old URL is not used."""
    httpx_mock.add_response(json={"asset": asset_record("asset_1", url="https://cdn.test/new")})
    asset = call("get_asset", Asset(id="asset_1", url="https://cdn.test/old"))
    assert asset.url == "https://cdn.test/new"


def make_clip(folder: Path, size: int = 64) -> Path:
    """A file that begins like an MP4."""
    path = folder / "clip.mp4"
    path.write_bytes((b"\x00\x00\x00\x18ftypmp42" + bytes(size))[:size])
    return path


def add_upload(httpx_mock: HTTPXMock, parts: int) -> None:
    """Mock a server that accepts an upload."""
    pending = {
        "id": "upload_1", "status": "pending",
        "parts": [{"number": n, "url": f"https://s3.test/{n}?sig=x"} for n in range(1, parts + 1)],
    }  # fmt: skip
    httpx_mock.add_response(method="POST", url=f"{BASE_URL}/uploads", json={"upload": pending})
    httpx_mock.add_response(
        method="POST", url=f"{BASE_URL}/uploads/upload_1/action",
        json={"upload": {"id": "upload_1", "status": "validating"}},
    )  # fmt: skip
    httpx_mock.add_response(
        url=f"{BASE_URL}/uploads/upload_1",
        json={"upload": {"id": "upload_1", "status": "imported", "entityId": "asset_in"}},
    )


def test_upload_sends_every_part_streamed_and_without_credentials(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path
) -> None:
    """The parts joined are the file, and the asset is returned."""
    path = make_clip(tmp_path, 20 * 1024 * 1024)
    add_upload(httpx_mock, 3)
    httpx_mock.add_response(method="PUT", url=re.compile(r"https://s3\.test/.*"), is_reusable=True)
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_in", json={"asset": asset_record("asset_in")}
    )
    reports: list[tuple[int, int]] = []
    asset = call("upload", path, on_progress=lambda done, total: reports.append((done, total)))
    assert asset.id == "asset_in"
    puts = sorted(httpx_mock.get_requests(method="PUT"), key=lambda request: request.url.path)
    assert b"".join(request.content for request in puts) == path.read_bytes()
    assert [request.headers["Content-Length"] for request in puts] == [
        str(8 * 1024 * 1024), str(8 * 1024 * 1024), str(4 * 1024 * 1024),
    ]  # fmt: skip
    assert not [request for request in puts if "Authorization" in request.headers]
    assert not [request for request in puts if "Transfer-Encoding" in request.headers]
    assert max(reports) == (path.stat().st_size, path.stat().st_size)


def test_upload_keeps_the_disk_off_the_event_loop(
    httpx_mock: HTTPXMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With asyncio even the first read of the file happens in another thread."""
    import threading  # noqa: PLC0415

    path = make_clip(tmp_path)
    seen: set[threading.Thread] = set()
    stat, opened = Path.stat, Path.open

    def watched_stat(self: Path, **more: Any) -> Any:
        if self == path:
            seen.add(threading.current_thread())
        return stat(self, **more)

    def watched_open(self: Path, *args: Any, **more: Any) -> Any:
        if self == path:
            seen.add(threading.current_thread())
        return opened(self, *args, **more)

    monkeypatch.setattr(Path, "stat", watched_stat)
    monkeypatch.setattr(Path, "open", watched_open)
    add_upload(httpx_mock, 1)
    httpx_mock.add_response(method="PUT")
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_in", json={"asset": asset_record("asset_in")}
    )
    Caller(is_async=True)("upload", path)
    assert seen
    assert threading.main_thread() not in seen


def test_reframe_is_the_whole_pipeline(
    call: Caller, httpx_mock: HTTPXMock, tmp_path: Path, pauses: list[float]
) -> None:
    """From a local clip to a local file, with either client."""
    add_upload(httpx_mock, 1)
    httpx_mock.add_response(method="PUT", url="https://s3.test/1?sig=x")
    httpx_mock.add_response(method="POST", url=SUBMIT_URL, json={"job": job_record()})
    httpx_mock.add_response(url=f"{BASE_URL}/jobs/job_1", json={"job": job_record()})
    done = job_record(status="success", progress=1, metadata={"assetIds": ["asset_1"]})
    httpx_mock.add_response(url=f"{BASE_URL}/jobs/job_1", json={"job": done})
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_1",
        json={"asset": asset_record("asset_1", properties={"size": 5})},
        is_reusable=True,
    )
    httpx_mock.add_response(url="https://cdn.test/asset_1?Signature=s", content=b"video")
    reports: list[str] = []
    result = call(
        "reframe", make_clip(tmp_path), tmp_path / "out.mp4",
        aspect_ratio="9:16", on_update=lambda job: reports.append(job.status),
    )  # fmt: skip
    assert result.files == (tmp_path / "out.mp4",)
    assert result.files[0].read_bytes() == b"video"
    assert reports == ["queued", "success"]
    (posted,) = httpx_mock.get_requests(url=SUBMIT_URL)
    assert json.loads(posted.content)["videoUrl"] == "asset_in"
    assert pauses


def test_callbacks_of_the_async_client_may_be_coroutines(
    httpx_mock: HTTPXMock, tmp_path: Path
) -> None:
    """Progress and updates are awaited, also those of a resumed transfer."""
    reports: list[Any] = []

    async def note(*arguments: Any) -> None:
        reports.append(arguments)

    (tmp_path / "o.mp4.part").write_bytes(b"vi")
    (tmp_path / "o.mp4.part.json").write_text(
        json.dumps({"asset": "asset_1", "size": 5, "etag": '"v1"'})
    )
    httpx_mock.add_response(
        url=f"{BASE_URL}/assets/asset_1",
        json={"asset": asset_record("asset_1", properties={"size": 5})},
    )
    httpx_mock.add_response(
        status_code=206, content=b"deo", headers={"Content-Range": "bytes 2-4/5"}
    )
    call = Caller(is_async=True)
    files = call("download", "asset_1", tmp_path / "o.mp4", on_progress=note)
    assert files[0].read_bytes() == b"video"
    assert (2, 5) in reports
    assert reports[-1] == (5, 5)
    httpx_mock.add_response(json={"job": job_record(status="success")})
    call("wait", "job_1", on_update=note)
    assert reports[-1][0].status == "success"


def test_the_model_is_the_page_s() -> None:
    """In the path of the submit."""
    assert MODEL_ID == "model_wan-2-2-vace-fun-a14b-reframe"
