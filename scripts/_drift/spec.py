"""The settings in the spec, with the marks that the generated table does not have. No I/O."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from _generate.settings_table import GENERATE_OPERATION, REQUEST_SCHEMA, read_settings
from scenario_reframe.drift.vendor_settings import KnownSetting

ASSET_MARK = {"x-input": "asset"}
REQUIRED_MARK = "x-vendor-required"


def schemas_of(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every property of the request, including the video's field, by the API's name."""
    found: dict[str, dict[str, Any]] = spec["components"]["schemas"][REQUEST_SCHEMA]["properties"]
    return found


def example_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The example of a request, empty if there is none.

    As on the vendor's page, each setting that has a default is in it, at that default.
    """
    for operations in spec.get("paths", {}).values():
        operation = operations.get("post", {})
        if operation.get("operationId") == GENERATE_OPERATION:
            body = operation["requestBody"]["content"]["application/json"]
            example: dict[str, Any] = body.get("example", {})
            return example
    return {}


def with_settings(
    spec: Mapping[str, Any], new_schemas: Mapping[str, dict[str, Any] | None]
) -> dict[str, Any]:
    """A copy of the spec with these schemas; None removes a setting."""
    copy = deepcopy(dict(spec))
    schemas, example = schemas_of(copy), example_of(copy)
    for name, schema in new_schemas.items():
        default = None if schema is None else schema.get("default")
        if schema is None:
            del schemas[name]
        else:
            schemas[name] = schema
        if default is None:
            example.pop(name, None)
        else:
            example[name] = default
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
