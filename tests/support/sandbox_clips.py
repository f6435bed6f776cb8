"""Makes small clips whose frames can be told apart, reads them back, and sends them."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import httpx
import numpy as np
from numpy.typing import NDArray

from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.video_encoding import reframe
from scenario_reframe_api.settings import MODEL_ID
from waiting import Clock, until

Picture = NDArray[np.uint8]

GENERATE: Final = f"/generate/custom/{MODEL_ID}"
# Every setting that affects a result, so that no test depends on the spec's defaults.
PLAIN: Final = {
    "resolution": "480p", "aspectRatio": "auto", "zoomFactor": 0, "trimBorders": True,
    "matchInputNumFrames": False, "numFrames": 81,
    "matchInputFramesPerSecond": False, "framesPerSecond": 16,
    "numInterpolatedFrames": 0, "temporalDownsampleFactor": 0, "interpolatorModel": "film",
    "videoQuality": "high", "videoWriteMode": "balanced",
}  # fmt: skip
QUICK: Final = PLAIN | {"aspectRatio": "1:1", "videoWriteMode": "fast"}
MP4: Final = b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 9
WEBM: Final = b"\x1a\x45\xdf\xa3" + bytes(5000)
"""Bytes that the fast engine accepts as videos."""
STAGE: Final = 10
"""Seconds that each status lasts in a sandbox with a test clock."""
FINAL: Final = frozenset({"success", "failure", "imported", "failed"})

WIDTH, HEIGHT = 160, 90
GROUND, BAR = 70, 225
BAR_WIDTH = 8
STEP = 2
FIRST = 16


def bar_picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A gray picture with a bright bar whose position encodes the frame's number."""
    picture = np.full((height, width, 3), GROUND, np.uint8)
    left = FIRST + STEP * number
    picture[:, left : left + BAR_WIDTH] = BAR
    return picture


@dataclass
class ClipOptions:
    """How to write a clip; `times` are its frames' times in seconds."""

    rate: Fraction = Fraction(25)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    pixel_aspect: Fraction = Fraction(1)
    rotation: float = 0
    times: Sequence[Fraction] | None = None


def write_clip(path: Path, pictures: Sequence[Picture], options: ClipOptions | None = None) -> Path:
    """Write pictures (RGB) as a video file."""
    made = options or ClipOptions()
    tick = Fraction(1, 90000) if made.times else 1 / made.rate
    coding = {"libx264": {"crf": "4"}, "libvpx-vp9": {"crf": "4", "b": "0"}}.get(made.codec, {})
    with av.open(str(path), "w") as container:
        stream = container.add_stream(made.codec, rate=made.rate, options=coding)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = made.pixel_format
        stream.codec_context.sample_aspect_ratio = made.pixel_aspect
        stream.codec_context.time_base = tick
        if made.rotation:
            stream.set_display_rotation(made.rotation)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture)
            time = made.times[number] if made.times else number / made.rate
            frame.pts, frame.time_base = round(time / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def bar_clip(path: Path, frames: int = 40, options: ClipOptions | None = None) -> Path:
    """Write a clip of the moving bar."""
    return write_clip(path, [bar_picture(number) for number in range(frames)], options)


@dataclass
class Result:
    """A video read back: its frames as RGB, its rate in frames per second, its streams' types."""

    path: Path
    frames: list[Picture]
    rate: Fraction
    streams: Sequence[str]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.frames[0].shape[:2]
        return width, height

    @property
    def numbers(self) -> list[float]:
        """The source frame that each frame shows, read from its bar; a fraction is between two."""
        return [bar_number(frame) for frame in self.frames]


def rgb(frame: av.VideoFrame) -> Picture:
    """A decoded frame's pixels."""
    return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def read(path: Path) -> Result:
    """Read a whole video file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        kinds = [one.type for one in container.streams]
        return Result(path, [rgb(frame) for frame in container.decode(stream)], rate, kinds)


def bar_number(frame: Picture) -> float:
    """The frame number that the bar encodes, in a frame that shows the whole source."""
    width = frame.shape[1]
    row = frame[frame.shape[0] // 2].mean(axis=1) - GROUND
    light = np.clip(row - (BAR - GROUND) / 4, 0, None)
    centre = float((light * np.arange(width)).sum() / light.sum()) + 0.5
    return float(centre * WIDTH / width - FIRST - BAR_WIDTH / 2) / STEP


def reframed(source: Path, folder: Path, name: str = "result", **settings: object) -> Result:
    """Reframe a clip with settings by wire name and read the result; small and plain by default.

    The sandbox's encoder has no lower bound of `numFrames`, so tests can be quick.
    """
    target = folder / f"{name}.mp4"
    reframe(source, target, PLAIN | {"numFrames": 12, "videoWriteMode": "fast"} | settings)
    return read(target)


class Client(httpx.Client):
    """An HTTP client of a sandbox's API; `files` is one of its file host, without credentials.

    If the sandbox has a test clock, waiting for a record moves it.
    """

    def __init__(self, sandbox: Sandbox, clock: Clock | None = None) -> None:
        auth = (sandbox.api_key, sandbox.api_secret)
        super().__init__(base_url=sandbox.base_url, auth=auth, timeout=60)
        self.files = httpx.Client(timeout=60)
        self.sandbox = sandbox
        self._clock = clock

    def close(self) -> None:
        """Close both connections."""
        self.files.close()
        super().close()

    def settled(self, path: str, key: str) -> dict[str, Any]:
        """Poll a JSON object until its status is final."""

        def final() -> dict[str, Any] | None:
            if self._clock:
                self._clock.forward(1)
            record: dict[str, Any] = self.get(path).raise_for_status().json()[key]
            return record if record["status"] in FINAL else None

        return until(final)

    def upload(self, content: bytes, parts: int = 1, **changed: object) -> dict[str, Any]:
        """Upload a file in parts and wait for it."""
        announced = {
            "kind": "video",
            "fileName": "clip.mp4",
            "contentType": "video/mp4",
            "fileSize": len(content),
            "parts": parts,
        }
        made = self.post("/uploads", json=announced | changed).raise_for_status().json()["upload"]
        size = -(-len(content) // parts)
        for part in made["parts"]:
            begin = (int(part["number"]) - 1) * size
            piece = content[begin : begin + size]
            self.files.put(part["url"], content=piece).raise_for_status()
        action = f"/uploads/{made['id']}/action"
        self.post(action, json={"action": "complete"}).raise_for_status()
        return self.settled(f"/uploads/{made['id']}", "upload")


@contextmanager
def by_a_clock(*, fast: bool = True, **options: Any) -> Iterator[tuple[Client, Clock]]:
    """A client of a sandbox with a test clock, and the clock."""
    clock = Clock()
    with (
        Sandbox(fast=fast, stage_seconds=STAGE, clock=clock, **options) as sandbox,
        closing(Client(sandbox, clock)) as client,
    ):
        yield client, clock
