from typing import Literal

UploadRequestKind = Literal["video"]

UPLOAD_REQUEST_KIND_VALUES: set[UploadRequestKind] = {
    "video",
}


def check_upload_request_kind(value: str) -> UploadRequestKind:
    if value in UPLOAD_REQUEST_KIND_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {UPLOAD_REQUEST_KIND_VALUES!r}")
