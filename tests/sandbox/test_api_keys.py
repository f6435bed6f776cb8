"""Several keys and projects at one sandbox: which key sees what, and what a revoked key can do."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import pytest

from sandbox_clips import GENERATE, MP4, QUICK, Client, by_a_clock
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.records import PROJECT_ID


class Keys(NamedTuple):
    """Clients of one sandbox: the first key, another project's, and that one's second key."""

    first: Client
    other: Client
    rotated: Client


@pytest.fixture
def keys() -> Iterator[Keys]:
    """The three clients."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, ExitStack() as stack:
        sandbox.add_key("key-b", "secret-b", "proj_b")
        sandbox.add_key("key-b2", "secret-b2", "proj_b")
        clients = [stack.enter_context(closing(Client(sandbox))) for _ in range(3)]
        clients[1].auth, clients[2].auth = ("key-b", "secret-b"), ("key-b2", "secret-b2")
        yield Keys(*clients)


def submitted(client: Client, **body: Any) -> str:
    """Submit a job without naming a project; its id."""
    got = client.post(GENERATE, json=QUICK | body).raise_for_status()
    job_id: str = got.json()["job"]["jobId"]
    return job_id


def listed(client: Client, **query: str) -> list[str]:
    """The ids of the listed paid jobs."""
    got = client.get("/jobs", params={"type": "custom", **query}).raise_for_status()
    return [job["jobId"] for job in got.json()["jobs"]]


def test_a_key_acts_for_its_own_project(keys: Keys) -> None:
    """What it makes belongs to its project, on the server and in the replies."""
    mine, theirs = submitted(keys.first), submitted(keys.other)
    owners = {job.id: job.project_id for job in keys.first.sandbox.made}
    assert owners == {mine: PROJECT_ID, theirs: "proj_b"}
    assert keys.other.get(f"/jobs/{theirs}").json()["job"]["ownerId"] == "proj_b"
    assert keys.other.upload(MP4)["ownerId"] == "proj_b"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_project_does_not_see_what_another_made(keys: Keys, order: tuple[int, int]) -> None:
    """Jobs, uploads and assets are 404 and not listed, in both directions."""
    owner, stranger = (keys[number] for number in order)
    upload, job_id = owner.upload(MP4), submitted(owner)
    asset_id = upload["entityId"]
    paths = (f"/jobs/{job_id}", f"/uploads/{upload['id']}", f"/assets/{asset_id}")
    assert [owner.get(path).status_code for path in paths] == [200] * 3
    assert [stranger.get(path).status_code for path in paths] == [404] * 3
    action = {"action": "complete"}
    assert stranger.post(f"/uploads/{upload['id']}/action", json=action).status_code == 404
    assert stranger.post(GENERATE, json=QUICK | {"videoUrl": asset_id}).status_code == 404
    assert (listed(owner), listed(stranger)) == ([job_id], [])


def test_keys_of_one_project_see_the_same(keys: Keys) -> None:
    """As after a rotation: the second key continues what the first one began."""
    job_id = submitted(keys.other)
    assert keys.rotated.get(f"/jobs/{job_id}").status_code == 200
    assert listed(keys.rotated) == listed(keys.rotated, projectId="proj_b") == [job_id]


def test_another_keys_project_is_refused(keys: Keys) -> None:
    """403 in the API's words. The first key acts for projects without a key of their own."""
    for client, project in ((keys.first, "proj_b"), (keys.other, PROJECT_ID), (keys.other, "x")):
        got = client.get("/jobs", params={"projectId": project})
        assert (got.status_code, bool(got.json()["reason"])) == (403, True)
        refused = client.post(GENERATE, params={"projectId": project}, json=QUICK)
        assert refused.status_code == 403
    assert keys.first.sandbox.jobs_made == 0
    assert keys.first.get("/jobs", params={"projectId": "x"}).status_code == 200


def test_a_revoked_key_is_unknown(keys: Keys) -> None:
    """401, while the project's other key works; also for the first key."""
    sandbox = keys.first.sandbox
    sandbox.revoke_key("key-b")
    assert keys.other.get("/jobs").status_code == 401
    assert keys.rotated.get("/jobs").status_code == 200
    sandbox.revoke_key(sandbox.api_key)
    assert keys.first.get("/jobs").status_code == 401


def test_duplicate_and_unknown_keys_are_errors(keys: Keys) -> None:
    """Adding an existing key, and revoking an unknown one."""
    with pytest.raises(ValueError, match="exists already"):
        keys.first.sandbox.add_key("key-b", "secret-c", "proj_c")
    with pytest.raises(KeyError):
        keys.first.sandbox.revoke_key("key-c")


def test_the_secret_must_be_the_keys_own(keys: Keys) -> None:
    """Another key's secret is refused."""
    keys.other.auth = ("key-b", "secret-b2")
    assert keys.other.get("/jobs").status_code == 401


def test_parallel_jobs_are_counted_by_project() -> None:
    """One project's jobs do not use another's slots."""
    with by_a_clock(parallel_jobs=1) as (client, _):
        client.sandbox.add_key("key-b", "secret-b", "proj_b")
        submitted(client)
        assert client.post(GENERATE, json=QUICK).status_code == 429
        client.auth = ("key-b", "secret-b")
        submitted(client)
        assert client.post(GENERATE, json=QUICK).status_code == 429
