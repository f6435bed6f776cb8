"""Small chains of ffmpeg's filters: push one frame, pull those that are ready."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from scenario_reframe.sandbox.reframe_plan import Box, ClipSource, ReframePlan, Size

TICK = Fraction(1, 1000)
# The fill is blurred at an eighth of its size, where it costs next to nothing.
_BLUR_SCALE = 8
_BLUR_SIGMA = 2.5
_SCALER = "bicubic+accurate_rnd"
# Clockwise quarter turns.
_TURNS: tuple[list[tuple[str, str]], ...] = (
    [],
    [("transpose", "clock")],
    [("hflip", ""), ("vflip", "")],
    [("transpose", "cclock")],
)


class FilterChain:
    """A filter graph with one input and one output."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Push a frame and yield every frame that is ready."""
        self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return

    def one(self, frame: VideoFrame) -> VideoFrame:
        """Send a frame through a chain that returns one frame for each."""
        self._graph.vpush(frame)
        return self._graph.vpull()


def scaling_chain(source: ClipSource, crop: Box, size: Size, first: VideoFrame) -> FilterChain:
    """Crop a decoded frame, turn it upright and scale it, to BT.709 4:2:0."""
    turn = _TURNS[source.turns]
    colour_range = "pc" if source.full_range else "tv"
    colours = f"in_color_matrix={source.matrix}:in_range={colour_range}:out_color_matrix=bt709"
    graph = Graph()
    steps = [
        ("crop", f"{crop.width}:{crop.height}:{crop.x}:{crop.y}"),
        *turn,
        ("scale", f"{size.width}:{size.height}:flags={_SCALER}:{colours}:out_range=tv"),
        ("format", "yuv420p"),
        ("setsar", "1"),
    ]
    nodes = [graph.add(name, args or None) for name, args in steps]
    stored = Size(first.width, first.height)
    graph.link_nodes(buffer(graph, stored, first.format.name), *nodes, graph.add("buffersink"))
    graph.configure()
    return FilterChain(graph)


def interpolation_chain(size: Size, spacing: int, *, by_motion: bool) -> FilterChain:
    """Insert `spacing` - 1 frames between each two frames, which are one tick apart."""
    graph = Graph()
    mode = "mci" if by_motion else "blend"
    rate = spacing / TICK
    middle = graph.add("minterpolate", f"fps={rate}:mi_mode={mode}")
    graph.link_nodes(buffer(graph, size, "yuv420p"), middle, graph.add("buffersink"))
    graph.configure()
    return FilterChain(graph)


def composition_chain(plan: ReframePlan) -> FilterChain:
    """Lay the fitted picture on a canvas filled with a blurred copy of it."""
    graph = Graph()
    source = buffer(graph, plan.work, "yuv420p")
    fit = graph.add("scale", f"{plan.fit.width}:{plan.fit.height}:flags={_SCALER}")
    if plan.fit == plan.canvas:
        graph.link_nodes(source, fit, graph.add("format", "yuv420p"), graph.add("buffersink"))
        graph.configure()
        return FilterChain(graph)
    both = graph.add("split")
    x, y = (plan.canvas.width - plan.fit.width) // 4 * 2, (plan.canvas.height - plan.fit.height)
    over = graph.add("overlay", f"{x}:{y // 4 * 2}:format=yuv420")
    source.link_to(both)
    both.link_to(_fill(graph, plan, over), 0)
    both.link_to(fit, 1)
    fit.link_to(over, 0, 1)
    graph.link_nodes(over, graph.add("format", "yuv420p"), graph.add("buffersink"))
    graph.configure()
    return FilterChain(graph)


def _fill(graph: Graph, plan: ReframePlan, over: FilterContext) -> FilterContext:
    """Add the blurred background; return its input."""
    small = Size(*(length // (2 * _BLUR_SCALE) * 2 for length in plan.canvas))
    cover = graph.add(
        "scale",
        f"{small.width}:{small.height}:flags=area:force_original_aspect_ratio=increase",
    )
    crop = graph.add("crop", f"{small.width}:{small.height}")
    blur = graph.add("gblur", f"sigma={_BLUR_SIGMA}:steps=2")
    enlarge = graph.add("scale", f"{plan.canvas.width}:{plan.canvas.height}:flags=bicubic")
    graph.link_nodes(cover, crop, blur, enlarge)
    enlarge.link_to(over, 0, 0)
    return cover


def buffer(graph: Graph, size: Size, pixel_format: str) -> FilterContext:
    """Add an input to a graph."""
    return graph.add(
        "buffer",
        f"video_size={size.width}x{size.height}:pix_fmt={pixel_format}"
        f":time_base={TICK}:pixel_aspect=1/1:frame_rate={1 / TICK}",
    )
