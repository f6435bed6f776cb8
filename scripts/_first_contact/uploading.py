"""An upload, which costs nothing, and what its replies say."""

from pathlib import Path

from scenario_reframe import Asset, ReframeClient

from .session import Facts, Session, answer
from .shapes import record, records, seconds_between, shape


def upload(session: Session, client: ReframeClient, video: Path) -> tuple[Asset, Facts]:
    """The asset that a video became, and how."""
    before = len(session.traffic.exchanges)
    asset = client.upload(video)
    exchanges = session.traffic.exchanges[before:]
    created = next(found for found in exchanges if found.path == "/uploads")
    parts = records(record(created.payload, "upload"), "parts")
    told = [record(found.payload, "upload").get("status") for found in exchanges]
    return asset, {
        "announced": answer(created),
        "seconds that a part's URL lives": [
            seconds_between(created.headers.get("date"), part.get("expires")) for part in parts[:1]
        ],
        "statuses": list(dict.fromkeys(status for status in told if isinstance(status, str))),
        "seconds": round(exchanges[-1].ended - created.began, 1),
        "asset": shape(asset.raw),
        "width, height, frames": [asset.width, asset.height, asset.frames],
    }
