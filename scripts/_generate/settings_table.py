"""Read the request schema into one table of settings. No I/O."""

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import SpecError

REQUEST_SCHEMA = "ReframeRequest"
GENERATE_OPERATION = "generateReframe"

_KINDS = {"boolean": bool, "integer": int, "number": float, "string": str}
_KEYWORDS = {
    "boolean": {"type", "default", "description"},
    "integer": {"type", "default", "description", "minimum", "maximum"},
    "number": {"type", "default", "description", "minimum", "maximum"},
    "string": {"type", "default", "description", "minLength", "maxLength", "enum"},
}
_MARKS = {"x-input", "x-vendor-required"}

# Arguments of the methods that take **settings, and flags of the commands that take them. A setting
# with one of these names could not be passed; tests compare this list with the signatures.
RESERVED = frozenset(
    {
        "self", "video", "to", "key", "extra", "timeout", "overwrite", "settings",
        "on_update", "on_event", "on_progress", "items", "concurrency", "budget",
        "resubmit_after", "output", "json", "help", "version", "project_id", "base_url",
        "manifest", "ledger", "as_json", "connection", "resubmit", "after",
        "limit", "port", "yes", "quiet", "seeds", "each", "check", "sources",
    }
)  # fmt: skip


@dataclass(frozen=True)
class SettingRow:
    """One setting. `minimum` and `maximum` bound a number's value or a string's length."""

    name: str
    wire: str
    kind: str
    default: bool | int | float | str | None
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    description: str
    required: bool


def read_settings(spec: Mapping[str, Any]) -> tuple[list[SettingRow], str]:
    """Return the settings in the spec's order, and the wire name of the field for `video`."""
    properties = spec["components"]["schemas"][REQUEST_SCHEMA]["properties"]
    inputs = [wire for wire, schema in properties.items() if schema.get("x-input") == "video"]
    if len(inputs) != 1:
        raise SpecError(f"{REQUEST_SCHEMA} needs one property with `x-input: video`, has {inputs}")
    settings = [
        _setting_row(wire, schema) for wire, schema in properties.items() if wire not in inputs
    ]
    seen: dict[str, str] = {}
    for row in settings:
        if row.name in seen:
            raise SpecError(
                f"settings {seen[row.name]!r} and {row.wire!r} would both be named {row.name!r}"
                " in Python: rename one"
            )
        seen[row.name] = row.wire
    return settings, inputs[0]


def model_id(spec: Mapping[str, Any]) -> str:
    """The model's id: the last segment of the generate operation's path."""
    for path, operations in spec["paths"].items():
        if operations.get("post", {}).get("operationId") == GENERATE_OPERATION:
            return str(path).rsplit("/", 1)[1]
    raise SpecError(f"no operation is named {GENERATE_OPERATION!r}")


def python_name(wire: str) -> str:
    """`numFrames` becomes `num_frames`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", wire)
    return re.sub(r"\W", "_", spaced).lower()


def _setting_row(wire: str, schema: Mapping[str, Any]) -> SettingRow:
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SpecError(
            f"setting {wire!r} has the type {kind!r}, which is not supported; use one of"
            f" {', '.join(sorted(_KINDS))}"
        )
    unknown = set(schema) - _KEYWORDS[kind] - _MARKS
    if unknown:
        raise SpecError(
            f"setting {wire!r} uses {', '.join(map(repr, sorted(unknown)))}, which the generator"
            f" does not support for the type {kind!r}; it supports"
            f" {', '.join(sorted(_KEYWORDS[kind]))}. Remove it, or support it in scripts/_generate"
            " and in the validator in wrapper/scenario_reframe/settings.py"
        )
    name = python_name(wire)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise SpecError(f"setting {wire!r} would be named {name!r}, which Python does not allow")
    if name in RESERVED:
        raise SpecError(
            f"setting {wire!r} would be named {name!r}, which is already an argument of the client"
            " or a flag of the command line: remove it from the spec and send it with extra={...}"
        )
    row = SettingRow(
        name=name,
        wire=wire,
        kind=kind,
        default=schema.get("default"),
        minimum=schema.get("minLength" if kind == "string" else "minimum"),
        maximum=schema.get("maxLength" if kind == "string" else "maximum"),
        choices=tuple(schema.get("enum", ())),
        description=" ".join(schema.get("description", "").split()),
        required=schema.get("x-vendor-required") is True,
    )
    _check_consistent(row)
    return row


def _check_consistent(row: SettingRow) -> None:
    if not row.description:
        raise SpecError(f"setting {row.wire!r} has no description")
    if not all(isinstance(choice, str) for choice in row.choices):
        raise SpecError(f"setting {row.wire!r} has choices that are not strings: quote them")
    if row.minimum is not None and row.maximum is not None and row.minimum > row.maximum:
        raise SpecError(f"setting {row.wire!r} has a minimum above its maximum: correct one")
    if row.default is None:
        return
    if not _default_is_allowed(row):
        raise SpecError(
            f"setting {row.wire!r} has the default {row.default!r}, which it does not allow"
        )


def _default_is_allowed(row: SettingRow) -> bool:
    value = row.default
    if row.kind == "boolean":
        return isinstance(value, bool)
    if row.kind == "string":
        if not isinstance(value, str) or (row.choices and value not in row.choices):
            return False
        return (
            (row.minimum or 0) <= len(value) <= (len(value) if row.maximum is None else row.maximum)
        )
    if isinstance(value, bool) or not isinstance(
        value, int if row.kind == "integer" else int | float
    ):
        return False
    above = row.minimum is None or value >= row.minimum
    return above and (row.maximum is None or value <= row.maximum)
