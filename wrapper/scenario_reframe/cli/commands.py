"""The command line: every command with its flags, and the exit code."""
# ruff: noqa: PLC0415 - imports are delayed until the command runs, so that --help is quick

from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from .batch_command import batch
from .exit_codes import INTERRUPTED, Failure, failure_of, remember_command_line, usage_failure
from .flags import (
    DEFAULT_CONNECTION,
    Connection,
    ExtraFlags,
    JsonFlag,
    OutputFlag,
    OverwriteFlag,
    SettingFlags,
    TimeoutFlag,
    checked_settings,
    convert_number,
    convert_whole_number,
    with_demo_defaults,
)
from .help_layout import HELP, help_console
from .output import OutputError, print_json, tolerate_any_path
from .progress import print_message
from .termination import interrupted_by_sigterm
from .warning_lines import warnings_on_stderr

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
jobs = App(name="jobs", help="Show jobs, wait for them, and download their results.")
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
    connection: Connection = DEFAULT_CONNECTION,
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
        checked_settings(settings, extra),
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
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Print what a job would cost, in creative units, without paying.

    Parameters
    ----------
    video
        A file, which is uploaded, an http(s) URL, or the id of an asset.
    """
    from . import run_command

    run_command.estimate(video, checked_settings(settings, extra), connection, as_json=as_json)


@jobs.command(name="list")
def list_jobs(
    *,
    limit: Annotated[
        int, Parameter(converter=convert_whole_number, help="Most jobs to list.")
    ] = 20,
    as_json: JsonFlag = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """List the newest jobs: id, kind, status, progress, creation, cost (creative units), seed."""
    from .jobs_command import list_jobs

    list_jobs(limit, connection, as_json=as_json)


@jobs.command
def show(
    job_id: str, /, *, as_json: JsonFlag = False, connection: Connection = DEFAULT_CONNECTION
) -> None:
    """Show one job as it is now."""
    from .jobs_command import show

    show(job_id, connection, as_json=as_json)


@jobs.command
def wait(
    job_id: str,
    /,
    *,
    timeout: TimeoutFlag = _HOUR,
    as_json: JsonFlag = False,
    connection: Connection = DEFAULT_CONNECTION,
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
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Wait for a job if it is not done, and download its results.

    Parameters
    ----------
    output
        A file, or a folder, in which files are named after their assets.
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
            help="Resubmit, with the same seed, what got no answer and has no listed job.",
        ),
    ] = False,
    after: Annotated[
        float,
        Parameter(
            metavar="SECONDS",
            converter=convert_number,
            help="With --resubmit: only this many seconds after the last submit can have arrived.",
        ),
    ] = 600.0,
    overwrite: OverwriteFlag = False,
    timeout: TimeoutFlag = _HOUR,
    as_json: JsonFlag = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> int:
    """Finish interrupted runs: find the job, wait, download.

    Pays only for runs that were interrupted before they submitted.
    """
    from .resume_command import resume

    return resume(
        connection,
        timeout=timeout,
        overwrite=overwrite,
        resubmit=resubmit,
        after=after,
        as_json=as_json,
    )


@app.command
def doctor(*, as_json: JsonFlag = False, connection: Connection = DEFAULT_CONNECTION) -> int:
    """Check the set-up without paying, and say how to fix what is wrong.

    Credentials, the server, clocks, the model's inputs, the ledger, what is installed.
    """
    from .doctor_command import doctor

    return doctor(connection, as_json=as_json)


@app.command
def sandbox(
    *,
    port: Annotated[
        int,
        Parameter(
            converter=convert_whole_number, help="The port to listen on; 0 takes a free one."
        ),
    ] = 8123,
) -> None:
    """Run a local server with the same API, at no cost, until Ctrl-C."""
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

    To 9:16 at 480p by default.

    Parameters
    ----------
    video
        A file; by default a sample is made.
    output
        The folder for the results; files of the same names are replaced.
    """
    from .sandbox_commands import demo

    demo(video, checked_settings(with_demo_defaults(settings), extra), output or ".")


def invoke(argv: Sequence[str]) -> int:
    """Run one command line; its exit code. Raises nothing but SystemExit."""
    tolerate_any_path()
    try:
        with interrupted_by_sigterm():
            return _run(argv)
    except BrokenPipeError:  # stdout's reader has gone
        return 1
    except KeyboardInterrupt:  # another one, while the first was reported
        return INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    try:
        with remember_command_line(argv), warnings_on_stderr():
            return app(list(argv), console=help_console()) or 0
    except CycloptsError as fault:
        return _report_failure(usage_failure(str(fault)), argv)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as fault:  # noqa: BLE001 - a message instead of a traceback
        return _report_failure(failure_of(fault), argv)


def _report_failure(failure: Failure, argv: Sequence[str]) -> int:
    for line in failure.lines():
        print_message(line)
    if "--json" in argv:
        with suppress(OutputError):
            print_json(failure.to_json())
    return failure.code
