"""The objects that callers get: frozen, and nothing in them is ever `Unset`."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

DONE = frozenset({"success", "failure", "canceled"})
"""Final statuses. With any other one, known or not, the job is not done."""


@frozen(kw_only=True)
class Job:
    """A job as the server last described it.

    `status`: pending, queued, warming-up, in-progress, finalizing, success, failure or canceled
    (the vendor's SDK), or one that is new. `progress`: from 0 to 1. `cost`: creative units, None if
    the server does not say. `input`: the settings as the server echoes them. `raw`: the job's JSON
    object.
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

    `url` is signed and temporary, so it is not in the repr; `get_asset` gives a fresh one. `size`:
    bytes; `width`, `height`: pixels; `frame_rate`: frames per second; `duration`: seconds; each
    is None if the server does not say. `raw`: the asset's JSON object.
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
        """When the URL expires, read from its signature; None if it does not say."""
        return expiry_of(self.url)


@frozen(kw_only=True)
class Estimate:
    """The price of a job, the discount, and the price of each action, in creative units."""

    creative_units: float
    discount: float = 0.0
    details: Mapping[str, float] = field(factory=dict)


@frozen(kw_only=True)
class ReframeResult:
    """A finished job, its assets, and its files (none if `to` was None)."""

    job: Job
    assets: tuple[Asset, ...]
    files: tuple[Path, ...]


@frozen(kw_only=True)
class Submission:
    """One POST and its body: enough to look up its job later.

    `is_seed_drawn`: the client drew the seed, so no other job has it. `server_time`: the server's
    time just before the POST. `token` identifies the request that it belongs to.
    """

    seed: int
    body: Mapping[str, Any]
    started_at: datetime
    project_id: str | None = None
    is_seed_drawn: bool = False
    server_time: datetime | None = None
    token: str = ""


def expiry_of(url: str) -> datetime | None:
    """When a CloudFront-signed URL expires; None if it does not say.

    `Policy` is JSON in base64, with `-_~` for `+=/`, whose DateLessThan is the time; older URLs
    have a plain `Expires` (not documented; seen on URLs in public repositories).
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
    except (ValueError, LookupError, TypeError, OverflowError, OSError, RecursionError):
        return None
