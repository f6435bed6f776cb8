"""Read JSON from a server that may send anything. No I/O."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from scenario_reframe_api.types import Unset

from .errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from .flow import Reply
from .text import printable, unsigned

T = TypeVar("T")

_BY_STATUS: dict[int, tuple[type[ApiError], str]] = {
    401: (AuthenticationError, "look at SCENARIO_API_KEY and SCENARIO_API_SECRET"),
    403: (PermissionDeniedError, "the key, its project or its plan does not allow it"),
    404: (NotFoundError, "there is none of this id, or none that this key may see"),
    429: (RateLimitedError, "too many at once; wait for running jobs to end"),
}
# Application, gateway and other errors name their reason differently (read in this order by the
# vendor's own plug-in).
_REASONS = ("reason", "message", "error", "detail")
_LONGEST_WISH = 86_400.0  # seconds; more is a fault of the server's
_REQUEST_IDS = ("x-amzn-requestid", "x-amz-apigw-id", "x-amz-cf-id", "x-request-id")


def given(value: T | Unset) -> T | None:
    """The value, or None where the generated code says UNSET."""
    return None if isinstance(value, Unset) else value


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: object) -> int | None:
    """A number without its fraction, or None."""
    found = number(value)
    return None if found is None else int(found)


def text_or_none(value: object, limit: int = 500) -> str | None:
    """A text that is not empty, fit to show and without signed URLs, or None."""
    return (printable(unsigned(value), limit) or None) if isinstance(value, str) else None


def url_or_none(value: object) -> str | None:
    """A URL as it came, or None."""
    return value if isinstance(value, str) and value else None


def moment(value: object) -> datetime | None:
    """An instant from ISO 8601, or None; without an offset it counts as UTC.

    One from before 1970 is none: some servers write the year 1 for a time that is not known.
    """
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    if found.year < 1970:  # noqa: PLR2004
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def record(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under a key, or an empty one."""
    found = payload.get(key)
    return found if isinstance(found, dict) else {}


def without_nulls(value: Any) -> Any:
    """The same JSON in which a null is an absence, which is what the generated code can read."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    return value


def parse_reply(reply: Reply) -> dict[str, Any]:
    """The JSON object of a 2xx reply.

    Raises ApiError for every other status, UnexpectedResponseError for anything but an object.
    """
    if not 200 <= reply.status < 300:  # noqa: PLR2004
        raise api_error(reply)
    payload = _json(reply.content)
    if not isinstance(payload, dict):
        start = printable(unsigned(reply.content[:200].decode("utf-8", "replace")), 60)
        raise UnexpectedResponseError(
            f"the server answered {reply.status} with something else than a JSON object: {start!r}"
        )
    return payload


def api_error(reply: Reply) -> ApiError:
    """The error for a reply that is not 2xx."""
    payload = _json(reply.content)
    body = payload if isinstance(payload, dict) else {}
    reason = _reason(body) or _prose(reply.content)
    kind, advice = _BY_STATUS.get(reply.status, (ApiError, ""))
    if reply.status >= 500:  # noqa: PLR2004
        kind, advice = ServerError, "the server or its gateway failed"
    if 300 <= reply.status < 400:  # noqa: PLR2004
        advice = "redirects are not followed; is the base URL right?"
    request_id = _request_id(reply.headers, body)
    parts = [
        f"the server answered {reply.status}",
        f": {reason}" if reason else "",
        f" ({advice})" if advice else "",
        f" [request {request_id}]" if request_id else "",
    ]
    error = kind(
        "".join(parts),
        status_code=reply.status,
        reason=reason,
        request_id=request_id,
        body=payload if payload is not None else reply.content.decode("utf-8", "replace"),
    )
    error.retry_after = retry_after(reply.headers, body)
    if isinstance(error, RateLimitedError):
        error.limit = whole(record(body, "details").get("actionLimit"))
    return error


def retry_after(headers: Mapping[str, str], body: Mapping[str, Any]) -> float | None:
    """Seconds to wait: `Retry-After` (seconds or a date), else the body's `remainingSeconds`."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = number(float(value))
    except ValueError:
        seconds = _until(value, headers.get("date"))
    if seconds is None:
        seconds = number(body.get("remainingSeconds"))
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_WISH)


def iso(moment: datetime) -> str:
    """ISO 8601 with milliseconds, as the API writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(value: str | None) -> datetime | None:
    """An instant from an HTTP date, or None."""
    try:
        found = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _until(value: str, date: str | None) -> float | None:
    until, now = http_date(value), http_date(date)
    return (until - now).total_seconds() if until and now else None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _reason(body: Mapping[str, Any]) -> str:
    for key in _REASONS:
        found = body.get(key)
        if isinstance(found, dict):
            found = found.get("message")
        if reason := text_or_none(found):
            return reason
    return ""


def _prose(content: bytes) -> str:
    text = printable(unsigned(content[:2000].decode("utf-8", "replace")), 200)
    return "a page of HTML instead of JSON" if text.startswith("<") else text


def _request_id(headers: Mapping[str, str], body: Mapping[str, Any]) -> str | None:
    found = [headers.get(name) for name in _REQUEST_IDS]
    found += [body.get(key) for key in ("trace_id", "traceId")]
    return next((text for item in found if (text := text_or_none(item, 100))), None)
