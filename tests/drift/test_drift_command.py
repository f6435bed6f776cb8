"""scripts/drift as a command: its output, its exit code, and the changes of --apply."""

import difflib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from _drift.__main__ import main
from drift_sources import (
    DEFAULTS,
    EIGHT,
    FIVE,
    OTHER_FRAMES,
    Rows,
    new_row,
    page,
    record,
    rows_of_spec,
)
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.submit_routes import model_json
from scenario_reframe_api.settings import MODEL_ID

pytestmark = pytest.mark.any_python

ROOT = Path(__file__).parents[2]
SPEC = "spec/openapi.yaml"
SETTINGS = "generated/scenario_reframe_api/settings.py"
Drift = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what --apply may edit, and of the code written by hand."""
    tree = tmp_path / "tree"
    for name in ("spec", "generated", "wrapper"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", tree)
    return tree


@pytest.fixture
def drift(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Drift:
    """Runs the command on the copy: exit code, stdout, stderr."""

    def run(*options: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["drift", "--root", str(tree), *map(str, options)])
        try:
            code = main()
        except SystemExit as stop:
            code = int(str(stop.code))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def contents(tree: Path) -> dict[str, bytes]:
    """Every file of a tree."""
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def write(folder: Path, source: str | dict[str, Any]) -> Path:
    """A source as a file."""
    path = folder / "source"
    path.write_text(source if isinstance(source, str) else json.dumps(source), "utf-8")
    return path


def diff(before: bytes, after: bytes) -> list[str]:
    """Removed and new lines, each with its sign."""
    old, new = before.decode().splitlines(), after.decode().splitlines()
    lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
    return [f"{line[0]} {line[1:].strip()}" for line in lines if not line.startswith("@@")]


def five_changes() -> Rows:
    """The spec's page after the vendor changed five things."""
    rows = rows_of_spec()
    del rows["acceleration"]
    rows["numFrames"]["Default"] = f"`{OTHER_FRAMES}`"
    rows["guidanceScale"]["Max"] = "`12.5`"
    rows["aspectRatio"]["Allowed Values"] = "`auto`, `16:9`, `1:1`, `9:16`, `4:3`"
    rows["testMotion"] = new_row(
        "testMotion", "string", Default="`still`", Description="How: the camera #moves.",
        **{"Allowed Values": "`still`, `none`, `on`"},
    )  # fmt: skip
    return rows


def test_agreement_is_reported_in_one_line(drift: Drift, tmp_path: Path) -> None:
    """Exit 0; the line says what a page cannot prove."""
    code, out, err = drift(write(tmp_path, page(rows_of_spec())))
    assert (code, err) == (0, "")
    assert "in agreement" in out
    assert "It does not state bounds and choices." in out


def test_drift_is_shown_in_a_table_and_nothing_is_changed(
    drift: Drift, tree: Path, tmp_path: Path
) -> None:
    """Exit 1; setting, both sides, kind of change, and whether callers break."""
    before = contents(tree)
    code, out, _ = drift(write(tmp_path, page(five_changes(), EIGHT)))
    assert code == 1
    lines = [" ".join(line.replace("│", "|").split()) for line in out.splitlines()]
    frames = f"| numFrames | {DEFAULTS['numFrames']} | {OTHER_FRAMES} | default | may"
    assert any(line.startswith(frames) for line in lines)
    assert any(
        line.startswith("| guidanceScale | 1 to 10 | 1 to 12.5 | bounds | no") for line in lines
    )
    assert any(line.startswith("| acceleration |") and "removed | yes" in line for line in lines)
    assert any(line.startswith("| testMotion | not there |") for line in lines)
    assert contents(tree) == before


def test_json_holds_all_of_it(drift: Drift, tmp_path: Path) -> None:
    """One object, also for several sources, each with its own changes."""
    reply = tmp_path / "reply.json"
    reply.write_text(json.dumps({"model": model_json()}))
    code, out, _ = drift(write(tmp_path, page(five_changes())), reply, "--json")
    told = json.loads(out)["sources"]
    assert code == 1
    assert [(found["agrees"], found["silent_on"]) for found in told] == [
        (False, ["bounds", "choices"]),
        (True, []),
    ]
    assert [(row["setting"], row["change"], row["breaks"]) for row in told[0]["changes"]] == [
        ("numFrames", "default", "may"),
        ("acceleration", "removed", "yes"),
        ("testMotion", "added", "no"),
    ]


