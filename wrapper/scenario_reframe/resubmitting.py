"""May a request be sent a second time: the one rule. No I/O."""

from collections.abc import Sequence
from datetime import datetime
from math import inf

from attrs import frozen

from .ledger.interface import Post
from .matching import Found
from .run import is_open
from .timing import Timing

_CLOCK_SLACK = 2.0  # seconds; a `Date` has no fractions


@frozen
class Reading:
    """What a reading of the whole list says of a submission.

    `began`: when, by this process's clock, in seconds. `server_time`: as it was last named.
    """

    found: Found
    began: float
    server_time: datetime | None


def may_post_again(
    posts: Sequence[Post], reading: Reading, resubmit_after: float | None, timing: Timing
) -> bool:
    """Whether a request may be sent once more: the one rule of the second POST.

    A POST that was refused is no obstacle; one that was deferred (429) is none after a while; any
    other only with a person's permission, `resubmit_after` seconds after it ended.
    """
    if reading.found.matches or reading.found.candidates:
        return False
    needed = {
        "deferred": timing.refusal_settled,
        "uncertain": inf if resubmit_after is None else resubmit_after,
    }
    return all(
        _since(post, reading) >= needed.get(post.outcome, inf) for post in posts if is_open(post)
    )


def _since(post: Post, reading: Reading) -> float:
    """Seconds from a POST's end to a reading. The server's clock tells if ours was set forward."""
    if post.ended is None:
        return -inf
    passed = reading.began - post.ended
    server_ended = post.server_ended or post.submission.server_time
    if server_ended is not None and reading.server_time is not None:
        named = (reading.server_time - server_ended).total_seconds()
        passed = min(passed, named + _CLOCK_SLACK)
    return passed
