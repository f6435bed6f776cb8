"""Whether a job belongs to a submission, judged by the settings that the server echoes. No I/O.

A seed that the client drew identifies the job. A seed that the caller gave does not: other runs
may use it, so everything else that was sent must agree as well.
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
class LookUpResult:
    """The jobs on the list that are a submission's (`matches`), or could be (`candidates`)."""

    matches: tuple[Job, ...] = ()
    candidates: tuple[Job, ...] = ()


def classify_all(jobs: Iterable[Job], submission: Submission) -> LookUpResult:
    """Sort these jobs into the submission's matches and candidates."""
    classified = [(classify(job, submission), job) for job in jobs]
    return LookUpResult(
        matches=tuple(job for verdict, job in classified if verdict == "match"),
        candidates=tuple(job for verdict, job in classified if verdict == "candidate"),
    )


def classify(job: Job, submission: Submission) -> Verdict:
    """Whether a job is a submission's, could be, or is not."""
    echoed, body = job.input, submission.body
    if not is_custom(job) or contradicts(job, submission):
        return "other"
    if submission.is_seed_drawn:
        has_seed = "seed" in echoed and agreement("seed", submission.seed, echoed["seed"])
        return "match" if has_seed else "candidate"
    # A seed that agrees proves nothing about the rest of the request.
    agrees = all(key in echoed and agreement(key, body[key], echoed[key]) for key in body)
    has_no_other_video = VIDEO_FIELD in body or VIDEO_FIELD not in echoed
    has_only_defaults = all(
        _is_default(key, value) for key, value in echoed.items() if key in _ROWS and key not in body
    )
    server_time = submission.server_time
    is_new = server_time is not None and job.created_at is not None
    is_new = is_new and job.created_at >= server_time  # type: ignore[operator]
    is_match = agrees and has_no_other_video and has_only_defaults and is_new
    return "match" if is_match else "candidate"


def contradicts(job: Job, submission: Submission) -> bool:
    """Whether the echoed settings prove that the job is another request's."""
    echoed, body = job.input, submission.body
    by_seed = submission.is_seed_drawn and "seed" in echoed
    keys = ["seed"] if by_seed else [*body]
    return any(key in echoed and agreement(key, body[key], echoed[key]) is False for key in keys)


def agreement(key: str, sent: object, echoed: object) -> bool | None:
    """Whether an echoed value equals the one sent, in whatever form; None if undecidable.

    The server may echo numbers as text or float32, the video as a URL, and rewritten text (a
    prompt is expanded or trimmed).
    """
    if echoed == sent and isinstance(echoed, bool) == isinstance(sent, bool):
        return True
    if key == VIDEO_FIELD:
        return _same_video(str(sent), echoed)
    if isinstance(sent, bool):
        flag = {"true": True, "false": False}.get(str(echoed).lower(), echoed)
        return flag == sent if isinstance(flag, bool) else None
    if isinstance(sent, int | float):
        number = _number(echoed)
        return None if number is None else number in {_number(sent), _float32(sent)}
    row = _ROWS.get(key)
    return False if row is not None and row.choices and isinstance(echoed, str) else None


def twin_key(settings: Mapping[str, Any], asset_id: str | None) -> str | None:
    """The key that a request shares with its twins; None if it has none, its seed being drawn.

    Twins are requests whose jobs might be indistinguishable on the server's list: the caller gave
    the same seed, and they differ at most in text, which the server may rewrite.
    """
    if "seed" not in settings:
        return None
    shown = {key: row.default for key, row in _ROWS.items() if row.kind != "string" or row.choices}
    shown |= {key: value for key, value in settings.items() if key in shown}
    plain = [asset_id, *(_normalized(shown[key]) for key in sorted(shown))]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def is_custom(job: Job) -> bool:
    """Whether it is a model's job, not an upload's; the server names the kind in `jobType`."""
    return (job.raw.get("jobType") or "custom") == "custom"


def _is_default(key: str, echoed: object) -> bool:
    """Whether an echoed value is the spec's default."""
    default = _ROWS[key].default
    return echoed in (None, "") if default is None else bool(agreement(key, default, echoed))


def _same_video(sent: str, echoed: object) -> bool | None:
    """Whether an echo that differs from our asset id, perhaps a URL, is the same video."""
    if is_asset_id(echoed):
        return False
    try:
        path = urlsplit(str(echoed)).path
    except ValueError:
        return None
    return True if sent in re.split(r"[/.]", path) else None


def _normalized(value: object) -> object:
    """The value, with 1 and 1.0 made the same."""
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
