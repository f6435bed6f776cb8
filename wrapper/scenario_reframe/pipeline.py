"""One clip, from its check to its files: upload, submit, wait, download; and its resumption.

No I/O: flows, which a driver performs. What is done is put on record where there is a ledger.
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
from typing import Any, TypeVar

from attrs import define, evolve

from scenario_reframe_api.settings import VIDEO_FIELD

from . import uploading
from .api.calling import repeat, send
from .arguments import check_seconds
from .downloading import download, in_order
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
    Terms,
    content_of,
    source_of,
)
from .models import Asset, Estimate, Job, ReframeResult, Submission
from .polling import UpdateCallback, wait
from .recovery import uncertain
from .result_paths import Destination, absolute, check_destination, is_result_at
from .run import Options, Run
from .settings import request_body
from .submitting import Submitting
from .video import Video, VideoAsset, VideoFile, VideoSource, open_video, resolve

_LOG = logging.getLogger("scenario_reframe")

T = TypeVar("T")


@define
class Pipeline(Submitting):
    """The flows of one client, and their steps.

    `ensure_uploaded`, `submit`, `wait`, `look_up` and `download` are hooks: a batch replaces them
    to share uploads, slots, watching, readings of the list, and transfers.
    """

    is_project_known: bool = False

    # What the clients call.

    def upload(
        self, path: str | os.PathLike[str], on_progress: ProgressCallback | None
    ) -> Flow[Asset]:
        """Upload a file, whether or not the server has it already."""
        video = yield Blocking(partial(open_video, path))
        content = yield from self._content(video)
        yield from self.learn_project()
        asset = yield from uploading.upload(self.operations, video, on_progress)
        if content and self.ledger:
            yield from self.note(partial(self.ledger.uploaded, content, asset.id))
        return asset

    def estimate(
        self,
        video: VideoSource | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[Estimate]:
        """Ask for the price."""
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
        """Check everything, upload, submit once. With a key, at most one job for all calls."""
        run = yield from self.begin(video, request_body(settings, extra), Options())
        run.is_repeatable = checked_key(key) is not None
        any_key = key or secrets.token_hex(16)
        entry = yield from self.claim(run, any_key, is_callers=key is not None)
        if entry is not None:
            return job_of(entry)
        return (yield from self.held(run, self._job_now(run)))

    def reframe(
        self,
        video: VideoSource,
        options: Options,
        key: str | None,
        extra: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
    ) -> Flow[ReframeResult]:
        """All of it. With a ledger, the same request is finished, and never bought twice."""
        if video is None:
            raise InvalidVideoError("video: a path, an http(s) URL, an asset id or an Asset")
        run = yield from self.begin(video, request_body(settings, extra), options)
        run.is_repeatable = self.ledger is not None
        entry = yield from self.claim(run, checked_key(key), is_callers=key is not None)
        if entry is not None:
            files = yield from self.files_of(entry, options)
            job, assets = job_of(entry), list[Asset]()
            with suppress(NotFoundError):  # the files are there, whatever the server has kept
                assets = yield from in_order(self.operations, job.asset_ids)
            return ReframeResult(job=job, assets=tuple(assets), files=tuple(files))
        return (yield from self.held(run, self.result(run)))

    def resume(self, entry: Entry, options: Options) -> Flow[ReframeResult]:
        """Claim an unfinished entry of the ledger, and finish it."""
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
        run.claimed(claim, partial(check, claim.entry))
        return (yield from self.held(run, self._resumed(run)))

    def _resumed(self, run: Run) -> Flow[ReframeResult]:
        """What was posted needs no video any more."""
        entry = run.claim.entry if run.claim is not None else None
        if entry is not None and entry.job_id is None and not run.has_open_post:
            run.source = yield Blocking(partial(source_again, entry))
        return (yield from self.result(run))

    def find_job(self, submission: Submission) -> Flow[Job | None]:
        """The job of an uncertain submission, as often as it is asked for; None if not listed."""
        if not isinstance(submission, Submission):
            raise InvalidInputError(
                f"find_job takes a Submission, not {type(submission).__name__}: error.submission"
            )
        other = evolve(self, operations=evolve(self.operations, project_id=submission.project_id))
        found = yield from other.find(submission)
        matches = self.known.own(submission.token, found.matches) or found.matches
        if len(matches) > 1:
            raise uncertain(submission, found, None)
        for job in matches:
            if (yield from self.record(partial(self.made, submission.token, job))):
                return job
        return None

    def entries(self, *, unfinished: bool) -> Flow[list[Entry]]:
        """What the ledger holds of this account."""
        ledger = self._ledger
        yield from self.learn_project()
        found: list[Entry] = yield Blocking(partial(ledger.entries, unfinished=unfinished))
        return found

    def wait_for(
        self, job: Job | str, timeout: float | None, on_update: UpdateCallback | None
    ) -> Flow[Job]:
        """Wait, and put what became of the job on record."""
        check_seconds(timeout)
        return (yield from self._waited(job, timeout, on_update, None))

    # Hooks.

    def ensure_uploaded(self, run: Run) -> Flow[str]:
        """The asset id of the run's video, uploaded or imported if the server has it not yet."""
        source, content, ledger = run.source, run.content, self.ledger
        if source is None:
            raise InvalidVideoError("video: a path, an http(s) URL, an asset id or an Asset")
        if ledger is None or content is None or not isinstance(source, VideoFile):
            return (yield from uploading.bring(self.operations, source, run.options.on_progress))
        known: str | None = yield Blocking(partial(ledger.asset_of, content))
        if known is not None:
            _LOG.info("the server has this video already, as %s", known)
            return known
        sent: str | None = yield Blocking(partial(ledger.upload_of, content))
        asset_id = (yield from uploading.take_up(self.operations, sent)) if sent else None
        if asset_id is None:
            asset_id = yield from uploading.bring(
                self.operations,
                source,
                run.options.on_progress,
                lambda upload_id: self.note(partial(ledger.sent, content, upload_id)),
            )
        yield from self.note(partial(ledger.uploaded, content, asset_id))
        return asset_id

    def wait(
        self,
        job: Job | str,
        timeout: float | None,
        on_update: UpdateCallback | None,
        known: Job | None,
    ) -> Flow[Job]:
        """Wait for a job. `known`: what `on_update` was called with already."""
        return (
            yield from wait(self.operations, job, timeout=timeout, on_update=on_update, told=known)
        )

    def download(
        self,
        what: Job | Asset | str,
        options: Options,
        *,
        keep_whole: bool = False,
        assets: Sequence[Asset] = (),
    ) -> Flow[list[Path]]:
        """Download into `options.to`, and put the files on record."""
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
            yield from self.note(partial(self.ledger.saved, id_of(what), files))
        return files

    # Steps of a run.

    def price(self, run: Run) -> Flow[Estimate]:
        """What a run's job would cost. An asset that the server has no more is uploaded again."""
        body = dict(run.settings)
        for attempt in count():
            if run.source is not None:
                body[VIDEO_FIELD] = run.asset_id = yield from self.ensure_uploaded(run)
            try:
                # Sent once: a reply that was lost might have been a paid job's.
                return (yield from send(self.operations.estimate(body)))
            except NotFoundError:
                if attempt or not (yield from self.forget_upload(run)):
                    raise
        raise AssertionError

    def begin(
        self, video: VideoSource | None, body: Mapping[str, Any], options: Options
    ) -> Flow[Run]:
        """A run of a body that was checked; the video is looked at."""
        run = Run(settings=body, options=options, started=self.timing.clock())
        if video is not None:
            run.source = yield Blocking(partial(resolve, video))
            run.content = yield from self._content(run.source)
        return run

    def _content(self, source: Video) -> Flow[str | None]:
        """What identifies a video, if anybody keeps it."""
        if self.ledger is None:
            return None
        content: str | None = yield Blocking(partial(content_of, source), may_be_left=True)
        return content

    def claim(
        self, run: Run, key: str | None = None, *, is_callers: bool = False
    ) -> Flow[Entry | None]:
        """Claim the entry of a run; if it is finished, that is returned.

        `key`: what makes two calls the same request, else content, settings and target do.
        """
        to, overwrite = run.options.to, run.options.overwrite
        run.target = (yield Blocking(partial(absolute, to))) if to is not None else None
        check = partial(check_target, to, run.target, overwrite=overwrite)
        if self.ledger is None:
            if is_callers:
                raise ConfigurationError("key: it takes a ledger; make the client with ledger=...")
            if to is not None:
                yield Blocking(partial(check, None))
                run.terms = Terms(check_target=partial(check, None))
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
        run.claimed(claim, partial(check, claim.entry))
        return None

    def learn_project(self) -> Flow[None]:
        """Whose rows these are: a free GET tells the key's project, which is kept."""
        if self.ledger is None or self.is_project_known:
            return
        if not (yield Blocking(lambda: self._ledger.is_project_known)):
            with suppress(ReframeError):  # then the rows are this key's until it is known
                page = yield from repeat(self.operations.list_jobs(size=1), self.timing)
                owners = [job.raw.get("ownerId") for job in page.jobs]
                for owner in owners[:1]:
                    if isinstance(owner, str) and owner:
                        yield Blocking(partial(self._ledger.learn_project, owner))
                        self.is_project_known = True
        else:
            self.is_project_known = True

    def _job(self, run: Run) -> Flow[Job]:
        """The job of a run: on record, found again, or submitted."""
        entry = run.claim.entry if run.claim is not None else None
        if entry is not None and entry.job_id is not None:
            _LOG.info("job %s, which is paid for, is taken up", entry.job_id)
            return _on_record(entry, "unknown")
        if run.source is not None and not run.must_repeat:
            run.asset_id = yield from self.ensure_uploaded(run)
            yield from self.learn_project()  # the upload's own job names it, if none did before
        try:
            if not run.has_open_post:
                yield from self.wait_for_twin(run)
                run.check_time(self.timing.clock())
            return (yield from self.submit(run))
        finally:
            self.known.release_twins(run.token)

    def _job_now(self, run: Run) -> Flow[Job]:
        """The job of a run; one that was on record as the server describes it now."""
        is_on_record = run.claim is not None and run.claim.entry.job_id is not None
        job = yield from self._job(run)
        if is_on_record:
            with suppress(ReframeError):  # it is paid for: its id is what counts
                job = yield from repeat(self.operations.get_job(job.id), self.timing)
        return job

    def result(self, run: Run) -> Flow[ReframeResult]:
        """All of a run. Errors after the submit carry the job."""
        job = yield from self._job(run)
        options = run.options
        try:
            known = None
            if options.on_update is not None and job.status != "unknown":
                yield Call(options.on_update, (job,))
                known = job
            left = run.left(self.timing.clock())
            job = yield from self._waited(job, left, options.on_update, known)
            assets = yield from in_order(self.operations, job.asset_ids)
            files = yield from self._files(run, job, assets)
        except ReframeError as error:
            error.job = error.job or job
            raise
        except BaseException as stop:
            stop.job = job  # type: ignore[attr-defined]
            stop.add_note(f"Job {job.id} goes on, and is paid for: wait for this id.")
            raise
        return ReframeResult(job=job, assets=tuple(assets), files=tuple(files))

    def _files(self, run: Run, job: Job, assets: Sequence[Asset]) -> Flow[list[Path]]:
        if run.options.to is None:
            if self.ledger is not None:
                yield from self.note(partial(self.ledger.saved, job.id, []))
            return []
        keep = run.claim is not None and may_have_files(run.claim.entry, run.target)
        return (yield from self.download(job, run.options, keep_whole=keep, assets=assets))

    def files_of(self, entry: Entry, options: Options) -> Flow[list[Path]]:
        """The files of a finished entry, downloaded again if they are gone.

        Raises JobFailedError if its job failed.
        """
        job = job_of(entry)
        if options.to is None:
            return []
        target: str | None = yield Blocking(partial(absolute, options.to))
        folder = Path(options.to) if (target or "").endswith(os.sep) else Path(options.to).parent
        known = [Path(file) for file in entry.files if is_result_at(Path(file), target)]
        files = [folder / file.name for file in known]  # as `to` was given
        if (
            not options.overwrite
            and files
            and (yield Blocking(lambda: all(map(Path.exists, files))))
        ):
            return files
        keep = may_have_files(entry, target)
        return (yield from self.download(job, options, keep_whole=keep))

    def _waited(
        self,
        job: Job | str,
        timeout: float | None,
        on_update: UpdateCallback | None,
        known: Job | None,
    ) -> Flow[Job]:
        """Wait, and put what became of the job on record."""
        try:
            done = yield from self.wait(job, timeout, on_update, known)
        except (JobFailedError, JobCanceledError) as error:
            if self.ledger is not None and error.job is not None:
                yield from self.note(partial(self.ledger.seen, error.job))
            raise
        if self.ledger is not None:
            yield from self.note(partial(self.ledger.seen, done))
        return done

    def held(self, run: Run, flow: Flow[T]) -> Flow[T]:
        """Perform the rest of a run, and let others at its entry in the end."""
        result: T | None = None
        try:
            result = yield from flow
            if run.claim is not None:
                yield Blocking(partial(self._ledger.release, run.claim))
        except BaseException as error:
            if result is not None:  # stopped in the last line: the job is not to be lost
                error.job = getattr(result, "job", result)  # type: ignore[attr-defined]
            if run.claim is not None:
                yield from self._release_after(error, run.claim)
            raise
        return result

    def _release_after(self, error: BaseException, claim: Claim) -> Flow[None]:
        """Let others at an entry, off the event loop: a locked ledger is not to stop it."""
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
            raise ConfigurationError("this client keeps no ledger: make it with ledger=...")
        return self.ledger


