"""Uploads and downloads over a real socket that breaks, lies and forgets."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from scenario_reframe import (
    Asset,
    AsyncReframeClient,
    DownloadError,
    InvalidInputError,
    ReframeClient,
    UploadError,
)
from scenario_reframe.part_files import PartFile
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, cut, drop, ignore_range, rewrite
from scenario_reframe.sandbox.sample_clip import make_sample
from timings import SOON

ASSET_FILE = r"^/assets/"
PART = r"/part|/uploads/.*/\d+$"
BIG = 20 * 1024 * 1024


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 20 MiB, most of it an empty box: three parts."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_sample(path, seconds=1, size="160x90", rate=25)
    with path.open("ab") as file:
        file.write(BIG.to_bytes(4, "big") + b"free" + os.urandom(BIG - 8))
    return path


@pytest.fixture(scope="module")
def asset(sandbox: Sandbox, clip: Path) -> Asset:
    """The clip on the server."""
    with ReframeClient(sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url) as client:
        return client.upload(clip)


@pytest.fixture(autouse=True)
def _without_faults(sandbox: Sandbox) -> None:
    """Remove the faults of earlier tests."""
    sandbox.faults.clear()


Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, sandbox: Sandbox) -> Call:
    """Calls a method of either client by its name."""
    keys = (sandbox.api_key, sandbox.api_secret)

    def sync(name: str, *args: Any, **kwargs: Any) -> Any:
        with ReframeClient(*keys, base_url=sandbox.base_url, timing=SOON) as client:
            return getattr(client, name)(*args, **kwargs)

    async def run(name: str, *args: Any, **kwargs: Any) -> Any:
        async with AsyncReframeClient(*keys, base_url=sandbox.base_url, timing=SOON) as client:
            return await getattr(client, name)(*args, **kwargs)

    if request.param == "sync":
        return sync
    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


def digest(path: Path) -> str:
    """A hash of a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole(target: Path, clip: Path) -> bool:
    """Whether the target equals the clip, and nothing else lies beside it."""
    return digest(target) == digest(clip) and [*target.parent.iterdir()] == [target]


@pytest.mark.parametrize("after", [0, 1, 65_536, 5_000_001, BIG])
def test_a_download_that_breaks_is_resumed(
    sandbox: Sandbox, call: Call, asset: Asset, clip: Path, tmp_path: Path, after: int
) -> None:
    """It breaks twice; the file becomes whole, and received bytes are kept."""
    sandbox.faults.add(cut(after), ASSET_FILE, method="GET", times=2)
    told: list[tuple[int, int | None]] = []
    target = tmp_path / "out.mp4"
    before = len(sandbox.requests)
    call("download", asset, target, on_progress=lambda *seen: told.append(seen))
    assert whole(target, clip)
    assert told[-1] == (asset.size, asset.size)
    if after == 5_000_001:
        statuses = [seen.status for seen in sandbox.requests[before:] if "/v1/" not in seen.path]
        assert statuses == [200, 206, 206]


def test_an_abandoned_download_is_resumed_by_the_next_call(
    sandbox: Sandbox, call: Call, asset: Asset, clip: Path, tmp_path: Path
) -> None:
    """The part stays under another name, and the next call requests only the rest."""
    target = tmp_path / "out.mp4"
    sandbox.faults.add(cut(1_000_000), ASSET_FILE, method="GET")
    sandbox.faults.add(drop(), ASSET_FILE, method="GET", times=5)
    with pytest.raises(DownloadError):
        call("download", asset, target)
    assert not target.exists()
    assert (tmp_path / "out.mp4.part").stat().st_size > 0
    sandbox.faults.clear()
    before = len(sandbox.requests)
    call("download", asset, target)
    assert whole(target, clip)
    assert [seen.status for seen in sandbox.requests[before:]][-1] == 206


def test_a_server_that_ignores_ranges_is_asked_for_the_whole(
    sandbox: Sandbox, call: Call, asset: Asset, clip: Path, tmp_path: Path
) -> None:
    """A 200 to a range request means the whole file, from the start."""
    sandbox.faults.add(cut(1_000_000), ASSET_FILE, method="GET")
    sandbox.faults.add(ignore_range(), ASSET_FILE, method="GET")
    call("download", asset, tmp_path / "out.mp4")
    assert whole(tmp_path / "out.mp4", clip)


def test_a_part_of_another_file_is_not_resumed(
    sandbox: Sandbox, call: Call, asset: Asset, clip: Path, tmp_path: Path
) -> None:
    """With another ETag on the server, and without a note, it starts again."""
    target = tmp_path / "out.mp4"
    target.with_name("out.mp4.part").write_bytes(b"x" * 1000)
    call("download", asset, target)
    assert whole(target, clip)
    note = f'{{"asset": "{asset.id}", "size": {asset.size}, "etag": "\\"another\\""}}'
    target.with_name("out.mp4.part").write_bytes(b"x" * 1000)
    target.with_name("out.mp4.part.json").write_text(note)
    call("download", asset, target, overwrite=True)
    assert whole(target, clip)


