"""Batches against a sandbox that misbehaves, their clients killed with SIGKILL again and again.

Two accounts share a ledger and a server. Several clients work on each account's manifest at once;
some are stopped for a moment, some have a clock that is wrong, and one account's key is rotated.
Everything is counted on the other side: jobs by the sandbox, files by their SHA-256, half-written
files by a watcher of the folder.
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

from _chaos_processes import Account, Clients
from _chaos_rows import Row, Verdict, digest_of, judge, write_rows
from _chaos_server import WEIGHTS, Echo
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.records import PROJECT_ID

CLIENT = (sys.executable, str(Path(__file__).with_name("_chaos_client.py")))
LIST_LAG = 0.5
LATE = 0.5
PARALLEL_JOBS = 20
ROUNDS = 10
PROCESSES = (2, 3)
WRONG = ("duplicates", "lost", "wrong_row", "partial_files_seen", "credentials_found", "hung")


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

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch on a thread of its own."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            thread.join()

    def partial(self) -> int:
        """How many files had a final name before they were whole."""
        return len(set(self.seen.values()) - self.digests())


def credentials_in(folder: Path, keys: Sequence[tuple[str, str]]) -> int:
    """How many files hold a key, a secret, or both as they go into a header."""
    pairs = (base64.b64encode(f"{key}:{secret}".encode()) for key, secret in keys)
    needles = [*(word.encode() for key in keys for word in key), *pairs]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(any(needle in content for needle in needles) for content in map(_bytes, files))


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def make_accounts(random: Random) -> list[Account]:
    """Two accounts: the first one has two keys, one to be rotated away."""

    def key() -> tuple[str, str]:
        return f"key-{random.randbytes(12).hex()}", f"secret-{random.randbytes(12).hex()}"

    return [
        Account("a", PROJECT_ID, [key(), key()], random.randint(*PROCESSES)),
        Account("b", "proj_b", [key()], random.randint(*PROCESSES)),
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
    """All of it; the figures. `faults`: the share of requests that meet one."""
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
        sandbox.echo = Echo(seed)
        folder = Path(temporary)
        rows = _write(folder, accounts, jobs)
        sandbox.faults.draw(seed=seed, rate=faults, late_seconds=LATE, kinds=kinds or WEIGHTS)
        watcher = Watcher(folder / "out", lambda: {d for job in sandbox.made for d in job.digests})
        clients = Clients(sandbox, folder, accounts, client, random, lambda: len(watcher.seen))
        with watcher.watching():
            clients.run(jobs, kills, rounds)
        verdict = judge(rows, sandbox.made, folder / "out")
        _explain(verdict, folder, jobs)
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


def _write(folder: Path, accounts: Sequence[Account], jobs: int) -> list[Row]:
    """Write the accounts' manifests, half of the rows in each."""
    (folder / "out").mkdir()
    shares = (jobs - jobs // 2, jobs // 2)
    return [
        row
        for account, share in zip(accounts, shares, strict=True)
        for row in write_rows(folder, account.name, account.project_id, share)
    ]


def _explain(verdict: Verdict, folder: Path, jobs: int) -> None:
    """Say what is wrong, and what the clients said."""
    for note in verdict.notes:
        print(note, file=sys.stderr)
    if verdict.whole < jobs:
        print((folder / "client.out").read_text("utf-8", "replace")[-4000:], file=sys.stderr)


def is_good(figures: dict[str, int | float]) -> bool:
    """Whether nothing was bought twice, lost, mixed up, broken or told, and all clients ended."""
    asked = figures["jobs_asked"]
    return figures["jobs_made"] == figures["files_whole"] == asked and not any(
        figures[name] for name in WRONG
    )


def main() -> int:
    """Read the arguments, run, print the figures."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=60, help="rows in the manifests")
    parser.add_argument("--kills", type=int, default=6, help="how often a client is killed")
    parser.add_argument("--faults", type=float, default=20, help="percent of requests")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    figures = chaos(given.jobs, given.kills, given.faults / 100, given.seed)
    print(json.dumps(figures))
    return 0 if is_good(figures) and figures["kills"] == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
