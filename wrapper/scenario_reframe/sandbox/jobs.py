"""`GET /jobs`, `GET /jobs/{jobId}` and `POST /jobs/{jobId}/action`."""

import base64
from datetime import UTC, datetime
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scenario_reframe.sandbox.checking import RefusedError, page_size, read_object, reply
from scenario_reframe.sandbox.records import PROJECT_ID, Job
from scenario_reframe.sandbox.state import State

_STATUSES: Final = (
    "pending",
    "queued",
    "warming-up",
    "in-progress",
    "finalizing",
    "success",
    "failure",
    "canceled",
)
_FILTERS: Final = ("status", "type", "types", "workflowId")

# A job's place in the list: a time in milliseconds, then the job's number.
_Place = tuple[int, int]


class Jobs:
    """Shows jobs. None can be cancelled, as with the vendor's."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The API's routes for jobs, without the leading `/v1`."""
        return [
            Route("/jobs", self._list, methods=["GET"]),
            Route("/jobs/{job_id}", self._get, methods=["GET"]),
            Route("/jobs/{job_id}/action", self._act, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        _check_filters(query)
        size = page_size(query)
        by_update = "updatedAfter" in query
        after = _moment(query, "updatedAfter" if by_update else "createdAfter")
        token = query.get("paginationToken")
        before = None if token is None else _place_of(token)
        places = {
            _place(job, by_update=by_update): job
            for job in list(self._state.jobs.values())
            if _wanted(job, query)
        }
        listed = sorted(
            (p for p in places if p[0] > after and (before is None or p < before)), reverse=True
        )
        page: dict[str, Any] = {"jobs": [places[place].record() for place in listed[:size]]}
        if len(listed) > size:
            page["nextPaginationToken"] = _token_of(listed[size - 1])
        return reply(page)

    async def _get(self, request: Request) -> Response:
        return reply({"job": self._job(request).record()})

    async def _act(self, request: Request) -> Response:
        self._job(request)
        given = await read_object(request, "JobActionRequest")
        if given["action"] != "cancel":
            raise RefusedError('"action" must be one of [cancel]')
        raise RefusedError("Cannot cancel this type of job. Action not permitted.")

    def _job(self, request: Request) -> Job:
        job_id = request.path_params["job_id"]
        job = self._state.jobs.get(job_id)
        if job is None:
            raise RefusedError(f"Job {job_id} not found", 404)
        return job


def _check_filters(query: QueryParams) -> None:
    given = [name for name in _FILTERS if name in query]
    if "createdAfter" in query and given:
        raise RefusedError(f'"createdAfter" cannot be combined with "{given[0]}"')
    if "updatedAfter" in query and not given:
        raise RefusedError(f'"updatedAfter" needs one of [{", ".join(_FILTERS)}]')
    if query.get("status", "queued") not in _STATUSES:
        raise RefusedError(f'"status" must be one of [{", ".join(_STATUSES)}]')


def _wanted(job: Job, query: QueryParams) -> bool:
    kinds = query["types"].split(",") if "types" in query else query.getlist("type")
    return (
        job.owner == query.get("projectId", PROJECT_ID)
        and (not kinds or job.kind in kinds)
        and query.get("status", job.status) == job.status
        and "workflowId" not in query
    )


def _place(job: Job, *, by_update: bool) -> _Place:
    return (_milliseconds(job.updated if by_update else job.timeline.created), job.number)


def _milliseconds(moment: float) -> int:
    return int(moment * 1000)


def _moment(query: QueryParams, name: str) -> int:
    """Read a time from the query, in milliseconds; long ago when there is none."""
    if name not in query:
        return -1
    try:
        moment = datetime.fromisoformat(query[name])
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _milliseconds(zoned.timestamp())
    except (ValueError, OverflowError) as error:
        raise RefusedError(f'"{name}" must be in ISO 8601 date format') from error


def _token_of(place: _Place) -> str:
    return base64.urlsafe_b64encode(f"{place[0]}.{place[1]}".encode()).decode().rstrip("=")


def _place_of(token: str) -> _Place:
    try:
        padded = token + "=" * (-len(token) % 4)
        date, number = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii").split(".")
        return int(date), int(number)
    except ValueError as error:
        raise RefusedError('"paginationToken" is invalid') from error
