"""Reads a batch's manifest, CSV or JSON lines, into items and faults with line numbers."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from attrs import frozen

from scenario_reframe.batch import BatchItem
from scenario_reframe.errors import InvalidInputError
from scenario_reframe.video import is_asset_id, is_url
from scenario_reframe_api.settings import SETTINGS, Setting

from .flags import number_or_text

SUFFIXES = (".csv", ".jsonl", ".ndjson")

SETTING_ROWS = {row.name: row for row in SETTINGS}
_DELIMITERS = ",;\t"
_SAVE_AS = "save the file as UTF-8"
_MISSING = "video: missing; every row needs one"
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

LineFault = tuple[int, str]


@frozen
class Manifest:
    """A manifest's items, the line of each (from 1), and its faults (line and text).

    A row that cannot be read has a fault and no item; one whose video is missing has a fault and
    an item whose video is "".
    """

    path: Path
    items: Sequence[BatchItem]
    lines: Sequence[int]
    faults: Sequence[LineFault]


def read_manifest(path: Path) -> Manifest:
    """Read a CSV file (`.csv`) or JSON lines (`.jsonl`, `.ndjson`), in UTF-8.

    Videos are relative to its folder. Raises InvalidInputError if the file cannot be opened.
    """
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise InvalidInputError(f"{path} cannot be read: {fault.strerror}") from fault
    faults: list[LineFault] = []
    text = _decoded(content, faults)
    read = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
    rows = list(read(text, faults)) if text is not None else []
    if not rows and not faults:
        faults.append((1, "the file has no rows"))
    items = [_item(fields, path.parent) for _, fields in rows]
    faults.sort(key=lambda fault: fault[0])
    return Manifest(path, items, [line for line, _ in rows], faults)


def is_remote(video: Any) -> bool:
    """Whether it is a URL or an asset's id, not a path."""
    return is_url(video) or is_asset_id(video)


def field_name(written: str) -> str | None:
    """The field that a column or flag names, in snake_case, kebab-case or as the API spells it."""
    return _NAMES.get(_folded(written))


def parse_value(row: Setting, text: str) -> Any:
    """A cell's text converted to the setting's kind; unchanged if that fails."""
    if row.kind == "boolean":
        return _BOOLEANS.get(text.lower(), text)
    return number_or_text(text, {"integer": int, "number": float}.get(row.kind))


def unknown_name(written: str, what: str) -> str:
    """The message for an unknown column, key or setting, with the name it may have meant."""
    close = get_close_matches(_folded(written), _NAMES, n=1)
    hint = f"did you mean {_NAMES[close[0]]}?" if close else f"known: {', '.join(_FIELDS)}"
    return f"{written[:80]}: no such {what}; {hint}"


def _folded(name: str) -> str:
    """A name without case and separators."""
    return re.sub(r"[-_\s]", "", name).lower()


_FIELDS = ("video", "output", *SETTING_ROWS)
_NAMES = {_folded(name): name for name in _FIELDS} | {
    _folded(row.wire): row.name for row in SETTINGS
}


def _decoded(content: bytes, faults: list[LineFault]) -> str | None:
    """The file's text; None, and a fault, if it is not UTF-8 text."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        faults.append((1, f"the file is UTF-16; {_SAVE_AS}"))
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        faults.append((line, f"byte 0x{content[fault.start]:02x} is not UTF-8; {_SAVE_AS}"))
        return None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        faults.append((line, f"the file contains a NUL character; {_SAVE_AS}"))
        return None
    return text


def _csv_rows(text: str, faults: list[LineFault]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row's first line and its fields."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = "," if "," in header else max(_DELIMITERS, key=header.count)
    # newline="": the reader itself tells line ends in quotes from those between rows.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str | None] | None = None
    for line, cells in _csv_lines(reader, faults):
        if names is None:
            names = _columns(line, cells, faults)
        elif len(cells) != len(names):
            faults.append((line, f"{len(cells)} cells, but the header has {len(names)}"))
        else:
            faults += [
                (line, f"cell {number}: {cell[:80]!r} is in a column without a name")
                for number, (name, cell) in enumerate(zip(names, cells, strict=True), 1)
                if name == "" and cell
            ]
            fields = _typed_cells(names, cells)
            if "video" in names and "video" not in fields:
                faults.append((line, _MISSING))
            yield line, fields


def _csv_lines(reader: Any, faults: list[LineFault]) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its first line; a quoted cell may span several lines."""
    while True:
        line = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as fault:
            faults.append((line, f"not valid CSV: {fault}"))
            continue
        if any(cells):
            yield line, cells


def _columns(line: int, cells: Sequence[str], faults: list[LineFault]) -> list[str | None]:
    """The field of each column: None for an unknown one, "" for one without a name."""
    names = ["" if not cell else field_name(cell) for cell in cells]
    faults += [
        (line, unknown_name(cell, "column"))
        for cell, name in zip(cells, names, strict=True)
        if name is None
    ]
    faults += [(line, f"{name}: duplicate column") for name in _duplicates(names)]
    if "video" not in names:
        faults.append((line, "video: the column is missing"))
    return names


def _duplicates(names: Iterable[str | None]) -> list[str]:
    listed = [name for name in names if name]
    return sorted({name for name in listed if listed.count(name) > 1})


def _typed_cells(names: Sequence[str | None], cells: Sequence[str]) -> dict[str, Any]:
    """The converted cells; empty ones are left out."""
    given = {name: cell for name, cell in zip(names, cells, strict=True) if name and cell}
    return {
        name: parse_value(SETTING_ROWS[name], cell) if name in SETTING_ROWS else cell
        for name, cell in given.items()
    }


def _json_rows(text: str, faults: list[LineFault]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's fields. Lines end at LF only: a JSON string may contain other separators."""
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            pairs = _pairs_of(content)
        except (ValueError, RecursionError) as fault:
            faults.append((line, f"not valid JSON: {getattr(fault, 'msg', fault)}"))
            continue
        if pairs is None:
            faults.append((line, "not a JSON object"))
            continue
        yield line, _keyed(line, pairs, faults)


def _pairs_of(content: str) -> list[tuple[str, Any]] | None:
    """An object's pairs as written, duplicate keys included; None if it is not an object."""
    pairs: list[tuple[str, Any]] = []

    def collect(found: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = found  # the outermost object comes last
        return dict(found)

    return pairs if isinstance(json.loads(content, object_pairs_hook=collect), dict) else None


def _keyed(line: int, pairs: Sequence[tuple[str, Any]], faults: list[LineFault]) -> dict[str, Any]:
    """The fields of one line; those that are null are left out."""
    named = [("extra" if key == "extra" else field_name(key), key, value) for key, value in pairs]
    faults += [(line, unknown_name(key, "key")) for name, key, _ in named if name is None]
    faults += [(line, f"{name}: duplicate key") for name in _duplicates(name for name, *_ in named)]
    fields = {name: value for name, _, value in named if name and value is not None}
    if fields.get("video", "") == "":
        faults.append((line, _MISSING))
    return fields


def _item(fields: Mapping[str, Any], folder: Path) -> BatchItem:
    """The item of a row; a relative path starts at the manifest's folder."""
    video = fields.get("video", "")
    if isinstance(video, str) and video and not is_remote(video):
        video = str(folder / video)
    settings = {name: value for name, value in fields.items() if name in SETTING_ROWS}
    return BatchItem(video, fields.get("output"), settings, fields.get("extra", {}))
