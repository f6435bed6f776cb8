"""Download results: streamed, resumed, whole or not at all.

Bytes go to `NAME.part` beside the target, with a note in `NAME.part.json` of what they are a part
of; only a whole file gets the final name. While one download writes there, another of the same
target takes `NAME.2.part`. Decisions are pure functions; `PartFile` does the disk.
"""

import errno
import filecmp
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from io import FileIO
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from attrs import frozen

from .errors import DownloadError, InvalidInputError, ReframeError
from .flow import Do, Flow, NoReply, Pause, Progress, ProgressCallback, Pull, Reply, Tell, repeat
from .models import Asset, Job
from .operations import Operations, checked_id
from .reading import number

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Destination = str | os.PathLike[str]

FRUITLESS_ATTEMPTS = 5
_EXTENSIONS = {"video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov"}
_OK, _PARTIAL, _BAD_RANGE = 200, 206, 416
_STALE = frozenset({401, 403, 404, 410})
_PASSING = frozenset({408, 425, 429})
_PLACES = ("", ".2", ".3", ".4")
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


class Plan(Enum):
    """What to do with a reply."""

    APPEND = auto()
    RESTART = auto()
    COMPLETE = auto()
    START_AGAIN = auto()
    FRESH_URL = auto()
    TRY_AGAIN = auto()
    GIVE_UP = auto()


@frozen
class Verdict:
    """A plan, and the whole file's size in bytes where the reply tells it."""

    plan: Plan
    total: int | None = None


def judge(status: int, headers: Mapping[str, str], have: int) -> Verdict:
    """What a reply's head means for a file of which `have` bytes are there already."""
    if headers.get("content-encoding", "identity") not in {"", "identity"}:
        return Verdict(Plan.GIVE_UP)
    if status == _OK:
        return Verdict(Plan.RESTART, _whole_number(headers.get("content-length")))
    if status in {_PARTIAL, _BAD_RANGE}:
        return _judge_range(status, headers.get("content-range", ""), have)
    if status in _STALE:
        return Verdict(Plan.FRESH_URL)
    if status in _PASSING or status >= 500:  # noqa: PLR2004
        return Verdict(Plan.TRY_AGAIN)
    return Verdict(Plan.GIVE_UP)


def _judge_range(status: int, content_range: str, have: int) -> Verdict:
    if status == _BAD_RANGE:
        match = re.fullmatch(r"bytes \*/(\d+)", content_range)
        whole = match is not None and int(match[1]) == have
        return Verdict(Plan.COMPLETE, have) if whole else Verdict(Plan.START_AGAIN)
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range)
    if match is None or int(match[1]) != have:
        return Verdict(Plan.START_AGAIN)
    return Verdict(Plan.APPEND, _whole_number(match[3]))


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text) else None


def targets(to: Path, *, into_folder: bool, assets: Sequence[Asset]) -> list[Path]:
    """Where each asset goes: named after itself in a folder, else `name`, `name-2`, ..."""
    if into_folder:
        return [to / f"{asset.id}{_EXTENSIONS.get(asset.mime_type, '.mp4')}" for asset in assets]
    later = [to.with_name(f"{to.stem}-{number}{to.suffix}") for number in range(2, len(assets) + 1)]
    return [to, *later][: len(assets)]


def check_destination(to: Destination, *, overwrite: bool) -> tuple[Path, bool]:
    """The target and whether it is a folder, before anything is paid.

    Raises InvalidInputError when nothing could be written there, or something would be lost.
    """
    text = os.fspath(to) if isinstance(to, str | os.PathLike) else to
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidInputError(f"to: {text!r:.80} is no path")
    path = Path(text)
    try:
        into_folder = path.is_dir() or text.endswith(("/", os.sep))
        if not into_folder and path.exists() and not overwrite:
            raise InvalidInputError(f"to: {path} is there already; say overwrite to replace it")
        if into_folder and path.exists() and not path.is_dir():
            raise InvalidInputError(f"to: {path} is a file, not a folder")
        folder = path if into_folder else path.parent
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InvalidInputError(f"to: {path} cannot be written: {fault.strerror}") from fault
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInputError(f"to: the folder {folder} cannot be written")
    return path, into_folder


