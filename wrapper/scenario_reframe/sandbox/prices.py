"""The sandbox's prices: invented, as the vendor publishes none for this model."""

from collections.abc import Mapping
from typing import Any, Final

from scenario_reframe.sandbox.reframe_plan import lines_of, with_defaults

# Creative units for 81 frames, per line of the short side.
_PER_LINE: Final = 60 / 720
_FRAMES: Final = 81


def price(given: Mapping[str, Any], frames: int) -> float:
    """Price a request in creative units by its lines and frames, rounded to a quarter."""
    lines = lines_of(with_defaults(given))
    return round(4 * lines * _PER_LINE * frames / _FRAMES) / 4
