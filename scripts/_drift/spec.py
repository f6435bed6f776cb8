"""The settings in the spec, with the marks that the generated table leaves out. No I/O."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from _generate.settings_table import REQUEST_SCHEMA, read_settings
from scenario_reframe.drift.stated_settings import KnownSetting

ASSET_MARK = {"x-input": "asset"}
REQUIRED_MARK = "x-vendor-required"


def schemas_of(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every property of the request, the video's own field too, by the API's name."""
    found: dict[str, dict[str, Any]] = spec["components"]["schemas"][REQUEST_SCHEMA]["properties"]
    return found


def with_settings(
    spec: Mapping[str, Any], wanted: Mapping[str, dict[str, Any] | None]
) -> dict[str, Any]:
    """A copy of the spec in which these settings have these schemas; None: is removed."""
    copy = deepcopy(dict(spec))
    schemas = schemas_of(copy)
    for name, schema in wanted.items():
        if schema is None:
            del schemas[name]
        else:
            schemas[name] = schema
    return copy


def known_in(spec: Mapping[str, Any]) -> list[KnownSetting]:
    """The settings in the spec's order. Raises SpecError."""
    rows, video = read_settings(spec)
    by_wire = {row.wire: row for row in rows}
    known = []
    for wire, schema in schemas_of(spec).items():
        required = schema.get(REQUIRED_MARK) is True
        if wire == video or schema.get("x-input") == ASSET_MARK["x-input"]:
            known.append(KnownSetting(name=wire, kind="file", required=required))
            continue
        row = by_wire[wire]
        known.append(
            KnownSetting(
                name=wire,
                kind=row.kind,
                default=row.default,
                limits=(row.minimum, row.maximum),
                choices=row.choices,
                required=required,
            )
        )
    return known
