"""What `--help` shows, what it costs, and the message when an extra is missing."""

import io
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TextIO, cast

import pytest
from rich.console import Console

from scenario_reframe import Job
from scenario_reframe.cli import main
from scenario_reframe.cli.commands import app
from scenario_reframe.cli.progress import BestEffortStream, LiveDisplay, format_bytes
from scenario_reframe_api.settings import SETTINGS, Setting

ROOT = Path(__file__).parents[2]
Output = pytest.CaptureFixture[str]


def python(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """Run some code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(map(str, path)), "COLUMNS": "160"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["run", "estimate", "demo", "batch"])
def helped(request: pytest.FixtureRequest) -> str:
    """The help of a command as one line, without boxes."""
    told = io.StringIO()
    app.help_print([request.param], console=Console(file=told, width=400))
    return " ".join(re.sub("[─│╭╮╰╯]", " ", told.getvalue()).split())


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_setting_has_a_flag_with_its_bounds_choices_and_default(
    row: Setting, helped: str
) -> None:
    """The help needs nothing but the table of the spec."""
    flag = "--" + row.name.replace("_", "-")
    before, _, after = helped.partition(row.description)
    assert f" {flag} " in before
    if row.kind == "boolean":
        assert f" --no-{flag[2:]} " in helped
    after = after.split(" --")[0]
    if row.choices:
        assert f"Allowed: {', '.join(row.choices)}." in after
    if row.bounds.minimum is not None:
        assert f"Allowed: {row.bounds.minimum} to {row.bounds.maximum}." in after
    if row.default is not None:
        assert f"Default: {row.default}." in after


def test_a_setting_added_to_the_table_is_a_flag_with_no_other_edit(tmp_path: Path) -> None:
    """The help shows it, and its value is checked."""
    api = tmp_path / "scenario_reframe_api"
    shutil.copytree(ROOT / "generated" / "scenario_reframe_api", api)
    table = (api / "settings.py").read_text("utf-8")
    row = """    Setting(name="test_sharpness", wire="test_sharpness", kind="integer", default=None,
        bounds=Bounds(1, 3), choices=(), description="How sharp."),
)


class"""
    table = table.replace(")\n\n\nclass ReframeSettings", row + " ReframeSettings")
    table += '\n    test_sharpness: Annotated[int, Bounds(1, 3)]\n    """How sharp."""\n'
    (api / "settings.py").write_text(table, "utf-8")
    code = "from scenario_reframe.cli import main; print(main(['run', *{}]))"
    assert "--test-sharpness INT" in python(code.format(["--help"]), tmp_path).stdout
    checked = python(code.format(["x.mp4", "--test-sharpness", "4"]), tmp_path)
    assert "--test-sharpness: 4 is not allowed" in checked.stderr
    assert checked.stdout == "2\n"


@pytest.mark.parametrize("command", ["run", "estimate", "demo", "batch"])
def test_every_other_flag_is_reserved_so_that_no_setting_can_take_it(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generator refuses a setting with such a name."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from _generate.settings_table import RESERVED  # noqa: PLC0415

    settings = {row.name for row in SETTINGS} | {f"no_{row.name}" for row in SETTINGS}
    flags = {
        name[2:].replace("-", "_")
        for argument in app[command].assemble_argument_collection()
        for name in argument.names
        if name.startswith("--")
    }
    assert settings & flags
    assert flags - settings <= RESERVED


def test_version_is_the_distributions(capsys: Output) -> None:
    """On one line of stdout."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == version("scenario-reframe") + "\n"


def test_help_loads_neither_httpx_nor_the_sandbox() -> None:
    """So it is quick."""
    done = python(
        "import sys; from scenario_reframe.cli import main; main(['run', '--help'])\n"
        "print(sorted({'httpx', 'av', 'starlette', 'jsonschema'} & set(sys.modules)))"
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_a_missing_cli_extra_is_named_in_one_line(missing: str) -> None:
    """Exit code 3."""
    done = python(
        f"import sys; sys.modules['{missing}'] = None\n"
        "from scenario_reframe.cli import main; sys.exit(main(['run', 'x']))"
    )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "pip install 'scenario-reframe[cli]'" in done.stderr


@pytest.mark.parametrize(
    ("command", "missing"),
    [("sandbox", "av"), ("sandbox", "uvicorn"), ("demo", "starlette"), ("demo", "jsonschema")],
)
def test_a_missing_sandbox_extra_is_named_in_one_line(
    command: str, missing: str, tmp_path: Path
) -> None:
    """Exit code 3."""
    done = python(
        f"import os, sys; sys.modules['{missing}'] = None; os.chdir({str(tmp_path)!r})\n"
        f"from scenario_reframe.cli import main; sys.exit(main(['{command}']))"
    )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "pip install 'scenario-reframe[sandbox]'" in done.stderr


def test_a_bug_in_our_own_imports_is_not_reported_as_a_missing_extra() -> None:
    """The error itself is shown."""
    done = python(
        "import sys; sys.modules['scenario_reframe.cli.flags'] = None\n"
        "from scenario_reframe.cli import main; sys.exit(main([]))"
    )
    assert "pip install" not in done.stderr
    assert "ModuleNotFoundError" in done.stderr


def test_bars_show_a_servers_text_as_it_is() -> None:
    """Markup in a status has no effect, and an unknown status is shown."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100, color_system=None)
    with LiveDisplay(console) as display:
        display.message("[red]said[/red]")
        display.status(Job(id="job_1", status="[b]new[/b]"))
        display.status(Job(id="job_1", status="in-progress", progress=0.42))
        display.downloading(5, None)
        display.downloading(1500, 2000)
    told = shown.getvalue()
    for part in ("[red]said[/red]", "in-progress 42%", "1.5 kB of 2.0 kB"):
        assert part in told


def test_a_closed_terminal_does_not_raise() -> None:
    """A paid job goes on without it."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

        def flush(self) -> None:
            raise OSError(5, "Input/output error")

    stream = cast("TextIO", BestEffortStream(Gone()))
    with LiveDisplay(Console(file=stream, force_terminal=True, width=80)) as display:
        display.message("said")
        display.uploading(1, 2)
        display.status(Job(id="job_1", status="queued"))


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_055_736, "1.1 MB"), (3_000_000_000, "3.0 GB")],
)
def test_sizes_are_shown_in_powers_of_ten(count: int, words: str) -> None:
    """With the unit that makes them short."""
    assert format_bytes(count) == words
