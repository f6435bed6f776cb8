"""What a submit puts on record, and the record of a client that keeps no ledger."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

from .errors import ConfigurationError, ReframeError
from .models import Job, Submission
from .video import Video, VideoAsset, VideoFile, VideoUrl

UNFINISHED = ("leased", "intent", "uncertain", "submitted", "ready")
"""States in the order of the road: taken up, about to be posted, posted with no answer, posted
with a job id, the job done. After them: done, failed."""


class NoSlotError(ReframeError):
    """As many jobs as may run side by side are on their way. `jobs`: the ids that are known."""

    def __init__(self, slots: int, jobs: Sequence[str]) -> None:
        super().__init__(f"{slots} jobs are on their way, which is as many as may be")
        self.jobs = tuple(jobs)


@frozen(kw_only=True)
class Wanted:
    """One result that somebody wants. `key` tells the same wish from another."""

    key: str
    content: str | None = None
    source: str | None = None
    settings: Mapping[str, Any] = field(factory=dict)
    output: str | None = None


@frozen(kw_only=True)
class Entry:
    """One row of the ledger. Times in seconds since 1970 by the ledger's clock."""

    id: int
    key: str
    state: str
    source: str | None
    settings: Mapping[str, Any]
    output: str | None
    content: str | None
    body: Mapping[str, Any] | None
    seed: int | None
    project_id: str | None
    base_url: str
    posted_at: float | None
    settled_at: float | None
    job_id: str | None
    asset_ids: tuple[str, ...]
    files: tuple[str, ...]
    cost: float | None
    error: str | None
    created_at: float
    updated_at: float

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.state not in UNFINISHED


Check = Callable[[Entry | None], None]
"""What must hold when an entry is claimed. Raises what says that it does not."""


def accept(_entry: Entry | None) -> None:
    """Claim the entry whatever it is."""


class Record(Protocol):
    """One wish on its way. Every write is refused once somebody else has taken it up."""

    @property
    def entry(self) -> Entry | None:
        """What was known when it was taken up."""

    def begin_post(self, submission: Submission, slots: int | None = None) -> None:
        """The last thing before a POST: the intent is on record, and still ours.

        Raises NoSlotError when so many jobs are on their way already.
        """

    def priced(self, price: float) -> None:
        """What the job is going to cost, in creative units."""

    def posted(self, job: Job) -> None:
        """A job id is known; it is kept whoever owns the row by now."""

    def not_sent(self) -> None:
        """Nothing was sent after `begin_post`."""

    def not_made(self, error: ReframeError) -> None:
        """It is proven that no job was made."""

    def uncertain(self) -> None:
        """It is not known whether a job was made."""

    def given_up(self, error: BaseException) -> None:
        """Its owner was told of an error; what was not posted by then is closed."""

    def released(self) -> None:
        """Nobody is at it any more."""


class Records(Protocol):
    """Where wishes, jobs, uploads and files are on record. `keeps`: whether anything is kept."""

    @property
    def keeps(self) -> bool:
        """Whether anything is."""

    def take(self, wanted: Wanted, check: Check = accept, /) -> Record:
        """Claim the unfinished entry of this key, or a new one.

        `check` gets the unfinished entry, or None, while nobody else can claim or finish it; what
        it raises leaves the ledger as it was.
        """

    def take_once(self, wanted: Wanted, check: Check = accept, /) -> Record | Entry:
        """The same, but a request that was finished is not begun again: its entry."""

    def take_up(self, entry: Entry) -> Record:
        """Take up an unfinished entry."""

    def with_outputs(self, outputs: Sequence[str], /) -> list[Entry]:
        """What is on record of results that go to these places, oldest first."""

    def entries(self, *, unfinished: bool = False) -> list[Entry]:
        """What is on record, newest first."""

    def claimed(self) -> frozenset[str]:
        """Ids of jobs that belong to some wish."""

    def seen(self, job: Job) -> None:
        """What the server says of a job."""

    def found(self, submission: Submission, job: Job) -> None:
        """The job of a submission that was uncertain."""

    def saved(self, job_id: str, files: Sequence[Path]) -> None:
        """A job's results are in these files."""

    def asset_of(self, content: str, /) -> str | None:
        """The asset that this content was uploaded as."""

    def upload_of(self, content: str, /) -> str | None:
        """The upload that this content was sent in, if it is not known what became of it."""

    def sent(self, content: str, upload_id: str) -> None:
        """All of this content was sent in that upload."""

    def uploaded(self, content: str, asset_id: str) -> None:
        """This content is on the server as that asset."""

    def forget_upload(self, content: str) -> None:
        """The server has it no more."""

    def close(self) -> None:
        """Close what was opened."""


class NoRecord:
    """Keeps nothing."""

    entry: Entry | None = None

    def begin_post(self, submission: Submission, slots: int | None = None) -> None:
        """Nothing."""

    def priced(self, price: float) -> None:
        """Nothing."""

    def posted(self, job: Job) -> None:
        """Nothing."""

    def not_sent(self) -> None:
        """Nothing."""

    def not_made(self, error: ReframeError) -> None:
        """Nothing."""

    def uncertain(self) -> None:
        """Nothing."""

    def given_up(self, error: BaseException) -> None:
        """Nothing."""

    def released(self) -> None:
        """Nothing."""


NO_RECORD = NoRecord()


class NoRecords:
    """Keeps nothing."""

    keeps = False

    def take(self, _wanted: Wanted, check: Check = accept, /) -> Record:
        """A record that keeps nothing."""
        check(None)
        return NO_RECORD

    def take_up(self, entry: Entry) -> Record:
        """Impossible without a ledger."""
        raise ConfigurationError(f"entry {entry.id} needs a client with ledger=...")

    def take_once(self, wanted: Wanted, check: Check = accept, /) -> Record | Entry:
        """A record that keeps nothing."""
        return self.take(wanted, check)

    def with_outputs(self, _outputs: Sequence[str], /) -> list[Entry]:
        """Nothing."""
        return []

    def entries(self, *, unfinished: bool = False) -> list[Entry]:  # noqa: ARG002
        """Impossible without a ledger."""
        raise ConfigurationError("this client keeps no ledger: make it with ledger=...")

    def claimed(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def seen(self, job: Job) -> None:
        """Nothing."""

    def found(self, submission: Submission, job: Job) -> None:
        """Nothing."""

    def saved(self, job_id: str, files: Sequence[Path]) -> None:
        """Nothing."""

    def asset_of(self, _content: str, /) -> str | None:
        """Unknown."""
        return None

    def upload_of(self, _content: str, /) -> str | None:
        """Unknown."""
        return None

    def sent(self, content: str, upload_id: str) -> None:
        """Nothing."""

    def uploaded(self, content: str, asset_id: str) -> None:
        """Nothing."""

    def forget_upload(self, content: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


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
            with path.open("rb") as file:
                return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        case None:
            return None


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
