"""A program for tests that stop it or make it fork. Its argument is a JSON object.

`task`: `stop` makes one call, and stops itself (SIGSTOP) right before the last check of each POST;
`fork` makes the call in a child. It prints the outcome as JSON.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

from attrs import evolve

from clients import Caller
from scenario_reframe import Job, ReframeClient, ReframeError
from scenario_reframe.ledger.store import SqlLedger
from timings import SOON

LEASE = 3600.0
STOPPED = evolve(SOON, lease=LEASE, renewal=LEASE)
"""No lease ends or is renewed by itself, so a process is never stopped during a renewal."""
RENEWED = evolve(SOON, lease=LEASE, renewal=0.05)


def stop_before_the_last_check() -> None:
    """Make this process stop itself before each last check."""
    true = SqlLedger.open_post

    def open_post(self: SqlLedger, *args: Any) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this thread goes no further
        true(self, *args)

    setattr(SqlLedger, "open_post", open_post)  # noqa: B010 - mypy lets no method be assigned


def stopped(order: dict[str, Any]) -> dict[str, Any]:
    """Make the call; `resume` gets the only unfinished entry."""
    call = Caller(is_async=order["is_async"])
    client = {**order["client"], "timing": STOPPED}
    args = order["args"]
    if order["call"] == "resume":
        args = call("entries", client=client, unfinished=True)
    stop_before_the_last_check()
    try:
        got = call(order["call"], *args, client=client, **order["kwargs"])
    except ReframeError as error:
        return {"error": type(error).__name__}
    return {"job": got.job.id}


def forked(order: dict[str, Any]) -> dict[str, Any]:
    """Make the call in a child, which is forked when the parent's first call has its job."""
    with ReframeClient(**order["client"], timing=RENEWED) as client:

        def fork(_job: Job) -> None:
            if children:
                return
            children.append(os.fork())
            if not children[0]:
                client.reframe(*order["args"], **order["kwargs"])
                os._exit(0)
            assert os.waitpid(children[0], 0)[1] == 0

        children: list[int] = []
        client.reframe(order["args"][0], on_update=fork)
    return {}


TASKS = {"stop": stopped, "fork": forked}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(TASKS[given["task"]](given)))
