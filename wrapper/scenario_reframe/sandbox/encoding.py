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
from scenario_reframe.sandbox.ffmpeg_filters import TICK, Chain, composing, interpolating, preparing
from scenario_reframe.sandbox.probing import NotAVideoError, picture_stream, probe
from scenario_reframe.sandbox.reframe_plan import ClipSource, ReframePlan, plan, with_defaults

# One: x264's bytes depend on the number, and with two, which make a slice each at the same time, a
# result once had another byte in its second slice.
_X264_THREADS: Final = 1
_BT709: Final = 1
_TV_RANGE: Final = 1


def reframe(
    path: Path,
    target: Path,
    settings: Mapping[str, Any],
    on_frame: Callable[[int, int], None] = lambda _done, _all: None,
) -> ClipSource:
    """Reframe a video file into an MP4 and give the facts of what was made.

    `settings` are a request's, by wire name. `on_frame(done, all)` is called after each frame;
    what it raises ends the work. Raises NotAVideoError when the source cannot be decoded.
    """
    source = probe(path)
    try:
        trim = with_defaults(settings)["trimBorders"]
        picture = picture_box(path, source) if trim else source.whole
        work = plan(settings, source, picture)
        with av.open(str(path)) as container:
            decoded = container.decode(picture_stream(container))
            _encode(_made(decoded, work, source), target, work, on_frame)
    except av.FFmpegError as error:
        raise NotAVideoError(f"the video cannot be decoded ({error.strerror})") from error
    return probe(target)


def _made(
    decoded: Iterator[VideoFrame], work: ReframePlan, source: ClipSource
) -> Iterator[VideoFrame]:
    """Give the result's frames, endlessly: the last one is held."""
    first = next(decoded)
    prepare = preparing(source, work.crop, work.work, first)
    compose = composing(work)
    count = (work.frames - 1) // work.spacing + 1
    times = (Fraction(work.spacing * number) / work.rate for number in range(count))
    taken = (
        prepare.one(at(frame, 0)) for frame in nearest(chain([first], decoded), times, source.rate)
    )
    made = (compose.one(at(frame, 0)) for frame in _filled(taken, work))
    for frame in made:
        yield frame
    yield from repeat(frame)


def nearest(
    frames: Iterable[VideoFrame], times: Iterable[Fraction], rate: Fraction
) -> Iterator[VideoFrame]:
    """Give for each of the rising times, in seconds from the first frame, the nearest frame."""
    stamped = _stamped(frames, rate)
    begin, frame = next(stamped)
    now, following = begin, next(stamped, None)
    for time in times:
        while following is not None and 2 * (begin + time) > now + following[0]:
            (now, frame), following = following, next(stamped, None)
        yield frame


def _stamped(frames: Iterable[VideoFrame], rate: Fraction) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Put its time, in seconds, to each frame; none has one, or steps back, in a sound file."""
    last: Fraction | None = None
    for frame in frames:
        if frame.pts is not None and frame.time_base is not None:
            time = frame.pts * frame.time_base
        else:
            time = Fraction(0) if last is None else last + 1 / rate
        last = time if last is None else max(time, last)
        yield last, frame


def _filled(taken: Iterator[VideoFrame], work: ReframePlan) -> Iterator[VideoFrame]:
    """Put interpolated frames between the taken ones.

    minterpolate looks one frame back and ahead, and gives nothing of what it could not see past.
    So the first frame goes in once more before and the last once more after, and the gap before
    the first is thrown away.
    """
    if work.spacing == 1:
        yield from taken
        return
    between = interpolating(work.work, work.spacing, by_motion=work.by_motion)
    yield from islice(_through(between, taken), work.spacing, None)


def _through(between: Chain, taken: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    frame = next(taken)
    yield from between.push(at(frame, 0))
    yield from between.push(at(frame, 1))
    tick = 1
    for tick, frame in enumerate(taken, 2):
        yield from between.push(at(frame, tick))
    yield from between.push(at(frame, tick + 1))


def at(frame: VideoFrame, tick: int) -> VideoFrame:
    """Give a frame another time, in the ticks that chains of filters count."""
    frame.pts = tick
    frame.time_base = TICK
    return frame


def _encode(
    frames: Iterator[VideoFrame],
    target: Path,
    work: ReframePlan,
    on_frame: Callable[[int, int], None],
) -> None:
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(target), "w", format="mp4", options=options) as container:
        stream = _x264(container, work)
        for number, frame in enumerate(islice(frames, work.frames)):
            frame.pts, frame.time_base = number, 1 / work.rate
            container.mux(stream.encode(frame))
            on_frame(number + 1, work.frames)
        container.mux(stream.encode())


def _x264(container: OutputContainer, work: ReframePlan) -> VideoStream:
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
