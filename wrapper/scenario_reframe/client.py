"""The two clients. Each method builds a flow and runs it; a test holds the two alike."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from os import PathLike
from pathlib import Path
from threading import TIMEOUT_MAX
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

import httpx
from attrs import evolve

from scenario_reframe_api.settings import ReframeSettings

from .connections import Connections
from .credentials import find_base_url, find_credentials, find_project_id
from .driving import AsyncDriver, SyncDriver
from .errors import ConfigurationError, InvalidInputError
from .flow import Flow, Operation, ProgressCallback, repeat, send
from .ledger.interface import Entry, Ledger
from .models import Asset, Estimate, Job, ReframeResult, Submission
from .operations import JobPage, Operations, next_token
from .paths import Destination
from .pipeline import Pipeline, id_of
from .polling import UpdateCallback
from .reading import iso
from .recovery import known_of
from .run import Options
from .timing import USUAL, Timing
from .video import VideoSource
from .wire import Wire

if TYPE_CHECKING:
    from .batch.engine import Order
    from .batch.items import BatchItem, BatchOutcome, EventCallback

T = TypeVar("T")

_DEFAULT_WAIT = 3600.0


class _Base:
    """What both clients are made of."""

    def __init__(
        self,
        api_key: str | None,
        api_secret: str | None,
        base_url: str | None,
        project_id: str | None,
        timeout: float,
        ledger: str | PathLike[str] | Literal[True] | None,
        timing: Timing,
    ) -> None:
        if (
            not isinstance(timeout, int | float)
            or isinstance(timeout, bool)
            or not 0 < timeout <= TIMEOUT_MAX
        ):
            raise ConfigurationError(
                f"timeout: {timeout!r:.80} is not allowed; it takes seconds above 0"
            )
        credentials = find_credentials(api_key, api_secret)
        self._wire = Wire(find_base_url(base_url), credentials, float(timeout), timing.clock)
        self._operations = Operations(find_project_id(project_id), timing)
        known = known_of(self._wire.base_url, self._operations.project_id, credentials.key)
        if not (ledger is None or ledger is True or isinstance(ledger, str | PathLike)):
            raise ConfigurationError(
                f"ledger: {ledger!r:.80} is not allowed; it takes a path or True"
            )
        kept = None if ledger is None else self._open(ledger)
        self._pipeline = Pipeline(self._operations, kept, known)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._wire.base_url!r})"

    def _open(self, ledger: str | PathLike[str] | Literal[True] | None) -> Ledger:
        """The ledger at this place; None for one in memory."""
        from .ledger.place import usual_place  # noqa: PLC0415 - only when it is asked for
        from .ledger.store import SqlLedger  # noqa: PLC0415

        place = usual_place() if ledger is True else ledger
        if ledger is True and place == "none":
            raise ConfigurationError("ledger=True, but SCENARIO_LEDGER says none: name a path")
        return SqlLedger(
            place,
            base_url=self._wire.base_url,
            project_id=self._operations.project_id,
            api_key=self._wire.credentials.key,
            # Connecting, sending and receiving may each take the whole time-out.
            longest_post=3 * self._wire.timeout,
            timing=self._operations.timing,
        )

    def _close_ledger(self) -> None:
        if self._pipeline.ledger is not None:
            self._pipeline.ledger.close()

    @asynccontextmanager
    async def _outcomes(
        self, order: "Order", driver: AsyncDriver
    ) -> "AsyncIterator[AsyncIterator[BatchOutcome]]":
        """What a batch yields. Without a ledger it has one in memory."""
        from .batch.engine import Engine  # noqa: PLC0415 - only when it is asked for

        kept = self._pipeline.ledger
        ledger = kept if kept is not None else self._open(None)
        try:
            pipeline = evolve(self._pipeline, ledger=ledger)
            async with aclosing(Engine(pipeline, ledger, driver, order).outcomes()) as found:
                yield found
        finally:
            if kept is None:
                ledger.close()

    def _order(
        self,
        items: "Iterable[BatchItem]",
        to: Destination,
        concurrency: int | None,
        budget: float | None,
        resubmit_after: float | None,
        on_event: "EventCallback | None",
    ) -> "Order":
        from .batch.engine import Order  # noqa: PLC0415 - only when it is asked for

        return Order(
            items=items,
            to=to,
            concurrency=concurrency,
            budget=budget,
            resubmit_after=resubmit_after,
            on_event=on_event,
        )

    def _page(self, created_after: datetime | None, token: str | None) -> Flow[JobPage]:
        return self._repeat(self._operations.list_jobs(_iso(created_after), token))

    def _repeat(self, operation: Operation[T]) -> Flow[T]:
        return repeat(operation, self._operations.timing)


class ReframeClient(_Base):
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
        timing: Timing = USUAL,
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
        timeout: float | None = _DEFAULT_WAIT,
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
        timeout: float | None = _DEFAULT_WAIT,
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

    def _in_thread(self, order: "Order") -> "Iterator[BatchOutcome]":
        from .batch.bridge import in_thread  # noqa: PLC0415 - only when it is asked for

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
        timeout: float | None = _DEFAULT_WAIT,
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


class AsyncReframeClient(_Base):
    """The same with asyncio. Callbacks may be coroutine functions.

    Arguments and errors are those of ReframeClient.
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
        http_client: httpx.AsyncClient | None = None,
        timing: Timing = USUAL,
    ) -> None:
        super().__init__(api_key, api_secret, base_url, project_id, timeout, ledger, timing)
        self._connections = Connections(httpx.AsyncClient, http_client)
        self._driver = AsyncDriver(self._wire, self._connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless they belong to a given `http_client`."""
        self._close_ledger()
        if (http := self._connections.to_close()) is not None:
            await http.aclose()

    async def upload(
        self, path: str | PathLike[str], *, on_progress: ProgressCallback | None = None
    ) -> Asset:
        """See ReframeClient.upload."""
        return await self._driver.run(self._pipeline.upload(path, on_progress))

    async def estimate(
        self,
        video: VideoSource | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> Estimate:
        """See ReframeClient.estimate."""
        return await self._driver.run(self._pipeline.estimate(video, extra, settings))

    async def submit(
        self,
        video: VideoSource | None = None,
        *,
        key: str | None = None,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> Job:
        """See ReframeClient.submit."""
        return await self._driver.run(self._pipeline.submit_only(video, key, extra, settings))

    async def find_job(self, submission: Submission) -> Job | None:
        """See ReframeClient.find_job."""
        return await self._driver.run(self._pipeline.find_job(submission))

    async def get_job(self, job: Job | str) -> Job:
        """See ReframeClient.get_job."""
        return await self._driver.run(self._repeat(self._operations.get_job(id_of(job))))

    async def jobs(self, created_after: datetime | None = None) -> AsyncIterator[Job]:
        """See ReframeClient.jobs."""
        token: str | None = None
        seen: set[str] = set()
        while True:
            page = await self._driver.run(self._page(created_after, token))
            for job in page.jobs:
                yield job
            token = next_token(page, seen)
            if token is None:
                return

    async def wait(
        self,
        job: Job | str,
        *,
        timeout: float | None = _DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
    ) -> Job:
        """See ReframeClient.wait."""
        return await self._driver.run(self._pipeline.wait_for(job, timeout, on_update))

    async def cancel(self, job: Job | str) -> Job:
        """See ReframeClient.cancel."""
        return await self._driver.run(send(self._operations.cancel(id_of(job))))

    async def get_asset(self, asset: Asset | str) -> Asset:
        """See ReframeClient.get_asset."""
        return await self._driver.run(self._repeat(self._operations.get_asset(id_of(asset))))

    async def download(
        self,
        job_or_asset: Job | Asset | str,
        to: Destination,
        *,
        overwrite: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> list[Path]:
        """See ReframeClient.download."""
        options = Options(to=to, overwrite=overwrite, on_progress=on_progress)
        flow = self._pipeline.download(job_or_asset, options)
        return await self._driver.run(flow)

    async def reframe(
        self,
        video: VideoSource,
        to: Destination | None = None,
        *,
        key: str | None = None,
        overwrite: bool = False,
        timeout: float | None = _DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
        on_progress: ProgressCallback | None = None,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> ReframeResult:
        """See ReframeClient.reframe."""
        options = Options(to, overwrite, timeout, on_update, on_progress)
        flow = self._pipeline.reframe(video, options, key, extra, settings)
        return await self._driver.run(flow)

    async def batch(
        self,
        items: "Iterable[BatchItem]",
        to: Destination,
        *,
        concurrency: int | None = None,
        budget: float | None = None,
        resubmit_after: float | None = None,
        on_event: "EventCallback | None" = None,
    ) -> "AsyncGenerator[BatchOutcome, None]":
        """See ReframeClient.batch. To leave it early, use `contextlib.aclosing`."""
        order = self._order(items, to, concurrency, budget, resubmit_after, on_event)
        async with self._outcomes(order, self._driver) as found:
            async for outcome in found:
                yield outcome

    async def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """See ReframeClient.entries."""
        return await self._driver.run(self._pipeline.entries(unfinished=unfinished))

    async def resume(
        self,
        entry: Entry,
        to: Destination | None = None,
        *,
        overwrite: bool = False,
        timeout: float | None = _DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
        on_progress: ProgressCallback | None = None,
        resubmit_after: float | None = None,
    ) -> ReframeResult:
        """See ReframeClient.resume."""
        options = Options(to, overwrite, timeout, on_update, on_progress, resubmit_after)
        flow = self._pipeline.resume(entry, options)
        return await self._driver.run(flow)


def _iso(created_after: datetime | None) -> str | None:
    if created_after is None:
        return None
    if not isinstance(created_after, datetime):
        raise InvalidInputError("created_after: takes a datetime")
    return iso(created_after)
