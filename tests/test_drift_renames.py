"""Which removed and added settings look like a rename, and so are left to a person."""

import pytest

from _drift.plan import likeness
from scenario_reframe.drift.stated_settings import Known, Stated

pytestmark = pytest.mark.any_python

MODE = Known(name="writeMode", kind="string", choices=("fast", "small"), default="fast")
RATE = Known(name="frameRate", kind="integer", limits=(5, 30), default=16)
ZOOM = Known(name="zoomFactor", kind="number", limits=(0, 0.9), default=0)
TRIM = Known(name="trimBorders", kind="boolean", default=True)
WORDS = Known(name="prompt", kind="string")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MODE, Stated(name="speed", type="string", choices=("small", "fast"))),
        (MODE, Stated(name="speed", type="string", default="fast")),
        (RATE, Stated(name="speed", type="number", limits=(5, 30), default=16)),
        (ZOOM, Stated(name="zoomAmount", type="number", default=0)),
        (TRIM, Stated(name="cropBorders", type="boolean", default=True)),
        (WORDS, Stated(name="textPrompt", type="string")),
    ],
)
def test_a_rename_is_suspected(old: Known, new: Stated) -> None:
    """The same choices, default and bounds, or a like name, of one type."""
    assert likeness(old, new) > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MODE, Stated(name="writeMode2", type="number")),
        (MODE, Stated(name="colour", type="string", choices=("red", "blue"), default="red")),
        (RATE, Stated(name="strength", type="number", limits=(0, 1), default=16)),
        (ZOOM, Stated(name="sharpness", type="number", default=0)),
        (TRIM, Stated(name="loop", type="boolean", default=True)),
        (WORDS, Stated(name="styleName", type="string")),
    ],
)
def test_no_rename_is_suspected(old: Known, new: Stated) -> None:
    """Another type, or nothing in common but a default that many have."""
    assert likeness(old, new) == 0
