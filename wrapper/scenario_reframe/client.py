"""The client. Each method builds a flow and runs it; a test holds it and its twin alike."""

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
from .api.operations import next_token
from .client_base import DEFAULT_WAIT, ClientBase
from .errors import ConfigurationError
from .flow.async_driver import AsyncDriver
from .flow.connections import Connections
from .flow.steps import ProgressCallback
from .flow.sync_driver import SyncDriver
from .ledger.interface import Entry
from .models import Asset, Estimate, Job, ReframeResult, Submission
from .pipeline import id_of
from .polling import UpdateCallback
from .result_paths import Destination
from .run import Options
from .timing import DEFAULT_TIMING, Timing
from .video import VideoSource

if TYPE_CHECKING:
    from .batch.engine import BatchRequest
    from .batch.items import BatchItem, BatchOutcome, EventCallback


class ReframeClient(ClientBase):
    """Reframes video with Scenario's Wan 2.2 Reframe. Safe to share between threads.

    Credentials come from the arguments, else from SCENARIO_API_KEY and SCENARIO_API_SECRET;
    `base_url` from SCENARIO_BASE_URL, `project_id` from SCENARIO_PROJECT_ID. `timeout`: seconds
    that one HTTP request may take. `ledger`: where it is kept what was paid for, a path, or True
    for the place that the command line uses; with it, the same request is not bought twice. A given
    `http_client` is not closed, and none of its headers, cookies or auth are used. `timing`: the
    client's own pauses, shorter ones for tests against a local server. Raises ConfigurationError.
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
        super().__init__(api_key, api_secret, base_url, project_id, timeout, ledger, timing)
        self._connections = Connections(httpx.Client, http_client)
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
        """Upload a video in parts of 8 MiB, several at once; the asset that it became.

        `on_progress(done_bytes, total_bytes)` may be called from several threads, one at a time.
        Raises InvalidVideoError before anything is sent, UploadError, ApiError.
        """
        return self._driver.run(self._pipeline.upload(path, on_progress))

    def estimate(
        self,
        video: VideoSource | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> Estimate:
        """The price of a job, without paying. A local file or a URL is uploaded for it.

        Raises InvalidSettingsError or InvalidVideoError before anything is sent, ApiError, and
        UnexpectedResponseError with `.job` if the server started a job all the same.
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
        """Submit a job, and pay for it: at most one per call, whatever happens on the way.

        Settings that are not given take the server's defaults; a seed is drawn. `extra` holds
        settings that this version does not know, under the names of the API. `key` (it takes a
        ledger): at most one job for all calls with this key, in any process; it stands for this
        video and these settings. Raises InvalidSettingsError or InvalidVideoError before anything
        is sent, InvalidInputError if the key stands for something else, ApiError when no job was
        made, RateLimitedError when one may be submitted later, SubmissionUncertainError when
        neither can be known, LedgerBusyError when another process is at the same.
        """
        return self._driver.run(self._pipeline.submit_only(video, key, extra, settings))

    def find_job(self, submission: Submission) -> Job | None:
        """Look for the job of an uncertain submission; None if it is not listed.

        That it is not listed does not prove that it was not made. A job that was found is found
        again each time. Raises SubmissionUncertainError if several jobs are it.
        """
        return self._driver.run(self._pipeline.find_job(submission))

    def get_job(self, job: Job | str) -> Job:
        """The job as it stands now. Raises NotFoundError, ApiError."""
        return self._driver.run(self._repeat(self._operations.get_job(id_of(job))))

    def jobs(self, created_after: datetime | None = None) -> Iterator[Job]:
        """The project's jobs of every kind, newest first, page by page. Raises ApiError."""
        token: str | None = None
        seen: set[str] = set()
        while True:
            page = self._driver.run(self._page(created_after, token))
            yield from page.jobs
            token = next_token(page, seen)
            if token is None:
                return

    def wait(
        self,
        job: Job | str,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
    ) -> Job:
        """Poll until the job has succeeded. `timeout` in seconds; None waits for ever.

        `on_update(job)` is called on every change of status or progress. Dropped polls and server
        errors are survived. Raises JobFailedError, JobCanceledError, WaitTimeoutError.
        """
        return self._driver.run(self._pipeline.wait_for(job, timeout, on_update))

    def cancel(self, job: Job | str) -> Job:
        """Ask to cancel a job. The vendor refuses it for this model: ApiError 400."""
        return self._driver.run(send(self._operations.cancel(id_of(job))))

    def get_asset(self, asset: Asset | str) -> Asset:
        """The asset's record, with a fresh URL. Raises NotFoundError, ApiError."""
        return self._driver.run(self._repeat(self._operations.get_asset(id_of(asset))))

    def download(
        self,
        job_or_asset: Job | Asset | str,
        to: Destination,
        *,
        overwrite: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> list[Path]:
        """Download a job's results, or one asset; the files, whole.

        `to`: a folder (one that is there, or a path that ends in a separator), else a file. A
        broken transfer is resumed, here or by the next call. `on_progress(done_bytes,
        total_bytes_or_None)`. Raises InvalidInputError, DownloadError.
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

        `timeout` counts from this call, in seconds. `on_progress(done_bytes, total_bytes)` is told
        of the upload, then of the download. Every error after the submit carries `.job`.

        With a ledger, the same request is bought once: one that is unfinished is finished, and of
        one that is done the result is returned, and downloaded again if the file is gone. The same
        is what has the same video, settings and target, or the same `key`, which stands for a video
        and settings. To buy anew, give another seed, key or target; `overwrite` is about the file.
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
        """Reframe many clips into a folder, side by side; each outcome as it comes.

        Nothing happens before the first `next()`, which checks every item. One item's failure
        stops no other. `concurrency`: the most jobs at once, else found from the server's refusals.
        `budget`: creative units that are not passed; every job is estimated before it is bought.
        `resubmit_after`: leave to submit again what got no clear answer, so many seconds after it
        can last have been accepted, if no listed job could be it. `on_event(event)` is called from
        the batch's own thread.

        With a ledger, the same call again goes on where a run was cut off: nothing is paid or
        downloaded twice. Raises InvalidBatchError that names all that is wrong with all items,
        before anything is sent.
        """
        order = self._order(items, to, concurrency, budget, resubmit_after, on_event)
        if self._connections.is_given:
            raise ConfigurationError(
                "batch: it needs asyncio, so this client's http_client cannot serve it; "
                "use AsyncReframeClient(http_client=...)"
            )
        yield from self._in_thread(order)

    def _in_thread(self, order: "BatchRequest") -> "Iterator[BatchOutcome]":
        from .batch.sync_iterator import in_thread  # noqa: PLC0415 - only when it is asked for

        @asynccontextmanager
        async def outcomes() -> "AsyncIterator[AsyncIterator[BatchOutcome]]":
            async with httpx.AsyncClient() as http:
                driver = AsyncDriver(self._wire, Connections(httpx.AsyncClient, http))
                async with self._outcomes(order, driver) as found:
                    yield found

        self._connections.get()
        return (yield from in_thread(outcomes))

    def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """What the ledger holds of this server and project, newest first.

        Raises ConfigurationError if the client keeps none.
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

        One whose run was killed before its POST is uploaded and submitted.

        `to` defaults to where it was to go. An entry whose job cannot be found stays uncertain
        (SubmissionUncertainError). Only with `resubmit_after` is it submitted again, with the same
        seed: when so many seconds have passed since its POST can last have been accepted, and no
        listed job could be it. Raises LedgerBusyError if a living process is at it.
        """
        options = Options(to, overwrite, timeout, on_update, on_progress, resubmit_after)
        flow = self._pipeline.resume(entry, options)
        return self._driver.run(flow)
