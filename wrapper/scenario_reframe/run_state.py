"""One request on its way through the pipeline, and the options of its caller."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from .arguments import check_amount, check_callback, check_flag, check_seconds, checked_path
from .errors import ReframeError, WaitTimeoutError
from .flow.steps import ProgressCallback
from .ledger.interface import UNRESOLVED, Claim, Post, SubmitConditions
from .models import Submission
from .polling import UpdateCallback
from .result_paths import Destination
from .video import Video


@frozen
class Options:
    """How a caller wants a run done, besides the video and its settings.

    `timeout`: seconds from the call on; None for no limit. `resubmit_after`: permission to submit
    again if a submit got no clear answer, this many seconds after its POST ended;
    `waits_to_resubmit`: wait for those seconds to pass. Raises InvalidInputError.
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
        check_flag(self.overwrite, "overwrite")
        check_seconds(self.timeout)
        check_callback(self.on_update, "on_update")
        check_callback(self.on_progress, "on_progress")
        check_amount(self.resubmit_after, "resubmit_after", "seconds")


@define(eq=False, kw_only=True)
class Run:
    """One request on its way.

    `settings`: under wire names. `asset_id`: its video on the server. `target`: the path of its
    result, as the ledger stores it. `fault`: the error of its last POST. `batch`: the id of the
    batch's run that it belongs to. `is_repeatable`: the same call, made later, finds its entry.
    """

    settings: Mapping[str, Any]
    options: Options
    started: float
    source: Video | None = None
    content: str | None = None
    asset_id: str | None = None
    target: str | None = None
    claim: Claim | None = None
    conditions: SubmitConditions = field(factory=SubmitConditions)
    token: str = field(factory=lambda: secrets.token_hex(16))
    posts: list[Post] = field(factory=list)
    fault: ReframeError | None = None
    batch: int | None = None
    is_repeatable: bool = False

    def continue_from(self, claim: Claim, check_target: Callable[[], None] | None) -> None:
        """Continue from what the ledger has recorded."""
        self.claim, self.token, self.posts = claim, claim.token, claim.posts
        self.conditions = evolve(self.conditions, check_target=check_target)

    @property
    def has_open_post(self) -> bool:
        """Whether any POST may have made a job that is not known."""
        return any(map(is_open, self.posts))

    @property
    def must_repeat(self) -> bool:
        """Whether the next POST must repeat the earlier body; a deferred (429) one need not be."""
        return any(post.outcome in {"open", "uncertain"} for post in self.posts)

    @property
    def first_open(self) -> Submission:
        """The first such submission: the jobs of all later ones were made after it."""
        return next(post.submission for post in self.posts if is_open(post))

    def check_deadline(self, now: float) -> None:
        """Raise WaitTimeoutError if its deadline has passed; call this before its POST."""
        if self.options.timeout and self.seconds_left(now) == 0.0:
            raise WaitTimeoutError(
                f"the timeout of {self.options.timeout:g} s has passed; nothing was submitted"
            )

    def seconds_left(self, now: float) -> float | None:
        """Seconds until its deadline; None if there is none."""
        timeout = self.options.timeout
        return None if timeout is None else max(timeout - (now - self.started), 0.0)


def is_open(post: Post) -> bool:
    """Whether a POST may have made a job that is not known."""
    return post.outcome in UNRESOLVED
