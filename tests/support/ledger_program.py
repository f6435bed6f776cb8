"""A program that makes one call, for tests with several processes. Its argument is a JSON object.

It prints the outcome as JSON. With `patient`, it tries again while the ledger is busy.
"""

import asyncio
import json
import sys
import time
from typing import Any

from attrs import evolve

from scenario_reframe import (
    AsyncReframeClient,
    LedgerBusyError,
    ReframeClient,
    ReframeError,
    ReframeResult,
)
from timings import SOON

Order = dict[str, Any]


def main(order: Order) -> None:
    """Make one call; if `patient`, repeat it while another process works on the entry."""
    deadline = time.monotonic() + 60
    while True:
        try:
            result = asyncio.run(later(order)) if order.get("is_async") else now(order)
            outcome = {"job": result.job.id, "files": [str(file) for file in result.files]}
            break
        except LedgerBusyError as error:
            outcome = {"error": type(error).__name__, "message": str(error)}
            if not order.get("patient") or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        except ReframeError as error:
            outcome = {"error": type(error).__name__, "message": str(error)}
            break
    sys.stdout.write(json.dumps(outcome))


def now(order: Order) -> ReframeResult:
    """Reframe, or resume the newest unfinished entry, with the sync client."""
    with ReframeClient(**options(order)) as client:
        if order["call"] == "reframe":
            return client.reframe(order["video"], order["to"], **order["settings"])
        entry = client.entries(unfinished=True)[0]
        return client.resume(entry, resubmit_after=order.get("resubmit_after"))


async def later(order: Order) -> ReframeResult:
    """The same with the async client."""
    async with AsyncReframeClient(**options(order)) as client:
        if order["call"] == "reframe":
            return await client.reframe(order["video"], order["to"], **order["settings"])
        (entry, *_) = await client.entries(unfinished=True)
        return await client.resume(entry, resubmit_after=order.get("resubmit_after"))


def options(order: Order) -> Order:
    """The arguments that the client is made with."""
    timing = evolve(SOON, lease=order["lease"], renewal=order["renewal"])
    return {**order["client"], "timing": timing}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
