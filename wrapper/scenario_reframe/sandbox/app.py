"""The sandbox's web application: routes, the gate before them, errors as the vendor words them."""

import base64
import binascii
import hmac
import logging
from collections import deque
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scenario_reframe.sandbox.checking import RefusedError, refusal
from scenario_reframe.sandbox.engines import Engine
from scenario_reframe.sandbox.files import Files
from scenario_reframe.sandbox.generating import Generating
from scenario_reframe.sandbox.jobs import Jobs
from scenario_reframe.sandbox.scheduling import Faults
from scenario_reframe.sandbox.state import State
from scenario_reframe.sandbox.uploads import Uploads
from scenario_reframe.sandbox.workers import Worker

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
    """Records each request, applies faults, and wants credentials for the API.

    The file host wants none: credentials that come to it count as leaked.
    """

    def __init__(self, app: ASGIApp, faults: Faults, key: str, secret: str) -> None:
        self.requests: deque[RequestRecord] = deque(maxlen=_RECORDS_KEPT)
        self.requests_made = 0
        self.credentials_leaked = 0
        self._app = app
        self._faults = faults
        self._credentials = f"{key}:{secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        query = scope["query_string"].decode("latin-1")
        record = RequestRecord(scope["method"], scope["path"], query)
        self.requests.append(record)
        self.requests_made += 1

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
            await send(message)

        self._watch_credentials(scope)
        fault = self._faults.take(scope)
        if fault is None:
            await self._checked(scope, receive, recorded)
        else:
            await fault(self._checked, scope, receive, recorded)

    def _watch_credentials(self, scope: Scope) -> None:
        """Count a leak before any fault, which may keep the request from the application."""
        if not _is_api(scope) and _authorization(scope) is not None:
            self.credentials_leaked += 1

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_api(scope) and not self._is_known(_authorization(scope)):
            await refusal(401, "Unauthorized")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_known(self, header: bytes | None) -> bool:
        scheme, _, encoded = (header or b"").partition(b" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return False
        return scheme.lower() == b"basic" and hmac.compare_digest(given, self._credentials)


def _is_api(scope: Scope) -> bool:
    return f"{scope['path']}/".startswith("/v1/")


def _authorization(scope: Scope) -> bytes | None:
    found: bytes | None = dict(scope["headers"]).get(b"authorization")
    return found


def build_app(state: State, engine: Engine, imports: Worker) -> ASGIApp:
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
