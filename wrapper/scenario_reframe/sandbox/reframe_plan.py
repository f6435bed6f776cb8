"""The plan of a reframe job's result, made before any frame is decoded.

The vendor's model imagines what lies outside the source; the sandbox has no model. It fits the
source whole into the new canvas and fills the rest from it, blurred. What each setting does to
the result (the vendor publishes none of this; these are the sandbox's conventions):

=========================== ===================================================================
setting                     effect in the sandbox
=========================== ===================================================================
prompt                      none without the model; shown in the asset's metadata
negativePrompt              none without the model; shown in the asset's metadata
matchInputNumFrames         as many frames as the source has, at most `numFrames`' own maximum
numFrames                   number of frames; a shorter source holds its last frame
matchInputFramesPerSecond   the source's own frame rate
framesPerSecond             frame rate; the source is sampled at it, from its beginning
resolution                  lines of the short side
aspectRatio                 width to height; `auto` is the source's own, as it is shown
numInferenceSteps           none without the model; shown in the asset's metadata
guidanceScale               none without the model; shown in the asset's metadata
enablePromptExpansion       none without the model
acceleration                none without the model
videoQuality                x264's rate factor
videoWriteMode              x264's preset
numInterpolatedFrames k     with d below, only every (k+1)(d+1)-th frame is taken from the source
interpolatorModel           `film`: by motion; `rife`: by blending
zoomFactor z                enlarges the source by 1/(1-z) about its centre
trimBorders                 black borders are cut off the source
temporalDownsampleFactor d  see k
seed                        none without the model; shown in the asset's metadata
=========================== ===================================================================

`auto` keeps the aspect ratio of the whole picture, borders included, so that the result's size
follows from the file's header alone. It is limited to 1:4 to 4:1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple

from scenario_reframe_api.settings import SETTINGS

_RATE_FACTORS: Final = {"maximum": 12, "high": 18, "medium": 23, "low": 30}
_PRESETS: Final = {"balanced": "medium", "fast": "veryfast", "small": "slow"}
# For a setting that the vendor removes, or that loses its default.
_FALLBACKS: Final[dict[str, Any]] = {
    "prompt": None,
    "negativePrompt": None,
    "numInferenceSteps": None,
    "guidanceScale": None,
    "matchInputNumFrames": False,
    "numFrames": 81,
    "matchInputFramesPerSecond": False,
    "framesPerSecond": 16,
    "resolution": "720p",
    "aspectRatio": "auto",
    "videoQuality": "high",
    "videoWriteMode": "balanced",
    "numInterpolatedFrames": 0,
    "interpolatorModel": "film",
    "zoomFactor": 0,
    "trimBorders": False,
    "temporalDownsampleFactor": 0,
}
_DEFAULTS: Final = _FALLBACKS | {
    row.wire: _FALLBACKS.get(row.wire) if row.default is None else row.default for row in SETTINGS
}
_MAX_FRAMES: Final = next(
    (int(s.bounds.maximum or 241) for s in SETTINGS if s.wire == "numFrames"), 241
)
_MAX_RATIO: Final = 4
_DEFAULT_LINES: Final = 720
_ROUNDING_GAP: Final = 2
# minterpolate estimates no motion in smaller pictures; they are blended.
_MIN_MOTION_SIDE: Final = 32


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


class Box(NamedTuple):
    """A rectangle in a picture, in pixels from its top left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ClipSource:
    """The facts of a video file.

    `width` and `height` are the stored pixels; a player stretches them by `pixel_aspect` and then
    turns them clockwise by `turns` quarters. `rate` is in frames per second, `duration` in
    seconds. `matrix` is swscale's name for the colour matrix.
    """

    width: int
    height: int
    pixel_aspect: Fraction
    turns: int
    frames: int
    rate: Fraction
    duration: float
    matrix: str
    full_range: bool
    codec: str
    bit_rate: int
    container: str

    @property
    def whole(self) -> Box:
        """All of the stored picture."""
        return Box(0, 0, self.width, self.height)

    @property
    def shown(self) -> tuple[Fraction, Fraction]:
        """Width and height as a player shows them, in square pixels."""
        return _shown_size(self, self.whole)


