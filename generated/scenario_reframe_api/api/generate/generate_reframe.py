from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.dry_run_response import DryRunResponse
from ...models.error_response import ErrorResponse
from ...models.generate_reframe_dry_run import (
    GenerateReframeDryRun,
)
from ...models.generate_response import GenerateResponse
from ...models.reframe_request import ReframeRequest
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: ReframeRequest,
    dry_run: GenerateReframeDryRun | Unset = UNSET,
    project_id: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    json_dry_run: str | Unset = UNSET
    if not isinstance(dry_run, Unset):
        json_dry_run = dry_run

    params["dryRun"] = json_dry_run

    params["projectId"] = project_id

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/generate/custom/model_wan-2-2-vace-fun-a14b-reframe",
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> DryRunResponse | ErrorResponse | GenerateResponse:
    if response.status_code == 200:
        response_200 = GenerateResponse.from_dict(response.json())

        return response_200

    if response.status_code == 269:
        response_269 = DryRunResponse.from_dict(response.json())

        return response_269

    if response.status_code == 400:
        response_400 = ErrorResponse.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = ErrorResponse.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorResponse.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = ErrorResponse.from_dict(response.json())

        return response_404

    if response.status_code == 429:
        response_429 = ErrorResponse.from_dict(response.json())

        return response_429

    response_default = ErrorResponse.from_dict(response.json())

    return response_default


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[DryRunResponse | ErrorResponse | GenerateResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: ReframeRequest,
    dry_run: GenerateReframeDryRun | Unset = UNSET,
    project_id: str | Unset = UNSET,
) -> Response[DryRunResponse | ErrorResponse | GenerateResponse]:
    """Submit a reframe job

     Starts a paid job, or with `dryRun=true` in the query only prices it. A `dryRun` in the body is
    ignored by the server, and a paid job starts.

    Args:
        dry_run (GenerateReframeDryRun | Unset):
        project_id (str | Unset):
        body (ReframeRequest): What the model takes. What is left out takes the server's default.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[DryRunResponse | ErrorResponse | GenerateResponse]
    """

    kwargs = _get_kwargs(
        body=body,
        dry_run=dry_run,
        project_id=project_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: ReframeRequest,
    dry_run: GenerateReframeDryRun | Unset = UNSET,
    project_id: str | Unset = UNSET,
) -> DryRunResponse | ErrorResponse | GenerateResponse | None:
    """Submit a reframe job

     Starts a paid job, or with `dryRun=true` in the query only prices it. A `dryRun` in the body is
    ignored by the server, and a paid job starts.

    Args:
        dry_run (GenerateReframeDryRun | Unset):
        project_id (str | Unset):
        body (ReframeRequest): What the model takes. What is left out takes the server's default.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        DryRunResponse | ErrorResponse | GenerateResponse
    """

    return sync_detailed(
        client=client,
        body=body,
        dry_run=dry_run,
        project_id=project_id,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: ReframeRequest,
    dry_run: GenerateReframeDryRun | Unset = UNSET,
    project_id: str | Unset = UNSET,
) -> Response[DryRunResponse | ErrorResponse | GenerateResponse]:
    """Submit a reframe job

     Starts a paid job, or with `dryRun=true` in the query only prices it. A `dryRun` in the body is
    ignored by the server, and a paid job starts.

    Args:
        dry_run (GenerateReframeDryRun | Unset):
        project_id (str | Unset):
        body (ReframeRequest): What the model takes. What is left out takes the server's default.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[DryRunResponse | ErrorResponse | GenerateResponse]
    """

    kwargs = _get_kwargs(
        body=body,
        dry_run=dry_run,
        project_id=project_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: ReframeRequest,
    dry_run: GenerateReframeDryRun | Unset = UNSET,
    project_id: str | Unset = UNSET,
) -> DryRunResponse | ErrorResponse | GenerateResponse | None:
    """Submit a reframe job

     Starts a paid job, or with `dryRun=true` in the query only prices it. A `dryRun` in the body is
    ignored by the server, and a paid job starts.

    Args:
        dry_run (GenerateReframeDryRun | Unset):
        project_id (str | Unset):
        body (ReframeRequest): What the model takes. What is left out takes the server's default.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        DryRunResponse | ErrorResponse | GenerateResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            dry_run=dry_run,
            project_id=project_id,
        )
    ).parsed
