"""A batch against a sandbox that misbehaves, its client killed with SIGKILL again and again.

Everything is counted on the other side: jobs by the sandbox, files by their SHA-256, half-written
files by a watcher of the folder.
"""

import argparse
import base64
import csv
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.drawing import KINDS

CLIENT = (sys.executable, str(Path(__file__).with_name("_chaos_client.py")))
LIST_LAG = 0.5
LATE = 0.5
RESUBMIT_AFTER = 2.0
"""Seconds; longer than the list's lag and the latest acceptance together."""

PARALLEL_JOBS = 40
SHAPES = ("9:16", "1:1")
ROUNDS = 10
_REQUESTS_A_JOB = 9  # roughly: uploads, the submit, looks, the asset, the download
_HEAD = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"


@dataclass
class Watcher:
    """Reads every file once it has its final name; what is no whole result then was partial."""

    folder: Path
    digests: Callable[[], set[str]]
    seen: dict[str, str] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Watch until stopped, and once more."""
        while True:
            last = self.stopped.wait(0.01)
            for entry in os.scandir(self.folder):
                if entry.name.endswith(".mp4") and entry.name not in self.seen:
                    self.seen[entry.name] = digest_of(Path(entry.path))
            if last:
                return

    def partial(self) -> int:
        """How many files had a final name before they were whole."""
        return len(set(self.seen.values()) - self.digests())


def digest_of(path: Path) -> str:
    """A file's SHA-256, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_clips(folder: Path, jobs: int) -> None:
    """A manifest of so many wishes, two for each clip. A wish is told by its prompt."""
    (folder / "clips").mkdir()
    (folder / "out").mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "output", "prompt", "aspect_ratio"])
        for number in range(jobs):
            clip = folder / "clips" / f"clip-{number // 2}.mp4"
            if number % 2 == 0:
                clip.write_bytes(_HEAD + hashlib.sha512(str(number).encode()).digest() * 300)
            rows.writerow([clip, f"{number}.mp4", f"wish {number}", SHAPES[number % 2]])


def run_and_kill(
    sandbox: Sandbox,
    folder: Path,
    client: Sequence[str],
    kills: int,
    rounds: int,
    rng: random.Random,
    jobs: int,
) -> int:
    """Start the client, kill it, start it again; at last let it end. How often it was killed."""
    killed = ended = 0
    secrets = {
        "SCENARIO_API_KEY": sandbox.api_key,
        "SCENARIO_API_SECRET": sandbox.api_secret,
        "SCENARIO_BASE_URL": sandbox.base_url,
    }
    with (folder / "client.out").open("ab") as output:
        while ended < rounds:
            process = subprocess.Popen(
                [*client, str(folder), str(RESUBMIT_AFTER)],
                env=os.environ | secrets,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            if killed < kills and _kill(process, sandbox, folder, rng, jobs, kills - killed):
                killed += 1
                continue
            ended += 1
            if process.wait() == 0 and killed == kills:
                break
    return killed


def _kill(
    process: subprocess.Popen[bytes],
    sandbox: Sandbox,
    folder: Path,
    rng: random.Random,
    jobs: int,
    kills: int,
) -> bool:
    """Kill the client after a random number of requests; False if it ended before."""
    left = _REQUESTS_A_JOB * (jobs - len(list((folder / "out").glob("*.mp4"))))
    until = sandbox.requests_made + rng.uniform(0, 2 * left / (kills + 1))
    while sandbox.requests_made < until:
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.02))
    process.kill()
    process.wait()
    return True


def credentials_in(folder: Path, sandbox: Sandbox) -> int:
    """How many files hold the key, the secret, or both as they go into a header."""
    pair = f"{sandbox.api_key}:{sandbox.api_secret}".encode()
    needles = (sandbox.api_key.encode(), sandbox.api_secret.encode(), base64.b64encode(pair))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(any(needle in content for needle in needles) for content in map(_bytes, files))


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def chaos(
    jobs: int,
    kills: int,
    faults: float,
    seed: int,
    client: Sequence[str] = CLIENT,
    rounds: int = ROUNDS,
    kinds: Collection[str] = KINDS,
) -> dict[str, int | float]:
    """All of it; the figures. `faults`: the share of requests that meet one."""
    started = time.monotonic()
    rng = random.Random(seed)  # noqa: S311 - kills, not keys
    key, secret = f"key-{rng.randbytes(12).hex()}", f"secret-{rng.randbytes(12).hex()}"
    with (
        tempfile.TemporaryDirectory(prefix="scenario-reframe-chaos-") as temporary,
        Sandbox(
            api_key=key,
            api_secret=secret,
            fast=True,
            stage_seconds=0.05,
            list_lag=LIST_LAG,
            parallel_jobs=PARALLEL_JOBS,
        ) as sandbox,
    ):
        folder = Path(temporary)
        write_clips(folder, jobs)
        sandbox.faults.draw(seed=seed, rate=faults, late_seconds=LATE, kinds=kinds)
        watcher = Watcher(folder / "out", lambda: {d for job in sandbox.made for d in job.digests})
        watching = threading.Thread(target=watcher.run)
        watching.start()
        try:
            killed = run_and_kill(sandbox, folder, client, kills, rounds, rng, jobs)
        finally:
            watcher.stopped.set()
            watching.join()
        made = Counter(job.input["prompt"] for job in sandbox.made)
        results = {job.input["prompt"]: job.digests for job in sandbox.made}
        files = {
            number: digest_of(path)
            for number in range(jobs)
            if (path := folder / "out" / f"{number}.mp4").exists()
        }
        whole = sum(digest in results[f"wish {number}"] for number, digest in files.items())
        if whole < jobs:
            print((folder / "client.out").read_text("utf-8", "replace")[-4000:], file=sys.stderr)
        return {
            "jobs_asked": jobs,
            "jobs_made": sandbox.jobs_made,
            "duplicates": sum(count - 1 for count in made.values()),
            "lost": sum(f"wish {number}" in made for number in range(jobs)) - whole,
            "files_whole": whole,
            "partial_files_seen": watcher.partial(),
            "credentials_found": credentials_in(folder, sandbox) + sandbox.credentials_leaked,
            "kills": killed,
            "faults": sandbox.faults.drawn.total(),
            "requests": sandbox.requests_made,
            "seconds": round(time.monotonic() - started, 1),
        }


def is_good(figures: dict[str, int | float]) -> bool:
    """Whether nothing was bought twice, lost, broken or told."""
    asked = figures["jobs_asked"]
    wrong = ("duplicates", "lost", "partial_files_seen", "credentials_found")
    return figures["jobs_made"] == figures["files_whole"] == asked and not any(
        figures[name] for name in wrong
    )


def main() -> int:
    """Read the arguments, run, print the figures."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=60, help="wishes in the manifest")
    parser.add_argument("--kills", type=int, default=6, help="how often the client is killed")
    parser.add_argument("--faults", type=float, default=20, help="percent of requests")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    figures = chaos(given.jobs, given.kills, given.faults / 100, given.seed)
    print(json.dumps(figures))
    return 0 if is_good(figures) and figures["kills"] == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
