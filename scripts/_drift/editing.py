"""Edit the settings in the spec's text and in its example, and keep all other lines. No I/O."""

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
from .spec import example_of, schemas_of, with_settings

_PATH = ("components", "schemas", REQUEST_SCHEMA, "properties")
_WHOLE_LINES = 1_000_000


def edited(text: str, new_schemas: Mapping[str, Schema | None]) -> str:
    """Return the spec's text with these settings revised, added at the end, or (None) removed.

    The example of a request follows. Only the blocks of these settings are rewritten, with their
    comments: ruamel.yaml would change the spaces within `{ }` in the whole file. Raises SpecError
    if that cannot be done.
    """
    root = _yaml().load(text)
    schemas: Any = schemas_of(root)
    example: Any = example_of(root)
    shown = example_of(with_settings(root, new_schemas))
    lines = text.splitlines(keepends=True)
    blocks = {
        name: "" if schema is None else _block(name, _updated(schemas.get(name), schema))
        for name, schema in new_schemas.items()
    }
    rows = {
        name: _row(name, shown.get(name), example)
        for name in new_schemas
        if example and not _same(example.get(name), shown.get(name))
    }
    # From the end, so that line numbers stay valid.
    edits = _edits(schemas, blocks, lines) + _edits(example, rows, lines)
    for start, stop, block in sorted(edits, reverse=True):
        lines[start:stop] = [block]
    result = "".join(lines)
    _check(text, result, new_schemas)
    return result


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WHOLE_LINES
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _edits(
    nodes: Any, blocks: Mapping[str, str], lines: Sequence[str]
) -> list[tuple[int, int, str]]:
    """First line, the one after the last, and what goes there; what is new goes to the end."""
    if not blocks:
        return []
    spans = _spans(nodes, lines)
    end = max(stop for _, stop in spans.values())
    added = "".join(block for name, block in blocks.items() if name not in spans)
    known = [(*spans[name], block) for name, block in blocks.items() if name in spans]
    return [*known, (end, end, added)]


def _spans(schemas: CommentedMap, lines: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The first line of each setting and the one after its last, by name."""
    spans = {}
    for name in schemas:
        start, column = schemas.lc.key(name)
        stop = start + 1
        while stop < len(lines) and (
            not _has_content(lines[stop]) or _indent(lines[stop]) > column
        ):
            stop += 1
        spans[name] = start, _trimmed_end(lines, start, stop)
    return spans


def _trimmed_end(lines: Sequence[str], start: int, stop: int) -> int:
    """The end without trailing blank lines and comments, which belong to the next setting."""
    while stop > start + 1 and not _has_content(lines[stop - 1]):
        stop -= 1
    return stop


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same to YAML, in which true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _updated(node: CommentedMap | None, schema: Schema) -> CommentedMap:
    """Change a setting's node to a schema, and keep the comments of what is equal."""
    node = CommentedMap() if node is None else node
    for key in [key for key in node if key not in schema]:
        del node[key]
    for key, value in schema.items():
        if key in node and _same(node[key], value):
            continue
        if key in node:
            node[key] = _yaml_value(value)
        else:
            node.insert(_position(node, key), key, _yaml_value(value))
    return node


def _position(node: CommentedMap, key: str) -> int:
    """The index after the last keyword that the spec writes before this one."""
    before = set(KEYWORDS[: KEYWORDS.index(key)])
    return max((index + 1 for index, other in enumerate(node) if other in before), default=0)


def _yaml_value(value: Any) -> Any:
    if isinstance(value, list):
        written = CommentedSeq([_yaml_value(item) for item in value])
        written.fa.set_flow_style()
        return written
    if isinstance(value, str) and not _is_plain(value):
        return DoubleQuotedScalarString(value)
    return value


def _is_plain(text: str) -> bool:
    """Whether every YAML version reads the unquoted text as text; 16:9 is a number in YAML 1.1."""
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
    return "".join(lines[: _trimmed_end(lines, 0, len(lines))])


def _row(name: str, value: Any, example: Any) -> str:
    """The line of the example that gives a setting this value; None: there is no such line."""
    if value is None:
        return ""
    stream = io.StringIO()
    _yaml().dump({name: _yaml_value(value)}, stream)
    row: str = " " * example.lc.col + stream.getvalue()
    return row


def _check(before: str, after: str, new_schemas: Mapping[str, Schema | None]) -> None:
    """Raise SpecError unless the new text has exactly these changes."""
    safe = YAML(typ="safe")
    expected = with_settings(safe.load(before), new_schemas)
    try:
        same = safe.load(after) == expected
    except YAMLError:
        same = False
    if not same:
        raise SpecError(
            f"the settings of {REQUEST_SCHEMA}, or their example, are not written as blocks with"
            " one keyword a line: edit them by hand"
        )
