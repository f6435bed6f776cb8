"""An upload, which is free, and the facts of its responses."""

from pathlib import Path

from scenario_reframe import Asset, ReframeClient

from .session import ContactSession, Facts, response_facts
from .shapes import object_at, objects_at, seconds_between, shape


def upload(session: ContactSession, client: ReframeClient, video: Path) -> tuple[Asset, Facts]:
    """Upload a video; return its asset and the facts."""
    before = len(session.traffic.exchanges)
    asset = client.upload(video)
    exchanges = session.traffic.exchanges[before:]
    created = next(found for found in exchanges if found.path == "/uploads")
    parts = objects_at(object_at(created.payload, "upload"), "parts")
    statuses = [object_at(found.payload, "upload").get("status") for found in exchanges]
    return asset, {
        "announced": response_facts(created),
        "lifetime of a part's URL, seconds": [
            seconds_between(created.headers.get("date"), part.get("expires")) for part in parts[:1]
        ],
        "statuses": list(dict.fromkeys(status for status in statuses if isinstance(status, str))),
        "seconds": round(exchanges[-1].ended - created.began, 1),
        "asset": shape(asset.raw),
        "width, height, frames": [asset.width, asset.height, asset.frames],
    }
