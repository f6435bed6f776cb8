"""The sandbox's state: in memory, with the files in one folder."""

import secrets
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import Any

from scenario_reframe.sandbox.background_work import SandboxStoppedError
from scenario_reframe.sandbox.input_echo import Echo, JobView, job_text
from scenario_reframe.sandbox.records import (
    PROJECT_ID,
    MadeJob,
    SandboxAsset,
    SandboxJob,
    SandboxUpload,
)
from scenario_reframe.sandbox.reframe_plan import ClipSource
from scenario_reframe.sandbox.sample_clip import make_sample
from scenario_reframe.sandbox.signed_urls import Signer
from scenario_reframe.sandbox.status_timeline import Timeline
from scenario_reframe_api.settings import VIDEO_FIELD


@dataclass
class Behaviour:
    """What a test may change while the sandbox runs.

    `list_lag`: seconds before a new job is listed. `parallel_jobs`: how many paid jobs of a project
    may run. `held_since`: Unix time in seconds since which paid jobs make no progress. `echo`: how
    inputs are shown. `date_offset`: seconds by which the `Date` header is ahead.
    """

    list_lag: float = 0.0
    parallel_jobs: int | None = None
    held_since: float | None = None
    echo: Echo | None = None
    date_offset: float = 0.0


class SandboxState:
    """Jobs, assets and uploads, shared by the server's thread and the workers'.

    `stopping` is set when the sandbox closes; long work checks it.
    """

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        stage_seconds: float,
        behaviour: Behaviour,
        clock: Callable[[], float],
    ) -> None:
        self.folder = folder
        self.signer = signer
        self.stage_seconds = stage_seconds
        self.behaviour = behaviour
        self._clock = clock
        self.jobs: dict[str, SandboxJob] = {}
        self.assets: dict[str, SandboxAsset] = {}
        self.uploads: dict[str, SandboxUpload] = {}
        self.jobs_made = 0
        self.stopping = Event()
        self._unfinished: list[SandboxJob] = []
        self._latest = 0.0
        self._lock = Lock()

    def new_job(
        self, kind: str, owner: str | None, given: dict[str, Any], cost: float | None = None
    ) -> SandboxJob:
        """Add a job, at the end of `jobs`; one with a cost counts as made."""
        with self._lock:
            job = SandboxJob(
                id=_new_id("job"),
                kind=kind,
                number=len(self.jobs),
                owner=owner or PROJECT_ID,
                timeline=self.timeline("queued", None if cost is None else self._job_time),
                input=given,
                cost=cost,
            )
            self.jobs[job.id] = job
            if cost is not None:
                self.jobs_made += 1
                self._unfinished.append(job)
        return job

    def newest_jobs(self, before: int) -> list[SandboxJob]:
        """The jobs with numbers below `before`, newest first."""
        with self._lock:
            newest = reversed(self.jobs.values())
            return list(islice(newest, max(len(self.jobs) - max(before, 0), 0), None))

    def job_text(self, job: SandboxJob, view: JobView) -> str:
        """The JSON text of a job in a view."""
        return job_text(job, view, self.behaviour.echo)

    def running(self, owner: str | None = None) -> int:
        """How many paid jobs, of one project or of all, are shown as unfinished."""
        with self._lock:
            self._unfinished = [job for job in self._unfinished if not job.is_done]
            return sum(owner in {None, job.owner} for job in self._unfinished)

    def made(self) -> list[MadeJob]:
        """Every paid job so far, oldest first."""
        with self._lock:
            paid = [job for job in self.jobs.values() if job.cost is not None]
        return [self._made_job(job) for job in paid]

    def _made_job(self, job: SandboxJob) -> MadeJob:
        status = job.status
        done = status == "success" and job.asset_id is not None
        asset = self.assets[job.asset_id] if done and job.asset_id else None
        source = self.assets.get(job.input.get(VIDEO_FIELD, ""))
        return MadeJob(
            id=job.id,
            input=deepcopy(job.input),
            status=status,
            project_id=job.owner,
            created=job.timeline.created,
            asset_ids=(asset.id,) if asset else (),
            digests=(asset.digest,) if asset else (),
            source_digest=source.digest if source else None,
        )

    def new_upload(self, owner: str | None, given: dict[str, Any], file_name: str) -> SandboxUpload:
        """Add an upload and its own, free job."""
        upload_id = _new_id("upload")
        upload = SandboxUpload(
            id=upload_id,
            owner=owner or PROJECT_ID,
            folder=self.folder / upload_id,
            timeline=self.timeline("pending"),
            job=self.new_job("upload", owner, {}),
            file_name=file_name,
            content_type=given.get("contentType"),
            size=given.get("fileSize"),
            parts=int(given.get("parts", 0)),
            url=given.get("url"),
            asset_options=given.get("assetOptions"),
        )
        upload.folder.mkdir()
        self.uploads[upload.id] = upload
        return upload

    def new_asset(
        self,
        path: Path,
        source: ClipSource,
        mime_type: str,
        owner: str,
        made_by: SandboxJob | None = None,
    ) -> SandboxAsset:
        """Move a file to a new asset. If its job has no seed, one is drawn."""
        asset_id = _new_id("asset")
        asset = SandboxAsset(
            id=asset_id,
            path=path.rename(self.folder / asset_id),
            source=source,
            mime_type=mime_type,
            owner=owner,
            created=self.now(),
            made_by=made_by,
            seed=made_by.input.get("seed", secrets.randbits(31)) if made_by else None,
        )
        self.assets[asset.id] = asset
        return asset

    def asset_json(self, asset: SandboxAsset) -> dict[str, Any]:
        """The asset's JSON, with a fresh URL."""
        return asset.to_json(self.signer.cdn_url(f"/assets/{asset.id}"))

    def sample(self) -> Path:
        """The path of the sandbox's own clip, made at its first use."""
        path = self.folder / "sample.mp4"
        if not path.exists():
            part = self.folder / "sample.part.mp4"
            make_sample(part, on_frame=self.check_stopping)
            part.rename(path)
        return path

    def check_stopping(self) -> None:
        """Raise SandboxStoppedError if the sandbox is closing."""
        if self.stopping.is_set():
            raise SandboxStoppedError

    def timeline(self, status: str, clock: Callable[[], float] | None = None) -> Timeline:
        """Start the timeline of a job or upload, by its own clock if it has one."""
        return Timeline(status, self.stage_seconds, clock or self.now, self.now())

    def hold_jobs(self, *, held: bool) -> None:
        """Stop the progress of all paid jobs, or let them continue."""
        if held != (self.behaviour.held_since is not None):
            self.behaviour.held_since = self.now() if held else None

    def _job_time(self) -> float:
        held_since = self.behaviour.held_since
        return self.now() if held_since is None else held_since

    def now(self) -> float:
        """Unix time in seconds. It never goes back, as jobs are ordered by time."""
        self._latest = max(self._latest, self._clock())
        return self._latest


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"
