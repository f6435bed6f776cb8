from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.error_response import ErrorResponse
from ...models.job_list_response import JobListResponse
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    project_id: str | Unset = UNSET,
    created_after: str | Unset = UNSET,
    status: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_size: int | Unset = 50,
    pagination_token: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["projectId"] = project_id

    params["createdAfter"] = created_after

    params["status"] = status

    params["type"] = type_

    params["pageSize"] = page_size

    params["paginationToken"] = pagination_token

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/jobs",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorResponse | JobListResponse:
    if response.status_code == 200:
        response_200 = JobListResponse.from_dict(response.json())

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
) -> Response[ErrorResponse | JobListResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    project_id: str | Unset = UNSET,
    created_after: str | Unset = UNSET,
    status: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_size: int | Unset = 50,
    pagination_token: str | Unset = UNSET,
) -> Response[ErrorResponse | JobListResponse]:
    """List jobs

     One page of jobs. A page may be short, even empty, while a token is still given: read on until
    `nextPaginationToken` is absent.

    Args:
        project_id (str | Unset):
        created_after (str | Unset):
        status (str | Unset):
        type_ (str | Unset):
        page_size (int | Unset):  Default: 50.
        pagination_token (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorResponse | JobListResponse]
    """

    kwargs = _get_kwargs(
        project_id=project_id,
        created_after=created_after,
        status=status,
        type_=type_,
        page_size=page_size,
        pagination_token=pagination_token,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    project_id: str | Unset = UNSET,
    created_after: str | Unset = UNSET,
    status: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_size: int | Unset = 50,
    pagination_token: str | Unset = UNSET,
) -> ErrorResponse | JobListResponse | None:
    """List jobs

     One page of jobs. A page may be short, even empty, while a token is still given: read on until
    `nextPaginationToken` is absent.

    Args:
        project_id (str | Unset):
        created_after (str | Unset):
        status (str | Unset):
        type_ (str | Unset):
        page_size (int | Unset):  Default: 50.
        pagination_token (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorResponse | JobListResponse
    """

    return sync_detailed(
        client=client,
        project_id=project_id,
        created_after=created_after,
        status=status,
        type_=type_,
        page_size=page_size,
        pagination_token=pagination_token,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    project_id: str | Unset = UNSET,
    created_after: str | Unset = UNSET,
    status: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_size: int | Unset = 50,
    pagination_token: str | Unset = UNSET,
) -> Response[ErrorResponse | JobListResponse]:
    """List jobs

     One page of jobs. A page may be short, even empty, while a token is still given: read on until
    `nextPaginationToken` is absent.

    Args:
        project_id (str | Unset):
        created_after (str | Unset):
        status (str | Unset):
        type_ (str | Unset):
        page_size (int | Unset):  Default: 50.
        pagination_token (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorResponse | JobListResponse]
    """

    kwargs = _get_kwargs(
        project_id=project_id,
        created_after=created_after,
        status=status,
        type_=type_,
        page_size=page_size,
        pagination_token=pagination_token,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    project_id: str | Unset = UNSET,
    created_after: str | Unset = UNSET,
    status: str | Unset = UNSET,
    type_: str | Unset = UNSET,
    page_size: int | Unset = 50,
    pagination_token: str | Unset = UNSET,
) -> ErrorResponse | JobListResponse | None:
    """List jobs

     One page of jobs. A page may be short, even empty, while a token is still given: read on until
    `nextPaginationToken` is absent.

    Args:
        project_id (str | Unset):
        created_after (str | Unset):
        status (str | Unset):
        type_ (str | Unset):
        page_size (int | Unset):  Default: 50.
        pagination_token (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorResponse | JobListResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            project_id=project_id,
            created_after=created_after,
            status=status,
            type_=type_,
            page_size=page_size,
            pagination_token=pagination_token,
        )
    ).parsed
