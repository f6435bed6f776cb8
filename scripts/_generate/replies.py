"""What a reply's schema must not say, since the generated code would raise on a surprise."""

from collections.abc import Iterator
from typing import Any

from .errors import SpecError

_CLOSED = ("enum", "const")
_DATES = ("date", "date-time")


def check_replies(spec: dict[str, Any]) -> None:
    """Raise SpecError if a reply is held to known values: a new one could lose a paid job."""
    for path in spec["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                for where in _closed(operation.get("responses", {}), spec, set()):
                    raise SpecError(
                        f"a reply of {operation.get('operationId')} has {where}: in replies, leave "
                        "values open (the known ones go into the description)"
                    )


def _closed(part: Any, spec: dict[str, Any], seen: set[str]) -> Iterator[str]:
    """Where a part of the spec, or what it refers to, names closed values or dates."""
    if isinstance(part, list):
        for one in part:
            yield from _closed(one, spec, seen)
    if not isinstance(part, dict):
        return
    reference = part.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        seen.add(reference)
        yield from _closed(_found(spec, reference), spec, seen)
    for key in _CLOSED:
        if key in part and not isinstance(part[key], dict):
            yield f"{key!r}: {part[key]!r}"
    if part.get("format") in _DATES:
        yield f"'format': {part['format']!r}"
    for key, value in part.items():
        if key not in {"example", "examples", "links"}:
            yield from _closed(value, spec, seen)


def _found(spec: dict[str, Any], reference: str) -> Any:
    found: Any = spec
    for key in reference.removeprefix("#/").split("/"):
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found
