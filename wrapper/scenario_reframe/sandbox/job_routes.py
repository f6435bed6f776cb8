"""`GET /jobs`, `GET /jobs/{jobId}` and `POST /jobs/{jobId}/action`."""

import json
from datetime import UTC, datetime
from itertools import dropwhile
from operator import itemgetter
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scenario_reframe.sandbox.api_keys import access_of
from scenario_reframe.sandbox.paging import TOP, ListPlace, Token
from scenario_reframe.sandbox.records import SandboxJob
from scenario_reframe.sandbox.request_checks import RefusedError, page_size, read_object
from scenario_reframe.sandbox.state import SandboxState

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


class Jobs:
    """Shows jobs. None can be cancelled, as with the vendor's."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The API's routes for jobs, without the leading `/v1`."""
        return [
            Route("/jobs", self._list, methods=["GET"]),
            Route("/jobs/{job_id}", self._get, methods=["GET"]),
            Route("/jobs/{job_id}/action", self._act, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        query, owner = request.query_params, access_of(request).project_id
        _check_filters(query)
        size = page_size(query)
        token = _token(query)
        known = filter(None, map(self._state.jobs.get, token.held))
        held = [job for job in known if job.owner == owner]
        if "updatedAfter" in query:
            listed = self._by_update(owner, query, token.place)
        else:
            listed = self._by_creation(owner, query, token.place, size)
        shown = [*held, *(job for _, job in listed[:size])]
        page = [self._state.job_text(job, "list") for job in shown]
        rest = ""
        if len(listed) > size:
            rest = f', "nextPaginationToken": {json.dumps(Token(listed[size - 1][0]).text())}'
        return Response(f'{{"jobs": [{", ".join(page)}]{rest}}}', media_type="application/json")

    def _by_creation(
        self, owner: str, query: QueryParams, before: ListPlace, size: int
    ) -> list[tuple[ListPlace, SandboxJob]]:
        """The newest jobs of a query after a place, and one more to tell that there are more.

        Nobody waits for the whole list: jobs are kept in this order, so only a page of it is read.
        """
        after = _moment(query, "createdAfter")
        listed: list[tuple[ListPlace, SandboxJob]] = []
        for job in self._shown(owner, before[1]):
            place = (_milliseconds(job.timeline.created), job.number)
            if place[0] <= after or len(listed) > size:
                break
            if _wanted(job, query):
                listed.append((place, job))
        return listed

    def _by_update(
        self, owner: str, query: QueryParams, before: ListPlace
    ) -> list[tuple[ListPlace, SandboxJob]]:
        after = _moment(query, "updatedAfter")
        jobs = [job for job in self._shown(owner, TOP[1]) if _wanted(job, query)]
        places = [((_milliseconds(job.updated), job.number), job) for job in jobs]
        listed = [(place, job) for place, job in places if after < place[0] and place < before]
        return sorted(listed, key=itemgetter(0), reverse=True)

    def _shown(self, owner: str, before: int) -> list[SandboxJob]:
        """A project's jobs with numbers under `before` that are listed by now, newest first."""
        by = self._state.now() - self._state.behaviour.list_lag
        jobs = [job for job in self._state.newest_jobs(before) if job.owner == owner]
        return list(dropwhile(lambda job: job.timeline.created > by, jobs))

    async def _get(self, request: Request) -> Response:
        text = self._state.job_text(self._job(request), "job")
        return Response(f'{{"job": {text}}}', media_type="application/json")

    async def _act(self, request: Request) -> Response:
        self._job(request)
        given = await read_object(request, "JobActionRequest")
        if given["action"] != "cancel":
            raise RefusedError('"action" must be one of [cancel]')
        raise RefusedError("Cannot cancel this type of job. Action not permitted.")

    def _job(self, request: Request) -> SandboxJob:
        job_id = request.path_params["job_id"]
        job = self._state.jobs.get(job_id)
        if job is None or not access_of(request).sees(job.owner):
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


def _wanted(job: SandboxJob, query: QueryParams) -> bool:
    kinds = query["types"].split(",") if "types" in query else query.getlist("type")
    return (
        (not kinds or job.kind in kinds)
        and ("status" not in query or query["status"] == job.status)
        and "workflowId" not in query
    )


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


def _token(query: QueryParams) -> Token:
    """Read the place to begin at: the top when there is none."""
    if "paginationToken" not in query:
        return Token(TOP)
    try:
        return Token.read(query["paginationToken"])
    except ValueError as error:
        raise RefusedError('"paginationToken" is invalid') from error
