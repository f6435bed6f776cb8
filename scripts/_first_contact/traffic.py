"""What goes to the API and what comes back, looked at on its way through an httpx client.

It is also the last guard: a request that could cost money leaves this process only while somebody
has said so, and a dry run that was answered with a job ends the program.
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
    """A request that could cost money was about to be sent, and nobody had allowed it."""


class ChargedError(BaseException):
    """A dry run was answered with a job. No probe may catch it: nothing more is to be sent."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"a dry run was answered with job {job_id}, which the server may have charged for"
        )
        self.job_id = job_id


@dataclass(frozen=True)
class Exchange:
    """A request to the API and its reply. `payload` is None where the body is no JSON.

    `began` and `ended` are by the clock that was given.
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
    """The exchanges so far. `learn` is given every JSON reply."""

    def __init__(
        self,
        base_url: str,
        learn: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exchanges: list[Exchange] = []
        self._base = httpx.URL(base_url)
        self._learn = learn
        self._clock = clock
        self._may_pay = False
        self._submitted = bytearray()

    @contextmanager
    def paying(self) -> Iterator[None]:
        """Within this, and only here, a request may be sent that costs money."""
        self._may_pay = True
        try:
            yield
        finally:
            self._may_pay = False

    @property
    def submit(self) -> Exchange | None:
        """The submit that was answered last, if any was."""
        return next((found for found in reversed(self.exchanges) if found.is_paid), None)

    @property
    def submitted(self) -> dict[str, Any] | None:
        """The body of the last submit, as it went out."""
        found = _json(bytes(self._submitted))
        return found if isinstance(found, dict) else None

    def client(self) -> httpx.Client:
        """An httpx client that is looked at."""
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
        if not self._may_pay:
            raise PaidRequestError(f"{request.method} {request.url.path} could cost money")
        self._submitted.clear()
        # The body may be an iterator, and reading it would spend it: it is copied as it goes out.
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - of a sync client
        request.stream = _Copied(request.stream, self._submitted)

    def _on_response(self, response: httpx.Response) -> None:
        request = response.request
        if not self._is_api(request.url):
            return  # a file's bytes are streamed, and its reply holds nothing of interest
        payload = _json(response.read())
        self._learn(payload)
        exchange = Exchange(
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


class _Copied(httpx.SyncByteStream):
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
    """Whether it is a dry run: by the query, since in the body it would start a paid job."""
    return bool(url.params.get("dryRun") == "true")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
