"""The pipeline of one clip, stepped by hand."""

import weakref
from pathlib import Path
from typing import Any

import pytest

from scenario_reframe import (
    Asset,
    ConfigurationError,
    DownloadError,
    InvalidInputError,
    InvalidSettingsError,
    InvalidVideoError,
    Job,
    JobFailedError,
    PermissionDeniedError,
    ReframeError,
    ReframeResult,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from scenario_reframe.flow.steps import Blocking
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.pipeline import Pipeline, id_of
from scenario_reframe.run_state import Options
from stepping import SUBMIT_PATH, Answer, File, Stepper, asset_reply, job_reply, lost, reply

POST = f"POST {SUBMIT_PATH}"
SUBMITTED = reply({"job": {"jobId": "job_1", "status": "queued"}})
DONE = job_reply("success", metadata={"assetIds": ["asset_1"]})
ASSET = asset_reply(size=4)
BYTES = File(200, {"content-length": "4"}, [b"done"])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file that begins like an MP4."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(20))
    return path


def reframed(
    stepper: Stepper, video: Any = "asset_in", *, pipeline: Pipeline | None = None, **more: Any
) -> ReframeResult:
    """Reframe, stepped by hand. `more`: settings, a key, `extra`, and the fields of Options."""
    settings = more.pop("settings", {"aspect_ratio": "9:16"})
    key, extra = more.pop("key", None), more.pop("extra", None)
    used = pipeline or Pipeline(stepper.operations())
    options = Options(**{"timeout": 600.0, **more})
    return stepper.run(used.reframe(video, options, key, extra, settings))


def with_ledger(stepper: Stepper) -> Pipeline:
    """A pipeline with a ledger in memory."""
    ledger = SqlLedger(
        None, base_url="https://api.test", project_id="proj_1", api_key="k", longest_post=0.0,
        timing=stepper.timing,
    )  # fmt: skip
    pipeline = Pipeline(stepper.operations("proj_1"), ledger)
    weakref.finalize(pipeline, ledger.close)
    return pipeline


def test_reframe_is_the_whole_pipeline(clip: Path, tmp_path: Path) -> None:
    """Upload, submit, wait, download: one job, one file."""
    uploads = {"id": "upload_1", "status": "pending"}
    plan = [{"number": 1, "url": "https://s3.test/1"}]
    stepper = Stepper(
        reply({"upload": {**uploads, "parts": plan}}),
        reply(b""),
        reply({"upload": {**uploads, "status": "imported", "entityId": "asset_in"}}),
        SUBMITTED, job_reply("in-progress"), DONE, ASSET, BYTES,
    )  # fmt: skip
    to = tmp_path / "out.mp4"
    result = reframed(stepper, clip, to=to)
    assert (result.job.id, result.job.status) == ("job_1", "success")
    assert result.files == (to,)
    assert [asset.id for asset in result.assets] == ["asset_1"]
    assert to.read_bytes() == b"done"
    (posted,) = [request for request in stepper.requests if request.path == SUBMIT_PATH]
    assert posted.body is not None
    assert set(posted.body) == {"seed", "aspectRatio", "videoUrl"}
    assert (posted.body["aspectRatio"], posted.body["videoUrl"]) == ("9:16", "asset_in")


def test_reframe_downloads_nothing_without_a_target() -> None:
    """The result still names the assets."""
    stepper = Stepper(SUBMITTED, DONE, ASSET)
    result = reframed(stepper)
    assert result.files == ()
    assert [asset.id for asset in result.assets] == ["asset_1"]
    assert stepper.pulls == []


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"settings": {"aspect_ratio": "16/9"}}, InvalidSettingsError),
        ({"extra": {"dryRun": True}}, InvalidSettingsError),
        ({"video": None}, InvalidVideoError),
        ({"video": "nowhere.mp4"}, InvalidVideoError),
        ({"video": 5}, InvalidVideoError),
        ({"timeout": -1}, InvalidInputError),
        ({"timeout": True}, InvalidInputError),
        ({"key": "order-1"}, ConfigurationError),
        ({"to": ""}, InvalidInputError),
        ({"to": __file__}, InvalidInputError),
    ],
    ids=repr,
)
def test_reframe_checks_everything_before_it_sends_anything(
    arguments: dict[str, Any], kind: type[ReframeError]
) -> None:
    """Settings, video, timeout, target, and a key for which there is no ledger."""
    stepper = Stepper()
    with pytest.raises(kind):
        reframed(stepper, **arguments)
    assert stepper.requests == []