def test_an_expired_url_is_replaced_during_a_download(
    sandbox: Sandbox, call: Call, asset: Asset, clip: Path, tmp_path: Path
) -> None:
    """The transfer breaks, then the URL answers 403: it resumes with a new URL."""
    sandbox.faults.add(cut(1_000_000), ASSET_FILE, method="GET")
    sandbox.faults.add(answer(403, "<Error>AccessDenied</Error>"), ASSET_FILE, method="GET")
    before = len(sandbox.requests)
    call("download", asset, tmp_path / "out.mp4")
    assert whole(tmp_path / "out.mp4", clip)
    records = [seen for seen in sandbox.requests[before:] if seen.path.startswith("/v1/assets/")]
    assert len(records) == 2


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_of_another_size_than_the_asset_s_is_an_error(
    sandbox: Sandbox, call: Call, asset: Asset, tmp_path: Path, difference: int
) -> None:
    """Nothing gets the final name."""

    def lie(body: Any) -> Any:
        body["asset"]["properties"]["size"] += difference
        return body

    sandbox.faults.add(rewrite(lie), r"/v1/assets/", times=9)
    with pytest.raises(DownloadError, match="length" if difference > 0 else "limit"):
        call("download", asset.id, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_full_disk_is_an_error_and_leaves_no_file(
    call: Call, asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own message, and nothing under the final name."""

    def full(self: PartFile, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PartFile, "write", full)
    with pytest.raises(DownloadError, match="No space left"):
        call("download", asset, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_targets_that_cannot_be_written_are_refused_at_once(
    sandbox: Sandbox, call: Call, asset: Asset, tmp_path: Path
) -> None:
    """A file instead of a folder, a NUL, an existing file: nothing is fetched."""
    (tmp_path / "file").write_bytes(b"mine")
    before = len(sandbox.requests)
    for to in (tmp_path / "file" / "out.mp4", f"{tmp_path}/a\0b.mp4", tmp_path / "file", ""):
        with pytest.raises(InvalidInputError, match="to: "):
            call("download", asset, to)
    assert len(sandbox.requests) == before
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_missing_folder_is_made(call: Call, asset: Asset, clip: Path, tmp_path: Path) -> None:
    """A path that ends in a separator is a folder, and names come from the asset."""
    (file,) = call("download", asset, f"{tmp_path}/new/er/")
    assert file == tmp_path / "new" / "er" / f"{asset.id}.mp4"
    assert whole(file, clip)


@pytest.mark.parametrize("bad", ["../evil", "/etc/evil", "a\0b", "x" * 300, "..", "a/b"])
def test_a_hostile_asset_id_never_names_a_file(
    sandbox: Sandbox, call: Call, tmp_path: Path, bad: str
) -> None:
    """An invalid id is refused before it becomes part of a path or an address."""
    before = len(sandbox.requests)
    with pytest.raises(InvalidInputError):
        call("download", bad, f"{tmp_path}/")
    assert [*tmp_path.iterdir()] == []
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(
    "fault", [drop(), drop(after=True), answer(500), answer(503), answer(403)], ids=range(5)
)
def test_a_part_that_fails_is_sent_again(
    sandbox: Sandbox, call: Call, clip: Path, fault: Any
) -> None:
    """One part breaks, the others go on, and the server's copy equals the file."""
    sandbox.faults.add(fault, PART, method="PUT")
    told: list[tuple[int, int | None]] = []
    asset = call("upload", clip, on_progress=lambda *seen: told.append(seen))
    assert sandbox.faults.left == 0
    assert asset.size == clip.stat().st_size
    assert max(told)[0] == clip.stat().st_size


def test_expired_part_urls_are_replaced(sandbox: Sandbox, call: Call, clip: Path) -> None:
    """Every part URL expires at once; fresh ones are requested."""
    sandbox.faults.add(answer(403, "<Error>AccessDenied</Error>"), PART, method="PUT", times=3)
    before = len(sandbox.requests)
    assert call("upload", clip).size == clip.stat().st_size
    reads = [s for s in sandbox.requests[before:] if s.method == "GET" and "/uploads/" in s.path]
    assert len(reads) >= 4


def test_the_reply_to_complete_may_be_lost(sandbox: Sandbox, call: Call, clip: Path) -> None:
    """It is sent twice and has one effect: the upload goes on."""
    sandbox.faults.add(drop(after=True), r"/uploads/.*/action$", method="POST")
    assert call("upload", clip).size == clip.stat().st_size


def test_a_part_that_always_fails_is_an_upload_error(
    sandbox: Sandbox, call: Call, clip: Path
) -> None:
    """After several attempts the error quotes the answer, and no job was made."""
    made = sandbox.jobs_made
    sandbox.faults.add(answer(500, {"reason": "broken"}), PART, method="PUT", times=50)
    with pytest.raises(UploadError, match="500"):
        call("upload", clip)
    assert sandbox.jobs_made == made


def test_a_file_that_changes_while_it_is_read_is_an_error(
    sandbox: Sandbox, call: Call, tmp_path: Path, clip: Path
) -> None:
    """Nothing is submitted for a mixture of two files."""
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    grown: list[BinaryIO] = []

    def grow(_done: int, _total: int | None) -> None:
        if not grown:
            file = copy.open("ab")
            file.write(b"more")
            file.close()
            grown.append(file)

    made = sandbox.jobs_made
    with pytest.raises(UploadError, match="changed"):
        call("upload", copy, on_progress=grow)
    assert sandbox.jobs_made == made


def test_no_transfer_carried_credentials(sandbox: Sandbox) -> None:
    """None of this module's transfers had the API's credentials."""
    assert sandbox.credentials_leaked == 0
