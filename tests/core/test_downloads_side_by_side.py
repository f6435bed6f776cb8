"""Several downloads of one result into one file: side by side, stopped, killed."""

import asyncio
import errno
import fcntl
import gc
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from downloads import ASSET, DATA, JOB, listed
from ledger_sessions import held
from scenario_reframe import (
    Asset,
    AsyncReframeClient,
    DownloadError,
    InvalidInputError,
    ReframeClient,
)
from scenario_reframe.api.operations import Operations
from scenario_reframe.downloading import FRUITLESS_ATTEMPTS, download
from scenario_reframe.flow.steps import Pull
from scenario_reframe.part_files import PartFile
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import Fault
from stepping import Answer, File, Stepper, asset_reply, lost
from timings import SOON
from waiting import until

STRONG = '"v1"'
ETAGS = pytest.mark.parametrize("etag", [STRONG, ""], ids=["with an ETag", "without"])


def answer(
    etag: str, between: Callable[[], object] = lambda: None, data: bytes = DATA, start: int = 0
) -> File:
    """A file host sends the missing bytes; something happens in between."""

    def chunks() -> Iterator[bytes]:
        yield data[start : start + 10]
        between()
        yield data[start + 10 :]

    span = {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
    headers = {"content-length": str(len(data) - start), "etag": etag, **span}
    return File(206 if start else 200, headers, cast("Sequence[bytes]", chunks()))


def broken(count: int, etag: str = STRONG) -> list[Answer]:
    """A file host sends some bytes, then fails for good."""
    first = File(200, {"content-length": "100", "etag": etag}, [DATA[:count]], OSError("cut"))
    return [ASSET, first, *[lost()] * FRUITLESS_ATTEMPTS]


def downloaded(to: Path, *answers: Answer, overwrite: bool = False) -> Stepper:
    """Download into a file, stepped by hand: the steps."""
    stepper = Stepper(*answers)
    flow = download(Operations(), JOB, to, overwrite=overwrite, on_progress=None)
    assert stepper.run(flow) == [to]
    return stepper


def given_up(to: Path, *answers: Answer) -> None:
    """Download, stepped by hand, until it gives up."""
    flow = download(Operations(), JOB, to, overwrite=False, on_progress=None)
    with pytest.raises(DownloadError):
        Stepper(*answers).run(flow)


def seen(path: Path) -> tuple[int, int, bytes]:
    """Which file it is, when it was written, and its contents."""
    there = path.stat()
    return there.st_ino, there.st_mtime_ns, path.read_bytes()


@ETAGS
def test_a_file_that_another_download_finished_is_not_touched(tmp_path: Path, etag: str) -> None:
    """The slower one goes on in its own part, finds the same bytes at the target, and uses them."""
    to = tmp_path / "out.mp4"
    finished: list[object] = []

    def another() -> None:
        stepper = downloaded(to, ASSET, answer(etag))
        assert "Range" not in stepper.pulls[0].headers
        finished.append(seen(to))

    downloaded(to, ASSET, answer(etag, another))
    assert [seen(to)] == finished
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


@ETAGS
def test_many_downloads_of_one_file_each_have_their_own_part(tmp_path: Path, etag: str) -> None:
    """Six, each started within another: the innermost ends first."""
    to = tmp_path / "out.mp4"
    parts: list[int] = []

    def nest(depth: int) -> None:
        parts.append(sum(path.suffix == ".part" for path in tmp_path.iterdir()))
        if depth:
            downloaded(to, ASSET, answer(etag, lambda: nest(depth - 1)))

    nest(6)
    assert parts == [0, 1, 2, 3, 4, 5, 6]
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


@ETAGS
def test_a_download_that_breaks_beside_another_goes_on_with_its_own_bytes(
    tmp_path: Path, etag: str
) -> None:
    """Neither resumes what the other writes."""
    to = tmp_path / "out.mp4"
    ranges: list[str | None] = []

    def another() -> None:
        breaks = File(200, {"etag": etag}, [DATA[:30]], OSError("cut"))
        stepper = downloaded(to, ASSET, breaks, answer(etag, start=30 if etag else 0))
        ranges.extend(pull.headers.get("Range") for pull in stepper.pulls)

    downloaded(to, ASSET, answer(etag, another))
    assert ranges == [None, "bytes=30-" if etag else None]
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


def test_the_later_of_two_that_overwrite_replaces_the_whole(tmp_path: Path) -> None:
    """Both were allowed to overwrite."""
    to = tmp_path / "out.mp4"
    to.write_bytes(b"old")

    def another() -> None:
        downloaded(to, ASSET, answer(STRONG, data=b"y" * 100), overwrite=True)
        assert to.read_bytes() == b"y" * 100

    downloaded(to, ASSET, answer(STRONG, another), overwrite=True)
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


def test_a_result_that_appeared_since_the_call_began_is_used(tmp_path: Path) -> None:
    """Another download ended while this one read the asset: no byte is fetched again."""
    to = tmp_path / "out.mp4"

    def script(step: Any) -> Answer:
        assert not isinstance(step, Pull)
        downloaded(to, ASSET, answer(STRONG))
        return ASSET

    flow = download(Operations(), JOB, to, overwrite=False, on_progress=None)
    assert Stepper(script=script).run(flow) == [to]


@pytest.mark.parametrize("asset", [ASSET, asset_reply()], ids=["known size", "unknown size"])
def test_another_file_that_appeared_since_the_call_began_is_kept(
    tmp_path: Path, asset: Answer
) -> None:
    """Its size differs from the asset's, or the asset's is unknown."""
    to = tmp_path / "out.mp4"

    def script(step: Any) -> Answer:
        to.write_bytes(b"theirs")
        return asset

    flow = download(Operations(), JOB, to, overwrite=False, on_progress=None)
    with pytest.raises(InvalidInputError, match="already exists"):
        Stepper(script=script).run(flow)
    assert to.read_bytes() == b"theirs"


@pytest.mark.parametrize("links", [True, False])
def test_another_file_of_the_same_size_is_kept_and_so_is_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Equal size does not make it the result. A call that overwrites fetches only the rest."""
    if not links:
        monkeypatch.setattr(os, "link", unsupported)
    to = tmp_path / "out.mp4"
    given_up(to, ASSET, answer(STRONG, lambda: to.write_bytes(b"x" * 100)))
    assert to.read_bytes() == b"x" * 100
    all_there = File(416, {"content-range": "bytes */100"})
    stepper = downloaded(to, ASSET, all_there, overwrite=True)
    assert stepper.pulls[0].headers["Range"] == "bytes=100-"
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


def unsupported(*_: object, **__: object) -> None:
    """The error of a disk without locks, or without hard links."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@ETAGS
def test_a_disk_without_hard_links_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    """The part is renamed instead, after a check for an existing file."""
    monkeypatch.setattr(os, "link", unsupported)
    test_a_file_that_another_download_finished_is_not_touched(tmp_path, etag)


@ETAGS
def test_a_disk_without_locks_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    """Unique names keep downloads apart, and no leftovers stay."""
    monkeypatch.setattr(fcntl, "flock", unsupported)
    test_a_file_that_another_download_finished_is_not_touched(tmp_path, etag)
    given_up(tmp_path / "other.mp4", *broken(40, etag))
    assert listed(tmp_path) == ["out.mp4"]


def test_leftovers_of_others_are_resumed_or_removed(tmp_path: Path) -> None:
    """Two were cut off side by side: the next call resumes the longer part."""
    to = tmp_path / "out.mp4"
    given_up(to, ASSET, answer_then_cut(lambda: given_up(to, *broken(60))), *forever_lost())
    notes = ["out.mp4.2.part.json", "out.mp4.part.json"]
    assert listed(tmp_path) == ["out.mp4.2.part", notes[0], "out.mp4.part", notes[1]]
    stepper = downloaded(to, ASSET, answer(STRONG, start=60))
    assert stepper.pulls[0].headers["Range"] == "bytes=60-"
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


def answer_then_cut(between: Callable[[], object]) -> File:
    """Ten bytes, something happens, ten more, and the connection breaks."""

    def chunks() -> Iterator[bytes]:
        yield DATA[:10]
        between()
        yield DATA[10:20]

    headers = {"content-length": "100", "etag": STRONG}
    return File(200, headers, cast("Sequence[bytes]", chunks()), OSError("cut"))


def forever_lost() -> list[Answer]:
    """The host does not come back."""
    return [lost()] * FRUITLESS_ATTEMPTS


def test_a_part_that_is_being_written_is_not_removed(tmp_path: Path) -> None:
    """The first of two has given up, and the second is still writing when a third begins."""
    to, asset = tmp_path / "out.mp4", Asset(id="asset_1", url="https://cdn.test")
    first, second, third = (PartFile(to, asset) for _ in range(3))
    first.acquire()
    second.acquire()
    second.accept(200, {"etag": STRONG})
    first.release()
    third.acquire()
    second.close()
    third.release()
    assert third.part.name == "out.mp4.part"
    assert listed(tmp_path) == ["out.mp4.2.part", "out.mp4.2.part.json"]
    second.release()
    assert listed(tmp_path) == []


def test_a_note_is_removed_while_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another download could lock it in between, and a third the next one."""
    to = tmp_path / "out.mp4"
    removed: list[str] = []
    unlink = Path.unlink

    def watched(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".json":
            with self.open("ab") as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed.append(self.name)
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    downloaded(to, ASSET, answer(STRONG))
    assert removed == ["out.mp4.part.json"]


def test_a_finished_file_that_still_has_its_part_s_name_is_not_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed between adding one name and removing the other leaves that."""
    to = tmp_path / "out.mp4"
    notes: list[tuple[Path, bytes]] = []
    link = os.link

    def noted(part: Path, target: Path) -> None:
        link(part, target)
        notes.extend((path, path.read_bytes()) for path in tmp_path.glob("*.json"))

    monkeypatch.setattr(os, "link", noted)
    downloaded(to, ASSET, answer(STRONG))
    link(to, tmp_path / "keep.mp4")
    link(to, tmp_path / "out.mp4.part")
    for path, content in notes:
        path.write_bytes(content)
    stepper = downloaded(to, ASSET, answer(STRONG, data=b"y" * 100), overwrite=True)
    assert "Range" not in stepper.pulls[0].headers
    assert (tmp_path / "keep.mp4").read_bytes() == DATA
    assert listed(tmp_path) == ["keep.mp4", "out.mp4"]


def test_a_note_that_was_removed_before_it_was_locked_blocks_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download that owned it has just ended; the lock would be on a deleted file."""
    to = tmp_path / "out.mp4"
    lock = fcntl.flock

    def late(file: Any, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        (tmp_path / "out.mp4.part.json").unlink()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    downloaded(to, ASSET, answer(STRONG, lambda: downloaded(to, ASSET, answer(STRONG))))
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


def test_bytes_that_a_full_disk_refused_are_not_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed call may live on in its error while the next one finishes."""
    to = tmp_path / "out.mp4"
    space = [10]

    class Disk(io.FileIO):
        def write(self, data: Any) -> int:
            if not space[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = super().write(data[: space[0]])
            space[0] -= written
            return written

    real = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if self.suffix != ".part":
            return real(self, mode, *args, **kwargs)
        return io.BufferedWriter(Disk(self, mode))

    monkeypatch.setattr(Path, "open", opened)
    flow = download(Operations(), JOB, to, overwrite=False, on_progress=None)
    with pytest.raises(DownloadError, match="No space left") as caught:
        Stepper(ASSET, answer(STRONG, data=DATA[:10] + b"z" * 90)).run(flow)
    space[0] = 1000
    downloaded(to, ASSET, answer(STRONG, start=10))
    del caught, flow
    gc.collect()
    assert to.read_bytes() == DATA


ASSET_FILE = r"^/assets/"
BIG = 3_000_000
PROGRAM = """
import sys
from scenario_reframe import ReframeClient
key, secret, url, asset, to = sys.argv[1:]
with ReframeClient(key, secret, base_url=url) as client:
    print(*client.download(asset, to))
"""


@pytest.fixture(scope="module")
def content(short_clip: Path) -> bytes:
    """A video of some megabytes, most of it an empty box."""
    box = BIG.to_bytes(4, "big") + b"free" + os.urandom(BIG - 8)
    return short_clip.read_bytes() + box


@pytest.fixture(scope="module")
def asset(sandbox: Sandbox, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> Asset:
    """The video on the server."""
    path = tmp_path_factory.mktemp("clips") / "big.mp4"
    path.write_bytes(content)
    with ReframeClient(sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url) as client:
        return client.upload(path)


@pytest.fixture
def go_on(sandbox: Sandbox) -> Iterator[Event]:
    """Releases held transfers."""
    event = Event()
    yield event
    event.set()
    sandbox.faults.clear()


Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, sandbox: Sandbox) -> Call:
    """Download with either client."""
    keys = (sandbox.api_key, sandbox.api_secret)

    def sync(*args: Any) -> Any:
        with ReframeClient(*keys, base_url=sandbox.base_url, timing=SOON) as client:
            return client.download(*args)

    async def later(*args: Any) -> Any:
        async with AsyncReframeClient(*keys, base_url=sandbox.base_url, timing=SOON) as client:
            return await client.download(*args)

    return sync if request.param == "sync" else lambda *args: asyncio.run(later(*args))


def from_host(fault: Fault | None, etag: str) -> Fault:
    """A fault of the file host, which sends no ETag if that is empty."""

    async def changed(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def without(message: Message) -> None:
            if message["type"] == "http.response.start" and not etag:
                kept = [pair for pair in message["headers"] if pair[0] != b"etag"]
                message = {**message, "headers": kept}
            await send(message)

        await (fault(app, scope, receive, without) if fault else app(scope, receive, without))

    return changed


def hold_the_first(sandbox: Sandbox, go_on: Event, etag: str) -> None:
    """Hold one transfer after its first million bytes; the next ones go through."""
    stuck = held(go_on, after=True, sent=1_000_000)
    sandbox.faults.add(from_host(stuck, etag), ASSET_FILE, method="GET")
    sandbox.faults.add(from_host(None, etag), ASSET_FILE, method="GET", times=9)


def begun(to: Path) -> bool:
    """Whether the first download has written some bytes."""
    part = to.with_name(to.name + ".part")
    return part.exists() and part.stat().st_size > 0


@ETAGS
def test_two_threads_download_one_file(
    sandbox: Sandbox,
    call: Call,
    asset: Asset,
    content: bytes,
    tmp_path: Path,
    go_on: Event,
    etag: str,
) -> None:
    """The second ends while the first is held; the first then finds the file there."""
    to = tmp_path / "out.mp4"
    hold_the_first(sandbox, go_on, etag)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, asset, to)
        try:
            until(lambda: begun(to))
            assert call(asset, to) == [to]
            finished = seen(to)
        finally:
            go_on.set()
        assert first.result(60) == [to]
    assert seen(to) == finished
    assert to.read_bytes() == content
    assert listed(tmp_path) == ["out.mp4"]


@pytest.fixture
def process(
    sandbox: Sandbox, asset: Asset, tmp_path: Path, go_on: Event, etag: str
) -> Iterator[subprocess.Popen[str]]:
    """Another process that downloads the same, held after its first bytes."""
    to = tmp_path / "out.mp4"
    hold_the_first(sandbox, go_on, etag)
    given = (sandbox.api_key, sandbox.api_secret, sandbox.base_url, asset.id, to)
    command = [sys.executable, "-c", PROGRAM, *map(str, given)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as running:
        try:
            until(lambda: begun(to))
            yield running
        finally:
            running.kill()


@ETAGS
def test_a_process_that_was_stopped_does_not_touch_what_another_finished(
    call: Call,
    asset: Asset,
    content: bytes,
    tmp_path: Path,
    go_on: Event,
    process: subprocess.Popen[str],
) -> None:
    """It continues amid its bytes, when the whole file exists, and uses that as its result."""
    to = tmp_path / "out.mp4"
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert call(asset, to) == [to]
    finished = seen(to)
    go_on.set()
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (f"{to}\n", "", 0)
    assert seen(to) == finished
    assert to.read_bytes() == content
    assert listed(tmp_path) == ["out.mp4"]


@ETAGS
def test_the_part_of_a_killed_process_is_resumed(
    sandbox: Sandbox,
    call: Call,
    asset: Asset,
    content: bytes,
    tmp_path: Path,
    etag: str,
    process: subprocess.Popen[str],
) -> None:
    """Its lock ended with it: with an ETag only the rest is fetched, without one all of it."""
    to = tmp_path / "out.mp4"
    process.kill()
    process.communicate(timeout=60)
    before = len(sandbox.requests)
    assert call(asset, to) == [to]
    assert sandbox.requests[before:][-1].status == (206 if etag else 200)
    assert to.read_bytes() == content
    assert listed(tmp_path) == ["out.mp4"]


def test_a_download_that_was_cancelled_leaves_its_part_to_the_next(
    sandbox: Sandbox, call: Call, asset: Asset, content: bytes, tmp_path: Path, go_on: Event
) -> None:
    """Though the cancelled task is still there, its lock is not."""
    to = tmp_path / "out.mp4"
    hold_the_first(sandbox, go_on, STRONG)
    keys = (sandbox.api_key, sandbox.api_secret)

    async def cancelled() -> BaseException:
        async with AsyncReframeClient(*keys, base_url=sandbox.base_url, timing=SOON) as client:
            task = asyncio.ensure_future(client.download(asset, to))
            await asyncio.to_thread(until, lambda: begun(to))
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
        return caught.value

    kept = asyncio.run(cancelled())
    before = len(sandbox.requests)
    assert call(asset, to) == [to]
    assert sandbox.requests[before:][-1].status == 206
    assert to.read_bytes() == content
    assert listed(tmp_path) == ["out.mp4"]
    assert kept.__traceback__ is not None
