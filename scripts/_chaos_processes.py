"""The client processes of a chaos run: started in parallel, killed, stopped for a moment."""

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
another had permission to resubmit: no client can prevent that.
"""

STUCK_AFTER: Final = 60.0
"""Seconds without a new result, after which the running clients count as hung."""

CLOCK_SHIFTS: Final = (0.0, 0.0, 5 * 3600.0, -5 * 3600.0)
_REQUESTS_A_JOB: Final = 9  # roughly: uploads, the submit, polls, the asset, the download


@dataclass
class ChaosAccount:
    """An account of the run: its keys and secrets, of which the first is in use.

    `is_done` is true once a client ended with all items done; `failed` counts the others.
    """

    name: str
    project_id: str
    keys: list[tuple[str, str]]
    processes: int
    is_done: bool = False
    failed: int = 0


class ClientProcesses:
    """Runs several clients for each account until the work is done, and disturbs them.

    `results` returns the number of results so far.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        accounts: Sequence[ChaosAccount],
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
        self._live: list[tuple[ChaosAccount, subprocess.Popen[bytes]]] = []

    def run(self, jobs: int, kills: int, rounds: int) -> None:
        """Kill clients `kills` times, then let them end; an account may fail `rounds` times.

        Clients that hang are killed at the end: `hung` counts them.
        """
        try:
            while self._start_missing(kills, rounds) and not self._is_stuck():
                if self.killed < kills:
                    left = _REQUESTS_A_JOB * (jobs - self._results())
                    self._wait(self._random.uniform(0, 2 * left / (kills - self.killed + 1)))
                    self._kill_random(rotate=self.killed == kills // 2)
                else:
                    self._wait()
                self._remove_ended(kills)
        finally:
            self.hung = len(self._live)
            for _, process in self._live:
                process.kill()
                process.wait()

    def _is_stuck(self) -> bool:
        """Whether there has been no new result for too long."""
        if self._seen != self._results():
            self._seen, self._seen_at = self._results(), time.monotonic()
        return time.monotonic() - self._seen_at > STUCK_AFTER

    def _start_missing(self, kills: int, rounds: int) -> bool:
        """Start the missing clients; return whether any client runs."""
        for account in self._accounts:
            running = sum(owner is account for owner, _ in self._live)
            if account.failed < rounds and not (account.is_done and self.killed == kills):
                for _ in range(account.processes - running):
                    self._live.append((account, self._start(account)))
        return bool(self._live)

    def _start(self, account: ChaosAccount) -> subprocess.Popen[bytes]:
        key, secret = account.keys[0]
        environment = {
            "SCENARIO_API_KEY": key,
            "SCENARIO_API_SECRET": secret,
            "SCENARIO_BASE_URL": self._sandbox.base_url,
        }
        shift = self._random.choice(CLOCK_SHIFTS)
        arguments = [str(self._folder), account.name, str(RESUBMIT_AFTER), str(shift)]
        with (self._folder / "client.out").open("ab") as output:
            return subprocess.Popen(
                [*self._command, *arguments],
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _wait(self, requests: float = float("inf")) -> None:
        """Wait for this many requests, for a client to end, or until the clients hang."""
        until = self._sandbox.requests_made + requests
        while self._sandbox.requests_made < until and not self._is_stuck():
            if any(process.poll() is not None for _, process in self._live):
                break
            time.sleep(0.002)
        time.sleep(self._random.uniform(0, 0.02))

    def _kill_random(self, *, rotate: bool) -> None:
        """Kill a random client while another one may be stopped; `rotate`: and revoke a key."""
        running = [one for one in self._live if one[1].poll() is None]
        if not running:
            return
        victim = self._random.choice(running)
        with self._one_stopped([one for one in running if one is not victim]):
            victim[1].kill()
            victim[1].wait()
            self._live.remove(victim)
            self.killed += 1
            if rotate:
                self._rotate(self._accounts[0])

    @contextlib.contextmanager
    def _one_stopped(
        self, others: Sequence[tuple[ChaosAccount, subprocess.Popen[bytes]]]
    ) -> Iterator[None]:
        """Stop one of the others, or none, and continue it after a while."""
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

    def _rotate(self, account: ChaosAccount) -> None:
        """Revoke an account's first key, even for running clients; new ones use the second."""
        old, _ = account.keys.pop(0)
        self._sandbox.revoke_key(old)

    def _remove_ended(self, kills: int) -> None:
        """Remove the ended clients, and count them for their accounts."""
        for account, process in [one for one in self._live if one[1].poll() is not None]:
            self._live.remove((account, process))
            if process.returncode:
                account.failed += 1
            elif self.killed == kills:
                account.is_done = True
