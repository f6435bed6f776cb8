"""Make or revise a setting's schema from what a source states. No I/O."""

from collections.abc import Collection
from typing import Any

from _generate.errors import SpecError
from scenario_reframe.drift.vendor_settings import NO_LIMITS, ChangeKind, StatedSetting

from .spec import ASSET_MARK, REQUIRED_MARK

# In the order in which the spec writes them.
KEYWORDS = (
    "type", "enum", "minimum", "maximum", "minLength", "maxLength", "default", "description",
    "x-input", REQUIRED_MARK,
)  # fmt: skip
_TYPE_KEYWORDS = {"type", "enum", "minimum", "maximum", "minLength", "maxLength", "default"}

Schema = dict[str, Any]


def new_schema(found: StatedSetting) -> Schema:
    """Make the schema of an added setting, with the source's description. Raises SpecError."""
    described = " ".join(found.description.split()) or "The vendor does not describe it."
    if found.type == "file" and "asset" not in described.lower():
        described = f"{described.rstrip('.')}. Takes an asset's id."
    schema = _typed(found) | {"description": described}
    return _ordered(schema | ({REQUIRED_MARK: True} if found.required else {}))


def revised(schema: Schema, found: StatedSetting, kinds: Collection[ChangeKind]) -> Schema:
    """Apply the changes of these kinds to a schema; its description stays. Raises SpecError."""
    made = dict(schema)
    if "type" in kinds:
        made = _retyped(made, found)
    if "default" in kinds:
        _set_or_remove(made, "default", None if found.default == "" else found.default)
    if "bounds" in kinds:
        made = {key: value for key, value in made.items() if key not in _limits(found)}
        made |= _stated_limits(found)
    if "choices" in kinds:
        _set_or_remove(made, "enum", list(found.choices) or None)
    if "required" in kinds:
        _set_or_remove(made, REQUIRED_MARK, found.required or None)
    return _ordered(made)


def _retyped(schema: Schema, found: StatedSetting) -> Schema:
    if schema["type"] == "integer" and found.type == "number":
        return schema | {"type": "number"}
    rest = {key: value for key, value in schema.items() if key not in {*_TYPE_KEYWORDS, "x-input"}}
    return rest | _typed(found)


def _typed(found: StatedSetting) -> Schema:
    """Type, bounds, choices and default. Raises SpecError for an unsupported type."""
    if found.type == "file":
        return {"type": "string", **ASSET_MARK}
    if found.type not in {"boolean", "number", "string"}:
        raise SpecError(
            f"setting {found.name!r} has the type {found.type!r}, which is not supported"
        )
    schema: Schema = {"type": "integer" if found.is_whole else found.type}
    schema |= _stated_limits(found)
    if found.choices:
        schema["enum"] = list(found.choices)
    if found.default not in (None, ""):
        schema["default"] = found.default
    return schema


def _limits(found: StatedSetting) -> Schema:
    names = ("minLength", "maxLength") if found.type == "string" else ("minimum", "maximum")
    return dict(zip(names, found.limits or NO_LIMITS, strict=True))


def _stated_limits(found: StatedSetting) -> Schema:
    return {key: value for key, value in _limits(found).items() if value is not None}


def _set_or_remove(schema: Schema, key: str, value: Any) -> None:
    schema.pop(key, None)
    if value is not None:
        schema[key] = value


def _ordered(schema: Schema) -> Schema:
    rest = [key for key in schema if key not in KEYWORDS]
    return {key: schema[key] for key in (*KEYWORDS, *rest) if key in schema}
