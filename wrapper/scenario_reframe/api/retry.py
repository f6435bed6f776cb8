"""Decides whether a call may be repeated, and after how many seconds. No I/O."""

from scenario_reframe.errors import (
    ApiError,
    ConnectionFailedError,
    RateLimitedError,
    ReframeError,
    ServerError,
    UnexpectedResponseError,
)
from scenario_reframe.timing import Timing

ATTEMPTS = 4

_TRANSIENT = frozenset({408, 409, 425})


def is_transient(error: ReframeError) -> bool:
    """Whether a retry may help: no connection, 408, 409, 425, 429, 5xx, an unreadable 2xx."""
    if isinstance(
        error, ConnectionFailedError | ServerError | RateLimitedError | UnexpectedResponseError
    ):
        return True
    return isinstance(error, ApiError) and error.status_code in _TRANSIENT


def pause_before_retry(error: ReframeError, failed: int, timing: Timing) -> float | None:
    """Seconds until the next attempt, after `failed` failures; None to give up."""
    if not is_transient(error) or failed >= ATTEMPTS:
        return None
    requested = requested_pause(error)
    if requested is not None and requested > timing.longest_requested_pause:
        return None
    return max(timing.back_off(failed), requested or 0.0)


def requested_pause(error: ReframeError) -> float | None:
    """The seconds to wait that the server asked for, if any."""
    return error.retry_after if isinstance(error, ApiError) else None
