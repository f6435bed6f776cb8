"""Builds httpx requests, without any default of a given httpx client, and reads replies."""

import json
import logging
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from platform import python_version
from typing import Any
from urllib.parse import urlencode

import httpcore
import httpx
from attrs import frozen

from scenario_reframe.credentials import BasicAuth, Credentials, may_hold_files, origin_of
from scenario_reframe.redaction import SHORTEST_IN_RESULT, redact_body
from scenario_reframe.timing import Clock

from .bounds import Bound, bounded, is_ours
from .steps import NoReply, Pull, Push, Reply, Request, Send
from .tracebacks import redact_error, without_transport_frames

# Under asyncio, httpx lets an ssl.SSLError through that comes after the handshake.
# UnicodeError: of the host that a redirect names.
TRANSPORT_ERRORS = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    ssl.SSLError,
    UnicodeError,
)
MAX_REDIRECTS = 5
MAX_REPLY_BYTES = 16 * 1024 * 1024
USER_AGENT = (
    f"scenario-reframe/{version('scenario-reframe')} "
    f"python/{python_version()} httpx/{httpx.__version__}"
)
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_LOG = logging.getLogger("scenario_reframe")
_signed: ContextVar[bool] = ContextVar("_signed", default=False)
_HEADER_LOGS = ("httpcore.http11", "httpcore.http2", "hpack.hpack", "hpack.table")


class _HideSignedQueries(logging.Filter):
    """httpx logs whole URLs at INFO; this hides the query of a signed one."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _signed.get() and isinstance(record.args, tuple):
            record.args = tuple(
                argument.copy_with(query=b"hidden") if isinstance(argument, httpx.URL) else argument
                for argument in record.args
            )
        return True


class _HideHeaders(logging.Filter):
    """The debug logs of httpcore and hpack show headers: a signed Location, the credentials."""

    def filter(self, record: logging.LogRecord) -> bool:
        if is_ours() and record.levelno <= logging.DEBUG:
            record.msg, record.args = record.getMessage().partition(" return_value=")[0], ()
            return not record.name.startswith("hpack")
        return True


_HIDE_SIGNED_QUERIES = _HideSignedQueries()
_HIDE_HEADERS = _HideHeaders()


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
        for name in _HEADER_LOGS:
            logging.getLogger(name).addFilter(_HIDE_HEADERS)

    @property
    def auth(self) -> BasicAuth:
        """The credentials, for requests to the API only."""
        return BasicAuth(self.credentials, origin=origin_of(httpx.URL(self.base_url)))

    def api(self, request: Request, streamed: Callable[[bytes], Any]) -> httpx.Request:
        """Build a request to the API. `streamed` makes an iterator of its body."""
        query = f"?{urlencode(request.params)}" if request.params else ""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": USER_AGENT,
        }
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
        if not may_hold_files(url, httpx.URL(self.base_url)):
            raise httpx.UnsupportedProtocol("the server named a URL of a file that is not https")
        headers = {"User-Agent": USER_AGENT, **step.headers}
        return httpx.Request(
            method, url, headers=headers, content=content, extensions=self._limits(None)
        )

    @contextmanager
    def exchange(self, request: Request | None = None) -> Iterator[Bound]:
        """Within this, an exchange keeps to the timeout and to the size of a reply."""
        seconds = self._seconds(request.timeout if request else None)
        with bounded(Bound(self.clock, seconds, MAX_REPLY_BYTES)) as bound:
            yield bound

    @contextmanager
    def pull(self) -> Iterator[Bound]:
        """Within this, a download keeps up a pace; its sink limits its bytes."""
        with bounded(Bound(self.clock, self.timeout)) as bound:
            yield bound

    def reply(self, response: httpx.Response, content: bytes = b"") -> Reply:
        """The reply, with the credentials redacted in case it echoes them."""
        redact = self.credentials.redact
        headers = {
            redact(name.lower()): redact(value, SHORTEST_IN_RESULT)
            for name, value in response.headers.items()
        }
        body = redact_body(content, redact, is_success=response.is_success)
        return Reply(response.status_code, headers, body)

    def no_reply(self, error: Exception, step: Send | None = None) -> NoReply:
        """The NoReply for an error, with the credentials redacted in case it repeats a reply."""
        redact_error(error, self.credentials.redact)
        answer = no_reply(error, step)
        without_transport_frames(error)
        return answer

    def _seconds(self, requested: float | None) -> float:
        return self.timeout if requested is None else min(self.timeout, requested)

    def _limits(self, requested: float | None) -> dict[str, Any]:
        return {"timeout": httpx.Timeout(self._seconds(requested)).as_dict()}


class ReplyBody:
    """A reply's body, decoded within the limit of a reply's size.

    httpx decodes whatever a reply names, in layers, each of which may be a thousand times larger.
    Its limits hold for a given `http_client` too, whose connections are not bounded; but a hook of
    that client, or a mock, may have read and decoded the body already.
    """

    def __init__(self, response: httpx.Response, bound: Bound) -> None:
        self._bound = bound
        self._content = bytearray()
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if response.is_stream_consumed:
            encoding = ""
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise httpx.DecodingError(f"the content encoding {encoding!r:.80} was not asked for")
        self._unzip = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in encoding else None

    def add(self, chunk: bytes) -> None:
        """Add raw bytes. Raises an httpx.HTTPError if they are too many, too late or damaged."""
        room = MAX_REPLY_BYTES - len(self._content)
        try:
            self._bound.left()
            self._content += (
                chunk if self._unzip is None else self._unzip.decompress(chunk, room + 1)
            )
        except httpcore.TimeoutException as fault:
            raise httpx.ReadTimeout(str(fault)) from fault
        except zlib.error as fault:
            raise httpx.DecodingError("the reply is not valid gzip") from fault
        if len(self._content) > MAX_REPLY_BYTES:
            raise httpx.DecodingError(f"the reply is larger than {MAX_REPLY_BYTES} bytes")

    def whole(self) -> bytes:
        """All of it. Raises httpx.DecodingError if it was cut."""
        if self._unzip is not None and self._content and not self._unzip.eof:
            raise httpx.DecodingError("the reply's gzip is cut off")
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
