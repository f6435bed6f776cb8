"""Reads the API's replies: jobs, estimates, assets, uploads.

What the generated code raises for an odd reply (KeyError, TypeError, ValueError, ...) never leaves
this module, and a paid job's id is read from the raw JSON before anything else.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeVar

from attrs import frozen

from scenario_reframe.arguments import ID_PATTERN, is_id
from scenario_reframe.errors import UnexpectedResponseError
from scenario_reframe.flow.steps import Reply
from scenario_reframe.models import Asset, Estimate, Job
from scenario_reframe_api.models.asset_response import AssetResponse
from scenario_reframe_api.models.dry_run_response import DryRunResponse
from scenario_reframe_api.models.job_record import JobRecord
from scenario_reframe_api.models.upload_response import UploadResponse

from .json_reading import text_of
from .json_values import (
    amount_or_none,
    count_or_none,
    datetime_or_none,
    given,
    json_object,
    number_or_none,
    text_or_none,
    url_or_none,
    without_nulls,
)
from .replies import parse_reply
from .sanitize import bare_url, printable

# In a reply that is not JSON, or has its job somewhere else.
_JOB_ID = re.compile(rf'"(?:jobId"\s*:\s*"|id"\s*:\s*"(?=job_))({ID_PATTERN})"')
_LONGEST_TOKEN = 4096


class _Model(Protocol):
    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self: ...


M = TypeVar("M", bound=_Model)


@frozen
class Part:
    """The URL to PUT one part of an upload to; `number` counts from 1."""

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
    """One page of the list of jobs, and the token of the next one, if any.

    `unnamed`: how many jobs of it have no id that can be read.
    """

    jobs: tuple[Job, ...]
    next_token: str | None
    unnamed: int = 0


def _id_or_none(value: object) -> str | None:
    return value if is_id(value) else None


def _parsed(model: type[M], source: Mapping[str, Any]) -> M:
    try:
        return model.from_dict(without_nulls(source))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as fault:
        raise UnexpectedResponseError(
            f"the server's {model.__name__} does not match the spec ({fault!r:.200})"
        ) from fault


def _id_in(payload: Mapping[str, Any]) -> str | None:
    """The job's id: `job.jobId` is documented; some pages show `job.id` or a top-level `jobId`."""
    inner = json_object(payload, "job")
    for candidate in (inner.get("jobId"), inner.get("id"), payload.get("jobId")):
        if is_id(candidate):
            return candidate
    return None


def _written_id(content: bytes) -> str | None:
    """The only job id that is written in these bytes, JSON or not; None if there are several."""
    found = set(_JOB_ID.findall(text_of(content)))
    return found.pop() if len(found) == 1 else None


def _paid_reply(reply: Reply) -> tuple[dict[str, Any], str | None]:
    """The JSON object of a reply that may be a paid job's, and its job's id, if any.

    The error for an unreadable one has the job that its bytes name, as a hint: it proves nothing.
    """
    try:
        payload = parse_reply(reply)
    except UnexpectedResponseError as error:
        error.job = _hint(reply)
        raise
    return payload, _id_in(payload)


def _hint(reply: Reply) -> Job | None:
    job_id = _written_id(reply.content)
    return None if job_id is None else Job(id=job_id, status="unknown")


def parse_paid_job(reply: Reply) -> Job:
    """A paid job. Only its id must be valid, whatever else is odd in the reply.

    Raises UnexpectedResponseError without one; `.job`: the only job that is named elsewhere in it.
    """
    payload, job_id = _paid_reply(reply)
    if job_id is None:
        error = UnexpectedResponseError(f"the server answered {reply.status} without a job id")
        error.job = _hint(reply)
        raise error
    return _lenient_job(job_id, json_object(payload, "job"))


def _lenient_job(job_id: str, raw: Mapping[str, Any]) -> Job:
    """A job; of an odd JSON object, without the parts that are not objects where they should be."""
    try:
        return _as_job(job_id, raw, raw)
    except UnexpectedResponseError:
        parts = {key: dict(json_object(raw, key)) for key in ("metadata", "billing")}
        parts["metadata"]["input"] = json_object(parts["metadata"], "input")
        return _as_job(job_id, {**raw, "statusHistory": [], **parts}, raw)


