"""A clip with sound, made from ffmpeg's own sources, for requests without a video."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final

import av
from av.audio.frame import AudioFrame
from av.filter import Graph
from av.video.frame import VideoFrame

SAMPLE_SECONDS: Final = 5
SAMPLE_RATE: Final = 25
_AUDIO_RATE: Final = 44100
_TONE: Final = 330
_COLOURS: Final = "c0=0x12355b:c1=0xd64933:c2=0xf2c14e:c3=0x2e8b7a"


def make_sample(
    path: Path,
    seconds: float = SAMPLE_SECONDS,
    size: str = "1280x720",
    rate: int = SAMPLE_RATE,
    on_frame: Callable[[], None] = lambda: None,
) -> None:
    """Write an MP4 (H.264, AAC) of a moving scene with a tone.

    `seconds` long, `size` in pixels, `rate` in frames per second. `on_frame` is called after
    each frame; an exception from it ends the work.
    """
    width, height = (int(length) for length in size.split("x"))
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        coding = {"crf": "20", "preset": "veryfast", "threads": "2"}
        video = container.add_stream("libx264", rate=rate, options=coding)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=_AUDIO_RATE)
        audio.codec_context.layout = "mono"
        for number, picture in enumerate(
            islice(_scene(width, height, rate), round(seconds * rate))
        ):
            picture.pts, picture.time_base = number, Fraction(1, rate)
            container.mux(video.encode(picture))
            on_frame()
        for sound in _tone(seconds):
            container.mux(audio.encode(sound))
        container.mux(video.encode())
        container.mux(audio.encode())


def _scene(width: int, height: int, rate: int) -> Iterator[VideoFrame]:
    """Yield, endlessly, a test picture with a clock that moves over slowly turning colours."""
    graph = Graph()
    colours = graph.add(
        "gradients", f"s={width}x{height}:r={rate}:n=4:seed=7:speed=0.02:{_COLOURS}"
    )
    clock = graph.add("testsrc2", f"s={width // 6 * 2}x{height // 6 * 2}:r={rate}")
    over = graph.add(
        "overlay",
        "x=(W-w)/2+(W-w)/2.6*sin(2*PI*t/4):y=(H-h)/2+(H-h)/3*sin(2*PI*t/2.5):format=yuv420",
    )
    colours.link_to(over, 0, 0)
    clock.link_to(over, 0, 1)
    graph.link_nodes(over, graph.add("format", "yuv420p"), graph.add("buffersink"))
    graph.configure()
    while True:
        yield graph.vpull()


def _tone(seconds: float) -> Iterator[AudioFrame]:
    graph = Graph()
    tone = graph.add("sine", f"frequency={_TONE}:sample_rate={_AUDIO_RATE}:duration={seconds}")
    plain = graph.add("aformat", "sample_fmts=fltp:channel_layouts=mono")
    graph.link_nodes(tone, plain, graph.add("abuffersink"))
    graph.configure()
    while True:
        try:
            frame = graph.pull()
        except av.EOFError:
            return
        assert isinstance(frame, AudioFrame)  # noqa: S101 - for the type checker
        yield frame
