from typing import Literal

GenerateReframeDryRun = Literal["api", "false", "true"]

GENERATE_REFRAME_DRY_RUN_VALUES: set[GenerateReframeDryRun] = {
    "api",
    "false",
    "true",
}


def check_generate_reframe_dry_run(value: str) -> GenerateReframeDryRun:
    if value in GENERATE_REFRAME_DRY_RUN_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {GENERATE_REFRAME_DRY_RUN_VALUES!r}"
    )
