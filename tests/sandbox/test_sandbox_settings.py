"""Each setting's effect on the sandbox's result, or its documented absence."""

import ctypes
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sandbox_clips import (
    GROUND,
    HEIGHT,
    PLAIN,
    WIDTH,
    ClipOptions,
    Picture,
    bar_clip,
    bar_picture,
    read,
    reframed,
    write_clip,
)
from scenario_reframe.sandbox.sample_clip import make_sample
from scenario_reframe.sandbox.video_encoding import reframe


def near(number: float) -> object:
    """A frame's number, within a tenth of a frame."""
    return pytest.approx(number, abs=0.1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of the moving bar at 25 frames per second."""
    return bar_clip(tmp_path_factory.mktemp("clips") / "bar.mp4")


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A busier clip, for what depends on how much there is to encode."""
    path = tmp_path_factory.mktemp("clips") / "textured.mp4"
    make_sample(path, 1, "320x180")
    return path


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("prompt", "a forest"),
        ("negativePrompt", "people"),
        ("numInferenceSteps", 2),
        ("guidanceScale", 10),
        ("enablePromptExpansion", True),
        ("acceleration", "none"),
        ("seed", 7),
    ],
)
def test_setting_of_the_model_alone_leaves_the_bytes_alone(
    clip: Path, tmp_path: Path, setting: str, value: object
) -> None:
    """Settings that only the model could use have no effect, as documented."""
    without = reframed(clip, tmp_path, "without", numFrames=3)
    given = reframed(clip, tmp_path, "given", **{"numFrames": 3, setting: value})
    assert given.path.read_bytes() == without.path.read_bytes()


def test_num_frames_is_the_number_of_frames(clip: Path, tmp_path: Path) -> None:
    """A shorter source's last frame is held."""
    result = reframed(clip, tmp_path, numFrames=46, framesPerSecond=25)
    assert len(result.frames) == 46
    assert result.numbers[:40] == [near(number) for number in range(40)]
    assert result.numbers[40:] == [near(39)] * 6


def test_match_input_num_frames_uses_the_sources_count(clip: Path, tmp_path: Path) -> None:
    """The source's 40 frames override `numFrames`."""
    assert len(reframed(clip, tmp_path, matchInputNumFrames=True).frames) == 40


def test_match_input_num_frames_stops_at_241(tmp_path: Path) -> None:
    """A longer source is cut at the model's maximum."""
    pictures = [bar_picture(number % 20) for number in range(250)]
    long = write_clip(tmp_path / "long.mp4", pictures)
    result = reframed(long, tmp_path, matchInputNumFrames=True, resolution="90p")
    assert len(result.frames) == 241


def test_frames_per_second_samples_the_source_at_that_rate(clip: Path, tmp_path: Path) -> None:
    """At 10 frames per second every frame is a tenth of a second further on."""
    result = reframed(clip, tmp_path, framesPerSecond=10, numFrames=8)
    assert result.rate == 10
    times = [Fraction(number, 10) for number in range(8)]
    assert all(
        abs(shown - float(time * 25)) <= 0.6
        for shown, time in zip(result.numbers, times, strict=True)
    )


def test_match_input_frames_per_second_keeps_an_odd_rate_exactly(tmp_path: Path) -> None:
    """The source's 30000/1001 overrides `framesPerSecond`; no frame is lost or doubled."""
    ntsc = ClipOptions(rate=Fraction(30000, 1001))
    source = bar_clip(tmp_path / "ntsc.mp4", 30, ntsc)
    result = reframed(source, tmp_path, numFrames=30, matchInputFramesPerSecond=True)
    assert result.rate == Fraction(30000, 1001)
    assert result.numbers == [near(number) for number in range(30)]


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("480p", "16:9", (854, 480)),
        ("580p", "16:9", (1032, 580)),
        ("720p", "16:9", (1280, 720)),
        ("480p", "1:1", (480, 480)),
        ("480p", "9:16", (480, 854)),
        ("480p", "auto", (854, 480)),
    ],
)
def test_resolution_and_aspect_ratio_give_the_size(
    clip: Path, tmp_path: Path, resolution: str, ratio: str, size: tuple[int, int]
) -> None:
    """`resolution` is the short side's lines, `aspectRatio` the shape."""
    result = reframed(clip, tmp_path, resolution=resolution, aspectRatio=ratio, numFrames=1)
    assert result.size == size


