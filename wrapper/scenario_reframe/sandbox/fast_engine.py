"""An engine that does not reframe, for tests with many jobs.

Its results are MP4 files as far as their first box. Their bytes follow from the settings and the
source's content.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Final

from scenario_reframe.sandbox.probing import NotAVideoError
from scenario_reframe.sandbox.records import SandboxJob
from scenario_reframe.sandbox.reframe_plan import ClipSource, plan
from scenario_reframe.sandbox.sample_clip import SAMPLE_RATE, SAMPLE_SECONDS
from scenario_reframe.sandbox.state import SandboxState
from scenario_reframe_api.settings import VIDEO_FIELD

_FILE_TYPE: Final = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp41")
_SMALLEST: Final = 4 * 1024
_LARGEST: Final = 100 * 1024
_MATROSKA: Final = b"\x1a\x45\xdf\xa3"
_HEAD_BYTES: Final = 12
_MP4_NAMES: Final = "mov,mp4,m4a,3gp,3g2,mj2"
_WEBM_NAMES: Final = "matroska,webm"
_NO_VIDEO: Final = hashlib.sha256(b"").hexdigest()


class FastEngine:
    """Makes small results of meaningless bytes, without a thread or a timer.

    A job's result exists as soon as the job does; its statuses follow each other by the clock.
    """

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def probe(self, path: Path) -> ClipSource:
        """Accept any file that begins like a video, as a clip of five seconds."""
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if head.startswith(_MATROSKA):
            return _source_facts(_WEBM_NAMES, "vp9", path.stat().st_size)
        if head[4:8] == b"ftyp":
            return _source_facts(_MP4_NAMES, "h264", path.stat().st_size)
        raise NotAVideoError("the file does not begin like a video")

    def start(self, job: SandboxJob) -> None:
        """Make the job's result and schedule its statuses."""
        video = self._state.assets.get(job.input.get(VIDEO_FIELD, ""))
        content = fast_result(job.input, video.digest if video else _NO_VIDEO)
        source = video.source if video else _source_facts(_MP4_NAMES, "h264", 0)
        path = self._state.folder / f"{job.id}.mp4"
        path.write_bytes(content)
        made = _result_facts(job, source, len(content))
        asset = self._state.new_asset(path, made, "video/mp4", job.owner, job)
        job.share_done, job.asset_id = 0.5, asset.id
        for status in ("warming-up", "in-progress", "finalizing", "success"):
            job.timeline.reach(status)


def fast_result(settings: dict[str, object], source_digest: str) -> bytes:
    """Return the fast engine's result for a request's body and its source's SHA-256, in hex.

    It has 4 KiB to 100 KiB, more than 64 KiB in over a third of all cases.
    """
    known = {name: value for name, value in settings.items() if name != VIDEO_FIELD}
    text = json.dumps([known, source_digest], sort_keys=True)
    key = hashlib.sha256(text.encode()).digest()
    size = _SMALLEST + int.from_bytes(key[:4]) % (_LARGEST - _SMALLEST)
    data_box = struct.pack(">I4s", size - len(_FILE_TYPE), b"mdat")
    stream = bytearray(_FILE_TYPE + data_box)
    for block in _blocks(key):
        stream += block
        if len(stream) >= size:
            break
    return bytes(stream[:size])


def _blocks(key: bytes) -> Iterator[bytes]:
    """Yield SHA-256 in counter mode, endlessly."""
    start = hashlib.sha256(key)
    for number in count():
        block = start.copy()
        block.update(number.to_bytes(8))
        yield block.digest()


def _source_facts(container: str, codec: str, size: int) -> ClipSource:
    return ClipSource(
        width=1280,
        height=720,
        pixel_aspect=Fraction(1),
        turns=0,
        frames=SAMPLE_SECONDS * SAMPLE_RATE,
        rate=Fraction(SAMPLE_RATE),
        duration=float(SAMPLE_SECONDS),
        matrix="bt709",
        full_range=False,
        codec=codec,
        bit_rate=8 * size // SAMPLE_SECONDS,
        container=container,
    )


def _result_facts(job: SandboxJob, source: ClipSource, size: int) -> ClipSource:
    """The facts of a real result of the request, except for its size."""
    work = plan(job.input, source, source.whole)
    seconds = float(work.frames / work.rate)
    return ClipSource(
        width=work.canvas.width,
        height=work.canvas.height,
        pixel_aspect=Fraction(1),
        turns=0,
        frames=work.frames,
        rate=work.rate,
        duration=seconds,
        matrix="bt709",
        full_range=False,
        codec="h264",
        bit_rate=round(8 * size / seconds),
        container=_MP4_NAMES,
    )
