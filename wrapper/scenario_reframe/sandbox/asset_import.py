"""Turn an upload into an asset."""

import http.client
import shutil
import urllib.error
import urllib.request
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from scenario_reframe.sandbox.engine_interface import Engine
from scenario_reframe.sandbox.probing import NotAVideoError
from scenario_reframe.sandbox.records import SandboxUpload
from scenario_reframe.sandbox.reframe_plan import ClipSource
from scenario_reframe.sandbox.state import SandboxState

_CHUNK: Final = 1024 * 1024
_TIMEOUT: Final = 30.0
_KINDS: Final = {"matroska,webm": "video/webm", "mov,mp4,m4a,3gp,3g2,mj2": "video/mp4"}


class _ImportFailedError(Exception):
    """The upload cannot become an asset; the message gives the reason."""


def import_upload(state: SandboxState, upload: SandboxUpload, engine: Engine) -> None:
    """Join or fetch an uploaded file, check that it is a video, and make it an asset."""
    path = upload.folder / "whole"
    try:
        if upload.url is None:
            _join(upload, path)
        else:
            _fetch(upload.url, path, state)
        source = engine.probe(path)
    except (_ImportFailedError, NotAVideoError) as error:
        _fail(upload, str(error))
        return
    upload.timeline.reach("validated")
    asset = state.new_asset(path, source, _mime_type(upload, source), upload.owner)
    upload.asset_id = upload.job.asset_id = asset.id
    upload.timeline.reach("imported")
    upload.job.timeline.reach("success")


def _fail(upload: SandboxUpload, reason: str) -> None:
    upload.error = upload.job.error = reason
    upload.timeline.reach("failed")
    upload.job.timeline.reach("failure")


def _mime_type(upload: SandboxUpload, source: ClipSource) -> str:
    if upload.content_type and upload.content_type.startswith("video/"):
        return upload.content_type
    return _KINDS.get(source.container, "application/octet-stream")


def _join(upload: SandboxUpload, path: Path) -> None:
    with path.open("wb") as whole:
        for number in range(1, upload.parts + 1):
            part = upload.part(number)
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole, _CHUNK)
            part.unlink()
    size = path.stat().st_size
    if size != upload.size:
        raise _ImportFailedError(f"The file has {size} bytes, but {upload.size} were announced")


def _fetch(url: str, path: Path, state: SandboxState) -> None:
    """Fetch a file over HTTP, from this machine only."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())
    try:
        _check_loopback(url)
        with opener.open(url, timeout=_TIMEOUT) as response, path.open("wb") as file:
            _copy(response, file, state)
    except urllib.error.HTTPError as error:
        error.close()
        raise _ImportFailedError(f"The URL could not be fetched: {error}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _ImportFailedError(f"The URL could not be fetched: {reason}") from error


def _copy(response: http.client.HTTPResponse, file: IO[bytes], state: SandboxState) -> None:
    announced = response.length
    size = 0
    while chunk := response.read(_CHUNK):
        state.check_stopping()
        size += file.write(chunk)
    if announced is not None and size != announced:
        raise _ImportFailedError("The URL could not be fetched: the connection closed early")


def _check_loopback(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{parts.scheme!r} is not allowed; use http or https")
    if host != "localhost" and not _is_loopback(host):
        raise ValueError(f"{host!r} is not allowed; the sandbox fetches from this machine only")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Treat a redirect, which could lead off this machine, as an error."""

    def redirect_request(self, *_request: Any) -> None:
        """Follow no redirect."""
