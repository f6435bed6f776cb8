"""What the rows of a chaos run ask for, and whose file each file is.

A row is told by what it asked for: its project, the bytes of its clip and its settings. Rows that
ask for the very same are a group. As many jobs must be made for a group as it has rows, and each
row's file must be one of these jobs' and no other row's.
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
"""Given by the caller in a third of the rows, so it tells nobody's job from another's."""

# What each clip is asked for. Blank cells leave rows that differ only by clip or shape, and some
# are asked for twice. Rows with the caller's seed carry nothing that the server may rewrite into
# something else: a client could not tell whether such a job is its own.
ASKS: Sequence[Mapping[str, Any]] = (
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
COLUMNS = sorted({name for ask in ASKS for name in ask})
_HEAD = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
_WIRE = {setting.name: setting.wire for setting in SETTINGS}

Group = tuple[str, str, str]
"""A project, a clip's SHA-256, and settings as JSON: what rows of a group ask for."""


@dataclass(frozen=True)
class Row:
    """One result that is asked for."""

    project_id: str
    clip: Path
    output: str
    settings: Mapping[str, Any]

    @cached_property
    def group(self) -> Group:
        """What the row asks for."""
        body = {_WIRE[name]: value for name, value in self.settings.items()}
        return _group(self.project_id, digest_of(self.clip), body)


@dataclass
class Verdict:
    """How many files and jobs are as they should be, or not; `notes` say where not."""

    whole: int = 0
    wrong_row: int = 0
    lost: int = 0
    duplicates: int = 0
    notes: list[str] = field(default_factory=list)


def digest_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_rows(folder: Path, account: str, project_id: str, count: int) -> list[Row]:
    """Write an account's manifest of so many rows, and their clips, which all accounts share."""
    (folder / "clips").mkdir(exist_ok=True)
    rows: list[Row] = []
    for number in range(count):
        clip = folder / "clips" / f"clip-{number // len(ASKS)}.mp4"
        clip.write_bytes(_HEAD + hashlib.sha512(clip.name.encode()).digest() * 300)
        ask = ASKS[number % len(ASKS)]
        rows.append(Row(project_id, clip, f"{account}-{number}.mp4", ask))
    with (folder / f"{account}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["video", "output", *COLUMNS])
        table.writeheader()
        table.writerows({"video": row.clip, "output": row.output, **row.settings} for row in rows)
    return rows


def judge(rows: Sequence[Row], made: Iterable[MadeJob], out: Path) -> Verdict:
    """Compare the jobs that the server made, and the files in a folder, with what was asked for."""
    jobs: dict[Group | None, list[MadeJob]] = {row.group: [] for row in rows} | {None: []}
    for job in made:
        jobs[_group_of(job, jobs.keys())].append(job)
    verdict = Verdict(duplicates=len(jobs[None]))
    verdict.notes += [f"asked for by no row: {job}" for job in jobs[None]]
    asked = Counter(row.group for row in rows)
    for group, count in asked.items():
        if len(jobs[group]) > count:
            verdict.duplicates += len(jobs[group]) - count
            verdict.notes.append(f"{len(jobs[group])} jobs for {count} rows: {group}")
    _judge_files(verdict, rows, jobs, out)
    paid = sum(min(len(jobs[group]), count) for group, count in asked.items())
    verdict.lost = paid - verdict.whole
    return verdict


def _judge_files(
    verdict: Verdict, rows: Sequence[Row], jobs: Mapping[Group | None, list[MadeJob]], out: Path
) -> None:
    """Give each file a job of its row's group, as long as there is one that made its bytes."""
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


def _group_of(job: MadeJob, groups: Iterable[Group | None]) -> Group | None:
    """The group of a job: of rows that gave its seed, else of rows that gave none."""
    given = {name: value for name, value in job.input.items() if name != VIDEO_FIELD}
    unseeded = {name: value for name, value in given.items() if name != "seed"}
    clip = job.source_digest or ""
    found = (_group(job.project_id, clip, body) for body in (given, unseeded))
    return next((group for group in found if group in groups), None)


def _group(project_id: str, clip: str, body: Mapping[str, Any]) -> Group:
    return project_id, clip, json.dumps(body, sort_keys=True)
