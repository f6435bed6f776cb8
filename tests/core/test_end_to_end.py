"""Both clients against the sandbox: a real socket, real files, real video."""

import asyncio
import inspect
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from scenario_reframe import (
    AsyncReframeClient,
    InvalidSettingsError,
    InvalidVideoError,
    JobFailedError,
    NotFoundError,
    ReframeClient,
    ReframeError,
    ReframeResult,
)
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.sample_clip import make_sample

Call = Callable[..., Any]
QUICK = {
    "resolution": "480p", "num_interpolated_frames": 0, "video_write_mode": "fast",
    "match_input_num_frames": False, "num_frames": 81,
    "match_input_frames_per_second": False, "frames_per_second": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short clip of 16:9, with sound."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_sample(path, seconds=2, size="320x180", rate=25)
    return path


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, sandbox: Sandbox) -> Call:
    """Calls a method of either client by its name."""
    keys = (sandbox.api_key, sandbox.api_secret)

    def sync(name: str, *args: Any, **kwargs: Any) -> Any:
        with ReframeClient(*keys, base_url=sandbox.base_url) as client:
            found = getattr(client, name)(*args, **kwargs)
            return list(found) if inspect.isgenerator(found) else found

    async def run(name: str, *args: Any, **kwargs: Any) -> Any:
        async with AsyncReframeClient(*keys, base_url=sandbox.base_url) as client:
            found = getattr(client, name)(*args, **kwargs)
            return [item async for item in found] if inspect.isasyncgen(found) else await found

    if request.param == "sync":
        return sync
    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


def shape(path: Path) -> tuple[int, int, int, Fraction, str]:
    """Width, height, decoded frames, frame rate and codec of a video's only stream."""
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        frames = sum(1 for _ in container.decode(stream))
        rate = stream.average_rate
        assert rate is not None
        context = stream.codec_context
        return context.width, context.height, frames, Fraction(rate), context.name


def test_reframe_turns_a_wide_clip_into_a_tall_one(
    call: Call, sandbox: Sandbox, clip: Path, tmp_path: Path
) -> None:
    """One call: one job, every status is reported, and the file has the requested shape."""
    made, told = sandbox.jobs_made, []
    result: ReframeResult = call(
        "reframe",
        clip,
        tmp_path / "tall.mp4",
        on_update=lambda job: told.append(job.status),
        aspect_ratio="9:16",
        **QUICK,
    )
    assert sandbox.jobs_made == made + 1
    assert result.files == (tmp_path / "tall.mp4",)
    width, height, frames, rate, codec = shape(result.files[0])
    assert (width, frames, rate, codec) == (480, 81, Fraction(16), "h264")
    assert abs(height - 854) <= 2
    assert result.assets[0].size == result.files[0].stat().st_size
    assert result.job.is_success
    assert result.job.cost
    assert told[-1] == "success"
    assert "in-progress" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tall.mp4"]


def test_the_single_steps_give_the_same_video(call: Call, clip: Path, tmp_path: Path) -> None:
    """Upload, estimate, submit, wait and download; the same seed gives the same bytes."""
    counted: list[tuple[int, int | None]] = []
    asset = call("upload", clip, on_progress=lambda done, total: counted.append((done, total)))
    assert counted[-1] == (clip.stat().st_size, clip.stat().st_size)
    settings = {**QUICK, "aspect_ratio": "1:1", "seed": 7}
    assert call("estimate", asset, **settings).creative_units > 0
    job = call("submit", asset, **settings)
    done = call("wait", job.id, timeout=120)
    assert done.input["seed"] == 7
    first = call("download", done, tmp_path / "first.mp4")
    again = call("reframe", asset.id, str(tmp_path) + "/", **settings)
    assert first[0].read_bytes() == again.files[0].read_bytes()
    assert shape(first[0])[:2] == (480, 480)
    assert again.files[0].name == f"{again.assets[0].id}.mp4"


def test_an_estimate_makes_no_job(call: Call, sandbox: Sandbox) -> None:
    """A dry run is answered with a price, and no job is started."""
    made = sandbox.jobs_made
    assert call("estimate", resolution="480p").creative_units > 0
    assert sandbox.jobs_made == made


def test_a_submitted_job_is_listed(call: Call) -> None:
    """jobs() yields what submit() returned, and get_job() reads it."""
    job = call("submit", **QUICK)
    assert job.id in {listed.id for listed in call("jobs")}
    assert call("get_job", job).id == job.id
    call("wait", job, timeout=120)


def test_cancel_raises_the_server_s_refusal(call: Call) -> None:
    """The vendor does not cancel this model's jobs."""
    job = call("submit", **QUICK)
    with pytest.raises(ReframeError, match="Cannot cancel"):
        call("cancel", job)
    call("wait", job, timeout=120)


@pytest.mark.parametrize(
    ("video", "settings", "error"),
    [
        ("nowhere.mp4", {}, InvalidVideoError),
        (__file__, {}, InvalidVideoError),
        (None, {"num_frames": 80, "resolution": "481p"}, InvalidSettingsError),
    ],
)
def test_bad_input_sends_nothing(
    call: Call,
    sandbox: Sandbox,
    video: str | None,
    settings: dict[str, Any],
    error: type[ReframeError],
) -> None:
    """The error is raised before a request is made."""
    before = len(sandbox.requests)
    with pytest.raises(error):
        call("submit", video, **settings)
    assert len(sandbox.requests) == before


def test_an_existing_target_is_refused_before_anything_is_paid_for(
    call: Call, sandbox: Sandbox, clip: Path, tmp_path: Path
) -> None:
    """Nothing is sent, and the old file is unchanged."""
    target = tmp_path / "old.mp4"
    target.write_bytes(b"old")
    before = len(sandbox.requests)
    with pytest.raises(ReframeError, match="overwrite"):
        call("reframe", clip, target, **QUICK)
    assert len(sandbox.requests) == before
    assert target.read_bytes() == b"old"


def test_a_file_that_only_begins_like_a_video_is_never_paid_for(
    call: Call, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The server refuses the upload, and no job is submitted."""
    fake = tmp_path / "fake.mp4"
    fake.write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 5000)
    made = sandbox.jobs_made
    with pytest.raises(ReframeError) as caught:
        call("reframe", fake, tmp_path / "out.mp4", **QUICK)
    assert not isinstance(caught.value, JobFailedError)
    assert sandbox.jobs_made == made


def test_an_unknown_id_is_not_found(call: Call) -> None:
    """A job and an asset that the server does not know."""
    with pytest.raises(NotFoundError):
        call("wait", "job_unknown")
    with pytest.raises(NotFoundError):
        call("get_asset", "asset_unknown")


def test_no_credentials_reach_the_file_host(sandbox: Sandbox) -> None:
    """Uploads and downloads of this module were sent without the API's credentials."""
    assert sandbox.credentials_leaked == 0
