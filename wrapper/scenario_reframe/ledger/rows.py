"""Conversions between rows and the types of the interface."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from attrs import define

from scenario_reframe.api.sanitize import printable
from scenario_reframe.models import Submission

from .database import Row
from .interface import ClipRequest, Entry, Post

ENTRY = """
    SELECT *, CLOCK AS now,
        (SELECT seed FROM posts WHERE entry = entries.id ORDER BY id DESC LIMIT 1) AS seed
    FROM entries
"""
"""Selects rows for `entry_of`; append a condition."""
_JSON = "json:"


@define(kw_only=True)
class PostRow(Post):
    """A POST and its row. `before`: the entry's state when it was opened."""

    id: int
    before: str = "uncertain"


def request_key(request: ClipRequest) -> str:
    """The hash that is stored as request key, since a caller's key may hold anything."""
    kind = "caller:" if request.is_callers_key else "content:"
    return hashlib.sha256((kind + request.key).encode("utf-8", "surrogatepass")).hexdigest()


def encode_name(text: str | None) -> str | None:
    """A name as the database can store it, even if it has lone surrogates (is not UTF-8)."""
    if text is None or not (text.startswith(_JSON) or _has_surrogates(text)):
        return text
    return _JSON + json.dumps(text)


def decode_name(text: str | None) -> str | None:
    """The name that `encode_name` encoded."""
    if text is None or not text.startswith(_JSON):
        return text
    return str(json.loads(text.removeprefix(_JSON)))


def cleaned(text: str | None) -> str | None:
    """A message, shortened and made printable."""
    return None if text is None else printable(text)


def seconds_of(time: datetime | None) -> float | None:
    """Seconds since 1970."""
    return None if time is None else time.timestamp()


def entry_of(row: Row) -> Entry:
    """The entry in a row of `ENTRY`."""
    plain = {
        name: row[name]
        for name in (
            "id", "key", "state", "content", "job_id", "error", "seed", "cost", "created_at",
            "updated_at",
        )
    }  # fmt: skip
    return Entry(
        **plain,
        source=decode_name(row["source"]),
        target=decode_name(row["target"]),
        settings=json.loads(row["settings"]),
        asset_ids=tuple(json.loads(row["asset_ids"])),
        files=json.loads(row["files"]),
    )


def post_of(row: Row, ended: float | None, **of_entry: Any) -> PostRow:
    """The POST in a row. `of_entry`: its `token` and `project_id`."""
    submission = Submission(
        seed=row["seed"],
        body=json.loads(row["body"]),
        started_at=datetime.fromtimestamp(row["opened_at"], UTC),
        is_seed_drawn=bool(row["is_seed_drawn"]),
        server_time=_time_of(row["server_before"]),
        **of_entry,
    )
    return PostRow(
        id=row["id"],
        submission=submission,
        outcome=row["outcome"],
        ended=ended,
        server_ended=_time_of(row["server_ended"]),
    )


def _time_of(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
