"""Read the sources: pages, saved responses, and the live server."""

import json
from pathlib import Path
from typing import Any

from scenario_reframe.api.calling import Operation, send
from scenario_reframe.api.replies import parse_reply
from scenario_reframe.api.sanitize import printable
from scenario_reframe.credentials import find_base_url, find_credentials, find_project_id
from scenario_reframe.drift.model_record import read_model
from scenario_reframe.drift.vendor_settings import VendorSource
from scenario_reframe.errors import ReframeError
from scenario_reframe.flow.connections import Connections
from scenario_reframe.flow.http_clients import make_client
from scenario_reframe.flow.steps import Request
from scenario_reframe.flow.sync_driver import SyncDriver
from scenario_reframe.flow.transport import Wire
from scenario_reframe_api.api.models import get_model
from scenario_reframe_api.types import UNSET

from .errors import SourceError
from .page import read_page

_TIMEOUT = 30.0  # seconds for the server's whole response


def read_file(path: Path, model_id: str) -> VendorSource:
    """Read a saved response (JSON) or a reference page (Markdown), recognized by its content.

    Raises SourceError.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise SourceError("it is not UTF-8") from error
    if not text.strip():
        raise SourceError("it is empty")
    if not text.lstrip().startswith("{"):
        return read_page(text, model_id)
    try:
        return read_model(_json(text), model_id)
    except ReframeError as error:
        raise SourceError(str(error)) from error


def read_live(model_id: str) -> VendorSource:
    """Read the model from the server, with the environment's credentials; one attempt.

    Raises SourceError.
    """
    try:
        wire = Wire(find_base_url(None), find_credentials(None, None), _TIMEOUT)
        kwargs = get_model._get_kwargs(model_id, project_id=find_project_id(None) or UNSET)  # noqa: SLF001
        request = Request(
            method=kwargs["method"].upper(), path=kwargs["url"], params=kwargs["params"]
        )
        with make_client() as http:
            operation = Operation(request, lambda reply: read_model(parse_reply(reply), model_id))
            return SyncDriver(wire, Connections(make_client, http)).run(send(operation))
    except ReframeError as error:
        raise SourceError(printable(str(error))) from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"it is not valid JSON ({error})") from error
