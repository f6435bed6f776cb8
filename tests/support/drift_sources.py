"""Sources for the drift tests: pages in the vendor's formats, written from the generated table."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from _drift.spec import schemas_of
from scenario_reframe_api.settings import MODEL_ID, SETTINGS, Setting

Rows = dict[str, dict[str, str]]
FIVE = ("Parameter", "Type", "Required", "Default", "Description")
EIGHT = ("Parameter", "Type", "Required", "Default", "Min", "Max", "Allowed Values", "Description")

_SPEC = YAML(typ="safe").load(Path(__file__).parents[2] / "spec" / "openapi.yaml")
ASSETS = {wire for wire, one in schemas_of(_SPEC).items() if one.get("x-input") == "asset"}
DEFAULTS = {row.wire: row.default for row in SETTINGS}
# A default of numFrames that is within the bounds and differs from the spec's.
OTHER_FRAMES = 98 if DEFAULTS["numFrames"] == 97 else 97


def rows_of_spec() -> Rows:
    """The table's settings as the cells of a page, by name."""
    return {row.wire: _cells(row) for row in SETTINGS}


def _cells(row: Setting) -> dict[str, str]:
    kind = "assetId" if row.wire in ASSETS else "number" if row.kind == "integer" else row.kind
    default = "-" if row.default is None else f"`{json.dumps(row.default).strip(chr(34))}`"
    low, high = ("-" if bound is None else f"`{bound}`" for bound in row.bounds)
    return {
        "Parameter": f"`{row.wire}`",
        "Type": kind,
        "Required": "-",
        "Default": default,
        "Min": low,
        "Max": high,
        "Allowed Values": ", ".join(f"`{choice}`" for choice in row.choices) or "-",
        "Description": "In the vendor's words.",
    }


def new_row(name: str, kind: str, **cells: str) -> dict[str, str]:
    """The cells of a setting that is not in the spec: its name begins with `test`."""
    plain = {
        "Required": "-", "Default": "-", "Min": "-", "Max": "-", "Allowed Values": "-",
        "Description": f"The new {name}.",
    }  # fmt: skip
    return plain | {"Parameter": f"`{name}`", "Type": kind} | cells


def page(rows: Rows, columns: Iterable[str] = FIVE, model: str | None = MODEL_ID) -> str:
    """A page with a table of these columns."""
    return _around(table(rows.values(), tuple(columns)), model)


def table(rows: Iterable[Mapping[str, str]], columns: tuple[str, ...]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(row[column] for column in columns)} |" for row in rows]
    return "\n".join(lines)


def _around(text: str, model: str | None) -> str:
    named = f"Model ID: `{model}`\n" if model else ""
    return (
        f"# Some model\n\n{named}\n---\n\n## Generate\n\n### Parameters\n\n{text}\n\n"
        '## Example\n\n```bash\ncurl -d \'{"model": "model_other"}\'\n```\n'
        "\n| Status | Meaning |\n|---|---|\n| 200 | fine |\n"
    )


def record(*inputs: Mapping[str, Any], model: str | None = MODEL_ID) -> dict[str, Any]:
    """A reply to `GET /models/{id}` with these inputs."""
    return {"model": {"id": model, "inputs": list(inputs)}}
