"""The server's checks, for `doctor`: two GETs, and what their replies mean."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from attrs import evolve, frozen

from scenario_reframe.api.calling import Operation, send
from scenario_reframe.api.operations import Operations
from scenario_reframe.credentials import Credentials, find_base_url, find_project_id
from scenario_reframe.drift.differences import compare, known_settings
from scenario_reframe.drift.model_record import read_model
from scenario_reframe.errors import ConfigurationError, ConnectionFailedError, ReframeError
from scenario_reframe.flow.connection_faults import UNKNOWN_AUTHORITY, explain
from scenario_reframe.flow.connections import Connections
from scenario_reframe.flow.http_clients import make_client, proxy_of
from scenario_reframe.flow.steps import Reply
from scenario_reframe.flow.sync_driver import SyncDriver
from scenario_reframe.flow.transport import Wire
from scenario_reframe_api.settings import MODEL_ID

from .doctor_certificate import issuer_of
from .doctor_findings import UPGRADE, Finding, clock, inputs, latency, refused, unreachable
from .exit_codes import REFUSED
from .flags import Connection

_REPLY_TIMEOUT = 15.0  # seconds


def server_checks(
    connection: Connection, credentials: Credentials | None, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """The findings on the server. `now` is this machine's clock."""
    try:
        base_url = find_base_url(connection.base_url)
    except ConfigurationError as fault:
        advice = "correct --base-url or SCENARIO_BASE_URL"
        yield Finding("server", "fail", str(fault), advice, REFUSED)
        return
    if credentials is None:
        yield Finding("server", "skip", f"{base_url} is not called without credentials")
        return
    try:
        http = make_client()
    except ConfigurationError as fault:
        advice = "correct that variable, or unset it"
        yield Finding("server", "fail", str(fault), advice, REFUSED)
        return
    with http:
        driver = SyncDriver(
            Wire(base_url, credentials, _REPLY_TIMEOUT), Connections(make_client, http)
        )
        operations = Operations(find_project_id(connection.project_id))
        proxy = proxy_of(http, base_url)
        yield from _check_jobs(_Server(driver, operations, base_url, proxy), now)


@frozen
class _Server:
    """Calls the server, each time once: a retry would hide its present state."""

    driver: SyncDriver
    operations: Operations
    base_url: str
    proxy: str | None

    def unreachable(self, error: BaseException | None) -> Finding:
        """Why no reply came."""
        unknown = explain(error) is UNKNOWN_AUTHORITY
        issuer = issuer_of(self.base_url, self.proxy) if unknown else None
        return unreachable(self.base_url, error, self.proxy, issuer)

    def reply(self, operation: Operation[Any]) -> Reply:
        """The reply, whatever its status. Raises ConnectionFailedError."""
        return self.driver.run(send(Operation(operation.request, lambda reply: reply)))


def _check_jobs(server: _Server, now: Callable[[], datetime]) -> Iterator[Finding]:
    listing = server.operations.list_jobs(size=1)
    began = time.monotonic()
    try:
        reply = server.reply(listing)
    except ConnectionFailedError as fault:
        yield server.unreachable(fault.__cause__)
        return
    route = f", through the proxy {server.proxy}" if server.proxy else ""
    yield Finding("server", "ok", f"{server.base_url} answers{route}")
    yield latency(time.monotonic() - began)
    yield clock(reply.headers.get("date"), now())
    try:
        listing.parse(reply)
    except ReframeError as fault:
        yield refused("accepted", fault, reply)
        return
    yield Finding("accepted", "ok", "the server accepts key and secret")
    yield from _check_model(server)


def _check_model(server: _Server) -> Iterator[Finding]:
    operation = server.operations.get_model(MODEL_ID)
    try:
        reply = server.reply(operation)
    except ConnectionFailedError as fault:
        yield evolve(server.unreachable(fault.__cause__), name="model")
        return
    try:
        model = operation.parse(reply)
    except ReframeError as fault:
        yield refused("model", fault, reply)
        return
    try:
        source = read_model(model, MODEL_ID)
    except ReframeError as fault:
        advice = f"{UPGRADE}; in a checkout, scripts/drift --live shows the same"
        yield Finding("model", "fail", str(fault), advice)
        return
    yield Finding("model", "ok", f"{MODEL_ID} exists, with {len(source.settings)} inputs")
    yield inputs(compare(known_settings(), source))
