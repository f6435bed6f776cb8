from typing import Literal

ReframeRequestVideoQuality = Literal["high", "low", "maximum", "medium"]

REFRAME_REQUEST_VIDEO_QUALITY_VALUES: set[ReframeRequestVideoQuality] = {
    "high",
    "low",
    "maximum",
    "medium",
}


def check_reframe_request_video_quality(value: str) -> ReframeRequestVideoQuality:
    if value in REFRAME_REQUEST_VIDEO_QUALITY_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {REFRAME_REQUEST_VIDEO_QUALITY_VALUES!r}"
    )
