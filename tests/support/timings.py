"""Pauses for tests against a sandbox: short ones, while every deadline stays as long as it is.

So nothing depends on how fast the machine is. A test that is about a deadline says so itself.
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
