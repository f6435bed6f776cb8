"""What the sandbox charges. The vendor publishes no prices for this model: these are invented."""

from collections.abc import Mapping
from typing import Any, Final

from scenario_reframe.sandbox.reframe_plan import lines_of, with_defaults

# Creative units for 81 frames, by lines of the short side; others are in proportion to 720.
_PER_LINE: Final = 60 / 720
_FRAMES: Final = 81


def price(given: Mapping[str, Any], frames: int) -> float:
    """Price a request in creative units: by lines and by frames, in quarters of a unit."""
    lines = lines_of(with_defaults(given))
    return round(4 * lines * _PER_LINE * frames / _FRAMES) / 4
