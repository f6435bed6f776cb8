"""Make the result of a reframe job with ffmpeg's own filters, through PyAV."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, Final

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from scenario_reframe.sandbox.black_borders import picture_box
from scenario_reframe.sandbox.ffmpeg_filters import (
    TICK,
    FilterChain,
    composition_chain,
    interpolation_chain,
    scaling_chain,
)
from scenario_reframe.sandbox.probing import NotAVideoError, picture_stream, probe
from scenario_reframe.sandbox.reframe_plan import ClipSource, ReframePlan, plan, with_defaults

# x264's bytes depend on the number of threads. With two, which encode slices at the same time, one
# result differed by a byte between runs.
_X264_THREADS: Final = 1
_BT709: Final = 1
_TV_RANGE: Final = 1


def reframe(
    path: Path,
    target: Path,
    settings: Mapping[str, Any],
    on_frame: Callable[[int, int], None] = lambda _done, _total: None,
) -> ClipSource:
    """Reframe a video file into an MP4 and return the facts of the result.

    `settings` are a request's, by wire name. `on_frame(done, total)` is called after each frame;
    an exception from it ends the work. Raises NotAVideoError if the source cannot be decoded.
    """
    source = probe(path)
    try:
        trim = with_defaults(settings)["trimBorders"]
        picture = picture_box(path, source) if trim else source.whole
        work = plan(settings, source, picture)
        with av.open(str(path)) as container:
            decoded = container.decode(picture_stream(container))
            _write(_result_frames(decoded, work, source), target, work, on_frame)
    except av.FFmpegError as error:
        raise NotAVideoError(f"the video cannot be decoded ({error.strerror})") from error
    return probe(target)


def _result_frames(
    decoded: Iterator[VideoFrame], work: ReframePlan, source: ClipSource
) -> Iterator[VideoFrame]:
    """Yield the result's frames, then the last one forever."""
    first = next(decoded)
    scale = scaling_chain(source, work.crop, work.work, first)
    compose = composition_chain(work)
    count = (work.frames - 1) // work.spacing + 1
    times = (Fraction(work.spacing * number) / work.rate for number in range(count))
    taken = (
        scale.one(with_tick(frame, 0))
        for frame in nearest_frames(chain([first], decoded), times, source.rate)
    )
    made = (compose.one(with_tick(frame, 0)) for frame in _interpolated(taken, work))
    for frame in made:
        yield frame
    yield from repeat(frame)


def nearest_frames(
    frames: Iterable[VideoFrame], times: Iterable[Fraction], rate: Fraction
) -> Iterator[VideoFrame]:
    """Yield the nearest frame for each of these rising times (seconds from the first frame)."""
    stamped = _with_times(frames, rate)
    start, frame = next(stamped)
    now, following = start, next(stamped, None)
    for time in times:
        while following is not None and 2 * (start + time) > now + following[0]:
            (now, frame), following = following, next(stamped, None)
        yield frame


def _with_times(
    frames: Iterable[VideoFrame], rate: Fraction
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Pair each frame with its time in seconds; repair times that are missing or step back."""
    last: Fraction | None = None
    for frame in frames:
        if frame.pts is not None and frame.time_base is not None:
            time = frame.pts * frame.time_base
        else:
            time = Fraction(0) if last is None else last + 1 / rate
        last = time if last is None else max(time, last)
        yield last, frame


def _interpolated(taken: Iterator[VideoFrame], work: ReframePlan) -> Iterator[VideoFrame]:
    """Insert interpolated frames between the taken ones.

    minterpolate needs a frame before and after each gap. So the first frame and the last are each
    pushed twice, and the gap before the first is thrown away.
    """
    if work.spacing == 1:
        yield from taken
        return
    interpolation = interpolation_chain(work.work, work.spacing, by_motion=work.by_motion)
    yield from islice(_push_all(interpolation, taken), work.spacing, None)


def _push_all(interpolation: FilterChain, taken: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    frame = next(taken)
    yield from interpolation.push(with_tick(frame, 0))
    yield from interpolation.push(with_tick(frame, 1))
    tick = 1
    for tick, frame in enumerate(taken, 2):
        yield from interpolation.push(with_tick(frame, tick))
    yield from interpolation.push(with_tick(frame, tick + 1))


def with_tick(frame: VideoFrame, tick: int) -> VideoFrame:
    """Set a frame's time, in the ticks of the filter chains."""
    frame.pts = tick
    frame.time_base = TICK
    return frame


def _write(
    frames: Iterator[VideoFrame],
    target: Path,
    work: ReframePlan,
    on_frame: Callable[[int, int], None],
) -> None:
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(target), "w", format="mp4", options=options) as container:
        stream = _x264_stream(container, work)
        for number, frame in enumerate(islice(frames, work.frames)):
            frame.pts, frame.time_base = number, 1 / work.rate
            container.mux(stream.encode(frame))
            on_frame(number + 1, work.frames)
        container.mux(stream.encode())


def _x264_stream(container: OutputContainer, work: ReframePlan) -> VideoStream:
    stream = container.add_stream(
        "libx264",
        rate=work.rate,
        options={
            "crf": str(work.rate_factor),
            "preset": work.preset,
            "threads": str(_X264_THREADS),
        },
    )
    stream.width, stream.height = work.canvas
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = 1 / work.rate
    stream.color_primaries = stream.color_trc = stream.colorspace = _BT709
    stream.color_range = _TV_RANGE
    return stream
