"""The API's operations: build requests, parse replies, map every fault.

The only module that calls the generated endpoints. What they raise on a surprise (KeyError,
TypeError, ValueError, ...) never leaves it, and a paid job's id is read from the raw JSON before
anything else is looked at.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import Any, Protocol, Self, TypeVar

from attrs import define, evolve, field, frozen

from scenario_reframe_api.api.assets import get_asset as _get_asset
from scenario_reframe_api.api.generate import generate_reframe as _generate
from scenario_reframe_api.api.jobs import act_on_job as _act_on_job
from scenario_reframe_api.api.jobs import get_job as _get_job
from scenario_reframe_api.api.jobs import list_jobs as _list_jobs
from scenario_reframe_api.api.models import get_model as _get_model
from scenario_reframe_api.api.uploads import act_on_upload as _act_on_upload
from scenario_reframe_api.api.uploads import create_upload as _create_upload
from scenario_reframe_api.api.uploads import get_upload as _get_upload
from scenario_reframe_api.models.asset_response import AssetResponse
from scenario_reframe_api.models.dry_run_response import DryRunResponse
from scenario_reframe_api.models.job_action_request import JobActionRequest
from scenario_reframe_api.models.job_record import JobRecord
from scenario_reframe_api.models.reframe_request import ReframeRequest
from scenario_reframe_api.models.upload_action_request import UploadActionRequest
from scenario_reframe_api.models.upload_request import UploadRequest
from scenario_reframe_api.models.upload_response import UploadResponse
from scenario_reframe_api.types import UNSET, Unset

from .errors import InvalidInputError, UnexpectedResponseError
from .flow import Operation, Reply, Request
from .models import Asset, Estimate, Job
from .reading import (
    given,
    http_date,
    moment,
    number,
    parse_reply,
    record,
    text_or_none,
    url_or_none,
    whole,
    without_nulls,
)
from .text import printable
from .timing import USUAL, Clock, Timing

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
PAGE_SIZE = 100


class _Model(Protocol):
    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self: ...


M = TypeVar("M", bound=_Model)
T = TypeVar("T")


@frozen
class Part:
    """Where to PUT one part of an upload, `number` counting from 1."""

    number: int
    url: str


@frozen
class Upload:
    """An upload as the server describes it."""

    id: str
    status: str
    asset_id: str | None
    error: str | None
    parts: tuple[Part, ...]


@frozen
class JobPage:
    """Some jobs, and the token of the next page if there is one."""

    jobs: tuple[Job, ...]
    next_token: str | None


@define
class ServerClock:
    """The server's time as its last reply named it (`Date`): it lags, and never runs ahead."""

    clock: Clock
    last: datetime | None = None
    _noted: float = 0.0

    def note(self, date: str | None) -> None:
        """Keep what a reply names."""
        named = http_date(date)
        if named is not None:
            self.last, self._noted = named, self.clock()

    def age(self) -> float:
        """Seconds since then; infinite if no reply has named it."""
        return inf if self.last is None else self.clock() - self._noted

    @property
    def now(self) -> datetime | None:
        """The server's time now, if a reply has named it."""
        return None if self.last is None else self.last + timedelta(seconds=self.age())


