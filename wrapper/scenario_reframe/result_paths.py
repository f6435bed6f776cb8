"""Where results go: checks of a target, and the names of its files."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from .api.sanitize import printable
from .arguments import checked_path
from .errors import InvalidInputError
from .models import Asset
from .video import Video, VideoAsset, VideoFile, VideoUrl

Destination = str | os.PathLike[str]

_ADDED_BYTES = len("-99.01234567.part.json")
"""What `targets` and unfinished downloads add to a name at most."""
_EXTENSIONS = {"video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov"}


def check_destination(to: Destination, *, overwrite: bool) -> tuple[Path, bool]:
    """The target and whether it is a folder; its parent is made. To be called before paying.

    Raises InvalidInputError if it cannot be written, or exists and may not be overwritten. A
    device, a pipe or a socket may not; of a link to a file, only the link itself is replaced.
    """
    text = checked_path(to, "to")
    path = Path(text)
    into_folder = _is_folder(path) or text.endswith(("/", os.sep))
    check_length(path, "to", is_folder=into_folder)
    try:
        if into_folder and path.exists() and not path.is_dir():
            raise InvalidInputError(f"to: {path} is a file, not a folder")
        if not into_folder:
            check_replaceable(path)
        if not into_folder and os.path.lexists(path) and not overwrite:
            raise InvalidInputError(f"to: {path} already exists; pass overwrite=True to replace it")
        folder = path if into_folder else path.parent
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InvalidInputError(f"to: {path} cannot be written: {fault.strerror}") from fault
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInputError(f"to: the folder {folder} cannot be written")
    return path, into_folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long a name, or a folder above it that may not be read
        return False


def check_replaceable(path: Path) -> None:
    """Raise InvalidInputError if something else than a regular file is there, such as a device."""
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "not a regular file"
        raise InvalidInputError(f"to: {path} is {what}, which is never replaced; name a file")


def check_length(path: Path, argument: str, *, is_folder: bool = False) -> None:
    """Raise InvalidInputError if the system does not take a path of this length.

    What is added to the name of an unfinished or a second file counts, too, and in a folder a name.
    """
    shown = printable(str(path), 80)
    try:
        *folders, name = (len(os.fsencode(part)) for part in path.absolute().parts)
        whole = len(os.fsencode(path.absolute()))
    except UnicodeEncodeError as fault:
        raise InvalidInputError(
            f"{argument}: {shown!r} is not allowed; it takes a path that the system can encode"
        ) from fault
    longest = longest_name(path)
    longest_folder = longest + _ADDED_BYTES
    kept = longest_folder + 1 if is_folder else _ADDED_BYTES
    for size, most, what in (
        (0 if is_folder else name, longest, "a name"),
        (max([*folders, name]), longest_folder, "a folder with a name"),
        (whole, _limit(path, "PC_PATH_MAX", 4096) - 1 - kept, "a path"),
    ):
        if size > most:
            raise InvalidInputError(
                f"{argument}: {shown} has {what} of {size} bytes; it takes at most {most} here, "
                "so that unfinished files have room for their names"
            )


def longest_name(path: Path) -> int:
    """The most bytes of a result's name at a path, whose folder need not exist yet."""
    return _limit(path, "PC_NAME_MAX", 255) - _ADDED_BYTES


def _limit(path: Path, name: str, otherwise: int) -> int:
    """A limit of the file system that a path is on, or would be."""
    if sys.platform != "win32":
        for folder in path.absolute().parents:
            with suppress(OSError, ValueError):
                found = os.pathconf(folder, name)
                return found if found > 0 else otherwise
    return otherwise


def absolute(to: Destination | None) -> str | None:
    """A target as it is stored: absolute; a folder ends in a separator."""
    if to is None:
        return None
    is_folder = os.fspath(to).endswith(("/", os.sep)) or _is_folder(Path(to))
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


def default_name(
    video: Video | None,
    settings: Mapping[str, Any],
    folder: Path = Path(),
    tags: Sequence[str] = (),
) -> str:
    """`clip-9x16.mp4`, or `clip-reframed.mp4` without an aspect ratio; `tags` follow the shape.

    The video's name is cut where the whole would be too long for the folder.
    """
    ratio = settings.get("aspect_ratio")
    aspect_ratio = ratio if isinstance(ratio, str) else "auto"
    shape = "reframed" if aspect_ratio == "auto" else aspect_ratio.replace(":", "x")
    end = "-".join(["", shape, *tags]) + ".mp4"
    room = longest_name(folder / "name") - len(os.fsencode(end))
    return _cut(_stem(video), max(room, 1)) + end


def _cut(name: str, most: int) -> str:
    """The longest beginning of whole characters that has at most so many bytes."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


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
