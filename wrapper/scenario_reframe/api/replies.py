"""Reads a reply: its JSON object, or the error that it means. No I/O."""

from collections.abc import Mapping
from typing import Any

from scenario_reframe.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from scenario_reframe.flow.steps import Reply

from .json_reading import read_json
from .json_values import count_or_none, http_date, json_object, number_or_none, text_or_none
from .sanitize import printable

_BY_STATUS: dict[int, tuple[type[ApiError], str]] = {
    401: (AuthenticationError, "check SCENARIO_API_KEY and SCENARIO_API_SECRET"),
    403: (PermissionDeniedError, "the key, its project or its plan does not allow it"),
    404: (NotFoundError, "nothing has this id, or this key may not see it"),
    429: (RateLimitedError, "too many at once; wait for running jobs to end"),
}
# Errors of the application, the gateway and others name their reason differently. The vendor's own
# plug-in reads them in this order.
_REASONS = ("reason", "message", "error", "detail")
_MAX_RETRY_AFTER = 86_400.0  # seconds; more is the server's mistake
_REQUEST_IDS = ("x-amzn-requestid", "x-amz-apigw-id", "x-amz-cf-id", "x-request-id")


def parse_reply(reply: Reply) -> dict[str, Any]:
    """The JSON object of a 2xx reply.

    Raises ApiError for every other status, UnexpectedResponseError for anything but an object.
    """
    if not 200 <= reply.status < 300:  # noqa: PLR2004
        raise api_error(reply)
    payload = read_json(reply.content)
    if not isinstance(payload, dict):
        start = printable(reply.content[:200].decode("utf-8", "replace"), 60)
        raise UnexpectedResponseError(
            f"the server answered {reply.status} with no JSON object: {start!r}"
        )
    return payload


def api_error(reply: Reply) -> ApiError:
    """The error for a reply that is not 2xx."""
    payload = read_json(reply.content)
    body = payload if isinstance(payload, dict) else {}
    reason = _reason(body) or _plain_text(reply.content)
    kind, advice = _BY_STATUS.get(reply.status, (ApiError, ""))
    if reply.status >= 500:  # noqa: PLR2004
        kind, advice = ServerError, "the server or its gateway failed"
    if 300 <= reply.status < 400:  # noqa: PLR2004
        advice = "redirects are not followed; check the base URL"
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
        error.limit = count_or_none(json_object(body, "details").get("actionLimit"))
    return error


def retry_after(headers: Mapping[str, str], body: Mapping[str, Any]) -> float | None:
    """Seconds to wait, by `Retry-After` (seconds or a date) or the body's `remainingSeconds`."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = number_or_none(float(value))
    except ValueError:
        seconds = _until(value, headers.get("date"))
    if seconds is None:
        seconds = number_or_none(body.get("remainingSeconds"))
    return None if seconds is None else min(max(seconds, 0.0), _MAX_RETRY_AFTER)


def _until(value: str, date: str | None) -> float | None:
    until, now = http_date(value), http_date(date)
    return (until - now).total_seconds() if until and now else None


def _reason(body: Mapping[str, Any]) -> str:
    for key in _REASONS:
        found = body.get(key)
        if isinstance(found, dict):
            found = found.get("message")
        if reason := text_or_none(found):
            return reason
    return ""


def _plain_text(content: bytes) -> str:
    text = printable(content[:2000].decode("utf-8", "replace"), 200)
    return "a page of HTML instead of JSON" if text.startswith("<") else text


def _request_id(headers: Mapping[str, str], body: Mapping[str, Any]) -> str | None:
    found = [headers.get(name) for name in _REQUEST_IDS]
    found += [body.get(key) for key in ("trace_id", "traceId")]
    return next((text for item in found if (text := text_or_none(item, 100))), None)