def test_reframe_counts_its_timeout_from_the_call() -> None:
    """The time that the submit took is not left for the wait."""
    stepper = Stepper(script=lambda _: SUBMITTED if stepper.now == 1100 else job_reply(), took=100)
    with pytest.raises(WaitTimeoutError) as caught:
        reframed(stepper, timeout=150.0)
    assert caught.value.job is not None
    assert caught.value.job.id == "job_1"
    assert stepper.now <= 1000 + 150 + 100


def test_reframe_submits_nothing_once_its_time_is_over() -> None:
    """An upload that used all the time ends the call before anything is paid for."""
    done = reply({"upload": {"id": "upload_1", "status": "imported", "entityId": "asset_in"}})
    stepper = Stepper(done, took=100)
    with pytest.raises(WaitTimeoutError, match="nothing was submitted") as caught:
        reframed(stepper, "https://web.test/a.mp4", timeout=50.0)
    assert POST not in stepper.sent
    assert caught.value.job is None


def test_reframe_waits_for_ever_without_a_timeout() -> None:
    """None is passed on to the wait."""
    stepper = Stepper(SUBMITTED, *[job_reply()] * 1500, DONE, ASSET)
    assert reframed(stepper, timeout=None).job.is_success
    assert stepper.now > 1000 + 3600


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([job_reply("failure")], JobFailedError),
        ([reply({}, 403)], PermissionDeniedError),
        ([DONE, reply({}, 403)], PermissionDeniedError),
        ([DONE, *[reply({})] * 4], UnexpectedResponseError),
        ([DONE, ASSET, File(400)], DownloadError),
        ([DONE, ASSET, File(403), *[reply({})] * 4], DownloadError),
        ([job_reply("success")], DownloadError),
    ],
)
def test_reframe_s_errors_after_the_submit_carry_the_job(
    tmp_path: Path, answers: list[Answer], kind: type[ReframeError]
) -> None:
    """Whatever fails, the paid job is on the error."""
    with pytest.raises(kind) as caught:
        reframed(Stepper(SUBMITTED, *answers), to=tmp_path / "out.mp4")
    assert caught.value.job is not None
    assert caught.value.job.id == "job_1"


def test_reframe_that_is_interrupted_names_the_job() -> None:
    """Ctrl-C during the wait leaves a note with the id."""
    with pytest.raises(KeyboardInterrupt) as caught:
        reframed(Stepper(SUBMITTED, KeyboardInterrupt()))
    assert "job_1" in "".join(caught.value.__notes__)


