"""Routes for assets, and the host that serves their files."""

from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from scenario_reframe.sandbox.api_keys import access_of
from scenario_reframe.sandbox.request_checks import RequestRefusedError, json_response
from scenario_reframe.sandbox.state import SandboxState

_DENIED: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)


def access_denied() -> Response:
    """Build the response of CloudFront and S3 to a URL that was changed or has expired."""
    return Response(_DENIED, 403, media_type="application/xml")


class AssetRoutes:
    """Shows assets, and serves their bytes to anyone with a valid signed URL."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The API's routes for assets, without the leading `/v1`."""
        return [
            Route("/assets/{asset_id}", self._get, methods=["GET"]),
        ]

    def host_routes(self) -> list[Route]:
        """The file host's routes."""
        return [Route("/assets/{asset_id}", self._serve, methods=["GET"])]

    async def _get(self, request: Request) -> Response:
        asset_id = request.path_params["asset_id"]
        asset = self._state.assets.get(asset_id)
        if asset is None or not access_of(request).sees(asset.owner):
            raise RequestRefusedError(f"Asset {asset_id} not found", 404)
        return json_response({"asset": self._state.asset_json(asset)})

    async def _serve(self, request: Request) -> Response:
        """Serve a file; Starlette handles ranges, a strong ETag and `If-Range`."""
        asset = self._state.assets.get(request.path_params["asset_id"])
        if asset is None or not self._state.signer.cdn_allows(request.url.path, request.url.query):
            return access_denied()
        return FileResponse(asset.path, media_type=asset.mime_type)
