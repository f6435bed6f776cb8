"""Targets before anything is paid: what is never replaced, and names that are too long."""

import os
import socket
from collections.abc import Callable
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloads import ASSET, DATA, JOB, listed
from scenario_reframe import DownloadError, InvalidBatchError, InvalidInputError
from scenario_reframe.api.operations import Operations
from scenario_reframe.batch import BatchItem
from scenario_reframe.batch.planning import plan
from scenario_reframe.cli.each_flag import variants_of
from scenario_reframe.downloading import FRUITLESS_ATTEMPTS, download
from scenario_reframe.models import Asset
from scenario_reframe.part_files import PartFile
from scenario_reframe.result_paths import (
    absolute,
    check_destination,
    default_name,
    longest_name,
    targets,
)
from scenario_reframe.video import VideoAsset, VideoFile, VideoUrl
from stepping import Answer, File, Stepper, lost

WHOLE = File(200, {"content-length": "100", "etag": '"v1"'}, [DATA])
LONGEST = 233
"""Bytes of a name on the usual file systems, whose limit is 255."""


def downloaded(to: Path, *answers: Answer, overwrite: bool) -> None:
    """Download into a file, stepped by hand."""
    flow = download(Operations(), JOB, to, overwrite=overwrite, on_progress=None)
    assert Stepper(*answers).run(flow) == [to]


def pipe(path: Path) -> None:
    """Make a pipe."""
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    """Make a socket's name, which stays when it is closed."""
    with chdir(path.parent), closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(path.name)  # its length is limited to about 100 bytes


def link_to_a_device(path: Path) -> None:
    """A link to what swallows every byte."""
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [pipe, bound_socket, link_to_a_device])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_file_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], None], overwrite: bool
) -> None:
    """Nor is `overwrite` suggested; nothing was requested."""
    make(tmp_path / "to")
    before = (tmp_path / "to").lstat()
    stepper = Stepper()
    flow = download(Operations(), JOB, tmp_path / "to", overwrite=overwrite, on_progress=None)
    with pytest.raises(InvalidInputError, match=r"^to: .*to is not a regular file, .*never"):
        stepper.run(flow)
    assert stepper.requests == []
    assert os.path.samestat(before, (tmp_path / "to").lstat())


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_a_device_is_never_replaced(device: str) -> None:
    """As root it could be."""
    with pytest.raises(InvalidInputError, match=f"^to: {device} is not a regular file"):
        check_destination(device, overwrite=True)


