"""The server, the account and the clocks of a run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scenario_reframe import ReframeClient
from scenario_reframe.credentials import Credentials
from scenario_reframe.timing import DEFAULT_TIMING, Timing
from scenario_reframe_api.settings import MODEL_ID

from .redaction import Redactor
from .shapes import reason_of, shape
from .traffic import ApiExchange, Traffic

Facts = dict[str, Any]

GENERATE = f"/generate/custom/{MODEL_ID}"
_ERROR = 400
_SHOWN_HEADERS = ("retry-after", "ratelimit", "rate-limit")
_NAMED_HEADERS = ("request-id", "requestid", "trace", "amz", "cf-", "cache", "etag")


@dataclass(frozen=True)
class Clocks:
    """`now` returns Unix time, `elapsed` monotonic time, and `pause` sleeps, all in seconds.

    `timing`: the client's own pauses.
    """

    now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    timing: Timing = DEFAULT_TIMING


@dataclass
class ContactSession:
    """One account at one server, and the traffic with it."""

    credentials: Credentials
    base_url: str
    project_id: str | None
    redact: Redactor
    clocks: Clocks = field(default_factory=Clocks)

    def __post_init__(self) -> None:
        self.traffic = Traffic(self.base_url, self.redact.learn, self.clocks.elapsed)
        self.http = self.traffic.client()
        self.redact.learn({"id": self.project_id})

    def client(self, ledger: Path | None = None) -> ReframeClient:
        """Make the library's client, with recorded traffic."""
        return ReframeClient(
            self.credentials.key.reveal(),
            self.credentials.secret.reveal(),
            base_url=self.base_url,
            project_id=self.project_id,
            ledger=ledger,
            http_client=self.http,
            timing=self.clocks.timing,
        )

    def get(self, path: str, *, auth: tuple[str, str] | None = None, **query: Any) -> ApiExchange:
        """Send a GET. `auth`: other credentials than the account's."""
        return self._send("GET", path, query, None, auth)

    def dry_run(self, body: Mapping[str, Any]) -> ApiExchange:
        """Request a price. `dryRun` in the body would be ignored, and a paid job started."""
        return self._send("POST", GENERATE, {"dryRun": "true"}, dict(body), None)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: dict[str, Any] | None,
        auth: tuple[str, str] | None,
    ) -> ApiExchange:
        if self.project_id is not None:
            query = {**query, "projectId": self.project_id}
        url = self.base_url + path
        request = self.http.build_request(method, url, params=query, json=body)
        account = auth or (self.credentials.key.reveal(), self.credentials.secret.reveal())
        before = len(self.traffic.exchanges)
        try:
            self.http.send(request, auth=account, follow_redirects=False)
        except (httpx.InvalidURL, httpx.RemoteProtocolError):
            # httpx raises these for an odd Location after the response, which is recorded already.
            if len(self.traffic.exchanges) == before:
                raise
        return self.traffic.exchanges[-1]


def response_facts(exchange: ApiExchange) -> Facts:
    """The facts of one response."""
    facts: Facts = {"status": exchange.status}
    if exchange.payload is None:
        facts["body"] = f"not JSON ({exchange.headers.get('content-type', 'no content type')})"
    else:
        facts["body"] = shape(exchange.payload)
    if exchange.status >= _ERROR:
        facts["reason"] = reason_of(exchange.payload)
    headers = headers_of(exchange.headers)
    return facts | {"headers": headers} if headers else facts


def headers_of(headers: httpx.Headers) -> Facts:
    """The headers that matter; of those that differ with every response, only the length."""
    found: Facts = {}
    for name, value in headers.items():
        if any(word in name for word in _SHOWN_HEADERS):
            found[name] = value
        elif any(word in name for word in _NAMED_HEADERS):
            found[name] = f"present, {len(value)} characters"
    return found
