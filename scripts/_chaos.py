"""Run batches against a sandbox with faults, while their clients are killed with SIGKILL.

Two accounts share a ledger and a server. Several clients work on each account's manifest at once;
some are stopped for a moment, some have a wrong clock, and one account's key is rotated. No figure
comes from the clients: the sandbox counts jobs, files are counted by their SHA-256, and a watcher
of the folder finds half-written files.
"""

import argparse
import base64
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from _chaos_processes import ChaosAccount, ClientProcesses
from _chaos_rows import ManifestRow, Verdict, digest_of, judge, write_rows
from _chaos_server import WEIGHTS, RandomEcho
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.records import PROJECT_ID

CLIENT = (sys.executable, str(Path(__file__).with_name("_chaos_client.py")))
LIST_LAG = 0.5
LATE_SECONDS = 0.5
PARALLEL_JOBS = 20
ROUNDS = 10
PROCESSES_RANGE = (2, 3)
PROBLEMS = ("duplicates", "lost", "wrong_row", "partial_files_seen", "credentials_found", "hung")


@dataclass
class Watcher:
    """Reads every file once it has its final name, to find those that are not whole by then."""

    folder: Path
    digests: Callable[[], set[str]]
    seen: dict[str, str] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Watch until stopped, then scan once more."""
        while True:
            last = self.stopped.wait(0.01)
            for entry in os.scandir(self.folder):
                if entry.name.endswith(".mp4") and entry.name not in self.seen:
                    self.seen[entry.name] = digest_of(Path(entry.path))
            if last:
                return

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch on a separate thread."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            thread.join()

    def partial(self) -> int:
        """The number of files that had their final name before they were whole."""
        return len(set(self.seen.values()) - self.digests())


def credentials_in(folder: Path, keys: Sequence[tuple[str, str]]) -> int:
    """The number of files that hold a key, a secret, or their Basic credentials."""
    pairs = (base64.b64encode(f"{key}:{secret}".encode()) for key, secret in keys)
    needles = [*(word.encode() for key in keys for word in key), *pairs]
    contents = (path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return sum(any(needle in content for needle in needles) for content in contents)


def make_accounts(random: Random) -> list[ChaosAccount]:
    """Make two accounts; the first one has two keys, one of which is revoked later."""

    def key() -> tuple[str, str]:
        return f"key-{random.randbytes(12).hex()}", f"secret-{random.randbytes(12).hex()}"

    return [
        ChaosAccount("a", PROJECT_ID, [key(), key()], random.randint(*PROCESSES_RANGE)),
        ChaosAccount("b", "proj_b", [key()], random.randint(*PROCESSES_RANGE)),
    ]


def chaos(
    jobs: int,
    kills: int,
    faults: float,
    seed: int,
    client: Sequence[str] = CLIENT,
    rounds: int = ROUNDS,
    kinds: Collection[str] | None = None,
) -> dict[str, int | float]:
    """Run it all and return the figures. `faults`: the share of requests with a fault."""
    started = time.monotonic()
    random = Random(seed)  # noqa: S311 - kills, not keys
    accounts = make_accounts(random)
    keys = [key for account in accounts for key in account.keys]
    with (
        tempfile.TemporaryDirectory(prefix="scenario-reframe-chaos-") as temporary,
        Sandbox(
            api_key=keys[0][0],
            api_secret=keys[0][1],
            fast=True,
            stage_seconds=0.05,
            list_lag=LIST_LAG,
            parallel_jobs=PARALLEL_JOBS,
        ) as sandbox,
    ):
        sandbox.add_key(*keys[1], PROJECT_ID)
        sandbox.add_key(*keys[2], "proj_b")
        sandbox.echo = RandomEcho(seed)
        folder = Path(temporary)
        rows = _write_manifests(folder, accounts, jobs)
        sandbox.faults.draw(
            seed=seed, rate=faults, late_seconds=LATE_SECONDS, kinds=kinds or WEIGHTS
        )
        watcher = Watcher(folder / "out", lambda: {d for job in sandbox.made for d in job.digests})
        clients = ClientProcesses(
            sandbox, folder, accounts, client, random, lambda: len(watcher.seen)
        )
        with watcher.watching():
            clients.run(jobs, kills, rounds)
        verdict = judge(rows, sandbox.made, folder / "out")
        _print_problems(verdict, folder, jobs)
        return {
            "jobs_asked": jobs,
            "jobs_made": sandbox.jobs_made,
            "duplicates": verdict.duplicates,
            "lost": verdict.lost,
            "wrong_row": verdict.wrong_row,
            "files_whole": verdict.whole,
            "partial_files_seen": watcher.partial(),
            "credentials_found": credentials_in(folder, keys) + sandbox.credentials_leaked,
            "hung": clients.hung,
            "kills": clients.killed,
            "faults": sandbox.faults.drawn.total(),
            "requests": sandbox.requests_made,
            "seconds": round(time.monotonic() - started, 1),
        }


def _write_manifests(
    folder: Path, accounts: Sequence[ChaosAccount], jobs: int
) -> list[ManifestRow]:
    """Write the accounts' manifests, half of the rows in each."""
    (folder / "out").mkdir()
    shares = (jobs - jobs // 2, jobs // 2)
    return [
        row
        for account, share in zip(accounts, shares, strict=True)
        for row in write_rows(folder, account.name, account.project_id, share)
    ]


def _print_problems(verdict: Verdict, folder: Path, jobs: int) -> None:
    """Print the problems, and the clients' output."""
    for note in verdict.notes:
        print(note, file=sys.stderr)
    if verdict.whole < jobs:
        print((folder / "client.out").read_text("utf-8", "replace")[-4000:], file=sys.stderr)


def is_good(figures: dict[str, int | float]) -> bool:
    """Whether nothing was bought twice, lost, mixed up, cut or leaked, and all clients ended."""
    requested = figures["jobs_asked"]
    return figures["jobs_made"] == figures["files_whole"] == requested and not any(
        figures[name] for name in PROBLEMS
    )


def main() -> int:
    """Parse the arguments, run, and print the figures."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=60, help="rows in the manifests")
    parser.add_argument("--kills", type=int, default=6, help="how often a client is killed")
    parser.add_argument(
        "--faults", type=float, default=20, help="percent of requests that have a fault"
    )
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    figures = chaos(given.jobs, given.kills, given.faults / 100, given.seed)
    print(json.dumps(figures))
    return 0 if is_good(figures) and figures["kills"] == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
