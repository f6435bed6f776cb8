"""The sandbox's jobs over a real socket: how they run and how they are listed."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sandbox_clips import GENERATE, MP4, QUICK, Client, by_a_clock
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.sample_clip import make_sample
from scenario_reframe.sandbox.status_timeline import Timeline
from scenario_reframe_api.settings import MODEL_ID


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of a sandbox that makes real videos."""
    with Sandbox(stage_seconds=0) as sandbox, closing(Client(sandbox)) as made:
        yield made


@pytest.fixture(scope="module")
def asset(client: Client, clip: bytes) -> dict[str, Any]:
    """An uploaded asset as JSON."""
    entity = client.upload(clip)["entityId"]
    record: dict[str, Any] = client.get(f"/assets/{entity}").json()["asset"]
    return record


def test_dry_run_in_the_body_is_ignored_and_paid(fast: Client) -> None:
    """As with the vendor, a job starts."""
    made = fast.sandbox.jobs_made
    got = fast.post(GENERATE, json={**QUICK, "dryRun": True})
    assert got.status_code == 200
    assert got.json()["job"]["jobId"]
    assert fast.sandbox.jobs_made - made == 1


def test_job_runs_to_success_and_gives_an_asset(client: Client, asset: dict[str, Any]) -> None:
    """The body is echoed, and the result is as requested."""
    jobs_made = client.sandbox.jobs_made
    body = {**QUICK, "videoUrl": asset["id"], "seed": 7, "prompt": "a \ud800 hill", "new": [1]}
    content = json.dumps(body).encode()
    got = client.post(GENERATE, content=content, headers={"Content-Type": "application/json"})
    job = client.settled(f"/jobs/{got.json()['job']['jobId']}", "job")
    assert [entry["status"] for entry in job["statusHistory"]] == [
        "queued",
        "warming-up",
        "in-progress",
        "finalizing",
        "success",
    ]
    assert job["progress"] == 1
    assert job["metadata"]["input"] == body
    assert job["billing"] == {"cuCost": got.json()["creativeUnitsCost"], "cuDiscount": 0}
    result = client.get(f"/assets/{job['metadata']['assetIds'][0]}").json()["asset"]
    file = client.files.get(result["url"])
    assert file.headers["content-type"] == "video/mp4"
    assert result["properties"] | {"bitrate": 0} == {
        "size": len(file.content),
        "width": 480,
        "height": 480,
        "nbFrames": 81,
        "frameRate": 16,
        "duration": 5.062,
        "codecName": "h264",
        "bitrate": 0,
    }
    noted = {"parentId": asset["id"], "seed": "7", "prompt": "a \ud800 hill", "modelId": MODEL_ID}
    assert result["metadata"].items() >= noted.items()
    assert client.sandbox.jobs_made - jobs_made == 1


def test_job_without_a_video_uses_the_sandboxs_own(client: Client) -> None:
    """So the model page's example works unchanged."""
    own = {"aspectRatio": "auto", "matchInputFramesPerSecond": True}
    got = client.post(GENERATE, json=QUICK | own)
    job = client.settled(f"/jobs/{got.json()['job']['jobId']}", "job")
    result = client.get(f"/assets/{job['metadata']['assetIds'][0]}").json()["asset"]
    assert [result["properties"][key] for key in ("width", "frameRate")] == [854, 25]
    assert "parentId" not in result["metadata"]


def test_video_that_cannot_be_decoded_fails_the_job(
    client: Client, asset: dict[str, Any], tmp_path: Path
) -> None:
    """The error says why and what to do; the job still costs. The next job runs."""
    make_sample(tmp_path / "sample.mp4", 2, "320x180")
    broken = bytearray((tmp_path / "sample.mp4").read_bytes())
    # The index is at the front and the first frames are intact, so that the upload succeeds.
    broken[len(broken) // 2 :] = b"\xa5" * (len(broken) - len(broken) // 2)
    uploaded = client.upload(bytes(broken))
    assert uploaded["status"] == "imported"
    jobs = [
        client.post(GENERATE, json={**QUICK, "videoUrl": video}).json()["job"]
        for video in (uploaded["entityId"], asset["id"])
    ]
    failed, after = (client.settled(f"/jobs/{job['jobId']}", "job") for job in jobs)
    assert failed["status"] == "failure"
    assert failed["metadata"]["error"].startswith("the video cannot be decoded")
    assert failed["metadata"]["hint"]
    assert failed["billing"]["cuCost"] > 0
    assert after["status"] == "success"


def test_cancel_is_refused_in_the_vendors_words(fast: Client) -> None:
    """No job of this model can be cancelled."""
    job = fast.post(GENERATE, json=QUICK).json()["job"]
    got = fast.post(f"/jobs/{job['jobId']}/action", json={"action": "cancel"})
    assert got.status_code == 400
    assert got.json()["reason"] == "Cannot cancel this type of job. Action not permitted."
    other = fast.post(f"/jobs/{job['jobId']}/action", json={"action": "dance"})
    assert other.json()["reason"] == '"action" must be one of [cancel]'


def submit(client: Client, count: int, project: str = "proj_sandbox") -> list[str]:
    """Submit so many jobs; their ids."""
    query = {"projectId": project}
    got = [client.post(GENERATE, params=query, json=QUICK) for _ in range(count)]
    return [one.json()["job"]["jobId"] for one in got]


def test_jobs_are_listed_newest_first_in_pages(fast: Client) -> None:
    """Every job is listed once, though new ones are made between two pages."""
    project = "proj_pages"
    ids = submit(fast, 5, project)
    pages: list[list[str]] = []
    token: dict[str, str] = {}
    while True:
        page = fast.get("/jobs", params={"projectId": project, "pageSize": 2, **token}).json()
        pages.append([job["jobId"] for job in page["jobs"]])
        if "nextPaginationToken" not in page:
            break
        token = {"paginationToken": page["nextPaginationToken"]}
        submit(fast, 1, project)
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]


