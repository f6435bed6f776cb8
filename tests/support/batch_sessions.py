"""Batches of either client, run to the end or stopped early, against a sandbox that counts."""

import asyncio
import hashlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

from starlette.types import ASGIApp, Receive, Scope, Send

from ledger_rows import sql
from scenario_reframe import (
    AsyncReframeClient,
    BatchEvent,
    BatchItem,
    BatchOutcome,
    ReframeClient,
    ReframeError,
)
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.fast_engine import fast_result
from scenario_reframe.sandbox.faults import Fault
from scenario_reframe.settings import request_body
from scenario_reframe_api.settings import VIDEO_FIELD
from timings import SOON

CLIP = b"\x00\x00\x00\x18ftypisom"
RATIOS = ("9:16", "1:1")
# 40 creative units a job, whatever the spec's defaults.
PRICED = {"resolution": "480p", "num_frames": 81, "match_input_num_frames": False}
GENERATE, LIST, UPLOADS = r"/generate/", r"/jobs$", r"/uploads$"
LIMITED = {"reason": "Too many parallel jobs", "details": {"actionName": "p", "actionLimit": 3}}
ALWAYS = 100_000


def clips(folder: Path, number: int) -> list[Path]:
    """Make so many files that begin like videos, each with its own content."""
    folder.mkdir(exist_ok=True)
    made = [folder / f"clip{place}.mp4" for place in range(number)]
    for place, path in enumerate(made):
        path.write_bytes(CLIP + place.to_bytes(4, "big") * 300)
    return made


def shapes(videos: Sequence[Path | str], ratios: Sequence[str] = RATIOS) -> list[BatchItem]:
    """One item for each video in each shape."""
    return [
        BatchItem(video, settings={"aspect_ratio": ratio, **PRICED})
        for video in videos
        for ratio in ratios
    ]


def squares(folder: Path, number: int) -> list[BatchItem]:
    """Make so many clips; one item for each, in one shape."""
    return shapes(clips(folder, number), ["1:1"])


class Batches:
    """Runs each batch with a new client, as a program started again would.

    `count`: what the sandbox has counted since this object was made.
    """

    def __init__(self, sandbox: Sandbox, to: Path, ledger: Path | None, *, is_async: bool) -> None:
        self.sandbox = sandbox
        self.to = to
        self.ledger = ledger
        self.is_async = is_async
        self.timing = SOON
        self.events: list[BatchEvent] = []
        self.count = Count(sandbox)

    def __call__(
        self,
        items: Sequence[BatchItem],
        *,
        most: int | None = None,
        on_outcome: Callable[[BatchOutcome], None] = lambda _: None,
        **options: Any,
    ) -> list[BatchOutcome]:
        """Run a batch and return its outcomes; after `most` of them, stop it."""
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
        for _ in range(200):  # the loop closes abandoned generators in tasks of its own
            if asyncio.all_tasks() == {asyncio.current_task()}:
                return got
            await asyncio.sleep(0.01)
        raise AssertionError(f"tasks left behind: {asyncio.all_tasks()}")

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that a client is made with."""
        box = self.sandbox
        return {
            "api_key": box.api_key,
            "api_secret": box.api_secret,
            "base_url": box.base_url,
            "ledger": self.ledger,
            "timing": self.timing,
        }

    def beside(self) -> "Batches":
        """Another with the same folder and ledger, as in a second process."""
        other = Batches(self.sandbox, self.to, self.ledger, is_async=self.is_async)
        other.timing = self.timing
        return other

    def kinds(self) -> list[str]:
        """The kinds of the events so far."""
        return [event.kind for event in self.events]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on the ledger, behind the client's back."""
        assert self.ledger is not None
        return sql(self.ledger, statement)

    def check_own(self, outcomes: Sequence[BatchOutcome]) -> None:
        """Check that each job and file belongs to its row, and that no two rows share a job."""
        made = {job.id: job for job in self.sandbox.made}
        done = [one for one in outcomes if one.status == "done"]
        for one in done:
            assert one.job is not None
            job, (file,) = made[one.job.id], one.files
            body = request_body(one.item.settings, one.item.extra)
            assert {**job.input, "seed": 0} == {**body, "seed": 0} | {
                VIDEO_FIELD: job.input[VIDEO_FIELD]
            }
            assert body.get("seed") in {None, job.input["seed"]}
            assert one.item.output in {None, file.name}
            source = Path(str(one.item.video)).read_bytes()
            expected = fast_result(job.input, hashlib.sha256(source).hexdigest())
            assert file.read_bytes() == expected
        assert len({one.job.id for one in done if one.job}) == len(done)


