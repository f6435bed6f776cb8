"""Read the facts of a video file, and check that it is one."""

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from scenario_reframe.sandbox.reframe_plan import ClipSource

# ffmpeg's AVColorSpace and AVColorRange, for which PyAV has no names in both directions.
_MATRIX_NAMES: Final = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_FULL_RANGE: Final = 2
_HD_LINES: Final = 720
_FALLBACK_RATE: Final = Fraction(25)
_SLOWEST: Final = Fraction(1, 100)
_FASTEST: Final = 240


class NotAVideoError(Exception):
    """The file holds no video that can be decoded; the message gives the reason."""


def probe(path: Path) -> ClipSource:
    """Read a video file's facts and decode its first frame.

    Raises NotAVideoError if there is none.
    """
    try:
        with av.open(str(path)) as container:
            stream = picture_stream(container)
            frame = next(container.decode(stream), None)
            if frame is None:
                raise NotAVideoError("the file holds no frame that can be decoded")
            return _source_of(path, container, stream, frame)
    except av.FFmpegError as error:
        raise NotAVideoError(f"the file cannot be read as a video ({error.strerror})") from error


def picture_stream(container: InputContainer) -> VideoStream:
    """Return the file's first video stream, set to decode on several threads."""
    if not container.streams.video:
        raise NotAVideoError("the file holds no video stream")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _source_of(
    path: Path, container: InputContainer, stream: VideoStream, frame: VideoFrame
) -> ClipSource:
    frames = stream.frames or _count_packets(path)
    duration = _duration(container, stream)
    rate = _rate(stream, frames, duration)
    return ClipSource(
        width=frame.width,
        height=frame.height,
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        turns=round(-frame.rotation / 90) % 4,
        frames=frames,
        rate=rate,
        duration=duration or float(frames / rate),
        matrix=_MATRIX_NAMES.get(frame.colorspace)
        or ("bt709" if frame.height >= _HD_LINES else "bt601"),
        full_range=frame.color_range == _FULL_RANGE,
        codec=stream.codec_context.name,
        bit_rate=stream.bit_rate or container.bit_rate or 0,
        container=container.format.name,
    )


def _count_packets(path: Path) -> int:
    """Count the packets of a file whose header has no number of frames (WebM)."""
    with av.open(str(path)) as container:
        stream = picture_stream(container)
        return sum(1 for packet in container.demux(stream) if packet.size)


def _duration(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _rate(stream: VideoStream, frames: int, duration: float) -> Fraction:
    """Frames per second; a lone frame may have none, and some headers are wrong."""
    counted = Fraction(frames / duration) if duration else None
    for rate in (stream.average_rate, counted):
        if rate and _SLOWEST <= rate <= _FASTEST:
            return rate.limit_denominator(1001)
    return _FALLBACK_RATE
