"""The client that `_chaos.py` kills: one batch from a manifest, as a script of a user's would be.

Its last line counts the outcomes that were not `done`; each is told on the lines before.
"""

import csv
import logging
import sys
from pathlib import Path

from scenario_reframe import BatchItem, ReframeClient

TIMEOUT = 2.0
"""Seconds that a request may take: shorter than some of the sandbox's delays."""


def main(folder: Path) -> int:
    """Run the batch of a folder's manifest; the number of items that are not done."""
    logging.basicConfig(filename=folder / "client.log", level=logging.DEBUG)
    with (folder / "manifest.csv").open(newline="") as file:
        items = [
            BatchItem(
                row["video"],
                row["output"],
                {"prompt": row["prompt"], "aspect_ratio": row["aspect_ratio"]},
            )
            for row in csv.DictReader(file)
        ]
    failed = 0
    with ReframeClient(timeout=TIMEOUT, ledger=folder / "ledger.db") as client:
        for outcome in client.batch(items, folder / "out", resubmit_after=RESUBMIT_AFTER):
            if outcome.status != "done":
                failed += 1
                print(f"{outcome.item.output}: {outcome.status}: {outcome.error!r}", flush=True)
    print(failed, flush=True)
    return failed


if __name__ == "__main__":
    RESUBMIT_AFTER = float(sys.argv[2])
    sys.exit(bool(main(Path(sys.argv[1]))))
