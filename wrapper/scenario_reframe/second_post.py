"""Whether a request may be submitted a second time: the only rule for it. No I/O."""

from collections.abc import Sequence
from datetime import datetime
from math import inf

from attrs import frozen

from .job_matching import LookUpResult
from .ledger.interface import Post
from .run_state import is_open
from .timing import Timing

_CLOCK_SLACK = 2.0  # seconds; a `Date` header has no fractions


@frozen
class Reading:
    """The result of reading the whole list of jobs for a submission.

    `began`: when it began, in seconds of `Timing.clock`. `server_time`: the server's latest `Date`.
    """

    found: LookUpResult
    began: float
    server_time: datetime | None


def may_post_again(
    posts: Sequence[Post], reading: Reading, resubmit_after: float | None, timing: Timing
) -> bool:
    """Whether a request may be submitted again, given all its POSTs and a reading of the list.

    A refused POST never prevents it; a deferred one (429) only for `Timing.refusal_settled`
    seconds; any other unless a person permitted it and `resubmit_after` seconds have passed since.
    """
    if reading.found.matches or reading.found.candidates:
        return False
    needed = {
        "deferred": timing.refusal_settled,
        "uncertain": inf if resubmit_after is None else resubmit_after,
    }
    unresolved = filter(is_open, posts)
    return all(
        _seconds_since(post, reading) >= needed.get(post.outcome, inf) for post in unresolved
    )


def _seconds_since(post: Post, reading: Reading) -> float:
    """Seconds from a POST's end to a reading; the server's clock guards against a jump of ours."""
    if post.ended is None:
        return -inf
    passed = reading.began - post.ended
    server_ended = post.server_ended or post.submission.server_time
    if server_ended is not None and reading.server_time is not None:
        named = (reading.server_time - server_ended).total_seconds()
        passed = min(passed, named + _CLOCK_SLACK)
    return passed