def test_reframe_names_the_job_when_a_callback_fails() -> None:
    """The callback's own error gets the note too."""
    with pytest.raises(ZeroDivisionError) as caught:
        reframed(Stepper(SUBMITTED, job_reply()), on_update=lambda _: 1 // 0)
    assert "job_1" in "".join(caught.value.__notes__)


def test_submit_sends_no_video_if_none_is_given() -> None:
    """The vendor's own example has none, so the server decides."""
    stepper = Stepper(SUBMITTED)
    flow = Pipeline(stepper.operations()).submit_only(None, None, {"newKey": 1}, {})
    assert stepper.run(flow).id == "job_1"
    (request,) = stepper.requests
    assert request.body is not None
    assert {key: value for key, value in request.body.items() if key != "seed"} == {"newKey": 1}


@pytest.mark.parametrize("video", ["asset_in", Asset(id="asset_in", url="https://cdn.test")])
def test_submit_accepts_an_asset_or_its_id(video: Any) -> None:
    """Nothing is uploaded."""
    stepper = Stepper(SUBMITTED)
    stepper.run(Pipeline(stepper.operations()).submit_only(video, None, None, {}))
    (request,) = stepper.requests
    assert request.body is not None
    assert request.body["videoUrl"] == "asset_in"


def test_estimate_draws_no_seed_and_is_sent_once() -> None:
    """A dry run whose reply is lost may have started a paid job: it is not repeated."""
    stepper = Stepper(lost())
    with pytest.raises(ReframeError):
        stepper.run(Pipeline(stepper.operations()).estimate(None, None, {"num_frames": 100}))
    (request,) = stepper.requests
    assert request.body == {"numFrames": 100}
    assert request.params == {"dryRun": "true"}


def test_dry_run_that_was_paid_for_is_not_lost() -> None:
    """Its reply names a job, and the error carries it."""
    stepper = Stepper(SUBMITTED)
    with pytest.raises(UnexpectedResponseError) as caught:
        stepper.run(Pipeline(stepper.operations()).estimate(None, None, {}))
    assert caught.value.job is not None
    assert caught.value.job.id == "job_1"


def test_pipeline_without_a_ledger_has_no_steps_for_one(tmp_path: Path) -> None:
    """The disk is used for the video, the target and the files only."""
    stepper = Stepper(SUBMITTED, DONE, ASSET)
    reframed(stepper)
    assert len([step for step in stepper.steps if isinstance(step, Blocking)]) == 1
    stepper = Stepper(SUBMITTED)
    stepper.run(Pipeline(stepper.operations()).submit_only(None, None, None, {}))
    assert [step for step in stepper.steps if isinstance(step, Blocking)] == []


@pytest.mark.parametrize("key", [None, "order-1"])
def test_finished_request_is_not_bought_again(tmp_path: Path, key: str | None) -> None:
    """Its result is returned, and downloaded again if the file is missing."""
    stepper = Stepper(SUBMITTED, DONE, ASSET, BYTES, ASSET)
    pipeline, to = with_ledger(stepper), tmp_path / "out.mp4"
    first = reframed(stepper, to=to, key=key, pipeline=pipeline)
    again = reframed(stepper, to=to, key=key, pipeline=pipeline)
    assert (again.job.id, again.files) == (first.job.id, first.files)
    to.unlink()
    stepper.left.extend([DONE, ASSET, BYTES, ASSET])
    assert reframed(stepper, to=to, key=key, pipeline=pipeline).files == (to,)
    assert to.read_bytes() == b"done"
    assert stepper.sent.count(POST) == 1


def test_request_without_a_target_is_not_bought_again() -> None:
    """No file shows that it is done, but the ledger does."""
    stepper = Stepper(SUBMITTED, DONE, ASSET, ASSET)
    pipeline = with_ledger(stepper)
    assert {reframed(stepper, pipeline=pipeline).job.id for _ in range(2)} == {"job_1"}
    assert stepper.sent.count(POST) == 1


def test_unfinished_request_is_finished_by_the_same_call() -> None:
    """A wait that timed out is continued, and nothing is bought."""
    stepper = Stepper(SUBMITTED, job_reply(), DONE, ASSET)
    pipeline = with_ledger(stepper)
    with pytest.raises(WaitTimeoutError):
        reframed(stepper, pipeline=pipeline, timeout=0.0)
    assert reframed(stepper, pipeline=pipeline).job.is_success
    assert stepper.sent.count(POST) == 1


def test_key_stands_for_one_video_and_settings() -> None:
    """With others it is an error, not a second purchase; the target is free."""
    stepper = Stepper(SUBMITTED, DONE, ASSET)
    pipeline = with_ledger(stepper)
    reframed(stepper, pipeline=pipeline, key="order-1")
    for more in ({"video": "asset_other"}, {"settings": {"aspect_ratio": "1:1"}}):
        with pytest.raises(InvalidInputError, match="key"):
            reframed(stepper, pipeline=pipeline, key="order-1", **more)
    assert stepper.sent.count(POST) == 1


@pytest.mark.parametrize(("key", "posts"), [(None, 2), ("order-1", 1)])
def test_request_whose_job_failed_is_bought_again_unless_it_has_a_key(
    key: str | None, posts: int
) -> None:
    """A caller's key raises its error again."""
    again = reply({"job": {"jobId": "job_2", "status": "queued"}})
    failed = job_reply("failure"), job_reply("failure", "job_2")
    stepper = Stepper(SUBMITTED, failed[0], again, failed[1])
    pipeline = with_ledger(stepper)
    for _ in range(2):
        with pytest.raises(JobFailedError):
            reframed(stepper, pipeline=pipeline, key=key)
    assert stepper.sent.count(POST) == posts


def test_id_of_accepts_models_and_ids() -> None:
    """A job, an asset, or the id itself."""
    assert id_of(Job(id="job_1", status="queued")) == "job_1"
    assert id_of(Asset(id="asset_1", url="u")) == "asset_1"
    assert id_of("job_1") == "job_1"
