from typing import Literal

ReframeRequestAcceleration = Literal["none", "regular"]

REFRAME_REQUEST_ACCELERATION_VALUES: set[ReframeRequestAcceleration] = {
    "none",
    "regular",
}


def check_reframe_request_acceleration(value: str) -> ReframeRequestAcceleration:
    if value in REFRAME_REQUEST_ACCELERATION_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {REFRAME_REQUEST_ACCELERATION_VALUES!r}"
    )
