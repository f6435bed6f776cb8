"""`resume`: finish every unfinished entry of the ledger."""

from pathlib import Path
from typing import Any

from scenario_reframe import ConfigurationError, Entry, ReframeClient, ReframeError
from scenario_reframe.arguments import check_seconds

from .exit_codes import UnfinishedJobError, failure_of
from .flags import Connection
from .jobs_command import entry_label, entry_to_json
from .output import job_to_json, print_json, print_paths
from .progress import Display, open_display
from .run_command import JobTracker, Target, open_client, resume_advice, showing_log


def resume(
    connection: Connection,
    *,
    timeout: float,
    overwrite: bool,
    resubmit: bool,
    after: float,
    as_json: bool,
) -> int:
    """Finish the entries one after another; the exit code of the first failure, or 0."""
    check_seconds(timeout)
    check_seconds(after, "after")
    resubmit_after = after if resubmit else None
    if connection.ledger_location() is None:
        raise ConfigurationError("resume needs a ledger: do not pass --ledger none")
    code, rows = 0, []
    with open_client(connection) as client, open_display() as shown, showing_log(shown):
        entries = client.entries(unfinished=True)
        if not entries:
            shown.message("Nothing is unfinished.")
        for entry in reversed(entries):
            shown.message(f"{entry_label(entry)}: {entry.state}")
            try:
                rows.append(
                    _resume(client, entry, connection, shown, timeout, overwrite, resubmit_after)
                )
            except (ReframeError, UnfinishedJobError) as fault:
                cause = fault.cause if isinstance(fault, UnfinishedJobError) else fault
                if not isinstance(cause, ReframeError):
                    raise
                failure = failure_of(fault)
                code = code or failure.code
                for line in failure.lines():
                    shown.message(line)
                rows.append(entry_to_json(entry) | failure.to_json())
    if as_json:
        print_json({"resumed": rows})
    else:
        print_paths(Path(file) for row in rows for file in row.get("files", []))
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
    """Finish one entry; its job and files as a JSON object."""
    target = Target(path=entry.target or ".", overwrite=overwrite, timeout=timeout, may_exist=True)
    tracker = JobTracker(shown)
    with resume_advice(tracker, target, connection):
        result = client.resume(
            entry,
            target.path,
            overwrite=overwrite,
            timeout=timeout,
            on_update=tracker.update,
            on_progress=tracker.transfer,
            resubmit_after=resubmit_after,
        )
    return job_to_json(result.job) | {"files": [str(file) for file in result.files]}
