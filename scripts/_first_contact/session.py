"""Who is asked, as whom, and by which clocks."""

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
from .traffic import Exchange, Traffic

Facts = dict[str, Any]

GENERATE = f"/generate/custom/{MODEL_ID}"
_ERROR = 400
_TELLING_HEADERS = ("retry-after", "ratelimit", "rate-limit")
_NAMED_HEADERS = ("request-id", "requestid", "trace", "amz", "cf-", "cache", "etag")


@dataclass(frozen=True)
class Clocks:
    """`now` in Unix seconds, `elapsed` in seconds that only grow, and `pause` lets some pass.

    `timing`: the client's own pauses.
    """

    now: Callable[[], float] = time.time
    elapsed: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    timing: Timing = DEFAULT_TIMING


@dataclass
class Session:
    """One account at one server, and all that is exchanged with it."""

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
        """The library's client, looked at on its way."""
        return ReframeClient(
            self.credentials.key,
            self.credentials.secret,
            base_url=self.base_url,
            project_id=self.project_id,
            ledger=ledger,
            http_client=self.http,
            timing=self.clocks.timing,
        )

    def get(self, path: str, *, auth: tuple[str, str] | None = None, **query: Any) -> Exchange:
        """Ask for something. `auth`: other credentials than the account's."""
        return self._send("GET", path, query, None, auth)

    def dry_run(self, body: Mapping[str, Any]) -> Exchange:
        """Ask for a price. In the body, `dryRun` would be ignored and a paid job started."""
        return self._send("POST", GENERATE, {"dryRun": "true"}, dict(body), None)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: dict[str, Any] | None,
        auth: tuple[str, str] | None,
    ) -> Exchange:
        if self.project_id is not None:
            query = {**query, "projectId": self.project_id}
        url = self.base_url + path
        request = self.http.build_request(method, url, params=query, json=body)
        account = auth or (self.credentials.key, self.credentials.secret)
        before = len(self.traffic.exchanges)
        try:
            self.http.send(request, auth=account, follow_redirects=False)
        except (httpx.InvalidURL, httpx.RemoteProtocolError):
            # So httpx calls an odd Location, after the reply: that is looked at all the same.
            if len(self.traffic.exchanges) == before:
                raise
        return self.traffic.exchanges[-1]


def answer(exchange: Exchange) -> Facts:
    """What one reply says of itself."""
    facts: Facts = {"status": exchange.status}
    if exchange.payload is None:
        facts["body"] = f"no JSON ({exchange.headers.get('content-type', 'of no kind')})"
    else:
        facts["body"] = shape(exchange.payload)
    if exchange.status >= _ERROR:
        facts["reason"] = reason_of(exchange.payload)
    told = headers_of(exchange.headers)
    return facts | {"headers": told} if told else facts


def headers_of(headers: httpx.Headers) -> Facts:
    """The headers that may matter; of those that differ with every reply, that they are there."""
    found: Facts = {}
    for name, value in headers.items():
        if any(word in name for word in _TELLING_HEADERS):
            found[name] = value
        elif any(word in name for word in _NAMED_HEADERS):
            found[name] = f"there, {len(value)} characters"
    return found
