"""The items, outcomes and events of a batch."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from scenario_reframe.errors import ReframeError
from scenario_reframe.models import Job
from scenario_reframe.video import VideoSource

Status = Literal["done", "failed", "uncertain", "skipped"]
EventKind = Literal[
    "checked", "uploading", "submitted", "taken-up", "updated", "downloading", "limited"
]


@frozen
class BatchItem:
    """One clip in one shape.

    `video`: a path, an http(s) URL, an asset id or an Asset. `output`: a path inside the batch's
    folder; by default it is named after the video and the aspect ratio (`clip-9x16.mp4`).
    `settings`: those of `submit`, in snake_case. `extra`: settings that this version does not know,
    under the API's names.
    """

    video: VideoSource
    output: str | os.PathLike[str] | None = None
    settings: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class BatchOutcome:
    """How one item ended.

    `status` is one of:

    - `done`: the files are downloaded;
    - `failed`: `error` gives the reason; if there is a `job`, it was paid for;
    - `uncertain`: it is not known whether a job was made (SubmissionUncertainError);
    - `skipped`: this run sent and paid nothing: the budget is used up, another process works on
      this item, or the server refuses this key.

    `cost`: the job's, in creative units; None without a job, or if the server did not name it.
    `taken_up`: an earlier run had bought the job, so this one did not.
    """

    item: BatchItem
    status: Status
    job: Job | None = None
    files: tuple[Path, ...] = ()
    error: ReframeError | None = None
    cost: float | None = None
    taken_up: bool = False


@frozen(kw_only=True)
class BatchEvent:
    """Something that happened during a batch, for a display or a log.

    `kind` is one of: `checked` (all items are valid; `detail`: how many are resumed), `uploading`,
    `submitted`, `taken-up` (resumed), `updated` (a job's status or progress), `downloading`,
    `limited` (the limit of parallel jobs is reached; `detail`: how many).
    """

    kind: EventKind
    item: BatchItem | None = None
    job: Job | None = None
    detail: str = ""


EventCallback = Callable[[BatchEvent], Any]
