"""Where results go: checks of a target, and the names of its files."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from .arguments import checked_path
from .errors import InvalidInputError
from .models import Asset
from .video import Video, VideoAsset, VideoFile, VideoUrl

Destination = str | os.PathLike[str]

_EXTENSIONS = {"video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov"}


def check_destination(to: Destination, *, overwrite: bool) -> tuple[Path, bool]:
    """The target and whether it is a folder; its parent is made. To be called before paying.

    Raises InvalidInputError if it cannot be written, or exists and may not be overwritten.
    """
    text = checked_path(to, "to")
    path = Path(text)
    try:
        into_folder = path.is_dir() or text.endswith(("/", os.sep))
        if not into_folder and path.exists() and not overwrite:
            raise InvalidInputError(f"to: {path} already exists; pass overwrite=True to replace it")
        if into_folder and path.exists() and not path.is_dir():
            raise InvalidInputError(f"to: {path} is a file, not a folder")
        folder = path if into_folder else path.parent
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InvalidInputError(f"to: {path} cannot be written: {fault.strerror}") from fault
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInputError(f"to: the folder {folder} cannot be written")
    return path, into_folder


def absolute(to: Destination | None) -> str | None:
    """A target as it is stored: absolute; a folder ends in a separator."""
    if to is None:
        return None
    is_folder = os.fspath(to).endswith(("/", os.sep)) or Path(to).is_dir()
    return str(Path(to).absolute()) + (os.sep if is_folder else "")


def targets(to: Path, *, into_folder: bool, assets: Sequence[Asset]) -> list[Path]:
    """The file of each asset: named by its id in a folder, else `name`, `name-2`, ..."""
    if into_folder:
        return [to / f"{asset.id}{_EXTENSIONS.get(asset.mime_type, '.mp4')}" for asset in assets]
    later = [to.with_name(f"{to.stem}-{number}{to.suffix}") for number in range(2, len(assets) + 1)]
    return [to, *later][: len(assets)]


def is_result_at(file: Path, target: str | None) -> bool:
    """Whether `targets` may have named this file, for a target in the form of `absolute`."""
    if target is None:
        return False
    path = Path(target)
    if target.endswith(os.sep):
        return file.parent == path
    name = rf"{re.escape(path.stem)}(-[0-9]+)?{re.escape(path.suffix)}"
    return file.parent == path.parent and re.fullmatch(name, file.name) is not None


def default_name(video: Video | None, settings: Mapping[str, Any]) -> str:
    """`clip-9x16.mp4`, or `clip-reframed.mp4` without an aspect ratio."""
    ratio = settings.get("aspect_ratio")
    aspect_ratio = ratio if isinstance(ratio, str) else "auto"
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
