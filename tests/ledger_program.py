"""A program of one call, for tests with several processes: its order is a JSON as the argument.

It prints what became of it as JSON. Without `patient`, a busy ledger is an outcome like another.
"""

import json
import sys
import time
from typing import Any

from attrs import evolve

from scenario_reframe import LedgerBusyError, ReframeClient, ReframeError, ReframeResult
from timings import SOON


def main(order: dict[str, Any]) -> None:
    """Do one call, again while another process is at it if the order says so."""
    timing = evolve(SOON, lease=order["lease"], renewal=order["renewal"])
    with ReframeClient(**order["client"], timing=timing) as client:
        deadline = time.monotonic() + 60
        while True:
            try:
                result = run(client, order)
                told = {"job": result.job.id, "files": [str(file) for file in result.files]}
                break
            except LedgerBusyError as error:
                told = {"error": type(error).__name__, "told": str(error)}
                if not order.get("patient") or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            except ReframeError as error:
                told = {"error": type(error).__name__, "told": str(error)}
                break
    sys.stdout.write(json.dumps(told))


def run(client: ReframeClient, order: dict[str, Any]) -> ReframeResult:
    """Reframe, or resume the newest unfinished entry."""
    if order["call"] == "reframe":
        return client.reframe(order["video"], order["to"], **order["settings"])
    entry = client.entries(unfinished=True)[0]
    return client.resume(entry, resubmit_after=order.get("resubmit_after"))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
