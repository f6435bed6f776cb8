"""The sandbox accepts the videos that people have, and says what is wrong with other files."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from sandbox_clips import (
    GROUND,
    HEIGHT,
    WIDTH,
    ClipOptions,
    Picture,
    bar_clip,
    bar_picture,
    reframed,
    rgb,
    write_clip,
)
from scenario_reframe.sandbox.black_borders import picture_box
from scenario_reframe.sandbox.contact_sheet import before_after
from scenario_reframe.sandbox.probing import NotAVideoError, probe
from scenario_reframe.sandbox.reframe_plan import Box
from scenario_reframe.sandbox.sample_clip import make_sample
from scenario_reframe.sandbox.video_encoding import reframe


def corners(width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A picture that shows which way up it is: a red, a green, a blue and a gray quarter."""
    picture = np.full((height, width, 3), GROUND, np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    return picture


def quarters(frame: Picture) -> list[str]:
    """Names of a frame's quarters: top left, top right, bottom left, bottom right."""
    height, width = frame.shape[:2]
    names = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            pixel = frame[y, x].astype(int)
            plain = pixel.max() - pixel.min() < 40
            names.append("gray" if plain else ["red", "green", "blue"][int(pixel.argmax())])
    return names


@pytest.mark.parametrize(
    ("rotation", "size", "seen"),
    [
        (0, (854, 480), ["red", "green", "blue", "gray"]),
        (-90, (480, 854), ["blue", "red", "gray", "green"]),
        (90, (480, 854), ["green", "gray", "red", "blue"]),
        (180, (854, 480), ["gray", "blue", "green", "red"]),
    ],
)
def test_rotation_of_a_phone_clip_is_honoured(
    tmp_path: Path, rotation: float, size: tuple[int, int], seen: list[str]
) -> None:
    """A clip with a rotation (counter-clockwise) becomes upright, in its own shape."""
    options = ClipOptions(rotation=rotation)
    source = write_clip(tmp_path / "turned.mp4", [corners()] * 3, options)
    result = reframed(source, tmp_path, numFrames=1)
    assert result.size == size
    assert quarters(result.frames[0]) == seen


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    """160x90 with pixels 9:16 is shown as a square, and so is its result."""
    options = ClipOptions(pixel_aspect=Fraction(9, 16))
    source = write_clip(tmp_path / "narrow.mp4", [corners()] * 3, options)
    result = reframed(source, tmp_path, numFrames=1)
    assert result.size == (480, 480)
    assert quarters(result.frames[0]) == ["red", "green", "blue", "gray"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ten_bit.mp4", ClipOptions(pixel_format="yuv420p10le")),
        ("full_chroma.mp4", ClipOptions(pixel_format="yuv444p")),
        ("full_range.mp4", ClipOptions(pixel_format="yuvj420p")),
        ("vp9.webm", ClipOptions(codec="libvpx-vp9")),
        ("alpha.webm", ClipOptions(codec="libvpx-vp9", pixel_format="yuva420p")),
        ("matroska.mkv", ClipOptions()),
        ("without_times.h264", ClipOptions()),
        ("old.avi", ClipOptions(codec="mpeg4")),
        ("alpha.mov", ClipOptions(codec="qtrle", pixel_format="argb")),
    ],
)
def test_common_formats_are_accepted(tmp_path: Path, name: str, options: ClipOptions) -> None:
    """Each plays at its own speed, with its own brightness."""
    source = bar_clip(tmp_path / name, 20, options)
    result = reframed(source, tmp_path, matchInputFramesPerSecond=True, numFrames=20)
    assert result.numbers == [pytest.approx(number, abs=0.15) for number in range(20)]
    assert result.frames[0][240, 800].mean() == pytest.approx(GROUND, abs=6)


@pytest.mark.parametrize("size", [(161, 91), (159, 90), (33, 7)])
def test_odd_sizes_are_accepted(tmp_path: Path, size: tuple[int, int]) -> None:
    """4:4:4 allows odd widths and heights; the result is even all the same."""
    width, height = size
    options = ClipOptions(pixel_format="yuv444p")
    source = write_clip(tmp_path / "odd.mp4", [corners(width, height)] * 3, options)
    result = reframed(source, tmp_path, numFrames=2, zoomFactor=0.1)
    assert [length % 2 for length in result.size] == [0, 0]
    assert quarters(result.frames[1]) == ["red", "green", "blue", "gray"]


def test_clip_of_one_frame_is_held(tmp_path: Path) -> None:
    """One frame makes a still video with the requested number of frames."""
    source = bar_clip(tmp_path / "one.mp4", 1)
    result = reframed(source, tmp_path, numFrames=5, numInterpolatedFrames=1)
    assert result.numbers == [pytest.approx(0, abs=0.1)] * 5


def test_variable_frame_rate_is_sampled_by_time(tmp_path: Path) -> None:
    """Each result frame shows nearly what a player would show at its time."""
    times = [Fraction(ms, 1000) for ms in (0, 40, 80, 400, 440, 480, 900, 1000)]
    source = bar_clip(tmp_path / "vfr.mp4", len(times), ClipOptions(times=times))
    result = reframed(source, tmp_path, framesPerSecond=10, numFrames=11)
    nearest = [
        min(range(len(times)), key=lambda n, at=at: abs(times[n] - Fraction(at, 10)))  # type: ignore[misc]
        for at in range(11)
    ]
    assert result.numbers == [pytest.approx(number, abs=0.1) for number in nearest]


