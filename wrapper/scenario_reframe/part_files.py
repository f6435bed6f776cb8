"""A download's bytes on disk, and what to do with each reply.

Bytes go to `NAME.part` beside the target, with a note in `NAME.part.json` that says which asset
they are part of; only a complete file gets the final name. While one download writes there, another
one of the same target uses `NAME.2.part`. Decisions are pure functions; `PartFile` does the I/O.
"""

import errno
import filecmp
import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from io import FileIO
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from attrs import frozen

from .errors import DownloadError
from .models import Asset

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

WHOLE, PARTIAL, _BAD_RANGE = 200, 206, 416
_EXPIRED = frozenset({401, 403, 404, 410})
_TRANSIENT = frozenset({408, 425, 429})
_SUFFIXES = ("", ".2", ".3", ".4")
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


class TransferPlan(Enum):
    """What to do with a reply."""

    APPEND = auto()
    RESTART = auto()
    COMPLETE = auto()
    START_AGAIN = auto()
    FRESH_URL = auto()
    TRY_AGAIN = auto()
    GIVE_UP = auto()


@frozen
class TransferVerdict:
    """A plan, and the complete file's size in bytes if the reply states it."""

    plan: TransferPlan
    total: int | None = None


def judge(status: int, headers: Mapping[str, str], have: int) -> TransferVerdict:
    """What a reply's status and headers mean for a file of which `have` bytes are on disk."""
    if headers.get("content-encoding", "identity") not in {"", "identity"}:
        return TransferVerdict(TransferPlan.GIVE_UP)
    if status == WHOLE:
        return TransferVerdict(TransferPlan.RESTART, _int_or_none(headers.get("content-length")))
    if status in {PARTIAL, _BAD_RANGE}:
        return _judge_range(status, headers.get("content-range", ""), have)
    if status in _EXPIRED:
        return TransferVerdict(TransferPlan.FRESH_URL)
    if status in _TRANSIENT or status >= 500:  # noqa: PLR2004
        return TransferVerdict(TransferPlan.TRY_AGAIN)
    return TransferVerdict(TransferPlan.GIVE_UP)


def _judge_range(status: int, content_range: str, have: int) -> TransferVerdict:
    if status == _BAD_RANGE:
        match = re.fullmatch(r"bytes \*/(\d+)", content_range)
        whole = match is not None and int(match[1]) == have
        return (
            TransferVerdict(TransferPlan.COMPLETE, have)
            if whole
            else TransferVerdict(TransferPlan.START_AGAIN)
        )
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range)
    if match is None or int(match[1]) != have:
        return TransferVerdict(TransferPlan.START_AGAIN)
    return TransferVerdict(TransferPlan.APPEND, _int_or_none(match[3]))


def _int_or_none(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text) else None


