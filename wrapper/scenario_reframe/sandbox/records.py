"""The sandbox's jobs, assets and uploads, and their JSON as the vendor would show it.

The JSON has every field that the official SDK (2.4.0) requires in strict mode.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from scenario_reframe.sandbox.reframe_plan import ClipSource, with_defaults
from scenario_reframe.sandbox.status_timeline import Timeline, iso
from scenario_reframe_api.settings import MODEL_ID

AUTHOR_ID: Final = "apiu_sandbox"
PROJECT_ID: Final = "proj_sandbox"
_FINAL: Final = frozenset({"success", "failure"})


@dataclass(frozen=True)
class MadeJob:
    """A paid job as the server knows it, for tests that check what a client made of it.

    `input` is the request's body as it was sent, `created` a Unix time in seconds. `digests` are
    the SHA-256, in hex, of the results' bytes, in the order of `asset_ids`, and empty before
    success. `source_digest` is that of the requested video, if any.
    """

    id: str
    input: dict[str, Any]
    status: str
    project_id: str
    created: float
    asset_ids: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    source_digest: str | None = None


@dataclass
class SandboxJob:
    """A job. `number` counts jobs in order of creation; `cost` is None for a free one."""

    id: str
    kind: str
    number: int
    owner: str
    timeline: Timeline
    input: dict[str, Any] = field(default_factory=dict)
    cost: float | None = None
    share_done: float = 0.0
    asset_id: str | None = None
    error: str | None = None
    hint: str | None = None
    _final_text: str | None = field(default=None, init=False, repr=False)

    @property
    def status(self) -> str:
        """The status that is shown now."""
        return self.timeline.shown()[-1][0]

    @property
    def updated(self) -> float:
        """Unix time of the status that is shown now, in seconds."""
        return self.timeline.shown()[-1][1]

    @property
    def is_done(self) -> bool:
        """Whether the status that is shown now is final."""
        return self.status in _FINAL

    def text(self) -> str:
        """The job's JSON text. That of a finished job never changes and is stored."""
        if self._final_text is not None:
            return self._final_text
        done = self.is_done  # read first: the text may show a later status, never an earlier one
        text = json.dumps(self.to_json())
        if done:
            self._final_text = text
        return text

    def to_json(self) -> dict[str, Any]:
        """The job as `GET /jobs/{jobId}` shows it."""
        shown = self.timeline.shown()
        status, updated = shown[-1]
        result = {
            "jobId": self.id,
            "jobType": self.kind,
            "status": status,
            "progress": self._progress(status),
            "createdAt": iso(self.timeline.created),
            "updatedAt": iso(updated),
            "authorId": AUTHOR_ID,
            "ownerId": self.owner,
            "statusHistory": [{"status": name, "date": iso(date)} for name, date in shown],
            "metadata": {"input": self.input} | self._outcome(status),
        }
        if self.cost is not None:
            result["billing"] = {"cuCost": self.cost, "cuDiscount": 0}
        return result

    def _progress(self, status: str) -> float:
        if status == "success":
            return 1
        return round(self.share_done, 3) if status in {"in-progress", "finalizing"} else 0

    def _outcome(self, status: str) -> dict[str, Any]:
        if status == "failure":
            reasons = {"error": self.error, "hint": self.hint}
            known = {name: text for name, text in reasons.items() if text is not None}
            return {"assetIds": []} | known
        if status != "success":
            return {"assetIds": []}
        if self.kind == "upload":
            return {"assetIds": [self.asset_id], "output": {"entityId": self.asset_id}}
        return {"assetIds": [self.asset_id]}


@dataclass
class SandboxAsset:
    """A video file. `made_by` is the job that made it, None for an upload."""

    id: str
    path: Path
    source: ClipSource
    mime_type: str
    owner: str
    created: float
    made_by: SandboxJob | None = None
    seed: int | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hex."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def to_json(self, url: str) -> dict[str, Any]:
        """The asset as `GET /assets/{assetId}` shows it, with a signed URL."""
        origin = "video2video" if self.made_by else "uploaded-video"
        return {
            "id": self.id,
            "url": url,
            "kind": "video",
            "mimeType": self.mime_type,
            "status": "success",
            "source": origin,
            "privacy": "private",
            "ownerId": self.owner,
            "authorId": AUTHOR_ID,
            "createdAt": iso(self.created),
            "updatedAt": iso(self.created),
            "tags": [],
            "collectionIds": [],
            "editCapabilities": [],
            "metadata": {"kind": "video", "type": origin} | self._lineage(),
            "properties": self._properties(),
            "outputIndex": 0,
        }

    def _lineage(self) -> dict[str, Any]:
        if self.made_by is None:
            return {}
        given, settings = self.made_by.input, with_defaults(self.made_by.input)
        known = {
            "parentId": given.get("videoUrl"),
            "prompt": settings["prompt"],
            "negativePrompt": settings["negativePrompt"],
            "numInferenceSteps": settings["numInferenceSteps"],
            "guidance": settings["guidanceScale"],
            "aspectRatio": settings["aspectRatio"],
            "seed": str(self.seed),
        }
        lineage = {name: value for name, value in known.items() if value is not None}
        return lineage | {"modelId": MODEL_ID, "parentJobId": self.made_by.id}

    def _properties(self) -> dict[str, Any]:
        source = self.source
        return {
            "size": self.path.stat().st_size,
            "width": source.width,
            "height": source.height,
            "nbFrames": source.frames,
            "frameRate": round(float(source.rate), 3),
            "duration": round(source.duration, 3),
            "codecName": source.codec,
            "bitrate": source.bit_rate,
        }


@dataclass
class SandboxUpload:
    """An upload in parts, or an import from a URL.

    `size` is what the client announced, in bytes; `is_open` is true while parts are accepted.
    """

    id: str
    owner: str
    folder: Path
    timeline: Timeline
    job: SandboxJob
    file_name: str
    content_type: str | None = None
    size: int | None = None
    parts: int = 0
    url: str | None = None
    asset_options: dict[str, Any] | None = None
    is_open: bool = True
    asset_id: str | None = None
    error: str | None = None

    def part(self, number: int) -> Path:
        """The path of a part."""
        return self.folder / f"{number}.part"

    def missing(self) -> list[int]:
        """Numbers of the parts that have not arrived."""
        return [n for n in range(1, self.parts + 1) if not self.part(n).exists()]

    def to_json(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        """The upload as `GET /uploads/{uploadId}` shows it, with its parts' signed URLs."""
        status, updated = self.timeline.shown()[-1]
        optional = {
            "originalFileName": self.file_name,
            "contentType": self.content_type,
            "fileSize": self.size,
            "partsCount": self.parts or None,
            "parts": parts if status == "pending" and parts else None,
            "url": self.url,
            "assetOptions": self.asset_options,
            "entityId": self.asset_id if status == "imported" else None,
            "errorMessage": self.error if status == "failed" else None,
        }
        return {
            "id": self.id,
            "kind": "video",
            "source": "multipart" if self.url is None else "url",
            "status": status,
            "fileName": self.file_name,
            "jobId": self.job.id,
            "authorId": AUTHOR_ID,
            "ownerId": self.owner,
            "createdAt": iso(self.timeline.created),
            "updatedAt": iso(updated),
        } | {name: value for name, value in optional.items() if value is not None}
