"""The sandbox for many jobs: small results at once, a list that lags, a limit of jobs."""

import hashlib
import socket
import threading
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from sandbox_clips import GENERATE, MP4, QUICK, STAGE, WEBM, Client, by_a_clock
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.fast_engine import fast_result
from scenario_reframe.sandbox.reframe_plan import with_defaults

HISTORY = ["queued", "warming-up", "in-progress", "finalizing", "success"]


def submitted(client: Client, **settings: object) -> str:
    """Submit a job; its id."""
    got = client.post(GENERATE, json=QUICK | settings).raise_for_status()
    job_id: str = got.json()["job"]["jobId"]
    return job_id


def result(client: Client, job_id: str) -> tuple[dict[str, Any], bytes]:
    """Wait for a job: its asset as JSON, and the file's bytes."""
    job = client.settled(f"/jobs/{job_id}", "job")
    record = client.get(f"/assets/{job['metadata']['assetIds'][0]}").json()["asset"]
    return record, client.files.get(record["url"]).raise_for_status().content


def listed(client: Client) -> list[str]:
    """Read the list of jobs to its end."""
    query: dict[str, Any] = {"pageSize": 100, "createdAfter": "2020-01-01"}
    found: list[str] = []
    while True:
        page = client.get("/jobs", params=query).raise_for_status().json()
        found += [job["jobId"] for job in page["jobs"]]
        if "nextPaginationToken" not in page:
            return found
        query["paginationToken"] = page["nextPaginationToken"]


def test_fast_job_walks_through_every_status_to_a_small_file(fast: Client) -> None:
    """As with the real engine: a history, the file's true size in the asset, ranges."""
    video = fast.upload(MP4, parts=2)["entityId"]
    job_id = submitted(fast, videoUrl=video, seed=5, framesPerSecond=10)
    record, content = result(fast, job_id)
    job = fast.get(f"/jobs/{job_id}").json()["job"]
    assert [entry["status"] for entry in job["statusHistory"]] == HISTORY
    assert content.startswith(b"\x00\x00\x00\x18ftypisom")
    shown = record["properties"]
    assert (shown["size"], shown["width"], shown["nbFrames"]) == (len(content), 480, 81)
    assert (record["mimeType"], record["metadata"]["parentId"]) == ("video/mp4", video)
    rest = fast.files.get(record["url"], headers={"Range": "bytes=100-"})
    assert (rest.status_code, rest.content) == (206, content[100:])


def test_statuses_last_as_long_as_configured() -> None:
    """A job is not done before its four stages are over, though its work is."""
    with by_a_clock() as (client, clock):
        new = client.post(GENERATE, json=QUICK).json()["job"]
        seen = [(new["status"], new["metadata"]["assetIds"])]
        for seconds in (STAGE - 1, 1, STAGE, STAGE, STAGE):
            clock.forward(seconds)
            job = client.get(f"/jobs/{new['jobId']}").json()["job"]
            seen.append((job["status"], job["metadata"]["assetIds"]))
        made = client.sandbox.made[0].asset_ids
    assert seen[0] == seen[1] == ("queued", [])
    assert seen[2:] == [*((status, []) for status in HISTORY[1:4]), ("success", [*made])]
    dates = [datetime.fromisoformat(entry["date"]) for entry in job["statusHistory"]]
    assert [b - a for a, b in pairwise(dates)] == [timedelta(seconds=STAGE)] * 4


def test_result_follows_from_settings_and_source(fast: Client) -> None:
    """The same seed and content give the same bytes, under any id; others do not."""
    first, same, other = (fast.upload(file)["entityId"] for file in (MP4, MP4, WEBM))
    runs = [(first, 1), (same, 1), (first, 2), (other, 1), (None, 1)]
    made = [
        result(fast, submitted(fast, seed=seed, **({"videoUrl": video} if video else {})))[1]
        for video, seed in runs
    ]
    assert made[0] == made[1] == fast_result(QUICK | {"seed": 1}, hashlib.sha256(MP4).hexdigest())
    assert len({*made}) == 4


def test_sizes_of_results_vary_about_the_size_of_a_chunk() -> None:
    """A few KB to 100 KiB, some over 64 KiB, for any seed."""
    sizes = [len(fast_result({"seed": seed}, "0")) for seed in range(100)]
    assert 4096 <= min(sizes) < 16 * 1024
    assert 96 * 1024 < max(sizes) <= 100 * 1024
    assert 20 < len([size for size in sizes if size > 64 * 1024]) < 50


@pytest.mark.parametrize(
    ("content", "kind"), [(MP4, "video/mp4"), (WEBM, "video/webm")], ids=["mp4", "webm"]
)
def test_what_begins_like_a_video_is_accepted(fast: Client, content: bytes, kind: str) -> None:
    """The rest is not checked; the asset has every field."""
    upload = fast.upload(content, contentType="application/octet-stream")
    record = fast.get(f"/assets/{upload['entityId']}").json()["asset"]
    assert (record["mimeType"], record["properties"]["size"]) == (kind, len(content))
    assert fast.files.get(record["url"]).content == content


