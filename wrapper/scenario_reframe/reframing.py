"""The whole road: check, upload, submit, wait, download, all of it put on record. No I/O."""

import json
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, evolve, field

from scenario_reframe_api.settings import VIDEO_FIELD

from .downloading import Destination, check_destination, download
from .errors import (
    InvalidVideoError,
    JobCanceledError,
    JobFailedError,
    NotFoundError,
    ReframeError,
    UnexpectedResponseError,
)
from .finishing import Rest, source_again
from .flow import Do, Flow, ProgressCallback, send
from .models import Asset, Estimate, Job, ReframeResult, Submission
from .operations import Operations
from .polling import UpdateCallback, checked_timeout, wait
from .recording import Entry, NoRecords, Record, Records, Wanted, content_of, source_of
from .settings import request_body
from .submitting import (
    Claims,
    Found,
    find,
    keep,
    look,
    seconds_since,
    submit,
    uncertain,
    with_seed,
)
from .timing import Timing
from .uploading import bring, take_up, upload
from .video import Video, VideoFile, VideoSource, open_video, resolve

_LOG = logging.getLogger("scenario_reframe")

T = TypeVar("T")


@define
class Road:
    """What the flows of one client share.

    `patience`: seconds for which a POST may go on after it began. `looks`: seconds before each
    look for a job whose answer was lost, None for the usual.
    """

    operations: Operations
    records: Records = field(factory=NoRecords)
    patience: float = 180.0
    looks: Sequence[float] | None = None
    claims: Claims = field()

    @claims.default
    def _claims_on_record(self) -> Claims:
        return Claims(on_record=self.records.claimed if self.records.keeps else None)

    @property
    def timing(self) -> Timing:
        """How its flows wait."""
        return self.operations.timing

    def upload(
        self, path: str | os.PathLike[str], on_progress: ProgressCallback | None
    ) -> Flow[Asset]:
        """Upload a file, whether or not the server has it already."""
        video = yield Do(partial(open_video, path))
        content = yield from self._content(video)
        asset = yield from upload(self.operations, video, on_progress)
        yield from self.note(lambda: self.records.uploaded(content or "", asset.id))
        return asset

    def estimate(
        self,
        video: VideoSource | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[Estimate]:
        """Ask for the price. Sent once: an answer that was lost might have been a paid job's."""
        body = request_body(settings, extra)
        if video is not None:
            source = yield Do(partial(resolve, video))
            content = yield from self._content(source)
            body[VIDEO_FIELD] = yield from self._bring(source, content, None)
        return (yield from send(self.operations.estimate(body)))

    def submit(
        self,
        video: VideoSource | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[Job]:
        """Check everything, bring the video, submit once."""
        body = request_body(settings, extra)
        source = (yield Do(partial(resolve, video))) if video is not None else None
        wanted = yield from self._wanted(secrets.token_hex(16), body, source, None)
        record = yield Do(partial(self.records.take, wanted))
        return (yield from self._held(record, self.bring_and_pay(record, body, source, None, None)))

    def wait(
        self,
        job: Job | str,
        timeout: float | None,
        on_update: UpdateCallback | None,
        told: Job | None = None,
    ) -> Flow[Job]:
        """Wait, and put what became of the job on record."""
        checked_timeout(timeout)
        try:
            done = yield from wait(
                self.operations, job, timeout=timeout, on_update=on_update, told=told
            )
        except (JobFailedError, JobCanceledError) as error:
            failed = error.job
            if failed is not None:
                yield from self.note(partial(self.records.seen, failed))
            raise
        yield from self.note(partial(self.records.seen, done))
        return done

    def download(
        self,
        what: Job | Asset | str,
        to: Destination,
        *,
        overwrite: bool,
        on_progress: ProgressCallback | None,
        keep_whole: bool = False,
        assets: Sequence[Asset] = (),
    ) -> Flow[list[Path]]:
        """Download, and put the files on record."""
        files = yield from download(
            self.operations,
            what,
            to,
            overwrite=overwrite,
            on_progress=on_progress,
            keep_whole=keep_whole,
            assets=assets,
        )
        if not isinstance(what, Asset):
            yield from self.note(partial(self.records.saved, id_of(what), files))
        return files

    def reframe(
        self,
        video: VideoSource,
        to: Destination | None,
        *,
        overwrite: bool,
        timeout: float | None,
        on_update: UpdateCallback | None,
        on_progress: ProgressCallback | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[ReframeResult]:
        """All of it. With a ledger, an unfinished run of the same wish is taken up."""
        started = self.timing.clock()
        checked_timeout(timeout)
        body = request_body(settings, extra)
        if video is None:
            raise InvalidVideoError("video: a path, an http(s) URL, an asset id or an Asset")
        source = yield Do(partial(resolve, video))
        wanted = yield from self._wanted("", body, source, to)
        check = partial(check_target, to, overwrite=overwrite)
        record = yield Do(partial(self.records.take, wanted, check))
        rest = Rest(self, started, timeout, to, overwrite, on_update, on_progress)
        return (yield from self._held(record, rest.of(record, body, source, None)))

    def resume(
        self,
        entry: Entry,
        to: Destination | None,
        *,
        overwrite: bool,
        timeout: float | None,
        on_update: UpdateCallback | None,
        on_progress: ProgressCallback | None,
        resubmit_after: float | None,
    ) -> Flow[ReframeResult]:
        """Take up an unfinished entry of the ledger: find, poll, download."""
        started = self.timing.clock()
        checked_timeout(timeout)
        checked_timeout(resubmit_after, "resubmit_after")
        target = to if to is not None else entry.output
        if target is not None:
            is_ours = overwrite or entry.job_id is not None
            yield Do(partial(check_destination, target, overwrite=is_ours))
        source = None
        if entry.job_id is None and entry.body is None:
            source = yield Do(partial(source_again, entry))
        record = yield Do(partial(self.records.take_up, entry))
        rest = Rest(self, started, timeout, target, overwrite, on_update, on_progress)
        return (
            yield from self._held(record, rest.of(record, entry.settings, source, resubmit_after))
        )

    def find(self, submission: Submission) -> Flow[Job | None]:
        """Look once for the job of an uncertain submission; None if it is not listed."""
        operations = evolve(self.operations, project_id=submission.project_id)
        job = yield from find(operations, submission, self.claims)
        if job is not None:
            yield from self.note(partial(self.records.found, submission, job))
        return job

    def lost(
        self,
        record: Record,
        submission: Submission,
        settled_for: Callable[[], float],
        resubmit_after: float | None,
    ) -> Flow[Job | None]:
        """The job of a submit whose answer was lost; None if it may go out again.

        `settled_for`: seconds since its POST can last have been accepted.
        """
        found = yield from self._look(submission)
        if len(found.matches) == 1:
            _LOG.info("job %s found by its seed", found.matches[0].id)
            yield Do(partial(keep, record, found.matches[0]))
            return found.matches[0]
        if resubmit_after is not None and not found.candidates and settled_for() >= resubmit_after:
            _LOG.info("no job of seed %s is listed; submitting it again", submission.seed)
            return None
        yield Do(record.uncertain)
        fault = UnexpectedResponseError("its POST was cut off, or got no clear answer")
        raise uncertain(submission, found, fault)

    def listed(self, record: Record, submission: Submission) -> Flow[Job | None]:
        """The job of a submit that was refused for now, should it have been made all the same."""
        found = yield from self._look(submission)
        if len(found.matches) > 1:
            fault = UnexpectedResponseError("several jobs have its seed and its input")
            raise uncertain(submission, found, fault)
        for job in found.matches:
            yield Do(partial(keep, record, job))
            return job
        return None

    def _look(self, submission: Submission) -> Flow[Found]:
        since = seconds_since(submission)
        return (yield from look(self.operations, submission, since, self.claims))

    def bring_and_pay(
        self,
        record: Record,
        body: Mapping[str, Any],
        source: Video | None,
        before: Callable[[], None] | None,
        on_progress: ProgressCallback | None,
    ) -> Flow[Job]:
        """Upload or import the video if need be, and submit. `before`: called last."""
        filled = with_seed(body)
        entry = record.entry
        content = entry.content if entry is not None and isinstance(source, VideoFile) else None
        if source is not None:
            filled[VIDEO_FIELD] = yield from self._bring(source, content, on_progress)
        if before is not None:
            before()
        return (yield from self._pay(record, filled, content))

    def _pay(
        self,
        record: Record,
        body: Mapping[str, Any],
        content: str | None,
        slots: int | None = None,
    ) -> Flow[Job]:
        """The one POST. An upload that the server has no more is forgotten."""
        try:
            return (
                yield from submit(
                    self.operations,
                    body,
                    self.claims,
                    record,
                    slots=slots,
                    looks=self.looks,
                )
            )
        except NotFoundError:
            if content is not None:
                yield from self.note(partial(self.records.forget_upload, content))
            raise

    def _bring(
        self, source: Video, content: str | None, on_progress: ProgressCallback | None
    ) -> Flow[str]:
        known: str | None = (yield Do(partial(self.records.asset_of, content))) if content else None
        if known is not None:
            _LOG.info("the server has this video already, as %s", known)
            return known
        if not content:
            return (yield from bring(self.operations, source, on_progress))
        sent: str | None = yield Do(partial(self.records.upload_of, content))
        asset_id = (yield from take_up(self.operations, sent)) if sent else None
        if asset_id is None:

            def on_sent(upload_id: str) -> Flow[None]:
                yield from self.note(partial(self.records.sent, content, upload_id))

            asset_id = yield from bring(self.operations, source, on_progress, on_sent)
        yield from self.note(partial(self.records.uploaded, content, asset_id))
        return asset_id

    def _content(self, source: Video | None) -> Flow[str | None]:
        """What identifies a file's bytes, if anybody keeps it."""
        if not (self.records.keeps and isinstance(source, VideoFile)):
            return None
        content: str | None = yield Do(partial(content_of, source), may_be_left=True)
        return content

    def _wanted(
        self, key: str, body: Mapping[str, Any], source: Video | None, to: Destination | None
    ) -> Flow[Wanted]:
        content = (
            (yield Do(partial(content_of, source), may_be_left=True))
            if self.records.keeps
            else None
        )
        output = (
            str(Path(to).absolute()) + (os.sep if str(to).endswith(os.sep) else "") if to else None
        )
        return Wanted(
            key=key or json.dumps([content, dict(sorted(body.items())), output]),
            content=content,
            source=source_of(source),
            settings=body,
            output=output,
        )

    def _held(self, record: Record, flow: Flow[T]) -> Flow[T]:
        try:
            result = yield from flow
            yield Do(record.released)
        except BaseException as error:
            record.given_up(error)
            record.released()
            raise
        return result

    def note(self, write: Callable[[], None]) -> Flow[None]:
        """Put a fact on record; what is paid for is not given up because that fails."""
        if not self.records.keeps:
            return
        try:
            yield Do(write)
        except ReframeError as fault:
            _LOG.warning("the ledger could not be written: %s", fault)


def check_target(to: Destination | None, entry: Entry | None, *, overwrite: bool) -> None:
    """Check the target, which may be the result of a run that was cut off at its very end.

    To be called when the entry is claimed: earlier, another process may yet finish the same.
    Raises InvalidInputError.
    """
    if to is not None:
        is_paid = entry is not None and entry.job_id is not None
        check_destination(to, overwrite=overwrite or is_paid)


def id_of(record: Job | Asset | str) -> str:
    """The id of a job or an asset, which may be given as such."""
    return record.id if isinstance(record, Job | Asset) else record
