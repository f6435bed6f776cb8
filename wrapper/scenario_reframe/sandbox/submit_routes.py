"""`POST /generate/custom/{modelId}` and `GET /models/{modelId}`."""

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scenario_reframe.sandbox.api_keys import ProjectAccess, access_of
from scenario_reframe.sandbox.engine_interface import Engine
from scenario_reframe.sandbox.prices import price
from scenario_reframe.sandbox.records import PROJECT_ID
from scenario_reframe.sandbox.reframe_plan import frames_to_make
from scenario_reframe.sandbox.request_checks import (
    RequestRefusedError,
    components,
    json_response,
    read_object,
)
from scenario_reframe.sandbox.sample_clip import SAMPLE_RATE, SAMPLE_SECONDS
from scenario_reframe.sandbox.state import SandboxState
from scenario_reframe_api.settings import MODEL_ID, SETTINGS, VIDEO_FIELD, Setting

_DRY_RUN_STATUS: Final = 269
_MODEL_DATE: Final = "2026-01-01T00:00:00.000Z"


class SubmitRoutes:
    """Accepts paid jobs and starts them."""

    def __init__(self, state: SandboxState, engine: Engine) -> None:
        self._state = state
        self._engine = engine

    def routes(self) -> list[Route]:
        """The API's routes for generating, without the leading `/v1`."""
        return [
            Route("/generate/custom/{model_id}", self._generate, methods=["POST"]),
            Route("/models/{model_id}", self._model, methods=["GET"]),
        ]

    async def _generate(self, request: Request) -> Response:
        _check_model(request)
        dry_run = request.query_params.get("dryRun", "false")
        if dry_run not in {"true", "api", "false"}:
            raise RequestRefusedError('"dryRun" must be one of [true, api, false]')
        given = await read_object(request, "ReframeRequest")
        _check_required(given)
        access = access_of(request)
        cost = price(given, self._frames(given, access))
        costs = {
            "creativeUnitsCost": cost,
            "creativeUnitsDiscount": 0,
            "costDetails": {"custom-generation": cost},
        }
        if dry_run != "false":
            return json_response(costs, _DRY_RUN_STATUS)
        self._check_parallel(access.project_id)
        job = self._state.new_job("custom", access.project_id, given, cost)
        self._engine.start(job)
        shown = json.loads(self._state.job_text(job, "submit"))
        return json_response({"job": shown} | costs)

    def _frames(self, given: Mapping[str, Any], access: ProjectAccess) -> int:
        """How many frames the price is for; it may depend on the source."""
        if VIDEO_FIELD not in given:
            return frames_to_make(given, SAMPLE_SECONDS * SAMPLE_RATE)
        asset = self._state.assets.get(given[VIDEO_FIELD])
        if asset is None or not access.sees(asset.owner):
            raise RequestRefusedError(f"Asset {given[VIDEO_FIELD]} not found", 404)
        return frames_to_make(given, asset.source.frames)

    def _check_parallel(self, project_id: str) -> None:
        limit = self._state.behaviour.parallel_jobs
        if limit is not None and self._state.running(project_id) >= limit:
            details = {"actionName": "parallel-custom-jobs", "actionLimit": limit}
            raise RequestRefusedError("Too many parallel jobs", 429, details)

    async def _model(self, request: Request) -> Response:
        _check_model(request)
        return json_response({"model": model_json()})


def _check_model(request: Request) -> None:
    model_id = request.path_params["model_id"]
    if model_id != MODEL_ID:
        raise RequestRefusedError(f"Model {model_id} not found", 404)


def _check_required(given: Mapping[str, Any]) -> None:
    missing = [row.wire for row in SETTINGS if row.required and row.wire not in given]
    if missing:
        raise RequestRefusedError(". ".join(f'"{name}" is required' for name in missing))


def model_json() -> dict[str, Any]:
    """The model as `GET /models/{modelId}` shows it; its inputs are the spec's settings."""
    video = {
        "name": VIDEO_FIELD,
        "type": "file",
        "kind": "video",
        "label": "Video",
        "required": {"always": True},
        "parent": True,
        "costImpact": True,
    }
    return {
        "id": MODEL_ID,
        "name": "Wan 2.2 Reframe",
        "type": "custom",
        "custom": True,
        "source": "other",
        "privacy": "public",
        "status": "trained",
        "capabilities": ["video2video"],
        "collectionIds": [],
        "exampleAssetIds": [],
        "tags": [],
        "trainingImagesNumber": 0,
        "ownerId": PROJECT_ID,
        "createdAt": _MODEL_DATE,
        "updatedAt": _MODEL_DATE,
        "inputs": [video, *(_model_input(setting) for setting in SETTINGS)],
    }


def _model_input(setting: Setting) -> dict[str, Any]:
    """A setting in the vendor's format, which has a type for assets but none for integers."""
    schema = components()["schemas"]["ReframeRequest"]["properties"][setting.wire]
    kind = "number" if setting.kind == "integer" else setting.kind
    is_text = setting.kind == "string"
    low, high = ("minLength", "maxLength") if is_text else ("min", "max")
    optional = {
        "default": setting.default,
        low: setting.bounds.minimum,
        high: setting.bounds.maximum,
        "step": 1 if setting.kind == "integer" else None,
        "allowedValues": list(setting.choices) or None,
        "required": {"always": True} if setting.required else None,
    }
    return {
        "name": setting.wire,
        "type": "file" if schema.get("x-input") == "asset" else kind,
        "description": setting.description,
    } | {name: value for name, value in optional.items() if value is not None}
