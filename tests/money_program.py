"""A process for tests that stop it, or see it fork: its order is a JSON as the argument.

`task`: `call` does one call. `stop` does it, but stops itself (SIGSTOP) right before the last check
of each POST. `fork` makes a submit, and then `number` of them in itself and in a child at the same
time. `child` makes a submit, and then does the call in a child. It prints what came of it.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from attrs import evolve

from clients import Caller
from scenario_reframe import Job, ReframeClient, ReframeError
from scenario_reframe.ledger.store import SqlLedger
from timings import SOON

LEASE = 3600.0
STOPPED = evolve(SOON, lease=LEASE, renewal=LEASE)
"""No lease ends or is renewed by itself: a process is never stopped in the middle of that."""
RENEWED = evolve(SOON, lease=LEASE, renewal=0.05)


def stop_before_the_last_check() -> None:
    """Stop there, each time."""
    true = SqlLedger.open_post

    def open_post(self: SqlLedger, *args: Any) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this thread goes no further
        true(self, *args)

    setattr(SqlLedger, "open_post", open_post)  # noqa: B010 - mypy lets no method be assigned


def called(order: dict[str, Any]) -> dict[str, Any]:
    """Do the call; `resume` gets the only unfinished entry."""
    call = Caller(is_async=order["is_async"])
    client = {**order["client"], "timing": STOPPED}
    args = order["args"]
    try:
        if order["call"] == "resume":
            args = call("entries", client=client, unfinished=True)
        if order["task"] == "stop":
            stop_before_the_last_check()
        got = call(order["call"], *args, client=client, **order["kwargs"])
    except ReframeError as error:
        return {"error": type(error).__name__}
    return {"job": got.id if isinstance(got, Job) else got.job.id}


def forked(order: dict[str, Any]) -> dict[str, Any]:
    """Submits of a parent and its child, by one client: the id of each one's job."""
    told = Path(order["told"])
    with ReframeClient(**order["client"], timing=STOPPED) as client:

        def submitted(prompt: str) -> str:
            return client.submit(*order["args"], prompt=prompt).id

        first = submitted("first")  # the pool has a connection now
        child = os.fork()
        who = "parent" if child else "child"
        jobs = {f"{who} {place}": submitted(f"{who} {place}") for place in range(order["number"])}
        if not child:
            told.write_text(json.dumps(jobs))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    return {"first": first, **jobs, **json.loads(told.read_text())}


def in_a_child(order: dict[str, Any]) -> dict[str, Any]:
    """Reframe in a child, after a submit of its parent."""
    with ReframeClient(**order["client"], timing=RENEWED) as client:
        client.submit(order["args"][0])
        child = os.fork()
        if not child:
            client.reframe(*order["args"], **order["kwargs"])
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    return {}


TASKS = {"call": called, "stop": called, "fork": forked, "child": in_a_child}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(TASKS[given["task"]](given)))
