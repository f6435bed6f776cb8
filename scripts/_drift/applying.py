"""Put an edited spec in place, with all that is generated from it, or leave the tree as it was."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _generate.__main__ import PACKAGE, build, replace, with_table

from .editing import edited
from .schema import Schema

SPEC = Path("spec/openapi.yaml")


def apply(root: Path, text: str, wanted: Mapping[str, Schema | None]) -> None:
    """Write the spec, generated/ and the README's table. Raises SpecError and touches nothing."""
    made = edited(text, wanted)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder)
        shutil.copytree(root / SPEC.parent, trial / SPEC.parent)
        (trial / SPEC).write_bytes(made.encode())
        table = build(trial, trial / PACKAGE)
        with_table((root / "README.md").read_text("utf-8"), table)
        try:
            (root / SPEC).write_bytes(made.encode())
            replace(root, trial / PACKAGE, table)
        except BaseException:
            (root / SPEC).write_bytes(text.encode())
            raise
