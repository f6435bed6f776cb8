"""The sandbox's web application: routes, the gate before them, errors as the vendor words them."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scenario_reframe.sandbox.api_keys import Accounts, grant
from scenario_reframe.sandbox.asset_routes import Files
from scenario_reframe.sandbox.background_work import Worker
from scenario_reframe.sandbox.engine_interface import Engine
from scenario_reframe.sandbox.fault_rules import Faults
from scenario_reframe.sandbox.job_routes import Jobs
from scenario_reframe.sandbox.request_checks import RefusedError, refusal
from scenario_reframe.sandbox.state import SandboxState
from scenario_reframe.sandbox.submit_routes import Generating
from scenario_reframe.sandbox.upload_routes import Uploads

_log = logging.getLogger(__name__)

_RECORDS_KEPT: Final = 100_000


@dataclass
class RequestRecord:
    """One request that reached the sandbox. `status` is None while, or if, none was sent."""

    method: str
    path: str
    query: str
    status: int | None = None


class Gate:
    """Records each request, applies faults, dates replies, wants credentials for the API.

    The file host wants none: credentials that come to it count as leaked.
    """

    def __init__(
        self, app: ASGIApp, faults: Faults, accounts: Accounts, date: Callable[[], float]
    ) -> None:
        self.requests: deque[RequestRecord] = deque(maxlen=_RECORDS_KEPT)
        self.requests_made = 0
        self.credentials_leaked = 0
        self._app = app
        self._faults = faults
        self._accounts = accounts
        self._date = date

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        query = scope["query_string"].decode("latin-1")
        record = RequestRecord(scope["method"], scope["path"], query)
        self.requests.append(record)
        self.requests_made += 1

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message = self._dated(message)
            await send(message)

        self._watch_credentials(scope)
        fault = self._faults.take(scope)
        if fault is None:
            await self._checked(scope, receive, recorded)
        else:
            await fault(self._checked, scope, receive, recorded)

    def _dated(self, message: Message) -> Message:
        """Add the `Date` header, unless a fault has given one."""
        headers = list(message.get("headers", []))
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"date", formatdate(self._date(), usegmt=True).encode()))
        return {**message, "headers": headers}

    def _watch_credentials(self, scope: Scope) -> None:
        """Count a leak before any fault, which may keep the request from the application."""
        if not _is_api(scope) and _authorization(scope) is not None:
            self.credentials_leaked += 1

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope) if _is_api(scope) else None
        await (refused or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Refuse an unknown key, or another's project; else note what the request may do."""
        key = self._accounts.key_of(_authorization(scope))
        if key is None:
            return refusal(401, "Unauthorized")
        access = self._accounts.access(key, _project_id(scope))
        if access is None:
            return refusal(403, "This key has no access to the project")
        grant(scope, access)
        return None


def _is_api(scope: Scope) -> bool:
    return f"{scope['path']}/".startswith("/v1/")


def _authorization(scope: Scope) -> bytes | None:
    found: bytes | None = dict(scope["headers"]).get(b"authorization")
    return found


def _project_id(scope: Scope) -> str | None:
    given = parse_qs(scope["query_string"].decode("latin-1")).get("projectId")
    return given[-1] if given else None


def build_app(state: SandboxState, engine: Engine, imports: Worker) -> ASGIApp:
    """Put the routes together: the API under `/v1`, the file host beside it."""
    files, uploads = Files(state), Uploads(state, imports, engine)
    api = [
        *Generating(state, engine).routes(),
        *Jobs(state).routes(),
        *files.routes(),
        *uploads.routes(),
    ]
    host = [*files.host_routes(), *uploads.host_routes()]
    app = Starlette(
        routes=[Mount("/v1", Router(api, redirect_slashes=False)), *host],
        exception_handlers={HTTPException: _on_http_error, Exception: _on_bug},
    )
    app.router.redirect_slashes = False
    return app


async def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    details = error.details if isinstance(error, RefusedError) else None
    answer = refusal(error.status_code, error.detail, details)
    answer.headers.update(error.headers or {})  # a 405 says what is allowed
    return answer


async def _on_bug(_request: Request, error: Exception) -> Response:
    _log.error("A fault of the sandbox", exc_info=error)
    return refusal(500, "A fault of the sandbox")
