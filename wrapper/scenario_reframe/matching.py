"""Whose job it is, by what the server echoes of its settings. No I/O.

A seed that the client drew is the job's identity. A seed that the caller gave is none: other runs
may have it, so everything else that was sent must agree as well.
"""

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import frozen

from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

from .models import Job, Submission
from .video import is_asset_id

_ROWS = {row.wire: row for row in SETTINGS}

Verdict = Literal["match", "candidate", "other"]


@frozen
class Found:
    """What the list of jobs says of a submission: jobs that are it, and jobs that could be it."""

    matches: tuple[Job, ...] = ()
    candidates: tuple[Job, ...] = ()


def sort_out(jobs: Iterable[Job], submission: Submission) -> Found:
    """Which of these jobs are the submission's, and which could be."""
    sorted_out = [(verdict_on(job, submission), job) for job in jobs]
    return Found(
        matches=tuple(job for verdict, job in sorted_out if verdict == "match"),
        candidates=tuple(job for verdict, job in sorted_out if verdict == "candidate"),
    )


def verdict_on(job: Job, submission: Submission) -> Verdict:
    """Whether a job is a submission's, by what the server echoes of its settings."""
    echoed, body = job.input, submission.body
    if not is_custom(job) or contradicts(job, submission):
        return "other"
    if submission.is_seed_drawn:
        is_it = "seed" in echoed and agreement("seed", submission.seed, echoed["seed"])
        return "match" if is_it else "candidate"
    # An echo of the seed alone says nothing of what else was asked for.
    agrees = len(body) > 1 and all(
        key in echoed and agreement(key, body[key], echoed[key]) for key in body
    )
    is_plain = VIDEO_FIELD in body or VIDEO_FIELD not in echoed
    is_usual = all(
        _is_default(key, value) for key, value in echoed.items() if key in _ROWS and key not in body
    )
    server_time = submission.server_time
    is_new = server_time is not None and job.created_at is not None
    is_new = is_new and job.created_at >= server_time  # type: ignore[operator]
    return "match" if agrees and is_plain and is_usual and is_new else "candidate"


def contradicts(job: Job, submission: Submission) -> bool:
    """Whether what the server echoes of a job shows that it is another request's."""
    echoed, body = job.input, submission.body
    by_seed = submission.is_seed_drawn and "seed" in echoed
    keys = ["seed"] if by_seed else [*body]
    return any(key in echoed and agreement(key, body[key], echoed[key]) is False for key in keys)


def agreement(key: str, sent: object, echoed: object) -> bool | None:
    """Whether an echoed value is what was sent, in whatever form; None if that cannot be told.

    Numbers may come as text or float32, the video as a URL, and text may be rewritten (a prompt is
    expanded or trimmed).
    """
    if echoed == sent and isinstance(echoed, bool) == isinstance(sent, bool):
        return True
    if key == VIDEO_FIELD:
        return _same_video(str(sent), echoed)
    if isinstance(sent, bool):
        told = {"true": True, "false": False}.get(str(echoed).lower(), echoed)
        return told == sent if isinstance(told, bool) else None
    if isinstance(sent, int | float):
        number = _number(echoed)
        return None if number is None else number in {_number(sent), _float32(sent)}
    row = _ROWS.get(key)
    return False if row is not None and row.choices and isinstance(echoed, str) else None


def twin_of(settings: Mapping[str, Any], asset_id: str | None) -> str | None:
    """Equal for requests whose jobs no echo is sure to tell apart; None if a drawn seed does.

    Text does not count, since it may be rewritten; what is not sent has its default.
    """
    if "seed" not in settings:
        return None
    told = {key: row.default for key, row in _ROWS.items() if row.kind != "string" or row.choices}
    told |= {key: value for key, value in settings.items() if key in told}
    plain = [asset_id, *(_plain(told[key]) for key in sorted(told))]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def is_custom(job: Job) -> bool:
    """Whether it is a job of a model like ours, and no upload's."""
    return (job.raw.get("jobType") or "custom") == "custom"


def _is_default(key: str, echoed: object) -> bool:
    default = _ROWS[key].default
    return echoed in (None, "") if default is None else bool(agreement(key, default, echoed))


def _same_video(sent: str, echoed: object) -> bool | None:
    if is_asset_id(echoed):
        return False
    try:
        path = urlsplit(str(echoed)).path
    except ValueError:
        return None
    return True if sent in re.split(r"[/.]", path) else None


def _plain(value: object) -> object:
    """The same for 1 and 1.0."""
    return value if isinstance(value, bool | str) else _number(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _float32(value: float) -> float:
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return inf
    return rounded
