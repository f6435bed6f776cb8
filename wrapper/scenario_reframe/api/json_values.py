"""Reads single values from JSON in which anything may be of any type. No I/O."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from scenario_reframe_api.types import Unset

from .json_reading import REPLACEMENT
from .sanitize import printable

T = TypeVar("T")

_YEARS = range(1970, 3000)
_LONGEST_URL = 8192
_PORTS = range(65_536)


def given(value: T | Unset) -> T | None:
    """The value, or None for the generated code's UNSET."""
    return None if isinstance(value, Unset) else value


def number_or_none(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def amount_or_none(value: object) -> float | None:
    """A finite number that is not below 0 (a price, seconds), or None."""
    found = number_or_none(value)
    return None if found is None or found < 0 else found


def count_or_none(value: object) -> int | None:
    """A number that is not below 0, without its fraction, or None."""
    found = amount_or_none(value)
    return None if found is None else int(found)


def text_or_none(value: object, limit: int = 500) -> str | None:
    """A text that is not empty, made printable, or None."""
    return (printable(value, limit) or None) if isinstance(value, str) else None


def url_or_none(value: object) -> str | None:
    """An http(s) URL as it came, or None if httpx could not use it.

    httpx reads some parts of a URL only when it sends a request, and the socket others, too.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_URL or REPLACEMENT in value:
        return None
    try:
        url = httpx.URL(value)
        is_http = url.scheme in {"http", "https"} and url.host != ""
        url.raw_host.decode("ascii").encode("idna")
    except (httpx.InvalidURL, ValueError):
        return None
    return value if is_http and (url.port or 0) in _PORTS else None


def datetime_or_none(value: object) -> datetime | None:
    """A datetime in UTC from ISO 8601, or None; UTC if it names no offset.

    None for one before 1970, too: some servers write the year 1 for an unknown time.
    """
    if not isinstance(value, str):
        return None
    try:
        return _plausible(datetime.fromisoformat(value))
    except ValueError:
        return None


def _plausible(time: datetime) -> datetime | None:
    """The time in UTC, or None if it is so far away that arithmetic with it may overflow."""
    try:
        found = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError:
        return None
    return found if found.year in _YEARS else None


def json_object(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The JSON object under a key, or an empty one."""
    found = payload.get(key)
    return found if isinstance(found, dict) else {}


def without_nulls(value: Any) -> Any:
    """The same JSON with nulls left out, since the generated code cannot read them."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    return value


def iso(time: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as the API writes it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(value: str | None) -> datetime | None:
    """A datetime in UTC from an HTTP date, or None."""
    try:
        return _plausible(parsedate_to_datetime(value or ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
