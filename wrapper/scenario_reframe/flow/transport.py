"""Builds httpx requests, without any default of a given httpx client, and reads replies."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from platform import python_version
from typing import Any
from urllib.parse import urlencode

import httpx
from attrs import frozen

from scenario_reframe.credentials import BasicAuth, Credentials, is_safe, origin_of
from scenario_reframe.timing import Clock

from .steps import NoReply, Pull, Push, Reply, Request, Send

TRANSPORT_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL)
MAX_REDIRECTS = 5
MAX_REPLY_BYTES = 16 * 1024 * 1024
USER_AGENT = (
    f"scenario-reframe/{version('scenario-reframe')} "
    f"python/{python_version()} httpx/{httpx.__version__}"
)
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_LOG = logging.getLogger("scenario_reframe")
_signed: ContextVar[bool] = ContextVar("_signed", default=False)


class _HideSignedQueries(logging.Filter):
    """httpx logs whole URLs at INFO; this hides the query of a signed one."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _signed.get() and isinstance(record.args, tuple):
            record.args = tuple(
                argument.copy_with(query=b"hidden") if isinstance(argument, httpx.URL) else argument
                for argument in record.args
            )
        return True


_HIDE_SIGNED_QUERIES = _HideSignedQueries()


@contextmanager
def signed_urls() -> Iterator[None]:
    """While this is entered, httpx's log shows no URL's query."""
    token = _signed.set(True)
    try:
        yield
    finally:
        _signed.reset(token)


@frozen
class Wire:
    """Builds requests to one server. `timeout`: the seconds that one request may take."""

    base_url: str
    credentials: Credentials
    timeout: float
    clock: Clock = time.monotonic

    def __attrs_post_init__(self) -> None:
        logging.getLogger("httpx").addFilter(_HIDE_SIGNED_QUERIES)

    @property
    def auth(self) -> BasicAuth:
        """The credentials, for requests to the API only."""
        return BasicAuth(self.credentials, origin=origin_of(httpx.URL(self.base_url)))

    def api(self, request: Request, streamed: Callable[[bytes], Any]) -> httpx.Request:
        """Build a request to the API. `streamed` makes an iterator of its body."""
        query = f"?{urlencode(request.params)}" if request.params else ""
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        content = None
        if request.body is not None:
            body = json.dumps(request.body, allow_nan=False).encode()
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
            content = streamed(body)
        return httpx.Request(
            request.method,
            f"{self.base_url}{request.path}{query}",
            headers=headers,
            content=content,
            extensions=self._limits(request.timeout),
        )

    def transfer(
        self, method: str, step: Pull | Push, *, url: httpx.URL | None = None, content: Any = None
    ) -> httpx.Request:
        """Build a request to a file's host, without credentials. `url`: a redirect's target."""
        url = url or httpx.URL(step.url)
        if not is_safe(url):
            raise httpx.UnsupportedProtocol("the server named a URL of a file that is not https")
        headers = {"User-Agent": USER_AGENT, **step.headers}
        return httpx.Request(
            method, url, headers=headers, content=content, extensions=self._limits(None)
        )

    def collector(self, request: Request | None = None) -> "Collector":
        """A collector for a reply's body, which must be complete within the timeout."""
        seconds = self._seconds(request.timeout if request else None)
        return Collector(self.clock, self.clock() + seconds)

    def reply(self, response: httpx.Response, content: bytes = b"") -> Reply:
        """The reply, with the credentials redacted in case an error echoes them."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        # In a paid reply, redacting a short secret must not damage an id.
        is_paid = response.is_success and content.lstrip().startswith(b"{")
        text = content.decode("utf-8", "replace")
        redacted = self.credentials.redact(text, shortest=8 if is_paid else 4)
        if redacted != text or not is_paid:
            content = redacted.encode()
        return Reply(response.status_code, headers, content)

    def _seconds(self, requested: float | None) -> float:
        return self.timeout if requested is None else min(self.timeout, requested)

    def _limits(self, requested: float | None) -> dict[str, Any]:
        return {"timeout": httpx.Timeout(self._seconds(requested)).as_dict()}


class Collector:
    """Collects a reply's body, up to a size and a deadline."""

    def __init__(self, clock: Clock, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Add some bytes. Raises an httpx.HTTPError if they are too many or too late."""
        self._content += chunk
        if len(self._content) > MAX_REPLY_BYTES:
            raise httpx.DecodingError(f"the reply is larger than {MAX_REPLY_BYTES} bytes")
        if self._clock() > self._deadline:
            raise httpx.ReadTimeout("the reply was not complete in time")

    @property
    def content(self) -> bytes:
        """All bytes so far."""
        return bytes(self._content)


def no_reply(error: Exception, step: Send | None = None) -> NoReply:
    """The NoReply for an error. `sent` is certain for a request with a body, else judged by class.

    Before the handover, errors that are not httpx's are raised again; after it, a reply may have
    been lost to any error.
    """
    was_sent = step is not None and step.handover.happened
    if not was_sent and not isinstance(error, TRANSPORT_ERRORS):
        raise error
    if step is not None and step.request.body is not None:
        return NoReply(error, sent=was_sent)
    return NoReply(error, sent=not isinstance(error, _NOT_CONNECTED))


def log_call(request: Request, answer: Reply | NoReply) -> None:
    """Log a call, without its query."""
    result = answer.status if isinstance(answer, Reply) else type(answer.error).__name__
    _LOG.debug("%s %s: %s", request.method, request.path, result)
