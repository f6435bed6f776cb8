"""Check that schemas of replies are open, as the generated code raises on unknown values."""

from collections.abc import Iterator
from typing import Any

from .errors import SpecError

_CLOSED_KEYWORDS = ("enum", "const")
_DATES = ("date", "date-time")


def check_replies(spec: dict[str, Any]) -> None:
    """Raise SpecError if a reply allows known values only: a new one could lose a paid job."""
    for path in spec["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                for keyword in _closed_values(operation.get("responses", {}), spec, set()):
                    raise SpecError(
                        f"a reply of {operation.get('operationId')} has {keyword}: in replies, "
                        "leave values open, and list the known ones in the description"
                    )


def _closed_values(part: Any, spec: dict[str, Any], seen: set[str]) -> Iterator[str]:
    """The keywords of a part of the spec, or of its references, that close values or are dates."""
    if isinstance(part, list):
        for one in part:
            yield from _closed_values(one, spec, seen)
    if not isinstance(part, dict):
        return
    reference = part.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        seen.add(reference)
        yield from _closed_values(_resolved(spec, reference), spec, seen)
    for key in _CLOSED_KEYWORDS:
        if key in part and not isinstance(part[key], dict):
            yield f"{key!r}: {part[key]!r}"
    if part.get("format") in _DATES:
        yield f"'format': {part['format']!r}"
    for key, value in part.items():
        if key not in {"example", "examples", "links"}:
            yield from _closed_values(value, spec, seen)


def _resolved(spec: dict[str, Any], reference: str) -> Any:
    found: Any = spec
    for key in reference.removeprefix("#/").split("/"):
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found
