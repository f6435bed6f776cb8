"""Generate, or with --check compare: generated/ and the README's table from spec/openapi.yaml."""

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
    """Exit code: 0 done or in agreement, 1 on any difference, 2 when the spec is at fault."""
    parser = argparse.ArgumentParser(prog="scripts/generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="touch nothing; exit 1 on difference")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's folder")
    arguments = parser.parse_args()
    root: Path = arguments.root.resolve()
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / PACKAGE
            table = build(root, made)
            if arguments.check:
                return report(differences(root, made, table))
            replace(root, made, table)
    except (SpecError, YAMLError, OSError) as fault:
        print(f"scripts/generate: {fault}", file=sys.stderr)
        return 2
    return 0


def build(root: Path, made: Path) -> str:
    """Write the whole package to `made`; return the README's table."""
    path = root / "spec" / "openapi.yaml"
    spec: dict[str, Any] = YAML(typ="safe").load(path)
    try:
        check_replies(spec)
        settings, video_field = read_settings(spec)
        module = settings_module(settings, video_field, model_id(spec), spec["servers"][0]["url"])
    except (LookupError, TypeError, AttributeError) as fault:
        raise SpecError(f"{path.name} lacks or misuses {fault}") from fault
    generate_client(root, made)
    (made / "py.typed").touch()
    (made / "openapi.json").write_text(
        json.dumps(spec, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    (made / "settings.py").write_text(module, "utf-8")
    run(
        "ruff",
        "format",
        "--isolated",
        "--no-cache",
        "--line-length",
        "100",
        str(made / "settings.py"),
    )
    return settings_markdown(settings)


def generate_client(root: Path, made: Path) -> None:
    """The typed client, by openapi-python-client."""
    spec = root / "spec"
    run(
        "openapi-python-client", "generate", "--path", str(spec / "openapi.yaml"),
        "--config", str(spec / "config.yaml"), "--custom-template-path", str(spec / "templates"),
        "--meta", "none", "--fail-on-warning", "--output-path", str(made),
    )  # fmt: skip


def run(*command: str) -> None:
    """Run a tool of this environment; its output becomes the error's text."""
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
        raise SpecError(f"{command[0]} refused the spec:\n{done.stdout}{done.stderr}")


def differences(root: Path, made: Path, table: str) -> list[str]:
    """What differs between the tree and what the spec makes, byte by byte."""
    kept = root / "generated" / PACKAGE
    wanted, found = files(made), files(kept)
    lines = [
        f"missing: generated/{PACKAGE}/{name}" for name in sorted(wanted.keys() - found.keys())
    ]
    lines += [f"stray: generated/{PACKAGE}/{name}" for name in sorted(found.keys() - wanted.keys())]
    lines += [
        f"differs: generated/{PACKAGE}/{name}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
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


def files(folder: Path) -> dict[str, bytes]:
    """Contents by relative path; what Python caches does not count."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def replace(root: Path, made: Path, table: str) -> None:
    """Put the package and the table in place of the old ones."""
    readme = root / "README.md"
    text = with_table(readme.read_text("utf-8"), table)
    target = root / "generated" / PACKAGE
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(made, target)
    readme.write_text(text, "utf-8")


def with_table(readme: str, table: str) -> str:
    """The README with its table replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SpecError(f"README.md lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def report(lines: list[str]) -> int:
    """Print what differs."""
    if not lines:
        return 0
    print("\n".join(lines))
    print("Run scripts/generate; mend the spec, not the output.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