@frozen
class Operations:
    """The operations of one project. Each builds a request, and reads the reply to it.

    `timing`: how the flows that use them wait and repeat. `server`: the server's clock.
    """

    project_id: str | None = None
    timing: Timing = USUAL
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
        """The paid call. The body counts as checked."""
        request = ReframeRequest.from_dict(body)
        kwargs = _generate._get_kwargs(body=request, project_id=self._project)
        return self._operation(kwargs, _paid_job)

    def estimate(self, body: Mapping[str, Any]) -> Operation[Estimate]:
        """A dry run: `dryRun` goes into the query, since in the body a paid job would start."""
        kwargs = _generate._get_kwargs(
            body=ReframeRequest.from_dict(body), dry_run="true", project_id=self._project
        )
        return self._operation(kwargs, _estimate)

    def get_job(self, job_id: str) -> Operation[Job]:
        """Read one job."""
        kwargs = _get_job._get_kwargs(job_id=checked_id(job_id, "job"), project_id=self._project)
        return self._operation(kwargs, partial(_job, job_id))

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
        return self._operation(kwargs, _job_page)

    def cancel(self, job_id: str) -> Operation[Job]:
        """Ask to cancel a job."""
        kwargs = _act_on_job._get_kwargs(
            job_id=checked_id(job_id, "job"),
            body=JobActionRequest(action="cancel"),
            project_id=self._project,
        )
        return self._operation(kwargs, partial(_job, job_id))

    def get_asset(self, asset_id: str) -> Operation[Asset]:
        """Read one asset."""
        kwargs = _get_asset._get_kwargs(
            asset_id=checked_id(asset_id, "asset"), project_id=self._project
        )
        return self._operation(kwargs, partial(_asset, asset_id))

    def get_model(self, model_id: str) -> Operation[dict[str, Any]]:
        """Read the model's record, as it comes: what drifts is not what the spec says."""
        kwargs = _get_model._get_kwargs(
            model_id=checked_id(model_id, "model"), project_id=self._project
        )
        return self._operation(kwargs, parse_reply)

    def create_upload(self, **fields: Any) -> Operation[Upload]:
        """Announce a file in parts, or with `url` import one."""
        body = UploadRequest(kind="video", **fields)
        kwargs = _create_upload._get_kwargs(body=body, project_id=self._project)
        return self._operation(kwargs, _upload)

    def get_upload(self, upload_id: str) -> Operation[Upload]:
        """Read an upload; while it is pending, with part URLs."""
        kwargs = _get_upload._get_kwargs(upload_id=upload_id, project_id=self._project)
        return self._operation(kwargs, _upload)

    def complete_upload(self, upload_id: str) -> Operation[Upload]:
        """Say that every part was sent."""
        kwargs = _act_on_upload._get_kwargs(
            upload_id=upload_id,
            body=UploadActionRequest(action="complete"),
            project_id=self._project,
        )
        return self._operation(kwargs, _upload)


def next_token(page: JobPage, seen: set[str]) -> str | None:
    """The token of the page after this one. Raises UnexpectedResponseError if it was seen."""
    if page.next_token in seen:
        raise UnexpectedResponseError("the server's list of jobs goes round in circles")
    if page.next_token is not None:
        seen.add(page.next_token)
    return page.next_token


def within(operation: Operation[T], seconds: float | None) -> Operation[T]:
    """The same operation, whose request may take no longer than so many seconds."""
    return evolve(operation, request=evolve(operation.request, timeout=seconds))


