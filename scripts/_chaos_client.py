"""The client that `_chaos.py` kills: one batch from a manifest, as a user's script would run it.

    python _chaos_client.py FOLDER ACCOUNT RESUBMIT_AFTER CLOCK_SHIFT

Its clock is wrong by CLOCK_SHIFT seconds. It prints a line for each outcome that is not `done`, and
at last their number.
"""

import csv
import datetime as dt
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from scenario_reframe.timing import Timing

TIMEOUT = 2.0
"""Seconds for a request: shorter than some of the sandbox's delays."""

# Seconds, by the names of `Timing`: as short as the sandbox allows, to keep the run short. The
# look-up after a refusal comes later than the sandbox accepts and lists a late job. A lease is
# shorter than some of the times for which a process is stopped.
PAUSES: dict[str, Any] = {
    "first_poll": 0.05,
    "longest_poll": 0.5,
    "look_ups": (0.0, 0.5, 1.0, 1.5),
    "look_up_pause": 0.5,
    "refusal_settled": 1.5,
    "refused_pauses": (0.2, 0.5, 1.0),
    "busy_pause": 0.2,
    "slot_pause": 0.1,
    "lease": 3.0,
    "renewal": 0.75,
}
NUMBERS = {"seed": int, "guidance_scale": float, "frames_per_second": float}


def shift_clock(seconds: float) -> None:
    """Shift the clock for all modules imported from now on."""
    true_time, true_datetime = time.time, dt.datetime

    class Shifted(true_datetime):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return super().now(tz) + dt.timedelta(seconds=seconds)  # type: ignore[no-any-return]

    setattr(time, "time", lambda: true_time() + seconds)  # noqa: B010 - a module's own function
    setattr(dt, "datetime", Shifted)  # noqa: B010 - a module's own class


def timing() -> "Timing":
    """The client's pauses: those of `PAUSES` that this version has."""
    from attrs import evolve  # noqa: PLC0415 - after the clock was shifted

    from scenario_reframe.timing import DEFAULT_TIMING  # noqa: PLC0415

    return evolve(
        DEFAULT_TIMING,
        **{name: value for name, value in PAUSES.items() if hasattr(DEFAULT_TIMING, name)},
    )


def settings(row: dict[str, str]) -> dict[str, Any]:
    """A row's settings; blank cells are skipped."""
    given = {name: text for name, text in row.items() if text and name not in {"video", "output"}}
    return {name: NUMBERS.get(name, str)(text) for name, text in given.items()}


def main(folder: Path, account: str, resubmit_after: float) -> int:
    """Run the batch of an account's manifest; return the number of items that are not done."""
    from scenario_reframe import BatchItem, ReframeClient  # noqa: PLC0415 - as above

    logging.basicConfig(filename=folder / f"client-{account}.log", level=logging.DEBUG)
    with (folder / f"{account}.csv").open(newline="") as file:
        items = [
            BatchItem(row["video"], row["output"], settings(row)) for row in csv.DictReader(file)
        ]
    failed = 0
    with ReframeClient(timeout=TIMEOUT, ledger=folder / "ledger.db", timing=timing()) as client:
        for outcome in client.batch(items, folder / "out", resubmit_after=resubmit_after):
            if outcome.status != "done":
                failed += 1
                print(f"{outcome.item.output}: {outcome.status}: {outcome.error!r}", flush=True)
    print(failed, flush=True)
    return failed


if __name__ == "__main__":
    if float(sys.argv[4]):
        shift_clock(float(sys.argv[4]))
    sys.exit(bool(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
