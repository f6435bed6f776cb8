"""`run` and `estimate`: one clip through the pipeline, with its progress shown."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, frozen

from scenario_reframe import Asset, Job, ReframeClient, ReframeResult, SubmissionUncertainError
from scenario_reframe.arguments import check_seconds
from scenario_reframe.result_paths import check_destination, default_name
from scenario_reframe.timing import DEFAULT_TIMING
from scenario_reframe.video import Video, VideoAsset, VideoFile, resolve

from .exit_codes import resumable, shell_command
from .flags import Connection, GivenSettings
from .output import job_to_json, print_json, print_line, print_paths
from .progress import Display, format_bytes, open_display

TIMING = DEFAULT_TIMING
"""The timing of every command's client; tests replace it."""


@frozen(kw_only=True)
class Target:
    """Where results go, and how long to wait for them, in seconds. Checked when it is made.

    `may_exist`: a file there may be an earlier run's result, which the client finds out.
    """

    path: str
    overwrite: bool
    timeout: float
    may_exist: bool = False

    def __attrs_post_init__(self) -> None:
        check_seconds(self.timeout)
        check_destination(self.path, overwrite=self.overwrite or self.may_exist)

    def download_command(self, job_id: str, connection: Connection) -> str:
        """The command that waits for a job and downloads its results to this target."""
        path = f"./{self.path}" if self.path.startswith("-") else self.path
        words = ["jobs", "download", job_id, "-o", path, *["--overwrite"] * self.overwrite]
        return shell_command(*words, connection=connection)


def open_client(connection: Connection) -> ReframeClient:
    """A client with the environment's credentials, and a ledger unless it is `none`.

    Raises ConfigurationError.
    """
    return ReframeClient(
        base_url=connection.base_url,
        project_id=connection.project_id,
        ledger=connection.ledger_location(),
        timing=TIMING,
    )


class JobTracker:
    """Follows one clip's job, so that its id is known if the command is stopped, and shows it."""

    def __init__(self, shown: Display) -> None:
        self.job: Job | None = None
        self._shown = shown

    def update(self, job: Job) -> None:
        """Note and show the job's new state."""
        self.job = job
        self._shown.status(job)

    def transfer(self, done: int, total: int | None) -> None:
        """Show the bytes of the upload or, once the job is done, of the download."""
        is_result = self.job is not None and self.job.is_success
        (self._shown.downloading if is_result else self._shown.uploading)(done, total)


def run(
    video: str,
    given: GivenSettings,
    output: str | None,
    connection: Connection,
    *,
    overwrite: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Check everything, then upload, submit, wait and download."""
    source = resolve(video)
    path = default_output(source, given) if output is None else output
    has_ledger = connection.ledger_location() is not None
    target = Target(path=path, overwrite=overwrite, timeout=timeout, may_exist=has_ledger)
    with open_client(connection) as client, open_display() as shown:
        result = reframe(client, video, given, target, shown, connection)
    print_result(result.job, list(result.files), as_json=as_json)


def reframe(
    client: ReframeClient,
    video: str | Path,
    given: GivenSettings,
    target: Target,
    shown: Display,
    connection: Connection,
) -> ReframeResult:
    """Run the whole pipeline. An error says what was paid for, and how to resume."""
    tracker = JobTracker(shown)
    with showing_log(shown), resume_advice(tracker, target, connection):
        return client.reframe(
            video,
            target.path,
            overwrite=target.overwrite,
            timeout=target.timeout,
            on_update=tracker.update,
            on_progress=tracker.transfer,
            extra=given.extra,
            **given.settings,
        )


@contextmanager
def resume_advice(tracker: JobTracker, target: Target, connection: Connection) -> Iterator[None]:
    """Whatever stops this block says what may have been paid for, and how to resume."""
    try:
        yield
    except BaseException as stop:
        job = tracker.job or getattr(stop, "job", None)
        if job is not None:
            with resumable(job.id, target.download_command(job.id, connection)):
                raise
        if isinstance(stop, SubmissionUncertainError) or getattr(stop, "__notes__", None):
            stop.add_note("To look for the job again, without paying, run the same command, or:")
            stop.add_note(shell_command("resume", connection=connection))
            stop.add_note("If a job was made, this command lists it, with its seed:")
            stop.add_note(shell_command("jobs", "list", connection=connection))
        elif isinstance(stop, KeyboardInterrupt):
            stop.add_note("Nothing was submitted, and nothing paid.")
        raise


@contextmanager
def showing_log(shown: Display) -> Iterator[None]:
    """Within this block, the library's log (a job submitted, one resumed) is shown."""
    logger, handler = logging.getLogger("scenario_reframe"), _DisplayHandler(shown)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _DisplayHandler(logging.Handler):
    """Shows log messages on a display."""

    def __init__(self, shown: Display) -> None:
        super().__init__(logging.INFO)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._shown.message(text[:1].upper() + text[1:])


def estimate(
    video: str | None, given: GivenSettings, connection: Connection, *, as_json: bool
) -> None:
    """Print what a job would cost, without paying."""
    source = None if video is None else resolve(video)
    with open_client(connection) as client, open_display() as shown:
        uploaded = None if source is None else _ensure_uploaded(client, source, shown)
        price = client.estimate(uploaded, extra=given.extra, **given.settings)
    if as_json:
        print_json(
            {
                "creative_units": price.creative_units,
                "discount": price.discount,
                "details": dict(price.details),
            }
        )
        return
    discount = f" (discount {price.discount:g})" if price.discount else ""
    print_line(f"{price.creative_units:g} creative units{discount}")


def wait_and_download(
    client: ReframeClient, job: Job, target: Target, shown: Display
) -> tuple[Job, list[Path]]:
    """Wait for a job and download its results; the finished job and the files."""
    done = client.wait(job, timeout=target.timeout, on_update=shown.status)
    shown.message(f"Downloading to {target.path}")
    files = client.download(
        done, target.path, overwrite=target.overwrite, on_progress=shown.downloading
    )
    return (evolve(done, cost=job.cost) if done.cost is None else done), files


def print_result(job: Job, files: list[Path], *, as_json: bool) -> None:
    """Print the files' paths, or the job with its files as a JSON object."""
    if as_json:
        print_json({**job_to_json(job), "files": [str(file) for file in files]})
    else:
        print_paths(files)


def default_output(source: Video, given: GivenSettings) -> str:
    """`clip-9x16.mp4` in the working directory, or `clip-reframed.mp4` without a ratio."""
    return default_name(source, given.settings)


def _ensure_uploaded(client: ReframeClient, source: Video, shown: Display) -> Asset | str:
    """Upload a file; an asset's id and a URL, which the server imports, are passed on."""
    if isinstance(source, VideoFile):
        shown.message(f"Uploading {source.path.name}, {format_bytes(source.size)}")
        return client.upload(source.path, on_progress=shown.uploading)
    return source.asset_id if isinstance(source, VideoAsset) else source.url
