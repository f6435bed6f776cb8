"""The commands: what each takes, and what it calls."""
# ruff: noqa: PLC0415 - what a command needs is loaded when it runs, so that --help stays quick

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from .batch_command import batch
from .exit_codes import Failure, command_line, failure_of, usage
from .flags import (
    HERE,
    Connection,
    ExtraFlags,
    JsonFlag,
    OutputFlag,
    OverwriteFlag,
    SettingFlags,
    TimeoutFlag,
    checked,
    for_demo,
)
from .help_layout import HELP
from .output import put_json, tolerate_any_path
from .progress import say
from .warning_lines import warnings_told

_HOUR = 3600.0

app = App(
    name="scenario-reframe",
    help="Reframe video to another aspect ratio with Scenario's Wan 2.2 Reframe.",
    version=lambda: version("scenario-reframe"),
    help_format="plaintext",
    help_formatter=HELP,
    print_error=False,
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
jobs = App(name="jobs", help="Look at jobs, wait for them, and download their results.")
app.command(jobs)
app.command(batch)


@app.command
def run(
    video: str,
    /,
    *,
    output: OutputFlag = None,
    settings: SettingFlags = None,
    extra: ExtraFlags = None,
    overwrite: OverwriteFlag = False,
    timeout: TimeoutFlag = _HOUR,
    as_json: JsonFlag = False,
    connection: Connection = HERE,
) -> None:
    """Reframe a video: upload, submit one paid job, wait, download. Prints the result's path.

    Parameters
    ----------
    video
        A file, an http(s) URL, or the id of an asset.
    output
        A file, or a folder. By default the video's name with the aspect ratio: clip-9x16.mp4.
    """
    from . import run_command

    run_command.run(
        video,
        checked(settings, extra),
        output,
        connection,
        overwrite=overwrite,
        timeout=timeout,
        as_json=as_json,
    )


@app.command
def estimate(
    video: str | None = None,
    /,
    *,
    settings: SettingFlags = None,
    extra: ExtraFlags = None,
    as_json: JsonFlag = False,
    connection: Connection = HERE,
) -> None:
    """Print what a job would cost, in creative units, without paying.

    Parameters
    ----------
    video
        A file, an http(s) URL, or the id of an asset. It is uploaded for this.
    """
    from . import run_command

    run_command.estimate(video, checked(settings, extra), connection, as_json=as_json)


@jobs.command(name="list")
def list_jobs(
    *,
    limit: Annotated[int, Parameter(help="How many at most.")] = 20,
    as_json: JsonFlag = False,
    connection: Connection = HERE,
) -> None:
    """List the newest jobs: id, kind, status, progress, creation, cost (creative units), seed."""
    from .jobs_command import list_jobs

    list_jobs(limit, connection, as_json=as_json)


@jobs.command
def show(job_id: str, /, *, as_json: JsonFlag = False, connection: Connection = HERE) -> None:
    """Show one job as it stands."""
    from .jobs_command import show

    show(job_id, connection, as_json=as_json)


@jobs.command
def wait(
    job_id: str,
    /,
    *,
    timeout: TimeoutFlag = _HOUR,
    as_json: JsonFlag = False,
    connection: Connection = HERE,
) -> None:
    """Wait until a job is done."""
    from .jobs_command import wait

    wait(job_id, timeout, connection, as_json=as_json)


@jobs.command
def download(
    job_id: str,
    /,
    *,
    output: OutputFlag = ".",
    overwrite: OverwriteFlag = False,
    timeout: TimeoutFlag = _HOUR,
    as_json: JsonFlag = False,
    connection: Connection = HERE,
) -> None:
    """Wait for a job if it is not done, and download its results.

    Parameters
    ----------
    output
        A file, or a folder, in which the asset's id is the name.
    """
    from .jobs_command import download
    from .run_command import Target

    target = Target(path=output or ".", overwrite=overwrite, timeout=timeout)
    download(job_id, target, connection, as_json=as_json)


@app.command
def resume(
    *,
    resubmit: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Submit again, with the same seed, what got no answer and is not listed.",
        ),
    ] = False,
    after: Annotated[
        float,
        Parameter(
            metavar="SECONDS",
            help="With --resubmit: only once so many have passed since it can last have arrived.",
        ),
    ] = 600.0,
    overwrite: OverwriteFlag = False,
    timeout: TimeoutFlag = _HOUR,
    as_json: JsonFlag = False,
    connection: Connection = HERE,
) -> int:
    """Finish what was cut off: find its job, wait, download.

    It pays only for what was cut off before it was ever submitted.
    """
    from .resume_command import resume

    return resume(
        connection,
        timeout=timeout,
        overwrite=overwrite,
        resubmit_after=after if resubmit else None,
        as_json=as_json,
    )


@app.command
def doctor(*, as_json: JsonFlag = False, connection: Connection = HERE) -> int:
    """Check, without paying, whether all is in order, and say what to do where it is not.

    Credentials, the server, clocks, the model's inputs, the ledger, what is installed.
    """
    from .doctor_command import doctor

    return doctor(connection, as_json=as_json)


@app.command
def sandbox(
    *, port: Annotated[int, Parameter(help="Where to listen; 0 takes a free port.")] = 8123
) -> None:
    """Run a local server that speaks the same API and costs nothing, until Ctrl-C."""
    from .sandbox_commands import sandbox

    sandbox(port)


@app.command
def demo(
    video: str | None = None,
    /,
    *,
    output: OutputFlag = "demo-output",
    settings: SettingFlags = None,
    extra: ExtraFlags = None,
) -> None:
    """Reframe a clip without an account, on a sandbox. Prints two paths: video and picture.

    To 9:16 at 480p, where the settings do not say otherwise.

    Parameters
    ----------
    video
        A file; without one, a sample is made.
    output
        The folder for the results; earlier ones of the same name are replaced.
    """
    from .sandbox_commands import demo

    demo(video, checked(for_demo(settings), extra), output or ".")


def invoke(argv: Sequence[str]) -> int:
    """Run one command line; its exit code. No exception leaves it but SystemExit."""
    tolerate_any_path()
    try:
        try:
            with command_line(argv), warnings_told():
                return app(list(argv)) or 0
        except CycloptsError as fault:
            return _tell(usage(str(fault)), argv)
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as fault:  # noqa: BLE001 - no traceback for people
            return _tell(failure_of(fault), argv)
    except BrokenPipeError:  # stdout's reader has gone: nobody to tell
        return 1


def _tell(failure: Failure, argv: Sequence[str]) -> int:
    for line in failure.lines():
        say(line)
    if "--json" in argv:
        put_json(failure.record())
    return failure.code
