"""The result of the job: its asset, the file's host, and the file itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from scenario_reframe import Asset
from scenario_reframe.credentials import is_safe

from .paid import Purchase
from .report import SkippedError
from .session import ContactSession, Facts, headers_of
from .shapes import object_at, shape

_HEAD_BYTES = 1024
_MARGIN = 5.0  # seconds after the expiry of a URL
_MAX_PAUSE = 60.0
_FILE_HEADERS = (
    "content-type", "content-length", "content-range", "content-encoding", "transfer-encoding",
    "accept-ranges", "last-modified", "cache-control", "age", "x-cache",
)  # fmt: skip


@dataclass
class PurchaseResult:
    """The result of a purchase. `until_expired`: wait until its URL expires."""

    purchase: Purchase
    until_expired: bool = False
    asset: Asset | None = None

    @property
    def _session(self) -> ContactSession:
        return self.purchase.session

    def read(self) -> Facts:
        """The asset's properties."""
        job = self.purchase.job
        if job is None or not job.asset_ids:
            raise SkippedError("there is no result")
        self.asset = asset = self.purchase.client.get_asset(job.asset_ids[0])
        return {
            "assets": len(job.asset_ids),
            "body": shape(asset.raw),
            "kind": asset.mime_type,
            **{name: getattr(asset, name) for name in ("size", "width", "height", "frames")},
            "frames per second": asset.frame_rate,
            "seconds": asset.duration,
        }

    def owners(self) -> Facts:
        """The owner of each object, and whether all are the same."""
        found: dict[str, Any] = {}
        if self.purchase.job is not None:
            found["job"] = self.purchase.job.raw.get("ownerId")
        if self.asset is not None:
            found["result"] = self.asset.raw.get("ownerId")
        if self.purchase.asset is not None:
            found["uploaded asset"] = self.purchase.asset.raw.get("ownerId")
        for exchange in self._session.traffic.exchanges:
            upload = object_at(exchange.payload, "upload")
            if upload:
                found["upload"] = upload.get("ownerId")
        if not found:
            raise SkippedError("there are no objects with an owner")
        owners = set(map(str, found.values()))
        return {
            **{name: {"ownerId": owner} for name, owner in found.items()},
            "all the same": len(owners) == 1,
            "named like a project": all(owner.startswith("proj") for owner in owners),
            "is the requested project": self._is_project(owners),
        }

    def _is_project(self, owners: set[str]) -> bool | str:
        project = self._session.project_id
        return owners == {project} if project else "no SCENARIO_PROJECT_ID is set"

    def host(self) -> Facts:
        """How the file's host responds to a plain GET, to ranges, and to conditions."""
        asset = self._require_asset()
        few, beyond = f"bytes=0-{_HEAD_BYTES - 1}", f"bytes={(asset.size or 10**12) + 1}-"
        whole = _fetch_head(asset.url)
        tag = whole.headers.get("etag", "")
        return {
            "whole": _response_facts(whole, asset.size),
            "first bytes": _response_facts(_fetch_head(asset.url, {"range": few})),
            "first bytes, if unchanged": _response_facts(
                _fetch_head(asset.url, {"range": few, "if-range": tag or '"none"'})
            ),
            "first bytes, if changed": _response_facts(
                _fetch_head(asset.url, {"range": few, "if-range": '"another"'})
            ),
            "beyond the end": _response_facts(_fetch_head(asset.url, {"range": beyond})),
        }

    def expiry(self) -> Facts:
        """When the URL expires, and the responses to a changed and an expired one."""
        asset = self._require_asset()
        expires = asset.url_expires_at
        facts: Facts = {
            "expires": expires.isoformat() if expires else "not in the URL",
            "signature changed": _response_facts(_fetch_head(_with_changed_signature(asset.url))),
            "no query": _response_facts(_fetch_head(asset.url.partition("?")[0])),
        }
        if expires is not None:
            left = expires.timestamp() - self._session.clocks.now()
            facts["hours left"] = round(left / 3600, 2)
            if self.until_expired:
                facts["expired"] = self._expired(asset.url, expires)
        return facts

    def _expired(self, url: str, expires: datetime) -> Facts:
        """The response to the URL once it has expired."""
        clocks = self._session.clocks
        while (left := expires.timestamp() + _MARGIN - clocks.now()) > 0:
            clocks.pause(min(left, _MAX_PAUSE))
        requested = datetime.fromtimestamp(clocks.now(), UTC)
        late = round((requested - expires).total_seconds(), 1)
        return _response_facts(_fetch_head(url)) | {"seconds after expiry": late}

    def _require_asset(self) -> Asset:
        if self.asset is None:
            raise SkippedError("there is no result")
        return self.asset

    def file(self) -> Facts:
        """Download the file, and check it for sound."""
        job = self.purchase.job
        if job is None or self.asset is None:
            raise SkippedError("there is no result")
        target = self.purchase.folder / "result.mp4"
        paths = self.purchase.client.download(job, target, overwrite=True)
        size = paths[0].stat().st_size
        return {"bytes": size, "size matches the asset": size == self.asset.size} | tracks(paths[0])


