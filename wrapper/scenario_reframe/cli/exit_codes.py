"""What ends a command early: its exit code, and what a person or a script is told."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from attrs import field, frozen

from scenario_reframe.api.sanitize import unsigned
from scenario_reframe.errors import (
    ApiError,
    ConfigurationError,
    DownloadError,
    InvalidInputError,
    InvalidSettingsError,
    JobCanceledError,
    JobFailedError,
    ReframeError,
    SubmissionUncertainError,
    UploadError,
    WaitTimeoutError,
)

from .flags import Connection, in_flags
from .output import one_line

USAGE = 2
_UNKNOWN = 1
_INTERRUPTED = 130
_COMMAND_LINE: ContextVar[Sequence[str]] = ContextVar("_COMMAND_LINE", default=())

_CODES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
    (InvalidInputError, USAGE),
    ((ApiError, ConfigurationError), 3),
    ((JobFailedError, JobCanceledError), 4),
    (WaitTimeoutError, 5),
    (SubmissionUncertainError, 6),
    ((UploadError, DownloadError), 7),
    (KeyboardInterrupt, _INTERRUPTED),
)


class StoppedError(Exception):
    """A job that is paid for is not at its end yet; the cause says why. `again` takes it up."""

    def __init__(self, cause: BaseException, job_id: str, again: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.job_id = job_id
        self.again = again


@frozen
class Misfit:
    """A fault of what a batch was to be made of: of a manifest's line, or of a clip."""

    source: str
    line: int | None
    text: str

    def told(self) -> str:
        """`manifest.csv:701: num_frames: 300 is not allowed; ...`."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return one_line(f"{place}: {self.text}")

    def record(self) -> dict[str, Any]:
        """For scripts."""
        return {"source": self.source, "line": self.line, "message": one_line(self.text)}


class FaultyBatchError(Exception):
    """What a batch was to be made of is faulty. Nothing was sent."""

    def __init__(self, faults: Sequence[Misfit]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(fault.told() for fault in faults))


@frozen
class Failure:
    """An exit code, what happened, and what to do now. `facts` are for `--json`.

    `details` are told before what happened.
    """

    code: int
    kind: str
    message: str
    advice: tuple[str, ...] = ()
    facts: dict[str, Any] = field(factory=dict)
    details: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people."""
        return [*self.details, f"scenario-reframe: {self.message}", *self.advice]

    def record(self) -> dict[str, Any]:
        """For scripts."""
        return {"error": self.kind, "message": self.message, **self.facts}


@contextmanager
def taken_up_by(job_id: str, again: str) -> Iterator[None]:
    """Within this a job is on its way: whatever stops it says how to take it up again."""
    try:
        yield
    except (JobFailedError, JobCanceledError):
        raise
    except BaseException as cause:
        raise StoppedError(cause, job_id, again) from cause


def command(*words: str, connection: Connection) -> str:
    """A command line that can be pasted into a shell, with this one's connection."""
    parts = ["scenario-reframe", *words]
    if connection.base_url is not None:
        parts += ["--base-url", connection.base_url]
    if connection.project_id is not None:
        parts += ["--project-id", connection.project_id]
    if connection.ledger is not None:
        parts += ["--ledger", connection.ledger]
    return shlex.join(parts)


@contextmanager
def command_line(argv: Sequence[str]) -> Iterator[None]:
    """Within this, it is what a person typed."""
    token = _COMMAND_LINE.set(tuple(argv))
    try:
        yield
    finally:
        _COMMAND_LINE.reset(token)


def same_command() -> str:
    """The command line as it was typed; unless a URL's query, a secret perhaps, is in it."""
    typed = shlex.join(["scenario-reframe", *_COMMAND_LINE.get()])
    return typed if unsigned(typed) == typed else "scenario-reframe batch ... (as before)"


def usage(message: str) -> Failure:
    """A command line that cannot be read."""
    return Failure(USAGE, "UsageError", one_line(message), ("Try: scenario-reframe --help",))


def failure_of(fault: BaseException) -> Failure:
    """What any exception means for the person who ran the command."""
    if isinstance(fault, StoppedError):
        return _stopped(fault)
    if isinstance(fault, FaultyBatchError):
        return _faulty(fault)
    job = fault.job if isinstance(fault, ReframeError) else None
    facts: dict[str, Any] = {"job": job.id} if job else {}
    return Failure(
        _code(fault),
        "Interrupted" if isinstance(fault, KeyboardInterrupt) else type(fault).__name__,
        _message(fault),
        (*_advice(fault), *getattr(fault, "__notes__", ())),
        facts | _facts(fault),
    )


def _stopped(fault: StoppedError) -> Failure:
    plain = failure_of(fault.cause)
    advice = f"Job {fault.job_id} is paid for and goes on. To take it up again:"
    facts = plain.facts | {"job": fault.job_id, "resume": fault.again}
    return Failure(
        plain.code, plain.kind, plain.message, (*plain.advice, advice, fault.again), facts
    )


def _faulty(fault: FaultyBatchError) -> Failure:
    faults = fault.faults
    rows = len({(one.source, one.line) for one in faults})
    what = "row" if any(one.line for one in faults) else "clip"
    counted = f"{counted_in(len(faults), 'fault')} in {counted_in(rows, what)}"
    message = f"{counted}; nothing was sent, nothing was paid"
    advice: tuple[str, ...] = ()
    if any("output of more than one" in one.text for one in faults) and what == "clip":
        advice = ("A manifest can name outputs: a CSV file with the columns video and output.",)
    facts = {"faults": [one.record() for one in faults]}
    details = tuple(one.told() for one in faults)
    return Failure(USAGE, "InvalidBatchError", message, advice, facts, details)


def counted_in(number: int, what: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number:,} {what}" + "s" * (number != 1)


def _code(fault: BaseException) -> int:
    return next((code for kind, code in _CODES if isinstance(fault, kind)), _UNKNOWN)


def _message(fault: BaseException) -> str:
    if isinstance(fault, InvalidSettingsError) and len(fault.problems) > 1:
        lines = "".join(f"\n  {in_flags(line)}" for line in fault.problems)
        return f"{len(fault.problems)} settings are wrong:{lines}"
    if isinstance(fault, KeyboardInterrupt):
        return "interrupted"
    if isinstance(fault, InvalidInputError):
        return in_flags(str(fault))
    if isinstance(fault, ReframeError):
        return str(fault)
    return f"unexpected {type(fault).__name__}: {fault}"


def _advice(fault: BaseException) -> Sequence[str]:
    if not isinstance(fault, SubmissionUncertainError):
        return ()
    lost = fault.submission
    lines = [f"Sent at {lost.started_at.isoformat(timespec='seconds')} with seed {lost.seed}."]
    lines += [f"Could be it: {job.id} ({one_line(job.status)})" for job in fault.candidates]
    return lines


def _facts(fault: BaseException) -> dict[str, Any]:
    if isinstance(fault, InvalidSettingsError):
        return {"problems": [in_flags(line) for line in fault.problems]}
    if isinstance(fault, ApiError):
        return {"status_code": fault.status_code, "request_id": fault.request_id}
    if isinstance(fault, SubmissionUncertainError):
        return {
            "seed": fault.submission.seed,
            "started_at": fault.submission.started_at.isoformat(),
            "candidates": [job.id for job in fault.candidates],
        }
    return {}
