"""The client. Each method builds a flow and runs it; a test keeps both clients in sync."""

from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import httpx

from scenario_reframe_api.settings import ReframeSettings

from .api.calling import send
from .api.operations import Paging
from .client_base import DEFAULT_WAIT, ClientBase, check_http_client
from .errors import ConfigurationError
from .flow.async_driver import AsyncDriver
from .flow.connections import Connections
from .flow.http_clients import make_async_client, make_client
from .flow.steps import ProgressCallback
from .flow.sync_driver import SyncDriver
from .ledger.interface import Entry
from .models import Asset, Estimate, Job, ReframeResult, Submission
from .pipeline import id_of
from .polling import UpdateCallback
from .result_paths import Destination
from .run_state import Options
from .secret import Secret
from .timing import DEFAULT_TIMING, Timing
from .video import VideoSource

if TYPE_CHECKING:
    from .batch.engine import BatchRequest
    from .batch.items import BatchItem, BatchOutcome, EventCallback


class ReframeClient(ClientBase):
    """Reframes video with Scenario's Wan 2.2 Reframe. Safe to share between threads.

    Each process makes its own, as a client holds a secret: pickling or copying it raises TypeError.
    Jobs, results and errors may be sent between processes.

    Arguments default to SCENARIO_API_KEY, SCENARIO_API_SECRET, SCENARIO_BASE_URL and
    SCENARIO_PROJECT_ID. `timeout`: the seconds that one HTTP request may take. `ledger`: a path,
    or True for the command line's own; there it is recorded what was paid for, so that the same
    request is not bought twice. A given `http_client` is not closed, and its headers, cookies and
    auth are not used. `timing`: the client's own pauses, shorter for tests against a local server.

    Raises ConfigurationError. Besides the errors that they name, methods raise InvalidInputError,
    ApiError, ConnectionFailedError and UnexpectedResponseError.
    """

    def __init__(
        self,
        api_key: str | None = None,
        api_secret: str | None = None,
        *,
        base_url: str | None = None,
        project_id: str | None = None,
        timeout: float = 60.0,
        ledger: str | PathLike[str] | Literal[True] | None = None,
        http_client: httpx.Client | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        given = Secret.of(api_key), Secret.of(api_secret)
        del api_key, api_secret  # a traceback with locals would show them
        check_http_client(http_client, httpx.Client)
        super().__init__(given, base_url, project_id, timeout, ledger, timing)
        self._connections = self._connect(make_client, http_client)
        self._driver = SyncDriver(self._wire, self._connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they belong to a given `http_client`."""
        self._close_ledger()
        if (http := self._connections.to_close()) is not None:
            http.close()

    def upload(
        self, path: str | PathLike[str], *, on_progress: ProgressCallback | None = None
    ) -> Asset:
        """Upload a video file (MP4, MOV, WebM or MKV), in parts of 8 MiB; returns its asset.

        `on_progress(done_bytes, total_bytes)` may be called from several threads, one at a time.
        Raises InvalidVideoError before anything is sent, UploadError.
        """
        return self._driver.run(self._pipeline.upload(path, on_progress))

    def estimate(
        self,
        video: VideoSource | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> Estimate:
        """The price of a job in creative units, without paying.

        A local file is uploaded for it, a URL imported. Raises InvalidSettingsError or
        InvalidVideoError before anything is sent, UploadError, and UnexpectedResponseError with
        `.job` if the server started a job all the same.
        """
        return self._driver.run(self._pipeline.estimate(video, extra, settings))

    def submit(
        self,
        video: VideoSource | None = None,
        *,
        key: str | None = None,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> Job:
        """Submit a job and pay for it: at most one per call, whatever happens.

        A setting that is not given takes the server's default, but for the seed, which is drawn.
        `extra`: settings that this version does not know, under the API's names. `key` (needs a
        ledger): at most one job for all calls with this key, in any process; it is bound to this
        video and these settings. Raises InvalidSettingsError or InvalidVideoError before anything
        is sent, InvalidInputError if the key is bound to others, UploadError, ApiError if no job
        was made, RateLimitedError if it may be submitted later, SubmissionUncertainError if it is
        not known whether a job was made, LedgerBusyError if another process works on the same.
        """
        return self._driver.run(self._pipeline.submit_only(video, key, extra, settings))

    def find_job(self, submission: Submission) -> Job | None:
        """Look up the job of an uncertain submission; None if it is not listed.

        None does not prove that no job was made. A job that was found once is found by every later
        call. Raises SubmissionUncertainError if several jobs match.
        """
        return self._driver.run(self._pipeline.find_job(submission))

    def get_job(self, job: Job | str) -> Job:
        """Read a job's current state. Raises NotFoundError."""
        return self._driver.run(self._repeat(self._operations.get_job(id_of(job))))

    def jobs(self, created_after: datetime | None = None) -> Iterator[Job]:
        """List the project's jobs of every kind, newest first; pages are read as needed."""
        token: str | None = None
        paging = Paging()
        while True:
            page = self._driver.run(self._page(created_after, token))
            yield from page.jobs
            token = paging.next_token(page)
            if token is None:
                return

    def wait(
        self,
        job: Job | str,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
    ) -> Job:
        """Poll until the job has succeeded, in spite of lost replies and server errors.

        `timeout`: seconds; None waits for ever. `on_update(job)` is called on every change of
        status or progress. Raises JobFailedError, JobCanceledError, WaitTimeoutError.
        """
        return self._driver.run(self._pipeline.wait_for(job, timeout, on_update))

    def cancel(self, job: Job | str) -> Job:
        """Ask to cancel a job. The vendor allows that for inference jobs only: ApiError 400."""
        return self._driver.run(send(self._operations.cancel(id_of(job))))

    def get_asset(self, asset: Asset | str) -> Asset:
        """Read an asset, with a fresh URL. Raises NotFoundError."""
        return self._driver.run(self._repeat(self._operations.get_asset(id_of(asset))))

    def download(
        self,
        job_or_asset: Job | Asset | str,
        to: Destination,
        *,
        overwrite: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> list[Path]:
        """Download a job's results, or one asset; returns the complete files.

        `to`: a folder (an existing one, or a path that ends in a separator), else a file. A broken
        transfer is resumed, by this call or the next. `on_progress(done_bytes,
        total_bytes_or_None)`. Raises InvalidInputError if a target exists, DownloadError.
        """
        options = Options(to=to, overwrite=overwrite, on_progress=on_progress)
        flow = self._pipeline.download(job_or_asset, options)
        return self._driver.run(flow)

    def reframe(
        self,
        video: VideoSource,
        to: Destination | None = None,
        *,
        key: str | None = None,
        overwrite: bool = False,
        timeout: float | None = DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
        on_progress: ProgressCallback | None = None,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> ReframeResult:
        """Upload, submit, wait and download. `to=None` downloads nothing.

        `timeout`: seconds from this call on. `on_progress(done_bytes, total_bytes_or_None)` is
        called for the upload, then for the download. Every error after the submit has its `.job`.

        With a ledger, the same request is bought once: an unfinished one is finished; the result of
        a finished one is returned, and downloaded again if the file is missing. The same means the
        same video, settings and target, or the same `key`. To buy it again, pass another seed, key
        or target; `overwrite` only concerns the file. Raises the errors of the four steps.
        """
        options = Options(to, overwrite, timeout, on_update, on_progress)
        flow = self._pipeline.reframe(video, options, key, extra, settings)
        return self._driver.run(flow)

    def batch(
        self,
        items: "Iterable[BatchItem]",
        to: Destination,
        *,
        concurrency: int | None = None,
        budget: float | None = None,
        resubmit_after: float | None = None,
        on_event: "EventCallback | None" = None,
    ) -> "Generator[BatchOutcome, None, None]":
        """Reframe many clips into a folder, in parallel; yields each outcome as it comes.

        Nothing happens before the first `next()`, which checks every item. One item's failure does
        not stop the others. `concurrency`: the most jobs at once; by default it follows the
        server's refusals. `budget`: the most creative units to spend; every job is estimated first.
        `resubmit_after`: permission to submit an item with an uncertain POST again, this many
        seconds after the server can last have accepted it, if no listed job may be its job.
        `on_event(event)` is called from the batch's own thread.

        With a ledger, the same call continues an interrupted run: nothing is paid or downloaded
        twice. Raises InvalidBatchError with everything that is wrong with any item, before anything
        is sent, and ConfigurationError if the client was given an `http_client`.
        """
        order = self._order(items, to, concurrency, budget, resubmit_after, on_event)
        if self._connections.is_given:
            raise ConfigurationError(
                "batch: it needs asyncio, so it cannot use this client's http_client; "
                "use AsyncReframeClient(http_client=...)"
            )
        yield from self._in_thread(order)

    def _in_thread(self, order: "BatchRequest") -> "Iterator[BatchOutcome]":
        from .batch.sync_iterator import in_thread  # noqa: PLC0415 - only when it is used

        @asynccontextmanager
        async def outcomes() -> "AsyncIterator[AsyncIterator[BatchOutcome]]":
            async with make_async_client() as http:
                driver = AsyncDriver(self._wire, Connections(make_async_client, http))
                async with self._outcomes(order, driver) as found:
                    yield found

        self._connections.get()
        return (yield from in_thread(outcomes))

    def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """The ledger's entries of this server and project, newest first.

        Raises ConfigurationError if the client has no ledger.
        """
        return self._driver.run(self._pipeline.entries(unfinished=unfinished))

    def resume(
        self,
        entry: Entry,
        to: Destination | None = None,
        *,
        overwrite: bool = False,
        timeout: float | None = DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
        on_progress: ProgressCallback | None = None,
        resubmit_after: float | None = None,
    ) -> ReframeResult:
        """Finish an unfinished entry of the ledger: find its job, wait, download.

        An entry without a POST is uploaded and submitted. `to` defaults to the entry's target;
        `timeout` and the callbacks are those of `reframe`.

        If its job cannot be found, it stays uncertain (SubmissionUncertainError). Only with
        `resubmit_after` is it submitted again, with the same seed: this many seconds after the
        server can last have accepted its POST, if no listed job may be its job. Raises the errors
        of `reframe`, and LedgerBusyError if a living process works on it.
        """
        options = Options(to, overwrite, timeout, on_update, on_progress, resubmit_after)
        flow = self._pipeline.resume(entry, options)
        return self._driver.run(flow)