def tracks(path: Path) -> Facts:
    """A file's tracks: read with PyAV if possible, else from the MP4 boxes."""
    handlers = handlers_of(path.read_bytes())
    facts: Facts = {"sound": "soun" in handlers, "handlers": handlers}
    try:
        import av  # noqa: PLC0415 - of the extra `sandbox`

        with av.open(str(path)) as container:
            kinds = [stream.type for stream in container.streams]
            facts["sound"] = "audio" in kinds
            facts["streams"] = [
                f"{stream.type} {stream.codec_context.name}" for stream in container.streams
            ]
            video = container.streams.video[0]
            facts["video"] = {
                "width": video.width,
                "height": video.height,
                "frames": video.frames,
                "frames per second": float(video.average_rate or 0),
            }
    except (ImportError, OSError, ValueError, IndexError, AttributeError) as error:
        facts["streams"] = f"not read ({type(error).__name__})"
    return facts


def handlers_of(content: bytes) -> list[str]:
    """The kinds of an MP4's tracks (`vide`, `soun`, ...), from its `hdlr` boxes."""
    found = []
    at = content.find(b"hdlr")
    while at >= 0:
        # A version and a field that is always 0, four bytes each; then the kind.
        kind = content[at + 12 : at + 16]
        if content[at + 8 : at + 12] == bytes(4) and kind.isalpha():
            found.append(kind.decode("ascii"))
        at = content.find(b"hdlr", at + 4)
    return found


def _fetch_head(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """GET a URL without credentials and read the headers; the body's start only of an error."""
    if not is_safe(httpx.URL(url)):
        raise ValueError("the file's URL is not allowed; it takes https")
    with (
        httpx.Client(timeout=60, follow_redirects=False) as http,
        http.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code >= 400:  # noqa: PLR2004
            start = next(response.iter_bytes(_HEAD_BYTES), b"")
            response.extensions["start"] = start[:_HEAD_BYTES]
        return response


def _response_facts(response: httpx.Response, size: int | None = None) -> Facts:
    headers = response.headers
    facts: Facts = {"status": response.status_code}
    facts |= {name: headers[name] for name in _FILE_HEADERS if name in headers}
    facts |= {name: headers_of(headers)[name] for name in headers_of(headers) if name not in facts}
    facts["etag"] = _etag_kind(headers.get("etag"))
    if "location" in headers:
        facts["location"] = headers["location"]
    if "start" in response.extensions:
        facts["error begins"] = response.extensions["start"].decode("utf-8", "replace")[:300]
    if size is not None:
        facts["length matches the asset"] = headers.get("content-length") == str(size)
    return facts


def _etag_kind(tag: str | None) -> str:
    if not tag:
        return "none"
    return "weak" if tag.startswith("W/") else "strong"


def _with_changed_signature(url: str) -> str:
    """The URL with one letter of its signature, or the end of its query, changed."""
    head, mark, rest = url.partition("Signature=")
    signature, cut, tail = rest.partition("&")
    if not mark:
        return url + "0"
    middle = len(signature) // 2
    other = "B" if signature[middle : middle + 1] == "A" else "A"
    return head + mark + signature[:middle] + other + signature[middle + 1 :] + cut + tail
