"""Pages of the list of jobs that are odd and yet true.

Whoever follows the tokens to the end of the chain reads every job.
"""

from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from scenario_reframe.sandbox.faults import Fault, answer, rewrite
from scenario_reframe.sandbox.paging import END, TOP, Token

_MOST_HELD = 5


def duplicated(random: Random) -> Fault:
    """Show some of a page's jobs twice."""

    def change(jobs: list[Any]) -> list[Any]:
        again = random.sample(jobs, random.randint(1, len(jobs)))
        return _shuffled([*jobs, *again], random)

    return _jobs_changed(change)


def reordered(random: Random) -> Fault:
    """Show a page's jobs in another order."""
    return _jobs_changed(lambda jobs: _shuffled(jobs, random))


def moved(random: Random) -> Fault:
    """Move some of a page's jobs over its border, to the next page."""

    def change(page: dict[str, Any]) -> dict[str, Any]:
        jobs = page.get("jobs")
        if not jobs:
            return page
        most = min(len(jobs), _MOST_HELD)
        held = {job["jobId"] for job in random.sample(jobs, random.randint(1, most))}
        text = page.get("nextPaginationToken")
        after = Token.read(text) if text else Token(END)
        token = Token(after.place, (*after.held, *sorted(held)), _nonce(random))
        kept = [job for job in jobs if job["jobId"] not in held]
        return {"jobs": kept, "nextPaginationToken": token.text()}

    return rewrite(change)


def short(random: Random) -> Fault:
    """Show fewer jobs than asked for."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        size = query.get("pageSize", "50")
        if size.isdigit():
            query["pageSize"] = str(random.randint(1, max(1, int(size) // 4)))
        await app(dict(scope) | {"query_string": urlencode(query).encode()}, receive, send)

    return fault


def empty(random: Random) -> Fault:
    """Show no job, and a token for those that were asked for."""

    async def fault(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        try:
            text = query.get("paginationToken")
            asked = Token.read(text) if text else Token(TOP)
        except ValueError:
            await app(scope, receive, send)
            return
        token = Token(asked.place, asked.held, _nonce(random))
        page = {"jobs": [], "nextPaginationToken": token.text()}
        await answer(200, page)(app, scope, receive, send)

    return fault


def _jobs_changed(change: Any) -> Fault:
    def changed(page: dict[str, Any]) -> dict[str, Any]:
        jobs = page.get("jobs")
        return page | {"jobs": change(jobs)} if jobs else page

    return rewrite(changed)


def _shuffled(jobs: list[Any], random: Random) -> list[Any]:
    return random.sample(jobs, len(jobs))


def _nonce(random: Random) -> str:
    return f"{random.getrandbits(32):08x}"
