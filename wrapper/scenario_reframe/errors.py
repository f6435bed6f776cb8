"""Everything that this package raises.

ReframeError                     .job: the job concerned, or None
├── ConfigurationError           credentials, base URL, a missing extra
├── InvalidInputError            (also ValueError) nothing was sent
│   ├── InvalidVideoError
│   ├── InvalidSettingsError     .problems: one line for every wrong setting
│   └── InvalidBatchError        .faults: (place, what is wrong) of every item
├── ApiError                     .status_code .reason .request_id .body; any reply but 2xx
│   ├── AuthenticationError      401
│   ├── PermissionDeniedError    403
│   ├── NotFoundError            404
│   ├── RateLimitedError         429; .retry_after (seconds) .limit (jobs side by side)
│   └── ServerError              5xx
├── ConnectionFailedError        no whole reply; .sent: whether a request may have arrived
├── UnexpectedResponseError      a 2xx that is not what the spec says
├── SubmissionUncertainError     .submission .candidates: it is not known if a job was made
├── JobFailedError
├── JobCanceledError
├── WaitTimeoutError
├── LedgerBusyError              another process is at the same work
├── UploadError
└── DownloadError
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import Job, Submission


class ReframeError(Exception):
    """Root of all errors of this package."""

    job: "Job | None" = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by its arguments, since some have names; it is copied and pickled whole.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[ReframeError], arguments: tuple[Any, ...], state: dict[str, Any]
) -> ReframeError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class ConfigurationError(ReframeError):
    """Credentials, base URL or installation are not as they must be. Nothing was sent."""


class InvalidInputError(ReframeError, ValueError):
    """An argument cannot be used. Nothing was sent."""


class InvalidVideoError(InvalidInputError):
    """The video is missing, empty, unreadable or no video. Nothing was sent."""


class InvalidSettingsError(InvalidInputError):
    """One or more settings are wrong. Nothing was sent."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class InvalidBatchError(InvalidInputError):
    """One or more items of a batch are wrong. Nothing was sent.

    `faults`: the place of an item, from 0, and what is wrong with it; all of all items.
    """

    def __init__(self, faults: Sequence[tuple[int, str]]) -> None:
        self.faults = tuple(faults)
        lines = [f"item {place}: {text}" for place, text in self.faults]
        super().__init__("\n".join(lines))


class ApiError(ReframeError):
    """The server answered with something else than a 2xx.

    `retry_after`: the seconds that it asks to wait, if it does. `body`: the parsed JSON, or text.
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
    """403: not open to this key, its project or its plan."""


class NotFoundError(ApiError):
    """404: no such job, asset or model, or none that this key may see."""


class RateLimitedError(ApiError):
    """429: too many requests, or too many jobs side by side.

    `limit`: how many jobs may run, if it says so. `submission`: what was refused, if it was a
    submit; should it have made a job all the same, `client.find_job(error.submission)` finds it.
    """

    limit: int | None = None
    submission: "Submission | None" = None


class ServerError(ApiError):
    """5xx: the server or its gateway failed."""


class ConnectionFailedError(ReframeError):
    """No whole reply came. `sent` is False when the connection was never opened."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedResponseError(ReframeError):
    """A 2xx reply that does not say what the spec says."""


class SubmissionUncertainError(ReframeError):
    """A submit got no clear answer, and it is not known whether a paid job was made.

    Do not submit again blindly: `client.find_job(error.submission)` looks again.
    `candidates` are the jobs that could be it, if there were any.
    """

    def __init__(
        self, message: str, *, submission: "Submission", candidates: "Sequence[Job]" = ()
    ) -> None:
        super().__init__(message)
        self.submission = submission
        self.candidates = tuple(candidates)


class _JobError(ReframeError):
    def __init__(self, message: str, *, job: "Job | None" = None) -> None:
        super().__init__(message)
        self.job = job


class JobFailedError(_JobError):
    """The job ended in `failure`; `.job.error` and `.job.hint` say what the server says."""


class JobCanceledError(_JobError):
    """The job ended in `canceled`."""


class WaitTimeoutError(_JobError):
    """The job was not done in time. It goes on: `client.wait(error.job)` takes it up again."""


class LedgerBusyError(ReframeError):
    """Another process is at the same work, or has taken it over. Nothing was submitted."""


class UploadError(ReframeError):
    """The video did not reach the server whole. Nothing was paid."""


class DownloadError(_JobError):
    """A result did not arrive whole. The job is kept: `client.download(error.job, to)`."""
