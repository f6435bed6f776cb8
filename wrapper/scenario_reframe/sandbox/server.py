"""The sandbox: a server on this machine, on a thread of its own."""

import atexit
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from scenario_reframe.sandbox.api_keys import ApiKeys
from scenario_reframe.sandbox.background_work import WorkerThread
from scenario_reframe.sandbox.fast_engine import FastEngine
from scenario_reframe.sandbox.fault_rules import Faults
from scenario_reframe.sandbox.input_echo import Echo
from scenario_reframe.sandbox.records import MadeJob
from scenario_reframe.sandbox.signed_urls import Signer
from scenario_reframe.sandbox.state import Behaviour, SandboxState
from scenario_reframe.sandbox.temporary_folder import temporary_folder
from scenario_reframe.sandbox.uvicorn_server import STOP_SECONDS, listen, serve
from scenario_reframe.sandbox.video_engine import VideoEngine
from scenario_reframe.sandbox.web_app import Gate, RequestRecord, build_app

_WORKERS: Final = ("imports", "encodes")


class Sandbox:
    """A local stand-in for the vendor's API that really reframes video, as a context manager.

    `port` 0 picks a free one. Signed URLs are valid for `url_lifetime` seconds, and each status is
    shown for at least `stage_seconds`. Files are in a temporary folder, which goes with the process
    even if it is killed, or in `media_dir`, which is not deleted.

    `clock` returns Unix time in seconds. Statuses, the list's lag, signed URLs and the `Date`
    header use it, so that a test can move it instead of waiting.

    For tests with many jobs: `fast` makes small files of meaningless bytes instead of videos, and
    accepts any file that begins like one. `list_lag` is how many seconds a new job is missing from
    the list of jobs. `parallel_jobs` is how many paid jobs of a project may run; one more is
    refused with 429. While `hold_jobs` is set, paid jobs make no progress.

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
        api_secret: str = "sandbox-secret",  # noqa: S107 - valid for this sandbox only
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
        self._keys = ApiKeys(api_key, api_secret)
        self._requested_port = port
        self._url_lifetime = url_lifetime
        self._stage_seconds = stage_seconds
        self._media_dir = media_dir
        self._fast = fast
        self._behaviour = Behaviour(list_lag, parallel_jobs)
        self._clock = clock
        self._closing = contextlib.ExitStack()

    def __repr__(self) -> str:
        """Show the address, without credentials."""
        return f"<Sandbox at {self.base_url}>" if hasattr(self, "_state") else "<Sandbox>"

    def __enter__(self) -> Self:
        """Start the server; it accepts requests when this returns."""
        with contextlib.ExitStack() as stack:
            sockets, port = listen(self._requested_port)
            for sock in sockets:
                stack.callback(sock.close)
            folder = self._media_dir or stack.enter_context(temporary_folder())
            self.base_url = f"http://127.0.0.1:{port}/v1"
            signer = Signer(f"http://localhost:{port}", self._url_lifetime, self._clock)
            self._state = SandboxState(
                folder, signer, self._stage_seconds, self._behaviour, self._clock
            )
            imports, encodes = (WorkerThread(name, self._state.stopping) for name in _WORKERS)
            engine = FastEngine(self._state) if self._fast else VideoEngine(self._state, encodes)
            app = build_app(self._state, engine, imports)
            self._gate = Gate(app, self.faults, self._keys, self._date)
            for worker in [imports] if self._fast else [imports, encodes]:
                worker.start()
                stack.callback(worker.join, STOP_SECONDS)
            stack.callback(self._state.stopping.set)
            stack.callback(serve(self._gate, sockets))
            # A program that ends without closing must not hang or leave files behind.
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
        """Stop the server, abandon unfinished work and delete the temporary files."""
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

        Only while the sandbox runs; safe from any thread.
        """
        return self._state.made()

    @property
    def parallel_jobs(self) -> int | None:
        """How many paid jobs of a project may run in parallel, None for any number.

        May be set at any time.
        """
        return self._behaviour.parallel_jobs

    @parallel_jobs.setter
    def parallel_jobs(self, most: int | None) -> None:
        self._behaviour.parallel_jobs = most

    @property
    def list_lag(self) -> float:
        """Seconds before a new job appears in the list of jobs; may be set at any time."""
        return self._behaviour.list_lag

    @list_lag.setter
    def list_lag(self, seconds: float) -> None:
        self._behaviour.list_lag = seconds

    @property
    def hold_jobs(self) -> bool:
        """Whether paid jobs make no progress; may be set at any time while the sandbox runs.

        With it a test can inspect running jobs, however slow the machine is.
        """
        return self._behaviour.held_since is not None

    @hold_jobs.setter
    def hold_jobs(self, held: bool) -> None:
        self._state.hold_jobs(held=held)

    @property
    def echo(self) -> Echo | None:
        """How a job's `metadata.input` is shown; None: as it was sent. May be set at any time.

        It is called on the server's thread with a copy of the request's body and the view: `submit`
        (the response), `list` or `job` (by its id). It returns what is shown, None for no input.
        """
        return self._behaviour.echo

    @echo.setter
    def echo(self, echo: Echo | None) -> None:
        self._behaviour.echo = echo

    @property
    def date_offset(self) -> float:
        """Seconds by which the `Date` header is ahead of the clock; may be set at any time."""
        return self._behaviour.date_offset

    @date_offset.setter
    def date_offset(self, seconds: float) -> None:
        self._behaviour.date_offset = seconds

    def add_key(self, api_key: str, api_secret: str, project_id: str) -> None:
        """Accept another key for a project from now on; a project may have several keys.

        The first key (`api_key`) belongs to `records.PROJECT_ID`, and also acts for every requested
        project that has no key of its own. Jobs and files of another project get a 404, and a
        request that names that project a 403. Raises ValueError if the key exists already.
        """
        self._keys.add(api_key, api_secret, project_id)

    def revoke_key(self, api_key: str) -> None:
        """Refuse a key with 401 from now on. Raises KeyError if it does not exist."""
        self._keys.revoke(api_key)

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request so far, to the API and to the file host (the last 100,000)."""
        return list(self._gate.requests)

    @property
    def requests_made(self) -> int:
        """How many requests have arrived, at the API and at the file host."""
        return self._gate.requests_made

    @property
    def credentials_leaked(self) -> int:
        """How many requests to the file host carried an `Authorization` header."""
        return self._gate.credentials_leaked

    def expire_urls(self) -> None:
        """Make every signed URL so far answer 403, as if it had expired."""
        self._state.signer.forget()

    def _date(self) -> float:
        return self._state.now() + self._behaviour.date_offset
