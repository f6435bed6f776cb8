"""Runs of a program with a ledger, over either client; the sandbox counts what they buy."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger_rows import sql
from scenario_reframe import (
    AsyncReframeClient,
    Entry,
    ReframeClient,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.sandbox import Sandbox, video_engine
from scenario_reframe.sandbox.faults import Fault, answer, drop
from scenario_reframe.sandbox.video_encoding import reframe
from scenario_reframe_api.settings import VIDEO_FIELD
from timings import SOON

QUICK: dict[str, Any] = {
    "resolution": "480p", "num_interpolated_frames": 0, "video_write_mode": "fast",
    "match_input_num_frames": True,
}  # fmt: skip
"""Settings with which the sandbox makes a video quickly."""

GENERATE, LIST, JOB, FILE = r"/generate/", r"/jobs$", r"/jobs/job_", r"^/assets/"
"""The paths of a submit, of the list of jobs, of one job, and of a file's bytes."""


_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


BOTH = pytest.mark.parametrize("runs", ["sync", "async"], indirect=True)
"""For what each driver does in its own way: it writes the ledger around the POST."""


class Session:
    """One client that lives as long as a process; its methods are called by name."""

    def __init__(self, sandbox: Sandbox, *, is_async: bool, **options: Any) -> None:
        keys = (sandbox.api_key, sandbox.api_secret)
        # Shared, since reading the system's certificates takes longer than the tests themselves.
        self._http: Any = (httpx.AsyncClient if is_async else httpx.Client)(verify=_TLS)
        given = {"base_url": sandbox.base_url, "http_client": self._http, "timing": SOON}
        options = given | options
        self._runner = asyncio.Runner() if is_async else None
        self._client: Any
        try:
            self._client = (AsyncReframeClient if is_async else ReframeClient)(*keys, **options)
        except BaseException:
            self._end()
            raise

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client by its name."""
        found = getattr(self._client, name)(*args, **kwargs)
        return self._runner.run(found) if self._runner else found

    def fails(self, kind: type[ReframeError], name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method that must raise this kind of error; return the error."""
        try:
            got = self(name, *args, **kwargs)
        except kind as error:
            return error
        raise AssertionError(f"{name} returned {got!r:.200} and did not raise {kind.__name__}")

    def close(self) -> None:
        """Close the client."""
        if self._runner:
            self._runner.run(self._client.aclose())
        else:
            self._client.close()
        self._end()

    def _end(self) -> None:
        if self._runner:
            self._runner.run(self._http.aclose())
            self._runner.close()
        else:
            self._http.close()


class Seconds:
    """A clock that moves by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Now."""
        self.now += 1.0
        return self.now


class Runs:
    """A program's runs, one after another: each has its own client, and all share one ledger.

    The server's counts start when this object is made.
    """

    def __init__(self, sandbox: Sandbox, ledger: Path, *, is_async: bool) -> None:
        self.sandbox = sandbox
        self.ledger = ledger
        self.is_async = is_async
        self._sessions: list[Session] = []
        self._before = self._counted()

    def __call__(self, **options: Any) -> Session:
        """Start the next run: its client."""
        given = {"ledger": self.ledger, **options}
        self._sessions.append(Session(self.sandbox, is_async=self.is_async, **given))
        return self._sessions[-1]

    def close(self) -> None:
        """End all runs, and reset the sandbox."""
        for session in self._sessions:
            session.close()
        self.sandbox.faults.clear()
        self.sandbox.echo = None
        self.sandbox.hold_jobs = False

    @property
    def jobs(self) -> int:
        """Paid jobs."""
        return self._counted()[0] - self._before[0]

    @property
    def posts(self) -> int:
        """Submits, whatever their outcomes."""
        return self._counted()[1] - self._before[1]

    @property
    def uploads(self) -> int:
        """Announced uploads."""
        return self._counted()[2] - self._before[2]

    def entry(self) -> Entry:
        """The only entry of the ledger."""
        (entry,) = self()("entries")
        assert isinstance(entry, Entry)
        return entry

    def states(self) -> list[str]:
        """The state of every entry, newest first."""
        return [entry.state for entry in self()("entries")]

    def later(self, seconds: float) -> None:
        """Move every POST so many seconds into the past."""
        moved = "ended_at = ended_at - ?, server_ended = server_ended - ?"
        sql(self.ledger, f"UPDATE posts SET {moved}", seconds, seconds)  # noqa: S608

    def uncertain(self, *args: Any, accepted: bool, **settings: Any) -> Entry:
        """Make an uncertain entry: a `reframe` whose reply was lost."""
        self.sandbox.faults.add(drop(after=accepted), GENERATE, method="POST")
        self.sandbox.faults.add(answer(503), LIST, times=100)
        self().fails(SubmissionUncertainError, "reframe", *args, **settings)
        self.sandbox.faults.clear()
        entry: Entry = self()("entries")[0]
        assert (entry.state, entry.job_id) == ("uncertain", None)
        return entry

    def _counted(self) -> tuple[int, int, int]:
        seen = self.sandbox.requests
        uploads = sum(one.method == "POST" and one.path.endswith("/uploads") for one in seen)
        return self.sandbox.jobs_made, posts(self.sandbox), uploads


