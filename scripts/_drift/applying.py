"""Replace the spec and all that is generated from it, or change nothing."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _generate.__main__ import PACKAGE, build, replace, with_table

from .editing import edited
from .schema import Schema

SPEC = Path("spec/openapi.yaml")


def apply(root: Path, text: str, new_schemas: Mapping[str, Schema | None]) -> None:
    """Write the spec, generated/ and the README's table. Raises SpecError and changes nothing."""
    edited_text = edited(text, new_schemas)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder)
        shutil.copytree(root / SPEC.parent, trial / SPEC.parent)
        (trial / SPEC).write_bytes(edited_text.encode())
        table = build(trial, trial / PACKAGE)
        with_table((root / "README.md").read_text("utf-8"), table)
        try:
            (root / SPEC).write_bytes(edited_text.encode())
            replace(root, trial / PACKAGE, table)
        except BaseException:
            (root / SPEC).write_bytes(text.encode())
            raise
