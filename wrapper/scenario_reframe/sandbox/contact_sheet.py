"""A before-and-after picture: three moments, the source above the result."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final

import av
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from scenario_reframe.sandbox.ffmpeg_filters import buffer, scaling_chain
from scenario_reframe.sandbox.probing import picture_stream, probe
from scenario_reframe.sandbox.reframe_plan import Size, fitted
from scenario_reframe.sandbox.video_encoding import nearest_frames, with_tick

_MOMENTS: Final = (Fraction(1, 10), Fraction(1, 2), Fraction(9, 10))
_MARGIN: Final = 12
# Three cells and four margins are 1200 pixels, the width of a README's picture.
_CELL_SIZE: Final = Size(384, 480)
_BACKGROUND: Final = "white"


def before_after(source: Path, result: Path, png: Path) -> None:
    """Write a PNG of three moments of a source (above) and of its result (below).

    The moments are at 10, 50 and 90 % of the result's duration; a shorter source shows its last
    frame. Raises NotAVideoError.
    """
    length = Fraction(probe(result).duration)
    times = [moment * length for moment in _MOMENTS]
    _sheet([list(_cell_frames(path, times)) for path in (source, result)]).save(png)


def _cell_frames(path: Path, times: Sequence[Fraction]) -> Iterator[VideoFrame]:
    """Yield a video's frames nearest to these times (seconds), upright and scaled for a cell."""
    source = probe(path)
    with av.open(str(path)) as container:
        decoded = container.decode(picture_stream(container))
        first = next(decoded)
        scale = scaling_chain(source, source.whole, fitted(source.shown, _CELL_SIZE), first)
        for frame in nearest_frames(chain([first], decoded), times, source.rate):
            yield scale.one(with_tick(frame, 0))


def _sheet(rows: Sequence[Sequence[VideoFrame]]) -> VideoFrame:
    """Lay out rows of equally sized frames on a plain background."""
    graph = Graph()
    below = graph.add("vstack", f"inputs={len(rows)}")
    for row_number, row in enumerate(rows):
        beside = graph.add("hstack", f"inputs={len(row)}")
        for number, frame in enumerate(row):
            _cell(graph, frame).link_to(beside, 0, number)
        beside.link_to(below, 0, row_number)
    edge = graph.add("pad", f"iw+{_MARGIN}:ih+{_MARGIN}:-1:-1:{_BACKGROUND}")
    graph.link_nodes(below, edge, graph.add("buffersink"))
    graph.configure()
    for number, frame in enumerate(chain.from_iterable(rows)):
        graph.vpush(frame, at=number)
    return graph.vpull()


def _cell(graph: Graph, frame: VideoFrame) -> FilterContext:
    """Convert one frame to a screen's colours, with half a margin on each side."""
    source = buffer(graph, Size(frame.width, frame.height), "yuv420p")
    colours = graph.add("scale", "in_color_matrix=bt709:in_range=tv:out_range=pc")
    plain = graph.add("format", "rgb24")
    edge = graph.add("pad", f"{_CELL_SIZE.width + _MARGIN}:ih+{_MARGIN}:-1:-1:{_BACKGROUND}")
    graph.link_nodes(source, colours, plain, edge)
    return edge
