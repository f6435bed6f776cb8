from typing import Literal

ReframeRequestResolution = Literal["480p", "580p", "720p"]

REFRAME_REQUEST_RESOLUTION_VALUES: set[ReframeRequestResolution] = {
    "480p",
    "580p",
    "720p",
}


def check_reframe_request_resolution(value: str) -> ReframeRequestResolution:
    if value in REFRAME_REQUEST_RESOLUTION_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {REFRAME_REQUEST_RESOLUTION_VALUES!r}"
    )
