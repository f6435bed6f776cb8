"""The bad-input tables: tests add rows, which pytest prints at the end with `--bad-inputs`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

AddRow = Callable[[str, object, object, object], None]
"""Called with the table ("command line", "library"), the input, the message and the result."""

_PROPERTY = "bad input"
_LONGEST_INPUT = 100
_LONGEST_MESSAGE = 240


def row_adder(properties: list[tuple[str, object]]) -> AddRow:
    """Adds rows to a test's user properties, which also travel from the workers of xdist."""

    def add(table: str, given: object, message: object, result: object) -> None:
        row = [table, _cell(given, _LONGEST_INPUT), _cell(message, _LONGEST_MESSAGE), str(result)]
        properties.append((_PROPERTY, row))

    return add


def print_tables(reporter: pytest.TerminalReporter) -> None:
    """Print the rows of all tests that ran, table by table."""
    reports = [*reporter.stats.get("passed", ()), *reporter.stats.get("failed", ())]
    rows = [row for report in reports for row in _rows_of(report.user_properties)]
    for table in sorted({row[0] for row in rows}):
        lines = sorted(" → ".join(row[1:]) for row in rows if row[0] == table)
        reporter.section(f"bad input to the {table}: {len(lines)}")
        for line in lines:
            reporter.write_line(line)


def _rows_of(properties: Iterable[tuple[str, Any]]) -> Iterator[list[str]]:
    return (value for name, value in properties if name == _PROPERTY)


def _cell(value: object, limit: int) -> str:
    """A value in one line of printable characters; of a long one the beginning and the end."""
    text = " ".join(str(value).split())
    text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-(limit // 2) :]}"
