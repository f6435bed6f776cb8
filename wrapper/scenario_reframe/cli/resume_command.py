"""`resume`: take up all that the ledger knows to be unfinished."""

from pathlib import Path
from typing import Any

from scenario_reframe import ConfigurationError, Entry, ReframeClient, ReframeError
from scenario_reframe.arguments import check_seconds

from .exit_codes import StoppedError, failure_of
from .flags import Connection
from .jobs_command import wish_of, wish_record
from .output import as_record, put_json, put_paths
from .progress import Display, display
from .run_command import Course, Target, going_on, logged, open_client


def resume(
    connection: Connection,
    *,
    timeout: float,
    overwrite: bool,
    resubmit_after: float | None,
    as_json: bool,
) -> int:
    """Finish what is unfinished, one after another; the exit code of the first failure, or 0."""
    check_seconds(timeout)
    if connection.place() is None:
        raise ConfigurationError("resume needs a ledger; leave --ledger none out")
    code, rows = 0, []
    with open_client(connection) as client, display() as shown, logged(shown):
        entries = client.entries(unfinished=True)
        if not entries:
            shown.say("Nothing is unfinished.")
        for entry in reversed(entries):
            shown.say(f"{wish_of(entry)}: {entry.state}")
            try:
                rows.append(
                    _resume(client, entry, connection, shown, timeout, overwrite, resubmit_after)
                )
            except (ReframeError, StoppedError) as fault:
                if isinstance(fault, StoppedError) and not isinstance(fault.cause, ReframeError):
                    raise
                failure = failure_of(fault)
                code = code or failure.code
                for line in failure.lines():
                    shown.say(line)
                rows.append(wish_record(entry) | failure.record())
    if as_json:
        put_json({"resumed": rows})
    else:
        put_paths(Path(file) for row in rows for file in row.get("files", []))
    return code


def _resume(
    client: ReframeClient,
    entry: Entry,
    connection: Connection,
    shown: Display,
    timeout: float,
    overwrite: bool,  # noqa: FBT001
    resubmit_after: float | None,
) -> dict[str, Any]:
    target = Target(
        path=entry.target or ".", overwrite=overwrite, timeout=timeout, may_be_there=True
    )
    course = Course(shown)
    with going_on(course, target, connection):
        result = client.resume(
            entry,
            target.path,
            overwrite=overwrite,
            timeout=timeout,
            on_update=course.update,
            on_progress=course.transfer,
            resubmit_after=resubmit_after,
        )
    return as_record(result.job) | {"files": [str(file) for file in result.files]}
