"""Print what was found: a table for people, or JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenario_reframe.drift.stated_settings import Change, VendorSource

from .plan import Plan

# Where lines written by hand name a setting that is gone or has another type, as `path:line`.
Mentions = Mapping[str, Sequence[str]]

_PIPE_WIDTH = 160
_COLOURS = {"yes": "red", "may": "yellow", "no": "green"}


@dataclass
class Finding:
    """What came of one source: what it says and how that differs, or why it cannot be read."""

    name: str
    source: VendorSource | None = None
    changes: Sequence[Change] = ()
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        if self.source is None:
            return {"source": self.name, "error": self.error}
        return {
            "source": self.name,
            "agrees": not self.changes,
            "changes": [change.record() for change in self.changes],
            "silent_on": list(self.source.silent_on),
            "notes": list(self.source.notes),
        }


def print_finding(finding: Finding) -> None:
    """One source's table, and what it cannot prove."""
    if finding.source is None:
        print(f"scripts/drift: {finding.name}: {finding.error}", file=sys.stderr)
        return
    if finding.changes:
        _console().print(_table(finding))
    else:
        print(f"{finding.name}: in agreement with spec/openapi.yaml")
    if finding.source.silent_on:
        print(f"It says nothing of {' and '.join(finding.source.silent_on)}.")
    for note in finding.source.notes:
        print(f"Note: {note}.")


def print_plan(plan: Plan) -> None:
    """What was applied."""
    for name, schema in plan.wanted.items():
        print(f"{'removed' if schema is None else 'written'}: {name}")
    if plan.wanted:
        print("spec/openapi.yaml, generated/ and the README's table follow.")


def print_undecided(plan: Plan, named: Mentions) -> None:
    """What is left to a person."""
    lines = [*(f"not applied: {line}" for line in plan.undecided), *plan.notes]
    lines += [
        "\n    ".join((f"{name} is gone or of another type; lines that name it:", *places))
        for name, places in named.items()
        if places
    ]
    if lines:
        print("\nFor a person to decide:")
    for line in lines:
        print(f"- {line}")


def print_json(findings: Sequence[Finding], plan: Plan | None, named: Mentions) -> None:
    """All of it as one object."""
    record: dict[str, Any] = {
        "sources": [finding.record() for finding in findings],
        "named": named,
    }
    if plan is not None:
        record |= {
            "applied": [
                {"setting": name, "schema": schema} for name, schema in plan.wanted.items()
            ],
            "undecided": plan.undecided,
            "notes": plan.notes,
        }
    print(json.dumps(record, indent=2))


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def _table(finding: Finding) -> Table:
    table = Table(title=Text(finding.name), title_justify="left")
    for header in ("setting", "the spec says", "the source says", "change", "breaks callers"):
        table.add_column(header, overflow="fold")
    for change in finding.changes:
        row = change.record()
        verdict = Text(f"{row['breaks']}: {row['why']}", style=_COLOURS[row["breaks"]])
        cells = [Text(row[key]) for key in ("setting", "spec", "source", "change")]
        table.add_row(*cells, verdict)
    return table
