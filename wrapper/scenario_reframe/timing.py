"""Every pause and deadline of the client's own, and the clock that they are measured by.

One object is handed to all flows, so that a test passes a clock that it moves by hand, or pauses
short enough to wait for. The deadlines of a caller (`timeout=…`) are not among them.
"""

import time
from typing import Protocol

from attrs import frozen


class Clock(Protocol):
    """Seconds that only ever grow."""

    def __call__(self) -> float:
        """Now."""


@frozen(kw_only=True)
class Timing:
    """Seconds, all of them but `poll_share`. The defaults are for the vendor's server.

    Its fields may change from version to version: they are no part of the public contract.
    """

    clock: Clock = time.monotonic

    # Polling: soon at first, then in proportion to the time waited. So a job is seen to end at
    # most an eighth of its time late, and never more than 5 s, at the cost of a handful of
    # requests a minute (the vendor recommends no interval).
    first_poll: float = 0.25
    longest_poll: float = 5.0
    poll_share: float = 0.12
    # After an error: 0.5, 1, 2, 4, then 8.
    first_back_off: float = 0.5
    longest_back_off: float = 8.0
    # A server that asks for a longer pause gets its error raised, with that pause in it.
    longest_requested_pause: float = 60.0

    # Before each look-up of a lost job: a minute in all. The vendor does not say how soon a job
    # is listed.
    look_ups: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
    # A POST that was refused with 429 may have made a job all the same: the list is read so long
    # after it before it may go again.
    refusal_settled: float = 10.0
    # Of one reading of the list of jobs; a longer one proves nothing.
    longest_reading: float = 600.0
    # The server's clock is asked anew when its last reply is older than this.
    server_time_memory: float = 2.0
    # A job that the server itself named may still answer 404 for so long.
    listed_within: float = 30.0
    # An upload that is not imported by then has failed.
    longest_import: float = 900.0

    # The ledger: who owns an entry, until when, and how often that is renewed.
    lease: float = 30.0
    renewal: float = 10.0
    # How long another transaction may hold the SQLite file; and when a POST waits for it.
    database_lock: float = 30.0
    last_check: float = 5.0
    # A job that nobody has seen to end counts as running for so long: jobs take minutes.
    slot: float = 3600.0

    # A batch: how often it tries an item that another process works on, and for how long: longer
    # than a lease, so whoever holds it then is alive.
    busy_pause: float = 2.0
    longest_busy: float = 40.0
    # A job of which nothing was heard for so long is asked for by its id.
    unheard: float = 10.0
    # A job is waited for so long; it goes on after that, and can be resumed.
    longest_wait: float = 3600.0
    # Between tries for a slot that other processes hold.
    slot_pause: float = 1.0
    # After a refusal (429) while none of our own jobs runs that could end: one pause a refusal.
    refused_pauses: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
    # A limit that the server named is tried again after so long: a plan may have grown.
    limit_memory: float = 300.0
    # How long a batch that is stopped waits for the answers to POSTs that are under way.
    last_answers: float = 5.0

    def poll_pause(self, waited: float) -> float:
        """Seconds until the next poll."""
        return min(max(self.first_poll, self.poll_share * waited), self.longest_poll)

    def back_off(self, failed: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return min(self.first_back_off * 2.0 ** min(failed - 1, 10), self.longest_back_off)


USUAL = Timing()
