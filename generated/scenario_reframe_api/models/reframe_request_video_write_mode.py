from typing import Literal

ReframeRequestVideoWriteMode = Literal["balanced", "fast", "small"]

REFRAME_REQUEST_VIDEO_WRITE_MODE_VALUES: set[ReframeRequestVideoWriteMode] = {
    "balanced",
    "fast",
    "small",
}


def check_reframe_request_video_write_mode(value: str) -> ReframeRequestVideoWriteMode:
    if value in REFRAME_REQUEST_VIDEO_WRITE_MODE_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {REFRAME_REQUEST_VIDEO_WRITE_MODE_VALUES!r}"
    )
