"""Odd but correct pages of the list of jobs.

A client that follows the tokens to the last page still reads every job.
"""

from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from scenario_reframe.sandbox.faults import Fault, answer, rewrite
from scenario_reframe.sandbox.paging import END, TOP, PageToken

_MOST_MOVED = 5


def duplicated(random: Random) -> Fault:
    """Show some of a page's jobs twice."""

    def change(jobs: list[Any]) -> list[Any]:
        repeated = random.sample(jobs, random.randint(1, len(jobs)))
        return _shuffled([*jobs, *repeated], random)

    return _change_jobs(change)


def reordered(random: Random) -> Fault:
    """Show a page's jobs in another order."""
    return _change_jobs(lambda jobs: _shuffled(jobs, random))


def moved(random: Random) -> Fault:
    """Move some of a page's jobs to the next page."""

    def change(page: dict[str, Any]) -> dict[str, Any]:
        jobs = page.get("jobs")
        if not jobs:
            return page
        most = min(len(jobs), _MOST_MOVED)
        moved_ids = {job["jobId"] for job in random.sample(jobs, random.randint(1, most))}
        text = page.get("nextPaginationToken")
        after = PageToken.read(text) if text else PageToken(END)
        token = PageToken(after.position, (*after.moved, *sorted(moved_ids)), _nonce(random))
        rest = [job for job in jobs if job["jobId"] not in moved_ids]
        return {"jobs": rest, "nextPaginationToken": token.text()}

    return rewrite(change)


def short(random: Random) -> Fault:
    """Show fewer jobs than requested."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        size = query.get("pageSize", "50")
        if size.isdigit():
            query["pageSize"] = str(random.randint(1, max(1, int(size) // 4)))
        await app(dict(scope) | {"query_string": urlencode(query).encode()}, receive, send)

    return fault


def empty(random: Random) -> Fault:
    """Show no job, and a token for the requested ones."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        try:
            text = query.get("paginationToken")
            requested = PageToken.read(text) if text else PageToken(TOP)
        except ValueError:
            await app(scope, receive, send)
            return
        token = PageToken(requested.position, requested.moved, _nonce(random))
        page = {"jobs": [], "nextPaginationToken": token.text()}
        await answer(200, page)(app, scope, receive, send)

    return fault


def _change_jobs(change: Any) -> Fault:
    """Change the jobs of a page that has any."""

    def changed(page: dict[str, Any]) -> dict[str, Any]:
        jobs = page.get("jobs")
        return page | {"jobs": change(jobs)} if jobs else page

    return rewrite(changed)


def _shuffled(jobs: list[Any], random: Random) -> list[Any]:
    return random.sample(jobs, len(jobs))


def _nonce(random: Random) -> str:
    return f"{random.getrandbits(32):08x}"
