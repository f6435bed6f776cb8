"""How `--help` is laid out."""

from typing import TextIO, cast

from cyclopts.help import DefaultFormatter, HelpEntry
from cyclopts.help.specs import AsteriskColumn, ColumnSpec, DescriptionRenderer, NameRenderer
from rich.console import Console, ConsoleOptions

from .output import CheckedStdout

_FLAG_COLUMNS = 36
"""Wide enough for the longest flag of a setting, which would else be broken within a word."""

_NARROWEST = 40
"""Columns, whatever COLUMNS says: at 0 nothing would be shown."""


def help_console() -> Console:
    """Prints on stdout, and never in fewer columns than can be read."""
    console = Console(file=cast("TextIO", CheckedStdout()))
    console.width = max(console.width, _NARROWEST)
    return console


def _columns(
    console: Console,  # noqa: ARG001 - what cyclopts calls it with, by name
    options: ConsoleOptions,  # noqa: ARG001
    entries: list[HelpEntry],
) -> tuple[ColumnSpec, ...]:
    names = ColumnSpec(
        renderer=NameRenderer(max_width=_FLAG_COLUMNS),
        style="cyclopts.name",
        max_width=_FLAG_COLUMNS,
    )
    text = ColumnSpec(renderer=DescriptionRenderer(), overflow="fold")
    return (AsteriskColumn, names, text) if any(e.required for e in entries) else (names, text)


HELP = DefaultFormatter(column_specs=_columns)
