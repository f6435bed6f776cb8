"""Run the sandbox: a server on this machine, on a thread of its own."""

import asyncio
import atexit
import contextlib
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Self

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from scenario_reframe.sandbox.app import Gate, RequestRecord, build_app
from scenario_reframe.sandbox.engines import FastEngine
from scenario_reframe.sandbox.faults import TRANSPORT
from scenario_reframe.sandbox.generating import VideoEngine
from scenario_reframe.sandbox.records import MadeJob
from scenario_reframe.sandbox.scheduling import Faults
from scenario_reframe.sandbox.signing import Signer
from scenario_reframe.sandbox.state import Limits, State
from scenario_reframe.sandbox.workers import Worker

_WORKERS: Final = ("imports", "encodes")
# For a very busy machine; neither takes a second on another.
_STOP_SECONDS: Final = 60.0
_START_SECONDS: Final = 60.0
# Longer than clients keep idle connections: none is closed under a request on its way.
_KEEP_ALIVE_SECONDS: Final = 75


class Sandbox:
    """A local stand-in for the vendor's API that really reframes video, as a context manager.

    `port` 0 takes a free one. `url_lifetime` is how long signed URLs hold and `stage_seconds` how
    long each status is shown at least, both in seconds. Files live in a temporary folder, or in
    `media_dir`, which is then left as it is.

    `clock` gives Unix time in seconds. Statuses, the list's lag and signed URLs go by it, so that a
    test may move it by hand instead of waiting.

    For tests with many jobs: `fast` makes small files of meaningless bytes instead of videos, and
    takes whatever begins like one. `list_lag` is how many seconds a new job is missing from the
    list of jobs. `parallel_jobs` is how many paid jobs may run; one more is refused with 429. While
    `hold_jobs` is set, no paid job gets on.

        with Sandbox() as sandbox:
            client = ReframeClient(
                sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url
            )
    """

    def __init__(
        self,
        port: int = 0,
        *,
        api_key: str = "sandbox-key",
        api_secret: str = "sandbox-secret",  # noqa: S107 - no secret: it opens nothing but this
        url_lifetime: float = 24 * 3600,
        stage_seconds: float = 0.25,
        media_dir: Path | None = None,
        fast: bool = False,
        list_lag: float = 0.0,
        parallel_jobs: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.api_key = api_key
        self.api_secret = api_secret
        self.faults = Faults()
        self._wanted_port = port
        self._url_lifetime = url_lifetime
        self._stage_seconds = stage_seconds
        self._media_dir = media_dir
        self._fast = fast
        self._limits = Limits(list_lag, parallel_jobs)
        self._clock = clock
        self._closing = contextlib.ExitStack()

    def __repr__(self) -> str:
        """Show no credentials."""
        return f"<Sandbox at {self.base_url}>" if hasattr(self, "_state") else "<Sandbox>"

    def __enter__(self) -> Self:
        """Start; when this returns, the server answers."""
        with contextlib.ExitStack() as stack:
            sockets, port = _listen(self._wanted_port)
            for sock in sockets:
                stack.callback(sock.close)
            folder = self._media_dir or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="scenario-reframe-"))
            )
            self.base_url = f"http://127.0.0.1:{port}/v1"
            signer = Signer(f"http://localhost:{port}", self._url_lifetime, self._clock)
            self._state = State(folder, signer, self._stage_seconds, self._limits, self._clock)
            imports, encodes = (Worker(name, self._state.stopping) for name in _WORKERS)
            engine = FastEngine(self._state) if self._fast else VideoEngine(self._state, encodes)
            app = build_app(self._state, engine, imports)
            self._gate = Gate(app, self.faults, self.api_key, self.api_secret)
            for worker in [imports] if self._fast else [imports, encodes]:
                worker.start()
                stack.callback(worker.join, _STOP_SECONDS)
            stack.callback(self._state.stopping.set)
            stack.callback(_serve(self._gate, sockets))
            # A program that ends without closing must neither hang nor leave files behind.
            atexit.register(self.close)
            stack.callback(atexit.unregister, self.close)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, as `close` does."""
        self.close()

    def close(self) -> None:
        """Stop the server, give up the work at hand and delete the temporary files."""
        self._closing.close()

    def wait(self) -> None:
        """Block until Ctrl-C or until another thread closes the sandbox."""
        with contextlib.suppress(KeyboardInterrupt):
            self._state.stopping.wait()

    @property
    def jobs_made(self) -> int:
        """How many paid jobs have been made."""
        return self._state.jobs_made

    @property
    def made(self) -> list[MadeJob]:
        """Every paid job so far, oldest first, with the digests of its results.

        To be read while the sandbox runs. Any thread may ask.
        """
        return self._state.made()

    @property
    def parallel_jobs(self) -> int | None:
        """How many paid jobs may run side by side, None for any number; may be set at any time."""
        return self._limits.parallel_jobs

    @parallel_jobs.setter
    def parallel_jobs(self, most: int | None) -> None:
        self._limits.parallel_jobs = most

    @property
    def list_lag(self) -> float:
        """Seconds before a new job appears in the list of jobs; may be set at any time."""
        return self._limits.list_lag

    @list_lag.setter
    def list_lag(self, seconds: float) -> None:
        self._limits.list_lag = seconds

    @property
    def hold_jobs(self) -> bool:
        """Whether every paid job stays as it is; may be set at any time while the sandbox runs.

        So a test looks at jobs that are under way, however slow the machine is.
        """
        return self._limits.held_since is not None

    @hold_jobs.setter
    def hold_jobs(self, held: bool) -> None:
        self._state.hold_jobs(held=held)

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request so far, to the API and to the file host (the last 100,000)."""
        return list(self._gate.requests)

    @property
    def requests_made(self) -> int:
        """How many requests have come, to the API and to the file host."""
        return self._gate.requests_made

    @property
    def credentials_leaked(self) -> int:
        """How many requests to the file host carried an `Authorization` header."""
        return self._gate.credentials_leaked

    def expire_urls(self) -> None:
        """Make every signed URL given so far answer 403, as if its time had come."""
        self._state.signer.forget()


class _Protocol(H11Protocol):
    """uvicorn's protocol, showing the application its connection so that a fault can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {TRANSPORT: transport}
            await app(scope, receive, send)

        self.app = with_transport


def _listen(port: int) -> tuple[list[socket.socket], int]:
    """Listen on this machine only; where `localhost` is IPv6 first, there too."""
    first = _bound(socket.AF_INET, "127.0.0.1", port)
    port = first.getsockname()[1]
    try:
        return [first, _bound(socket.AF_INET6, "::1", port)], port
    except OSError:
        return [first], port


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # Named by its protocol, for asyncio sends small replies at once (TCP_NODELAY) only then.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _serve(app: Gate, sockets: list[socket.socket]) -> Callable[[], None]:
    """Run uvicorn on a thread; give what stops it."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # faults are wanted here; those of ours are logged by the application
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=(sockets,), name="sandbox", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("The sandbox's server did not start")
        time.sleep(0.005)

    def stop() -> None:
        server.should_exit = server.force_exit = True
        thread.join(_STOP_SECONDS)

    return stop
