"""Every edit of generated files by hand is detected: files of every kind, rows of the table."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from _generate import __main__ as generator
from drills import PACKAGE, ROOT, contents
from scenario_reframe_api.settings import SETTINGS

pytestmark = pytest.mark.any_python

FILES = list(contents(ROOT / PACKAGE))
# One of each kind (folder and suffix): the longest, so that it is not empty.
KINDS = {
    (Path(name).parent, Path(name).suffix): name
    for name in sorted(FILES, key=lambda name: (ROOT / PACKAGE / name).stat().st_size)
}
EDITED = sorted({*KINDS.values(), "__init__.py", "py.typed", "settings.py"} & set(FILES))
ROWS = [
    number
    for number, line in enumerate((ROOT / "README.md").read_text("utf-8").splitlines())
    if line.startswith("| `") and line.count(" | ") >= 4  # the settings' table has five columns
]

Check = Callable[[], tuple[int, str]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is checked; each test that changes it restores it."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "generated", root / "generated")
    shutil.copy(ROOT / "README.md", root)
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What the spec generates, made once: the package and the table."""
    folder = tmp_path_factory.mktemp("made") / "package"
    return folder, generator.build(ROOT, folder)


@pytest.fixture
def check(
    tree: Path,
    made: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Check:
    """`scripts/generate --check` without generating again: exit code and output."""

    def build(_root: Path, folder: Path) -> str:
        shutil.copytree(made[0], folder)
        return made[1]

    monkeypatch.setattr(generator, "build", build)
    monkeypatch.setattr(sys, "argv", ["generate", "--check", "--root", str(tree)])
    return lambda: (generator.main(), capsys.readouterr().out)


@pytest.mark.parametrize("name", EDITED)
def test_a_file_that_is_edited_or_missing_is_named(tree: Path, check: Check, name: str) -> None:
    """One byte changed, added or removed, in a file of each kind; only that file is named."""
    path = tree / PACKAGE / name
    kept = path.read_bytes()
    middle = len(kept) // 2
    edits = [kept + b"\n"]
    if kept:
        edits += [kept[:-1], kept[:middle] + bytes([kept[middle] ^ 1]) + kept[middle + 1 :]]
    for content in edits:
        path.write_bytes(content)
        assert check() == (1, f"differs: {PACKAGE}/{name}\n")
    path.unlink()
    assert check() == (1, f"missing: {PACKAGE}/{name}\n")
    path.write_bytes(kept)
    assert check() == (0, "")


@pytest.mark.parametrize("folder", sorted({str(Path(name).parent) for name in FILES}))
def test_a_stray_file_is_named(tree: Path, check: Check, folder: str) -> None:
    """In each folder of the package."""
    path = tree / PACKAGE / folder / "stray.py"
    path.write_bytes(b"")
    name = path.relative_to(tree).as_posix()
    assert check() == (1, f"stray: {name}\n")
    path.unlink()
    assert check() == (0, "")


@pytest.mark.parametrize("row", [ROWS[0], ROWS[-1]])
def test_a_row_of_the_table_that_is_edited_or_missing_is_detected(
    tree: Path, check: Check, row: int
) -> None:
    """The first and the last row; the text around the table is free."""
    path = tree / "README.md"
    kept = path.read_text("utf-8")
    lines = kept.splitlines(keepends=True)
    for spoiled in (lines[row].replace("` |", "`  |", 1), "", lines[row] * 2):
        path.write_text("".join([*lines[:row], spoiled, *lines[row + 1 :]]), "utf-8")
        assert check() == (1, "differs: the settings' table in README.md\n")
    path.write_text(kept + "\nMore prose.\n", "utf-8")
    assert check() == (0, "")
    path.write_text(kept, "utf-8")


def test_the_table_is_read_whole() -> None:
    """So that no row is left out above."""
    assert len(ROWS) == len(SETTINGS)
