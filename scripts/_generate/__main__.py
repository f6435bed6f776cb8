"""Make generated/ and the README's table from spec/openapi.yaml; with --check, only compare."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .errors import SpecError
from .render import settings_markdown, settings_module
from .replies import check_replies
from .settings_table import model_id, read_settings

PACKAGE = "scenario_reframe_api"
BEGIN, END = "<!-- settings: made by scripts/generate -->", "<!-- /settings -->"


def main() -> int:
    """Run the command. Exit code: 0 done or no difference, 1 differences, 2 an invalid spec."""
    parser = argparse.ArgumentParser(prog="scripts/generate", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 on any difference"
    )
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's folder")
    arguments = parser.parse_args()
    root: Path = arguments.root.resolve()
    try:
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / PACKAGE
            table = build(root, package)
            if arguments.check:
                return print_differences(differences(root, package, table))
            replace(root, package, table)
    except (SpecError, YAMLError, OSError) as error:
        print(f"scripts/generate: {error}", file=sys.stderr)
        return 2
    return 0


def build(root: Path, package: Path) -> str:
    """Write the generated package to the folder `package`; return the README's table."""
    path = root / "spec" / "openapi.yaml"
    spec: dict[str, Any] = YAML(typ="safe").load(path)
    try:
        check_replies(spec)
        settings, video_field = read_settings(spec)
        module = settings_module(settings, video_field, model_id(spec), spec["servers"][0]["url"])
    except (LookupError, TypeError, AttributeError) as error:
        raise SpecError(f"{path.name} has a missing or invalid part: {error}") from error
    generate_client(root, package)
    (package / "py.typed").touch()
    (package / "openapi.json").write_text(
        json.dumps(spec, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    (package / "settings.py").write_text(module, "utf-8")
    run(
        "ruff",
        "format",
        "--isolated",
        "--no-cache",
        "--line-length",
        "100",
        str(package / "settings.py"),
    )
    return settings_markdown(settings)


def generate_client(root: Path, package: Path) -> None:
    """Generate the typed client with openapi-python-client."""
    spec = root / "spec"
    run(
        "openapi-python-client", "generate", "--path", str(spec / "openapi.yaml"),
        "--config", str(spec / "config.yaml"), "--custom-template-path", str(spec / "templates"),
        "--meta", "none", "--fail-on-warning", "--output-path", str(package),
    )  # fmt: skip


def run(*command: str) -> None:
    """Run a tool of this environment. Raises SpecError with its output if it fails."""
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [str(tools / command[0]), *command[1:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SpecError(f"{command[0]} failed on the spec:\n{done.stdout}{done.stderr}")


def differences(root: Path, package: Path, table: str) -> list[str]:
    """The differences, byte by byte, between the tree and what the spec generates."""
    current = root / "generated" / PACKAGE
    expected, found = file_contents(package), file_contents(current)
    lines = [
        f"missing: generated/{PACKAGE}/{name}" for name in sorted(expected.keys() - found.keys())
    ]
    lines += [
        f"stray: generated/{PACKAGE}/{name}" for name in sorted(found.keys() - expected.keys())
    ]
    lines += [
        f"differs: generated/{PACKAGE}/{name}"
        for name in sorted(expected.keys() & found.keys())
        if expected[name] != found[name]
    ]
    lines += [
        f"stray: generated/{path.name}"
        for path in sorted((root / "generated").glob("*"))
        if path.name not in {PACKAGE, "__pycache__"}
    ]
    readme = (root / "README.md").read_text("utf-8")
    if with_table(readme, table) != readme:
        lines.append("differs: the settings' table in README.md")
    return lines


def file_contents(folder: Path) -> dict[str, bytes]:
    """Contents by relative path, without Python's caches."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def replace(root: Path, package: Path, table: str) -> None:
    """Replace the package and the README's table."""
    readme = root / "README.md"
    text = with_table(readme.read_text("utf-8"), table)
    target = root / "generated" / PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(package, target)
    readme.write_text(text, "utf-8")


def with_table(readme: str, table: str) -> str:
    """The README with its table replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SpecError(f"README.md does not have the lines {BEGIN} and {END}: add them")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def print_differences(lines: list[str]) -> int:
    """Print the differences; the exit code."""
    if not lines:
        return 0
    print("\n".join(lines))
    print("Run scripts/generate; edit the spec, not the output.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
