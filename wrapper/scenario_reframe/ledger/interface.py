"""The ledger's interface and the types of its contents. Imports no database.

An entry is one requested result. Each POST that was sent for it is a row of its own, so that a
later one never hides an earlier one.
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
    "new",  # nobody works on it
    "claimed",  # its submit is being prepared
    "posting",  # its POST is on its way
    "uncertain",  # a POST got no clear answer: a job may have been made
    "submitted",  # its job's id is known
    "ready",  # its job has succeeded
    "done",  # its files are downloaded
    "failed",  # its job failed, or provably none was made
]
UNFINISHED: tuple[State, ...] = ("new", "claimed", "posting", "uncertain", "submitted", "ready")

Outcome = Literal[
    "open",  # no reply yet
    "made",  # the reply named its job
    "refused",  # it provably made no job
    "deferred",  # 429: it may be sent again once the list of jobs shows no job of it
    "uncertain",  # anything else
]
UNRESOLVED: tuple[Outcome, ...] = ("open", "deferred", "uncertain")
"""The outcomes of POSTs that may have made a job that is not known."""


class NoSlotError(ReframeError):
    """The limit of parallel jobs is reached. `jobs`: the ids of those that run, as far as known."""

    def __init__(self, slots: int, jobs: Sequence[str]) -> None:
        super().__init__(f"{slots} jobs run already, which is the limit")
        self.jobs = tuple(jobs)


class BudgetSpentError(ReframeError):
    """The next job would cost more than the budget has left. Nothing was paid for it."""


class TwinOpenError(LedgerBusyError):
    """A twin of this submission (see `twin_key`) is on its way, or its outcome is uncertain.

    `is_uncertain`: its POST got no clear answer. `is_in_process`: another call of this process is
    working on it.
    """

    def __init__(
        self, message: str, *, is_uncertain: bool = False, is_in_process: bool = False
    ) -> None:
        super().__init__(message)
        self.is_uncertain = is_uncertain
        self.is_in_process = is_in_process


@frozen(kw_only=True)
class ClipRequest:
    """One requested result.

    `key`: what makes two calls the same request; `is_callers_key`: the caller chose it, and it
    binds `content` and `settings`, but not the target. `content`: see `content_of`. `source`: the
    video's name for display. `settings`: under wire names. `target`: an absolute path.
    """

    key: str
    is_callers_key: bool = False
    content: str | None = None
    source: str | None = None
    settings: Mapping[str, Any] = field(factory=dict)
    target: str | None = None


@frozen(kw_only=True)
class Entry:
    """One row of the ledger. Times are seconds since 1970 by the database's clock.

    `key`: the request key. `seed`: that of its newest POST. `files`: each result's path and its
    SHA-256 in hex. `cost`: in creative units, an estimate until the server names it.
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
        """Whether it is done or failed."""
        return self.state not in UNFINISHED


@define(kw_only=True)
class Post:
    """One POST.

    `ended`: when its reply or the end of its connection was seen, in seconds of `Timing.clock`; if
    its owner did not see it, the latest possible moment. `server_ended`: the server's time then, if
    a reply named it.
    """

    submission: Submission
    outcome: Outcome = "open"
    ended: float | None = None
    server_ended: datetime | None = None


@define(eq=False, kw_only=True)
class Claim:
    """The right of this process to work on an entry, for as long as its lease is renewed.

    `entry`: as it was when it was claimed. `fence`: grows with every owner. `token`: identifies the
    entry's submissions. `posts`: all its POSTs, oldest first.
    """

    entry: Entry
    fence: int
    token: str
    posts: list[Post] = field(factory=list)


@frozen(kw_only=True)
class SubmitConditions:
    """What must hold at the moment of a POST, besides the claim itself.

    `check_target` raises InvalidInputError if the target is taken. `slots`: how many jobs of the
    account may run side by side, including those of other processes. `price`: in creative units,
    counted against the budget of the entry's run. `twin`: see `twin_key`.
    """

    check_target: Callable[[], None] | None = None
    slots: int | None = None
    price: float | None = None
    twin: str | None = None


Check = Callable[[Entry | None], None]
"""A check of the entry to be claimed; it raises an error to prevent that."""


def accept(_entry: Entry | None) -> None:
    """Allow every claim."""


