"""The API's operations: the request that each sends, and how its reply is read.

The only module that calls the generated endpoints.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import Any, TypeVar

from attrs import define, field, frozen

from scenario_reframe.arguments import is_id, shown
from scenario_reframe.errors import InvalidInputError, UnexpectedResponseError
from scenario_reframe.flow.steps import Reply, Request
from scenario_reframe.models import Asset, Estimate, Job
from scenario_reframe.timing import DEFAULT_TIMING, Clock, Timing
from scenario_reframe_api.api.assets import get_asset as _get_asset
from scenario_reframe_api.api.generate import generate_reframe as _generate
from scenario_reframe_api.api.jobs import cancel_job as _cancel_job
from scenario_reframe_api.api.jobs import get_job as _get_job
from scenario_reframe_api.api.jobs import list_jobs as _list_jobs
from scenario_reframe_api.api.models import get_model as _get_model
from scenario_reframe_api.api.uploads import complete_upload as _complete_upload
from scenario_reframe_api.api.uploads import create_upload as _create_upload
from scenario_reframe_api.api.uploads import get_upload as _get_upload
from scenario_reframe_api.models.job_action_request import JobActionRequest
from scenario_reframe_api.models.reframe_request import ReframeRequest
from scenario_reframe_api.models.upload_action_request import UploadActionRequest
from scenario_reframe_api.models.upload_from_url import UploadFromUrl
from scenario_reframe_api.models.upload_in_parts import UploadInParts
from scenario_reframe_api.types import UNSET, Unset

from .calling import Operation
from .json_values import http_date
from .parsing import (
    JobPage,
    Upload,
    parse_asset,
    parse_estimate,
    parse_job,
    parse_job_page,
    parse_paid_job,
    parse_upload,
)
from .replies import parse_reply

PAGE_SIZE = 100
MOST_EMPTY_PAGES = 100
"""In a row: a list whose filter leaves some pages empty has fewer."""

T = TypeVar("T")


@define
class ServerClock:
    """The server's time, from the `Date` of its last reply: it may lag, but is never ahead."""

    clock: Clock
    last: datetime | None = None
    _noted: float = 0.0

    def note(self, date: str | None) -> None:
        """Store the time of a reply's `Date`."""
        named = http_date(date)
        if named is not None:
            self.last, self._noted = named, self.clock()

    def age(self) -> float:
        """Seconds since that reply; infinite if there was none."""
        return inf if self.last is None else self.clock() - self._noted

    @property
    def now(self) -> datetime | None:
        """The server's time now; None if no reply has named it."""
        return None if self.last is None else self.last + timedelta(seconds=self.age())


