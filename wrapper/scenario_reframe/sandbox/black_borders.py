"""Find the black borders of a clip (ffmpeg's cropdetect is not in PyAV's wheels)."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final

import av
from av.video.frame import VideoFrame

from scenario_reframe.sandbox.probing import picture_stream
from scenario_reframe.sandbox.reframe_plan import Box, ClipSource

# A line counts as black up to this mean luma (0 is black, 255 white): codecs leave some noise in a
# border.
_BLACK_LUMA: Final = 10
_FIRST_FRAMES: Final = 100
_EVERY: Final = 12
_POSITIONS: Final = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))


def picture_box(path: Path, source: ClipSource) -> Box:
    """Find the box, on even pixels, outside which the stored picture is black in all samples.

    A clip that is black throughout is not cut.
    """
    left, top, right, bottom = source.width, source.height, 0, 0
    for frame in _samples(path, source):
        lit = _lit_box(frame)
        if lit is not None:
            left, top = min(left, lit[0]), min(top, lit[1])
            right, bottom = max(right, lit[2]), max(bottom, lit[3])
    if right <= left or bottom <= top:
        return source.whole
    x, y = _round_up_to_even(left), _round_up_to_even(top)
    width = right - x if right == source.width else (right - x) // 2 * 2
    height = bottom - y if bottom == source.height else (bottom - y) // 2 * 2
    if width < 2 or height < 2:  # noqa: PLR2004 - the smallest 4:2:0 picture
        return source.whole
    return Box(x, y, width, height)


def _samples(path: Path, source: ClipSource) -> Iterator[VideoFrame]:
    """Yield some of the first frames, then the nearest key frames at fixed positions."""
    with av.open(str(path)) as container:
        stream = picture_stream(container)
        yield from islice(container.decode(stream), 0, _FIRST_FRAMES, _EVERY)
        for position in _POSITIONS if source.frames > _FIRST_FRAMES else ():
            container.seek(int(position * Fraction(source.duration) * av.time_base))
            yield from islice(container.decode(stream), 1)


def _lit_box(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the part that is not black; None for a black frame."""
    gray = frame.reformat(format="gray", dst_color_range="JPEG")
    plane = gray.planes[0]
    stride, width, height = plane.line_size, gray.width, gray.height
    luma = bytes(plane)

    def row_is_lit(y: int) -> bool:
        return sum(luma[y * stride : y * stride + width]) > _BLACK_LUMA * width

    def column_is_lit(x: int) -> bool:
        return sum(luma[x : stride * height : stride]) > _BLACK_LUMA * height

    top = _first_lit(row_is_lit, range(height))
    left = _first_lit(column_is_lit, range(width))
    bottom = _first_lit(row_is_lit, range(height - 1, -1, -1))
    right = _first_lit(column_is_lit, range(width - 1, -1, -1))
    if top is None or left is None or bottom is None or right is None:
        return None
    return left, top, right + 1, bottom + 1


def _first_lit(is_lit: Callable[[int], bool], lines: range) -> int | None:
    return next((line for line in lines if is_lit(line)), None)


def _round_up_to_even(length: int) -> int:
    return (length + 1) // 2 * 2
