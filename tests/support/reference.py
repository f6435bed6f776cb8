"""Reference values: the vendor's page as it was when a person last read it.

`scripts/drift --apply` may follow a newer page, and does not change this file. So a test that
needs what holds today reads the spec; values from here serve only as something to send.
"""

from typing import Any, Final

# Name, type and default of each parameter, in the page's order.
PAGE: Final[tuple[tuple[str, str, Any], ...]] = (
    ("prompt", "string", None),
    ("negativePrompt", "string", None),
    ("matchInputNumFrames", "boolean", False),
    ("numFrames", "number", 81),
    ("matchInputFramesPerSecond", "boolean", False),
    ("framesPerSecond", "number", 16),
    ("resolution", "string", "720p"),
    ("aspectRatio", "string", "auto"),
    ("numInferenceSteps", "number", 30),
    ("guidanceScale", "number", 5),
    ("enablePromptExpansion", "boolean", False),
    ("acceleration", "string", "regular"),
    ("videoQuality", "string", "high"),
    ("videoWriteMode", "string", "balanced"),
    ("numInterpolatedFrames", "number", 1),
    ("interpolatorModel", "string", "film"),
    ("zoomFactor", "number", 0),
    ("trimBorders", "boolean", True),
    ("temporalDownsampleFactor", "number", 0),
    ("seed", "number", None),
)

# The page's example request gives every setting that has a default, at that default.
EXAMPLE: Final = {name: default for name, _, default in PAGE if default is not None}
