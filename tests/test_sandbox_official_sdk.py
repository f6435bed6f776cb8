"""The vendor's own SDK, in strict mode, uses the sandbox as if it were the vendor."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from scenario_sdk import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    Scenario,
)

from sandbox_clips import bar_clip
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import drop
from scenario_reframe_api.settings import MODEL_ID, SETTINGS

pytestmark = pytest.mark.any_python


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that does not dwell on any status."""
    with Sandbox(stage_seconds=0.01) as made:
        yield made


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[Scenario]:
    """The SDK, which checks every reply against the vendor's own document."""
    with Scenario(
        api_key=sandbox.api_key,
        api_secret=sandbox.api_secret,
        base_url=sandbox.base_url,
        _strict_response_validation=True,
    ) as made:
        yield made


def uploaded(sdk: Scenario, content: bytes) -> str:
    """Upload a video as the vendor's documentation says and give the asset's id."""
    made = sdk.uploads.create(
        kind="video",
        file_name="clip.mp4",
        content_type="video/mp4",
        file_size=len(content),
        parts=2,
    ).upload
    half = len(content) // 2
    for part, piece in zip(made.parts or [], (content[:half], content[half:]), strict=True):
        httpx.put(part.url, content=piece).raise_for_status()
    upload: Any = sdk.uploads.trigger_action(made.id, action="complete").upload
    while upload.status != "imported":
        assert upload.status in {"validating", "validated"}
        time.sleep(0.02)
        upload = sdk.uploads.retrieve(made.id).upload
    entity: str = upload.entity_id
    return entity


def test_sdk_walks_the_whole_road_of_a_clip(
    sandbox: Sandbox, sdk: Scenario, tmp_path: Path
) -> None:
    """Upload, price, run, poll, list and read the result: every reply is valid."""
    video = uploaded(sdk, bar_clip(tmp_path / "bar.mp4", 12).read_bytes())
    body = {"videoUrl": video, "resolution": "480p", "numInterpolatedFrames": 0, "seed": 5}
    run = sdk.generate.run_model(MODEL_ID, body=body)
    job = sdk.jobs.retrieve(run.job.job_id).job
    while job.status != "success":
        assert job.status in {"queued", "warming-up", "in-progress", "finalizing"}
        time.sleep(0.02)
        job = sdk.jobs.retrieve(run.job.job_id).job
    assert job.metadata.input == body
    assert job.billing is not None
    assert job.billing.cu_cost == run.creative_units_cost
    (asset_id,) = job.metadata.asset_ids or []
    asset = sdk.assets.retrieve(asset_id).asset
    assert (asset.source, asset.metadata.parent_id, asset.metadata.seed) == (
        "video2video",
        video,
        "5",
    )
    assert len(httpx.get(asset.url).content) == asset.properties.size
    assert {one.id for one in sdk.assets.get_bulk(asset_ids=[asset_id, video]).assets} == {
        asset_id,
        video,
    }
    listed = list(sdk.jobs.list(page_size=1, created_after=job.created_at[:10]))
    assert [one.job_type for one in listed] == ["custom", "upload"]
    assert sandbox.jobs_made == 1
    assert sandbox.credentials_leaked == 0


def test_sdk_reads_an_import_from_a_url(sdk: Scenario) -> None:
    """The reply to an import, and its failure, are valid as well."""
    made = sdk.uploads.create(kind="video", url="http://192.0.2.1/clip.mp4").upload
    upload: Any = made
    while upload.status != "failed":
        time.sleep(0.02)
        upload = sdk.uploads.retrieve(made.id).upload
    assert upload.error_message.startswith("The URL could not be fetched")
    job = sdk.jobs.retrieve(made.job_id or "").job
    assert (job.job_type, job.status) == ("upload", "failure")


def test_sdk_reads_the_price_of_a_dry_run(sandbox: Sandbox, sdk: Scenario) -> None:
    """269 is a success to the SDK, though its type wants a job that no dry run has."""
    made = sandbox.jobs_made
    got = sdk.generate.with_raw_response.run_model(MODEL_ID, body={}, dry_run="true")
    assert got.status_code == 269
    assert got.http_response.json()["creativeUnitsCost"] > 0
    assert sandbox.jobs_made == made


def test_sdk_reads_the_models_inputs(sdk: Scenario) -> None:
    """The model's record is valid and has every setting."""
    model = sdk.models.retrieve(MODEL_ID).model
    names = {one.name for one in model.inputs or []}
    assert names == {"videoUrl", *(setting.wire for setting in SETTINGS)}


def test_sdk_maps_the_sandboxs_errors(sandbox: Sandbox, sdk: Scenario) -> None:
    """Each refusal is the error that the SDK has for it."""
    with pytest.raises(BadRequestError, match="numFrames"):
        sdk.generate.run_model(MODEL_ID, body={"numFrames": 1})
    with pytest.raises(NotFoundError, match="Asset asset_none not found"):
        sdk.generate.run_model(MODEL_ID, body={"videoUrl": "asset_none"})
    with pytest.raises(NotFoundError):
        sdk.jobs.retrieve("job_none")
    with pytest.raises(AuthenticationError):
        sdk.with_options(api_secret="wrong").jobs.retrieve("job_none")
    assert sandbox.faults.left == 0


def test_sdk_retrying_a_lost_reply_pays_twice_and_the_sandbox_shows_it(
    sandbox: Sandbox, sdk: Scenario
) -> None:
    """Why a client must not repeat a submit: two tries, two paid jobs, no reply."""
    made = sandbox.jobs_made
    sandbox.faults.add(drop(after=True), "/generate/", times=2)
    with pytest.raises(APIConnectionError):
        sdk.with_options(max_retries=1).generate.run_model(MODEL_ID, body={"seed": 9})
    assert sandbox.jobs_made == made + 2
