"""Ask the real server what its documentation leaves open, and write the answers down.

Without --pay nothing is asked that costs money. With it, one job is bought, the cheapest that dry
runs can find; its id is kept in the report folder, so that a run that was cut off is taken up and
no second job is bought. The report holds no credentials and no signed URLs. Exit code: 0 if every
question could be asked, 1 if some could not, 2 for wrong usage.
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
from .session import Clocks, Session
from .traffic import ChargedError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_REPORT = "~/first-contact-report"
CONFIRMATION = "pay"
_FLAGS = {
    "--pay": "buy one job, the cheapest, if you confirm its price",
    "--yes": "with --pay: confirm whatever the price is",
    "--until-expired": "with --pay: wait until the result's URL expires, which may take weeks",
    "--keep-ids": "show the ids of jobs, assets and projects whole",
}
_INTERRUPTED = 130


class UsageError(Exception):
    """It cannot begin: the text says what to change."""


def main(
    arguments: Sequence[str] | None = None,
    clocks: Clocks | None = None,
    ask: Callable[[], str] = input,
) -> int:
    """Run the command; its exit code. `ask` reads the line that confirms a purchase."""
    options = _options(arguments)
    try:
        session = _session(options, clocks or Clocks())
        with _folder(options, session) as folder, _video(options) as video, _no_log_of_urls():
            return _run(options, session, folder, video, ask)
    except (UsageError, ConfigurationError, InvalidVideoError) as fault:
        print(f"scripts/first-contact: {fault}", file=sys.stderr)
        return 2


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/first-contact", description=__doc__)
    for flag, what in _FLAGS.items():
        parser.add_argument(flag, action="store_true", help=what)
    parser.add_argument("--video", type=Path, help="what to upload; else --pay makes a small clip")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help=f"of the report and of the one job that is bought (default: {DEFAULT_REPORT}/SERVER)",
    )
    options = parser.parse_args(arguments)
    if (options.yes or options.until_expired) and not options.pay:
        parser.error("--yes and --until-expired go with --pay")
    return options


def _session(options: argparse.Namespace, clocks: Clocks) -> Session:
    credentials = find_credentials(None, None)
    redact = Redactor(credentials, keep_ids=options.keep_ids)
    return Session(credentials, find_base_url(None), find_project_id(None), redact, clocks)


@contextmanager
def _folder(options: argparse.Namespace, session: Session) -> Iterator[Path]:
    """The report's folder, ours alone while this runs.

    By default the same wherever it is called, so that a second run finds what the first has bought.
    """
    server = urlsplit(session.base_url).netloc.replace(":", "-")
    folder = (options.report or Path(DEFAULT_REPORT, server)).expanduser().resolve()
    if folder.is_relative_to(ROOT):
        raise UsageError(f"--report {folder} is in the checkout, where it may be committed")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as fault:
        raise UsageError(f"--report {folder} cannot be used: {fault.strerror}") from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    except BlockingIOError as fault:
        raise UsageError(f"another run is at work in {folder}") from fault
    finally:
        os.close(lock)


@contextmanager
def _video(options: argparse.Namespace) -> Iterator[Path | None]:
    """The video to upload: the one that is given, or a small clip if a job is to be bought."""
    if options.video is not None or not options.pay:
        yield options.video and open_video(options.video).path
        return
    if find_spec("av") is None:
        raise UsageError("name a --video, or pip install '.[sandbox]', which makes one")
    from scenario_reframe.sandbox.sample_clip import make_sample  # noqa: PLC0415 - of an extra

    with tempfile.TemporaryDirectory(prefix="first-contact-") as temporary:
        clip = Path(temporary, "clip.mp4")
        make_sample(clip, seconds=6, size="640x360", rate=16)
        yield clip


@contextmanager
def _no_log_of_urls() -> Iterator[None]:
    """Should anybody log: httpx would log whole URLs, and httpcore the replies' headers."""
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
    session: Session,
    folder: Path,
    video: Path | None,
    ask: Callable[[], str],
) -> int:
    def say(line: str) -> None:
        shown = session.redact.text(line)
        print("".join(char if char.isprintable() else " " for char in shown), flush=True)

    def confirm(what: str) -> bool:
        say(what if options.yes else f'{what} Type "{CONFIRMATION}" to buy it:')
        try:
            return options.yes or ask().strip() == CONFIRMATION
        except EOFError:
            return False

    report = Report(folder, session, say)
    try:
        ask_all(session, report, folder, video, confirm if options.pay else None,
                until_expired=options.until_expired)  # fmt: skip
    except ChargedError as fault:
        say(f"STOPPED: {fault}. Nothing more was sent; look for this job in your account")
        return 1
    except KeyboardInterrupt:
        say("stopped; the same command takes up what was bought, and buys nothing twice")
        return _INTERRUPTED
    finally:
        say(f"{folder / MARKDOWN_NAME}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