class PartFile:
    """An unfinished target: a file that only this download writes, and a note about it.

    The note is locked until the end. A lock ends with its process: a free note is a leftover.
    """

    def __init__(self, target: Path, asset: Asset) -> None:
        self.target = target
        self.asset = asset
        self.note = self._note_path("." + token_hex(8))  # unique, in case no note can be locked
        self.verdict = TransferVerdict(TransferPlan.TRY_AGAIN)
        self._etag = ""
        self._lock: FileIO | None = None
        self._file: BinaryIO | None = None

    @property
    def part(self) -> Path:
        """Where the bytes go."""
        return _part_of(self.note)

    def acquire(self) -> None:
        """Lock a part file that is not in use, the longest one; remove the other unused ones."""
        notes = [self._note_path(suffix) for suffix in _SUFFIXES]
        for note in sorted(notes, key=lambda note: _size(_part_of(note)), reverse=True):
            if self._lock is not None and not note.exists():
                continue
            lock = _lock_file(note)
            if lock is not None and self._lock is None:
                self.note, self._lock = note, lock
                self._etag = self._etag_in(lock)
            elif lock is not None:
                _remove(note, lock)

    def have(self) -> int:
        """How many bytes are on disk that belong to this asset."""
        return _size(self.part) if self._etag else 0

    def request_headers(self) -> dict[str, str]:
        """The headers to ask for the rest, on condition that the file is still the same."""
        headers = {"Accept-Encoding": "identity"}
        if have := self.have():
            headers |= {"Range": f"bytes={have}-", "If-Range": self._etag}
        return headers

    def accept(self, status: int, headers: Mapping[str, str]) -> bool:
        """Open the file at the position of the reply's bytes; False if it has none of use."""
        self.verdict = judge(status, headers, self.have())
        if self.verdict.plan is TransferPlan.START_AGAIN:
            self.discard()
        if self.verdict.plan is TransferPlan.APPEND:
            self._file = self.part.open("ab")
        elif self.verdict.plan is TransferPlan.RESTART:
            self.discard()
            self._file = self.part.open("xb")
            etag = headers.get("etag", "")
            if etag.startswith('"'):  # a weak one does not promise the same bytes
                self._write_note(etag)
        return self._file is not None

    def write(self, chunk: bytes) -> None:
        """Write some bytes. Raises DownloadError if they are more than promised."""
        if self._file is not None:
            self._file.write(chunk)
            limit = self.asset.size if self.verdict.total is None else self.verdict.total
            if limit is not None and self._file.tell() > limit:
                raise DownloadError(f"{self.asset.id} is longer than the {limit} bytes promised")

    def close(self) -> None:
        """Flush and sync. Closed even if that fails: nothing may be written later."""
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                file.flush()
                os.fsync(file.fileno())

    def is_whole(self) -> bool:
        """Whether the size is the one that the reply and the asset state."""
        size = _size(self.part)
        stated = {self.verdict.total, self.asset.size} - {None}
        return size > 0 and stated <= {size}

    def finish(self, *, overwrite: bool) -> None:
        """Give the complete file its final name, unless another download has just done so."""
        etag = self._etag
        self._write_note("")  # were this process killed, the next would add to the finished file
        try:
            if overwrite:
                self.part.replace(self.target)
            elif not _link(self.part, self.target) and not _same_content(self.part, self.target):
                raise FileExistsError(errno.EEXIST, "already exists", str(self.target))
        except OSError:
            self._write_note(etag)
            raise

    def discard(self) -> None:
        """Remove the bytes on disk."""
        self._write_note("")
        self.part.unlink(missing_ok=True)

    def release(self) -> None:
        """Keep only what the next call can resume."""
        if self._lock is not None and self.have():
            self._lock.close()
        else:
            _remove(self.note, self._lock)

    def _note_path(self, suffix: str) -> Path:
        return self.target.with_name(f"{self.target.name}{suffix}.part.json")

    def _write_note(self, etag: str) -> None:
        self._etag = etag
        if self._lock is not None:
            note = {"asset": self.asset.id, "size": self.asset.size, "etag": etag}
            self._lock.truncate(0)
            self._lock.write(json.dumps(note).encode() if etag else b"")

    def _etag_in(self, lock: FileIO) -> str:
        try:
            lock.seek(0)
            note = json.loads(lock.read())
            known = note["asset"] == self.asset.id and note["size"] == self.asset.size
            return str(note["etag"]) if known else ""
        except (ValueError, LookupError, TypeError):
            return ""


def _part_of(note: Path) -> Path:
    return note.with_suffix("")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lock_file(path: Path) -> FileIO | None:
    """The file, open and locked; None if another process has it, or locks do not work here."""
    try:
        file = path.open("a+b", buffering=0)
    except OSError:
        return None
    try:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise FileNotFoundError(path)  # it was removed before it was locked
    except OSError as fault:
        file.close()
        if fault.errno in _NO_LOCKS:
            path.unlink(missing_ok=True)
        return None
    return file


def _remove(note: Path, lock: FileIO | None) -> None:
    """Remove a part file and its note, then release the lock (before it, on Windows)."""
    with suppress(OSError):
        _part_of(note).unlink(missing_ok=True)
        if lock is not None and sys.platform == "win32":
            lock.close()
        note.unlink(missing_ok=True)
    if lock is not None:
        lock.close()


def _link(part: Path, target: Path) -> bool:
    """Rename a file without replacing another one; False if the target exists."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:  # a disk without hard links
        if os.path.lexists(target):
            return False
        part.rename(target)
    return True


def _same_content(part: Path, target: Path) -> bool:
    return target.is_file() and filecmp.cmp(part, target, shallow=False)
