"""Find the handwritten lines that name a setting, which a person must edit after a removal."""

import re
from collections.abc import Iterator
from pathlib import Path

from _generate.__main__ import BEGIN, END
from _generate.settings_table import python_name

_HANDWRITTEN = ("wrapper", "scripts", "tests", "README.md")


def mentions(root: Path, wire: str) -> list[str]:
    """The lines that have a name of a setting as a whole word, as `path:line`.

    Its names are the API's, Python's and the flag's.
    """
    name = python_name(wire)
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, (wire, name, _flag(name))))})(?!\w)")
    return [
        f"{path.relative_to(root).as_posix()}:{number}"
        for path in _files(root)
        for number, line in enumerate(_handwritten_text(path).split("\n"), 1)
        if pattern.search(line)
    ]


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _files(root: Path) -> Iterator[Path]:
    for name in _HANDWRITTEN:
        for path in sorted([root / name, *(root / name).rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _handwritten_text(path: Path) -> str:
    """A file's text, with the lines of a generated table emptied."""
    before, _, rest = path.read_text("utf-8", errors="replace").partition(BEGIN)
    table, _, after = rest.partition(END)
    return before + "\n" * table.count("\n") + after