async def _as_always(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def when_it_comes(act: Callable[[], object], then: Fault = _as_always) -> Fault:
    """Do something when a request has arrived whole; then answer normally, or with a fault."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        coming: list[Message] = []
        while not coming or coming[-1].get("more_body"):
            coming.append(await receive())

        async def replayed() -> Message:
            return coming.pop(0) if coming else await receive()

        act()
        await then(app, scope, replayed, send)

    return fault


def posts(sandbox: Sandbox, path: str = "/generate/") -> int:
    """How many POSTs to this path have reached the server."""
    return sum(seen.method == "POST" and path in seen.path for seen in sandbox.requests)


def held(
    until: Event, *, after: bool = False, sent: int = 0, arrived: Event | None = None
) -> Fault:
    """Hold a request (`after`: its reply, after `sent` bytes of it) until an event is set.

    `arrived` is set once a held request has arrived whole.
    """

    async def hold() -> None:
        while not until.is_set():  # noqa: ASYNC110 - the event of another thread
            await asyncio.sleep(0.01)

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        waits = after
        coming: list[Message] = []  # read it all first: its client may go away
        while not after and (not coming or coming[-1].get("more_body")):
            coming.append(await receive())

        async def replayed() -> Message:
            return coming.pop(0) if coming else await receive()

        async def held_send(message: Message) -> None:
            nonlocal waits
            if waits and message["type"] == "http.response.start" and sent == 0:
                waits = False
                await hold()
            elif waits and message["type"] == "http.response.body":
                waits = False
                body = message["body"]
                await send({**message, "body": body[:sent], "more_body": True})
                await hold()
                message = {**message, "body": body[sent:]}
            with suppress(RuntimeError):  # the client may be gone
                await send(message)

        if not after:
            (arrived or Event()).set()
            await hold()
        await app(scope, replayed, held_send)

    return fault


@contextmanager
def quick_sandbox(**options: Any) -> Iterator[Sandbox]:
    """A sandbox that encodes a video once for the same settings, and then copies the file."""
    made: dict[str, tuple[bytes, Any]] = {}

    def cached(source: Path, target: Path, given: Any, on_frame: Any) -> Any:
        settings = {name: given[name] for name in given if name not in {"seed", VIDEO_FIELD}}
        key = hashlib.sha256(source.read_bytes()).hexdigest() + json.dumps(settings)
        if key not in made:
            result = reframe(source, target, given, on_frame)
            made[key] = target.read_bytes(), result
        target.write_bytes(made[key][0])
        return made[key][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video_engine, "reframe", cached)
        with Sandbox(**options) as sandbox:
            yield sandbox


def whole(path: Path) -> bool:
    """Whether a file is a complete MP4 with pictures, without leftovers beside it."""
    import av  # noqa: PLC0415 - the programs that import this module do not need it

    leftovers = list(path.parent.glob(f"{path.name}.*"))
    with av.open(str(path)) as container:
        return not leftovers and sum(1 for _ in container.decode(video=0)) > 1
