"""`jobs list`, `show`, `wait`, `download`: take up jobs that are at the server already."""

from datetime import UTC
from itertools import islice
from typing import Any

from scenario_reframe import Entry, Job
from scenario_reframe.arguments import check_seconds

from .exit_codes import command, taken_up_by
from .flags import Connection
from .output import as_record, one_line, put, put_json
from .progress import display
from .run_command import Target, finish, open_client, report


def list_jobs(limit: int, connection: Connection, *, as_json: bool) -> None:
    """Print the newest jobs, one a line, and what the ledger knows that the server does not."""
    with open_client(connection) as client:
        jobs = list(islice(client.jobs(), max(limit, 0)))
        entries = [] if connection.place() is None else client.entries()
    lost = [entry for entry in entries if entry.job_id is None and not entry.is_finished]
    wishes = {entry.job_id: entry for entry in entries}
    if as_json:
        rows = [as_record(job) | wish_record(wishes.get(job.id)) for job in jobs]
        put_json({"jobs": rows, "without_job": [wish_record(entry) for entry in lost]})
        return
    for entry in lost:
        put(f"{'no job known':<28}  {entry.state:<12}  {wish_of(entry)}  seed {entry.seed or '-'}")
    for job in jobs:
        wish = wishes.get(job.id)
        put(f"{_row(job)}  {wish_of(wish)}" if wish else _row(job))


def show(job_id: str, connection: Connection, *, as_json: bool) -> None:
    """Print one job as it stands."""
    with open_client(connection) as client:
        _print(client.get_job(job_id), as_json=as_json)


def wait(job_id: str, timeout: float, connection: Connection, *, as_json: bool) -> None:
    """Wait until a job is done, and print it."""
    check_seconds(timeout)
    with open_client(connection) as client, display() as shown:
        job = client.get_job(job_id)
        with taken_up_by(job.id, command("jobs", "wait", job.id, connection=connection)):
            job = client.wait(job, timeout=timeout, on_update=shown.status)
    _print(job, as_json=as_json)


def download(job_id: str, target: Target, connection: Connection, *, as_json: bool) -> None:
    """Wait for a job if it is not done, download its results and print their paths."""
    with open_client(connection) as client, display() as shown:
        job = client.get_job(job_id)
        with taken_up_by(job.id, target.command(job.id, connection)):
            done, files = finish(client, job, target, shown)
    report(done, files, as_json=as_json)


def wish_of(entry: Entry) -> str:
    """What a line of the ledger was for."""
    return f"{one_line(entry.source or 'no video')} -> {one_line(entry.target or 'no file')}"


def wish_record(entry: Entry | None) -> dict[str, Any]:
    """What `--json` says of a line of the ledger."""
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


def _print(job: Job, *, as_json: bool) -> None:
    record = as_record(job)
    if as_json:
        put_json(record)
        return
    for name, value in record.items():
        if value not in (None, [], {}):
            put(f"{name:<11} {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{one_line(key)}={one_line(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(one_line(item) for item in value)
    return one_line(value)
