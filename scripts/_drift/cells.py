"""Read a row of the vendor's table of parameters. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scenario_reframe.api.sanitize import printable
from scenario_reframe.drift.vendor_settings import Limits, StatedSetting

from .errors import SourceError

_TYPES = {"assetid": "file", "assetid[]": "file_array"}
_DASHES = {"", "-", "\u2013", "\u2014"}
_EMPTY_WORDS = _DASHES | {"none", "n/a"}
_YES = {"yes", "true", "required", "✓", "✅"}
_NO = _EMPTY_WORDS | {"no", "false", "optional"}


@dataclass(frozen=True)
class Cell:
    """A cell's text without its markup, and the parts of it in backticks."""

    text: str
    codes: tuple[str, ...] = ()


CellsByColumn = Mapping[str, Cell]
_EMPTY = Cell("")


def read_row(row: CellsByColumn) -> StatedSetting:
    """Parse a row into a setting; columns are named in lower case. Raises SourceError."""
    name = printable(row["parameter"].text, 200)
    if not name:
        raise SourceError("a row of the parameters' table has no name")
    written = row.get("type", _EMPTY).text.lower()
    kind = _TYPES.get(written, printable(written, 100))
    if kind in _EMPTY_WORDS:
        raise SourceError(f"the parameters' table has no type for {name}")
    numeric = kind == "number"
    return StatedSetting(
        name=name,
        type=kind,
        default=_default(name, kind, row.get("default", _EMPTY)),
        limits=_limits(name, row) if numeric else None,
        choices=_choices(name, kind, row) if kind in {"number", "string"} else (),
        required=row.get("required", _EMPTY).text.lower() in _YES,
        description=printable(row.get("description", _EMPTY).text, 2000),
    )


def required_note(row: CellsByColumn) -> str | None:
    """A note if the row's `required` cell is neither yes nor no."""
    text = row.get("required", _EMPTY).text
    if text.lower() in _YES | _NO:
        return None
    return f"{printable(row['parameter'].text, 200)} is required: {printable(text, 200)!r}"


def _limits(name: str, row: CellsByColumn) -> Limits:
    low, high = (row.get(column, _EMPTY).text for column in ("min", "max"))
    return _number(name, "min", low), _number(name, "max", high)


def _default(name: str, kind: str, cell: Cell) -> Any:
    text = _unquoted(cell.text)
    if cell.text in _DASHES:
        return None
    if kind == "number":
        return _number(name, "default", text)
    if kind == "boolean":
        if text.lower() not in {"true", "false", "yes", "no"}:
            raise SourceError(
                f"the default of {name} is {printable(text, 40)!r}, which is not a boolean"
            )
        return text.lower() in {"true", "yes"}
    return printable(text)


def _number(name: str, column: str, text: str) -> Any:
    if text.lower() in _EMPTY_WORDS:
        return None
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise SourceError(
            f"the {column} of {name} is {printable(text, 40)!r}, which is not a number"
        )
    return int(found) if isinstance(found, float) and found.is_integer() else found


def _refuse_constant(text: str) -> float:
    raise ValueError(text)


def _choices(name: str, kind: str, row: CellsByColumn) -> tuple[Any, ...]:
    cell = row.get("allowed values", _EMPTY)
    if cell.text.lower() in _DASHES | {"any"}:
        return ()
    texts = cell.codes or (cell.text.strip("[]"),)
    parts = [_unquoted(part.strip()) for text in texts for part in text.split(",")]
    values = [printable(part) for part in parts if part]
    return tuple(_number(name, "allowed value", part) if kind == "number" else part
                 for part in values)  # fmt: skip


def _unquoted(text: str) -> str:
    for quote in ('"', "'"):
        if len(text) > 1 and text[0] == text[-1] == quote:
            return text[1:-1]
    return text
