"""One request on its way through the pipeline, and what its caller may say of it."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from .arguments import check_seconds, checked_path
from .errors import ReframeError, WaitTimeoutError
from .flow.steps import ProgressCallback
from .ledger.interface import UNRESOLVED, Claim, Post, Terms
from .models import Submission
from .polling import UpdateCallback
from .result_paths import Destination
from .video import Video


@frozen
class Options:
    """What a caller may say of a run, besides what is to be made.

    `timeout`: seconds from the call on, None for ever. `resubmit_after`: permission to submit what
    got no clear answer once more, so many seconds after its POST ended; `waits_to_resubmit`: those
    seconds are waited for. Raises InvalidInputError.
    """

    to: Destination | None = None
    overwrite: bool = False
    timeout: float | None = None
    on_update: UpdateCallback | None = None
    on_progress: ProgressCallback | None = None
    resubmit_after: float | None = None
    waits_to_resubmit: bool = False

    def __attrs_post_init__(self) -> None:
        if self.to is not None:
            checked_path(self.to, "to")
        check_seconds(self.timeout)
        check_seconds(self.resubmit_after, "resubmit_after")


@define(eq=False, kw_only=True)
class Run:
    """One request on its way.

    `settings`: under wire names. `asset_id`: its video on the server. `target`: where its result
    goes, as it is kept. `fault`: what the reply to its last POST was lost to. `batch`: the run of a
    batch that it belongs to. `is_repeatable`: the same call later finds it on record.
    """

    settings: Mapping[str, Any]
    options: Options
    started: float
    source: Video | None = None
    content: str | None = None
    asset_id: str | None = None
    target: str | None = None
    claim: Claim | None = None
    terms: Terms = field(factory=Terms)
    token: str = field(factory=lambda: secrets.token_hex(16))
    posts: list[Post] = field(factory=list)
    fault: ReframeError | None = None
    batch: int | None = None
    is_repeatable: bool = False

    def claimed(self, claim: Claim, check_target: Callable[[], None] | None) -> None:
        """Go on from what is on record."""
        self.claim, self.token, self.posts = claim, claim.token, claim.posts
        self.terms = evolve(self.terms, check_target=check_target)

    @property
    def has_open_post(self) -> bool:
        """Whether it is not known of a POST whether it made a job."""
        return any(map(is_open, self.posts))

    @property
    def must_repeat(self) -> bool:
        """Whether what is sent next must be what was sent before; not after refusals for now."""
        return any(post.outcome in {"open", "uncertain"} for post in self.posts)

    @property
    def first_open(self) -> Submission:
        """The first of those: whatever was sent later, its job was made after it."""
        return next(post.submission for post in self.posts if is_open(post))

    def check_time(self, now: float) -> None:
        """Raise WaitTimeoutError if its deadline is over; to be called before its POST."""
        if self.options.timeout and self.left(now) == 0.0:
            raise WaitTimeoutError(
                f"it was not submitted within {self.options.timeout:g} s; nothing was submitted"
            )

    def left(self, now: float) -> float | None:
        """Seconds until its deadline; None if there is none."""
        timeout = self.options.timeout
        return None if timeout is None else max(timeout - (now - self.started), 0.0)


def is_open(post: Post) -> bool:
    """Whether a POST may have made a job that is not known."""
    return post.outcome in UNRESOLVED
