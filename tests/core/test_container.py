"""The end of a video by its container: real clips cut anywhere, and any bytes at all."""

import io
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_clips import ClipOptions, bar_clip, bar_picture, reframed, write_clip
from scenario_reframe.container import ContainerEnd, container_end

WHOLE, CUT, UNKNOWN = ContainerEnd.WHOLE, ContainerEnd.CUT, ContainerEnd.UNKNOWN
KINDS = ("clip.mp4", "fast.mp4", "clip.mov", "clip.mkv", "clip.webm", "result.mp4")


def end_of(data: bytes) -> ContainerEnd:
    """What these bytes say, from wherever the file stands."""
    file = io.BytesIO(data)
    file.seek(len(data) // 2)
    return container_end(file)


def with_options(path: Path, **options: str) -> bytes:
    """A clip written again by a muxer with options."""
    target = path.with_name(f"again-{path.name}")
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as made:
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return target.read_bytes()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small clip of every kind; `fast.mp4` has its index in front."""
    folder = tmp_path_factory.mktemp("kinds")
    mp4 = bar_clip(folder / "clip.mp4", 12)
    webm = ClipOptions(codec="libvpx-vp9")
    return {
        "clip.mp4": mp4.read_bytes(),
        "fast.mp4": with_options(mp4, movflags="faststart"),
        "clip.mov": bar_clip(folder / "clip.mov", 12).read_bytes(),
        "clip.mkv": bar_clip(folder / "clip.mkv", 12).read_bytes(),
        "clip.webm": write_clip(
            folder / "clip.webm", [bar_picture(n) for n in range(6)], webm
        ).read_bytes(),
        "result.mp4": reframed(mp4, folder).path.read_bytes(),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_video_is_whole_and_cut_anywhere_it_is_not(
    clips: dict[str, bytes], kind: str
) -> None:
    """At any byte, between two elements as well; and bytes after the end are none of it."""
    data = clips[kind]
    assert end_of(data) is WHOLE
    assert [count for count in range(len(data)) if end_of(data[:count]) is WHOLE] == []
    assert end_of(data[: len(data) // 2]) is CUT
    assert end_of(data + b"x") is not WHOLE
    assert end_of(data + bytes(100)) is UNKNOWN


def test_fragments_are_whole_only_with_the_index_after_them(
    clips: dict[str, bytes], tmp_path: Path
) -> None:
    """Between two fragments, a file looks as if it ended there."""
    (tmp_path / "clip.mp4").write_bytes(clips["clip.mp4"])
    data = with_options(tmp_path / "clip.mp4", movflags="frag_every_frame+empty_moov")
    assert data.count(b"moof") > 2
    assert end_of(data) is WHOLE
    assert {end_of(data[:count]) for count in range(len(data))} == {CUT, UNKNOWN}


def test_a_matroska_file_of_unknown_size_cannot_be_known(
    clips: dict[str, bytes], tmp_path: Path
) -> None:
    """A live recording's segment goes on as long as it goes on."""
    (tmp_path / "clip.mkv").write_bytes(clips["clip.mkv"])
    data = with_options(tmp_path / "clip.mkv", live="1")
    assert end_of(data) is UNKNOWN
    assert end_of(data[: len(data) // 2]) is UNKNOWN


def box(name: bytes, content: bytes = b"", length: int | None = None) -> bytes:
    """An MP4 box, which may lie about its length."""
    return (8 + len(content) if length is None else length).to_bytes(4) + name + content


FTYP = box(b"ftyp", b"isomiso2")


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", UNKNOWN),
        (b"<html>gone</html>", UNKNOWN),
        (b"\0" * 100, UNKNOWN),
        (FTYP, CUT),
        (FTYP + box(b"moov"), CUT),
        (FTYP + box(b"mdat", b"abc"), CUT),
        (FTYP + box(b"moov") + box(b"mdat", b"abc"), WHOLE),
        (FTYP + box(b"moov") + box(b"mdat", b"abc") + box(b"free", bytes(9)), WHOLE),
        (FTYP + box(b"moov") + box(b"mdat", b"abc", 0), UNKNOWN),
        (FTYP + box(b"moov") + box(b"mdat", (19).to_bytes(8) + b"abc", 1), WHOLE),
        (FTYP + box(b"moov") + box(b"mdat", (20).to_bytes(8) + b"abc", 1), CUT),
        (FTYP + box(b"moov") + box(b"mdat", (2**64 - 1).to_bytes(8) + b"abc", 1), CUT),
        (FTYP + box(b"moov") + box(b"mdat", (15).to_bytes(8) + b"abc", 1), UNKNOWN),
        (FTYP + box(b"moov") + box(b"mdat", b"abc", 7), UNKNOWN),
        (FTYP + box(b"free") * 10_001 + box(b"moov") + box(b"mdat"), UNKNOWN),
        (b"\x1a\x45\xdf\xa3\x80", CUT),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x82ab", WHOLE),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x83ab", CUT),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xffab", UNKNOWN),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7, UNKNOWN),
        (b"\x1a\x45\xdf\xa3\x80\x00ab", UNKNOWN),
        (b"\x1a\x45\xdf\xa3\x80\xec\x00ab", UNKNOWN),
        (b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe", CUT),
    ],
)  # fmt: skip
def test_odd_containers(data: bytes, end: ContainerEnd) -> None:
    """Lengths that are missing, too small, too large or of another form; endless small boxes."""
    assert end_of(data) is end


STARTS = st.sampled_from(
    [b"", FTYP, FTYP + box(b"moov"), b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80"]
)


@given(start=STARTS, rest=st.binary(max_size=200))
def test_any_bytes_have_an_end(start: bytes, rest: bytes) -> None:
    """Whatever they are, nothing is raised."""
    assert end_of(start + rest) in ContainerEnd
