"""Print the findings: a table for people, or JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenario_reframe.drift.vendor_settings import Change, VendorSource

from .plan import EditPlan

# The handwritten lines that name a removed or retyped setting, as `path:line`.
Mentions = Mapping[str, Sequence[str]]

_PIPE_WIDTH = 160
_COLOURS = {"yes": "red", "may": "yellow", "no": "green"}


@dataclass
class SourceFinding:
    """The result of one source: its settings and changes, or why it cannot be read."""

    name: str
    source: VendorSource | None = None
    changes: Sequence[Change] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding for --json."""
        if self.source is None:
            return {"source": self.name, "error": self.error}
        return {
            "source": self.name,
            "agrees": not self.changes,
            "changes": [change.as_json() for change in self.changes],
            "silent_on": list(self.source.silent_on),
            "notes": list(self.source.notes),
        }


def print_finding(finding: SourceFinding) -> None:
    """Print one source's table, and the aspects that it does not state."""
    if finding.source is None:
        print(f"scripts/drift: {finding.name}: {finding.error}", file=sys.stderr)
        return
    if finding.changes:
        _console().print(_table(finding))
    else:
        print(f"{finding.name}: in agreement with spec/openapi.yaml")
    if finding.source.silent_on:
        print(f"It does not state {' and '.join(finding.source.silent_on)}.")
    for note in finding.source.notes:
        print(f"Note: {note}.")


def print_plan(plan: EditPlan) -> None:
    """Print what was applied."""
    for name, schema in plan.new_schemas.items():
        print(f"{'removed' if schema is None else 'written'}: {name}")
    if plan.new_schemas:
        print("spec/openapi.yaml, generated/ and the README's table were updated.")


def print_undecided(plan: EditPlan, named: Mentions) -> None:
    """Print what is left to a person."""
    lines = [*(f"not applied: {line}" for line in plan.undecided), *plan.notes]
    lines += [
        "\n    ".join((f"{name} is missing or of another type; lines that name it:", *mentioned))
        for name, mentioned in named.items()
        if mentioned
    ]
    if lines:
        print("\nFor a person to decide:")
    for line in lines:
        print(f"- {line}")


def print_json(findings: Sequence[SourceFinding], plan: EditPlan | None, named: Mentions) -> None:
    """Print everything as one JSON object."""
    result: dict[str, Any] = {
        "sources": [finding.to_json() for finding in findings],
        "named": named,
    }
    if plan is not None:
        result |= {
            "applied": [
                {"setting": name, "schema": schema} for name, schema in plan.new_schemas.items()
            ],
            "undecided": plan.undecided,
            "notes": plan.notes,
        }
    print(json.dumps(result, indent=2))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _table(finding: SourceFinding) -> Table:
    table = Table(title=Text(finding.name), title_justify="left")
    for header in ("setting", "spec", "source", "change", "breaks callers"):
        table.add_column(header, overflow="fold")
    for change in finding.changes:
        row = change.as_json()
        verdict = Text(f"{row['breaks']}: {row['why']}", style=_COLOURS[row["breaks"]])
        cells = [Text(row[key]) for key in ("setting", "spec", "source", "change")]
        table.add_row(*cells, verdict)
    return table
