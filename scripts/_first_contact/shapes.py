"""The shape of a response, and how an echo differs from what was sent. No I/O."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "text"))
WORDS = frozenset({"null", "empty text", "[]", *(word for _, word in _TYPES)})
_ROUNDING = 1e-6  # the loss when a number is stored as float32
_REASONS = ("reason", "message", "error", "detail")


def shape(value: Any) -> Any:
    """The keys and types of JSON, without its values; for a list, those of its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else "[]"
    if value == "":
        return "empty text"
    return next((word for kind, word in _TYPES if isinstance(value, kind)), "null")


def echo(sent: Mapping[str, Any], echoed: Mapping[str, Any]) -> dict[str, str]:
    """How each sent key is echoed: same, same number in another type, text changed, ..."""
    return {
        key: compare(value, echoed[key]) if key in echoed else "missing"
        for key, value in sent.items()
    }


def compare(sent: Any, echoed: Any) -> str:
    """How one value is echoed."""
    if type(sent) is type(echoed) and sent == echoed:
        return "same"
    if isinstance(sent, bool) or isinstance(echoed, bool):
        return f"other ({shape(echoed)})"
    if isinstance(sent, int | float):
        return _number(sent, echoed)
    if isinstance(sent, str) and isinstance(echoed, str):
        return _text(sent, echoed)
    return f"other ({shape(echoed)})"


def _number(sent: float, echoed: Any) -> str:
    try:
        found = float(echoed)
    except (TypeError, ValueError, OverflowError):
        return f"other ({shape(echoed)})"
    if found == sent:
        return f"same number in another type ({shape(echoed)})"
    if math.isclose(found, sent, rel_tol=_ROUNDING):
        return f"same number, rounded ({echoed})"
    return f"other ({echoed})"


def _text(sent: str, echoed: str) -> str:
    if " ".join(sent.split()) == " ".join(echoed.split()):
        return "text changed (spaces only)"
    if sent in echoed:
        return "text changed (it contains what was sent)"
    return "text changed"


def job_id_of(payload: Any) -> str | None:
    """The job's id in a response, at any of the documented positions."""
    inner = object_at(payload, "job")
    found = (inner.get("jobId"), inner.get("id"), object_at({"": payload}, "").get("jobId"))
    return next((item for item in found if isinstance(item, str) and item), None)


def input_of(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The echoed input of a job, None if there is none."""
    found = object_at(job, "metadata").get("input")
    return found if isinstance(found, dict) else None


def object_at(payload: Any, key: str) -> Mapping[str, Any]:
    """The object under a key, or an empty one."""
    found = payload.get(key) if isinstance(payload, dict) else None
    return found if isinstance(found, dict) else {}


def objects_at(payload: Any, key: str) -> list[Mapping[str, Any]]:
    """The objects in the list under a key, or none."""
    found = payload.get(key) if isinstance(payload, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def price_of(payload: Any) -> float | None:
    """The price in a dry run's response, in creative units."""
    found = payload.get("creativeUnitsCost") if isinstance(payload, dict) else None
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    return float(found) if math.isfinite(found) else None


def reason_of(payload: Any) -> str:
    """An error's message, with its key."""
    for key in _REASONS:
        found = payload.get(key) if isinstance(payload, dict) else None
        if isinstance(found, str) and found:
            return f"{key}: {found}"
    return "none"


def parse_time(text: object) -> datetime | None:
    """Parse ISO 8601 or an HTTP date; None if it is neither."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = parse(str(text))
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def seconds_between(first: object, second: object) -> float | None:
    """The seconds from the first time to the second, or None if one cannot be parsed."""
    begin, end = parse_time(first), parse_time(second)
    return round((end - begin).total_seconds(), 3) if begin and end else None
