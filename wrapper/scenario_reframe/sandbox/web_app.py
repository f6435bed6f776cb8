"""The sandbox's web application: its routes, the gate in front of them, and error responses."""

import logging
import re
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

from scenario_reframe.sandbox.api_keys import ApiKeys, grant
from scenario_reframe.sandbox.asset_routes import AssetRoutes
from scenario_reframe.sandbox.background_work import WorkerThread
from scenario_reframe.sandbox.engine_interface import Engine
from scenario_reframe.sandbox.fault_rules import Faults
from scenario_reframe.sandbox.job_routes import JobRoutes
from scenario_reframe.sandbox.request_checks import RequestRefusedError, error_response
from scenario_reframe.sandbox.state import SandboxState
from scenario_reframe.sandbox.submit_routes import SubmitRoutes
from scenario_reframe.sandbox.upload_routes import UploadRoutes

_log = logging.getLogger(__name__)

_MAX_REQUESTS: Final = 100_000
_HERE: Final = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)


@dataclass
class RequestRecord:
    """A request to the sandbox. `status` is None until a response has begun."""

    method: str
    path: str
    query: str
    status: int | None = None


class Gate:
    """Middleware that records requests, applies faults, adds `Date`, checks host and credentials.

    The file host needs none: credentials sent to it count as leaked.
    """

    def __init__(
        self, app: ASGIApp, faults: Faults, keys: ApiKeys, date: Callable[[], float]
    ) -> None:
        self.requests: deque[RequestRecord] = deque(maxlen=_MAX_REQUESTS)
        self.requests_made = 0
        self.credentials_leaked = 0
        self._app = app
        self._faults = faults
        self._keys = keys
        self._date = date

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        query = scope["query_string"].decode("latin-1")
        record = RequestRecord(scope["method"], scope["path"], query)
        self.requests.append(record)
        self.requests_made += 1

        async def record_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message = self._with_date(message)
            await send(message)

        self._count_leaked_credentials(scope)
        fault = self._faults.take(scope)
        if fault is None:
            await self._authorized(scope, receive, record_and_send)
        else:
            await fault(self._authorized, scope, receive, record_and_send)

    def _with_date(self, message: Message) -> Message:
        """Add the `Date` header, unless a fault has set one."""
        headers = list(message.get("headers", []))
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"date", formatdate(self._date(), usegmt=True).encode()))
        return {**message, "headers": headers}

    def _count_leaked_credentials(self, scope: Scope) -> None:
        """Count a leak before any fault, as a fault may withhold the request."""
        if not _is_api(scope) and _authorization(scope) is not None:
            self.credentials_leaked += 1

    async def _authorized(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request with the application, if its host and its credentials allow it."""
        refused = self._refuse(scope)
        await (refused or self._app)(scope, receive, send)

    def _refuse(self, scope: Scope) -> Response | None:
        """The error for a request that its headers forbid."""
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if not _HERE.fullmatch(host):
            # A web page may let its own name resolve to this machine (DNS rebinding).
            rule = "it takes localhost, 127.0.0.1 or [::1]"
            return error_response(421, f"Host: {host!r:.80} is not allowed; {rule}")
        return self._authorize(scope) if _is_api(scope) else None

    def _authorize(self, scope: Scope) -> Response | None:
        """Grant the request its access; the error for an unknown key or another's project."""
        key = self._keys.find_key(_authorization(scope))
        if key is None:
            return error_response(401, "Unauthorized")
        access = self._keys.access(key, _project_id(scope))
        if access is None:
            return error_response(403, "This key has no access to the project")
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


def build_app(state: SandboxState, engine: Engine, imports: WorkerThread) -> ASGIApp:
    """Build the application: the API under `/v1`, the file host beside it."""
    files, uploads = AssetRoutes(state), UploadRoutes(state, imports, engine)
    api = [
        *SubmitRoutes(state, engine).routes(),
        *JobRoutes(state).routes(),
        *files.routes(),
        *uploads.routes(),
    ]
    host = [*files.host_routes(), *uploads.host_routes()]
    app = Starlette(
        routes=[Mount("/v1", Router(api, redirect_slashes=False)), *host],
        exception_handlers={HTTPException: _on_http_error, Exception: _on_error},
    )
    app.router.redirect_slashes = False
    return app


async def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    details = error.details if isinstance(error, RequestRefusedError) else None
    response = error_response(error.status_code, error.detail, details)
    response.headers.update(error.headers or {})  # a 405 lists the allowed methods
    return response


async def _on_error(_request: Request, error: Exception) -> Response:
    _log.error("A bug in the sandbox", exc_info=error)
    return error_response(500, "A bug in the sandbox")
