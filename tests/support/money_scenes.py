"""Situations that once cost money: each function plays one and returns what came of it.

One test checks that it ends well; another, that it ends badly when its rule is removed.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from attrs import evolve, frozen
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batch_sessions import Batches, clips
from clients import Caller
from ledger_sessions import Session, posts
from scenario_reframe import (
    BatchItem,
    BatchOutcome,
    Job,
    PermissionDeniedError,
    RateLimitedError,
    ReframeError,
    ReframeResult,
    SubmissionUncertainError,
    recovery,
    submitting,
)
from scenario_reframe.ledger import tables
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.fast_engine import fast_result
from scenario_reframe.sandbox.faults import Fault, answer, drop
from scenario_reframe.sandbox.input_echo import Echo
from scenario_reframe.sandbox.records import PROJECT_ID
from scenario_reframe.settings import request_body
from scenario_reframe_api.settings import VIDEO_FIELD
from timings import SOON
from waiting import Clock

GENERATE, LIST = r"/generate/", r"/jobs$"
UNLISTED = 1e9
"""A list lag in seconds that never ends by itself: a test resets it."""
ALWAYS = 100_000
Settings = Mapping[str, Any]
SMALL: Settings = {"resolution": "480p"}
NO_LEDGER: Settings = {"ledger": None}
LIMITED = {"reason": "Too many", "details": {"actionName": "parallel", "actionLimit": 3}}
OTHER_PROJECT = "proj_other"

Got = Job | ReframeResult | BatchOutcome | ReframeError | None


@frozen(kw_only=True)
class Ending:
    """The result of a scene, counted on the server's side.

    `asked`: how many results were requested. `jobs`: how many jobs were made for them. `held`: how
    many callers got their own job. `wrong`: how many got another's. `lost`: jobs that no caller
    has and no error names.
    """

    asked: int = 1
    jobs: int = 1
    held: int = 1
    wrong: int = 0
    lost: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing was paid for twice, mixed up or lost."""
        return self.jobs <= self.asked and self.wrong == 0 and self.lost == 0


WELL = Ending()
"""One result was requested, one job was made, and the caller has it."""


@frozen
class Asked:
    """The settings of a request, and what its caller got in the end."""

    settings: Settings
    got: Got
    project: str = PROJECT_ID


