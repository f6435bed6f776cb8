from typing import Literal

ReframeRequestInterpolatorModel = Literal["film", "rife"]

REFRAME_REQUEST_INTERPOLATOR_MODEL_VALUES: set[ReframeRequestInterpolatorModel] = {
    "film",
    "rife",
}


def check_reframe_request_interpolator_model(value: str) -> ReframeRequestInterpolatorModel:
    if value in REFRAME_REQUEST_INTERPOLATOR_MODEL_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {REFRAME_REQUEST_INTERPOLATOR_MODEL_VALUES!r}"
    )
