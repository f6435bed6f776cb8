"""A clip that goes, is replaced or is huge, between its check, its hashing and its upload."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from scenario_reframe import (
    AsyncReframeClient,
    BatchItem,
    InvalidVideoError,
    ReframeClient,
    UploadError,
)
from scenario_reframe.flow.steps import Blocking
from scenario_reframe.ledger.interface import content_of
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.video import CHUNK_BYTES, VideoFile, open_video
from timings import SOON

HEAD = b"\x00\x00\x00\x18ftypmp42"
TERABYTE = 10**12
WAIT = 120.0  # seconds; far more than any machine needs


def _vanish(path: Path) -> None:
    path.unlink()


def _become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _be_replaced(path: Path) -> None:
    """By a file of the same size and time."""
    status, other = path.stat(), path.with_name("other.mp4")
    other.write_bytes(HEAD + b"other" * 20)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert other.stat().st_size == status.st_size
    other.replace(path)


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


CHANGES = (_vanish, _become_a_pipe, _become_a_folder, _be_replaced, _grow)
Change = Callable[[Path], None]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A clip of its own for each test."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(HEAD + b"bytes" * 20)
    return path


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A clip of a terabyte, of which the disk holds a few bytes."""
    path = tmp_path / "huge.mp4"
    path.write_bytes(HEAD)
    os.truncate(path, TERABYTE)
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_changed_clip_is_neither_read_nor_hashed(source: Path, change: Change) -> None:
    """Nor does opening it wait for a pipe's other end."""
    video = open_video(source)
    change(source)
    for use in (
        video.check_unchanged,
        lambda: list(video.read(0, 10)),
        lambda: content_of(video),
    ):
        with pytest.raises(UploadError, match=r"clip\.mp4 .*nothing was submitted"):
            use()


def test_unchanged_clip_is_hashed(source: Path) -> None:
    """By its bytes alone, as every earlier version did."""
    expected = hashlib.sha256(source.read_bytes()).hexdigest()
    assert content_of(open_video(source)) == f"sha256:{expected}"


