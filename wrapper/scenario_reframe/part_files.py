"""A download's bytes on disk, and what to do with each reply.

Bytes go to `NAME.part` beside the target, with a note in `NAME.part.json` that says which asset
they are part of; only a complete file gets the final name. While one download writes there, another
one of the same target uses `NAME.2.part`, and so it does if what is there is not ours.
"""

import errno
import filecmp
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedWriter, FileIO
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from .container import ContainerEnd, container_end
from .errors import DownloadError, InvalidInputError
from .models import Asset
from .own_files import is_free, lock_own, open_own, own_size
from .result_paths import check_replaceable
from .transfer_plan import (
    TransferPlan,
    TransferVerdict,
    judge,
    limit_of,
    limit_text,
    stated_size,
    strong_etag,
)

_SUFFIXES = ("", ".2", ".3", ".4")
_LONGEST_NOTE = 4096  # bytes


class PartFile:
    """An unfinished target: a file that only this download writes, and a note about it.

    The note is locked until the end. A lock ends with its process: a free note is a leftover.
    """

    def __init__(self, target: Path, asset: Asset) -> None:
        self.target = target
        self.asset = asset
        self.note = self._note_path("." + token_hex(4))  # unique, in case no note can be locked
        self.verdict = TransferVerdict(TransferPlan.TRY_AGAIN)
        self._size = stated_size(asset)
        self._etag = ""
        self._lock: FileIO | None = None
        self._file: BinaryIO | None = None

    @property
    def part(self) -> Path:
        """Where the bytes go."""
        return _part_of(self.note)

    def acquire(self) -> None:
        """Lock a part file that is not in use, the longest one; remove the other unused ones."""
        notes = [note for note in map(self._note_path, _SUFFIXES) if is_free(_part_of(note))]
        for note in sorted(notes, key=lambda note: own_size(_part_of(note)), reverse=True):
            if self._lock is not None and not note.exists():
                continue
            lock = lock_own(note)
            if lock is not None and self._lock is None:
                self.note, self._lock = note, lock
                self._etag = self._etag_in(lock)
            elif lock is not None:
                _remove(note, lock)

    def have(self) -> int:
        """How many bytes are on disk that belong to this asset."""
        return own_size(self.part) if self._etag else 0

    def request_headers(self) -> dict[str, str]:
        """The headers to ask for the rest, on condition that the file is still the same."""
        headers = {"Accept-Encoding": "identity"}
        if have := self.have():
            headers |= {"Range": f"bytes={have}-", "If-Range": self._etag}
        return headers

    def accept(self, status: int, headers: Mapping[str, str]) -> bool:
        """Open the file at the position of the reply's bytes; False if it has none of use."""
        self.verdict = judge(status, headers, self.have(), self._size)
        if self.verdict.plan is TransferPlan.START_AGAIN:
            self.discard()
        if self.verdict.plan is TransferPlan.APPEND:
            self._file = BufferedWriter(open_own(self.part, "ab"))
        elif self.verdict.plan is TransferPlan.RESTART:
            self.discard()
            self._file = self.part.open("xb")
            if etag := strong_etag(headers.get("etag")):
                self._write_note(etag)
        return self._file is not None

    def write(self, chunk: bytes) -> None:
        """Write some bytes. Raises DownloadError instead if they are more than allowed."""
        if self._file is None:
            return
        total = self.verdict.total
        limit = limit_of(self._size) if total is None else total
        if self._file.tell() + len(chunk) > limit:
            self._write_note("")  # these bytes are not to be resumed
            rule = limit_text(self._size) if total is None else f"{total} bytes, as its host said"
            raise DownloadError(f"{self.asset.id} is longer than the limit of {rule}")
        self._file.write(chunk)

    def close(self) -> None:
        """Flush and sync. Closed even if that fails: nothing may be written later."""
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                file.flush()
                os.fsync(file.fileno())

    def is_whole(self) -> bool:
        """Whether the size is the one that the reply and the asset state.

        Where neither states one, the reply's framing decides, else the container's end. Raises
        DownloadError if that is unknown, too.
        """
        size = self.part.stat().st_size if self.part.exists() else 0
        stated = {self.verdict.total, self._size} - {None}
        if stated or self.verdict.is_framed or not size:
            return size > 0 and stated <= {size}
        with self.part.open("rb") as file:
            end = container_end(file)
        if end is ContainerEnd.UNKNOWN:
            self._write_note("")
            raise DownloadError(
                f"whether {self.asset.id} is whole cannot be known: neither its host nor the API "
                "stated its length, and the file does not say where it ends"
            )
        return end is ContainerEnd.WHOLE

    def finish(self, *, overwrite: bool) -> None:
        """Give the complete file its final name, unless another download has just done so."""
        etag = self._etag
        self._write_note("")  # were this process killed, the next would add to the finished file
        try:
            if overwrite:
                check_replaceable(self.target)
                self.part.replace(self.target)
            elif not _link(self.part, self.target) and not _same_content(self.part, self.target):
                raise FileExistsError(errno.EEXIST, "already exists", str(self.target))
        except (OSError, InvalidInputError):
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
            note = {"asset": self.asset.id, "size": self._size, "etag": etag}
            self._lock.truncate(0)
            self._lock.write(json.dumps(note).encode() if etag else b"")

    def _etag_in(self, lock: FileIO) -> str:
        try:
            lock.seek(0)
            note = json.loads(lock.read(_LONGEST_NOTE))
            known = note["asset"] == self.asset.id and note["size"] == self._size
            return strong_etag(note["etag"]) if known else ""
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""


def _part_of(note: Path) -> Path:
    return note.with_suffix("")


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
