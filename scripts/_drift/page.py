"""Read the settings from the vendor's reference page (Markdown). No I/O."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

from scenario_reframe.drift.vendor_settings import Aspect, VendorSource

from .cells import Cell, read_row, required_note
from .errors import SourceError

_MODEL = re.compile(r"\bmodel_[A-Za-z0-9][A-Za-z0-9_.-]*")
_REQUIRED_COLUMNS = {"parameter", "type"}
_PROOF_COLUMNS: dict[Aspect, set[str]] = {
    "default": {"default"},
    "bounds": {"min", "max"},
    "choices": {"allowed values"},
    "required": {"required"},
}


@dataclass
class Table:
    """A table, and the last model named before it."""

    model: str | None
    rows: list[list[Cell]] = field(default_factory=list)

    @property
    def header(self) -> list[str]:
        """The columns' names, in lower case."""
        return [" ".join(cell.text.lower().split()) for cell in self.rows[0]]


def read_page(text: str, model_id: str) -> VendorSource:
    """Parse the page's table of parameters, with named columns in any order.

    Raises SourceError if there is no such table, or only another model's.
    """
    table = _table_of_model(
        list(_tables(MarkdownIt("commonmark").enable("table").parse(text))), model_id
    )
    header = table.header
    if len(set(header)) != len(header):
        raise SourceError("two columns of the parameters' table have the same name")
    rows = [dict(zip(header, row, strict=False)) for row in table.rows[1:]]
    settings = tuple(map(read_row, rows))
    names = [row.name for row in settings]
    if not names:
        raise SourceError("the parameters' table has no rows")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"the parameters' table lists {', '.join(twice)} twice")
    notes = [] if table.model else ["it does not name its model"]
    notes += [note for note in map(required_note, rows) if note]
    return VendorSource(
        settings=settings,
        proves=frozenset(
            aspect for aspect, columns in _PROOF_COLUMNS.items() if columns <= set(header)
        ),
        complete=False,
        notes=tuple(notes),
    )


def _table_of_model(tables: Sequence[Table], model_id: str) -> Table:
    """The one table of parameters of a model. Raises SourceError."""
    fitting = [table for table in tables if set(table.header) >= _REQUIRED_COLUMNS]
    if not fitting:
        raise SourceError("it has no table with the columns Parameter and Type")
    own = [table for table in fitting if table.model == model_id]
    own = own or [table for table in fitting if table.model is None]
    if not own:
        others = sorted({str(table.model) for table in fitting})
        raise SourceError(f"it is the page of {', '.join(others)}, not of {model_id}")
    if len(own) > 1:
        raise SourceError(f"it has {len(own)} tables of parameters: keep only the model's own")
    return own[0]


def _tables(tokens: Sequence[Token]) -> Iterator[Table]:
    model: str | None = None
    table: Table | None = None
    for token in tokens:
        if token.type == "table_open":
            table = Table(model)
        elif token.type == "tr_open" and table:
            table.rows.append([])
        elif token.type == "inline" and table:
            table.rows[-1].append(_cell(token))
        elif token.type == "table_close" and table:
            yield table
            table = None
        elif named := _MODEL.findall(token.content):
            model = named[-1].rstrip(".")


def _cell(token: Token) -> Cell:
    children = token.children or []
    codes = tuple(child.content for child in children if child.type == "code_inline")
    breaks = {"softbreak", "hardbreak", "html_inline"}
    text = "".join(", " if child.type in breaks else child.content for child in children)
    return Cell(text.strip(), codes)
