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
from scenario_reframe.sandbox.paging import TOP, ListPosition, PageToken
from scenario_reframe.sandbox.records import SandboxJob
from scenario_reframe.sandbox.request_checks import RequestRefusedError, page_size, read_object
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


class JobRoutes:
    """Shows jobs. They cannot be cancelled, as at the vendor's."""

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
        token = _parse_token(query)
        found = filter(None, map(self._state.jobs.get, token.moved))
        moved = [job for job in found if job.owner == owner]
        if "updatedAfter" in query:
            listed = self._by_update(owner, query, token.position)
        else:
            listed = self._by_creation(owner, query, token.position, size)
        shown = [*moved, *(job for _, job in listed[:size])]
        page = [self._state.job_text(job, "list") for job in shown]
        rest = ""
        if len(listed) > size:
            rest = f', "nextPaginationToken": {json.dumps(PageToken(listed[size - 1][0]).text())}'
        return Response(f'{{"jobs": [{", ".join(page)}]{rest}}}', media_type="application/json")

    def _by_creation(
        self, owner: str, query: QueryParams, before: ListPosition, size: int
    ) -> list[tuple[ListPosition, SandboxJob]]:
        """The newest jobs of a query after a position, and one more if there are more.

        Jobs are stored in this order, so no more than a page is read.
        """
        after = _parse_time(query, "createdAfter")
        listed: list[tuple[ListPosition, SandboxJob]] = []
        for job in self._listed_jobs(owner, before[1]):
            position = (_milliseconds(job.timeline.created), job.number)
            if position[0] <= after or len(listed) > size:
                break
            if _matches(job, query):
                listed.append((position, job))
        return listed

    def _by_update(
        self, owner: str, query: QueryParams, before: ListPosition
    ) -> list[tuple[ListPosition, SandboxJob]]:
        """The jobs of a query after a position, by their last update, the newest first."""
        after = _parse_time(query, "updatedAfter")
        jobs = [job for job in self._listed_jobs(owner, TOP[1]) if _matches(job, query)]
        dated = [((_milliseconds(job.updated), job.number), job) for job in jobs]
        listed = [row for row in dated if after < row[0][0] and row[0] < before]
        return sorted(listed, key=itemgetter(0), reverse=True)

    def _listed_jobs(self, owner: str, before: int) -> list[SandboxJob]:
        """A project's jobs with numbers below `before` that are listed by now, newest first."""
        latest = self._state.now() - self._state.behaviour.list_lag
        jobs = [job for job in self._state.newest_jobs(before) if job.owner == owner]
        return list(dropwhile(lambda job: job.timeline.created > latest, jobs))

    async def _get(self, request: Request) -> Response:
        text = self._state.job_text(self._job(request), "job")
        return Response(f'{{"job": {text}}}', media_type="application/json")

    async def _act(self, request: Request) -> Response:
        self._job(request)
        given = await read_object(request, "JobActionRequest")
        if given["action"] != "cancel":
            raise RequestRefusedError('"action" must be one of [cancel]')
        raise RequestRefusedError("Cannot cancel this type of job. Action not permitted.")

    def _job(self, request: Request) -> SandboxJob:
        job_id = request.path_params["job_id"]
        job = self._state.jobs.get(job_id)
        if job is None or not access_of(request).sees(job.owner):
            raise RequestRefusedError(f"Job {job_id} not found", 404)
        return job


def _check_filters(query: QueryParams) -> None:
    given = [name for name in _FILTERS if name in query]
    if "createdAfter" in query and given:
        raise RequestRefusedError(f'"createdAfter" cannot be combined with "{given[0]}"')
    if "updatedAfter" in query and not given:
        raise RequestRefusedError(f'"updatedAfter" needs one of [{", ".join(_FILTERS)}]')
    if query.get("status", "queued") not in _STATUSES:
        raise RequestRefusedError(f'"status" must be one of [{", ".join(_STATUSES)}]')


def _matches(job: SandboxJob, query: QueryParams) -> bool:
    kinds = query["types"].split(",") if "types" in query else query.getlist("type")
    return (
        (not kinds or job.kind in kinds)
        and ("status" not in query or query["status"] == job.status)
        and "workflowId" not in query
    )


def _milliseconds(moment: float) -> int:
    return int(moment * 1000)


def _parse_time(query: QueryParams, name: str) -> int:
    """Parse a time from the query, in milliseconds; -1 if it is missing."""
    if name not in query:
        return -1
    try:
        moment = datetime.fromisoformat(query[name])
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _milliseconds(zoned.timestamp())
    except (ValueError, OverflowError) as error:
        raise RequestRefusedError(f'"{name}" must be in ISO 8601 date format') from error


def _parse_token(query: QueryParams) -> PageToken:
    """Parse where the page begins; the top if there is no token."""
    if "paginationToken" not in query:
        return PageToken(TOP)
    try:
        return PageToken.read(query["paginationToken"])
    except ValueError as error:
        raise RequestRefusedError('"paginationToken" is invalid') from error
