"""What people hold: frozen records in which nothing is ever `Unset`."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

DONE = frozenset({"success", "failure", "canceled"})
"""Final statuses. Every other one, known or not, means that the job is not done."""


@frozen(kw_only=True)
class Job:
    """A job as the server last described it.

    `status` is one of pending, queued, warming-up, in-progress, finalizing, success, failure,
    canceled, or one that is not known yet. `progress` runs from 0 to 1. `cost` is in creative
    units, None when the server did not say. `input` holds the settings as the server echoes them.
    `raw` is the record as it came.
    """

    id: str
    status: str
    progress: float = 0.0
    asset_ids: tuple[str, ...] = ()
    error: str | None = None
    hint: str | None = None
    input: Mapping[str, Any] = field(factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    cost: float | None = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False, eq=False)

    @property
    def is_done(self) -> bool:
        """Whether the status is final."""
        return self.status in DONE

    @property
    def is_success(self) -> bool:
        """Whether the job ended with a result."""
        return self.status == "success"


@frozen(kw_only=True)
class Asset:
    """A file on the server.

    `url` is signed and temporary, so it stays out of the repr; ask `get_asset` for a fresh one.
    `size` is in bytes, `width` and `height` in pixels, `frame_rate` in frames per second,
    `duration` in seconds; None where the server does not say.
    """

    id: str
    url: str = field(repr=False)
    mime_type: str = ""
    size: int | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    frame_rate: float | None = None
    duration: float | None = None
    raw: Mapping[str, Any] = field(factory=dict, repr=False, eq=False)

    @property
    def url_expires_at(self) -> datetime | None:
        """When the URL ceases to work, read off its signature; None if it does not say."""
        return expiry_of(self.url)


@frozen(kw_only=True)
class Estimate:
    """A price in creative units, with the discount and the price of each action."""

    creative_units: float
    discount: float = 0.0
    details: Mapping[str, float] = field(factory=dict)


@frozen(kw_only=True)
class ReframeResult:
    """A finished job, its assets, and the files that were written (none if `to` was None)."""

    job: Job
    assets: tuple[Asset, ...]
    files: tuple[Path, ...]


@frozen(kw_only=True)
class Submission:
    """One POST and its body: enough to look for its job again.

    `is_seed_drawn`: the client drew the seed, so no other job has it. `server_time`: the server's
    time just before the POST. `token` tells the request that it belongs to from all others.
    """

    seed: int
    body: Mapping[str, Any]
    started_at: datetime
    project_id: str | None = None
    is_seed_drawn: bool = False
    server_time: datetime | None = None
    token: str = ""


def expiry_of(url: str) -> datetime | None:
    """When a CloudFront-signed URL expires.

    `Policy` is base64 with `-_~` for `+=/`, of a JSON whose DateLessThan is the instant; older
    URLs carry a plain `Expires` (seen on URLs found in public repositories).
    """
    try:
        query = parse_qs(urlsplit(url).query)
        if "Policy" in query:
            text = query["Policy"][0].translate(str.maketrans("-_~", "+=/"))
            statement = json.loads(base64.b64decode(text))["Statement"][0]
            seconds = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
        else:
            seconds = query["Expires"][0]
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, LookupError, TypeError, OverflowError, OSError):
        return None