@contextmanager
def batches(sandbox: Sandbox, folder: Path, kind: str = "async") -> Iterator[Batches]:
    """Batches of one kind: `sync` or `async`, with `no ledger` added where none is wanted.

    Checks afterwards that no thread is left, and resets the sandbox.
    """
    ledger = None if "no ledger" in kind else folder / "ledger.db"
    made = Batches(sandbox, folder / "out", ledger, is_async="async" in kind)
    try:
        yield made
        assert no_threads_left()
    finally:
        sandbox.faults.clear()
        sandbox.parallel_jobs, sandbox.list_lag, sandbox.hold_jobs = None, 0.0, False
        sandbox.echo = None


class Count:
    """What a sandbox has counted since this object was made."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._jobs = sandbox.jobs_made
        self._before = len(sandbox.requests)

    def _seen(self, method: str, part: str) -> int:
        new = self._sandbox.requests[self._before :]
        return sum(
            one.method == method and part in f"{one.path}$" and "dryRun" not in one.query
            for one in new
        )

    @property
    def all(self) -> int:
        """All requests."""
        return len(self._sandbox.requests) - self._before

    @property
    def writes(self) -> int:
        """All requests that do more than read."""
        return sum(one.method != "GET" for one in self._sandbox.requests[self._before :])

    @property
    def jobs(self) -> int:
        """Paid jobs."""
        return self._sandbox.jobs_made - self._jobs

    @property
    def uploads(self) -> int:
        """Announced uploads."""
        return self._seen("POST", "/uploads$")

    @property
    def posts(self) -> int:
        """Submits, without dry runs."""
        return self._seen("POST", "/generate/")

    @property
    def by_id(self) -> int:
        """Reads of single jobs, by their ids."""
        return self._seen("GET", "/v1/jobs/")

    @property
    def results(self) -> int:
        """Downloads."""
        return sum(
            one.method == "GET" and one.path.startswith("/assets/")
            for one in self._sandbox.requests[self._before :]
        )


class MostRunning:
    """The most jobs that ran side by side while this was open: `seen`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._end, self.seen = sandbox, Event(), 0
        self._thread = Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.002):
            self.seen = max(self.seen, running(self._sandbox))


def running(sandbox: Sandbox) -> int:
    """How many paid jobs are running now."""
    return sandbox._state.running()


def to_submits(sandbox: Sandbox, *faults: Fault | None) -> deque[Fault | None]:
    """Play these faults on the next submits, one each (not on dry runs); None means no fault.

    Returns those that are still to be played.
    """
    remaining = deque(faults)

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        is_paid = b"dryRun" not in scope["query_string"]
        played = remaining.popleft() if is_paid and remaining else None
        await (played(app, scope, receive, send) if played else app(scope, receive, send))

    sandbox.faults.add(fault, GENERATE, method="POST", times=ALWAYS)
    return remaining


def side_by_side(*runs: Callable[[], list[BatchOutcome]]) -> list[list[BatchOutcome]]:
    """Run several batches at once, each in its own thread."""
    found: dict[int, list[BatchOutcome]] = {}

    def collect(index: int, run: Callable[[], list[BatchOutcome]]) -> None:
        found[index] = run()

    threads = [Thread(target=collect, args=one) for one in enumerate(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[index] for index in range(len(runs))]


def no_threads_left() -> bool:
    """Whether no batch thread is still running."""
    return not [one for one in threading.enumerate() if one.name == "scenario-reframe-batch"]


def statuses(outcomes: Sequence[BatchOutcome]) -> dict[str, int]:
    """How many outcomes of each status."""
    found = [outcome.status for outcome in outcomes]
    return {status: found.count(status) for status in sorted(set(found))}


def errors(outcomes: Sequence[BatchOutcome], *kinds: type[ReframeError]) -> Counter[str]:
    """How many errors of each of these kinds; an error of any other kind is counted by its repr."""
    return Counter(
        next((kind.__name__ for kind in kinds if isinstance(one.error, kind)), repr(one.error))
        for one in outcomes
        if one.error is not None
    )
