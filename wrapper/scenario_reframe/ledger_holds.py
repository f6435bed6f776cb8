"""An entry of the ledger that is ours, and the heartbeat that keeps it so."""

import json
import logging
import os
import socket
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import LedgerBusyError, RateLimitedError, ReframeError, SubmissionUncertainError
from .models import Job, Submission
from .recording import UNFINISHED, Entry, NoSlotError
from .text import unsigned

if TYPE_CHECKING:
    from .ledger import Ledger

_LOG = logging.getLogger("scenario_reframe")


class Hold:
    """One entry that is ours for as long as the heart beats."""

    def __init__(self, ledger: "Ledger", entry: Entry, fence: int) -> None:
        self.entry = entry
        self.fence = fence
        self._ledger = ledger
        self._is_put_off = entry.body is not None and entry.job_id is None
        ledger.heart.add(self)

    def begin_post(self, submission: Submission, slots: int | None = None) -> None:
        """Put the intent on record, if the row is still ours, right before the POST.

        `slots`: how many jobs may run side by side, those of other processes counted. Raises
        LedgerBusyError if the row is not ours, NoSlotError if they are taken: then nothing may be
        sent.
        """
        values = {
            "state": "intent",
            "body": json.dumps(dict(submission.body)),
            "seed": submission.seed,
            "posted_at": self._ledger.now,
            "settled_at": self._ledger.now + self._ledger.patience,
        }
        states = ("leased", "intent", "uncertain")
        if not self._ledger.begin_post(self, values, states, slots):
            raise LedgerBusyError(
                "this was taken up by another process while this one slept; nothing was submitted"
            )

    def priced(self, price: float) -> None:
        """Keep what the job is going to cost, so that a budget counts it whatever happens."""
        self._tell({"cost": price}, ("leased", "uncertain"))

    def posted(self, job: Job) -> None:
        """Keep the job's id. Raises LedgerBusyError if another entry has this job."""
        self._ledger.keep_job(self, job)

    def not_sent(self) -> None:
        """Nothing was sent after `begin_post`: its intent is taken back."""
        self._tell({"state": "leased"}, ("intent",))

    def not_made(self, error: ReframeError) -> None:
        """No job was made: the entry is closed, and the same may be asked for again.

        One that was only put off waits for its turn; whoever gives it up closes it.
        """
        values = {"state": "failed", "error": unsigned(str(error))[:500]}
        if isinstance(error, NoSlotError | RateLimitedError):
            values = {"state": "leased"}
            self._is_put_off |= isinstance(error, RateLimitedError)
        self._tell(values, ("leased", "intent"))

    def uncertain(self) -> None:
        """It is not known whether a job was made."""
        self._tell({"state": "uncertain"}, ("intent", "uncertain"))

    def given_up(self, error: BaseException) -> None:
        """Close what was not posted by the time its owner was told of an error.

        Nobody who has read that nothing was paid wants a later run to pay. What was put off and
        then interrupted keeps its turn: it is looked for before it goes out.
        """
        if isinstance(error, SubmissionUncertainError):
            self._tell({"state": "uncertain"}, ("leased",))
        elif isinstance(error, ReframeError) or not self._is_put_off:
            self._close(error)

    def _close(self, error: BaseException) -> None:
        self._tell({"state": "failed", "error": unsigned(repr(error))[:500]}, ("leased",))

    def released(self) -> None:
        """Let others at it."""
        self._ledger.heart.remove(self)
        self._tell({"lease_until": 0.0}, UNFINISHED)

    def _tell(self, values: Mapping[str, Any], states: Sequence[str]) -> None:
        # What happened has happened: a ledger that cannot be written must not hide it.
        try:
            self._ledger.write(self, values, states)
        except ReframeError as fault:
            _LOG.warning("the ledger could not be written: %s", fault)


class Heart:
    """Prolongs the leases of all holds that somebody has, in one thread and one statement."""

    def __init__(self, beat: Callable[[Sequence[int]], None], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._holds: weakref.WeakSet[Hold] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, hold: "Hold") -> None:
        """Beat for this one too."""
        with self._lock:
            self._holds.add(hold)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="scenario-reframe-leases", daemon=True
                )
                self._thread.start()

    def remove(self, hold: "Hold") -> None:
        """Beat for this one no more."""
        with self._lock:
            self._holds.discard(hold)
            if not self._holds:
                self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.wait(self._seconds)
            with self._lock:
                self._changed.clear()
                ids = [hold.entry.id for hold in self._holds]
                if not ids:
                    self._thread = None
                    return
            # A ledger that is locked for a while may answer the next beat.
            with suppress(ReframeError):
                self._beat(ids)


def is_gone(owner: str | None) -> bool:
    """Whether an owner was a process of this machine that has ended: no need to wait for its lease.

    The fence keeps things right even where this errs.
    """
    host, _, rest = (owner or "").rpartition(":")[0].rpartition(":")
    if os.name != "posix" or host != socket.gethostname() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(rest)


def _is_zombie(pid: str) -> bool:
    """Whether it has ended and nobody has asked how, as in a container without an init."""
    try:
        state = Path("/proc", pid, "stat").read_text("utf-8", "replace").rpartition(") ")[2]
    except OSError:
        return False
    return state.startswith("Z")