class PartFile:
    """A target that is on its way: bytes that this download alone writes, and a note about them.

    The note is locked until the end, and a lock ends with its process: what is free is a leftover.
    """

    def __init__(self, target: Path, asset: Asset) -> None:
        self.target = target
        self.asset = asset
        self.note = self._place("." + token_hex(8))  # nobody else's, should no note be ours to lock
        self.verdict = Verdict(Plan.TRY_AGAIN)
        self._etag = ""
        self._lock: FileIO | None = None
        self._file: BinaryIO | None = None

    @property
    def part(self) -> Path:
        """Where the bytes go."""
        return _part_of(self.note)

    def take(self) -> None:
        """Choose a part file that nobody writes, the longest leftover first; remove the others."""
        places = [self._place(name) for name in _PLACES]
        for note in sorted(places, key=lambda note: _size(_part_of(note)), reverse=True):
            if self._lock is not None and not note.exists():
                continue
            lock = _locked(note)
            if lock is not None and self._lock is None:
                self.note, self._lock = note, lock
                self._etag = self._noted(lock)
            elif lock is not None:
                _remove(note, lock)

    def have(self) -> int:
        """Bytes that are there and belong to this asset."""
        return _size(self.part) if self._etag else 0

    def request_headers(self) -> dict[str, str]:
        """Ask for the rest, on condition that the file is still the same."""
        headers = {"Accept-Encoding": "identity"}
        if have := self.have():
            headers |= {"Range": f"bytes={have}-", "If-Range": self._etag}
        return headers

    def accept(self, status: int, headers: Mapping[str, str]) -> bool:
        """Open the file where the reply's bytes belong; False if none are wanted."""
        self.verdict = judge(status, headers, self.have())
        if self.verdict.plan is Plan.START_AGAIN:
            self.discard()
        if self.verdict.plan is Plan.APPEND:
            self._file = self.part.open("ab")
        elif self.verdict.plan is Plan.RESTART:
            self.discard()
            self._file = self.part.open("xb")
            etag = headers.get("etag", "")
            if etag.startswith('"'):  # a weak one does not promise the same bytes
                self._remember(etag)
        return self._file is not None

    def write(self, chunk: bytes) -> None:
        """Take some bytes."""
        if self._file is not None:
            self._file.write(chunk)
            limit = self.asset.size if self.verdict.total is None else self.verdict.total
            if limit is not None and self._file.tell() > limit:
                raise DownloadError(f"{self.asset.id} is longer than the {limit} bytes promised")

    def close(self) -> None:
        """Put the bytes on the disk. Closed even if that fails: nothing may be written later."""
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                file.flush()
                os.fsync(file.fileno())

    def is_whole(self) -> bool:
        """Whether as many bytes are there as the reply and the asset's record say."""
        size = _size(self.part)
        wanted = {self.verdict.total, self.asset.size} - {None}
        return size > 0 and wanted <= {size}

    def finish(self, *, overwrite: bool) -> None:
        """Give the whole file its final name, unless another download of it has just done so."""
        etag = self._etag
        self._remember("")  # were this process killed, the next would add to the finished file
        try:
            if overwrite:
                self.part.replace(self.target)
            elif not _linked(self.part, self.target) and not _same(self.part, self.target):
                raise FileExistsError(errno.EEXIST, "is there already", str(self.target))
        except OSError:
            self._remember(etag)
            raise

    def discard(self) -> None:
        """Forget what is there."""
        self._remember("")
        self.part.unlink(missing_ok=True)

    def release(self) -> None:
        """Leave to the next call what it can build on, and nothing else."""
        if self._lock is not None and self.have():
            self._lock.close()
        else:
            _remove(self.note, self._lock)

    def _place(self, name: str) -> Path:
        return self.target.with_name(f"{self.target.name}{name}.part.json")

    def _remember(self, etag: str) -> None:
        self._etag = etag
        if self._lock is not None:
            note = {"asset": self.asset.id, "size": self.asset.size, "etag": etag}
            self._lock.truncate(0)
            self._lock.write(json.dumps(note).encode() if etag else b"")

    def _noted(self, lock: FileIO) -> str:
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


def _locked(path: Path) -> FileIO | None:
    """A file that is open and locked; None if another has it, or if files cannot be locked here."""
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
    """Remove a part file and its note, and only then let go of the note, where that can be done."""
    with suppress(OSError):
        _part_of(note).unlink(missing_ok=True)
        if lock is not None and sys.platform == "win32":
            lock.close()
        note.unlink(missing_ok=True)
    if lock is not None:
        lock.close()


