"""What goes to stdout: results that a script can read. Everything else goes to stderr."""

import codecs
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unicodedata import category

from scenario_reframe.api.sanitize import bare_url, printable
from scenario_reframe.models import Job

_ANY_TEXT = "scenario-reframe-any-text"
_CONTROLS = {"Cc", "Zl", "Zp"}


class OutputError(Exception):
    """stdout cannot be written, for example because a disk is full."""


class CheckedStdout:
    """stdout as it is when it is used; what it refuses raises OutputError."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)

    def write(self, text: str) -> None:
        """Write, if stdout is open."""
        with _output_errors():
            if sys.stdout is not None:
                sys.stdout.write(text)

    def flush(self) -> None:
        """Flush, if stdout is open."""
        with _output_errors():
            if sys.stdout is not None:
                sys.stdout.flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise OutputError(f"stdout cannot be written: {fault.strerror}") from fault


def print_line(line: str) -> None:
    """Print one line, never wrapped, flushed at once: so nothing can fail at exit (`| head`).

    Raises OutputError.
    """
    with _output_errors():
        print(line, flush=True)  # noqa: T201 - this is where the command prints


def print_paths(files: Iterable[Path]) -> None:
    """Print the paths of results, one a line."""
    for file in files:
        print_line(path_line(file))


def path_line(path: Path) -> str:
    r"""A path as it is; but a control character or a line end in it as an escape, such as `\n`."""
    return "".join(
        letter.encode("unicode_escape").decode() if category(letter) in _CONTROLS else letter
        for letter in str(path)
    )


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    print_line(json.dumps(value))


def job_to_json(job: Job) -> dict[str, Any]:
    """A job in the output of `--json`."""
    return {
        "job": job.id,
        "status": job.status,
        "progress": job.progress,
        "cost": job.cost,
        "seed": job.input.get("seed"),
        "settings": {
            key: bare_url(value) if isinstance(value, str) and "://" in value else value
            for key, value in job.input.items()
        },
        "assets": list(job.asset_ids),
        "error": job.error,
        "hint": job.hint,
        "created_at": _iso_time(job.created_at),
        "updated_at": _iso_time(job.updated_at),
    }


def one_line(value: object) -> str:
    """A value from the server or a file's name, in one line of printable characters."""
    return printable(str(value))


def tolerate_any_path() -> None:
    """Let stdout carry file names byte for byte, whatever its encoding, and never fail on others.

    On Windows, where names are not bytes, it keeps its encoding.
    """
    codecs.register_error(_ANY_TEXT, _encode_unencodable)
    encoding = None if os.name == "nt" else sys.getfilesystemencoding()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=encoding, errors=_ANY_TEXT)


def _encode_unencodable(fault: UnicodeError) -> tuple[str | bytes, int]:
    """A byte of a file's name as itself, and what the encoding lacks as an escape."""
    if isinstance(fault, UnicodeEncodeError):
        letter = fault.object[fault.start]
        if "\udc80" <= letter <= "\udcff":
            return bytes([ord(letter) - 0xDC00]), fault.start + 1
        return letter.encode("ascii", "backslashreplace"), fault.start + 1
    raise fault


def _iso_time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
