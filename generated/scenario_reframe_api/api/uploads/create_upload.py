from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.error_response import ErrorResponse
from ...models.upload_from_url import UploadFromUrl
from ...models.upload_in_parts import UploadInParts
from ...models.upload_response import UploadResponse
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: UploadFromUrl | UploadInParts,
    project_id: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    params["projectId"] = project_id

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/uploads",
        "params": params,
    }

    if isinstance(body, UploadInParts):
        _kwargs["json"] = body.to_dict()
    else:
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorResponse | UploadResponse:
    if response.status_code == 200:
        response_200 = UploadResponse.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = ErrorResponse.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = ErrorResponse.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorResponse.from_dict(response.json())

        return response_403

    if response.status_code == 429:
        response_429 = ErrorResponse.from_dict(response.json())

        return response_429

    response_default = ErrorResponse.from_dict(response.json())

    return response_default


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorResponse | UploadResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: UploadFromUrl | UploadInParts,
    project_id: str | Unset = UNSET,
) -> Response[ErrorResponse | UploadResponse]:
    """Announce an upload, or import from a URL

     A file is announced, and then sent in parts to the URLs of the reply; a video that is on the web is
    named, and the server fetches it.

    Args:
        project_id (str | Unset):
        body (UploadFromUrl | UploadInParts): One of the two ways to bring a video.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorResponse | UploadResponse]
    """

    kwargs = _get_kwargs(
        body=body,
        project_id=project_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: UploadFromUrl | UploadInParts,
    project_id: str | Unset = UNSET,
) -> ErrorResponse | UploadResponse | None:
    """Announce an upload, or import from a URL

     A file is announced, and then sent in parts to the URLs of the reply; a video that is on the web is
    named, and the server fetches it.

    Args:
        project_id (str | Unset):
        body (UploadFromUrl | UploadInParts): One of the two ways to bring a video.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorResponse | UploadResponse
    """

    return sync_detailed(
        client=client,
        body=body,
        project_id=project_id,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: UploadFromUrl | UploadInParts,
    project_id: str | Unset = UNSET,
) -> Response[ErrorResponse | UploadResponse]:
    """Announce an upload, or import from a URL

     A file is announced, and then sent in parts to the URLs of the reply; a video that is on the web is
    named, and the server fetches it.

    Args:
        project_id (str | Unset):
        body (UploadFromUrl | UploadInParts): One of the two ways to bring a video.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorResponse | UploadResponse]
    """

    kwargs = _get_kwargs(
        body=body,
        project_id=project_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: UploadFromUrl | UploadInParts,
    project_id: str | Unset = UNSET,
) -> ErrorResponse | UploadResponse | None:
    """Announce an upload, or import from a URL

     A file is announced, and then sent in parts to the URLs of the reply; a video that is on the web is
    named, and the server fetches it.

    Args:
        project_id (str | Unset):
        body (UploadFromUrl | UploadInParts): One of the two ways to bring a video.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorResponse | UploadResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            project_id=project_id,
        )
    ).parsed
