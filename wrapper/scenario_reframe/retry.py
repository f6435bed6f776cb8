"""Pure decisions: may a call be repeated, and after how many seconds."""

from .errors import (
    ApiError,
    ConnectionFailedError,
    RateLimitedError,
    ReframeError,
    ServerError,
    UnexpectedResponseError,
)

ATTEMPTS = 4
LONGEST_PAUSE = 60.0
"""Seconds. A server that wants a longer pause gets the error raised, with its wish in it."""

REFUSALS = frozenset({400, 401, 403, 404, 405, 413, 415, 422})
"""Replies that prove that a submit made no job. Every other reply but a 2xx leaves it open."""

_PASSING = frozenset({408, 409, 425})
_POLL_FIRST, _POLL_LAST, _POLL_SHARE = 0.25, 5.0, 0.12


def is_passing(error: ReframeError) -> bool:
    """Whether the fault may be gone next time: no connection, 408, 409, 425, 429, 5xx, nonsense."""
    if isinstance(
        error, ConnectionFailedError | ServerError | RateLimitedError | UnexpectedResponseError
    ):
        return True
    return isinstance(error, ApiError) and error.status_code in _PASSING


def back_off(failed: int) -> float:
    """Seconds to wait after so many failures in a row: 0.5, 1, 2, 4, then 8."""
    return float(min(0.5 * 2 ** min(failed - 1, 10), 8.0))


def pause_before_retry(error: ReframeError, failed: int) -> float | None:
    """Seconds until the next attempt at a call that may be repeated, or None to give up."""
    if not is_passing(error) or failed >= ATTEMPTS:
        return None
    wished = wished_pause(error)
    if wished is not None and wished > LONGEST_PAUSE:
        return None
    return max(back_off(failed), wished or 0.0)


def wished_pause(error: ReframeError) -> float | None:
    """The seconds that the server asked for, by `Retry-After` or in the body."""
    return error.retry_after if isinstance(error, ApiError) else None


def poll_pause(waited: float) -> float:
    """Seconds until the next poll: soon at first, then in proportion to the time waited.

    So a job is seen to end at most an eighth of its time late, and never more than 5 s, at the
    cost of a handful of requests a minute (the vendor recommends no interval).
    """
    return min(max(_POLL_FIRST, _POLL_SHARE * waited), _POLL_LAST)
