"""Routes for uploads: in signed parts, or imported from a URL."""

import hashlib
import secrets
from functools import partial
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from scenario_reframe.sandbox.api_keys import access_of
from scenario_reframe.sandbox.asset_import import import_upload
from scenario_reframe.sandbox.asset_routes import access_denied
from scenario_reframe.sandbox.background_work import WorkerThread
from scenario_reframe.sandbox.engine_interface import Engine
from scenario_reframe.sandbox.records import SandboxUpload
from scenario_reframe.sandbox.request_checks import (
    RequestRefusedError,
    check,
    json_response,
    read_json,
    read_object,
)
from scenario_reframe.sandbox.state import SandboxState
from scenario_reframe.sandbox.status_timeline import iso

# S3's own limit.
_MAX_PARTS: Final = 10_000


class UploadRoutes:
    """Accepts files, and imports them as assets."""

    def __init__(self, state: SandboxState, imports: WorkerThread, engine: Engine) -> None:
        self._state = state
        self._engine = engine
        self._imports = imports

    def routes(self) -> list[Route]:
        """The API's routes for uploads, without the leading `/v1`."""
        return [
            Route("/uploads", self._create, methods=["POST"]),
            Route("/uploads/{upload_id}", self._get, methods=["GET"]),
            Route("/uploads/{upload_id}/action", self._act, methods=["POST"]),
        ]

    def host_routes(self) -> list[Route]:
        """The file host's routes."""
        return [Route("/uploads/{upload_id}/{number:int}", self._put_part, methods=["PUT"])]

    async def _create(self, request: Request) -> Response:
        given = await read_json(request)
        is_import = isinstance(given, dict) and "url" in given
        check(given, "UploadFromUrl" if is_import else "UploadInParts")
        check(given, "UploadRequest")  # not both at once
        owner = access_of(request).project_id
        if is_import:
            name = given["url"].split("?")[0].rstrip("/").rpartition("/")[2] or "import"
            upload = self._state.new_upload(owner, {"url": given["url"]}, name)
            self._import(upload)
        else:
            if given["parts"] > _MAX_PARTS:
                raise RequestRefusedError(f'"parts" must be less than or equal to {_MAX_PARTS}')
            upload = self._state.new_upload(owner, given, given["fileName"])
        return self._response(upload)

    async def _get(self, request: Request) -> Response:
        return self._response(self._upload(request))

    async def _act(self, request: Request) -> Response:
        upload = self._upload(request)
        given = await read_object(request, "UploadActionRequest")
        if given["action"] != "complete":
            raise RequestRefusedError('"action" must be one of [complete]')
        if upload.is_open:
            missing = upload.missing()
            if missing:
                raise RequestRefusedError(
                    f"Part {missing[0]} of {upload.parts} has not been uploaded"
                )
            self._import(upload)
        return self._response(upload)

    def _import(self, upload: SandboxUpload) -> None:
        upload.is_open = False
        upload.timeline.reach("validating", at_once=True)
        upload.job.timeline.reach("in-progress", at_once=True)
        self._imports.add(partial(import_upload, self._state, upload, self._engine))

    def _response(self, upload: SandboxUpload) -> Response:
        parts: list[dict[str, Any]] = []
        for number in range(1, upload.parts + 1):
            url, expires = self._state.signer.part_url(f"/uploads/{upload.id}/{number}")
            parts.append({"number": number, "url": url, "expires": iso(expires)})
        return json_response({"upload": upload.to_json(parts)})

    def _upload(self, request: Request) -> SandboxUpload:
        upload_id = request.path_params["upload_id"]
        upload = self._state.uploads.get(upload_id)
        if upload is None or not access_of(request).sees(upload.owner):
            raise RequestRefusedError(f"Upload {upload_id} not found", 404)
        return upload

    async def _put_part(self, request: Request) -> Response:
        """Accept a part as S3 does: only with a Content-Length, and as often as it is sent."""
        if not self._state.signer.part_allows(request.url.path, request.url.query):
            return access_denied()
        upload = self._state.uploads[request.path_params["upload_id"]]
        length = request.headers.get("content-length")
        if length is None:
            return _s3_error(411, "MissingContentLength")
        if not upload.is_open:
            return _s3_error(404, "NoSuchUpload")
        if upload.size is not None and int(length) > upload.size:
            return _s3_error(400, "EntityTooLarge")
        return await _store_part(request, upload, request.path_params["number"])


async def _store_part(request: Request, upload: SandboxUpload, number: int) -> Response:
    """Stream a part to disk; only a complete one counts, and it may arrive twice."""
    incoming = upload.folder / f"{number}.{secrets.token_hex(4)}"
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with incoming.open("wb") as file:
            async for chunk in request.stream():
                digest.update(chunk)
                await run_in_threadpool(file.write, chunk)
    except ClientDisconnect:
        incoming.unlink()
        return _s3_error(400, "IncompleteBody")
    incoming.replace(upload.part(number))
    return Response(headers={"ETag": f'"{digest.hexdigest()}"'})


def _s3_error(status: int, code: str) -> Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'
    return Response(text, status, media_type="application/xml")