def test_aspect_ratio_fits_the_source_whole_and_fills_the_rest(tmp_path: Path) -> None:
    """In 9:16 a whole 16:9 source is in the middle, its own colours above and below."""
    picture = np.full((HEIGHT, WIDTH, 3), (40, 90, 200), np.uint8)
    picture[:, :8] = picture[:, -8:] = (250, 250, 250)
    source = write_clip(tmp_path / "edges.mp4", [picture] * 3)
    frame = reframed(source, tmp_path, aspectRatio="9:16", numFrames=1).frames[0]
    middle, above, below = frame[427], frame[60], frame[-60]
    assert middle[[4, -5]].min() > 225
    for row in (above, below):
        assert np.abs(row[240].astype(int) - (40, 90, 200)).max() < 12
        assert row[[4, -5]].max() < 225


def test_video_quality_spends_more_bytes_on_more_quality(textured: Path, tmp_path: Path) -> None:
    """The file grows from `low` to `maximum`."""
    sizes = [
        reframed(textured, tmp_path, quality, videoQuality=quality).path.stat().st_size
        for quality in ("low", "medium", "high", "maximum")
    ]
    assert all(less < more for less, more in pairwise(sizes))


def test_video_write_mode_sets_how_hard_x264_tries(textured: Path, tmp_path: Path) -> None:
    """The modes use different numbers of reference frames, as x264's own note says."""
    notes = {
        mode: reframed(textured, tmp_path, mode, videoWriteMode=mode).path.read_bytes()
        for mode in ("fast", "balanced", "small")
    }
    assert b" ref=1 " in notes["fast"]
    assert b" ref=3 " in notes["balanced"]
    assert b" ref=5 " in notes["small"]


@pytest.mark.parametrize(("k", "d", "spacing"), [(0, 0, 1), (2, 0, 3), (0, 2, 3), (1, 1, 4)])
def test_interpolated_and_skipped_frames_space_the_taken_ones(
    clip: Path, tmp_path: Path, k: int, d: int, spacing: int
) -> None:
    """Frame i is the source's if (k+1)(d+1) divides i; else it is between two such frames."""
    result = reframed(
        clip,
        tmp_path,
        framesPerSecond=25,
        numFrames=2 * spacing + 1,
        numInterpolatedFrames=k,
        temporalDownsampleFactor=d,
    )
    assert len(result.frames) == 2 * spacing + 1
    assert result.numbers[::spacing] == [near(spacing * number) for number in range(3)]
    between = [n for i, n in enumerate(result.numbers) if i % spacing]
    assert all(abs(n - round(n / spacing) * spacing) > 0.2 for n in between)


def test_frames_after_the_last_taken_one_hold_it(clip: Path, tmp_path: Path) -> None:
    """With a spacing of 4, frames 9 and 10 of 11 show frame 8."""
    result = reframed(clip, tmp_path, framesPerSecond=25, numFrames=11, numInterpolatedFrames=3)
    assert result.numbers[8:] == [near(8)] * 3


def test_interpolator_film_moves_and_rife_blends(tmp_path: Path) -> None:
    """Between two bars `film` shows one bar in the middle, `rife` two pale ones."""
    far = [bar_picture(number) for number in range(0, 40, 8)]
    source = write_clip(tmp_path / "far.mp4", far, ClipOptions(rate=Fraction(5)))
    options = {"framesPerSecond": 10, "numFrames": 5, "numInterpolatedFrames": 1}
    film = reframed(source, tmp_path, "film", interpolatorModel="film", **options)
    rife = reframed(source, tmp_path, "rife", interpolatorModel="rife", **options)
    assert film.frames[3].max() > 200
    assert rife.frames[3].max() < 170
    assert film.frames[2].max() > 200 < rife.frames[2].max()


