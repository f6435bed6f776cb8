from typing import Literal

JobActionRequestAction = Literal["cancel"]

JOB_ACTION_REQUEST_ACTION_VALUES: set[JobActionRequestAction] = {
    "cancel",
}


def check_job_action_request_action(value: str) -> JobActionRequestAction:
    if value in JOB_ACTION_REQUEST_ACTION_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {JOB_ACTION_REQUEST_ACTION_VALUES!r}"
    )
