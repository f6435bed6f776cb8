"""A copy of the project, to be edited as a person would: change the YAML, then run one command."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path("generated/scenario_reframe_api")

_COPIED: Final = ("spec", "generated", "wrapper")
_PROGRAM: Final = Path(__file__).parent / "drill_program.py"
_IN_CHOICES: Final = "no such choice"

Spec = dict[str, Any]


@dataclass(frozen=True)
class Tree:
    """A copy of the project. `types` is mypy's cache, which the copies share."""

    root: Path
    types: Path

    @classmethod
    def copied(cls, root: Path, types: Path) -> "Tree":
        """Copy all that an edit of the spec may change, and mypy's configuration."""
        for name in _COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        for name in ("README.md", "pyproject.toml"):
            shutil.copy(ROOT / name, root / name)
        return cls(root, types)

    def edit(self, change: Callable[[Spec], object]) -> None:
        """Change the YAML, and nothing else."""
        path = self.root / "spec" / "openapi.yaml"
        yaml = YAML()
        yaml.width = 10_000
        spec = yaml.load(path)
        change(spec)
        yaml.dump(spec, path)

    def spec(self) -> Spec:
        """The YAML, read without the generator."""
        spec: Spec = YAML(typ="safe").load(self.root / "spec" / "openapi.yaml")
        return spec

    def generate(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run what `scripts/generate` runs."""
        return self._python("-m", "_generate", "--root", str(self.root), *options)

    def readme(self) -> str:
        """The README's text."""
        return (self.root / "README.md").read_text("utf-8")

    def table(self) -> dict[str, str]:
        """The rows of the README's table of settings, by name."""
        marks = r"(?s)<!-- settings: .*?<!-- /settings -->"
        rows = re.findall(marks, self.readme())[0].splitlines()[3:-1]
        return {row.split("`")[1]: row for row in rows}

    def type_errors(self, caller: str) -> tuple[set[int], str]:
        """The lines of a caller in which mypy finds errors, and its errors in the project."""
        (self.root / "caller.py").write_text(caller, "utf-8")
        sources = ("caller.py", "wrapper", "generated")
        output = self._python("-m", "mypy", "--cache-dir", str(self.types), *sources).stdout
        errors = [line for line in output.splitlines() if ": error: " in line]
        callers = [line for line in errors if line.startswith("caller.py:")]
        others = [line for line in errors if line not in callers]
        return {int(line.split(":")[1]) for line in callers}, "\n".join(others)

    def run_part(self, part: str, **asked: Any) -> Any:
        """Run one part of `drill_program` in the copy; its result."""
        done = self._python(str(_PROGRAM), part, given=json.dumps(asked))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def changed(self) -> set[str]:
        """The files that differ from the project's own; caches do not count."""
        originals = {name: contents(ROOT / name) for name in _COPIED}
        found = {name: contents(self.root / name) for name in _COPIED}
        files = {
            f"{name}/{file}"
            for name in _COPIED
            for file in originals[name].keys() | found[name].keys()
            if originals[name].get(file) != found[name].get(file)
        }
        same = self.readme() == (ROOT / "README.md").read_text("utf-8")
        return files if same else files | {"README.md"}

    def _python(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run Python with the copy's packages, and this project's tools."""
        folders = (self.root / "wrapper", self.root / "generated", ROOT / "scripts")
        state = {"SCENARIO_LEDGER": "none", "COLUMNS": "400", "PYTHONDONTWRITEBYTECODE": "1"}
        path = {"PYTHONPATH": os.pathsep.join(map(str, folders))}
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **state, **path},
            cwd=self.root,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder except Python's caches."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def settings_of(spec: Spec) -> Any:
    """The request's properties, the video among them."""
    return spec["components"]["schemas"]["ReframeRequest"]["properties"]


def names_of(spec: Spec) -> dict[str, str]:
    """Each setting's Python name by its API name, computed independently of the generator."""
    return {
        wire: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in wire)
        for wire, schema in settings_of(spec).items()
        if schema.get("x-input") != "video"
    }


def right(schema: Mapping[str, Any]) -> list[Any]:
    """Values that a setting must accept: every choice, both bounds, true and false."""
    ends = [schema[key] for key in ("minimum", "maximum") if key in schema]
    match schema["type"]:
        case "boolean":
            return [True, False]
        case "string":
            return list(schema.get("enum", ["a text"]))
        case _:
            return ends or [7]


def wrong(schema: Mapping[str, Any]) -> list[Any]:
    """Values that a setting must refuse: an unknown choice, just past a bound, another type."""
    past = [schema["minimum"] - 1] if "minimum" in schema else []
    past += [schema["maximum"] + 1] if "maximum" in schema else []
    match schema["type"]:
        case "boolean":
            return ["maybe"]
        case "string":
            return [_IN_CHOICES] if "enum" in schema else [5]
        case _:
            return [*past, "many"]


def rounds(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """The first value of every setting, then the second of those that have one, and so on."""
    columns = zip_longest(*values.values(), fillvalue=...)
    return [
        {wire: value for wire, value in zip(values, column, strict=True) if value is not ...}
        for column in columns
    ]


def sent(row: dict[str, Any], schemas: Any, names: dict[str, str]) -> dict[str, Any]:
    """Wrong values for the library, for the server, and (if they can be typed) for the shell."""
    typed = [
        wire
        for wire in row
        if schemas[wire]["type"] in {"integer", "number"} or "enum" in schemas[wire]
    ]
    return {
        "named": {names[wire]: value for wire, value in row.items()},
        "wire": row,
        "typed": {names[wire]: row[wire] for wire in typed},
    }
