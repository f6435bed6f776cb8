"""What goes to stdout: results that a script can read. Everything else goes to stderr."""

import io
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from scenario_reframe.api.sanitize import bare_url, printable
from scenario_reframe.models import Job


def print_line(line: str) -> None:
    """Print one line, never wrapped, flushed at once: so nothing can fail at exit (`| head`)."""
    print(line, flush=True)  # noqa: T201 - this is where the command prints


def print_paths(files: Iterable[Path]) -> None:
    """Print the paths of results, one a line."""
    for file in files:
        print_line(str(file))


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
        sys.stdout.reconfigure(errors="surrogateescape")


def _iso_time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