class Scene:
    """A sandbox whose clock stands still, a clip, and a ledger.

    Every call has its own client, as in a program's next run. `theirs`: jobs that others have
    made.
    """

    def __init__(self, sandbox: Sandbox, clock: Clock, folder: Path, *, is_async: bool) -> None:
        self.sandbox, self.clock, self.folder, self.is_async = sandbox, clock, folder, is_async
        self.ledger, self.to = folder / "ledger.db", folder / "out.mp4"
        (self.clip,) = clips(folder / "in", 1)
        self.theirs: set[str] = set()
        self.timing = SOON
        self._caller = Caller(is_async=is_async)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that a client is made with."""
        box = self.sandbox
        keys = {"api_key": box.api_key, "api_secret": box.api_secret}
        return {
            **keys, "base_url": box.base_url, "ledger": self.ledger, "timing": self.timing,
        }  # fmt: skip

    def key(self, name: str, project: str) -> dict[str, Any]:
        """Add another key to the sandbox: the arguments for a client that uses it."""
        self.sandbox.add_key(name, f"secret of {name}", project)
        return {"api_key": name, "api_secret": f"secret of {name}"}

    def call(self, name: str, *args: Any, client: Settings | None = None, **kwargs: Any) -> Any:
        """Call a client's method; with the ledger, unless `client` says otherwise."""
        return self._caller(name, *args, client={**self.options, **(client or {})}, **kwargs)

    def tried(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The same, but an error is returned."""
        try:
            return self.call(name, *args, **kwargs)
        except ReframeError as error:
            return error

    @contextmanager
    def session(self, **options: Any) -> Iterator[Session]:
        """One client for several calls."""
        session = Session(self.sandbox, is_async=self.is_async, **options)
        try:
            yield session
        finally:
            session.close()

    def batch(self, *items: BatchItem, keeps: bool, **options: Any) -> list[BatchOutcome]:
        """Run a batch, with the ledger or without; its outcomes in the order of the items."""
        ledger = self.ledger if keeps else None
        run = Batches(self.sandbox, self.folder / "out", ledger, is_async=self.is_async)
        run.timing = self.timing
        return sorted(run(items, **options), key=lambda one: items.index(one.item))

    def unfinished(self, **client: Any) -> Any:
        """The only unfinished entry."""
        (entry,) = self.call("entries", unfinished=True, client=client)
        return entry

    @property
    def posts(self) -> int:
        """Submits that have reached the server."""
        return posts(self.sandbox)

    def to_submit(self, fault: Fault, times: int = 1) -> None:
        """Play this on the next submits."""
        self.sandbox.faults.add(fault, GENERATE, method="POST", times=times)

    def uncertain(self, name: str, *args: Any, accepted: bool = True, **kwargs: Any) -> Any:
        """Make a call whose reply is lost while nothing is listed: its error."""
        self.to_submit(drop(after=True) if accepted else answer(504))
        self.sandbox.list_lag = UNLISTED
        error = self.tried(name, *args, **kwargs)
        self.sandbox.list_lag = 0.0
        assert isinstance(error, SubmissionUncertainError), error
        return error

    def ending(self, *asked: Asked) -> Ending:
        """The result of the scene for these requests."""
        made = {job.id: job for job in self.sandbox.made}
        held = [job_of(one.got) for one in asked]
        right = sum(
            job_id is not None and held.index(job_id) == index and self._is_own(one, job_id)
            for index, (one, job_id) in enumerate(zip(asked, held, strict=True))
        )
        errors = [one.got for one in asked if isinstance(one.got, SubmissionUncertainError)]
        named = {job.id for error in errors for job in error.candidates}
        return Ending(
            asked=len(asked),
            jobs=len(made) - len(self.theirs),
            held=right,
            wrong=sum(job_id is not None for job_id in held) - right,
            lost=len(made.keys() - self.theirs - {*held} - named),
        )

    def _is_own(self, asked: Asked, job_id: str) -> bool:
        """Whether a job was made for this request, and the files are its results."""
        made = next(job for job in self.sandbox.made if job.id == job_id)
        sent = {name: value for name, value in made.input.items() if name != VIDEO_FIELD}
        wanted = {"seed": sent["seed"], **request_body(asked.settings, None)}
        result = fast_result(made.input, hashlib.sha256(self.clip.read_bytes()).hexdigest())
        files = [file.read_bytes() for file in getattr(asked.got, "files", ())]
        is_whole = all(content == result for content in files)
        return is_whole and (sent, made.project_id) == (wanted, asked.project)


@contextmanager
def scene(folder: Path, *, is_async: bool) -> Iterator[Scene]:
    """A new scene."""
    clock = Clock()
    clock.now = float(int(clock.now))  # `Date` has whole seconds
    with Sandbox(fast=True, stage_seconds=0.0, clock=clock) as sandbox:
        yield Scene(sandbox, clock, folder, is_async=is_async)


def job_of(got: Got) -> str | None:
    """The id of the job that a caller got."""
    job = got if isinstance(got, Job) or got is None else got.job
    return None if job is None else job.id


# --- 1: a redirect that httpx trips over ----------------------------------------------------------

LOCATIONS = {
    "urn": "urn:job:1",
    "job": "job:abc",
    "no host": "https:x",
    "mail": "mailto:x",
    "blank": "about:blank",
    "long": f"/{'x' * 65_520}",
}


def redirected(scene: Scene, kind: str, status: int, location: str) -> Ending:
    """Each submit makes its job, and is answered with a redirect that httpx cannot parse."""
    scene.to_submit(answer(status, "", {"Location": location}, after=True), ALWAYS)
    got: Got
    if kind == "submit":
        got = scene.tried("submit", scene.clip, client=NO_LEDGER, **SMALL)
    elif kind == "reframe":
        scene.tried("reframe", scene.clip, scene.to, **SMALL)
        got = scene.tried("reframe", scene.clip, scene.to, **SMALL)
    else:
        (got,) = scene.batch(BatchItem(scene.clip, settings=SMALL), keeps="ledger" in kind)
    return scene.ending(Asked(SMALL, got))


# --- 2: one seed for several requests -------------------------------------------------------------

SEED: Settings = {"seed": 42, **SMALL}
PROMPTED: Settings = {"prompt": "a street in the rain", **SEED}


def of_another_run(scene: Scene, theirs: Settings, ours: Settings) -> Ending:
    """Another program has made a job with our seed; our own submit is not accepted."""
    asset = scene.call("upload", scene.clip, client=NO_LEDGER)
    other = {**scene.key("another-program", PROJECT_ID), "ledger": None}
    scene.theirs = {scene.call("submit", asset, client=other, **theirs).id}
    scene.to_submit(answer(504))
    got = scene.tried("submit", asset, client=NO_LEDGER, **ours)
    return scene.ending(Asked(ours, got))


def of_a_sibling(scene: Scene, patience: float, *, keeps: bool) -> Ending:
    """Of two rows with one seed, the row without a prompt is refused once the other was accepted.

    Where nothing keeps them apart, they overlap: each waits `patience` seconds for the other.
    """
    accepted, taken = Event(), Event()

    async def submit(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        body, again = await _whole_body(receive)
        if "prompt" in body:

            async def held(message: Message) -> None:
                accepted.set()
                await _either(taken, patience)
                await send(message)

            await app(scope, again, held)
        else:
            await _either(accepted, patience)
            served = answer(504)(app, scope, again, send) if accepted.is_set() else None
            await (served or app(scope, again, send))

    async def fetch(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        taken.set()  # one row has a job
        await app(scope, receive, send)

    scene.to_submit(submit, ALWAYS)
    scene.sandbox.faults.add(fetch, r"/assets/", method="GET", times=ALWAYS)
    rows = [
        BatchItem(scene.clip, f"{place}.mp4", settings=settings)
        for place, settings in enumerate((PROMPTED, SEED))
    ]
    got = scene.batch(*rows, keeps=keeps)
    return scene.ending(*(Asked(one.item.settings, one) for one in got))


async def _whole_body(receive: Receive) -> tuple[dict[str, Any], Receive]:
    """The JSON of a request, and a `receive` that repeats it."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    body: dict[str, Any] = json.loads(b"".join(message["body"] for message in messages))

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return body, again


async def _either(event: Event, seconds: float) -> None:
    """Wait for an event, but no longer than this."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not event.is_set() and loop.time() < deadline:  # noqa: ASYNC110 - the event of another thread
        await asyncio.sleep(0.01)


# --- 3: an echo that is not what was sent ---------------------------------------------------------


def shown_as(**changes: Any) -> Echo:
    """Show these settings with other values; a function computes the value from the one sent."""

    def echo(sent: dict[str, Any], _place: object) -> dict[str, Any]:
        new = {
            name: change(sent[name]) if callable(change) else change
            for name, change in changes.items()
        }
        return {**sent, **new}

    return echo


def hidden(*names: str, everywhere: bool = False) -> Echo:
    """Hide these settings in the list, or everywhere."""

    def echo(sent: dict[str, Any], place: str) -> dict[str, Any]:
        hides = everywhere or place == "list"
        return {name: value for name, value in sent.items() if not (hides and name in names)}

    return echo


FLOAT32 = 0.10000000149011612
ECHOES: Mapping[str, Echo] = {
    "seed as text": shown_as(seed=str),
    "seed as float": shown_as(seed=float),
    "prompt expanded": shown_as(prompt=lambda text: f"{text}, cinematic, 8k"),
    "prompt trimmed": shown_as(prompt=str.strip),
    "video as URL": shown_as(videoUrl=lambda asset: f"https://cdn.test/assets/{asset}/clip.mp4"),
    "float32": shown_as(zoomFactor=FLOAT32),
    "numbers as text": shown_as(zoomFactor=str, numFrames=str),
    "more keys": shown_as(sampler="new", steps=5),
    "seed by id only": hidden("seed", "prompt"),
}
ODD_SETTINGS: Settings = {
    "prompt": " a street in the rain ",
    "zoom_factor": 0.1,
    "num_frames": 90,
    **SMALL,
}


def echoed(scene: Scene, echo: Echo, settings: Settings, *, is_lost: bool = True) -> Ending:
    """Play an echo, with or without losing the reply; if uncertain, resubmitting is permitted."""
    scene.sandbox.echo = echo
    if is_lost:
        scene.to_submit(drop(after=True))
    got = scene.tried("reframe", scene.clip, scene.to, **settings)
    if isinstance(got, SubmissionUncertainError):
        got = scene.tried("resume", scene.unfinished(), resubmit_after=0.0)
    return scene.ending(Asked(settings, got))


# --- 4: a job that is looked for again ------------------------------------------------------------


def found_again(scene: Scene, *, keeps: bool) -> Ending:
    """Call `find_job` three times and take the last answer."""
    scene.to_submit(drop(after=True))
    scene.sandbox.list_lag = UNLISTED
    with scene.session(ledger=scene.ledger if keeps else None) as client:
        error = client.fails(SubmissionUncertainError, "submit", scene.clip, **SMALL)
        assert client("find_job", error.submission) is None
        scene.sandbox.list_lag = 0.0
        found = [client("find_job", error.submission) for _ in range(3)]
    return scene.ending(Asked(SMALL, found[-1]))


# --- 5: a refusal that was none -------------------------------------------------------------------


def refused(scene: Scene, kind: str, body: object = None) -> Ending:
    """Answer 429 for a job that was made, and list it only after the first look-up."""
    scene.to_submit(answer(429, LIMITED if body is None else body, after=True))
    scene.sandbox.list_lag = UNLISTED

    async def look(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        was_sent = scene.posts > 0
        await app(scope, receive, send)
        if was_sent:
            scene.sandbox.list_lag = 0.0

    scene.sandbox.faults.add(look, LIST, times=ALWAYS)
    got: Got
    if kind.startswith("batch"):
        (got,) = scene.batch(BatchItem(scene.clip, settings=SMALL), keeps="ledger" in kind)
        return scene.ending(Asked(SMALL, got))
    call = {
        "reframe": partial(scene.tried, "reframe", scene.clip, scene.to),
        "submit with a key": partial(scene.tried, "submit", scene.clip, key="order-1"),
        "submit": partial(scene.tried, "submit", scene.clip, client=NO_LEDGER),
    }[kind]
    error = call(**SMALL)
    assert isinstance(error, RateLimitedError), error
    if kind == "submit":
        got = scene.call("find_job", error.submission, client=NO_LEDGER)
    else:
        got = call(**SMALL)
    return scene.ending(Asked(SMALL, got))


def refused_and_settled(scene: Scene, *, accepted: bool) -> list[float]:
    """A 429, then the same call again: the seconds at which the server got each POST.

    Each look-up moves the clock by a second: a 429 is settled after ten, and a job is listed after
    four.
    """
    began = scene.clock.now
    times: list[float] = []

    async def submit(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        times.append(scene.clock.now - began)
        refusal = answer(429, LIMITED, after=accepted)
        is_first = len(times) == 1
        await (refusal(app, scope, receive, send) if is_first else app(scope, receive, send))

    async def look(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if times:
            scene.clock.forward(1.0)
        await app(scope, receive, send)

    scene.sandbox.list_lag = 4.0
    scene.to_submit(submit, ALWAYS)
    scene.sandbox.faults.add(look, LIST, times=ALWAYS)
    scene.timing = evolve(scene.timing, clock=scene.clock, refusal_settled=10.0)
    error = scene.tried("reframe", scene.clip, scene.to, **SMALL)
    assert isinstance(error, RateLimitedError), error
    got = scene.tried("reframe", scene.clip, scene.to, **SMALL)
    assert scene.ending(Asked(SMALL, got)) == WELL
    return times


# --- 6: two accounts, one ledger ------------------------------------------------------------------


def two_accounts(scene: Scene, *, is_first_done: bool) -> Ending:
    """Two keys of two unnamed projects request the same of one clip."""
    other = scene.key("another-account", OTHER_PROJECT)
    if is_first_done:
        scene.call("reframe", scene.clip, **SMALL)
    else:
        scene.uncertain("reframe", scene.clip, **SMALL)
    theirs = scene.tried("reframe", scene.clip, client=other, **SMALL)
    ours = scene.tried("reframe", scene.clip, **SMALL)
    return scene.ending(Asked(SMALL, ours), Asked(SMALL, theirs, OTHER_PROJECT))


def resumed_by_another_account(scene: Scene) -> Ending:
    """A submit is uncertain; another account resumes all that it sees, with permission."""
    other = scene.key("another-account", OTHER_PROJECT)
    scene.uncertain("submit", key="order-1", **SMALL)
    for entry in scene.call("entries", unfinished=True, client=other):
        scene.tried("resume", entry, client=other, resubmit_after=0.0)
    got = scene.tried("submit", key="order-1", **SMALL)
    return scene.ending(Asked(SMALL, got))


# --- 7, 8: a second POST --------------------------------------------------------------------------


def refused_second_post(scene: Scene) -> Ending:
    """A job is not listed yet; with permission it is posted again, and refused."""
    scene.uncertain("reframe", scene.clip, scene.to, **SMALL)
    scene.sandbox.list_lag = UNLISTED
    scene.to_submit(answer(403, {"reason": "Not for this key"}))
    error = scene.tried("resume", scene.unfinished(), resubmit_after=0.0)
    assert isinstance(error, SubmissionUncertainError), error
    assert isinstance(error.__cause__, PermissionDeniedError)
    scene.sandbox.list_lag = 0.0
    got = scene.tried("reframe", scene.clip, scene.to, **SMALL)
    return scene.ending(Asked(SMALL, got))


def listed_after_the_second_post(scene: Scene, settings: Settings, days: float) -> Ending:
    """The first POST's job is listed only after later POSTs, which made nothing."""
    scene.uncertain("reframe", scene.clip, scene.to, **settings)
    scene.clock.forward(days * 24 * 3600)
    with machine_clock(days * 24):
        scene.to_submit(answer(504), ALWAYS)
        scene.sandbox.list_lag = UNLISTED
        error = scene.tried("resume", scene.unfinished(), resubmit_after=0.0)
        assert isinstance(error, SubmissionUncertainError), error
        scene.sandbox.list_lag = 0.0
        scene.sandbox.faults.clear()
        got = scene.tried("resume", scene.unfinished())
        return scene.ending(Asked(settings, got))


# --- 9: the machine's clock -----------------------------------------------------------------------


@contextmanager
def machine_clock(hours: float) -> Iterator[None]:
    """Set the machine's clock so many hours ahead, for Python and SQLite."""

    class Wrong(datetime):
        @classmethod
        def now(cls, _zone: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=hours)

    true = tables.DIALECT["CLOCK"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submitting, "datetime", Wrong)
        patch.setattr(recovery, "datetime", Wrong)
        patch.setitem(tables.DIALECT, "CLOCK", f"({true} + {hours * 3600})")
        tables.in_dialect.cache_clear()
        yield
    tables.in_dialect.cache_clear()


def clock_corrected(scene: Scene, hours: float, settings: Settings, *, keeps: bool) -> Ending:
    """Submit while the clock is wrong; then correct it, and give permission."""
    client = {} if keeps else NO_LEDGER
    with machine_clock(hours):
        error = scene.uncertain("submit", scene.clip, client=client, **settings)
    if keeps:
        got = scene.tried("resume", scene.unfinished(), resubmit_after=0.0)
    else:
        got = scene.tried("find_job", error.submission, client=client)
    return scene.ending(Asked(settings, got))
