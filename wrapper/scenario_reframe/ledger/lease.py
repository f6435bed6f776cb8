"""Who works on an entry and until when, and the thread that renews the leases."""

import os
import secrets
import socket
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from scenario_reframe.errors import LedgerBusyError, ReframeError

from .database import Row, Transaction
from .interface import Claim

THREAD = "scenario-reframe-leases"
_SET_UNCERTAIN = """
    UPDATE posts SET outcome = 'uncertain', ended_at = :lease_end + longest
    WHERE entry = :id AND outcome = 'open'
"""
_LEASE = """
    UPDATE entries SET state = :state, owner = :owner, fence = fence + 1, updated_at = CLOCK,
        lease_until = CLOCK + :lease, run = coalesce(:run, run)
    WHERE id = :id AND fence = :fence
"""
# The lapsed lease of a POST is not renewed, so that `end_post` notices it.
_RENEW = """
    UPDATE entries SET lease_until = CLOCK + :lease
    WHERE token IN ITEMS AND owner = :owner AND state IN UNFINISHED
    AND (lease_until > CLOCK OR state <> 'posting')
"""


class LeaseRenewer:
    """Renews the leases of all claims of this process, in one thread and one statement."""

    def __init__(self, renew: Callable[[Sequence[str]], None], seconds: float) -> None:
        self._renew = renew
        self._seconds = seconds
        _RENEWERS.add(self)
        self.reset()

    def reset(self) -> None:
        """Become a new owner without claims, as in a forked child."""
        self.owner = f"{_machine()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._claims: weakref.WeakSet[Claim] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, claim: Claim) -> None:
        """Renew this claim, too."""
        with self._lock:
            self._claims.add(claim)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                self._thread.start()

    def remove(self, claim: Claim) -> None:
        """Stop renewing this claim."""
        with self._lock:
            self._claims.discard(claim)
            if not self._claims:
                self._changed.set()

    def close(self) -> None:
        """Stop renewing all claims; leases that were not released lapse."""
        with self._lock:
            thread = self._thread
            self._claims.clear()
            self._changed.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _run(self) -> None:
        while True:
            self._changed.wait(self._seconds)
            with self._lock:
                self._changed.clear()
                tokens = [claim.token for claim in self._claims]
                if not tokens:
                    self._thread = None
                    return
            # A locked database may be free the next time.
            with suppress(ReframeError):
                self._renew(tokens)


def take_lease(
    transaction: Transaction, row: Row, owner: str, seconds: float, run: int | None = None
) -> None:
    """Lease an entry to this owner. Raises LedgerBusyError if a live process has it."""
    if (
        row["owner"] is not None
        and row["lease_until"] > row["now"]
        and not has_exited(row["owner"])
    ):
        raise _busy(row)
    # Whether the open POST of a lapsed lease was sent is not known.
    lease_end = min(row["lease_until"], row["now"])
    transaction.run(_SET_UNCERTAIN, id=row["id"], lease_end=lease_end)
    state = {"new": "claimed", "posting": "uncertain"}.get(row["state"], row["state"])
    leased = transaction.run(
        _LEASE,
        id=row["id"],
        fence=row["fence"],
        state=state,
        owner=owner,
        lease=seconds,
        run=run,
    )
    if not leased:
        raise _busy(row)


def owns(row: Row, claim: Claim, owner: str) -> bool:
    """Whether an entry still belongs to this claim and this owner."""
    return bool((row["fence"], row["owner"]) == (claim.fence, owner))


def renew(transaction: Transaction, items: str, owner: str, seconds: float) -> None:
    """Renew the leases of these entries (tokens in JSON), as far as they are still ours."""
    transaction.run(_RENEW, items=items, owner=owner, lease=seconds)


def has_exited(owner: str) -> bool:
    """Whether an owner was a process of this machine that has ended: its lease is not waited for.

    The fence protects the entry even if this is wrong.
    """
    machine, _, pid = owner.rpartition(":")[0].rpartition(":")
    if os.name != "posix" or machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(pid)


def _is_zombie(pid: str) -> bool:
    """Whether a process has ended but was not reaped, as in a container without an init."""
    try:
        state = Path("/proc", pid, "stat").read_text("utf-8", "replace").rpartition(") ")[2]
    except OSError:
        return False
    return state.startswith("Z")


def _machine() -> str:
    """The host and its namespace of process ids: containers may share a host's name."""
    with suppress(OSError):
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()


def _busy(row: Row) -> LedgerBusyError:
    """The error for an entry that a live process has claimed."""
    job = f", job {row['job_id']}" if row["job_id"] else ""
    return LedgerBusyError(
        f"a running process ({row['owner']}) works on this already{job}: nothing was submitted. "
        "Let it end, or end it, and try again"
    )


_RENEWERS: "weakref.WeakSet[LeaseRenewer]" = weakref.WeakSet()


def _reset_in_child() -> None:
    for leases in list(_RENEWERS):
        leases.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
