"""Checks a `video` argument: path, URL or asset. Reads only the first bytes of a file."""

import hashlib
import os
import re
from collections.abc import Callable, Generator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO, TypeGuard
from urllib.parse import urlsplit

from attrs import frozen

from .api.sanitize import printable
from .arguments import checked_path, is_id, shown
from .errors import InvalidVideoError, UploadError
from .models import Asset

_ASSET_ID = re.compile(r"asset_[A-Za-z0-9_-]{1,200}")
_HEAD_BYTES = 64
CHUNK_BYTES = 256 * 1024

VideoSource = str | os.PathLike[str] | Asset


@frozen
class VideoFile:
    """A local video, as it was when it was checked.

    `size`: bytes; `changed`: time of its last change in nanoseconds; `inode`: its number on its
    disk, which tells it from a file that takes its place.
    """

    path: Path
    size: int
    changed: int
    content_type: str
    inode: int

    def read(self, offset: int, length: int) -> Generator[bytes, None, None]:
        """Read `length` bytes, in chunks. Raises UploadError if the file is no longer the same."""
        try:
            with _open_file(self.path) as file:
                self._check_same(os.fstat(file.fileno()))
                file.seek(offset)
                left = length
                while left:
                    chunk = file.read(min(CHUNK_BYTES, left))
                    if not chunk:
                        raise UploadError(f"{self._shown} became shorter while it was read")
                    left -= len(chunk)
                    yield chunk
        except OSError as fault:
            raise self._unreadable(fault) from fault

    def digest(self, is_stopped: Callable[[], bool]) -> str:
        """Its SHA-256, in hex. Raises UploadError if it is no longer the same, or once stopped."""
        sha = hashlib.sha256()
        for chunk in self.read(0, self.size):
            if is_stopped():
                raise UploadError(f"{self._shown} was not read to its end")
            sha.update(chunk)
        return sha.hexdigest()

    def check_unchanged(self) -> None:
        """Raise UploadError if the file is no longer the same."""
        try:
            self._check_same(self.path.stat())
        except OSError as fault:
            raise self._unreadable(fault) from fault

    def _check_same(self, status: os.stat_result) -> None:
        same = (self.size, self.changed, self.inode)
        if (status.st_size, status.st_mtime_ns, status.st_ino) != same:
            raise UploadError(
                f"{self._shown} was changed or replaced after it was checked; nothing was submitted"
            )

    def _unreadable(self, fault: OSError) -> UploadError:
        return UploadError(
            f"{self._shown} cannot be read any more: {fault.strerror}; nothing was submitted"
        )

    @property
    def _shown(self) -> str:
        return printable(str(self.path), 200)


@frozen
class VideoUrl:
    """A video that the server imports. Its URL may contain secrets, so it is not shown."""

    url: str

    def __repr__(self) -> str:
        return "VideoUrl(...)"


@frozen
class VideoAsset:
    """A video that is on the server already."""

    asset_id: str


Video = VideoFile | VideoUrl | VideoAsset


def resolve(video: VideoSource) -> Video:
    """Check a path, an http(s) URL, an asset id or an Asset.

    Raises InvalidVideoError.
    """
    if isinstance(video, Asset):
        if not is_id(video.id):
            raise InvalidVideoError(f"video: {shown(video.id)} is not the id of an asset")
        return VideoAsset(video.id)
    if is_url(video):
        return VideoUrl(_checked_url(video))
    if is_asset_id(video):
        return VideoAsset(str(video))
    if isinstance(video, str | os.PathLike):
        return open_video(video)
    raise InvalidVideoError(
        f"video: takes a path, an http(s) URL, an asset id or an Asset, not {type(video).__name__}"
    )


def is_url(value: object) -> TypeGuard[str]:
    """Whether a value begins like an http(s) URL."""
    return isinstance(value, str) and re.match(r"https?://", value, re.IGNORECASE) is not None


def is_asset_id(value: object) -> bool:
    """Whether a value can be the id of an asset."""
    return isinstance(value, str) and bool(_ASSET_ID.fullmatch(value))


def open_video(path: str | os.PathLike[str]) -> VideoFile:
    """Check a local file: it must exist, not be empty, and begin like a video.

    Raises InvalidVideoError.
    """
    text = checked_path(path, "video", InvalidVideoError)
    found, name = Path(text), printable(text, 200)
    try:
        _check_regular(found.stat(), name)  # before it is opened: a pipe would be read from
        with _open_file(found) as file:
            status = os.fstat(file.fileno())
            _check_regular(status, name)
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as fault:
        raise InvalidVideoError(f"video: {name} does not exist") from fault
    except OSError as fault:
        raise InvalidVideoError(f"video: {name} cannot be read: {fault.strerror}") from fault
    content_type = content_type_of(head)
    if content_type is None:
        raise InvalidVideoError(
            f"video: {name} does not begin like a video; it takes MP4, MOV, WebM or MKV"
        )
    return VideoFile(found, status.st_size, status.st_mtime_ns, content_type, status.st_ino)


def _check_regular(status: os.stat_result, name: str) -> None:
    """Raise InvalidVideoError unless it is a regular file that is not empty."""
    if not S_ISREG(status.st_mode):
        what = "a folder" if S_ISDIR(status.st_mode) else "not a regular file"
        raise InvalidVideoError(f"video: {name} is {what}; it takes one video file")
    if status.st_size == 0:
        raise InvalidVideoError(f"video: {name} is empty")


def _open_file(path: Path) -> BinaryIO:
    """Open a file to be read, without waiting if a pipe has taken its place."""

    def at_once(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    return open(path, "rb", opener=at_once)


def content_type_of(head: bytes) -> str | None:
    """The MIME type of MP4, MOV, WebM or MKV by the first bytes; None for anything else."""
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head else "video/x-matroska"
    return None


def _checked_url(url: str) -> str:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host or not url.isprintable() or " " in url:
        raise InvalidVideoError(
            "video: the URL has no host, or contains spaces or control characters"
        )
    return url
