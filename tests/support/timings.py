"""Short pauses for tests against a sandbox; deadlines stay as long as usual.

So no test depends on the machine's speed. A test about a deadline sets it itself.
"""

from scenario_reframe.timing import Timing

SOON = Timing(
    first_poll=0.02,
    longest_poll=0.02,
    first_back_off=0.01,
    longest_back_off=0.01,
    look_ups=(0.0, 0.01, 0.02),
    refusal_settled=0.05,
    busy_pause=0.05,
    slot_pause=0.02,
    refused_pauses=(0.02,),
    database_lock=600.0,
    last_check=600.0,
)