class Ledger(Protocol):
    """Records requests, their POSTs, jobs and files, and uploads.

    Every method is one short transaction, for one account: a server and a project. Methods that
    write for a claim do nothing once another owner has claimed its entry, unless stated otherwise.
    All raise ConfigurationError if the database cannot be used.
    """

    @property
    def is_project_known(self) -> bool:
        """Whether the key's project is recorded, or was given by the caller."""

    def learn_project(self, project_id: str) -> None:
        """Record the project that the server names for this key; its keys share their rows."""

    def claim(
        self, request: ClipRequest, check: Check = accept, *, run: int | None = None
    ) -> Claim | Entry:
        """Claim the unfinished entry of this request, or a new one.

        An entry that is done is returned unclaimed; so is one whose job failed, if its key is a
        caller's. `check` gets the unfinished or done entry, or None, in the transaction that
        claims it; if it raises, the ledger is unchanged. Raises LedgerBusyError if a live process
        has claimed it, InvalidInputError if a caller's key belongs to other content or settings.
        """

    def reclaim(self, entry: Entry) -> Claim:
        """Claim an unfinished entry.

        Raises LedgerBusyError if a live process has claimed it, ConfigurationError if it is
        finished, or belongs to another ledger or account.
        """

    def release(self, claim: Claim, error: BaseException | None = None) -> None:
        """Let others claim the entry.

        After an error, the entry is closed as failed if every POST of it provably made no job: the
        caller has read that nothing was paid, so a later run must not pay. An entry with a deferred
        POST stays open. Raises nothing.
        """

    def may_post(self, claim: Claim, conditions: SubmitConditions) -> None:
        """Raise the error with which `open_post` would refuse a POST now."""

    def open_post(self, claim: Claim, submission: Submission, conditions: SubmitConditions) -> None:
        """Make the last check before the wire and write the POST's row, in one transaction.

        Takes the lease again if it has lapsed and nobody else has claimed the entry. Raises
        LedgerBusyError if somebody has, NoSlotError, BudgetSpentError, TwinOpenError, what
        `conditions.check_target` raises, and ConfigurationError, also if the database is locked for
        longer than `Timing.last_check` or its file is missing: then nothing may be sent.
        """

    def withdraw_post(self, claim: Claim) -> None:
        """Delete the POST that was opened last: nothing of it was sent. Raises nothing."""

    def end_post(self, claim: Claim, post: Post, reason: str) -> None:
        """Record how the POST that was opened last ended, whoever has claimed its entry by now.

        `reason`: the error's message, without any echo of credentials or URLs. Raises nothing: a
        write that fails now is repeated with the next transaction.
        """

    def record_job(self, token: str, job: Job) -> bool:
        """Record a request's job, whoever has claimed its entry; False if it is another entry's.

        If the entry has another job by now, this one is stored in an entry beside it. A write that
        fails now is repeated with the next transaction, and the result is True.
        """

    def owned_by_others(self, token: str, job_ids: Collection[str]) -> frozenset[str]:
        """Which of these jobs belong to other requests."""

    def record_status(self, job: Job) -> None:
        """Record the status of a job."""

    def record_files(self, job_id: str, files: Sequence[Path]) -> None:
        """Record the files of a job's results: its entry is done."""

    def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """The entries of this account, newest first."""

    def with_targets(self, targets: Sequence[str]) -> list[Entry]:
        """The entries with these targets, oldest first."""

    def begin_run(self, targets: Sequence[str], budget: float | None) -> int:
        """The id of the run of these targets, which other processes may share; set its budget.

        Existing entries with these targets belong to it from now on.
        """

    def check_budget(self, run: int) -> None:
        """Raise BudgetSpentError if a run's budget is used up."""

    def asset_of(self, content: str) -> str | None:
        """The asset id that this content was uploaded as."""

    def upload_of(self, content: str) -> str | None:
        """The id of the upload that sent this content and whose end is not known."""

    def record_upload(self, content: str, upload_id: str) -> None:
        """Record that an upload has sent all of this content."""

    def record_asset(self, content: str, asset_id: str) -> None:
        """Record the asset that this content is on the server."""

    def forget_upload(self, content: str) -> None:
        """Forget that this content is on the server."""

    def close(self) -> None:
        """Stop renewing leases, and close the database."""


def content_of(video: Video | None, is_stopped: Callable[[], bool] = lambda: False) -> str | None:
    """What identifies a video: a file's SHA-256, an asset's id, a URL's SHA-256.

    A URL may carry secrets, so it is not stored itself. `is_stopped`: whether to stop reading a
    file. Raises UploadError if the file is no longer the one that was checked.
    """
    match video:
        case VideoAsset(asset_id):
            return asset_id
        case VideoUrl(url):
            return "url:" + hashlib.sha256(url.encode()).hexdigest()
        case VideoFile():
            return "sha256:" + video.digest(is_stopped)
        case None:
            return None


def digest_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_of(video: Video | None) -> str | None:
    """A video's name for display."""
    match video:
        case VideoAsset(asset_id):
            return asset_id
        case VideoFile(path):
            return str(path.absolute())
        case VideoUrl():
            return "a URL"
        case None:
            return None