def test_one_unreadable_source_does_not_hide_the_others(drift: Drift, tmp_path: Path) -> None:
    """Exit 2, and still the table of the other."""
    code, out, err = drift(tmp_path / "nothing", write(tmp_path, page(five_changes())))
    assert code == 2
    assert "numFrames" in out
    assert "nothing: No such file" in err


def test_json_says_why_a_source_cannot_be_read(drift: Drift, tmp_path: Path) -> None:
    """At its place among the sources, and on stderr."""
    code, out, err = drift(write(tmp_path, ""), "--json")
    assert code == 2
    assert json.loads(out)["sources"][0]["error"] == "it is empty"
    assert "it is empty" in err


def test_notes_of_a_source_are_shown(drift: Drift, tmp_path: Path) -> None:
    """For example, that it may be any model's."""
    code, out, _ = drift(write(tmp_path, page(rows_of_spec(), model=None)))
    assert code == 0
    assert "Note: it does not name its model.\n" in out


@pytest.mark.parametrize(
    "options", [(), ("--apply",), ("a", "b", "--apply"), ("a", "--live", "--apply")]
)
def test_wrong_use_is_refused(drift: Drift, options: tuple[str, ...]) -> None:
    """No source, or several sources to apply at once."""
    code, out, err = drift(*options)
    assert (code, out) == (2, "")
    assert "SOURCE" in err or "one source" in err


