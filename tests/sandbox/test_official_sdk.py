"""The vendor's own SDK, in strict mode, uses the sandbox like the vendor's server."""

from collections.abc import Iterator
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

from sandbox_clips import FINAL, QUICK, Client
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import drop
from scenario_reframe_api.settings import MODEL_ID, SETTINGS
from waiting import until

pytestmark = pytest.mark.any_python


def official(sandbox: Sandbox) -> Scenario:
    """The SDK, which checks every reply against the vendor's own schema."""
    return Scenario(
        api_key=sandbox.api_key,
        api_secret=sandbox.api_secret,
        base_url=sandbox.base_url,
        _strict_response_validation=True,
    )


@pytest.fixture
def sdk(fast: Client) -> Iterator[Scenario]:
    """The SDK with the shared sandbox."""
    with official(fast.sandbox) as made:
        yield made


def settled(sdk: Scenario, upload_id: str) -> Any:
    """Wait for an upload."""

    def final() -> Any:
        upload: Any = sdk.uploads.retrieve(upload_id).upload
        assert upload.status in {"validating", "validated", *FINAL}
        return upload if upload.status in FINAL else None

    return until(final)


def uploaded(sdk: Scenario, content: bytes) -> str:
    """Upload a video as the vendor's documentation says; the asset's id."""
    made = sdk.uploads.create(
        kind="video",
        file_name="clip.mp4",
        content_type="video/mp4",
        file_size=len(content),
        parts=2,
    ).upload
    half = len(content) // 2
    for part, piece in zip(made.parts or [], (content[:half], content[half:]), strict=True):
        httpx.put(part.url, content=piece, timeout=60).raise_for_status()
    sdk.uploads.trigger_action(made.id, action="complete")
    entity: str = settled(sdk, made.id).entity_id
    return entity


@pytest.mark.parametrize("is_fast", [False, True], ids=["video", "fast"])
def test_sdk_uploads_runs_and_downloads(clip: bytes, *, is_fast: bool) -> None:
    """Upload, price, run, poll, list and read the result: every reply is valid."""
    with Sandbox(stage_seconds=0, fast=is_fast) as sandbox, official(sandbox) as sdk:
        video = uploaded(sdk, clip)
        body = {**QUICK, "videoUrl": video, "seed": 5}
        run = sdk.generate.run_model(MODEL_ID, body=body)

        def final() -> Any:
            job = sdk.jobs.retrieve(run.job.job_id).job
            assert job.status in {"queued", "warming-up", "in-progress", "finalizing", "success"}
            return job if job.status == "success" else None

        job = until(final)
        assert job.metadata.input == body
        assert job.billing.cu_cost == run.creative_units_cost
        (asset_id,) = job.metadata.asset_ids
        asset = sdk.assets.retrieve(asset_id).asset
        noted = asset.metadata
        assert (asset.source, noted.parent_id, noted.seed) == ("video2video", video, "5")
        assert len(httpx.get(asset.url, timeout=60).content) == asset.properties.size
        assert sdk.assets.retrieve(video).asset.properties.size == len(clip)
        listed = list(sdk.jobs.list(page_size=1, created_after=job.created_at[:10]))
        assert [one.job_type for one in listed] == ["custom", "upload"]
        assert sandbox.jobs_made == 1
        assert sandbox.credentials_leaked == 0


def test_sdk_reads_an_import_from_a_url(sdk: Scenario) -> None:
    """The reply to an import, and its failure, are valid too."""
    made = sdk.uploads.create(kind="video", url="http://192.0.2.1/clip.mp4").upload
    upload = settled(sdk, made.id)
    assert upload.status == "failed"
    assert upload.error_message.startswith("The URL could not be fetched")
    job = sdk.jobs.retrieve(made.job_id or "").job
    assert (job.job_type, job.status) == ("upload", "failure")


def test_sdk_reads_the_price_of_a_dry_run(fast: Client, sdk: Scenario) -> None:
    """For the SDK 269 is a success, though its type requires a job that no dry run has."""
    made = fast.sandbox.jobs_made
    got = sdk.generate.with_raw_response.run_model(MODEL_ID, body={}, dry_run="true")
    assert got.status_code == 269
    assert got.http_response.json()["creativeUnitsCost"] > 0
    assert fast.sandbox.jobs_made == made


def test_sdk_reads_the_models_inputs(sdk: Scenario) -> None:
    """The model's description is valid and has every setting."""
    model = sdk.models.retrieve(MODEL_ID).model
    names = {one.name for one in model.inputs or []}
    assert names == {"videoUrl", *(setting.wire for setting in SETTINGS)}


def test_sdk_maps_the_sandboxs_errors(sdk: Scenario) -> None:
    """Each refusal raises the SDK's error for it."""
    with pytest.raises(BadRequestError, match="numFrames"):
        sdk.generate.run_model(MODEL_ID, body={"numFrames": 1})
    with pytest.raises(NotFoundError, match="Asset asset_none not found"):
        sdk.generate.run_model(MODEL_ID, body={"videoUrl": "asset_none"})
    with pytest.raises(NotFoundError):
        sdk.jobs.retrieve("job_none")
    with pytest.raises(AuthenticationError):
        sdk.with_options(api_secret="wrong").jobs.retrieve("job_none")


def test_sdk_retrying_a_lost_reply_pays_twice_and_the_sandbox_shows_it(
    fast: Client, sdk: Scenario
) -> None:
    """Why a client must not repeat a submit: two tries, two paid jobs, no reply."""
    made = fast.sandbox.jobs_made
    fast.sandbox.faults.add(drop(after=True), "/generate/", times=2)
    with pytest.raises(APIConnectionError):
        sdk.with_options(max_retries=1).generate.run_model(MODEL_ID, body={"seed": 9})
    assert fast.sandbox.jobs_made == made + 2