def check_target(
    to: Destination | None, target: str | None, entry: Entry | None, *, overwrite: bool
) -> None:
    """Check the target, which may hold the result of a run that was cut off at its very end.

    To be called when the entry is claimed: earlier, another process may yet finish the same.
    Raises InvalidInputError.
    """
    if to is not None:
        is_ours = entry is not None and may_have_files(entry, target)
        check_destination(to, overwrite=overwrite or is_ours)


def may_have_files(entry: Entry, target: str | None) -> bool:
    """Whether what is at this target may be its result."""
    is_begun = entry.state not in {"new", "claimed"} or entry.job_id is not None
    return is_begun and (
        entry.target == target or any(is_result_at(Path(f), target) for f in entry.files)
    )


def source_again(entry: Entry) -> Video | None:
    """The video of an entry that was not submitted yet. Raises InvalidVideoError if it changed."""
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


def checked_key(key: object) -> str | None:
    """A caller's request key. Raises InvalidInputError unless it is a text, or None."""
    if key is None or (isinstance(key, str) and key):
        return key
    raise InvalidInputError(f"key: {key!r:.80} is not allowed; it takes a text that is not empty")


def id_of(record: Job | Asset | str) -> str:
    """The id of a job or an asset, which may be given as such."""
    return record.id if isinstance(record, Job | Asset) else record


def job_of(entry: Entry) -> Job:
    """The job of a finished entry. Raises JobFailedError."""
    if entry.state == "failed":
        raise JobFailedError(
            f"job {entry.job_id} failed: {entry.error or 'no reason given'}",
            job=_on_record(entry, "failure"),
        )
    return _on_record(entry, "success")


def _on_record(entry: Entry, status: str) -> Job:
    return Job(
        id=entry.job_id or "",
        status=status,
        asset_ids=entry.asset_ids,
        error=entry.error,
        cost=entry.cost,
    )