@frozen
class Operations:
    """The operations of one project. Each is a request, and the function that reads its reply.

    `timing`: the pauses of the flows that use them. `server`: the server's clock.
    """

    project_id: str | None = None
    timing: Timing = DEFAULT_TIMING
    server: ServerClock = field(eq=False)

    @server.default
    def _server_clock(self) -> ServerClock:
        return ServerClock(self.timing.clock)

    @property
    def _project(self) -> str | Unset:
        return self.project_id if self.project_id is not None else UNSET

    def _operation(self, kwargs: Mapping[str, Any], parse: Callable[[Reply], T]) -> Operation[T]:
        def noted(reply: Reply) -> T:
            self.server.note(reply.headers.get("date"))
            return parse(reply)

        request = Request(
            method=kwargs["method"].upper(),
            path=kwargs["url"],
            params=kwargs.get("params", {}),
            body=kwargs.get("json"),
        )
        return Operation(request, noted)

    def submit(self, body: Mapping[str, Any]) -> Operation[Job]:
        """Start a job: the paid call. The body must have been checked."""
        request = ReframeRequest.from_dict(body)
        kwargs = _generate._get_kwargs(body=request, project_id=self._project)
        return self._operation(kwargs, parse_paid_job)

    def estimate(self, body: Mapping[str, Any]) -> Operation[Estimate]:
        """Ask for the price: `dryRun` in the query, since in the body it would start a paid job."""
        kwargs = _generate._get_kwargs(
            body=ReframeRequest.from_dict(body), dry_run="true", project_id=self._project
        )
        return self._operation(kwargs, parse_estimate)

    def get_job(self, job_id: str) -> Operation[Job]:
        """Read one job."""
        kwargs = _get_job._get_kwargs(job_id=checked_id(job_id, "job"), project_id=self._project)
        return self._operation(kwargs, partial(parse_job, job_id))

    def list_jobs(
        self, created_after: str | None = None, token: str | None = None, size: int = PAGE_SIZE
    ) -> Operation[JobPage]:
        """Read one page of jobs, newest first; `created_after` is ISO 8601."""
        kwargs = _list_jobs._get_kwargs(
            project_id=self._project,
            created_after=created_after or UNSET,
            pagination_token=token or UNSET,
            page_size=size,
        )
        return self._operation(kwargs, parse_job_page)

    def cancel(self, job_id: str) -> Operation[Job]:
        """Ask to cancel a job."""
        kwargs = _cancel_job._get_kwargs(
            job_id=checked_id(job_id, "job"),
            body=JobActionRequest(action="cancel"),
            project_id=self._project,
        )
        return self._operation(kwargs, partial(parse_job, job_id))

    def get_asset(self, asset_id: str) -> Operation[Asset]:
        """Read one asset."""
        kwargs = _get_asset._get_kwargs(
            asset_id=checked_id(asset_id, "asset"), project_id=self._project
        )
        return self._operation(kwargs, partial(parse_asset, asset_id))

    def get_model(self, model_id: str) -> Operation[dict[str, Any]]:
        """Read the model's JSON object, unparsed, since it may differ from the spec."""
        kwargs = _get_model._get_kwargs(
            model_id=checked_id(model_id, "model"), project_id=self._project
        )
        return self._operation(kwargs, parse_reply)

    def create_upload(self, **fields: Any) -> Operation[Upload]:
        """Announce a file in parts; with `url`, import one."""
        form = UploadFromUrl if "url" in fields else UploadInParts
        body = form(kind="video", **fields)
        kwargs = _create_upload._get_kwargs(body=body, project_id=self._project)
        return self._operation(kwargs, parse_upload)

    def get_upload(self, upload_id: str) -> Operation[Upload]:
        """Read an upload; while it is pending, the reply has fresh part URLs."""
        kwargs = _get_upload._get_kwargs(upload_id=upload_id, project_id=self._project)
        return self._operation(kwargs, parse_upload)

    def complete_upload(self, upload_id: str) -> Operation[Upload]:
        """Report that every part was sent."""
        kwargs = _complete_upload._get_kwargs(
            upload_id=upload_id,
            body=UploadActionRequest(action="complete"),
            project_id=self._project,
        )
        return self._operation(kwargs, parse_upload)


class Paging:
    """Follows the pages of one reading of the list of jobs, so that it has an end."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._empty = 0

    def next_token(self, page: JobPage) -> str | None:
        """The next page's token, if any.

        Raises UnexpectedResponseError if it came before, or after MOST_EMPTY_PAGES empty pages.
        """
        self._empty = 0 if page.jobs else self._empty + 1
        if page.next_token in self._seen:
            raise UnexpectedResponseError("the server's list of jobs repeats a page")
        if page.next_token is not None:
            self._seen.add(page.next_token)
            if self._empty >= MOST_EMPTY_PAGES:
                raise UnexpectedResponseError(
                    f"the server's list of jobs has {self._empty} empty pages in a row"
                )
        return page.next_token


def checked_id(value: object, kind: str) -> str:
    """The id. Raises InvalidInputError if it cannot be one: `..` would change the URL."""
    if is_id(value):
        return value
    raise InvalidInputError(
        f"{shown(value)} is not a {kind} id, such as {kind}_abc123; it takes letters, digits, _, - "
        "and, except at first, dots"
    )