@pytest.mark.parametrize("zoom", [0.0, 0.25, 0.5])
def test_zoom_factor_enlarges_the_source_about_its_centre(tmp_path: Path, zoom: float) -> None:
    """A square in the middle grows by 1/(1-zoom) and stays in the middle."""
    picture = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    picture[35:55, 70:90] = 230
    source = write_clip(tmp_path / "square.mp4", [picture] * 2)
    frame = reframed(source, tmp_path, zoomFactor=zoom, numFrames=1).frames[0]
    lit = np.flatnonzero(frame[240].mean(axis=1) > 150)
    assert len(lit) == pytest.approx(20 * 854 / WIDTH / (1 - zoom), abs=6)
    assert (lit[0] + lit[-1]) / 2 == pytest.approx(427, abs=4)


def letterboxed(number: int) -> Picture:
    """A bar's picture with black, slightly noisy borders above and below."""
    picture = np.random.default_rng(number).integers(0, 4, (HEIGHT, WIDTH, 3), np.uint8)
    picture[14:76] = bar_picture(number)[14:76]
    return picture


def test_trim_borders_cuts_black_borders(tmp_path: Path) -> None:
    """With `true` the picture fills the height; with `false` the borders stay."""
    source = write_clip(tmp_path / "boxed.mp4", [letterboxed(number) for number in range(8)])
    cut = reframed(source, tmp_path, "cut", aspectRatio="9:16", numFrames=2, trimBorders=True)
    kept = reframed(source, tmp_path, "kept", aspectRatio="9:16", numFrames=2, trimBorders=False)
    row = 427 - 480 * 9 // 32 + 20
    assert kept.frames[0][row].mean() < 12
    assert cut.frames[0][row].mean() > GROUND / 2


def test_trim_borders_leaves_an_all_black_clip_alone(tmp_path: Path) -> None:
    """No border can be recognised, so nothing is cut and the job succeeds."""
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    source = write_clip(tmp_path / "black.mp4", [black] * 3)
    assert reframed(source, tmp_path, numFrames=2).size == (854, 480)


@pytest.fixture
def dirty_memory() -> Iterator[Callable[[int], object]]:
    """Fill new memory with the complement of a byte until the test ends (only with glibc)."""
    mallopt = getattr(ctypes.pythonapi, "mallopt", lambda _option, _byte: 0)
    m_perturb = -6
    yield lambda byte: mallopt(m_perturb, byte)
    mallopt(m_perturb, 0)


def test_same_request_gives_the_same_bytes(
    textured: Path, tmp_path: Path, dirty_memory: Callable[[int], object]
) -> None:
    """Nothing random, no time of day and no uninitialised memory is in the result."""
    settings = {"numFrames": 9, "numInterpolatedFrames": 1, "aspectRatio": "9:16", "seed": 3}
    for byte in (0, 85, 170):
        dirty_memory(byte)
        reframe(textured, tmp_path / f"{byte}.mp4", settings | {"resolution": "480p"})
    one, *others = (path.read_bytes() for path in tmp_path.iterdir())
    assert others == [one, one]


def test_work_ends_when_on_frame_raises(clip: Path, tmp_path: Path) -> None:
    """The error is raised after that frame, and nothing more is made."""
    seen: list[tuple[int, int]] = []

    def stop(done: int, frames: int) -> None:
        seen.append((done, frames))
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        reframe(clip, tmp_path / "result.mp4", PLAIN | {"numFrames": 12}, stop)
    assert seen == [(1, 12), (2, 12)]


def test_result_has_no_sound_and_starts_at_once(textured: Path, tmp_path: Path) -> None:
    """From a source with sound: H.264 alone, its index before its data."""
    assert read(textured).streams == ["video", "audio"]
    result = reframed(textured, tmp_path)
    assert result.streams == ["video"]
    content = result.path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