@pytest.fixture
def as_caller(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Sets the environment for requests to the server."""

    def be(base_url: str, key: str, secret: str) -> None:
        monkeypatch.setenv("SCENARIO_BASE_URL", base_url)
        monkeypatch.setenv("SCENARIO_API_KEY", key)
        monkeypatch.setenv("SCENARIO_API_SECRET", secret)

    return be


def test_the_live_server_is_a_source(drift: Drift, as_caller: Callable[..., None]) -> None:
    """The sandbox follows the spec, and so agrees with it in everything."""
    with Sandbox() as sandbox:
        as_caller(sandbox.base_url, sandbox.api_key, sandbox.api_secret)
        code, out, err = drift("--live")
    assert (code, out, err) == (0, "the live server: in agreement with spec/openapi.yaml\n", "")


def test_a_live_server_that_refuses_is_an_unreadable_source(
    drift: Drift, as_caller: Callable[..., None]
) -> None:
    """Exit 2 with advice, and without the credentials."""
    with Sandbox() as sandbox:
        as_caller(sandbox.base_url, sandbox.api_key, "wrong-secret-1234")
        code, out, err = drift("--live")
    assert (code, out) == (2, "")
    assert "401" in err
    assert "SCENARIO_API_KEY" in err
    assert "wrong-secret" not in err


def test_an_unreachable_live_server_is_an_unreadable_source(
    drift: Drift, as_caller: Callable[..., None]
) -> None:
    """Exit 2: nothing listens on a port that was just released."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        as_caller(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "key-1234", "secret-1234")
        code, out, err = drift("--live")
    assert (code, out) == (2, "")
    assert "could not connect" in err
    assert "secret-1234" not in err


def test_a_connection_that_cannot_be_set_up_is_an_unreadable_source(
    drift: Drift, as_caller: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, and the proxy's password is not shown."""
    as_caller("https://api.invalid/v1", "key-1234", "secret-1234")
    monkeypatch.setenv("ALL_PROXY", "odd://user:proxy-password@proxy.invalid")
    code, _, err = drift("--live")
    assert code == 2
    assert "the proxy cannot be used" in err
    assert "proxy-password" not in err


def test_without_credentials_the_server_is_not_asked(drift: Drift) -> None:
    """Exit 2, and the variables to set."""
    code, _, err = drift("--live")
    assert code == 2
    assert "SCENARIO_API_KEY" in err


def test_five_changes_are_followed_with_one_command(
    drift: Drift, tree: Path, tmp_path: Path
) -> None:
    """Only the spec (in few lines), what is generated and the README's table change."""
    before = contents(tree)
    source = write(tmp_path, page(five_changes(), EIGHT))
    code, out, err = drift(source, "--apply")
    assert (code, err) == (0, "")
    assert "removed: acceleration" in out
    after = contents(tree)
    touched = {name for name in before.keys() | after if before.get(name) != after.get(name)}
    assert {name.split("/")[0] for name in touched} == {"spec", "generated", "README.md"}
    assert diff(before[SPEC], after[SPEC]) == [
        f"- numFrames: {DEFAULTS['numFrames']}",
        f"+ numFrames: {OTHER_FRAMES}",
        f"- acceleration: {DEFAULTS['acceleration']}",
        "+ testMotion: still",
        f"- default: {DEFAULTS['numFrames']}",
        f"+ default: {OTHER_FRAMES}",
        '- enum: [auto, "16:9", "1:1", "9:16"]',
        '+ enum: [auto, "16:9", "1:1", "9:16", "4:3"]',
        "- maximum: 10",
        "+ maximum: 12.5",
        "- acceleration:",
        "- type: string",
        "- enum: [regular, none]",
        f"- default: {DEFAULTS['acceleration']}",
        "- description: Whether to speed the model up at some cost in quality.",
        "+ testMotion:",
        "+ type: string",
        '+ enum: [still, none, "on"]',
        "+ default: still",
        '+ description: "How: the camera #moves."',
    ]
    again = drift(source, "--apply")
    assert again[0] == 0
    assert "in agreement" in again[1]
    assert contents(tree) == after


BY_HAND = """
import json
from scenario_reframe import InvalidSettingsError, ReframeClient
from scenario_reframe.sandbox import Sandbox
from scenario_reframe_api.settings import SETTINGS
rows = {row.wire: row for row in SETTINGS}
found = {"default": rows["numFrames"].default, "gone": "acceleration" not in rows}
with Sandbox() as sandbox, ReframeClient(
    sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url
) as client:
    try:
        client.estimate(test_motion="spin", guidance_scale=12.6, acceleration="none")
    except InvalidSettingsError as error:
        found["problems"] = [problem.split(":")[0] for problem in error.problems]
    found["price"] = client.estimate(
        test_motion="on", guidance_scale=12.5, aspect_ratio="4:3"
    ).creative_units
print(json.dumps(found))
"""


def test_what_was_followed_is_in_the_client_and_the_sandbox(
    drift: Drift, tree: Path, tmp_path: Path
) -> None:
    """A program on the edited tree has all five; so have its flags and the README's table."""
    assert drift(write(tmp_path, page(five_changes(), EIGHT)), "--apply")[0] == 0
    path = f"{tree / 'wrapper'}{os.pathsep}{tree / 'generated'}{os.pathsep}{ROOT / 'scripts'}"

    def python(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], env={**os.environ, "PYTHONPATH": path}, cwd=tree,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = json.loads(python("-c", BY_HAND))
    assert found.pop("price") > 0
    assert found == {
        "default": OTHER_FRAMES,
        "gone": True,
        "problems": ["test_motion", "guidance_scale", "acceleration"],
    }
    shown = python("-m", "scenario_reframe", "run", "--help")
    assert "--test-motion" in shown
    assert "--acceleration" not in shown
    row = "| `test_motion` | str | `still` | `still`, `none`, `on` | How: the camera #moves. |"
    assert row in (tree / "README.md").read_text("utf-8")
    assert python("-m", "_generate", "--check") == ""


def test_every_kind_of_change_in_a_reply_is_followed(
    drift: Drift, tree: Path, tmp_path: Path
) -> None:
    """Types, lengths, required settings and files; the result agrees with the reply."""
    model = model_json()
    inputs = {row["name"]: row for row in model["inputs"]}
    inputs["numFrames"]["step"] = 0.5
    inputs["trimBorders"] |= {"type": "string", "default": "soft", "allowedValues": ["soft", "no"]}
    inputs["prompt"] |= {"required": {"always": True}, "maxLength": 400}
    inputs["seed"]["max"] = 2**31 - 1
    del inputs["resolution"]["allowedValues"]
    model["inputs"] = [
        *inputs.values(),
        {"name": "testMask", "type": "file", "description": "A mask"},
        {"name": "testSteps", "type": "number", "min": 1, "step": 1, "description": "Steps."},
        {"name": "testShift", "type": "number", "default": 1, "description": "Shift."},
    ]
    source = write(tmp_path, {"model": model})
    code, out, err = drift(source, "--apply")
    assert (code, err) == (0, "")
    assert "testShift is a number; if it takes integers only" in out
    assert "- trimBorders is missing or of another type; lines that name it:\n    wrapper/" in out
    text = (tree / SPEC).read_text("utf-8")
    assert "        testSteps:\n          type: integer\n          minimum: 1\n" in text
    assert "description: A mask. Takes an asset's id.\n          x-input: asset\n" in text
    assert "test_mask: str\n" in (tree / SETTINGS).read_text("utf-8")
    assert "required=True" in (tree / SETTINGS).read_text("utf-8")
    assert "in agreement" in drift(source)[1]


def test_what_only_a_person_can_decide_is_listed_and_left_alone(
    drift: Drift, tree: Path, tmp_path: Path
) -> None:
    """Renames, types and invalid names, and defaults outside unknown bounds."""
    rows = rows_of_spec()
    rows["videoWriteMode"]["Parameter"] = "`videoWritingMode`"
    rows["numFrames"]["Default"] = "300"
    rows["testFiles"] = new_row("testFiles", "assetId[]")
    rows["timeout"] = new_row("timeout", "number")
    rows["videoUrl"] = new_row("videoUrl", "string")
    rows["testHue"] = new_row("testHue", "number", **{"Allowed Values": "1, 2"})
    before = contents(tree)
    code, out, err = drift(write(tmp_path, page(rows, (*FIVE, "Allowed Values"))), "--apply")
    assert (code, err) == (1, "")
    listed = [line for line in out.splitlines() if line.startswith("- not applied: ")]
    for words in (
        "videoWriteMode is missing and videoWritingMode is new",
        "'numFrames' has the default 300",
        "'file_array', which is not supported",
        "'timeout', which is already an argument",
        "videoUrl, which the client fills",
        "'testHue' uses 'enum'",
    ):
        assert sum(words in line for line in listed) == 1, out
    assert len(listed) == 6
    assert contents(tree) == before


def test_a_removal_and_an_addition_that_are_not_alike_are_followed(
    drift: Drift, tree: Path, tmp_path: Path
) -> None:
    """Unlike settings of one type are not taken for a rename."""
    rows = rows_of_spec()
    del rows["acceleration"]
    rows["testMotion"] = new_row("testMotion", "string", Default="still")
    code, out, _ = drift(write(tmp_path, page(rows)), "--apply", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["applied"] == [
        {"setting": "acceleration", "schema": None},
        {
            "setting": "testMotion",
            "schema": {
                "type": "string",
                "default": "still",
                "description": "The new testMotion.",
            },
        },
    ]
    assert told["undecided"] == []
    assert told["notes"] == ["testMotion: the source does not state bounds and choices"]


NAMING = """\
# What acceleration does.
run(acceleration="none", decelerations=1)
my_acceleration = accelerations = 1
client.submit(video_write_mode="fast")
run("--video-write-mode=fast", {"videoWriteMode": "fast"})
"""


@pytest.mark.parametrize("options", [(), ("--apply",)], ids=["compared", "applied"])
def test_lines_that_name_a_removed_or_renamed_setting_are_listed(
    drift: Drift, tree: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """By any of its names as a whole word: code, tests and prose, but no generated row."""
    for name in ("scripts/run", "tests/test_it.py"):
        (tree / name).parent.mkdir()
        (tree / name).write_text(NAMING)
    readme = tree / "README.md"
    readme.write_text(readme.read_text("utf-8") + "\nGive `--acceleration`.\n", "utf-8")
    rows = rows_of_spec()
    del rows["acceleration"]
    rows["videoWriteMode"]["Parameter"] = "`videoWritingMode`"
    _, out, _ = drift(write(tmp_path, page(rows)), *options, "--json")
    named = json.loads(out)["named"]
    assert list(named) == ["acceleration", "videoWriteMode"]
    mine = {
        wire: [place for place in places if place.startswith(("scripts/", "tests/"))]
        for wire, places in named.items()
    }
    assert mine == {
        wire: [
            f"{file}:{number}" for file in ("scripts/run", "tests/test_it.py") for number in pair
        ]
        for wire, pair in {"acceleration": (1, 2), "videoWriteMode": (4, 5)}.items()
    }
    lines = readme.read_text("utf-8").splitlines()
    assert named["acceleration"][-1] == f"README.md:{len(lines)}"
    for places in named.values():
        prose = [int(place.split(":")[1]) for place in places if place.startswith("README.md:")]
        assert not [number for number in prose if lines[number - 1].startswith("| ")]


def test_lines_that_name_a_removed_setting_are_always_listed(drift: Drift, tmp_path: Path) -> None:
    """One line each, also when nothing is applied."""
    rows = rows_of_spec()
    del rows["acceleration"]
    _, out, _ = drift(write(tmp_path, page(rows)))
    heading = (
        "For a person to decide:\n- acceleration is missing or of another type; lines that name it:"
    )
    assert f"{heading}\n    wrapper/scenario_reframe/sandbox/reframe_plan.py:" in out


def break_readme(tree: Path) -> None:
    """Remove the table's marks."""
    (tree / "README.md").write_text("no table\n")


def break_template(tree: Path) -> None:
    """Make the client generator fail."""
    (tree / "spec" / "config.yaml").write_text("- no configuration\n")


def write_as_json(tree: Path) -> None:
    """Write the spec's settings not as a block."""
    from ruamel.yaml import YAML  # noqa: PLC0415

    path = tree / SPEC
    path.write_text(json.dumps(YAML(typ="safe").load(path)))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (break_readme, "README.md"),
        (break_template, "openapi-python-client"),
        (write_as_json, "by hand"),
    ],
)
def test_what_cannot_be_generated_leaves_the_tree_as_it_was(
    drift: Drift, tree: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    """Exit 2 with the reason; no byte is changed."""
    spoil(tree)
    before = contents(tree)
    code, _, err = drift(write(tmp_path, page(five_changes(), EIGHT)), "--apply")
    assert code == 2
    assert words in err
    assert contents(tree) == before


def test_a_failure_while_replacing_puts_the_spec_back(
    drift: Drift, tree: Path, tmp_path: Path
) -> None:
    """Here a file is in the place of generated/."""
    shutil.rmtree(tree / "generated")
    (tree / "generated").write_text("in the way")
    before = contents(tree)
    code, _, err = drift(write(tmp_path, page(five_changes(), EIGHT)), "--apply")
    assert code == 2
    assert err.startswith("scripts/drift: nothing was changed")
    assert contents(tree) == before


def test_an_unreadable_source_is_not_followed(drift: Drift, tree: Path, tmp_path: Path) -> None:
    """Exit 2, and no byte is changed."""
    before = contents(tree)
    code, _, err = drift(write(tmp_path, "<html>502</html>"), "--apply")
    assert code == 2
    assert "no table" in err
    assert contents(tree) == before


@pytest.mark.parametrize("text", ["openapi: [", "5", "openapi: 3.1.0"])
def test_a_spec_that_cannot_be_read_is_an_error(
    drift: Drift, tree: Path, tmp_path: Path, text: str
) -> None:
    """Exit 2 and one message, no traceback."""
    (tree / SPEC).write_text(text)
    code, _, err = drift(write(tmp_path, record(model=MODEL_ID)))
    assert code == 2
    assert err.startswith("scripts/drift: ")


def test_the_script_itself_runs_from_anywhere(tmp_path: Path) -> None:
    """A relative SOURCE is relative to the caller's folder."""
    write(tmp_path, page(rows_of_spec()))
    done = subprocess.run(
        [ROOT / "scripts" / "drift", "source"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("source: in agreement")
