"""Where lines written by hand name a setting: what a removal or a rename leaves to a person."""

import re
from collections.abc import Iterator
from pathlib import Path

from _generate.__main__ import BEGIN, END
from _generate.settings_table import python_name

_BY_HAND = ("wrapper", "scripts", "tests", "README.md")


def mentions(root: Path, wire: str) -> list[str]:
    """Each line that has one of a setting's names as a whole word, as `path:line`.

    Its names are the API's, Python's and the flag's.
    """
    name = python_name(wire)
    named = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, (wire, name, _flag(name))))})(?!\w)")
    return [
        f"{path.relative_to(root).as_posix()}:{number}"
        for path in _files(root)
        for number, line in enumerate(_by_hand(path).split("\n"), 1)
        if named.search(line)
    ]


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _files(root: Path) -> Iterator[Path]:
    for name in _BY_HAND:
        for path in sorted([root / name, *(root / name).rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _by_hand(path: Path) -> str:
    """The text of a file; the lines of a generated table are empty."""
    before, _, rest = path.read_text("utf-8", errors="replace").partition(BEGIN)
    table, _, after = rest.partition(END)
    return before + "\n" * table.count("\n") + after
