"""What goes into a batch, and what comes out of it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from scenario_reframe.errors import ReframeError
from scenario_reframe.models import Job
from scenario_reframe.video import VideoSource


@frozen
class BatchItem:
    """One clip in one shape.

    `video`: a path, an http(s) URL, an asset id or an Asset. `output`: a path inside the batch's
    folder; else it is named after the video and the aspect ratio (`clip-9x16.mp4`). `settings` are
    those of `submit`, in snake_case; `extra` holds what this version does not know, under the
    API's names.
    """

    video: VideoSource
    output: str | os.PathLike[str] | None = None
    settings: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class BatchOutcome:
    """What became of one item.

    `status` is one of:

    - `done`: the files are there;
    - `failed`: `error` says why; if there is a `job`, it was paid for;
    - `uncertain`: it is not known whether a job was made (SubmissionUncertainError);
    - `skipped`: nothing was sent or paid in this run: the budget is spent, another process is at
      this item, or the server refuses this key.

    `cost` is what the job costs in creative units, None where there is none or the server did not
    say. `taken_up`: an earlier run had bought it, so that this one did not.
    """

    item: BatchItem
    status: str
    job: Job | None = None
    files: tuple[Path, ...] = ()
    error: ReframeError | None = None
    cost: float | None = None
    taken_up: bool = False


@frozen(kw_only=True)
class BatchEvent:
    """Something that happened on the way, for a display or a log.

    `kind` is one of: `checked` (all items are in order, `detail` says how many are taken up),
    `uploading`, `submitted`, `taken-up`, `updated` (a job's status or progress), `downloading`,
    `limited` (the server runs no more jobs side by side; `detail` says how many).
    """

    kind: str
    item: BatchItem | None = None
    job: Job | None = None
    detail: str = ""


EventCallback = Callable[[BatchEvent], Any]
