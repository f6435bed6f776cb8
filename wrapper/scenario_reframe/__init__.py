"""Reframes video with Scenario's Wan 2.2 Reframe: one paid job per submit, nothing lost.

    from scenario_reframe import ReframeClient

    with ReframeClient() as client:
        result = client.reframe("clip.mp4", "clip-9x16.mp4", aspect_ratio="9:16")

Names load when they are used: importing this package loads neither httpx nor the models.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_reframe_api.settings import ReframeSettings

    from .async_client import AsyncReframeClient
    from .batch import BatchEvent, BatchItem, BatchOutcome
    from .client import ReframeClient
    from .errors import (
        ApiError,
        AuthenticationError,
        ConfigurationError,
        ConnectionFailedError,
        DownloadError,
        InvalidBatchError,
        InvalidInputError,
        InvalidSettingsError,
        InvalidVideoError,
        JobCanceledError,
        JobFailedError,
        LedgerBusyError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitedError,
        ReframeError,
        ServerError,
        SubmissionUncertainError,
        UnexpectedResponseError,
        UploadError,
        WaitTimeoutError,
    )
    from .ledger.interface import Entry
    from .models import Asset, Estimate, Job, ReframeResult, Submission

__all__ = [
    "ApiError",
    "Asset",
    "AsyncReframeClient",
    "AuthenticationError",
    "BatchEvent",
    "BatchItem",
    "BatchOutcome",
    "ConfigurationError",
    "ConnectionFailedError",
    "DownloadError",
    "Entry",
    "Estimate",
    "InvalidBatchError",
    "InvalidInputError",
    "InvalidSettingsError",
    "InvalidVideoError",
    "Job",
    "JobCanceledError",
    "JobFailedError",
    "LedgerBusyError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitedError",
    "ReframeClient",
    "ReframeError",
    "ReframeResult",
    "ReframeSettings",
    "ServerError",
    "Submission",
    "SubmissionUncertainError",
    "UnexpectedResponseError",
    "UploadError",
    "WaitTimeoutError",
]

_MODULES = {
    **dict.fromkeys(("BatchEvent", "BatchItem", "BatchOutcome"), ".batch"),
    **dict.fromkeys(("Asset", "Estimate", "Job", "ReframeResult", "Submission"), ".models"),
    "AsyncReframeClient": ".async_client",
    "Entry": ".ledger.interface",
    "ReframeClient": ".client",
    "ReframeSettings": "scenario_reframe_api.settings",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_MODULES.get(name, ".errors"), __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