@pytest.mark.parametrize("make", [pipe, Path.mkdir])
def test_what_appears_during_the_download_is_not_replaced_either(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """The bytes are kept: the next call needs only another target."""
    to = tmp_path / "out.mp4"

    def script(step: Any) -> Answer:
        if hasattr(step, "sink"):
            make(to)
            return WHOLE
        return ASSET

    flow = download(Operations(), JOB, to, overwrite=True, on_progress=None)
    with pytest.raises(DownloadError, match="never replaced") as caught:
        Stepper(script=script).run(flow)
    assert caught.value.job == JOB
    assert not to.is_file()
    assert (tmp_path / "out.mp4.part").read_bytes() == DATA


@pytest.mark.parametrize("make", [pipe, Path.mkdir])
def test_no_second_file_s_name_is_taken_by_what_is_no_file(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Found before a byte is fetched, though only the job's record names several assets."""
    make(tmp_path / "asset_1.mp4")
    stepper = Stepper(ASSET)
    flow = download(Operations(), JOB, f"{tmp_path}/", overwrite=True, on_progress=None)
    with pytest.raises(InvalidInputError, match=r"asset_1\.mp4 is .*never replaced"):
        stepper.run(flow)
    assert stepper.pulls == []


def test_of_a_link_to_a_file_only_the_link_is_replaced(tmp_path: Path) -> None:
    """As by a rename: the other file, wherever it is, stays as it was."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    to = tmp_path / "out.mp4"
    to.symlink_to(tmp_path / "theirs")
    with pytest.raises(InvalidInputError, match="already exists"):
        check_destination(to, overwrite=False)
    downloaded(to, ASSET, WHOLE, overwrite=True)
    assert (to.is_symlink(), to.read_bytes()) == (False, DATA)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


@pytest.mark.parametrize("target", ["missing", "out.mp4"], ids=["nothing", "itself"])
def test_a_link_to_nothing_exists(tmp_path: Path, target: str) -> None:
    """Nothing is written through it."""
    to = tmp_path / "out.mp4"
    to.symlink_to(tmp_path / target)
    with pytest.raises(InvalidInputError, match="already exists"):
        check_destination(to, overwrite=False)
    downloaded(to, ASSET, WHOLE, overwrite=True)
    assert listed(tmp_path) == ["out.mp4"]
    assert (to.is_symlink(), to.read_bytes()) == (False, DATA)


NAMES = [
    ("x" * 229 + ".mp4", LONGEST),
    ("é" * 114 + "x.mp4", LONGEST),
    ("\N{CLAPPER BOARD}" * 57 + "x.mp4", LONGEST),
    (os.fsdecode(b"\xe9" * 229) + ".mp4", LONGEST),
]


@pytest.mark.parametrize(("name", "size"), NAMES, ids=["ascii", "é", "emoji", "not UTF-8"])
def test_the_longest_name_has_room_for_all_that_is_added(
    tmp_path: Path, name: str, size: int
) -> None:
    """Counted in bytes: part files, notes and a hundredth file can be made beside it."""
    assert len(os.fsencode(name)) == size == longest_name(tmp_path / "x")
    assert check_destination(tmp_path / name, overwrite=False) == (tmp_path / name, False)
    assets = [Asset(id=f"asset_{n}", url="https://cdn.test") for n in range(99)]
    last = targets(tmp_path / name, into_folder=False, assets=assets)[-1]
    parts = [PartFile(last, asset) for asset in assets[:6]]
    for part in parts:
        part.acquire()
        assert part.accept(200, {"etag": '"v1"'})
        part.note.touch()
    for part in parts:
        part.close()
        part.release()
    assert listed(tmp_path) == []
    downloaded(tmp_path / name, ASSET, WHOLE, overwrite=False)


@pytest.mark.parametrize("more", ["x", "é"])
@pytest.mark.parametrize(("name", "size"), NAMES, ids=["ascii", "é", "emoji", "not UTF-8"])
def test_a_longer_name_is_refused_before_anything_is_requested(
    tmp_path: Path, name: str, size: int, more: str
) -> None:
    """The error names the size, the limit and the reason, and can be printed."""
    stepper = Stepper()
    to = tmp_path / "new" / (more + name)
    flow = download(Operations(), JOB, to, overwrite=True, on_progress=None)
    found = size + len(more.encode())
    with pytest.raises(
        InvalidInputError, match=f"^to: .* a name of {found} bytes; it takes at most {size} "
    ) as caught:
        stepper.run(flow)
    assert str(caught.value).encode()
    assert stepper.requests == []
    assert listed(tmp_path) == []


@pytest.mark.parametrize(
    ("to", "rule"),
    [
        ("x" * 256 + "/out.mp4", "a folder with a name of 256 bytes; it takes at most 255"),
        ("x" * 256 + "/", "a folder with a name of 256 bytes; it takes at most 255"),
        ("/".join(["x" * 200] * 20) + "/out.mp4", "a path of .* bytes"),
        ("/".join(["x" * 200] * 20) + "/", "a path of .* bytes"),
        ("x" * 5000, "a name of 5000 bytes"),
        ("\ud800.mp4", "encode"),
        ("\ud800/out.mp4", "encode"),
    ],
    ids=range(7),
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_path_that_the_system_does_not_take_is_refused(
    tmp_path: Path, to: str, rule: str, overwrite: bool
) -> None:
    """Whatever is wrong with it; no folder is made. Stored or not, it is no raw error."""
    with pytest.raises(InvalidInputError, match=f"^to: .*{rule}"):
        check_destination(f"{tmp_path}/{to}", overwrite=overwrite)
    assert listed(tmp_path) == []
    assert absolute(f"{tmp_path}/{to}") is not None


def test_a_folder_s_path_leaves_room_for_a_name(tmp_path: Path) -> None:
    """The names of a job's assets are not known before it is paid for."""
    deep = tmp_path
    while len(os.fsencode(deep)) < 3700:
        deep /= "x" * 100
    assert check_destination(f"{deep}/", overwrite=False)[1]
    with pytest.raises(InvalidInputError, match="a path of"):
        check_destination(f"{deep / ('x' * 100) / ('x' * 60)}/", overwrite=False)


def test_another_file_system_s_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encrypted folders often take names of 143 bytes only."""
    monkeypatch.setattr(os, "pathconf", lambda _, name: 143 if name == "PC_NAME_MAX" else -1)
    with pytest.raises(InvalidInputError, match="a name of 122 bytes; it takes at most 121 here"):
        check_destination(tmp_path / ("x" * 122), overwrite=False)
    assert len(default_name(VideoAsset("asset_" + "x" * 200), {}, tmp_path)) == 121
    monkeypatch.delattr(os, "pathconf")
    monkeypatch.setattr("sys.platform", "win32")
    assert longest_name(tmp_path / "x") == LONGEST


def clip(tmp_path: Path, stem: str) -> VideoFile:
    """A local video of this name."""
    return VideoFile(tmp_path / f"{stem}.mp4", 9, 0, "video/mp4", 0)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("clip", "clip-9x16.mp4"),
        ("x" * 224, "x" * 224 + "-9x16.mp4"),
        ("x" * 225, "x" * 224 + "-9x16.mp4"),
        ("x" + "é" * 120, "x" + "é" * 111 + "-9x16.mp4"),
        ("\N{CLAPPER BOARD}" * 60, "\N{CLAPPER BOARD}" * 56 + "-9x16.mp4"),
        (os.fsdecode(b"\xe9" * 250), os.fsdecode(b"\xe9" * 224) + "-9x16.mp4"),
    ],
    ids=range(6),
)
def test_a_name_made_from_the_source_is_cut_to_fit(tmp_path: Path, stem: str, name: str) -> None:
    """In bytes, but never within a character; the shape stays."""
    made = default_name(clip(tmp_path, stem), {"aspect_ratio": "9:16"}, tmp_path)
    assert made == name
    check_destination(tmp_path / made, overwrite=False)


@given(stem=st.text(min_size=1, max_size=300), ratio=st.text(max_size=300))
def test_a_name_made_from_any_source_fits_or_is_nearly_all_shape(stem: str, ratio: str) -> None:
    """Nothing is raised; an aspect ratio that is no ratio is refused elsewhere."""
    source = VideoUrl(f"https://example.com/{stem}")
    made = default_name(source, {"aspect_ratio": ratio})
    assert len(made.encode("utf-8", "replace")) <= max(
        LONGEST, len(ratio.encode("utf-8", "replace")) * 2 + 20
    )


def test_each_s_names_are_cut_before_the_values(tmp_path: Path) -> None:
    """The values tell the variants apart."""
    path = tmp_path / f"{'x' * 250}.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom")
    variants = [{"aspect_ratio": "9:16", "resolution": found} for found in ("480p", "720p")]
    outputs = [str(item.output) for item in variants_of(BatchItem(path), variants)]
    assert outputs == ["x" * 219 + f"-9x16-{found}.mp4" for found in ("480p", "720p")]
    planned = plan(variants_of(BatchItem(path), variants), tmp_path / "out")
    assert [one.output.name for one in planned] == outputs


def test_a_batch_checks_its_names_before_anything_is_sent(tmp_path: Path) -> None:
    """All faults of all items at once, and never a raw error."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom")
    outputs = ["x" * 234, "x" * 300, f"{'x' * 256}/out.mp4", "\ud800", "x" * 233]
    with pytest.raises(InvalidBatchError) as caught:
        plan([BatchItem(path, output) for output in outputs], tmp_path / "out")
    assert [position for position, _ in caught.value.faults] == [0, 1, 2, 3]
    assert all(line.startswith("output: ") for _, line in caught.value.faults)
    assert "a name of 234 bytes; it takes at most 233" in str(caught.value)


@pytest.mark.parametrize("to", ["x" * 300, "\ud800", "/".join(["x" * 200] * 25)], ids=range(3))
def test_a_batch_s_folder_is_one_that_the_system_takes(tmp_path: Path, to: str) -> None:
    """Refused as a target is."""
    with pytest.raises(InvalidInputError, match=r"^to: "):
        plan([], tmp_path / to)


def test_a_long_source_is_named_in_a_batch(tmp_path: Path) -> None:
    """Its own name has no room for the shape."""
    path = tmp_path / f"{'é' * 125}.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom")
    (planned,) = plan([BatchItem(path)], tmp_path / "out")
    assert planned.output == tmp_path / "out" / ("é" * 110 + "-reframed.mp4")


def test_a_name_that_is_not_utf_8_is_a_target(tmp_path: Path) -> None:
    """Also for a call that gives up, and the one that goes on."""
    to = tmp_path / os.fsdecode(b"\xff\xfe.mp4")
    flow = download(Operations(), JOB, to, overwrite=False, on_progress=None)
    with pytest.raises(DownloadError):
        Stepper(ASSET, *[lost()] * FRUITLESS_ATTEMPTS).run(flow)
    downloaded(to, ASSET, WHOLE, overwrite=False)
    assert to.read_bytes() == DATA
