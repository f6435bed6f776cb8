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


def put(line: str) -> None:
    """One line, never wrapped, and at once: so nothing is left to fail at exit (`| head`)."""
    print(line, flush=True)  # noqa: T201 - this is where the command prints


def put_paths(files: Iterable[Path]) -> None:
    """The paths of results, one a line."""
    for file in files:
        put(str(file))


def put_json(record: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    put(json.dumps(record))


def as_record(job: Job) -> dict[str, Any]:
    """What `--json` says of a job."""
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
        "created_at": _moment(job.created_at),
        "updated_at": _moment(job.updated_at),
    }


def one_line(value: object) -> str:
    """A value from the server in one line, without control characters."""
    return " ".join(printable(str(value)).split())


def tolerate_any_path() -> None:
    """Let stdout carry file names that are not valid in its encoding, byte for byte."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
