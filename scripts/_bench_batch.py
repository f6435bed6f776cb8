"""Measure the memory and the requests of a batch with many items.

The sandbox, with its fast engine, runs in another process: figures in megabytes are those of the
client alone.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO, cast

from scenario_reframe import BatchItem, ReframeClient

CLIPS = 8
STAGE_SECONDS = 3.0
SERVER = f"""
import sys
from scenario_reframe.sandbox import Sandbox
with Sandbox(fast=True, stage_seconds={STAGE_SECONDS}) as sandbox:
    print(sandbox.base_url, flush=True)
    while sys.stdin.readline():
        running = sum(job.status not in ("success", "failure") for job in sandbox.made)
        print(running, sandbox.jobs_made, sandbox.requests_made, flush=True)
"""


def main(items: int, concurrency: int) -> None:
    """Run one batch; the last line of the output is JSON."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    requests_pipe, replies_pipe = cast("TextIO", server.stdin), cast("TextIO", server.stdout)
    base_url = replies_pipe.readline().strip()
    most_running, done, started = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in range(CLIPS):
            clip = b"\0\0\0\x18ftypisom" + number.to_bytes(4, "big") * 500
            (folder / f"{number}.mp4").write_bytes(clip)
        batch_items = [
            BatchItem(folder / f"{number % CLIPS}.mp4", f"{number}.mp4", {"aspect_ratio": "1:1"})
            for number in range(items)
        ]
        with ReframeClient(
            "sandbox-key", "sandbox-secret", base_url=base_url, ledger=folder / "ledger.db"
        ) as client:
            for outcome in client.batch(batch_items, folder / "out", concurrency=concurrency):
                done += outcome.status == "done"
                if done % 100 == 0 or done == items:
                    requests_pipe.write("\n")
                    requests_pipe.flush()
                    running, jobs, requests = map(int, replies_pipe.readline().split())
                    most_running = max(most_running, running)
                    print(f"{done} done, {running} running, {_peak():.0f} MB", flush=True)
    requests_pipe.close()
    server.wait()
    figures = {
        "items": items,
        "done": done,
        "jobs_made": jobs,
        "most_running": most_running,
        "requests": requests,
        "peak_megabytes": round(_peak()),
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(figures))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
