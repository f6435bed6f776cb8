"""Errors that end a command: exit codes, messages for people, JSON objects for scripts."""

import os
import shlex
import string
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from attrs import field, frozen

from scenario_reframe.api.sanitize import printable, without_secrets
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

from .flags import Connection, with_flag_names
from .output import OutputError, one_line

USAGE = 2
REFUSED = 3
UNCERTAIN = 6
_UNKNOWN = 1
INTERRUPTED = 130
_PLAIN = set(string.ascii_letters + string.digits + string.punctuation + " ") - {"'", "\\"}
_COMMAND_LINE: ContextVar[Sequence[str]] = ContextVar("_COMMAND_LINE", default=())

_CODES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
    (InvalidInputError, USAGE),
    ((ApiError, ConfigurationError), REFUSED),
    ((JobFailedError, JobCanceledError), 4),
    (WaitTimeoutError, 5),
    (SubmissionUncertainError, UNCERTAIN),
    ((UploadError, DownloadError), 7),
    (KeyboardInterrupt, INTERRUPTED),
)


class UnfinishedJobError(Exception):
    """A command ended before its paid job did; `cause` says why, `resume_command` resumes it."""

    def __init__(self, cause: BaseException, job_id: str, resume_command: str) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.job_id = job_id
        self.resume_command = resume_command


@frozen
class InputFault:
    """A fault in a batch's inputs: in a line of a manifest, or in a clip (`line` is None)."""

    source: str
    line: int | None
    text: str

    def message(self) -> str:
        """`manifest.csv:701: num_frames: 300 is not allowed; ...`."""
        position = self.source if self.line is None else f"{self.source}:{self.line}"
        return one_line(f"{position}: {self.text}")

    def to_json(self) -> dict[str, Any]:
        """The fault in the output of `--json`."""
        return {"source": self.source, "line": self.line, "message": one_line(self.text)}


