"""Reads a batch's manifest, CSV or JSON lines, into items and faults with line numbers."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from stat import S_ISREG
from typing import Any

from attrs import frozen

from scenario_reframe.api.sanitize import printable
from scenario_reframe.batch import BatchItem
from scenario_reframe.errors import InvalidInputError
from scenario_reframe.video import is_asset_id, is_url
from scenario_reframe_api.settings import SETTINGS, Setting

from .flags import json_problem, number_or_text

SUFFIXES = (".csv", ".jsonl", ".ndjson")

SETTING_ROWS = {row.name: row for row in SETTINGS}
MOST_LINES = 100_000
_MOST_BYTES = 64 * 2**20
_MOST_FIELDS = 200  # of a row: far more than there are settings
_LONGEST_NAME = 80
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

    Videos are relative to its folder. Raises InvalidInputError if the file cannot be read, or is
    larger than 64 MiB.
    """
    content = _content_of(path)
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


def unknown_name(written: str, what: str, known: Iterable[str] = ()) -> str:
    """The message for an unknown column, key or setting, with the name it may have meant.

    `known`: the names there are; by default all fields of a row.
    """
    names = {_folded(name): name for name in known} or _NAMES
    short = written[:_LONGEST_NAME]
    close = get_close_matches(_folded(short), names, n=1)
    hint = f"did you mean {names[close[0]]}?" if close else f"known: {', '.join(known or _FIELDS)}"
    return f"{printable(short) or ascii(short)}: no such {what}; {hint}"


def _folded(name: str) -> str:
    """A name without case and separators."""
    return re.sub(r"[-_\s]", "", name).lower()


_FIELDS = ("video", "output", *SETTING_ROWS)
_NAMES = {_folded(name): name for name in _FIELDS} | {
    _folded(row.wire): row.name for row in SETTINGS
}


def _content_of(path: Path) -> bytes:
    """The bytes of a regular file: a device or a FIFO may never end."""
    try:
        if not S_ISREG(path.stat().st_mode):
            raise InvalidInputError(f"{path} is not a regular file")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as fault:
        raise InvalidInputError(f"{path} cannot be read: {fault.strerror}") from fault
    if len(content) > _MOST_BYTES:
        size = f"{_MOST_BYTES // 2**20} MiB"
        raise InvalidInputError(f"{path} is larger than {size}; make several manifests of it")
    return content


def _decoded(content: bytes, faults: list[LineFault]) -> str | None:
    """The file's text; None, and a fault, if it is not UTF-8 text, or has too many lines."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        faults.append((1, f"the file is UTF-16; {_SAVE_AS}"))
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = _line_ends(content[: fault.start].decode("latin-1")) + 1
        faults.append((line, f"byte 0x{content[fault.start]:02x} is not UTF-8; {_SAVE_AS}"))
        return None
    lines = _line_ends(text)
    if lines > MOST_LINES:
        text = f"{lines:,} lines; a manifest has at most {MOST_LINES:,}: make several of it"
        faults.append((MOST_LINES + 1, text))
        return None
    if "\0" in text:
        line = _line_ends(text[: text.index("\0")]) + 1
        faults.append((line, f"the file contains a NUL character; {_SAVE_AS}"))
        return None
    return text


def _line_ends(text: str) -> int:
    """How many lines end in a text with the line ends of one system: LF, CR LF or CR."""
    return max(text.count("\n"), text.count("\r"))


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
            if len(names) > _MOST_FIELDS:
                return
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
            faults.append((line, f"not valid CSV: {_csv_problem(fault)}"))
            continue
        if any(cells):
            yield line, cells


def _csv_problem(fault: csv.Error) -> str:
    if "field limit" in str(fault):
        return f"a cell has more than {csv.field_size_limit():,} characters"
    return "a quoted cell has no end" if "end of data" in str(fault) else str(fault)


def _columns(line: int, cells: Sequence[str], faults: list[LineFault]) -> list[str | None]:
    """The field of each column: None for an unknown one, "" for one without a name."""
    names = ["" if not cell else field_name(cell) for cell in cells]
    if len(names) > _MOST_FIELDS:
        faults.append((line, f"{len(names):,} columns; a row has at most {_MOST_FIELDS}"))
        return names
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
    return sorted(name for name, count in Counter(names).items() if name and count > 1)


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
            faults.append((line, f"not valid JSON: {json_problem(fault)}"))
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
    if len(pairs) > _MOST_FIELDS:
        faults.append((line, f"{len(pairs):,} keys; a row has at most {_MOST_FIELDS}"))
        return {}
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
