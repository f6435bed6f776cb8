"""What goes to stdout: results that a script can read. Everything else goes to stderr."""

import codecs
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from unicodedata import category

from scenario_reframe.api.sanitize import bare_url, printable
from scenario_reframe.models import Job

_AS_FILE_NAME = "scenario_reframe_file_name"
_CONTROLS = {"Cc", "Zl", "Zp"}


def print_line(line: str) -> None:
    """Print one line, never wrapped, flushed at once: so nothing can fail at exit (`| head`)."""
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
    """Let stdout carry file names that are not valid in its encoding, byte for byte."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_AS_FILE_NAME)


def _as_file_name(fault: UnicodeError) -> tuple[str | bytes, int]:
    """What stdout's encoding does not have, as file names are encoded."""
    if not isinstance(fault, UnicodeEncodeError):
        raise fault
    return os.fsencode(fault.object[fault.start : fault.end]), fault.end


codecs.register_error(_AS_FILE_NAME, _as_file_name)


def _iso_time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