def test_borders_on_all_sides_are_found_on_even_pixels(tmp_path: Path) -> None:
    """The crop has no border line, and loses at most one line of picture."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[11:80, 21:140] = corners(119, 69)
    source = write_clip(tmp_path / "framed.mp4", [picture] * 3, ClipOptions(pixel_format="yuv444p"))
    assert picture_box(source, probe(source)) == Box(22, 12, 118, 68)


def test_a_dark_beginning_does_not_count_as_a_border(tmp_path: Path) -> None:
    """A clip that fades in from black keeps its whole picture."""
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    source = write_clip(tmp_path / "fade.mp4", [black] * 20 + [bar_picture(0)] * 20)
    assert picture_box(source, probe(source)) == Box(0, 0, WIDTH, HEIGHT)


def test_extreme_shape_is_limited(tmp_path: Path) -> None:
    """`auto` follows a source up to 4:1, so that no result is absurdly wide."""
    source = write_clip(tmp_path / "wide.mp4", [corners(640, 32)] * 2)
    assert reframed(source, tmp_path, numFrames=1).size == (1920, 480)


def sound_alone(path: Path) -> Path:
    """Write a file that holds sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("content", [b"", b"no video", b"\0\0\0\x18ftypisom" + b"\0" * 100])
def test_file_that_is_not_a_video_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty files, text and broken boxes, each with a reason."""
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with pytest.raises(NotAVideoError, match="cannot be read as a video"):
        probe(path)


def test_sound_without_picture_is_refused(tmp_path: Path) -> None:
    """A file with sound only has no video stream."""
    with pytest.raises(NotAVideoError, match="no video stream"):
        probe(sound_alone(tmp_path / "sound.mp4"))


def test_video_that_breaks_off_fails_with_a_reason(tmp_path: Path) -> None:
    """A decoding error ends the job, instead of silently repeating a frame."""
    whole = tmp_path / "whole.mp4"
    make_sample(whole, 2, "320x180")
    content = bytearray(whole.read_bytes())
    start = content.index(b"mdat") + 4000
    content[start : start + 40000] = bytes(40000)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    with pytest.raises(NotAVideoError):
        reframe(broken, tmp_path / "out.mp4", {"resolution": "480p", "numInterpolatedFrames": 0})


def test_contact_sheet_shows_source_above_result(tmp_path: Path) -> None:
    """Three moments of a 16:9 source above three of its 9:16 result, 1200 pixels wide."""
    source = write_clip(tmp_path / "corners.mp4", [corners()] * 20)
    result = reframed(source, tmp_path, aspectRatio="9:16", numFrames=12).path
    before_after(source, result, tmp_path / "sheet.png")
    with av.open(str(tmp_path / "sheet.png")) as container:
        sheet = rgb(next(container.decode(video=0)))
    assert sheet.shape[:2] == (216 + 480 + 3 * 12, 1200)
    for column in range(3):
        left = 12 + column * 396
        assert quarters(sheet[12:228, left : left + 384]) == ["red", "green", "blue", "gray"]
        assert np.abs(sheet[40, left + 40].astype(int) - (220, 30, 30)).max() < 8
        assert sheet[300, left + 10].min() == 255
        assert sheet[300, left + 190].min() < 200


def test_sample_clip_moves_and_sounds(tmp_path: Path) -> None:
    """The sandbox's own clip lasts as long as asked, with changing pictures and a sound."""
    path = tmp_path / "sample.mp4"
    make_sample(path, 1, "320x180", 10)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        container.seek(0)
        sound = sum(frame.samples for frame in container.decode(audio=0))
    assert len(frames) == 10
    assert all((one != other).any() for one, other in pairwise(frames))
    assert sound >= 44100


def test_slow_show_of_slides_keeps_its_rate(tmp_path: Path) -> None:
    """A frame every two seconds is a valid rate."""
    source = bar_clip(tmp_path / "slides.mp4", 4, ClipOptions(rate=Fraction(1, 2)))
    result = reframed(source, tmp_path, matchInputFramesPerSecond=True, matchInputNumFrames=True)
    assert result.rate == Fraction(1, 2)
    assert result.numbers == [pytest.approx(number, abs=0.1) for number in range(4)]


def test_single_lit_line_is_not_a_picture(tmp_path: Path) -> None:
    """What is left between the borders must be large enough to encode."""
    picture = np.zeros((7, 40, 3), np.uint8)
    picture[3] = 255
    source = write_clip(tmp_path / "line.mp4", [picture] * 3, ClipOptions(pixel_format="yuv444p"))
    assert picture_box(source, probe(source)) == Box(0, 0, 40, 7)


@pytest.mark.parametrize(("height", "zoom"), [(8, 0.0), (40, 0.9)])
def test_picture_too_small_for_motion_is_blended(tmp_path: Path, height: int, zoom: float) -> None:
    """Tiny sources and strips are interpolated all the same."""
    source = write_clip(tmp_path / "tiny.mp4", [corners(64, height)] * 6)
    result = reframed(source, tmp_path, numInterpolatedFrames=1, numFrames=5, zoomFactor=zoom)
    assert len(result.frames) == 5
    assert quarters(result.frames[3]) == ["red", "green", "blue", "gray"]