def test_created_after_leaves_out_what_is_older() -> None:
    """The moment itself is left out; any offset and precision is accepted."""
    with by_a_clock() as (client, clock):
        (old,) = submit(client, 1)
        clock.forward(0.01)
        (new,) = submit(client, 1)
        created = client.get(f"/jobs/{old}").json()["job"]["createdAt"]
        for moment in (created, created.replace("Z", "+00:00")):
            jobs = client.get("/jobs", params={"createdAfter": moment}).json()["jobs"]
            assert [job["jobId"] for job in jobs] == [new]
        all_jobs = client.get("/jobs", params={"createdAfter": "2020-01-01"}).json()["jobs"]
        assert len(all_jobs) == 2


def test_jobs_are_filtered_by_status_type_and_project() -> None:
    """An upload has a job of its own; a project sees only its own jobs."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        client.upload(MP4)
        submit(client, 1, "proj_a")

        def kinds(**query: str) -> list[str]:
            return [job["jobType"] for job in client.get("/jobs", params=query).json()["jobs"]]

        assert kinds() == ["upload"]
        assert kinds(projectId="proj_a") == ["custom"]
        assert kinds(projectId="proj_b") == []
        assert kinds(type="custom") == []
        assert kinds(types="custom,upload", status="success") == ["upload"]
        assert kinds(status="failure") == []
        assert kinds(status="success", updatedAfter="2999-01-01T00:00:00Z") == []
        assert kinds(status="success", updatedAfter="2020-01-01T00:00:00Z") == ["upload"]


@pytest.mark.parametrize(
    "query",
    [
        {"createdAfter": "2020-01-01", "status": "success"},
        {"createdAfter": "2020-01-01", "type": "custom"},
        {"updatedAfter": "2020-01-01"},
        {"createdAfter": "yesterday"},
        {"status": "done"},
        {"pageSize": "0"},
        {"pageSize": "101"},
        {"pageSize": "9" * 5000},
        {"pageSize": "²"},
        {"paginationToken": "!"},
        {"paginationToken": "é"},
        {"paginationToken": "YQ"},
    ],
)
def test_wrong_list_query_is_400(quiet: Client, query: dict[str, str]) -> None:
    """Filters that exclude each other and meaningless values are refused."""
    got = quiet.get("/jobs", params=query)
    assert got.status_code == 400
    assert got.json()["reason"]


def test_each_status_is_shown_for_its_time() -> None:
    """However fast the work, a client that polls often enough sees every status."""
    now = 100.0
    timeline = Timeline("queued", 0.25, lambda: now)
    timeline.reach("in-progress")
    timeline.reach("success")
    seen: list[str] = []
    for now in (100.0, 100.2, 100.25, 100.49, 100.5):  # noqa: B007 - the clock reads it
        status, _ = timeline.shown()[-1]
        seen.append(status)
    assert seen == ["queued", "queued", "in-progress", "in-progress", "success"]


def test_late_status_is_shown_at_once() -> None:
    """A status has the time when it was reached, if those before had their time."""
    now = 100.0
    timeline = Timeline("queued", 0.25, lambda: now)
    now = 107.0
    timeline.reach("success")
    assert timeline.shown() == [("queued", 100.0), ("success", 107.0)]


def test_fault_of_the_sandbox_fails_one_job_and_is_logged(
    client: Client,
    asset: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker goes on, and the job's error says that it is the sandbox's fault."""

    def broken(*_given: object) -> None:
        raise ValueError("of ours")

    body = {**QUICK, "videoUrl": asset["id"]}
    with monkeypatch.context() as patch:
        patch.setattr("scenario_reframe.sandbox.video_engine.reframe", broken)
        failed = client.post(GENERATE, json=body).json()["job"]
        failed = client.settled(f"/jobs/{failed['jobId']}", "job")
    assert failed["metadata"]["error"] == "ValueError: of ours"
    assert failed["metadata"]["hint"] == "This is a bug in the sandbox."
    assert "of ours" in caplog.text
    after = client.post(GENERATE, json=body).json()["job"]
    assert client.settled(f"/jobs/{after['jobId']}", "job")["status"] == "success"
