"""The client's processes of a chaos run: started side by side, killed, stopped for a moment."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from scenario_reframe.sandbox import Sandbox

RESUBMIT_AFTER: Final = 3.0
"""Seconds; longer than the list's lag and the latest acceptance together."""

LONGEST_STOP: Final = 5.0
"""Seconds; longer than a lease, and shorter than a lease, a time-out and RESUBMIT_AFTER together.

A process that is stopped for longer, just before its request leaves the machine, may send it when
another has had leave to submit again: no client can help that.
"""

STUCK_AFTER: Final = 60.0
"""Seconds without a new result, after which clients that still run are taken to hang."""

CLOCK_SHIFTS: Final = (0.0, 0.0, 5 * 3600.0, -5 * 3600.0)
_MOST_SIDE_BY_SIDE: Final = 3
_REQUESTS_A_JOB: Final = 9  # roughly: uploads, the submit, looks, the asset, the download


@dataclass
class Account:
    """An account of the run: its keys and secrets, the first of them in use.

    `is_done` once a client found nothing left to do, `failed` counts those that left something.
    """

    name: str
    project_id: str
    keys: list[tuple[str, str]]
    processes: int
    is_done: bool = False
    failed: int = 0


class Clients:
    """Runs several clients for each account until the work is done, and disturbs them.

    `results` tells how many results there are by now.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        accounts: Sequence[Account],
        command: Sequence[str],
        random: Random,
        results: Callable[[], int],
    ) -> None:
        self.killed = 0
        self.hung = 0
        self._sandbox = sandbox
        self._folder = folder
        self._accounts = accounts
        self._command = command
        self._random = random
        self._results = results
        self._seen, self._seen_at = 0, time.monotonic()
        self._live: list[tuple[Account, subprocess.Popen[bytes]]] = []

    def run(self, jobs: int, kills: int, rounds: int) -> None:
        """Kill a client so many times, then let them end, each account's up to `rounds` times.

        Those that hang are killed, and the run is over: `hung` counts them.
        """
        try:
            while self._started(kills, rounds) and not self._is_stuck():
                if self.killed < kills:
                    left = _REQUESTS_A_JOB * (jobs - self._results())
                    self._wait(self._random.uniform(0, 2 * left / (kills - self.killed + 1)))
                    self._kill_one(rotate=self.killed == kills // 2)
                else:
                    self._wait()
                self._note_ended(kills)
        finally:
            self.hung = len(self._live)
            for _, process in self._live:
                process.kill()
                process.wait()

    def _is_stuck(self) -> bool:
        if self._seen != self._results():
            self._seen, self._seen_at = self._results(), time.monotonic()
        return time.monotonic() - self._seen_at > STUCK_AFTER

    def _started(self, kills: int, rounds: int) -> bool:
        """Start what is missing; whether any client runs."""
        for account in self._accounts:
            running = sum(owner is account for owner, _ in self._live)
            if account.failed < rounds and not (account.is_done and self.killed == kills):
                for _ in range(account.processes - running):
                    self._live.append((account, self._start(account)))
        return bool(self._live)

    def _start(self, account: Account) -> subprocess.Popen[bytes]:
        key, secret = account.keys[0]
        found = {
            "SCENARIO_API_KEY": key,
            "SCENARIO_API_SECRET": secret,
            "SCENARIO_BASE_URL": self._sandbox.base_url,
        }
        shift = self._random.choice(CLOCK_SHIFTS)
        arguments = [str(self._folder), account.name, str(RESUBMIT_AFTER), str(shift)]
        with (self._folder / "client.out").open("ab") as output:
            return subprocess.Popen(
                [*self._command, *arguments],
                env=os.environ | found,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _wait(self, requests: float = float("inf")) -> None:
        """Wait for so many requests, for the first client to end, or until they hang."""
        until = self._sandbox.requests_made + requests
        while self._sandbox.requests_made < until and not self._is_stuck():
            if any(process.poll() is not None for _, process in self._live):
                break
            time.sleep(0.002)
        time.sleep(self._random.uniform(0, 0.02))

    def _kill_one(self, *, rotate: bool) -> None:
        """Kill a client while another one, or none, is stopped; perhaps the key is rotated then."""
        running = [one for one in self._live if one[1].poll() is None]
        if not running:
            return
        victim = self._random.choice(running)
        with self._stopped([one for one in running if one is not victim]):
            victim[1].kill()
            victim[1].wait()
            self._live.remove(victim)
            self.killed += 1
            if rotate:
                self._rotate(self._accounts[0])

    @contextlib.contextmanager
    def _stopped(self, others: Sequence[tuple[Account, subprocess.Popen[bytes]]]) -> Iterator[None]:
        """Stop one of the others, or none, and let it go on after a while."""
        chosen = self._random.choice([None, *others])
        if chosen is None:
            yield
            return
        process = chosen[1]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
            time.sleep(self._random.uniform(0, LONGEST_STOP))
        finally:
            process.send_signal(signal.SIGCONT)

    def _rotate(self, account: Account) -> None:
        """Revoke an account's key, also under the clients that use it; the next has its second."""
        old, _ = account.keys.pop(0)
        self._sandbox.revoke_key(old)

    def _note_ended(self, kills: int) -> None:
        for account, process in [one for one in self._live if one[1].poll() is not None]:
            self._live.remove((account, process))
            if process.returncode:
                account.failed += 1
            elif self.killed == kills:
                account.is_done = True
