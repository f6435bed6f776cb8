"""Reads single values from JSON in which anything may be of any type. No I/O."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from scenario_reframe_api.types import Unset

from .sanitize import printable

T = TypeVar("T")


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


def int_or_none(value: object) -> int | None:
    """A number without its fraction, or None."""
    found = number_or_none(value)
    return None if found is None else int(found)


def text_or_none(value: object, limit: int = 500) -> str | None:
    """A text that is not empty, made printable, or None."""
    return (printable(value, limit) or None) if isinstance(value, str) else None


def url_or_none(value: object) -> str | None:
    """A URL as it came, or None."""
    return value if isinstance(value, str) and value else None


def datetime_or_none(value: object) -> datetime | None:
    """A datetime from ISO 8601, or None; UTC if it names no offset.

    None for one before 1970: some servers write the year 1 for an unknown time.
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
    """A datetime from an HTTP date, or None."""
    try:
        found = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