@dataclass(frozen=True, slots=True)
class ReframePlan:
    """How to make the result.

    `crop` is cut out of the stored picture; `work` is the size at which frames are interpolated,
    `fit` their size on the `canvas`. Frame i is taken from the source if `spacing` divides i.
    """

    canvas: Size
    crop: Box
    work: Size
    fit: Size
    frames: int
    rate: Fraction
    spacing: int
    by_motion: bool
    rate_factor: int
    preset: str


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Add the spec's defaults for missing settings, by wire name.

    If the vendor turned a number into text, its value is replaced by the fallback.
    """
    settings = _DEFAULTS | {name: given[name] for name in _DEFAULTS if name in given}
    return {
        name: usual if _is_number(usual) and not _is_number(settings[name]) else settings[name]
        for name, usual in _FALLBACKS.items()
    } | {name: value for name, value in settings.items() if name not in _FALLBACKS}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lines_of(settings: Mapping[str, Any]) -> int:
    """The short side in pixels; 720 if the resolution is not a number of lines."""
    found = re.fullmatch(r"(\d{1,5})p?", str(settings["resolution"]))
    return int(found[1]) if found and int(found[1]) else _DEFAULT_LINES


def frames_to_make(given: Mapping[str, Any], source_frames: int) -> int:
    """The number of frames of the result."""
    settings = with_defaults(given)
    if settings["matchInputNumFrames"]:
        return max(1, min(source_frames, _MAX_FRAMES))
    return int(settings["numFrames"])


def plan(given: Mapping[str, Any], source: ClipSource, picture: Box) -> ReframePlan:
    """Plan the result of a request; `picture` is the source without its borders."""
    settings = with_defaults(given)
    canvas = _canvas(settings, source)
    crop = _zoomed(picture, float(settings["zoomFactor"]))
    shown = _shown_size(source, crop)
    fit = fitted(shown, canvas)
    work = _work_size(shown, fit)
    k, d = int(settings["numInterpolatedFrames"]), int(settings["temporalDownsampleFactor"])
    match_rate = settings["matchInputFramesPerSecond"]
    return ReframePlan(
        canvas=canvas,
        crop=crop,
        work=work,
        fit=fit,
        frames=frames_to_make(given, source.frames),
        rate=source.rate if match_rate else _rate(settings["framesPerSecond"]),
        spacing=(k + 1) * (d + 1),
        by_motion=settings["interpolatorModel"] == "film" and min(work) >= _MIN_MOTION_SIDE,
        rate_factor=_RATE_FACTORS.get(settings["videoQuality"], _RATE_FACTORS["high"]),
        preset=_PRESETS.get(settings["videoWriteMode"], _PRESETS["balanced"]),
    )


def fitted(shown: tuple[Fraction, Fraction], canvas: Size) -> Size:
    """Fit a size whole into the canvas, on even pixels, closing gaps that come from rounding."""
    scale = min(canvas.width / shown[0], canvas.height / shown[1])
    width, height = _even(shown[0] * scale), _even(shown[1] * scale)
    return Size(
        canvas.width if canvas.width - width <= _ROUNDING_GAP else width,
        canvas.height if canvas.height - height <= _ROUNDING_GAP else height,
    )


def _canvas(settings: Mapping[str, Any], source: ClipSource) -> Size:
    """The size of the result in pixels."""
    lines = lines_of(settings)
    # Any other value, as `auto`, keeps the source's own aspect ratio.
    found = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", str(settings["aspectRatio"]))
    if found and float(found[1]) and float(found[2]):
        ratio = Fraction(found[1]) / Fraction(found[2])
    else:
        ratio = source.shown[0] / source.shown[1]
        ratio = max(Fraction(1, _MAX_RATIO), min(ratio, Fraction(_MAX_RATIO)))
    if ratio >= 1:
        return Size(_even(lines * ratio), _even(Fraction(lines)))
    return Size(_even(Fraction(lines)), _even(lines / ratio))


def _zoomed(box: Box, zoom: float) -> Box:
    """Crop a box to its middle 1-zoom, on even pixels, as 4:2:0 colour needs."""
    width = min(box.width, _even(Fraction(box.width * (1 - zoom)).limit_denominator(1000)))
    height = min(box.height, _even(Fraction(box.height * (1 - zoom)).limit_denominator(1000)))
    x = box.x + (box.width - width) // 4 * 2
    y = box.y + (box.height - height) // 4 * 2
    return Box(x, y, width, height)


def _shown_size(source: ClipSource, box: Box) -> tuple[Fraction, Fraction]:
    width, height = box.width * source.pixel_aspect, Fraction(box.height)
    return (height, width) if source.turns % 2 else (width, height)


def _work_size(shown: tuple[Fraction, Fraction], fit: Size) -> Size:
    """The size at which to interpolate: the source's own, which is faster, if it is enlarged."""
    own = Size(_even(shown[0]), _even(shown[1]))
    return own if own.width < fit.width and min(own) >= _MIN_MOTION_SIDE else fit


def _even(length: Fraction) -> int:
    return max(2, round(length / 2) * 2)


def _rate(frames_per_second: float) -> Fraction:
    return Fraction(frames_per_second).limit_denominator(1001)