class FaultyInputsError(Exception):
    """A batch's inputs have faults. Nothing was sent."""

    def __init__(self, faults: Sequence[InputFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(fault.message() for fault in faults))


@frozen
class Failure:
    """An error as it is reported: exit code, message, and what to do now.

    `details` are printed before the message; `facts` go into the JSON object.
    """

    code: int
    kind: str
    message: str
    advice: tuple[str, ...] = ()
    facts: dict[str, Any] = field(factory=dict)
    details: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report for people."""
        return [*self.details, f"scenario-reframe: {self.message}", *self.advice]

    def to_json(self) -> dict[str, Any]:
        """The report in the output of `--json`."""
        return {"error": self.kind, "message": self.message, **self.facts}


@contextmanager
def resumable(job_id: str, resume_command: str) -> Iterator[None]:
    """Whatever stops this block, except the job's own failure, names the command that resumes."""
    try:
        yield
    except (JobFailedError, JobCanceledError):
        raise
    except BaseException as cause:
        raise UnfinishedJobError(cause, job_id, resume_command) from cause


def shell_command(*words: str, connection: Connection) -> str:
    """A command line that can be pasted into a shell, with this one's connection."""
    parts = ["scenario-reframe", *words]
    if connection.base_url is not None:
        parts += ["--base-url", connection.base_url]
    if connection.project_id is not None:
        parts += ["--project-id", connection.project_id]
    if connection.ledger is not None:
        parts += ["--ledger", connection.ledger]
    return _pasteable(parts)


def _pasteable(words: Iterable[str]) -> str:
    """Words for a shell, in printable characters only."""
    return " ".join(
        shlex.quote(word) if word == printable(word, len(word)) else _escaped(word)
        for word in words
    )


def _escaped(word: str) -> str:
    r"""A word in the quotes of bash and zsh that read `\n` and the like."""
    plain = "".join(
        chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(word)
    )
    return f"$'{plain}'"


@contextmanager
def remember_command_line(argv: Sequence[str]) -> Iterator[None]:
    """Within this block, `typed_command` returns this command line."""
    token = _COMMAND_LINE.set(tuple(argv))
    try:
        yield
    finally:
        _COMMAND_LINE.reset(token)


def typed_command() -> str:
    """The command line as typed; not if it holds a URL's query or user, which may be a secret."""
    words = ["scenario-reframe", *_COMMAND_LINE.get()]
    is_secret = any(without_secrets(word) != word for word in words)
    return "scenario-reframe batch ... (as before)" if is_secret else _pasteable(words)


def usage_failure(message: str) -> Failure:
    """The failure of a command line that cannot be parsed."""
    return Failure(USAGE, "UsageError", one_line(message), ("Try: scenario-reframe --help",))


def failure_of(fault: BaseException) -> Failure:
    """Any exception as it is reported."""
    if isinstance(fault, UnfinishedJobError):
        return _unfinished_job(fault)
    if isinstance(fault, FaultyInputsError):
        return _faulty_inputs(fault)
    if isinstance(fault, InvalidSettingsError) and len(fault.problems) > 1:
        return _wrong_settings(fault)
    if isinstance(fault, OSError) and not _has_working_directory():
        lost = "the working directory does not exist any more, or cannot be read; change to another"
        return Failure(USAGE, "InvalidInputError", lost)
    job = fault.job if isinstance(fault, ReframeError) else None
    facts: dict[str, Any] = {"job": job.id} if job else {}
    return Failure(
        _code(fault),
        "Interrupted" if isinstance(fault, KeyboardInterrupt) else type(fault).__name__,
        _message(fault),
        (*_advice(fault), *getattr(fault, "__notes__", ())),
        facts | _facts(fault),
    )


def _unfinished_job(fault: UnfinishedJobError) -> Failure:
    plain = failure_of(fault.cause)
    # The library's own note on this job says the same without the command.
    advice = [line for line in plain.advice if fault.job_id not in line]
    advice.append(f"Job {fault.job_id} is paid for and continues on the server. To resume it, run:")
    facts = plain.facts | {"job": fault.job_id, "resume": fault.resume_command}
    return Failure(plain.code, plain.kind, plain.message, (*advice, fault.resume_command), facts)


def _faulty_inputs(fault: FaultyInputsError) -> Failure:
    faults = fault.faults
    rows = len({(one.source, one.line) for one in faults})
    what = "row" if any(one.line for one in faults) else "clip"
    counted = f"{plural(len(faults), 'fault')} in {plural(rows, what)}"
    message = f"{counted}; nothing was sent, nothing was paid"
    advice: tuple[str, ...] = ()
    if any("is the output of" in one.text for one in faults) and what == "clip":
        advice = ("A manifest can name outputs: a CSV file with the columns video and output.",)
    facts = {"faults": [one.to_json() for one in faults]}
    details = tuple(one.message() for one in faults)
    return Failure(USAGE, "InvalidBatchError", message, advice, facts, details)


def _wrong_settings(fault: InvalidSettingsError) -> Failure:
    problems = tuple(with_flag_names(line) for line in fault.problems)
    message = f"{len(problems)} settings are wrong; nothing was sent"
    facts = {"problems": list(problems)}
    return Failure(USAGE, type(fault).__name__, message, facts=facts, details=problems)


def plural(number: int, noun: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def _has_working_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - the name is not wanted
    except OSError:
        return False
    return True


def _code(fault: BaseException) -> int:
    return next((code for kind, code in _CODES if isinstance(fault, kind)), _UNKNOWN)


def _message(fault: BaseException) -> str:
    if isinstance(fault, KeyboardInterrupt):
        return "interrupted"
    if isinstance(fault, InvalidInputError):
        return with_flag_names(str(fault))
    if isinstance(fault, ReframeError | OutputError):
        return str(fault)
    return f"unexpected {type(fault).__name__}: {fault}"


def _advice(fault: BaseException) -> Sequence[str]:
    """What is known of an uncertain submission."""
    if not isinstance(fault, SubmissionUncertainError):
        return ()
    lost = fault.submission
    lines = [f"Sent at {lost.started_at.isoformat(timespec='seconds')} with seed {lost.seed}."]
    lines += [f"Candidate: {job.id} ({one_line(job.status)})" for job in fault.candidates]
    return lines


def _facts(fault: BaseException) -> dict[str, Any]:
    """What `--json` adds for some errors."""
    if isinstance(fault, InvalidSettingsError):
        return {"problems": [with_flag_names(line) for line in fault.problems]}
    if isinstance(fault, ApiError):
        return {"status_code": fault.status_code, "request_id": fault.request_id}
    if isinstance(fault, SubmissionUncertainError):
        return {
            "seed": fault.submission.seed,
            "started_at": fault.submission.started_at.isoformat(),
            "candidates": [job.id for job in fault.candidates],
        }
    return {}
