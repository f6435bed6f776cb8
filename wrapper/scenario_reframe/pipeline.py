"""The pipeline of one clip: check, upload, submit, wait, download; and how it is resumed.

No I/O: these are flows, which a driver performs. If there is a ledger, every result is recorded.
"""

import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from attrs import define, evolve

from scenario_reframe_api.settings import VIDEO_FIELD

from . import uploading
from .api.calling import repeat, send
from .arguments import check_callback, check_flag, check_seconds, check_submission, is_id, shown
from .downloading import assets_in_order, download
from .errors import (
    ConfigurationError,
    InvalidInputError,
    InvalidVideoError,
    JobCanceledError,
    JobFailedError,
    NotFoundError,
    ReframeError,
)
from .flow.steps import Blocking, Call, Flow, ProgressCallback
from .ledger.interface import (
    Claim,
    ClipRequest,
    Entry,
    Ledger,
    SubmitConditions,
    content_of,
    source_of,
)
from .models import Asset, Estimate, Job, ReframeResult, Submission
from .polling import UpdateCallback, wait
from .recovery import uncertain_error
from .result_paths import Destination, absolute, check_destination, is_result_at
from .run_state import Options, Run
from .settings import request_body
from .submitting import Submitting
from .video import Video, VideoAsset, VideoFile, VideoSource, open_video, resolve

_LOG = logging.getLogger("scenario_reframe")
_NO_VIDEO = "video: None is not allowed; it takes a path, an http(s) URL, an asset id or an Asset"

T = TypeVar("T")


