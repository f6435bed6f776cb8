"""Bad streams, folders, encodings and signals, with the command in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from bad_input_tables import AddRow
from commands import Commands, commands, credentials_of, output_of
from scenario_reframe.cli import main
from scenario_reframe.sandbox import Sandbox
from waiting import until

QUICK = ("--resolution", "480p", "--num-interpolated-frames", "0")
START = "import sys; from scenario_reframe.cli import main; sys.exit(main())"
CAFE = b"caf\xe9.mp4"

HAS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

Finished = subprocess.CompletedProcess[bytes]
Run = Callable[..., Finished]


@pytest.fixture
def here(tmp_path: Path, short_clip: Path) -> Path:
    """A folder with a clip."""
    shutil.copy(short_clip, tmp_path)
    return tmp_path


@pytest.fixture
def run(sandbox: Sandbox, here: Path, bad_input_row: AddRow) -> Run:
    """Runs a command in this folder to its end, with other variables.

    `within`: a command line of sh, in which `"$@"` is the command.
    """

    def start(*argv: str | bytes, within: str = 'exec "$@"', **variables: str) -> Finished:
        done = subprocess.run(
            ["sh", "-c", within, "sh", sys.executable, "-c", START, *argv],
            cwd=here,
            env=os.environ | credentials_of(sandbox) | variables,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        assert b"unexpected" not in done.stderr
        shown = [*(f"{name}={value}" for name, value in variables.items()), *map(os.fsdecode, argv)]
        line = f"{' '.join(shown)}  # {within}".removesuffix('  # exec "$@"')
        message = done.stderr.decode("utf-8", "backslashreplace").replace(str(here), "HERE")
        bad_input_row("command line", line, message or "(nothing)", done.returncode)
        return done

    return start


@HAS_FULL
@pytest.mark.parametrize(
    "argv",
    [
        ("--help",),
        ("--version",),
        ("jobs", "list", "--json"),
        ("doctor",),
        ("batch", "clip.mp4", "-o", "out", "--check"),
        ("run", "nowhere.mp4", "--json"),
    ],
    ids=" ".join,
)
def test_a_full_disk_for_stdout_is_one_line(run: Run, argv: tuple[str, ...]) -> None:
    """Exit code 1, or that of the failure that was to be printed."""
    done = run(*argv, within='exec "$@" > /dev/full')
    is_bad = "nowhere.mp4" in argv
    wanted = b"does not exist" if is_bad else b"stdout cannot be written: No space left on device"
    assert done.returncode == (2 if is_bad else 1)
    assert wanted in done.stderr
    assert len(done.stderr.splitlines()) == 1


@HAS_FULL
def test_a_result_that_cannot_be_printed_is_kept(run: Run, here: Path, sandbox: Sandbox) -> None:
    """The same command prints it later, without paying again."""
    made = sandbox.jobs_made
    done = run("run", "clip.mp4", *QUICK, within='exec "$@" > /dev/full')
    assert done.returncode == 1
    assert b"stdout cannot be written" in done.stderr
    assert run("run", "clip.mp4", *QUICK).stdout == b"clip-reframed.mp4\n"
    assert sandbox.jobs_made == made + 1


@pytest.mark.parametrize("within", ['exec "$@" >&-', 'exec "$@" 2>&-', 'exec "$@" <&-'])
def test_a_closed_stream_stops_nothing(run: Run, here: Path, within: str) -> None:
    """Neither a job nor its download."""
    done = run("run", "clip.mp4", *QUICK, within=within)
    assert done.returncode == 0
    assert (here / "clip-reframed.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "utf-16"},
        {"LC_ALL": "xx_XX.nothing"},
        {"TERM": "dumb", "COLUMNS": "0"},
    ],
    ids=str,
)
def test_a_path_is_printed_byte_for_byte(run: Run, here: Path, variables: dict[str, str]) -> None:
    """In every locale, whatever the encoding of its name."""
    shutil.copy(here / "clip.mp4", here / os.fsdecode(CAFE))
    done = run("run", CAFE, "-o", "é.mp4", *QUICK, **variables)
    assert (done.returncode, done.stdout) == (0, "é.mp4\n".encode())
    done = run("batch", CAFE, "-o", b"\xff", *QUICK, **variables)
    assert (done.returncode, done.stdout) == (0, b"\xff/caf\xe9-reframed.mp4\n")


@pytest.mark.parametrize("columns", ["0", "1", "-5", "x", ""])
def test_help_can_be_read_however_narrow_the_terminal_says_it_is(run: Run, columns: str) -> None:
    """COLUMNS is often wrong where there is no terminal."""
    done = run("--help", COLUMNS=columns)
    assert done.returncode == 0
    assert "Usage: scenario-reframe COMMAND" in done.stdout.decode()


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("run", "HERE/clip.mp4"), b"working directory"),
        (("run", "clip.mp4"), b"does not exist"),
        (("batch", "HERE/clip.mp4", "-o", "out"), b"working directory"),
        (("estimate", "clip.mp4"), b"does not exist"),
        (("jobs", "list", "--ledger", "ledger.db"), b"ledger.db cannot be read"),
        (("demo",), b"working directory"),
    ],
)
def test_a_working_directory_that_is_gone_is_named(
    run: Run, here: Path, argv: tuple[str, ...], word: bytes
) -> None:
    """And nothing is paid. Python 3.13.0 itself cannot import `socket` there."""
    if sys.version_info[:3] == (3, 13, 0):
        pytest.skip("this Python cannot run in a working directory that is gone")
    (here / "gone").mkdir()
    words = [one.replace("HERE", str(here)) for one in argv]
    done = run(*words, within='cd gone && rmdir ../gone && exec "$@"', PYTHONPATH=python_path())
    assert done.returncode == (3 if "--ledger" in argv else 2)
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_home_that_cannot_be_used_is_named(run: Run) -> None:
    """Where the ledger would be."""
    done = run("run", "clip.mp4", *QUICK, HOME="/proc", XDG_STATE_HOME="", SCENARIO_LEDGER="")
    assert done.returncode == 3
    assert b"the ledger /proc/" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def started(sandbox: Sandbox, here: Path) -> Iterator[Commands]:
    """Starts commands whose job never ends."""
    sandbox.hold_jobs = True
    with commands(here, credentials_of(sandbox)) as made:
        yield made
    sandbox.hold_jobs = False


def test_sigterm_says_what_is_paid_and_how_to_resume(started: Commands, sandbox: Sandbox) -> None:
    """As Ctrl-C does: exit code 130."""
    made = sandbox.jobs_made
    process = started("run", "clip.mp4", *QUICK)
    until(lambda: sandbox.jobs_made > made)
    assert process.stderr is not None
    seen = next(line for line in process.stderr if "submitted" in line)
    process.terminate()
    out, err = output_of(process)
    assert (process.returncode, out) == (130, "")
    assert seen.split()[1] in err
    assert "scenario-reframe jobs download" in err.splitlines()[-1]


def test_a_batch_ends_cleanly_on_sigterm(started: Commands, sandbox: Sandbox) -> None:
    """With its summary."""
    made = sandbox.jobs_made
    process = started("batch", "clip.mp4", "-o", "out", *QUICK)
    until(lambda: sandbox.jobs_made > made)
    process.terminate()
    _, err = output_of(process)
    assert process.returncode == 130
    assert "1 unfinished" in err
    assert "Traceback" not in err


def test_ctrl_c_while_the_first_is_reported_ends_the_command(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a traceback."""

    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("scenario_reframe.cli.run_command.run", interrupt)
    monkeypatch.setattr("scenario_reframe.cli.commands.print_message", interrupt)
    assert main(["run", str(here / "clip.mp4")]) == 130


def python_path() -> str:
    """The modules' folders, absolute."""
    return os.pathsep.join(os.path.abspath(one) for one in sys.path if one)  # noqa: PTH100
