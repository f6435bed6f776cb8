"""Which removed and added settings look like a rename, and are left to a person."""

import pytest

from _drift.plan import likeness
from scenario_reframe.drift.vendor_settings import KnownSetting, StatedSetting

pytestmark = pytest.mark.any_python

MODE = KnownSetting(name="writeMode", kind="string", choices=("fast", "small"), default="fast")
RATE = KnownSetting(name="frameRate", kind="integer", limits=(5, 30), default=16)
ZOOM = KnownSetting(name="zoomFactor", kind="number", limits=(0, 0.9), default=0)
TRIM = KnownSetting(name="trimBorders", kind="boolean", default=True)
WORDS = KnownSetting(name="prompt", kind="string")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MODE, StatedSetting(name="speed", type="string", choices=("small", "fast"))),
        (MODE, StatedSetting(name="speed", type="string", default="fast")),
        (RATE, StatedSetting(name="speed", type="number", limits=(5, 30), default=16)),
        (ZOOM, StatedSetting(name="zoomAmount", type="number", default=0)),
        (TRIM, StatedSetting(name="cropBorders", type="boolean", default=True)),
        (WORDS, StatedSetting(name="textPrompt", type="string")),
    ],
)
def test_a_rename_is_suspected(old: KnownSetting, new: StatedSetting) -> None:
    """Equal choices, default and bounds, or a similar name, of one type."""
    assert likeness(old, new) > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MODE, StatedSetting(name="writeMode2", type="number")),
        (MODE, StatedSetting(name="colour", type="string", choices=("red", "blue"), default="red")),
        (RATE, StatedSetting(name="strength", type="number", limits=(0, 1), default=16)),
        (ZOOM, StatedSetting(name="sharpness", type="number", default=0)),
        (TRIM, StatedSetting(name="loop", type="boolean", default=True)),
        (WORDS, StatedSetting(name="styleName", type="string")),
    ],
)
def test_no_rename_is_suspected(old: KnownSetting, new: StatedSetting) -> None:
    """Another type, or nothing in common but a frequent default."""
    assert likeness(old, new) == 0
