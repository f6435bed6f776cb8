from typing import Literal

UploadActionRequestAction = Literal["complete"]

UPLOAD_ACTION_REQUEST_ACTION_VALUES: set[UploadActionRequestAction] = {
    "complete",
}


def check_upload_action_request_action(value: str) -> UploadActionRequestAction:
    if value in UPLOAD_ACTION_REQUEST_ACTION_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {UPLOAD_ACTION_REQUEST_ACTION_VALUES!r}"
    )
