"""Finish one wish, from wherever it stands: find its job or submit, wait, download. No I/O."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define

from .downloading import Destination, in_order
from .errors import InvalidVideoError, ReframeError, WaitTimeoutError
from .flow import Flow, ProgressCallback, Tell
from .models import Asset, Job, ReframeResult, Submission
from .polling import UpdateCallback
from .recording import Entry, Record, content_of
from .video import Video, VideoAsset, open_video

if TYPE_CHECKING:
    from .reframing import Road

_LOG = logging.getLogger("scenario_reframe")

_CLOCK_SLACK, _RECENT = timedelta(minutes=1), timedelta(minutes=10)


@define
class Rest:
    """What is left to do of one wish, from wherever it stands."""

    road: "Road"
    started: float
    timeout: float | None
    to: Destination | None
    overwrite: bool
    on_update: UpdateCallback | None
    on_progress: ProgressCallback | None

    def of(
        self,
        record: Record,
        body: Mapping[str, Any],
        source: Video | None,
        resubmit_after: float | None,
    ) -> Flow[ReframeResult]:
        """Find or submit the job, wait for it, download. Errors after the submit carry the job."""
        job = yield from self._known(record, resubmit_after)
        if job is None:
            posted = record.entry.body if record.entry else None
            job = yield from self.road.bring_and_pay(
                record, posted or body, None if posted else source, self._in_time, self.on_progress
            )
        try:
            told = None
            if self.on_update is not None and job.status != "unknown":
                yield Tell(self.on_update, (job,))
                told = job
            job = yield from self.road.wait(job, self._left(), self.on_update, told)
            assets = yield from in_order(self.road.operations, job.asset_ids)
            is_taken_up = record.entry is not None and record.entry.job_id is not None
            files = yield from self._files(job, assets, keep_whole=is_taken_up)
        except ReframeError as error:
            error.job = error.job or job
            raise
        except BaseException as stop:
            stop.add_note(f"Job {job.id} goes on, and is paid for: wait for this id to take it up.")
            raise
        return ReframeResult(job=job, assets=tuple(assets), files=tuple(files))

    def _files(self, job: Job, assets: Sequence[Asset], *, keep_whole: bool) -> Flow[list[Path]]:
        if self.to is None:
            yield from self.road.note(partial(self.road.records.saved, job.id, []))
            return []
        return (
            yield from self.road.download(
                job,
                self.to,
                overwrite=self.overwrite,
                on_progress=self.on_progress,
                keep_whole=keep_whole,
                assets=assets,
            )
        )

    def _known(self, record: Record, resubmit_after: float | None) -> Flow[Job | None]:
        entry = record.entry
        if entry is None or (entry.state == "leased" and entry.body is None):
            return None
        if entry.state == "leased":
            return (yield from self.road.listed(record, submission_of(entry)))
        if entry.job_id is not None:
            _LOG.info("job %s, which is paid for, is taken up", entry.job_id)
            return Job(
                id=entry.job_id, status="unknown", cost=entry.cost, created_at=recently(entry)
            )
        settled_for = partial(seconds_settled, entry)
        return (
            yield from self.road.lost(record, submission_of(entry), settled_for, resubmit_after)
        )

    def _left(self) -> float | None:
        if self.timeout is None:
            return None
        return max(self.timeout - (self.road.timing.clock() - self.started), 0.0)

    def _in_time(self) -> None:
        if self._left() == 0.0 and self.timeout:
            raise WaitTimeoutError(
                f"the upload took more than {self.timeout:g} s; nothing was submitted"
            )


def submission_of(entry: Entry) -> Submission:
    """What an entry says of its POST."""
    body = dict(entry.body or {})
    started = entry.posted_at if entry.posted_at is not None else entry.created_at
    return Submission(
        seed=body.get("seed", entry.seed or 0),
        body=body,
        started_at=datetime.fromtimestamp(started, UTC),
        project_id=entry.project_id,
    )


def recently(entry: Entry) -> datetime | None:
    """When its job was made, by this machine's clock, if it is new enough to be found in a list."""
    now = datetime.now(UTC)
    posted = datetime.fromtimestamp(entry.posted_at or 0.0, UTC)
    return posted - _CLOCK_SLACK if now - posted < _RECENT else None


def seconds_settled(entry: Entry) -> float:
    """How long ago the POST of an entry can last have been accepted."""
    return datetime.now(UTC).timestamp() - (entry.settled_at or entry.updated_at)


def source_again(entry: Entry) -> Video | None:
    """The video of an entry that was not submitted yet, if it still is what it was."""
    if entry.source is None:
        return None
    if entry.content is None or entry.content.startswith("url:"):
        raise InvalidVideoError(f"entry {entry.id} was of a URL, which is not kept: run it again")
    if not entry.content.startswith("sha256:"):
        return VideoAsset(entry.content)
    video = open_video(entry.source)
    if content_of(video) != entry.content:
        raise InvalidVideoError(f"video: {entry.source} is not what it was: run it again")
    return video
