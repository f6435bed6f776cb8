"""Record the traffic of an httpx client with the API.

This is also the last guard: a request that could cost money is sent only while it is allowed, and a
dry run whose response has a job ends the program.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from .shapes import job_id_of

_BEGAN = "first_contact.began"
_GENERATE, _UPLOADS = "/generate/", "/uploads"


class PaidRequestError(Exception):
    """A request that could cost money was stopped, as it was not allowed."""


class ChargedError(BaseException):
    """A dry run's response has a job. No probe may catch this: nothing more may be sent."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the response to a dry run has job {job_id}, which the server may have charged for"
        )
        self.job_id = job_id


@dataclass(frozen=True)
class ApiExchange:
    """A request to the API and its response. `payload` is None if the body is not JSON.

    `began` and `ended` are seconds by the given clock.
    """

    method: str
    path: str
    is_dry: bool
    status: int
    headers: httpx.Headers = field(repr=False)
    payload: Any = field(repr=False)
    began: float
    ended: float

    @property
    def is_paid(self) -> bool:
        """Whether it is a submit."""
        return self.method == "POST" and _GENERATE in self.path and not self.is_dry


class Traffic:
    """The exchanges so far. `learn` is called with every JSON response."""

    def __init__(
        self,
        base_url: str,
        learn: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exchanges: list[ApiExchange] = []
        self._base = httpx.URL(base_url)
        self._learn = learn
        self._clock = clock
        self._paid_allowed = False
        self._submitted = bytearray()

    @contextmanager
    def allow_paid_requests(self) -> Iterator[None]:
        """Allow requests that cost money within this context only."""
        self._paid_allowed = True
        try:
            yield
        finally:
            self._paid_allowed = False

    @property
    def submit(self) -> ApiExchange | None:
        """The last submit with a response, or None."""
        return next((found for found in reversed(self.exchanges) if found.is_paid), None)

    @property
    def submitted(self) -> dict[str, Any] | None:
        """The body of the last submit, as it was sent."""
        found = _json(bytes(self._submitted))
        return found if isinstance(found, dict) else None

    def client(self) -> httpx.Client:
        """Make an httpx client whose traffic is recorded."""
        hooks: dict[str, list[Callable[..., Any]]] = {
            "request": [self._on_request],
            "response": [self._on_response],
        }
        return httpx.Client(timeout=60, event_hooks=hooks)

    def _on_request(self, request: httpx.Request) -> None:
        request.extensions[_BEGAN] = self._clock()
        if not self._is_api(request.url) or request.method == "GET" or _is_dry(request.url):
            return
        if self._path(request.url).startswith(_UPLOADS):
            return
        if not self._paid_allowed:
            raise PaidRequestError(f"{request.method} {request.url.path} could cost money")
        self._submitted.clear()
        # The body may be an iterator, which can be read only once: copy it while it is sent.
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - of a sync client
        request.stream = _CopyingStream(request.stream, self._submitted)

    def _on_response(self, response: httpx.Response) -> None:
        request = response.request
        if not self._is_api(request.url):
            return  # a file's bytes are streamed, and not recorded
        payload = _json(response.read())
        self._learn(payload)
        exchange = ApiExchange(
            method=request.method,
            path=self._path(request.url),
            is_dry=_is_dry(request.url),
            status=response.status_code,
            headers=response.headers,
            payload=payload,
            began=request.extensions[_BEGAN],
            ended=self._clock(),
        )
        self.exchanges.append(exchange)
        job_id = job_id_of(payload)
        if exchange.is_dry and job_id is not None:
            raise ChargedError(job_id)

    def _is_api(self, url: httpx.URL) -> bool:
        base = self._base
        same = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        return same and url.path.startswith(base.path.rstrip("/") + "/")

    def _path(self, url: httpx.URL) -> str:
        return url.path.removeprefix(self._base.path.rstrip("/"))


class _CopyingStream(httpx.SyncByteStream):
    """A request's body that is copied while it is sent."""

    def __init__(self, stream: httpx.SyncByteStream, copy: bytearray) -> None:
        self._stream = stream
        self._copy = copy

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._copy += chunk
            yield chunk

    def close(self) -> None:
        """Close the body."""
        self._stream.close()


def _is_dry(url: httpx.URL) -> bool:
    """Whether it is a dry run, by the query: `dryRun` in the body would start a paid job."""
    return bool(url.params.get("dryRun") == "true")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