@pytest.mark.parametrize("content", [b"no video", b"ftyp", b"\x1a\x45\xdf"])
def test_what_begins_otherwise_is_not(fast: Client, content: bytes) -> None:
    """The import fails with a reason."""
    upload = fast.upload(content)
    assert (upload["status"], upload["errorMessage"]) == (
        "failed",
        "the file does not begin like a video",
    )


def test_many_jobs_run_side_by_side_without_a_thread_each() -> None:
    """The list shows all at once, all end, and no job costs a thread."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        submitted(client)
        before = set(threading.enumerate())
        ids = [submitted(client, seed=seed) for seed in range(120)]
        assert set(threading.enumerate()) <= before
        assert listed(client)[:-1] == ids[::-1]
        assert [(job.id, job.status, job.input) for job in sandbox.made[1:]] == [
            (job_id, "success", QUICK | {"seed": seed}) for seed, job_id in enumerate(ids)
        ]


@pytest.mark.parametrize("is_fast", [True, False])
def test_made_jobs_have_the_digests_of_their_results(clip: bytes, is_fast: bool) -> None:
    """So that tests can check files: none of running jobs, no jobs of uploads."""
    with by_a_clock(fast=is_fast) as (client, _):
        video = client.upload(clip)["entityId"]
        body = {**QUICK, "videoUrl": video, "seed": 9, "new": [1]}
        got = client.post(GENERATE, params={"projectId": "proj_a"}, json=body).json()["job"]
        (under_way,) = client.sandbox.made
        assert under_way.status == "queued"
        assert (under_way.asset_ids, under_way.digests) == ((), ())
        record, content = result(client, got["jobId"])
        (made,) = client.sandbox.made
    assert (made.id, made.input, made.status) == (got["jobId"], body, "success")
    assert (made.project_id, made.asset_ids) == ("proj_a", (record["id"],))
    assert made.digests == (hashlib.sha256(content).hexdigest(),)
    assert made.source_digest == hashlib.sha256(clip).hexdigest()


def test_new_job_is_known_at_once_and_listed_later() -> None:
    """Like a list from an index that lags; the lag can be changed."""
    with by_a_clock(list_lag=60) as (client, clock):
        first = submitted(client)
        assert client.get(f"/jobs/{first}").status_code == 200
        clock.forward(59)
        assert listed(client) == []
        clock.forward(1)
        assert listed(client) == [first]
        second = submitted(client)
        assert listed(client) == [first]
        client.sandbox.list_lag = 0
        assert listed(client) == [second, first]


def test_one_job_too_many_side_by_side_is_refused_in_the_vendors_words() -> None:
    """Until one has ended or the limit is raised. A price can still be requested."""
    with by_a_clock(parallel_jobs=2) as (client, clock):
        submitted(client)
        clock.forward(1)
        submitted(client)
        refused = client.post(GENERATE, json=QUICK)
        assert refused.status_code == 429
        assert refused.json() | {"trace_id": ""} == {
            "reason": "Too many parallel jobs",
            "details": {"actionName": "parallel-custom-jobs", "actionLimit": 2},
            "trace_id": "",
        }
        assert client.post(GENERATE, params={"dryRun": "true"}, json=QUICK).status_code == 269
        assert client.post(GENERATE, json={"numFrames": 1}).status_code == 400
        clock.forward(4 * STAGE - 1)  # the first has ended, the second has not
        submitted(client)
        assert client.post(GENERATE, json=QUICK).status_code == 429
        client.sandbox.parallel_jobs = 3
        submitted(client)
        assert client.post(GENERATE, json=QUICK).json()["details"]["actionLimit"] == 3
        client.sandbox.parallel_jobs = None
        submitted(client)
        assert client.sandbox.jobs_made == len(client.sandbox.made) == 5


def test_small_replies_are_sent_at_once(fast: Client) -> None:
    """A reply's head and body are sent without delay: Nagle's algorithm is off."""
    transport: Any = None

    async def look(_app: Any, scope: Any, _receive: Any, send: Any) -> None:
        nonlocal transport
        transport = scope["extensions"]["scenario_reframe.transport"]
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    fast.sandbox.faults.add(look)
    assert fast.get("/jobs").status_code == 204
    connection = transport.get_extra_info("socket")
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_a_number_that_became_text_has_no_effect() -> None:
    """The vendor may change a type: only the model knows what the words mean."""
    settings = with_defaults({"zoomFactor": "near", "numFrames": 100, "trimBorders": False})
    assert (settings["zoomFactor"], settings["numFrames"]) == (0, 100)
    assert settings["trimBorders"] is False
