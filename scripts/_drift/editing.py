"""Edit the settings in the spec's text, and leave every other line as it is. No I/O."""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from _generate.errors import SpecError
from _generate.settings_table import REQUEST_SCHEMA

from .schema import KEYWORDS, Schema
from .spec import with_settings

_PATH = ("components", "schemas", REQUEST_SCHEMA, "properties")
_WHOLE_LINES = 1_000_000


def edited(text: str, wanted: Mapping[str, Schema | None]) -> str:
    """The spec's text with these settings revised, added at the end, or (None) removed.

    Only the blocks of these settings are written anew, with their comments: ruamel.yaml would
    rewrite the spaces within `{ }` all over the file. Raises SpecError if that cannot be done.
    """
    root = _yaml().load(text)
    schemas = root
    for key in _PATH:
        schemas = schemas[key]
    lines = text.splitlines(keepends=True)
    spans = _spans(schemas, lines)
    end = max(stop for _, stop in spans.values())
    edits: list[tuple[int, int, str]] = []
    added = ""
    for name, schema in wanted.items():
        node = schemas.get(name, CommentedMap())
        block = "" if schema is None else _block(name, _updated(node, schema))
        if name in spans:
            edits.append((*spans[name], block))
        else:
            added += block
    # From the end, so that line numbers hold.
    for start, stop, block in sorted([*edits, (end, end, added)], reverse=True):
        lines[start:stop] = [block]
    made = "".join(lines)
    _check(text, made, wanted)
    return made


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WHOLE_LINES
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _spans(schemas: CommentedMap, lines: Sequence[str]) -> dict[str, tuple[int, int]]:
    """First line of each setting and the one after its last, without what trails it."""
    spans = {}
    for name in schemas:
        start, column = schemas.lc.key(name)
        stop = start + 1
        while stop < len(lines) and (not _content(lines[stop]) or _indent(lines[stop]) > column):
            stop += 1
        spans[name] = start, _without_trail(lines, start, stop)
    return spans


def _without_trail(lines: Sequence[str], start: int, stop: int) -> int:
    """Blank lines and comments behind a setting belong to what follows it."""
    while stop > start + 1 and not _content(lines[stop - 1]):
        stop -= 1
    return stop


def _content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _updated(node: CommentedMap, schema: Schema) -> CommentedMap:
    for key in [key for key in node if key not in schema]:
        del node[key]
    for key, value in schema.items():
        if (
            key in node
            and node[key] == value
            and isinstance(node[key], bool) == isinstance(value, bool)
        ):
            continue
        if key in node:
            node[key] = _written(value)
        else:
            node.insert(_place(node, key), key, _written(value))
    return node


def _place(node: CommentedMap, key: str) -> int:
    """Behind the last keyword that the spec writes before this one."""
    before = set(KEYWORDS[: KEYWORDS.index(key)])
    return max((index + 1 for index, other in enumerate(node) if other in before), default=0)


def _written(value: Any) -> Any:
    if isinstance(value, list):
        written = CommentedSeq([_written(item) for item in value])
        written.fa.set_flow_style()
        return written
    if isinstance(value, str) and not _is_plain(value):
        return DoubleQuotedScalarString(value)
    return value


def _is_plain(text: str) -> bool:
    """Whether every YAML reads it as this text, unquoted; for YAML 1.1, 16:9 is a number."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = "1.1"
    try:
        with warnings.catch_warnings(action="ignore"):
            return bool(yaml.load(f"[{text}]") == [text])
    except YAMLError:
        return False


def _block(name: str, node: CommentedMap) -> str:
    """The setting's lines, dumped at their depth so that comments keep their columns."""
    nested: Any = {name: node}
    for key in reversed(_PATH):
        nested = {key: nested}
    stream = io.StringIO()
    _yaml().dump(nested, stream)
    lines = stream.getvalue().splitlines(keepends=True)[len(_PATH) :]
    return "".join(lines[: _without_trail(lines, 0, len(lines))])


def _check(before: str, after: str, wanted: Mapping[str, Schema | None]) -> None:
    """Raise SpecError unless the new text says exactly what was wanted."""
    safe = YAML(typ="safe")
    expected = with_settings(safe.load(before), wanted)
    try:
        same = safe.load(after) == expected
    except YAMLError:
        same = False
    if not same:
        raise SpecError(
            f"the settings of {REQUEST_SCHEMA} are not written as a block, one keyword a line, so"
            " they cannot be edited here: edit them by hand"
        )