def _linked(part: Path, target: Path) -> bool:
    """Give a file another name; False if that is taken. A rename would replace what is there."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:  # a disk without hard links
        if os.path.lexists(target):
            return False
        part.rename(target)
    return True


def _same(part: Path, target: Path) -> bool:
    return target.is_file() and filecmp.cmp(part, target, shallow=False)


def fetch(
    operations: Operations, asset: Asset, target: Path, *, overwrite: bool, progress: Progress
) -> Flow[Path]:
    """One asset into one file. Raises DownloadError after several attempts without progress."""
    part = PartFile(target, asset)
    try:
        yield Do(part.take)
        yield from _fill(operations, part, progress)
        yield Do(partial(part.finish, overwrite=overwrite))
    finally:
        part.release()  # no step: under asyncio none begins once the caller is cancelled
    return target


def _fill(operations: Operations, part: PartFile, progress: Progress) -> Flow[None]:
    """Attempts until all bytes are there."""
    asset = part.asset
    url, fruitless, most = asset.url, 0, 0
    while True:
        headers = yield Do(part.request_headers)
        have = yield Do(part.have)
        attempt = progress.attempt()
        yield Tell(attempt.add, (have,))
        answer = yield Pull(url, headers, part, attempt)
        plan = part.verdict.plan if isinstance(answer, Reply) else Plan.TRY_AGAIN
        if plan in {Plan.APPEND, Plan.RESTART, Plan.COMPLETE}:
            if (yield Do(part.is_whole)):
                return
            yield Do(part.discard)
        attempt.undo()
        if plan is Plan.GIVE_UP:
            raise DownloadError(f"{asset.id} cannot be downloaded: {_told(answer)}")
        now = yield Do(part.have)
        fruitless = 0 if now > most else fruitless + 1
        most = max(most, now)
        if fruitless >= FRUITLESS_ATTEMPTS:
            raise DownloadError(
                f"{asset.id} did not arrive whole in {fruitless} attempts: {_told(answer)}"
            )
        if fruitless:
            yield Pause(operations.timing.back_off(fruitless))
        if plan is Plan.FRESH_URL:
            url = (yield from repeat(operations.get_asset(asset.id), operations.timing)).url


def _told(answer: Reply | NoReply) -> str:
    if isinstance(answer, NoReply):
        return f"the connection broke ({type(answer.error).__name__})"
    if answer.status in {_OK, _PARTIAL}:
        return "its length was not what the server had said"
    return f"its host answered {answer.status}"


def download(
    operations: Operations,
    what: Job | Asset | str,
    to: Destination,
    *,
    overwrite: bool,
    on_progress: ProgressCallback | None,
    keep_whole: bool = False,
    assets: Sequence[Asset] = (),
) -> Flow[list[Path]]:
    """All results of a job, or one asset, into files.

    `assets`: the job's assets, if they were read already. `keep_whole`: a target of the asset's
    size is the result of a run that was cut off, and stays.
    """
    may_exist = overwrite or keep_whole
    path, into_folder = yield Do(partial(check_destination, to, overwrite=may_exist))
    job, ids = yield from _assets_of(operations, what)
    assets = assets or (yield from in_order(operations, ids))
    paths = targets(path, into_folder=into_folder, assets=assets)
    there = (yield Do(partial(_sizes, paths))) if not overwrite else {}
    sizes = dict(zip(paths, (asset.size for asset in assets), strict=True))
    fitting = {target for target, size in there.items() if size == sizes[target]}
    # `path` was not there a moment ago: another download of the same was faster.
    kept = fitting if keep_whole or path in fitting else set[Path]()
    if taken := [str(path) for path in there if path not in kept]:
        raise InvalidInputError(f"to: {', '.join(taken)}: there already; say overwrite")
    known = [size for size in sizes.values() if size is not None]
    progress = Progress(on_progress, sum(known) if len(known) == len(paths) else None)
    try:
        for asset, target in zip(assets, paths, strict=True):
            if target not in kept:
                yield from fetch(operations, asset, target, overwrite=overwrite, progress=progress)
    except (ReframeError, OSError) as fault:
        raise _failed(fault, job) from fault
    return paths


def _sizes(paths: Sequence[Path]) -> dict[Path, int]:
    """Sizes in bytes of the files that are there."""
    return {path: path.stat().st_size for path in paths if path.exists()}


def _assets_of(
    operations: Operations, what: Job | Asset | str
) -> Flow[tuple[Job | None, tuple[str, ...]]]:
    if isinstance(what, Asset):
        return None, (what.id,)
    if isinstance(what, str) and what.startswith("asset_"):
        return None, (checked_id(what, "asset"),)
    job = what if isinstance(what, Job) else None
    if job is None or not job.is_done:
        job_id = job.id if job else checked_id(what, "job")
        job = yield from repeat(operations.get_job(job_id), operations.timing)
    if not job.is_success:
        raise DownloadError(f"job {job.id} has no result: its status is {job.status}", job=job)
    if not job.asset_ids:
        raise DownloadError(f"job {job.id} succeeded, but the server names no asset", job=job)
    return job, job.asset_ids


def in_order(operations: Operations, ids: Sequence[str]) -> Flow[list[Asset]]:
    """The assets, as fresh records, by their place among the job's results."""
    assets: list[Asset] = []
    for asset_id in ids:
        asset = yield from repeat(operations.get_asset(asset_id), operations.timing)
        assets.append(asset)
    return sorted(assets, key=lambda asset: number(asset.raw.get("outputIndex")) or 0.0)


def _failed(fault: ReframeError | OSError, job: Job | None) -> DownloadError:
    again = f" Job {job.id} is kept: download it again by its id" if job else ""
    told = fault.strerror if isinstance(fault, OSError) else str(fault)
    return DownloadError(f"download failed: {told}.{again}", job=job)
