"""All errors that this package raises.

ReframeError                     .job: the job concerned, or None
├── ConfigurationError           credentials, base URL, ledger, a missing extra
├── InvalidInputError            (also ValueError) nothing was sent
│   ├── InvalidVideoError
│   ├── InvalidSettingsError     .problems: one line for each wrong setting
│   └── InvalidBatchError        .faults: (index of the item, what is wrong with it)
├── ApiError                     .status_code .reason .request_id .body; any reply but 2xx
│   ├── AuthenticationError      401
│   ├── PermissionDeniedError    403
│   ├── NotFoundError            404
│   ├── RateLimitedError         429; .retry_after (seconds) .limit (jobs at once)
│   └── ServerError              5xx
├── ConnectionFailedError        no complete reply; .sent: whether the request may have arrived
├── UnexpectedResponseError      a 2xx reply that does not match the spec
├── SubmissionUncertainError     .submission .candidates; a job may have been made
├── JobFailedError
├── JobCanceledError
├── WaitTimeoutError
├── LedgerBusyError              another process works on the same request
├── UploadError
└── DownloadError
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import Job, Submission


class ReframeError(Exception):
    """Base class of all errors of this package. `job`: the job that it concerns, or None."""

    job: "Job | None" = None

    def __str__(self) -> str:
        # It can be printed anywhere, although it may name a file whose name is not UTF-8.
        return super().__str__().encode("utf-8", "backslashreplace").decode()

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by its arguments, since some are keyword-only: its state is set afterwards.
        return _without_init, (type(self), *self.args), self.__dict__


def _without_init(kind: type[ReframeError], *arguments: Any) -> ReframeError:
    return kind.__new__(kind, *arguments)


class ConfigurationError(ReframeError):
    """Credentials, base URL, ledger or installation cannot be used. Nothing was sent."""


class InvalidInputError(ReframeError, ValueError):
    """An argument cannot be used. Nothing was sent."""


class InvalidVideoError(InvalidInputError):
    """The video is missing, empty, unreadable or not a video. Nothing was sent."""


class InvalidSettingsError(InvalidInputError):
    """One or more settings are wrong. Nothing was sent."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class InvalidBatchError(InvalidInputError):
    """One or more items of a batch are wrong. Nothing was sent.

    `faults`: pairs of an item's index, from 0, and one thing that is wrong with it.
    """

    def __init__(self, faults: Sequence[tuple[int, str]]) -> None:
        self.faults = tuple(faults)
        lines = [f"item {index}: {text}" for index, text in self.faults]
        super().__init__("\n".join(lines))


class ApiError(ReframeError):
    """The server's reply was not a 2xx.

    `retry_after`: the seconds to wait that it asks for, if any. `body`: the parsed JSON, or text.
    """

    retry_after: float | None = None

    def __init__(
        self, message: str, *, status_code: int, reason: str, request_id: str | None, body: Any
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.reason = reason
        self.request_id = request_id
        self.body = body


class AuthenticationError(ApiError):
    """401: the key or the secret is wrong."""


class PermissionDeniedError(ApiError):
    """403: not allowed for this key, its project or its plan."""


class NotFoundError(ApiError):
    """404: no such job, asset or model, or this key may not see it."""


class RateLimitedError(ApiError):
    """429: too many requests, or too many jobs at once.

    `limit`: how many jobs may run at once, if the server says so. `submission`: the refused POST,
    if it was one; `client.find_job(error.submission)` finds its job if one was made all the same.
    """

    limit: int | None = None
    submission: "Submission | None" = None


class ServerError(ApiError):
    """5xx: the server or its gateway failed."""


class ConnectionFailedError(ReframeError):
    """No complete reply came. `sent` is False if it is certain that no whole request was sent."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedResponseError(ReframeError):
    """A 2xx reply that does not match the spec."""


class SubmissionUncertainError(ReframeError):
    """A submit got no clear reply: a paid job may have been made, or not.

    Do not submit again blindly: `client.find_job(error.submission)` looks for its job.
    `candidates`: the listed jobs that may be it.
    """

    def __init__(
        self, message: str, *, submission: "Submission", candidates: "Sequence[Job]" = ()
    ) -> None:
        super().__init__(message)
        self.submission = submission
        self.candidates = tuple(candidates)


class _JobError(ReframeError):
    """An error with a job."""

    def __init__(self, message: str, *, job: "Job | None" = None) -> None:
        super().__init__(message)
        self.job = job


class JobFailedError(_JobError):
    """The job ended in `failure`; `.job.error` and `.job.hint` are the server's reasons."""


class JobCanceledError(_JobError):
    """The job ended in `canceled`."""


class WaitTimeoutError(_JobError):
    """The job was not done in time. It goes on: `client.wait(error.job)` waits again."""


class LedgerBusyError(ReframeError):
    """Another process works on the same request, or took it over. Nothing was submitted."""


class UploadError(ReframeError):
    """The video was not uploaded or imported. Nothing was paid."""


class DownloadError(_JobError):
    """A result was not downloaded completely: `client.download(error.job, to)` resumes."""
