"""Reference values: what the vendor's page said when it was last read by a person.

A page that `scripts/drift --apply` follows may say otherwise, and this file stays as it is. So a
test that needs to know what holds today asks the spec; one that takes a value from here sends it.
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
