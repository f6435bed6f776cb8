"""What a result is called when nobody says."""

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from .video import Video, VideoAsset, VideoFile, VideoUrl


def default_name(video: Video | None, aspect_ratio: str) -> str:
    """`clip-9x16.mp4`, or `clip-reframed.mp4` if the ratio is left open."""
    shape = "reframed" if aspect_ratio == "auto" else aspect_ratio.replace(":", "x")
    return f"{_stem(video)}-{shape}.mp4"


def _stem(video: Video | None) -> str:
    match video:
        case VideoFile(path):
            return path.stem
        case VideoUrl(url):
            name = PurePosixPath(unquote(urlsplit(url).path)).stem
            return re.sub(r"[^\w.-]", "_", name).lstrip(".-")[:100] or "video"
        case VideoAsset(asset_id):
            return asset_id
        case None:
            return "video"
