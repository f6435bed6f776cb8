"""`run` and `estimate`: the road of one clip, with its progress shown."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, frozen

from scenario_reframe import (
    Asset,
    Job,
    JobCanceledError,
    JobFailedError,
    ReframeClient,
    ReframeResult,
    SubmissionUncertainError,
)
from scenario_reframe.arguments import check_seconds
from scenario_reframe.result_paths import check_destination, default_name
from scenario_reframe.timing import DEFAULT_TIMING
from scenario_reframe.video import Video, VideoAsset, VideoFile, resolve

from .exit_codes import StoppedError, command
from .flags import Connection, Wishes
from .output import as_record, put, put_json, put_paths
from .progress import Display, display, in_bytes

TIMING = DEFAULT_TIMING
"""What every command's client is made with."""


@frozen(kw_only=True)
class Target:
    """Where results go, and how long to wait for them, in seconds. Checked when it is made.

    `may_be_there`: a file there may be the result of an earlier run; the client finds out.
    """

    path: str
    overwrite: bool
    timeout: float
    may_be_there: bool = False

    def __attrs_post_init__(self) -> None:
        check_seconds(self.timeout)
        check_destination(self.path, overwrite=self.overwrite or self.may_be_there)

    def command(self, job_id: str, connection: Connection) -> str:
        """What takes a job up again and brings its results here."""
        path = f"./{self.path}" if self.path.startswith("-") else self.path
        overwrite = ["--overwrite"] if self.overwrite else []
        return command("jobs", "download", job_id, "-o", path, *overwrite, connection=connection)


def open_client(connection: Connection) -> ReframeClient:
    """A client with the credentials of the environment, and a ledger.

    Raises ConfigurationError.
    """
    return ReframeClient(
        base_url=connection.base_url,
        project_id=connection.project_id,
        ledger=connection.place(),
        timing=TIMING,
    )


class Course:
    """Follows a run: its job as far as it is known, and what is shown of it."""

    def __init__(self, shown: Display) -> None:
        self.job: Job | None = None
        self._shown = shown

    def update(self, job: Job) -> None:
        """The job has changed."""
        self.job = job
        self._shown.status(job)

    def transfer(self, done: int, total: int | None) -> None:
        """Bytes of the upload, or once the job is done, of the download."""
        is_result = self.job is not None and self.job.is_success
        (self._shown.downloading if is_result else self._shown.uploading)(done, total)


def run(
    video: str,
    wishes: Wishes,
    output: str | None,
    connection: Connection,
    *,
    overwrite: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Check everything, then upload, submit, wait and download."""
    source = resolve(video)
    path = default_output(source, wishes) if output is None else output
    keeps = connection.place() is not None
    target = Target(path=path, overwrite=overwrite, timeout=timeout, may_be_there=keeps)
    with open_client(connection) as client, display() as shown:
        result = reframe(client, video, wishes, target, shown, connection)
    report(result.job, list(result.files), as_json=as_json)


def reframe(
    client: ReframeClient,
    video: str | Path,
    wishes: Wishes,
    target: Target,
    shown: Display,
    connection: Connection,
) -> ReframeResult:
    """All of the road. Whatever stops it says what was paid for, and how to go on."""
    course = Course(shown)
    with logged(shown), going_on(course, target, connection):
        return client.reframe(
            video,
            target.path,
            overwrite=target.overwrite,
            timeout=target.timeout,
            on_update=course.update,
            on_progress=course.transfer,
            extra=wishes.extra,
            **wishes.settings,
        )


@contextmanager
def going_on(course: Course, target: Target, connection: Connection) -> Iterator[None]:
    """Within this a run is on its way: what stops it says how to go on."""
    try:
        yield
    except (JobFailedError, JobCanceledError):
        raise
    except BaseException as stop:
        job = course.job or getattr(stop, "job", None)
        if job is not None:
            raise StoppedError(stop, job.id, target.command(job.id, connection)) from stop
        if isinstance(stop, SubmissionUncertainError) or getattr(stop, "__notes__", None):
            stop.add_note("The same command, or this, looks for it again, and pays nothing:")
            stop.add_note(command("resume", connection=connection))
            stop.add_note("If a job was made, it is listed, with its seed:")
            stop.add_note(command("jobs", "list", connection=connection))
        elif isinstance(stop, KeyboardInterrupt):
            stop.add_note("Nothing was submitted, and nothing paid.")
        raise


@contextmanager
def logged(shown: Display) -> Iterator[None]:
    """Within this, what the library has to say (a job submitted, one taken up) is shown."""
    logger, handler = logging.getLogger("scenario_reframe"), _Shown(shown)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Shown(logging.Handler):
    def __init__(self, shown: Display) -> None:
        super().__init__(logging.INFO)
        self._shown = shown

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._shown.say(text[:1].upper() + text[1:])


def estimate(video: str | None, wishes: Wishes, connection: Connection, *, as_json: bool) -> None:
    """Print what a job would cost, without paying."""
    source = None if video is None else resolve(video)
    with open_client(connection) as client, display() as shown:
        brought = None if source is None else _bring(client, source, shown)
        price = client.estimate(brought, extra=wishes.extra, **wishes.settings)
    if as_json:
        put_json(
            {
                "creative_units": price.creative_units,
                "discount": price.discount,
                "details": dict(price.details),
            }
        )
        return
    discount = f" (discount {price.discount:g})" if price.discount else ""
    put(f"{price.creative_units:g} creative units{discount}")


def finish(
    client: ReframeClient, job: Job, target: Target, shown: Display
) -> tuple[Job, list[Path]]:
    """Wait for a job and download its results."""
    done = client.wait(job, timeout=target.timeout, on_update=shown.status)
    shown.say(f"Downloading to {target.path}")
    files = client.download(
        done, target.path, overwrite=target.overwrite, on_progress=shown.downloading
    )
    return (evolve(done, cost=job.cost) if done.cost is None else done), files


def report(job: Job, files: list[Path], *, as_json: bool) -> None:
    """Print the results' paths, or all that is known."""
    if as_json:
        put_json({**as_record(job), "files": [str(file) for file in files]})
    else:
        put_paths(files)


def default_output(source: Video, wishes: Wishes) -> str:
    """`clip-9x16.mp4` in the working directory, or `clip-reframed.mp4` if the ratio is open."""
    return default_name(source, wishes.settings)


def _bring(client: ReframeClient, source: Video, shown: Display) -> Asset | str:
    if isinstance(source, VideoFile):
        shown.say(f"Uploading {source.path.name}, {in_bytes(source.size)}")
        return client.upload(source.path, on_progress=shown.uploading)
    return source.asset_id if isinstance(source, VideoAsset) else source.url
