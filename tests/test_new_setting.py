"""A setting added to the YAML reaches everything by one command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
CALLER = """
from scenario_reframe import ReframeClient
def call(client: ReframeClient) -> None:
    client.submit(camera_motion="pan", sharpness=3)
    client.submit(camera_motion="spin")
    client.submit(sharpness="3")
"""
BY_HAND = """
import httpx, json
from scenario_reframe import InvalidSettingsError, ReframeClient
from scenario_reframe.sandbox import Sandbox
found = {}
with Sandbox() as sandbox, ReframeClient(
    sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url
) as client:
    try:
        client.submit(camera_motion="spin", sharpness=9)
    except InvalidSettingsError as error:
        found["validation"] = error.problems
    url = sandbox.base_url + "/generate/custom/model_wan-2-2-vace-fun-a14b-reframe"
    reply = httpx.post(
        url, auth=(sandbox.api_key, sandbox.api_secret), json={"cameraMotion": "spin"}
    )
    found["sandbox"] = reply.status_code, reply.json()["reason"]
    found["estimate"] = client.estimate(camera_motion="pan", sharpness=3).creative_units
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which two settings were added to the YAML, and generated."""
    tree = tmp_path_factory.mktemp("tree")
    for folder in ("spec", "generated", "wrapper"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignored)
    shutil.copy(ROOT / "README.md", tree)
    path = tree / "spec" / "openapi.yaml"
    yaml = YAML()
    spec = yaml.load(path)
    spec["components"]["schemas"]["ReframeRequest"]["properties"] |= {
        "cameraMotion": {
            "type": "string",
            "enum": ["still", "pan"],
            "default": "still",
            "description": "How the camera moves.",
        },
        "sharpness": {
            "type": "integer",
            "minimum": 1,
            "maximum": 5,
            "description": "How sharp it is.",
        },
    }
    yaml.dump(spec, path)
    python(tree, "-m", "_generate", "--root", str(tree))
    return tree


def python(tree: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages of that tree, and this project's scripts."""
    folders = [tree / "wrapper", tree / "generated", ROOT / "scripts"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=tree,
        capture_output=True,
        text=True,
        check=check,
    )


def test_a_new_setting_is_typed_for_callers(tree: Path) -> None:
    """A right call passes mypy; a wrong choice and a wrong type are its only two errors."""
    (tree / "caller.py").write_text(CALLER, "utf-8")
    environment = {**os.environ, "MYPYPATH": f"{tree / 'wrapper'}{os.pathsep}{tree / 'generated'}"}
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "caller.py"],
        env=environment,
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = [line for line in told.splitlines() if line.startswith("caller.py") and "error" in line]
    assert [line.split(":")[1] for line in lines] == ["5", "6"], told


def test_a_new_setting_is_checked_by_client_and_sandbox(tree: Path) -> None:
    """Wrong values are refused by both, right ones priced."""
    found = json.loads(python(tree, "-c", BY_HAND).stdout)
    assert len(found["validation"]) == 2
    assert "'still', 'pan'" in found["validation"][0]
    assert "1 to 5" in found["validation"][1]
    assert found["sandbox"][0] == 400
    assert "cameraMotion" in found["sandbox"][1]
    assert found["estimate"] > 0


def test_a_new_setting_is_a_flag(tree: Path) -> None:
    """`run --help` shows it with its choices, bounds and description."""
    program = "import sys; from scenario_reframe.cli import main; sys.argv = ['x', 'run', '--help']"
    told = python(tree, "-c", f"{program}; main()", check=False).stdout
    for word in (
        "--camera-motion",
        "pan",
        "How the camera moves",
        "--sharpness",
        "How sharp it is",
    ):
        assert word in told


def test_a_new_setting_stands_in_the_readme(tree: Path) -> None:
    """Its row is in the table."""
    readme = (tree / "README.md").read_text("utf-8")
    assert "| `camera_motion` | str | `still` | `still`, `pan` | How the camera moves. |" in readme
    assert "| `sharpness` | int |  | 1 to 5 | How sharp it is. |" in readme
