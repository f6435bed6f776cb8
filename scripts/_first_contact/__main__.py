"""Find out from the real server what its documentation leaves open, and write a report.

Without --pay all requests are free. With it, one job is bought, the cheapest that dry runs find.
Its id is stored in the report folder, so that an interrupted run is resumed and no second job is
bought. The report holds no credentials and no signed URLs. Exit code: 0 if every probe could be
made, 1 if some could not, 2 for wrong usage.
"""

import argparse
import fcntl
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from scenario_reframe import ConfigurationError, InvalidVideoError
from scenario_reframe.credentials import find_base_url, find_credentials, find_project_id
from scenario_reframe.video import open_video

from .asking import ask_all
from .redaction import Redactor
from .report import MARKDOWN_NAME, Report
from .session import Clocks, ContactSession
from .traffic import ChargedError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_REPORT = "~/first-contact-report"
CONFIRMATION = "pay"
_FLAGS = {
    "--pay": "buy one job, the cheapest, if you confirm its price",
    "--yes": "with --pay: confirm any price",
    "--until-expired": "with --pay: wait until the result's URL expires, which may take weeks",
    "--keep-ids": "do not shorten the ids of jobs, assets and projects",
}
_INTERRUPTED = 130


class UsageError(Exception):
    """The run cannot start; the message gives the remedy."""


def main(
    arguments: Sequence[str] | None = None,
    clocks: Clocks | None = None,
    ask: Callable[[], str] = input,
) -> int:
    """Run the command; return its exit code. `ask` reads the line that confirms a purchase."""
    options = _options(arguments)
    try:
        session = _session(options, clocks or Clocks())
        with _folder(options, session) as folder, _video(options) as video, _quiet_http_loggers():
            return _run(options, session, folder, video, ask)
    except (UsageError, ConfigurationError, InvalidVideoError) as error:
        print(f"scripts/first-contact: {error}", file=sys.stderr)
        return 2


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/first-contact", description=__doc__)
    for flag, what in _FLAGS.items():
        parser.add_argument(flag, action="store_true", help=what)
    parser.add_argument(
        "--video", type=Path, help="the video to upload; by default --pay makes a small clip"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help=f"where the report and the one paid job are stored (default: {DEFAULT_REPORT}/SERVER)",
    )
    options = parser.parse_args(arguments)
    if (options.yes or options.until_expired) and not options.pay:
        parser.error("--yes and --until-expired need --pay")
    return options


def _session(options: argparse.Namespace, clocks: Clocks) -> ContactSession:
    credentials = find_credentials(None, None)
    redact = Redactor(credentials, keep_ids=options.keep_ids)
    return ContactSession(credentials, find_base_url(None), find_project_id(None), redact, clocks)


@contextmanager
def _folder(options: argparse.Namespace, session: ContactSession) -> Iterator[Path]:
    """Lock and return the report's folder.

    The default does not depend on the current folder, so that a second run finds the first job.
    """
    server = urlsplit(session.base_url).netloc.replace(":", "-")
    folder = (options.report or Path(DEFAULT_REPORT, server)).expanduser().resolve()
    if folder.is_relative_to(ROOT):
        raise UsageError(
            f"--report: {folder} is in the checkout, where it may be committed; pass another folder"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UsageError(f"--report: {folder} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    except BlockingIOError as error:
        raise UsageError(f"another run is working in {folder}; wait for its end") from error
    finally:
        os.close(lock)


@contextmanager
def _video(options: argparse.Namespace) -> Iterator[Path | None]:
    """The video to upload: the given one, or a small clip if a job is to be bought."""
    if options.video is not None or not options.pay:
        yield options.video and open_video(options.video).path
        return
    if find_spec("av") is None:
        raise UsageError("pass --video, or pip install '.[sandbox]', which can make one")
    from scenario_reframe.sandbox.sample_clip import make_sample  # noqa: PLC0415 - of an extra

    with tempfile.TemporaryDirectory(prefix="first-contact-") as temporary:
        clip = Path(temporary, "clip.mp4")
        make_sample(clip, seconds=6, size="640x360", rate=16)
        yield clip


@contextmanager
def _quiet_http_loggers() -> Iterator[None]:
    """Silence loggers: httpx would log whole URLs, and httpcore the responses' headers."""
    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _run(
    options: argparse.Namespace,
    session: ContactSession,
    folder: Path,
    video: Path | None,
    ask: Callable[[], str],
) -> int:
    def print_line(line: str) -> None:
        shown = session.redact.text(line)
        print("".join(char if char.isprintable() else " " for char in shown), flush=True)

    def confirm(question: str) -> bool:
        print_line(question if options.yes else f'{question} Type "{CONFIRMATION}" to buy it:')
        try:
            return options.yes or ask().strip() == CONFIRMATION
        except EOFError:
            return False

    report = Report(folder, session, print_line)
    try:
        ask_all(session, report, folder, video, confirm if options.pay else None,
                until_expired=options.until_expired)  # fmt: skip
    except ChargedError as error:
        print_line(f"STOPPED: {error}. Nothing more was sent; check this job in your account")
        return 1
    except KeyboardInterrupt:
        print_line("interrupted; the same command resumes the job and buys nothing twice")
        return _INTERRUPTED
    finally:
        print_line(f"{folder / MARKDOWN_NAME}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