@define
class Pipeline(Submitting):
    """The flows of one client, and their steps.

    `ensure_uploaded`, `submit`, `wait`, `look_up` and `download` are hooks: a batch overrides them
    to share uploads, slots, polling, readings of the list of jobs, and downloads.
    """

    is_project_known: bool = False

    # Called by the clients.

    def upload(
        self, path: str | os.PathLike[str], on_progress: ProgressCallback | None
    ) -> Flow[Asset]:
        """Upload a file, even if the server has it already."""
        check_callback(on_progress, "on_progress")
        video = yield Blocking(partial(open_video, path))
        content = yield from self._content_id(video)
        yield from self.learn_project()
        asset = yield from uploading.upload(self.operations, video, on_progress)
        if content and self.ledger:
            yield from self.record_or_warn(partial(self.ledger.record_asset, content, asset.id))
        return asset

    def estimate(
        self,
        video: VideoSource | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[Estimate]:
        """Estimate the price, in creative units. Nothing is paid."""
        run = yield from self.begin(video, request_body(settings, extra), Options())
        yield from self.learn_project()
        return (yield from self.price(run))

    def submit_only(
        self,
        video: VideoSource | None,
        key: str | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[Job]:
        """Check everything, upload, submit once. All calls with the same key share one job."""
        run = yield from self.begin(video, request_body(settings, extra), Options())
        run.is_repeatable = checked_key(key) is not None
        any_key = key or secrets.token_hex(16)
        entry = yield from self.claim(run, any_key, is_callers=key is not None)
        if entry is not None:
            return job_of(entry)
        return (yield from self.run_and_release(run, self._current_job(run)))

    def reframe(
        self,
        video: VideoSource,
        options: Options,
        key: str | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[ReframeResult]:
        """Run the whole pipeline. With a ledger, the same request is never bought twice."""
        if video is None:
            raise InvalidVideoError(_NO_VIDEO)
        run = yield from self.begin(video, request_body(settings, extra), options)
        run.is_repeatable = self.ledger is not None
        entry = yield from self.claim(run, checked_key(key), is_callers=key is not None)
        if entry is not None:
            files = yield from self.files_of(entry, options)
            job, assets = job_of(entry), list[Asset]()
            with suppress(NotFoundError):  # the files exist, even if the assets no longer do
                assets = yield from assets_in_order(self.operations, job.asset_ids)
            return ReframeResult(job=job, assets=tuple(assets), files=tuple(files))
        return (yield from self.run_and_release(run, self.result(run)))

    def resume(self, entry: Entry, options: Options) -> Flow[ReframeResult]:
        """Claim an unfinished entry of the ledger and finish it."""
        started = self.timing.clock()
        if not isinstance(entry, Entry):
            raise InvalidInputError(f"resume takes an Entry, not {type(entry).__name__}")
        to = options.to if options.to is not None else entry.target
        options = evolve(options, to=to)
        run = Run(settings=entry.settings, options=options, started=started, content=entry.content)
        run.is_repeatable = True
        run.target = yield Blocking(partial(absolute, to))
        check = partial(check_target, to, run.target, overwrite=options.overwrite)
        yield Blocking(partial(check, entry))
        yield from self.learn_project()
        claim: Claim = yield Blocking(partial(self._ledger.reclaim, entry))
        run.continue_from(claim, partial(check, claim.entry))
        return (yield from self.run_and_release(run, self._finish_resumed(run)))

    def _finish_resumed(self, run: Run) -> Flow[ReframeResult]:
        """Finish a resumed run; its video is needed only if nothing was submitted."""
        entry = run.claim.entry if run.claim is not None else None
        if entry is not None and entry.job_id is None and not run.has_open_post:
            run.source = yield Blocking(partial(reopen_source, entry))
            if (yield from self._content_id(run.source)) != entry.content:
                raise InvalidVideoError(
                    f"video: {entry.source} has changed since; run the request again"
                )
        return (yield from self.result(run))

    def find_job(self, submission: Submission) -> Flow[Job | None]:
        """Find the job of an uncertain submission; None if it is not listed."""
        check_submission(submission)
        other = evolve(self, operations=evolve(self.operations, project_id=submission.project_id))
        found = yield from other.find(submission)
        matches = self.known.owned_by(submission.token, found.matches) or found.matches
        if len(matches) > 1:
            raise uncertain_error(submission, found, None)
        for job in matches:
            if (yield from self.record(partial(self.record_job, submission.token, job))):
                return job
        return None

    def entries(self, *, unfinished: bool) -> Flow[list[Entry]]:
        """The ledger's entries of this account, newest first."""
        check_flag(unfinished, "unfinished")
        ledger = self._ledger
        yield from self.learn_project()
        found: list[Entry] = yield Blocking(partial(ledger.entries, unfinished=unfinished))
        return found

    def wait_for(
        self, job: Job | str, timeout: float | None, on_update: UpdateCallback | None
    ) -> Flow[Job]:
        """Wait for a job, and record how it ended."""
        check_seconds(timeout)
        check_callback(on_update, "on_update")
        return (yield from self._wait_and_record(job, timeout, on_update, None))

    # Hooks.

    def ensure_uploaded(self, run: Run) -> Flow[str]:
        """The asset id of the run's video, uploaded or imported unless the server has it."""
        source, content, ledger = run.source, run.content, self.ledger
        if source is None:
            raise InvalidVideoError(_NO_VIDEO)
        if ledger is None or content is None or not isinstance(source, VideoFile):
            return (
                yield from uploading.upload_or_import(
                    self.operations, source, run.options.on_progress
                )
            )
        known: str | None = yield Blocking(partial(ledger.asset_of, content))
        if known is not None:
            _LOG.info("the server already has this video, as %s", known)
            return known
        sent: str | None = yield Blocking(partial(ledger.upload_of, content))
        asset_id = (yield from uploading.resume_upload(self.operations, sent)) if sent else None
        if asset_id is None:
            asset_id = yield from uploading.upload_or_import(
                self.operations,
                source,
                run.options.on_progress,
                lambda upload_id: self.record_or_warn(
                    partial(ledger.record_upload, content, upload_id)
                ),
            )
        yield from self.record_or_warn(partial(ledger.record_asset, content, asset_id))
        return asset_id

    def wait(
        self,
        job: Job | str,
        timeout: float | None,
        on_update: UpdateCallback | None,
        known: Job | None,
    ) -> Flow[Job]:
        """Wait for a job. `known`: the state that `on_update` has already been called with."""
        return (
            yield from wait(
                self.operations, job, timeout=timeout, on_update=on_update, reported=known
            )
        )

    def download(
        self,
        what: Job | Asset | str,
        options: Options,
        *,
        keep_whole: bool = False,
        assets: Sequence[Asset] = (),
    ) -> Flow[list[Path]]:
        """Download to `options.to`, and record the files."""
        files = yield from download(
            self.operations,
            what,
            options.to or "",
            overwrite=options.overwrite,
            on_progress=options.on_progress,
            keep_whole=keep_whole,
            assets=assets,
        )
        if self.ledger is not None and not isinstance(what, Asset):
            yield from self.record_or_warn(partial(self.ledger.record_files, id_of(what), files))
        return files

    # Steps of a run.

    def price(self, run: Run) -> Flow[Estimate]:
        """What a run's job would cost. An asset missing on the server is uploaded again."""
        body = dict(run.settings)
        for attempt in count():
            if run.source is not None:
                body[VIDEO_FIELD] = run.asset_id = yield from self.ensure_uploaded(run)
            try:
                # Sent once: a lost reply might have been that of a paid job.
                return (yield from send(self.operations.estimate(body)))
            except NotFoundError:
                if attempt or not (yield from self.forget_upload(run)):
                    raise
        raise AssertionError

    def begin(
        self, video: VideoSource | None, body: Mapping[str, Any], options: Options
    ) -> Flow[Run]:
        """Start a run with a checked body, and check its video."""
        run = Run(settings=body, options=options, started=self.timing.clock())
        if video is not None:
            run.source = yield Blocking(partial(resolve, video))
            run.content = yield from self._content_id(run.source)
        return run

    def _content_id(self, source: Video | None) -> Flow[str | None]:
        """What identifies a video in the ledger; None without one (see `content_of`)."""
        if self.ledger is None:
            return None
        stopped = Event()  # tells a thread that nobody waits for it: a file may be read for minutes
        try:
            content: str | None = yield Blocking(
                partial(content_of, source, stopped.is_set), may_be_left=True
            )
        except BaseException:
            stopped.set()
            raise
        return content

    def claim(
        self, run: Run, key: str | None = None, *, is_callers: bool = False
    ) -> Flow[Entry | None]:
        """Claim the entry of a run. Returns None, or the entry if it is finished.

        `key`: the request key; by default it is made of content, settings and target.
        """
        to, overwrite = run.options.to, run.options.overwrite
        run.target = (yield Blocking(partial(absolute, to))) if to is not None else None
        check = partial(check_target, to, run.target, overwrite=overwrite)
        if self.ledger is None:
            if is_callers:
                raise ConfigurationError("key: it needs a ledger; make the client with ledger=...")
            if to is not None:
                yield Blocking(partial(check, None))
                run.conditions = SubmitConditions(check_target=partial(check, None))
            return None
        yield from self.learn_project()
        target = run.target
        request = ClipRequest(
            key=key or json.dumps([run.content, dict(sorted(run.settings.items())), target]),
            is_callers_key=is_callers,
            content=run.content,
            source=source_of(run.source),
            settings=run.settings,
            target=target,
        )
        claim = yield Blocking(partial(self._ledger.claim, request, check, run=run.batch))
        if isinstance(claim, Entry):
            return claim
        run.continue_from(claim, partial(check, claim.entry))
        return None

    def learn_project(self) -> Flow[None]:
        """Learn the key's project by a free GET, and record it: the rows belong to it."""
        if self.ledger is None or self.is_project_known:
            return
        if not (yield Blocking(lambda: self._ledger.is_project_known)):
            with suppress(ReframeError):  # until it is known, the rows belong to this key
                page = yield from repeat(self.operations.list_jobs(size=1), self.timing)
                owners = [job.raw.get("ownerId") for job in page.jobs]
                for owner in filter(is_id, owners[:1]):
                    yield Blocking(partial(self._ledger.learn_project, owner))
                    self.is_project_known = True
        else:
            self.is_project_known = True

    def _find_or_submit(self, run: Run) -> Flow[Job]:
        """The job of a run: recorded, found on the server, or submitted now."""
        entry = run.claim.entry if run.claim is not None else None
        if entry is not None and entry.job_id is not None:
            _LOG.info("job %s, which is paid for, is resumed", entry.job_id)
            return _recorded_job(entry, "unknown")
        if run.source is not None and not run.must_repeat:
            run.asset_id = yield from self.ensure_uploaded(run)
            yield from self.learn_project()  # by now at least the upload's own job names it
        try:
            if not run.has_open_post:
                yield from self.wait_for_twin(run)
                run.check_deadline(self.timing.clock())
            return (yield from self.submit(run))
        finally:
            self.known.release_twins(run.token)

    def _current_job(self, run: Run) -> Flow[Job]:
        """The job of a run; if it was recorded before, as the server describes it now."""
        is_on_record = run.claim is not None and run.claim.entry.job_id is not None
        job = yield from self._find_or_submit(run)
        if is_on_record:
            with suppress(ReframeError):  # it is paid for: its id matters most
                job = yield from repeat(self.operations.get_job(job.id), self.timing)
        return job

    def result(self, run: Run) -> Flow[ReframeResult]:
        """Finish a run. Errors after the submit carry the job."""
        job = yield from self._find_or_submit(run)
        options = run.options
        try:
            known = None
            if options.on_update is not None and job.status != "unknown":
                yield Call(options.on_update, (job,))
                known = job
            left = run.seconds_left(self.timing.clock())
            job = yield from self._wait_and_record(job, left, options.on_update, known)
            assets = yield from assets_in_order(self.operations, job.asset_ids)
            files = yield from self._files(run, job, assets)
        except ReframeError as error:
            error.job = error.job or job
            raise
        except BaseException as stop:
            stop.job = job  # type: ignore[attr-defined]
            stop.add_note(f"Job {job.id} goes on and is paid for: wait for this id.")
            raise
        return ReframeResult(job=job, assets=tuple(assets), files=tuple(files))

    def _files(self, run: Run, job: Job, assets: Sequence[Asset]) -> Flow[list[Path]]:
        """Download the files of a job, if a target was given."""
        if run.options.to is None:
            if self.ledger is not None:
                yield from self.record_or_warn(partial(self.ledger.record_files, job.id, []))
            return []
        keep = run.claim is not None and may_have_files(run.claim.entry, run.target)
        return (yield from self.download(job, run.options, keep_whole=keep, assets=assets))

    def files_of(self, entry: Entry, options: Options) -> Flow[list[Path]]:
        """The files of a finished entry, downloaded again if they are missing.

        Raises JobFailedError if its job failed.
        """
        job = job_of(entry)
        if options.to is None:
            return []
        target: str | None = yield Blocking(partial(absolute, options.to))
        folder = Path(options.to) if (target or "").endswith(os.sep) else Path(options.to).parent
        known = [Path(file) for file in entry.files if is_result_at(Path(file), target)]
        files = [folder / file.name for file in known]  # relative if `to` is
        if (
            not options.overwrite
            and files
            and (yield Blocking(lambda: all(map(Path.exists, files))))
        ):
            return files
        keep = may_have_files(entry, target)
        return (yield from self.download(job, options, keep_whole=keep))

    def _wait_and_record(
        self,
        job: Job | str,
        timeout: float | None,
        on_update: UpdateCallback | None,
        known: Job | None,
    ) -> Flow[Job]:
        """Wait for a job, and record how it ended."""
        try:
            done = yield from self.wait(job, timeout, on_update, known)
        except (JobFailedError, JobCanceledError) as error:
            if self.ledger is not None and error.job is not None:
                yield from self.record_or_warn(partial(self.ledger.record_status, error.job))
            raise
        if self.ledger is not None:
            yield from self.record_or_warn(partial(self.ledger.record_status, done))
        return done

    def run_and_release(self, run: Run, flow: Flow[T]) -> Flow[T]:
        """Perform the rest of a run, and release its claim at the end."""
        result: T | None = None
        try:
            result = yield from flow
            if run.claim is not None:
                yield Blocking(partial(self._ledger.release, run.claim))
        except BaseException as error:
            if result is not None:  # stopped while releasing: the job must not be lost
                error.job = getattr(result, "job", result)  # type: ignore[attr-defined]
            if run.claim is not None:
                yield from self._release_after(error, run.claim)
            raise
        return result

    def _release_after(self, error: BaseException, claim: Claim) -> Flow[None]:
        """Release a claim off the event loop, which a locked ledger must not block."""
        release = partial(self._ledger.release, claim, error)
        if isinstance(error, GeneratorExit):  # no step may follow
            release()
            return
        try:
            yield Blocking(release)
        except BaseException:
            release()
            if isinstance(error, Exception):
                raise

    @property
    def _ledger(self) -> Ledger:
        if self.ledger is None:
            raise ConfigurationError("this client has no ledger: make it with ledger=...")
        return self.ledger


def check_target(
    to: Destination | None, target: str | None, entry: Entry | None, *, overwrite: bool
) -> None:
    """Check that the target is free, or may be the result of this very entry.

    Call it when the entry is claimed: before that, another process may still write that result.
    Raises InvalidInputError.
    """
    if to is not None:
        is_ours = entry is not None and may_have_files(entry, target)
        check_destination(to, overwrite=overwrite or is_ours)


def may_have_files(entry: Entry, target: str | None) -> bool:
    """Whether a file at this target may be the entry's own result."""
    is_begun = entry.state not in {"new", "claimed"} or entry.job_id is not None
    return is_begun and (
        entry.target == target or any(is_result_at(Path(f), target) for f in entry.files)
    )


def reopen_source(entry: Entry) -> Video | None:
    """The video of an entry not submitted yet. Raises InvalidVideoError if it cannot be read."""
    if entry.source is None:
        return None
    if entry.content is None or entry.content.startswith("url:"):
        raise InvalidVideoError(
            f"entry {entry.id}: its video was a URL, which is not recorded; run the request again"
        )
    if not entry.content.startswith("sha256:"):
        return VideoAsset(entry.content)
    return open_video(entry.source)


def checked_key(key: object) -> str | None:
    """A caller's request key. Raises InvalidInputError unless it is a non-empty text, or None."""
    if key is None or (isinstance(key, str) and key):
        return key
    raise InvalidInputError(f"key: {shown(key)} is not allowed; it takes a non-empty text")


def id_of(what: Job | Asset | str) -> str:
    """The id of a job or an asset; an id is returned as it is."""
    return what.id if isinstance(what, Job | Asset) else what


def job_of(entry: Entry) -> Job:
    """The job of a finished entry. Raises JobFailedError if it failed."""
    if entry.state == "failed":
        raise JobFailedError(
            f"job {entry.job_id} failed: {entry.error or 'no reason given'}",
            job=_recorded_job(entry, "failure"),
        )
    return _recorded_job(entry, "success")


def _recorded_job(entry: Entry, status: str) -> Job:
    """The job of an entry, as far as the ledger knows it."""
    return Job(
        id=entry.job_id or "",
        status=status,
        asset_ids=entry.asset_ids,
        error=entry.error,
        cost=entry.cost,
    )