def checked_id(value: object, kind: str) -> str:
    """The id, if it can be one: else InvalidInputError, since `..` would be another address."""
    if isinstance(value, str) and _is_id(value):
        return value
    raise InvalidInputError(
        f"{value!r:.80} is no {kind} id: those look like {kind}_abc123, of letters, digits and _-.:"
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(_ID.fullmatch(value)) and bool(value.strip("."))


def _parsed(model: type[M], source: Mapping[str, Any]) -> M:
    try:
        return model.from_dict(without_nulls(source))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as fault:
        raise UnexpectedResponseError(
            f"the server's {model.__name__} is not what the spec says ({fault!r:.200})"
        ) from fault


def _id_in(payload: Mapping[str, Any]) -> str | None:
    """The job's id: `job.jobId` is documented, some pages show `job.id` or a bare `jobId`."""
    inner = record(payload, "job")
    for candidate in (inner.get("jobId"), inner.get("id"), payload.get("jobId")):
        if isinstance(candidate, str) and _is_id(candidate):
            return candidate
    return None


def _paid_job(reply: Reply) -> Job:
    payload = parse_reply(reply)
    job_id = _id_in(payload)
    if job_id is None:
        raise UnexpectedResponseError(f"the server answered {reply.status} without a job id")
    return _lenient_job(job_id, record(payload, "job"))


def _lenient_job(job_id: str, raw: Mapping[str, Any]) -> Job:
    """Whatever else is odd in its record, a job keeps its id, its status and its results."""
    try:
        return _as_job(job_id, raw, raw)
    except UnexpectedResponseError:
        assets = record(raw, "metadata").get("assetIds")
        found = assets if isinstance(assets, list) else []
        core = {key: raw.get(key) for key in ("jobType", "status", "progress")}
        return _as_job(job_id, core | {"metadata": {"assetIds": found}}, raw)


def _job(job_id: str, reply: Reply) -> Job:
    payload = parse_reply(reply)
    raw = record(payload, "job")
    if text_or_none(raw.get("status")) is None:
        raise UnexpectedResponseError(f"the server's record of job {job_id} has no status")
    if _id_in(payload) not in {job_id, None}:
        raise UnexpectedResponseError(f"asked for job {job_id}, the server answered with another")
    return _lenient_job(job_id, raw)


def _as_job(job_id: str, readable: Mapping[str, Any], raw: Mapping[str, Any]) -> Job:
    parsed = _parsed(JobRecord, readable)
    metadata, billing = given(parsed.metadata), given(parsed.billing)
    assets = given(metadata.asset_ids) if metadata else None
    assets = assets if isinstance(assets, list) else []
    echoed = given(metadata.input_) if metadata else None
    return Job(
        id=job_id,
        status=text_or_none(parsed.status) or "unknown",
        progress=min(max(number(parsed.progress) or 0.0, 0.0), 1.0),
        asset_ids=tuple(dict.fromkeys(item for item in assets if _is_id(item))),
        error=text_or_none(metadata.error) if metadata else None,
        hint=text_or_none(metadata.hint) if metadata else None,
        input=echoed.to_dict() if echoed else {},
        created_at=moment(parsed.created_at),
        updated_at=moment(parsed.updated_at),
        cost=number(billing.cu_cost) if billing else None,
        raw=raw,
    )


def _job_page(reply: Reply) -> JobPage:
    payload = parse_reply(reply)
    listed = payload.get("jobs")
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise UnexpectedResponseError("the server's list of jobs is no list of records")
    token = payload.get("nextPaginationToken")
    jobs = [(_id_in({"job": item}), item) for item in listed]
    return JobPage(
        jobs=tuple(_lenient_job(job_id, item) for job_id, item in jobs if job_id is not None),
        next_token=token if isinstance(token, str) and token else None,
    )


def _estimate(reply: Reply) -> Estimate:
    payload = parse_reply(reply)
    job_id = _id_in(payload)
    if job_id is not None:
        error = UnexpectedResponseError(
            f"the dry run was answered with job {job_id}, which the server may have charged for"
        )
        error.job = _lenient_job(job_id, record(payload, "job"))
        raise error
    parsed = _parsed(DryRunResponse, payload)
    cost = number(parsed.creative_units_cost)
    if cost is None:
        raise UnexpectedResponseError("the server's estimate names no price")
    details = given(parsed.cost_details)
    prices = {key: number(value) for key, value in details.to_dict().items()} if details else {}
    return Estimate(
        creative_units=cost,
        discount=number(parsed.creative_units_discount) or 0.0,
        details={key: value for key, value in prices.items() if value is not None},
    )


def _asset(asset_id: str, reply: Reply) -> Asset:
    payload = parse_reply(reply)
    parsed = given(_parsed(AssetResponse, payload).asset)
    url = url_or_none(parsed.url) if parsed else None
    if parsed is None or url is None:
        raise UnexpectedResponseError(f"the server's record of asset {asset_id} has no URL")
    if text_or_none(parsed.id) not in {asset_id, None}:
        raise UnexpectedResponseError(f"asked for asset {asset_id}, the server sent another")
    known = given(parsed.properties)
    return Asset(
        id=asset_id,
        url=url,
        mime_type=text_or_none(parsed.mime_type) or "",
        size=whole(known.size) if known else None,
        width=whole(known.width) if known else None,
        height=whole(known.height) if known else None,
        frames=whole(known.nb_frames) if known else None,
        frame_rate=number(known.frame_rate) if known else None,
        duration=number(known.duration) if known else None,
        raw=record(payload, "asset"),
    )


def _upload(reply: Reply) -> Upload:
    parsed = given(_parsed(UploadResponse, parse_reply(reply)).upload)
    upload_id = text_or_none(parsed.id) if parsed else None
    if parsed is None or upload_id is None:
        raise UnexpectedResponseError("the server's upload record has no id")
    parts = [
        Part(whole(part.number) or 0, url_or_none(part.url) or "")
        for part in given(parsed.parts) or ()
    ]
    return Upload(
        id=upload_id,
        status=printable(text_or_none(parsed.status) or "unknown"),
        asset_id=text_or_none(parsed.entity_id),
        error=text_or_none(parsed.error_message),
        parts=tuple(parts),
    )
