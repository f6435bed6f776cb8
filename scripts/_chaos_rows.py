"""The rows of a chaos run's manifests, and the check that each has its own job and file.

A row is identified by its request: its project, the bytes of its clip and its settings. Rows with
equal requests are a group. A group must have as many jobs as rows, and each row's file must be the
result of one of these jobs and of no other row.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from scenario_reframe.sandbox import MadeJob
from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

SEED = 42
"""The caller's seed in a third of the rows, so it identifies no job."""

# The requests for each clip. Some differ only by aspect ratio, and some are made twice. Those with
# the caller's seed have no setting that the server may rewrite: a client could not recognize such a
# job as its own.
REQUESTS: Sequence[Mapping[str, Any]] = (
    {"aspect_ratio": "9:16"},
    {"aspect_ratio": "9:16", "seed": SEED},
    {"aspect_ratio": "1:1"},
    {"aspect_ratio": "9:16", "seed": SEED},
    {"aspect_ratio": "9:16"},
    {"aspect_ratio": "1:1", "prompt": "a hill", "guidance_scale": 4.1},
    {"aspect_ratio": "1:1", "seed": SEED},
    {"aspect_ratio": "9:16", "prompt": "a hill"},
    {"aspect_ratio": "1:1", "frames_per_second": 23.976},
)
SETTING_COLUMNS = sorted({name for settings in REQUESTS for name in settings})
_HEAD = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
_WIRE = {setting.name: setting.wire for setting in SETTINGS}

RequestGroup = tuple[str, str, str]
"""The request of a group: a project, a clip's SHA-256, and settings as JSON."""


@dataclass(frozen=True)
class ManifestRow:
    """One row of a manifest: one requested result."""

    project_id: str
    clip: Path
    output: str
    settings: Mapping[str, Any]

    @cached_property
    def group(self) -> RequestGroup:
        """The row's request."""
        body = {_WIRE[name]: value for name, value in self.settings.items()}
        return _group(self.project_id, digest_of(self.clip), body)


@dataclass
class Verdict:
    """How many files and jobs are right or wrong; `notes` list what is wrong."""

    whole: int = 0
    wrong_row: int = 0
    lost: int = 0
    duplicates: int = 0
    notes: list[str] = field(default_factory=list)


def digest_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_rows(folder: Path, account: str, project_id: str, count: int) -> list[ManifestRow]:
    """Write an account's manifest of `count` rows, and their clips, which all accounts share."""
    (folder / "clips").mkdir(exist_ok=True)
    rows: list[ManifestRow] = []
    for number in range(count):
        clip = folder / "clips" / f"clip-{number // len(REQUESTS)}.mp4"
        clip.write_bytes(_HEAD + hashlib.sha512(clip.name.encode()).digest() * 300)
        settings = REQUESTS[number % len(REQUESTS)]
        rows.append(ManifestRow(project_id, clip, f"{account}-{number}.mp4", settings))
    with (folder / f"{account}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["video", "output", *SETTING_COLUMNS])
        table.writeheader()
        table.writerows({"video": row.clip, "output": row.output, **row.settings} for row in rows)
    return rows


def judge(rows: Sequence[ManifestRow], made: Iterable[MadeJob], out: Path) -> Verdict:
    """Compare the server's jobs and the files in a folder with the requested rows."""
    jobs: dict[RequestGroup | None, list[MadeJob]] = {row.group: [] for row in rows} | {None: []}
    for job in made:
        jobs[_group_of(job, jobs.keys())].append(job)
    verdict = Verdict(duplicates=len(jobs[None]))
    verdict.notes += [f"requested by no row: {job}" for job in jobs[None]]
    requested = Counter(row.group for row in rows)
    for group, count in requested.items():
        if len(jobs[group]) > count:
            verdict.duplicates += len(jobs[group]) - count
            verdict.notes.append(f"{len(jobs[group])} jobs for {count} rows: {group}")
    _judge_files(verdict, rows, jobs, out)
    paid = sum(min(len(jobs[group]), count) for group, count in requested.items())
    verdict.lost = paid - verdict.whole
    return verdict


def _judge_files(
    verdict: Verdict,
    rows: Sequence[ManifestRow],
    jobs: Mapping[RequestGroup | None, list[MadeJob]],
    out: Path,
) -> None:
    """Match each file to a job of its row's group that made these bytes and is not taken yet."""
    left = {group: Counter(_digests(found)) for group, found in jobs.items()}
    results = {digest for found in jobs.values() for digest in _digests(found)}
    for row in rows:
        path = out / row.output
        digest = digest_of(path) if path.exists() else None
        if digest and left[row.group][digest]:
            left[row.group][digest] -= 1
            verdict.whole += 1
        elif digest in results:
            verdict.wrong_row += 1
            verdict.notes.append(f"{row.output} is another row's: {row.group}")


def _digests(jobs: Iterable[MadeJob]) -> list[str]:
    return [digest for job in jobs for digest in job.digests]


def _group_of(job: MadeJob, groups: Iterable[RequestGroup | None]) -> RequestGroup | None:
    """The group of a job: of rows with its seed, else of rows without a seed."""
    given = {name: value for name, value in job.input.items() if name != VIDEO_FIELD}
    unseeded = {name: value for name, value in given.items() if name != "seed"}
    clip = job.source_digest or ""
    found = (_group(job.project_id, clip, body) for body in (given, unseeded))
    return next((group for group in found if group in groups), None)


def _group(project_id: str, clip: str, body: Mapping[str, Any]) -> RequestGroup:
    return project_id, clip, json.dumps(body, sort_keys=True)
