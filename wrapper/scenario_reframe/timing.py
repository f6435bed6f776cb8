"""Every interval, pause and deadline that the client chooses: polls, retries, look-ups, leases.

All flows get one object, so that a test can pass a clock that it moves by hand, or pauses short
enough to wait for. A caller's own deadlines (`timeout=…`) are not among them.
"""

import time
from typing import Protocol

from attrs import frozen


class Clock(Protocol):
    """A clock in seconds that never goes back."""

    def __call__(self) -> float:
        """Now."""


@frozen(kw_only=True)
class Timing:
    """All in seconds, but for `poll_share`. The defaults are for the vendor's server.

    Fields may change from version to version: they are not part of the public contract.
    """

    clock: Clock = time.monotonic

    # For `polling.poll_interval`: short at first, then in proportion to the time waited. So the end
    # of a job is seen at most an eighth of its duration late, and never more than 5 s, at the cost
    # of a few requests a minute (the vendor recommends no interval).
    first_poll: float = 0.25
    longest_poll: float = 5.0
    poll_share: float = 0.12
    # After an error: 0.5, 1, 2, 4, then 8.
    first_back_off: float = 0.5
    longest_back_off: float = 8.0
    # If the server asks for a longer pause, its error is raised, with that pause in it.
    longest_requested_pause: float = 60.0

    # The pause before each look-up of a lost job: a minute in all. How soon a job is listed is not
    # documented.
    look_ups: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
    # A POST that was refused with 429 may have made a job all the same: it may be sent again only
    # after the list of jobs was read at least this long after the refusal.
    refusal_settled: float = 10.0
    # One reading of the list of jobs; a longer one proves nothing.
    longest_reading: float = 600.0
    # The server is asked for its time again when its last reply is older than this.
    server_time_memory: float = 2.0
    # A new job may still be answered with 404 for this long.
    listed_within: float = 30.0
    # An upload that is not imported within this time has failed.
    longest_import: float = 900.0

    # The ledger: how long a lease of an entry lasts, and how often it is renewed.
    lease: float = 30.0
    renewal: float = 10.0
    # How long to wait for another transaction to release the SQLite file; before a POST, less.
    database_lock: float = 30.0
    last_check: float = 5.0
    # A job whose end was not seen counts as running for this long: jobs take minutes.
    slot: float = 3600.0

    # A batch: how often it tries an item that another process works on, and for how long. That is
    # longer than a lease, so whoever still owns the item then is alive.
    busy_pause: float = 2.0
    longest_busy: float = 40.0
    # A job that the list has not shown for this long is read by its id.
    unheard: float = 10.0
    # How long a batch waits for a job. The job goes on after that, and can be resumed.
    longest_wait: float = 3600.0
    # Between tries for a slot while other processes use them all.
    slot_pause: float = 1.0
    # After a refusal (429) while no job of our own is running: one pause for each refusal.
    refused_pauses: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
    # A limit that the server named is tested again after this long: the plan may have grown.
    limit_memory: float = 300.0
    # How long a batch that is stopped waits for replies to POSTs that are under way.
    last_answers: float = 5.0

    def back_off(self, failed: int) -> float:
        """Seconds to wait after `failed` failures in a row."""
        return min(self.first_back_off * 2.0 ** min(failed - 1, 10), self.longest_back_off)


DEFAULT_TIMING = Timing()
