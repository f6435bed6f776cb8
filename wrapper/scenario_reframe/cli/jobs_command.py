"""`jobs list`, `show`, `wait`, `download`: work with jobs that the server already has."""

from datetime import UTC
from itertools import islice
from typing import Any

from scenario_reframe import Entry, Job
from scenario_reframe.arguments import check_seconds

from .exit_codes import resumable, shell_command
from .flags import Connection, check_whole_number
from .output import job_to_json, one_line, print_json, print_line
from .progress import open_display
from .run_command import Target, open_client, print_result, wait_and_download

_MOST_JOBS = 100_000


def list_jobs(limit: int, connection: Connection, *, as_json: bool) -> None:
    """Print the newest jobs, one a line, and the ledger's entries whose job is not known."""
    check_whole_number(limit, "limit", 0, _MOST_JOBS)
    with open_client(connection) as client:
        jobs = list(islice(client.jobs(), limit))
        entries = [] if connection.ledger_location() is None else client.entries()
    lost = [entry for entry in entries if entry.job_id is None and not entry.is_finished]
    by_job = {entry.job_id: entry for entry in entries}
    if as_json:
        rows = [job_to_json(job) | entry_to_json(by_job.get(job.id)) for job in jobs]
        print_json({"jobs": rows, "without_job": [entry_to_json(entry) for entry in lost]})
        return
    for entry in lost:
        start = f"{'no job known':<28}  {entry.state:<12}"
        print_line(f"{start}  {entry_label(entry)}  seed {entry.seed or '-'}")
    for job in jobs:
        of_job = by_job.get(job.id)
        print_line(f"{_row(job)}  {entry_label(of_job)}" if of_job else _row(job))


def show(job_id: str, connection: Connection, *, as_json: bool) -> None:
    """Print one job as it is now."""
    with open_client(connection) as client:
        _print_job(client.get_job(job_id), as_json=as_json)


def wait(job_id: str, timeout: float, connection: Connection, *, as_json: bool) -> None:
    """Wait until a job is done, and print it."""
    check_seconds(timeout)
    with open_client(connection) as client, open_display() as shown:
        job = client.get_job(job_id)
        with resumable(job.id, shell_command("jobs", "wait", job.id, connection=connection)):
            job = client.wait(job, timeout=timeout, on_update=shown.status)
    _print_job(job, as_json=as_json)


def download(job_id: str, target: Target, connection: Connection, *, as_json: bool) -> None:
    """Wait for a job if it is not done, download its results and print their paths."""
    with open_client(connection) as client, open_display() as shown:
        job = client.get_job(job_id)
        with resumable(job.id, target.download_command(job.id, connection)):
            done, files = wait_and_download(client, job, target, shown)
    print_result(done, files, as_json=as_json)


def entry_label(entry: Entry) -> str:
    """`clip.mp4 -> out.mp4`: an entry of the ledger by its source and its target."""
    return f"{one_line(entry.source or 'no video')} -> {one_line(entry.target or 'no file')}"


def entry_to_json(entry: Entry | None) -> dict[str, Any]:
    """An entry of the ledger in the output of `--json`."""
    if entry is None:
        return {}
    return {
        "source": entry.source,
        "output": entry.target,
        "state": entry.state,
        "seed": entry.seed,
    }


def _row(job: Job) -> str:
    created = f"{job.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if job.created_at else "-"
    cost = "-" if job.cost is None else f"{job.cost:g}"
    kind = one_line(job.raw.get("jobType") or "-")
    state = f"{one_line(job.status):<12} {job.progress:>4.0%}"
    seed = one_line(job.input.get("seed", "-"))
    return f"{job.id}  {kind:<8}  {state}  {created}  cost {cost}  seed {seed}"


def _print_job(job: Job, *, as_json: bool) -> None:
    fields = job_to_json(job)
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        if value not in (None, [], {}):
            print_line(f"{name:<11} {_value_text(value)}")


def _value_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{one_line(key)}={one_line(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(one_line(item) for item in value)
    return one_line(value)