def parse_job(job_id: str, reply: Reply) -> Job:
    """The job of this id."""
    payload = parse_reply(reply)
    raw = json_object(payload, "job")
    if text_or_none(raw.get("status")) is None:
        raise UnexpectedResponseError(f"the server's reply for job {job_id} has no status")
    if _id_in(payload) not in {job_id, None}:
        raise UnexpectedResponseError(f"asked for job {job_id}, but got another one")
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
        progress=min(max(number_or_none(parsed.progress) or 0.0, 0.0), 1.0),
        asset_ids=tuple(dict.fromkeys(item for item in assets if is_id(item))),
        error=text_or_none(metadata.error) if metadata else None,
        hint=text_or_none(metadata.hint) if metadata else None,
        input=echoed.to_dict() if echoed else {},
        created_at=datetime_or_none(parsed.created_at),
        updated_at=datetime_or_none(parsed.updated_at),
        cost=amount_or_none(billing.cu_cost) if billing else None,
        raw=raw,
    )


def parse_job_page(reply: Reply) -> JobPage:
    """A page of the list of jobs."""
    payload = parse_reply(reply)
    listed = payload.get("jobs")
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise UnexpectedResponseError("the server's list of jobs is not a list of JSON objects")
    found = [(_id_in({"job": item}), item) for item in listed]
    jobs = [_lenient_job(job_id, item) for job_id, item in found if job_id is not None]
    token = _checked_token(payload.get("nextPaginationToken"))
    return JobPage(tuple(jobs), token, unnamed=len(found) - len(jobs))


def _checked_token(token: object) -> str | None:
    """The next page's token, or None: an odd one must not pass for the end of the list."""
    if token in (None, ""):
        return None
    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
        raise UnexpectedResponseError(
            f"the server's list of jobs names its next page by {token!r:.80}, not by a short text"
        )
    return token


def parse_estimate(reply: Reply) -> Estimate:
    """A dry run's price. Raises UnexpectedResponseError, with `.job` if a job was made."""
    payload, job_id = _paid_reply(reply)
    if job_id is not None:
        error = UnexpectedResponseError(
            f"the dry run was answered with job {job_id}, which the server may have charged for"
        )
        error.job = _lenient_job(job_id, json_object(payload, "job"))
        raise error
    parsed = _parsed(DryRunResponse, payload)
    cost = amount_or_none(parsed.creative_units_cost)
    if cost is None:
        raise UnexpectedResponseError("the server's estimate names no price")
    details = given(parsed.cost_details)
    prices = (
        {key: number_or_none(value) for key, value in details.to_dict().items()} if details else {}
    )
    return Estimate(
        creative_units=cost,
        discount=number_or_none(parsed.creative_units_discount) or 0.0,
        details={key: value for key, value in prices.items() if value is not None},
    )


def parse_asset(asset_id: str, reply: Reply) -> Asset:
    """The asset of this id, with its URL."""
    payload = parse_reply(reply)
    parsed = given(_parsed(AssetResponse, payload).asset)
    named = given(parsed.url) if parsed else None
    url = url_or_none(named)
    if parsed is None or not named:
        raise UnexpectedResponseError(f"the server's reply for asset {asset_id} has no URL")
    if url is None:
        shown = printable(bare_url(str(named)), 80)
        raise UnexpectedResponseError(f"the server's URL of asset {asset_id} is wrong: {shown!r}")
    if text_or_none(parsed.id) not in {asset_id, None}:
        raise UnexpectedResponseError(f"asked for asset {asset_id}, but got another one")
    known = given(parsed.properties)
    return Asset(
        id=asset_id,
        url=url,
        mime_type=text_or_none(parsed.mime_type) or "",
        size=count_or_none(known.size) if known else None,
        width=count_or_none(known.width) if known else None,
        height=count_or_none(known.height) if known else None,
        frames=count_or_none(known.nb_frames) if known else None,
        frame_rate=amount_or_none(known.frame_rate) if known else None,
        duration=amount_or_none(known.duration) if known else None,
        raw=json_object(payload, "asset"),
    )


def parse_upload(reply: Reply) -> Upload:
    """An upload."""
    parsed = given(_parsed(UploadResponse, parse_reply(reply)).upload)
    upload_id = _id_or_none(parsed.id) if parsed else None
    if parsed is None or upload_id is None:
        raise UnexpectedResponseError("the server's upload has no id")
    parts = [
        Part(count_or_none(part.number) or 0, url_or_none(part.url) or "")
        for part in given(parsed.parts) or ()
    ]
    return Upload(
        id=upload_id,
        status=printable(text_or_none(parsed.status) or "unknown"),
        asset_id=_id_or_none(parsed.entity_id),
        error=text_or_none(parsed.error_message),
        parts=tuple(parts),
    )
