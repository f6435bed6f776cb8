"""The job, asset and bytes that the download tests use, and a look into a folder."""

from pathlib import Path

from scenario_reframe import Job
from stepping import asset_reply

DATA = bytes(range(100))
JOB = Job(id="job_1", status="success", asset_ids=("asset_1",))
ASSET = asset_reply(size=100)


def listed(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())
