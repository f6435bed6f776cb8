"""What the ledger holds, and what is asked of it. Imports no database.

An entry is one result that somebody asked for. Each POST that was sent for it is a row of its own,
so that a later one hides nothing of an earlier one.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from attrs import define, field, frozen

from scenario_reframe.errors import LedgerBusyError, ReframeError
from scenario_reframe.models import Job, Submission
from scenario_reframe.video import Video, VideoAsset, VideoFile, VideoUrl

State = Literal[
    "new",  # nobody is at it
    "claimed",  # somebody prepares its submit
    "posting",  # its POST is on its way
    "uncertain",  # a POST got no clear answer: a job may have been made
    "submitted",  # its job's id is known
    "ready",  # its job has succeeded
    "done",  # its files are there
    "failed",  # its job failed, or it is proven that none was made
]
UNFINISHED: tuple[State, ...] = ("new", "claimed", "posting", "uncertain", "submitted", "ready")

Outcome = Literal[
    "open",  # no reply yet
    "made",  # the reply named its job
    "refused",  # proven to have made no job
    "deferred",  # 429: it may go again once the list of jobs shows none of it
    "uncertain",  # anything else
]
UNRESOLVED: tuple[Outcome, ...] = ("open", "deferred", "uncertain")
"""Such a POST may have made a job that is not known."""


class NoSlotError(ReframeError):
    """As many jobs as may run side by side are on their way. `jobs`: the ids that are known."""

    def __init__(self, slots: int, jobs: Sequence[str]) -> None:
        super().__init__(f"{slots} jobs are on their way, which is as many as may be")
        self.jobs = tuple(jobs)


class BudgetSpentError(ReframeError):
    """The next job would cost more than is left of the budget. Nothing was paid for it."""


class TwinOpenError(LedgerBusyError):
    """A submission of the same seed, given by the caller, could not be told from this one.

    Its POST is on its way, deferred or uncertain (`is_uncertain`). `is_in_process`: another call of
    this process is at it.
    """

    def __init__(
        self, message: str, *, is_uncertain: bool = False, is_in_process: bool = False
    ) -> None:
        super().__init__(message)
        self.is_uncertain = is_uncertain
        self.is_in_process = is_in_process


@frozen(kw_only=True)
class ClipRequest:
    """One result that somebody asks for.

    `key`: what makes two calls the same request; `is_callers_key`: the caller chose it, and it
    binds `content` and `settings`, but not the target. `content`: see `content_of`. `source`: what
    to call the video when it is shown. `settings`: under wire names. `target`: an absolute path.
    """

    key: str
    is_callers_key: bool = False
    content: str | None = None
    source: str | None = None
    settings: Mapping[str, Any] = field(factory=dict)
    target: str | None = None


@frozen(kw_only=True)
class Entry:
    """One row of the ledger. Times in seconds since 1970 by the ledger's clock.

    `key`: the request key. `seed`: its newest POST's. `files`: each result's path and its SHA-256
    in hex. `cost`: in creative units, an estimate until the server names it.
    """

    id: int
    key: str
    state: State
    source: str | None
    content: str | None
    settings: Mapping[str, Any]
    target: str | None
    seed: int | None = None
    job_id: str | None
    asset_ids: tuple[str, ...]
    files: Mapping[str, str]
    cost: float | None
    error: str | None
    created_at: float
    updated_at: float

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.state not in UNFINISHED


@define(kw_only=True)
class Post:
    """One POST.

    `ended`: when its reply, or its connection's end, was seen, in seconds of `Timing.clock`; of one
    whose owner did not see it, the latest moment that it can have been. `server_ended`: the
    server's time then, if it was named.
    """

    submission: Submission
    outcome: Outcome = "open"
    ended: float | None = None
    server_ended: datetime | None = None


@define(eq=False, kw_only=True)
class Claim:
    """An entry that is this process's to work on, for as long as its lease is renewed.

    `entry` is as it was when it was claimed. `token` tells its submissions from all others'.
    `posts`: all of it, oldest first.
    """

    entry: Entry
    fence: int
    token: str
    posts: list[Post] = field(factory=list)


@frozen(kw_only=True)
class Terms:
    """What must hold in the moment of a POST, besides the claim itself.

    `check_target` raises InvalidInputError if the target is taken. `slots`: how many jobs of the
    account may run side by side, those of other processes counted. `price`: what it costs, in
    creative units, counted against the budget of the entry's run. `twin`: equal for submissions
    that the server's list of jobs could not tell apart; None if there can be no other.
    """

    check_target: Callable[[], None] | None = None
    slots: int | None = None
    price: float | None = None
    twin: str | None = None


Check = Callable[[Entry | None], None]
"""What must hold when an entry is claimed. Raises what says that it does not."""


def accept(_entry: Entry | None) -> None:
    """Claim the entry whatever it is."""


class Ledger(Protocol):
    """Where requests, their POSTs, jobs and files, and uploads are on record.

    Every method is one short transaction, for one account: a server and a project. Methods that
    write for a claim do nothing once somebody else has claimed its entry, unless they say so. All
    raise ConfigurationError when the database cannot be used.
    """

    @property
    def is_project_known(self) -> bool:
        """Whether the key's project is on record, or was named by the caller."""

    def learn_project(self, project_id: str) -> None:
        """Keep the project that this key's records name: other keys of it have the same rows."""

    def claim(
        self, request: ClipRequest, check: Check = accept, *, run: int | None = None
    ) -> Claim | Entry:
        """Claim the unfinished entry of this request, or a new one.

        An entry that is done is returned unclaimed; so is one whose job failed, if its key is a
        caller's. `check` gets the unfinished or done entry, or None, in the transaction that
        claims it; what it raises leaves the ledger as it was. Raises LedgerBusyError if a living
        process has it, InvalidInputError if a caller's key is that of other content or settings.
        """

    def reclaim(self, entry: Entry) -> Claim:
        """Claim an unfinished entry.

        Raises LedgerBusyError if a living process has it, ConfigurationError if it is finished, or
        of another ledger or account.
        """

    def release(self, claim: Claim, error: BaseException | None = None) -> None:
        """Let others claim it.

        After an error, an entry is closed as failed if every POST of it is proven to have made no
        job: who has read that nothing was paid does not want a later run to pay. A deferred one
        stays open. Raises nothing.
        """

    def may_post(self, claim: Claim, terms: Terms) -> None:
        """Raise what keeps its POST from going out now, as `open_post` would."""

    def open_post(self, claim: Claim, submission: Submission, terms: Terms) -> None:
        """The last check before the wire, and the POST's row, in one transaction.

        Takes the lease again if it has ended and nobody else has claimed the entry. Raises
        LedgerBusyError if somebody has, NoSlotError, BudgetSpentError, TwinOpenError, what
        `terms.check_target` raises, and ConfigurationError, also when the database is locked for
        longer than `Timing.last_check` or its file is gone: then nothing may be sent.
        """

    def withdraw_post(self, claim: Claim) -> None:
        """Nothing of the POST that was opened last was sent. Raises nothing."""

    def end_post(self, claim: Claim, post: Post, reason: str) -> None:
        """Keep how the POST that was opened last ended, whoever has its entry by now.

        `reason`: what the server said, without anything that it echoed of credentials or URLs.
        Raises nothing: what cannot be written now is written with the next transaction.
        """

    def made(self, token: str, job: Job) -> bool:
        """Keep the job of a request, whoever has its entry by now; False if it is another entry's.

        If the entry has another job by now, this one is kept in an entry beside it. What cannot be
        written now is written with the next transaction, and the answer is True.
        """

    def owned_by_others(self, token: str, job_ids: Collection[str]) -> frozenset[str]:
        """Which of these jobs belong to other requests than this one."""

    def seen(self, job: Job) -> None:
        """Keep what the server says of a job."""

    def saved(self, job_id: str, files: Sequence[Path]) -> None:
        """A job's results are in these files: its entry is done."""

    def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """What is on record of this account, newest first."""

    def with_targets(self, targets: Sequence[str]) -> list[Entry]:
        """The entries whose results go to these places, oldest first."""

    def begin_run(self, targets: Sequence[str], budget: float | None) -> int:
        """The run of these targets, which may be another process's as well; its budget is this.

        Entries of these targets that are on record already belong to it from now on.
        """

    def check_budget(self, run: int) -> None:
        """Raise BudgetSpentError if nothing of a run's budget is left."""

    def asset_of(self, content: str) -> str | None:
        """The asset that this content was uploaded as."""

    def upload_of(self, content: str) -> str | None:
        """The upload that this content was sent in, if it is not known what became of it."""

    def sent(self, content: str, upload_id: str) -> None:
        """All of this content was sent in that upload."""

    def uploaded(self, content: str, asset_id: str) -> None:
        """This content is on the server as that asset."""

    def forget_upload(self, content: str) -> None:
        """The server has it no more."""

    def close(self) -> None:
        """Close what was opened."""


def content_of(video: Video | None) -> str | None:
    """What tells one video from another: a file's SHA-256, an asset's id, a URL's SHA-256.

    A URL may carry secrets, so it is not kept itself.
    """
    match video:
        case VideoAsset(asset_id):
            return asset_id
        case VideoUrl(url):
            return "url:" + hashlib.sha256(url.encode()).hexdigest()
        case VideoFile(path):
            return "sha256:" + digest_of(path)
        case None:
            return None


def digest_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_of(video: Video | None) -> str | None:
    """What to call a video when it is shown."""
    match video:
        case VideoAsset(asset_id):
            return asset_id
        case VideoFile(path):
            return str(path.absolute())
        case VideoUrl():
            return "a URL"
        case None:
            return None
