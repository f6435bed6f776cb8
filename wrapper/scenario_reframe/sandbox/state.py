"""What the sandbox remembers: in memory, with the files in one folder."""

import secrets
import time
from pathlib import Path
from threading import Event, Lock
from typing import Any

from scenario_reframe.sandbox.records import PROJECT_ID, Asset, Job, Upload
from scenario_reframe.sandbox.reframing import Source
from scenario_reframe.sandbox.sample import make_sample
from scenario_reframe.sandbox.signing import Signer
from scenario_reframe.sandbox.timeline import Timeline
from scenario_reframe.sandbox.workers import StoppedError


class State:
    """Jobs, assets and uploads, shared by the server's thread and the workers'.

    `stopping` is set when the sandbox closes; long work looks at it.
    """

    def __init__(self, folder: Path, signer: Signer, stage_seconds: float) -> None:
        self.folder = folder
        self.signer = signer
        self.stage_seconds = stage_seconds
        self.jobs: dict[str, Job] = {}
        self.assets: dict[str, Asset] = {}
        self.uploads: dict[str, Upload] = {}
        self.jobs_made = 0
        self.stopping = Event()
        self._lock = Lock()

    def new_job(
        self, kind: str, owner: str | None, given: dict[str, Any], cost: float | None = None
    ) -> Job:
        """Remember a new job; one that costs something counts as made."""
        with self._lock:
            job = Job(
                id=_new_id("job"),
                kind=kind,
                number=len(self.jobs),
                owner=owner or PROJECT_ID,
                timeline=self.timeline("queued"),
                input=given,
                cost=cost,
            )
            self.jobs[job.id] = job
            self.jobs_made += cost is not None
        return job

    def new_upload(self, owner: str | None, given: dict[str, Any], file_name: str) -> Upload:
        """Remember a new upload and its own, unpaid job."""
        upload_id = _new_id("upload")
        upload = Upload(
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
        self, path: Path, source: Source, mime_type: str, owner: str, made_by: Job | None = None
    ) -> Asset:
        """Take a file in as an asset, moving it. A job without a seed is said to draw one."""
        asset_id = _new_id("asset")
        asset = Asset(
            id=asset_id,
            path=path.rename(self.folder / asset_id),
            source=source,
            mime_type=mime_type,
            owner=owner,
            created=time.time(),
            made_by=made_by,
            seed=made_by.input.get("seed", secrets.randbits(31)) if made_by else None,
        )
        self.assets[asset.id] = asset
        return asset

    def asset_record(self, asset: Asset) -> dict[str, Any]:
        """The asset's JSON with a fresh URL."""
        return asset.record(self.signer.cdn_url(f"/assets/{asset.id}"))

    def sample(self) -> Path:
        """The sandbox's own clip, made when it is first wanted."""
        path = self.folder / "sample.mp4"
        if not path.exists():
            made = self.folder / "sample.part.mp4"
            make_sample(made, on_frame=self.check_stopping)
            made.rename(path)
        return path

    def check_stopping(self) -> None:
        """Raise StoppedError when the sandbox closes."""
        if self.stopping.is_set():
            raise StoppedError

    def timeline(self, status: str) -> Timeline:
        """Begin a record's timeline."""
        return Timeline(status, self.stage_seconds, time.time)


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"
