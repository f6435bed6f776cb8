"""The engine that really reframes video."""

import logging
from functools import partial
from pathlib import Path
from typing import Final

from scenario_reframe.sandbox.background_work import SandboxStoppedError, WorkerThread
from scenario_reframe.sandbox.probing import NotAVideoError, probe
from scenario_reframe.sandbox.records import SandboxJob
from scenario_reframe.sandbox.reframe_plan import ClipSource
from scenario_reframe.sandbox.state import SandboxState
from scenario_reframe.sandbox.video_encoding import reframe
from scenario_reframe_api.settings import VIDEO_FIELD

_log = logging.getLogger(__name__)

_HINT: Final = "Upload the video again, or convert it to MP4 (H.264) first."


class VideoEngine:
    """Really reframes, one job after the other on the worker's thread."""

    def __init__(self, state: SandboxState, encodes: WorkerThread) -> None:
        self._state = state
        self._encodes = encodes

    def probe(self, path: Path) -> ClipSource:
        """Read a file's facts and decode its first frame. Raises NotAVideoError."""
        return probe(path)

    def start(self, job: SandboxJob) -> None:
        """Queue the job."""
        self._encodes.add(partial(_run_job, self._state, job))


def _run_job(state: SandboxState, job: SandboxJob) -> None:
    """Make a job's result, on the worker's thread."""
    target = state.folder / f"{job.id}.mp4"

    def on_frame(done: int, total: int) -> None:
        state.check_stopping()
        job.share_done = done / total

    try:
        job.timeline.reach("warming-up")
        video = job.input.get(VIDEO_FIELD)
        source = state.sample() if video is None else state.assets[video].path
        job.timeline.reach("in-progress")
        made = reframe(source, target, job.input, on_frame)
        job.asset_id = state.new_asset(target, made, "video/mp4", job.owner, job).id
        job.timeline.reach("finalizing")
        job.timeline.reach("success")
    except NotAVideoError as error:
        _fail(job, str(error), _HINT)
    except SandboxStoppedError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug here must not stop the jobs in the queue
        _log.exception("Job %s", job.id)
        _fail(job, f"{type(error).__name__}: {error}", "This is a bug in the sandbox.")


def _fail(job: SandboxJob, error: str, hint: str) -> None:
    job.error, job.hint = error, hint
    job.timeline.reach("failure")
