from typing import Literal

ReframeRequestAspectRatio = Literal["16:9", "1:1", "9:16", "auto"]

REFRAME_REQUEST_ASPECT_RATIO_VALUES: set[ReframeRequestAspectRatio] = {
    "16:9",
    "1:1",
    "9:16",
    "auto",
}


def check_reframe_request_aspect_ratio(value: str) -> ReframeRequestAspectRatio:
    if value in REFRAME_REQUEST_ASPECT_RATIO_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {REFRAME_REQUEST_ASPECT_RATIO_VALUES!r}"
    )
