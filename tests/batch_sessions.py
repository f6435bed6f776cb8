"""Either client's batch, run to its end or left early, against a sandbox."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from scenario_reframe import (
    AsyncReframeClient,
    BatchEvent,
    BatchItem,
    BatchOutcome,
    ReframeClient,
)
from scenario_reframe.sandbox import Sandbox
from timings import SOON

CLIP = b"\x00\x00\x00\x18ftypisom"
RATIOS = ("9:16", "1:1")
# 40 creative units a job, whatever the spec's defaults.
PRICED = {"resolution": "480p", "num_frames": 81, "match_input_num_frames": False}


def clips(folder: Path, number: int) -> list[Path]:
    """So many files that begin like videos, each with content of its own."""
    folder.mkdir(exist_ok=True)
    made = [folder / f"clip{place}.mp4" for place in range(number)]
    for place, path in enumerate(made):
        path.write_bytes(CLIP + place.to_bytes(4, "big") * 300)
    return made


def shapes(videos: Sequence[Path | str], ratios: Sequence[str] = RATIOS) -> list[BatchItem]:
    """Each video in each shape."""
    return [
        BatchItem(video, settings={"aspect_ratio": ratio, **PRICED})
        for video in videos
        for ratio in ratios
    ]


class Batches:
    """Runs batches with a new client each, as a program's runs would."""

    def __init__(self, sandbox: Sandbox, to: Path, ledger: Path | None, *, is_async: bool) -> None:
        self.sandbox = sandbox
        self.to = to
        self.ledger = ledger
        self.is_async = is_async
        self.timing = SOON
        self.events: list[BatchEvent] = []

    def __call__(
        self,
        items: Sequence[BatchItem],
        *,
        most: int | None = None,
        on_outcome: Callable[[BatchOutcome], None] = lambda _: None,
        **options: Any,
    ) -> list[BatchOutcome]:
        """Run a batch; at most so many outcomes are taken, then it is left."""
        given = {"on_event": self.events.append, **options}
        if self.is_async:
            return asyncio.run(self._later(items, most, on_outcome, given))
        client = ReframeClient(**self.options)
        with client, closing(client.batch(items, self.to, **given)) as found:
            got: list[BatchOutcome] = []
            for outcome in found:
                got.append(outcome)
                on_outcome(outcome)
                if len(got) == most:
                    break
            return got

    async def _later(
        self,
        items: Sequence[BatchItem],
        most: int | None,
        on_outcome: Callable[[BatchOutcome], None],
        given: dict[str, Any],
    ) -> list[BatchOutcome]:
        got: list[BatchOutcome] = []
        async with (
            AsyncReframeClient(**self.options) as client,
            aclosing(client.batch(items, self.to, **given)) as found,
        ):
            async for outcome in found:
                got.append(outcome)
                on_outcome(outcome)
                if len(got) == most:
                    break
        for _ in range(200):  # generators that were dropped are closed by tasks of the loop's own
            if asyncio.all_tasks() == {asyncio.current_task()}:
                return got
            await asyncio.sleep(0.01)
        raise AssertionError(f"left behind: {asyncio.all_tasks()}")

    @property
    def options(self) -> dict[str, Any]:
        """What a client is made with."""
        box = self.sandbox
        return {
            "api_key": box.api_key,
            "api_secret": box.api_secret,
            "base_url": box.base_url,
            "ledger": self.ledger,
            "timing": self.timing,
        }

    def kinds(self) -> list[str]:
        """Kinds of the events so far."""
        return [event.kind for event in self.events]


class Count:
    """What a sandbox counted since this was made."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._jobs = sandbox.jobs_made
        self._before = len(sandbox.requests)

    def seen(self, method: str, ending: str) -> int:
        """Requests of a method to paths that end so, dry runs apart."""
        new = self._sandbox.requests[self._before :]
        return sum(
            one.method == method and one.path.endswith(ending) and "dryRun" not in one.query
            for one in new
        )

    @property
    def all(self) -> int:
        """All requests."""
        return len(self._sandbox.requests) - self._before

    @property
    def jobs(self) -> int:
        """Paid jobs."""
        return self._sandbox.jobs_made - self._jobs

    @property
    def uploads(self) -> int:
        """Uploads announced."""
        return self.seen("POST", "/uploads")

    @property
    def posts(self) -> int:
        """Submits."""
        return sum(
            one.method == "POST" and "/generate/" in one.path and "dryRun" not in one.query
            for one in self._sandbox.requests[self._before :]
        )

    @property
    def results(self) -> int:
        """Downloads."""
        return sum(
            one.method == "GET" and one.path.startswith("/assets/")
            for one in self._sandbox.requests[self._before :]
        )


def no_threads_left() -> bool:
    """Whether no thread of a batch runs."""
    return not [one for one in threading.enumerate() if one.name == "scenario-reframe-batch"]


def statuses(outcomes: Sequence[BatchOutcome]) -> dict[str, int]:
    """How many outcomes of each status."""
    found = [outcome.status for outcome in outcomes]
    return {status: found.count(status) for status in sorted(set(found))}
