"""What the argument `video` accepts."""

import os
from pathlib import Path
from typing import Any

import pytest

from scenario_reframe import Asset, InvalidVideoError, ReframeError
from scenario_reframe.video import (
    VideoAsset,
    VideoFile,
    VideoUrl,
    content_type_of,
    open_video,
    resolve,
)

MP4 = b"\x00\x00\x00\x18ftypmp42"
MOV = b"\x00\x00\x00\x14ftypqt  "
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"
MKV = b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska"


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (MP4, "video/mp4"),
        (b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        (MOV, "video/quicktime"),
        (WEBM, "video/webm"),
        (MKV, "video/x-matroska"),
        (b"", None),
        (b"ftyp", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"<html>ftyp", None),
        (b"\xff\xd8\xff\xe0", None),
    ],
)
def test_content_type_is_read_off_the_head(head: bytes, found: str | None) -> None:
    """From the bytes, whatever the file's name is."""
    assert content_type_of(head) == found


@pytest.mark.parametrize(("head", "kind"), [(MP4, "video/mp4"), (WEBM, "video/webm")])
@pytest.mark.parametrize("make", [str, Path])
def test_resolve_reads_a_local_file(tmp_path: Path, head: bytes, kind: str, make: Any) -> None:
    """Its size, its time and its type."""
    path = tmp_path / "clip.txt"
    path.write_bytes(head)
    found = resolve(make(path))
    assert found == VideoFile(path, len(head), path.stat().st_mtime_ns, kind, path.stat().st_ino)


@pytest.mark.parametrize(
    "url",
    ["https://web.test/a.mp4", "HTTP://web.test/a", "https://user:pw@web.test:81/a?x=1#f",
     "https://[::1]/a"],
)  # fmt: skip
def test_resolve_accepts_a_url_and_hides_it(url: str) -> None:
    """A URL may hold secrets, so it is not shown."""
    found = resolve(url)
    assert isinstance(found, VideoUrl)
    assert found.url == url
    assert "test" not in repr(found)


@pytest.mark.parametrize(
    "url", ["https://", "https:///a", "http://[bad", "https://web.test/a b", "https://web.test/\n"]
)
def test_resolve_refuses_an_invalid_url(url: str) -> None:
    """The error does not repeat it."""
    with pytest.raises(InvalidVideoError, match="URL") as caught:
        resolve(url)
    assert "web.test" not in str(caught.value)


@pytest.mark.parametrize("video", ["asset_in", Asset(id="asset_in", url="https://cdn.test/x")])
def test_resolve_accepts_an_asset(video: Any) -> None:
    """An `Asset` or its id."""
    assert resolve(video) == VideoAsset("asset_in")


@pytest.mark.parametrize("video", [None, 5, b"clip.mp4", ["clip.mp4"], True, 1.5], ids=repr)
def test_resolve_refuses_other_types(video: Any) -> None:
    """The error names the type."""
    with pytest.raises(InvalidVideoError, match=type(video).__name__):
        resolve(video)


@pytest.mark.parametrize(
    "bad", ["", "a\0b", "nowhere.mp4", "asset_a/b", "ftp://web.test/a", "x" * 5000, "job_1"]
)
def test_resolve_refuses_what_is_not_a_file(bad: str) -> None:
    """Nor an id, nor a URL that the server could fetch."""
    with pytest.raises(InvalidVideoError, match="video:"):
        resolve(bad)


@pytest.mark.parametrize("bad", [5, None, b"clip.mp4"])
def test_open_video_refuses_what_is_not_a_path(bad: Any) -> None:
    """The package's own error names other types."""
    with pytest.raises(InvalidVideoError):
        open_video(bad)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"ftyp", bytes(100)])
def test_open_video_refuses_what_does_not_begin_like_a_video(
    tmp_path: Path, content: bytes
) -> None:
    """An empty file has an error of its own."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InvalidVideoError, match="begin like a video" if content else "empty"):
        open_video(path)


def test_open_video_refuses_a_folder(tmp_path: Path) -> None:
    """It must be one file."""
    with pytest.raises(
        InvalidVideoError, match=r"^video: [^:]+ is a folder; it takes one video file$"
    ):
        open_video(tmp_path)


def test_open_video_refuses_a_pipe_without_waiting_for_it(tmp_path: Path) -> None:
    """Opening a pipe would block."""
    pipe = tmp_path / "clip.mp4"
    os.mkfifo(pipe)
    with pytest.raises(InvalidVideoError, match="not a regular file"):
        open_video(pipe)


def test_open_video_reports_why_a_file_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the system's own message."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4)

    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(InvalidVideoError, match="Permission denied") as caught:
        open_video(path)
    assert isinstance(caught.value, ReframeError)
    assert isinstance(caught.value, ValueError)


def test_video_file_reads_a_run_of_bytes_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its position, and not one byte more."""
    monkeypatch.setattr("scenario_reframe.video.CHUNK_BYTES", 4)
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4 + bytes(range(20)))
    chunks = list(open_video(path).read(12, 10))
    assert b"".join(chunks) == bytes(range(10))
    assert [len(chunk) for chunk in chunks] == [4, 4, 2]


def test_unchanged_video_file_passes_the_check(tmp_path: Path) -> None:
    """No error if nothing happened."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4)
    open_video(path).check_unchanged()
