"""Either client with a ledger, kept open over several calls; and faults that a test lets go."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scenario_reframe import AsyncReframeClient, ReframeClient, ReframeError
from scenario_reframe.sandbox import Sandbox, generating
from scenario_reframe.sandbox.encoding import reframe
from scenario_reframe.sandbox.faults import Fault
from scenario_reframe_api.settings import VIDEO_FIELD
from timings import SOON

QUICK: dict[str, Any] = {
    "resolution": "480p", "num_interpolated_frames": 0, "video_write_mode": "fast",
    "match_input_num_frames": True,
}  # fmt: skip
"""Settings with which the sandbox is soon done."""


_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Session:
    """One client for as long as a process would have it; methods are called by name."""

    def __init__(self, sandbox: Sandbox, *, is_async: bool, **options: Any) -> None:
        keys = (sandbox.api_key, sandbox.api_secret)
        # One for all: reading the system's certificates takes longer than what is tested here.
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
        """Call a method of the client."""
        found = getattr(self._client, name)(*args, **kwargs)
        return self._runner.run(found) if self._runner else found

    def fails(self, kind: type[ReframeError], name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method that must raise this; the error."""
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


def posts(sandbox: Sandbox, path: str = "/generate/") -> int:
    """How many POSTs to such a path have reached the server."""
    return sum(seen.method == "POST" and path in seen.path for seen in sandbox.requests)


def held(
    until: Event, *, after: bool = False, sent: int = 0, arrived: Event | None = None
) -> Fault:
    """Hold a request, or `after` the work its reply, until an event; `sent` bytes go before.

    `arrived` is set once a request that is held has come whole.
    """

    async def hold() -> None:
        while not until.is_set():  # noqa: ASYNC110 - another thread's event
            await asyncio.sleep(0.01)

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        waits = after
        coming: list[Message] = []  # read it all first, as a server does whose client goes away
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
    """A sandbox that encodes each video once for the same settings, and then copies the file."""
    made: dict[str, tuple[bytes, Any]] = {}

    def remembered(source: Path, target: Path, given: Any, on_frame: Any) -> Any:
        settings = {name: given[name] for name in given if name not in {"seed", VIDEO_FIELD}}
        key = hashlib.sha256(source.read_bytes()).hexdigest() + json.dumps(settings)
        if key not in made:
            told = reframe(source, target, given, on_frame)
            made[key] = target.read_bytes(), told
        target.write_bytes(made[key][0])
        return made[key][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generating, "reframe", remembered)
        with Sandbox(**options) as sandbox:
            yield sandbox


def whole(path: Path) -> bool:
    """Whether a file is a whole MP4 with pictures in it, and no leftovers lie beside it."""
    import av  # noqa: PLC0415 - programs of other processes need none of it

    leftovers = list(path.parent.glob(f"{path.name}.*"))
    with av.open(str(path)) as container:
        return not leftovers and sum(1 for _ in container.decode(video=0)) > 1
