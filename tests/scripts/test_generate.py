"""From the spec to generated/ and the README's table, on a copy of the tree."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from ruamel.yaml import YAML

from _generate.__main__ import main
from drills import settings_of
from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

pytestmark = pytest.mark.any_python

ROOT = Path(__file__).parents[2]
PACKAGE = Path("generated/scenario_reframe_api")

Edit = Callable[[dict[str, Any]], None]


@cache
def _spec() -> Any:
    return YAML(typ="safe").load(ROOT / "spec" / "openapi.yaml")


def read_spec() -> Any:
    """A copy of the spec that may be changed."""
    return deepcopy(_spec())


def edit_spec(root: Path, edit: Edit) -> None:
    """Change the spec of a tree. JSON is written, which is YAML too."""
    spec = read_spec()
    edit(spec)
    (root / "spec" / "openapi.yaml").write_text(json.dumps(spec), "utf-8")


def copy_tree(folder: Path) -> Path:
    """Copy what generating needs: spec/, generated/ and README.md."""
    for name in ("spec", "generated"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "README.md", folder / "README.md")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A new tree that agrees with its spec."""
    return copy_tree(tmp_path)


def generate(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command like scripts/generate."""
    return subprocess.run(
        [sys.executable, "-m", "_generate", "--root", str(root), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def generate_here(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """The same in this process: exit code and stderr."""
    monkeypatch.setattr(sys, "argv", ["generate", "--root", str(root)])
    return main(), capsys.readouterr().err


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a tree."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_generating_makes_the_same_bytes_again_and_elsewhere(tmp_path: Path) -> None:
    """Twice in one folder, and in another with a ruff configuration around it."""
    first = copy_tree(tmp_path / "first")
    second = copy_tree(tmp_path / "x" / "second")
    (second.parent / "ruff.toml").write_text("line-length = 60\n[format]\nquote-style='single'\n")
    shutil.rmtree(second / "generated")
    before = contents(first)
    for root in (first, second):
        done = generate(root)
        assert done.returncode == 0, done.stderr
        assert contents(root) == before


def test_check_accepts_an_unchanged_tree(tree: Path) -> None:
    """Exit 0, no output, and no change."""
    before = contents(tree)
    done = generate(tree, "--check")
    assert (done.returncode, done.stdout) == (0, "")
    assert contents(tree) == before


def test_check_ignores_python_s_caches(tree: Path) -> None:
    """`__pycache__` is not an edit."""
    for folder in (tree / "generated", tree / PACKAGE, tree / PACKAGE / "models"):
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert generate(tree, "--check").returncode == 0


def edited(tree: Path) -> str:
    """One character changed by hand."""
    path = tree / PACKAGE / "models" / "job_record.py"
    path.write_text(path.read_text("utf-8").replace("jobId", "jobID", 1), "utf-8")
    return f"differs: {PACKAGE}/models/job_record.py"


def missing(tree: Path) -> str:
    """A missing file."""
    (tree / PACKAGE / "py.typed").unlink()
    return f"missing: {PACKAGE}/py.typed"


def stray(tree: Path) -> str:
    """A file that the generator did not make."""
    (tree / PACKAGE / "api" / "extra.py").write_text("")
    return f"stray: {PACKAGE}/api/extra.py"


def stray_beside(tree: Path) -> str:
    """A file beside the package."""
    (tree / "generated" / "notes.txt").write_text("")
    return "stray: generated/notes.txt"


def table(tree: Path) -> str:
    """The README's table edited by hand."""
    path = tree / "README.md"
    path.write_text(path.read_text("utf-8").replace("81 to 241", "81 to 999"), "utf-8")
    return "README.md"


def spec_ahead(tree: Path) -> str:
    """The spec was changed without generating."""
    edit_spec(tree, lambda spec: settings_of(spec)["numFrames"].update(maximum=300))
    return f"differs: {PACKAGE}/settings.py"


def no_package(tree: Path) -> str:
    """The whole package is missing."""
    shutil.rmtree(tree / PACKAGE)
    return f"missing: {PACKAGE}/settings.py"


@pytest.mark.parametrize("spoil", [edited, stray_beside, spec_ahead, no_package])
def test_check_names_every_difference_and_touches_nothing(
    tree: Path, spoil: Callable[[Path], str]
) -> None:
    """Exit 1, the file's name, and the remedy; the tree is not changed."""
    named = spoil(tree)
    before = contents(tree)
    done = generate(tree, "--check")
    assert done.returncode == 1
    assert named in done.stdout
    assert "scripts/generate" in done.stderr
    assert contents(tree) == before


def test_generating_repairs_what_check_found(tree: Path) -> None:
    """Edits, gaps and strays in the package disappear; then the check agrees."""
    wanted = contents(tree)
    for spoil in (edited, missing, stray, table):
        spoil(tree)
    assert generate(tree).returncode == 0
    assert contents(tree) == wanted


def setting(name: str, **schema: Any) -> Edit:
    """Add a setting to the spec."""
    return lambda spec: settings_of(spec).update({name: {"description": "New.", **schema}})


def change(name: str, **schema: Any) -> Edit:
    """Change a setting of the spec."""
    return lambda spec: settings_of(spec)[name].update(schema)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (setting("other", type="number", multipleOf=2), ["'other'", "'multipleOf'", "number"]),
        (setting("other", type="integer", exclusiveMinimum=0), ["'exclusiveMinimum'"]),
        (setting("other", type="string", pattern="x"), ["'pattern'"]),
        (setting("other", type="string", format="date-time"), ["'format'"]),
        (setting("other", type="integer", enum=[1, 2]), ["'enum'", "integer"]),
        (setting("other", type="boolean", minimum=0), ["'minimum'", "boolean"]),
        (setting("other", type="number", nullable=True), ["'nullable'"]),
        (setting("other", type="array", items={"type": "string"}), ["'array'"]),
        (setting("other", type="object"), ["'object'"]),
        (setting("other", type=["string", "null"]), ["'other'"]),
        (setting("other"), ["'other'", "None"]),
        (setting("other", type="string", **{"x-new": 1}), ["'x-new'"]),
        (setting("timeout", type="number"), ["'timeout'", "extra="]),
        (setting("onUpdate", type="string"), ["'on_update'"]),
        (setting("video", type="string"), ["'video'"]),
        (setting("class", type="string"), ["'class'", "Python"]),
        (setting("2nd", type="string"), ["'2nd'", "Python"]),
        (setting("num_frames", type="integer"), ["'numFrames'", "'num_frames'"]),
        (setting("NumFrames", type="integer"), ["'numFrames'", "'NumFrames'"]),
        (setting("other", type="string", description=""), ["no description"]),
        (setting("other", type="string", enum=[1, "a"]), ["quote them"]),
        (setting("other", type="integer", minimum=5, maximum=4), ["above its maximum"]),
        (setting("other", type="integer", minimum=5, default=4), ["default 4"]),
        (setting("other", type="integer", maximum=5, default=6), ["default 6"]),
        (setting("other", type="integer", default=1.5), ["default 1.5"]),
        (setting("other", type="integer", default=True), ["default True"]),
        (setting("other", type="number", default="1"), ["default '1'"]),
        (setting("other", type="boolean", default=0), ["default 0"]),
        (setting("other", type="string", enum=["a"], default="b"), ["default 'b'"]),
        (setting("other", type="string", minLength=2, default="a"), ["default 'a'"]),
        (change("videoUrl", **{"x-input": "film"}), ["x-input"]),
        (setting("other", type="string", **{"x-input": "video"}), ["x-input", "other"]),
        (setting("other", type="integer", minimum="5", maximum=6), ["openapi.yaml"]),
        (lambda spec: spec.pop("paths"), ["openapi.yaml", "paths"]),
        (lambda spec: spec.pop("servers"), ["servers"]),
        (lambda spec: spec.update(servers=[]), ["openapi.yaml"]),
        (
            lambda spec: spec["paths"].pop("/generate/custom/model_wan-2-2-vace-fun-a14b-reframe"),
            ["generateReframe"],
        ),
        (
            lambda spec: spec["components"]["schemas"]["JobRecord"]["properties"]["status"].update(
                enum=["queued", "success"]
            ),
            ["'enum'", "'success'", "leave values open"],
        ),
        (
            lambda spec: spec["components"]["schemas"]["JobRecord"]["properties"].update(
                createdAt={"type": "string", "format": "date-time"}
            ),
            ["'format'", "date-time", "leave values open"],
        ),
        (
            lambda spec: spec["components"]["schemas"]["JobRecord"]["properties"].update(
                jobId={"$ref": "#/components/schemas/Nowhere"}
            ),
            ["openapi-python-client"],
        ),
    ],
    ids=lambda value: None if callable(value) else value[0],
)
def test_invalid_spec_stops_the_generation(
    tree: Path, edit: Edit, words: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Exit 2 and what to correct; generated/ and the README are not changed."""
    edit_spec(tree, edit)
    before = contents(tree)
    code, output = generate_here(tree, monkeypatch, capsys)
    assert code == 2
    assert all(word in output for word in words), output
    assert contents(tree) == before


@pytest.mark.parametrize("text", ["openapi: [", "- 1", "", "5"])
def test_unreadable_spec_stops_the_generation(
    tree: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither broken YAML nor another document causes a traceback."""
    (tree / "spec" / "openapi.yaml").write_text(text)
    before = contents(tree)
    code, output = generate_here(tree, monkeypatch, capsys)
    assert code == 2
    assert output.startswith("scripts/generate: ")
    assert contents(tree) == before


def test_missing_spec_stops_the_generation(tree: Path) -> None:
    """The error names the file."""
    (tree / "spec" / "openapi.yaml").unlink()
    done = generate(tree, "--check")
    assert done.returncode == 2
    assert "openapi.yaml" in done.stderr


def test_readme_without_its_marks_stops_the_generation(tree: Path) -> None:
    """Before anything is replaced."""
    (tree / "README.md").write_text("no table here\n")
    edited(tree)
    before = contents(tree)
    done = generate(tree)
    assert done.returncode == 2
    assert "README.md" in done.stderr
    assert contents(tree) == before


@pytest.mark.parametrize("name", ["timeout", "num_frames"])
def test_colliding_name_stops_the_command_itself(tree: Path, name: str) -> None:
    """In its own process: exit 2 and one line, no traceback."""
    edit_spec(tree, setting(name, type="integer"))
    before = contents(tree)
    done = generate(tree)
    assert done.returncode == 2
    assert name in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert contents(tree) == before


def test_new_settings_appear_everywhere(tree: Path) -> None:
    """With choices, with bounds, and true or false: one edit of the spec, one command."""

    def edit(spec: dict[str, Any]) -> None:
        setting("testColours", type="string", enum=["bt709", "bt2020"], default="bt709",
                description='Colours, "wide" or\n  not | with \\ it.')(spec)  # fmt: skip
        setting("testStrength", type="integer", minimum=0, maximum=7, default=3)(spec)
        setting("testHDR10", type="boolean", default=False)(spec)
        setting("testNote", type="string", maxLength=40)(spec)
        setting("testShift", type="number", minimum=0.5)(spec)

    edit_spec(tree, edit)
    before = (tree / "README.md").read_text("utf-8")
    done = generate(tree)
    assert done.returncode == 0, done.stderr
    assert generate(tree, "--check").returncode == 0

    code = (
        "import json, typing\n"
        "from scenario_reframe_api.settings import SETTINGS, ReframeSettings\n"
        "hints = typing.get_type_hints(ReframeSettings, include_extras=True)\n"
        "rows = {r.name: [r.wire, r.kind, r.default, *r.bounds, *r.choices, str(hints[r.name])]"
        " for r in SETTINGS}\n"
        "print(json.dumps(rows))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tree / "generated")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = json.loads(done.stdout)
    assert len(rows) == len(SETTINGS) + 5
    assert rows["test_colours"] == [
        "testColours", "string", "bt709", None, None, "bt709", "bt2020",
        "typing.Literal['bt709', 'bt2020']",
    ]  # fmt: skip
    assert rows["test_strength"][:5] == ["testStrength", "integer", 3, 0, 7]
    assert "int" in rows["test_strength"][-1]
    assert "maximum=7" in rows["test_strength"][-1]
    assert rows["test_hdr10"] == ["testHDR10", "boolean", False, None, None, "<class 'bool'>"]
    assert rows["test_note"][:5] == ["testNote", "string", None, None, 40]
    assert rows["test_shift"][:5] == ["testShift", "number", None, 0.5, None]

    readme = (tree / "README.md").read_text("utf-8")
    added = set(readme.splitlines()) - set(before.splitlines())
    assert added == {
        (
            "| `test_colours` | str | `bt709` | `bt709`, `bt2020` | "
            'Colours, "wide" or not \\| with \\ it. |'
        ),
        "| `test_strength` | int | `3` | 0 to 7 | New. |",
        "| `test_hdr10` | bool | `False` |  | New. |",
        "| `test_note` | str |  | at most 40 characters | New. |",
        "| `test_shift` | float |  | at least 0.5 | New. |",
    }
    request = (tree / PACKAGE / "models" / "reframe_request.py").read_text("utf-8")
    assert "testColours" in request


def test_the_spec_is_valid_openapi() -> None:
    """According to a validator that generating does not use."""
    validate(read_spec())


def test_the_table_leaves_the_video_out() -> None:
    """It is an argument, not a setting."""
    assert VIDEO_FIELD == "videoUrl"
    assert VIDEO_FIELD in settings_of(read_spec())
    assert VIDEO_FIELD not in {row.wire for row in SETTINGS}


def test_the_table_agrees_with_the_spec() -> None:
    """Every setting, in order and in full, compared with the YAML itself."""
    schemas = {wire: one for wire, one in settings_of(read_spec()).items() if wire != VIDEO_FIELD}
    assert [row.wire for row in SETTINGS] == list(schemas)
    for row, schema in zip(SETTINGS, schemas.values(), strict=True):
        ends = ("minLength", "maxLength") if row.kind == "string" else ("minimum", "maximum")
        assert (row.kind, repr(row.default)) == (schema["type"], repr(schema.get("default")))
        assert row.bounds == tuple(map(schema.get, ends))
        assert row.choices == tuple(schema.get("enum", ()))
        assert row.description == schema["description"].strip()
        assert row.required == schema.get("x-vendor-required", False)


def test_generated_package_carries_the_spec_it_was_made_from() -> None:
    """The sandbox checks requests by it."""
    assert json.loads((ROOT / PACKAGE / "openapi.json").read_text("utf-8")) == read_spec()
