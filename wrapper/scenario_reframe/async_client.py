"""The client for asyncio. Each method builds a flow and runs it, as its twin in `client` does."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
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
from .flow.async_driver import AsyncDriver
from .flow.http_clients import make_async_client
from .flow.steps import ProgressCallback
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
    from .batch.items import BatchItem, BatchOutcome, EventCallback


class AsyncReframeClient(ClientBase):
    """ReframeClient for asyncio. Callbacks may be coroutine functions.

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
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        given = Secret.of(api_key), Secret.of(api_secret)
        del api_key, api_secret  # a traceback with locals would show them
        check_http_client(http_client, httpx.AsyncClient)
        super().__init__(given, base_url, project_id, timeout, ledger, timing)
        self._connections = self._connect(make_async_client, http_client)
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
        """Upload a video file (MP4, MOV, WebM or MKV), in parts of 8 MiB; returns its asset.

        See ReframeClient.upload.
        """
        return await self._driver.run(self._pipeline.upload(path, on_progress))

    async def estimate(
        self,
        video: VideoSource | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> Estimate:
        """The price of a job in creative units, without paying. See ReframeClient.estimate."""
        return await self._driver.run(self._pipeline.estimate(video, extra, settings))

    async def submit(
        self,
        video: VideoSource | None = None,
        *,
        key: str | None = None,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> Job:
        """Submit a job and pay for it: at most one per call, whatever happens.

        See ReframeClient.submit.
        """
        return await self._driver.run(self._pipeline.submit_only(video, key, extra, settings))

    async def find_job(self, submission: Submission) -> Job | None:
        """Look up the job of an uncertain submission; None if it is not listed.

        See ReframeClient.find_job.
        """
        return await self._driver.run(self._pipeline.find_job(submission))

    async def get_job(self, job: Job | str) -> Job:
        """Read a job's current state. See ReframeClient.get_job."""
        return await self._driver.run(self._repeat(self._operations.get_job(id_of(job))))

    async def jobs(self, created_after: datetime | None = None) -> AsyncIterator[Job]:
        """List the project's jobs of every kind, newest first; pages are read as needed.

        See ReframeClient.jobs.
        """
        token: str | None = None
        paging = Paging()
        while True:
            page = await self._driver.run(self._page(created_after, token))
            for job in page.jobs:
                yield job
            token = paging.next_token(page)
            if token is None:
                return

    async def wait(
        self,
        job: Job | str,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
    ) -> Job:
        """Poll until the job has succeeded, in spite of lost replies and server errors.

        See ReframeClient.wait.
        """
        return await self._driver.run(self._pipeline.wait_for(job, timeout, on_update))

    async def cancel(self, job: Job | str) -> Job:
        """Ask to cancel a job. See ReframeClient.cancel."""
        return await self._driver.run(send(self._operations.cancel(id_of(job))))

    async def get_asset(self, asset: Asset | str) -> Asset:
        """Read an asset, with a fresh URL. See ReframeClient.get_asset."""
        return await self._driver.run(self._repeat(self._operations.get_asset(id_of(asset))))

    async def download(
        self,
        job_or_asset: Job | Asset | str,
        to: Destination,
        *,
        overwrite: bool = False,
        on_progress: ProgressCallback | None = None,
    ) -> list[Path]:
        """Download a job's results, or one asset; returns the complete files.

        See ReframeClient.download.
        """
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
        timeout: float | None = DEFAULT_WAIT,
        on_update: UpdateCallback | None = None,
        on_progress: ProgressCallback | None = None,
        extra: Mapping[str, Any] | None = None,
        **settings: Unpack[ReframeSettings],
    ) -> ReframeResult:
        """Upload, submit, wait and download. See ReframeClient.reframe."""
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
        """Reframe many clips into a folder, in parallel; yields each outcome as it comes.

        See ReframeClient.batch. To leave it early, use `contextlib.aclosing`.
        """
        order = self._order(items, to, concurrency, budget, resubmit_after, on_event)
        async with self._outcomes(order, self._driver) as found:
            async for outcome in found:
                yield outcome

    async def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """The ledger's entries of this server and project, newest first.

        See ReframeClient.entries.
        """
        return await self._driver.run(self._pipeline.entries(unfinished=unfinished))

    async def resume(
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

        See ReframeClient.resume.
        """
        options = Options(to, overwrite, timeout, on_update, on_progress, resubmit_after)
        flow = self._pipeline.resume(entry, options)
        return await self._driver.run(flow)