def test_pipe_that_takes_the_place_of_a_clip_while_it_is_checked(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the look at its kind, before it is opened."""
    stat = Path.stat

    def look(path: Path, **options: Any) -> os.stat_result:
        status = stat(path, **options)
        if path == source:
            monkeypatch.undo()
            _become_a_pipe(source)
        return status

    monkeypatch.setattr(Path, "stat", look)
    with pytest.raises(InvalidVideoError, match="not a regular file"):
        open_video(source)


@pytest.mark.parametrize("has_ledger", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_clip_that_changes_after_its_check_is_not_paid_for(
    change: Change, has_ledger: bool, source: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is hashed first or not; in a batch, only its own item fails."""
    before = box.jobs_made
    other = source.with_name("second.mp4")
    other.write_bytes(HEAD + b"second")
    _change_after_check(source, change, monkeypatch)
    ledger = source.with_name("ledger.db") if has_ledger else None
    options: dict[str, Any] = {"base_url": box.base_url, "timing": SOON, "ledger": ledger}
    with ReframeClient(box.api_key, box.api_secret, **options) as client:
        with pytest.raises(UploadError, match="nothing was submitted"):
            client.reframe(source, source.with_name("tall.mp4"))
        assert box.jobs_made == before
        monkeypatch.undo()
        _restore(source)
        _change_after_check(source, change, monkeypatch, checks=2)  # the batch's own comes first
        items = [BatchItem(source, output="a.mp4"), BatchItem(other, output="b.mp4")]
        found = list(client.batch(items, source.with_name("out")))
    outcomes = {outcome.item.video: outcome for outcome in found}
    assert outcomes[source].status == "failed"
    assert isinstance(outcomes[source].error, UploadError)
    assert outcomes[other].status == "done"
    assert box.jobs_made == before + 1


def _change_after_check(
    source: Path, change: Change, monkeypatch: pytest.MonkeyPatch, checks: int = 1
) -> None:
    """Change a clip right after the given check of it."""
    seen = []

    def opened(path: Any) -> VideoFile:
        video = open_video(path)
        if video.path == source:
            seen.append(path)
            if len(seen) == checks:
                change(source)
        return video

    monkeypatch.setattr("scenario_reframe.video.open_video", opened)


def _restore(source: Path) -> None:
    if source.is_dir():
        source.rmdir()
    source.unlink(missing_ok=True)
    source.write_bytes(HEAD + b"bytes" * 20)


class Reads:
    """Counts the chunks that are read of clips, and says when there were a few."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self.began = threading.Event()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None
        read = VideoFile.read

        def counted(video: VideoFile, offset: int, length: int) -> Generator[bytes, None, None]:
            self.thread = threading.current_thread()
            try:
                for chunk in read(video, offset, length):
                    self.number += 1
                    if self.number > 3:
                        self.began.set()
                    yield chunk
            finally:
                self.ended.set()

        monkeypatch.setattr(VideoFile, "read", counted)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """The count of this test."""
    return Reads(monkeypatch)


def test_hashing_stops_at_the_next_chunk(huge: Path, reads: Reads) -> None:
    """Once it is told to; a terabyte would take the best part of an hour."""
    stopped_at = 5
    with pytest.raises(UploadError, match="not read to its end"):
        content_of(open_video(huge), lambda: reads.number >= stopped_at)
    assert reads.number == stopped_at
    assert stopped_at * CHUNK_BYTES < TERABYTE


@pytest.mark.parametrize("name", ["reframe", "submit", "estimate", "upload", "batch"])
def test_cancelled_call_stops_hashing(
    name: str, huge: Path, box: Sandbox, reads: Reads, tmp_path: Path
) -> None:
    """Off the event loop, which would else wait at its end for the thread that reads."""

    async def run() -> None:
        async with AsyncReframeClient(
            box.api_key, box.api_secret, base_url=box.base_url, ledger=tmp_path / "ledger.db"
        ) as client:
            task = asyncio.ensure_future(_call(client, name, huge, tmp_path))
            assert await asyncio.to_thread(reads.began.wait, WAIT)
            assert reads.thread is not threading.current_thread()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    before = box.jobs_made
    asyncio.run(run())
    assert reads.ended.wait(WAIT)
    assert reads.number * CHUNK_BYTES < TERABYTE
    assert box.jobs_made == before


async def _call(client: AsyncReframeClient, name: str, clip: Path, folder: Path) -> None:
    if name == "batch":
        async for _ in client.batch([BatchItem(clip)], folder / "out"):
            pass
    else:
        await getattr(client, name)(clip)


def test_interrupted_flow_stops_hashing(huge: Path, tmp_path: Path) -> None:
    """Whatever is raised in place of the step's answer, also when the flow is closed."""
    with ReframeClient("k", "s", ledger=tmp_path / "ledger.db") as client:
        for end in ("throw", "close"):
            flow = client._pipeline.upload(huge, None)
            step = flow.send(None)
            assert isinstance(step, Blocking)
            step = flow.send(step.function())
            assert isinstance(step, Blocking)
            assert step.may_be_left
            is_stopped = step.function.args[1]  # type: ignore[attr-defined]
            assert not is_stopped()
            if end == "close":
                flow.close()
            else:
                with pytest.raises(KeyboardInterrupt):
                    flow.throw(KeyboardInterrupt())
            assert is_stopped()


def test_batch_left_early_stops_hashing(
    huge: Path, source: Path, box: Sandbox, reads: Reads, tmp_path: Path
) -> None:
    """As Ctrl-C leaves the plain client's: it waits for the batch's thread, and that for others."""
    with ReframeClient(
        box.api_key,
        box.api_secret,
        base_url=box.base_url,
        ledger=tmp_path / "ledger.db",
        timing=SOON,
    ) as client:
        outcomes = client.batch([BatchItem(source), BatchItem(huge)], tmp_path / "out")
        assert next(outcomes).item.video == source
        assert reads.began.wait(WAIT)
        outcomes.close()
    assert reads.ended.wait(WAIT)
    assert reads.number * CHUNK_BYTES < TERABYTE
