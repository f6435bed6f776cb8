"""A corpus of hostile replies: the bytes that a server sends, and what a client makes of them.

Each takes the place of one route's reply, while every other route is answered well. `ORIGIN` in the
bytes stands for the server's own URL.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from hostile_bodies import ASSETS, BROKEN_JOBS, ESTIMATES, JOBS, PAGES, UPLOADS
from hostile_heads import FILES, HEADS, JOB, REDIRECTS, REFUSALS, VIDEO, Expected, json_reply
from raw_server import RawRequest, http_reply
from scenario_reframe import SubmissionUncertainError, UnexpectedResponseError

_Row = tuple[str, str, bytes, Expected]


@frozen
class HostileReply:
    """A route, the bytes of its reply, and the value or the error that they lead to."""

    name: str
    route: str
    content: bytes
    expected: Expected


_ORIGIN = b"ORIGIN"
GOOD: Mapping[str, Any] = {
    "submit": {"job": JOB},
    "estimate": {"creativeUnitsCost": 60},
    "get_job": {"job": JOB},
    "jobs": {"jobs": []},
    "get_asset": {
        "asset": {"id": "asset_1", "url": "ORIGIN/file", "properties": {"size": len(VIDEO)}}
    },
    "create_upload": {
        "upload": {"id": "u_1", "status": "pending", "parts": [{"number": 1, "url": "ORIGIN/part"}]}
    },
    "complete_upload": {"upload": {"id": "u_1", "status": "validating"}},
    "get_upload": {"upload": {"id": "u_1", "status": "imported", "entityId": "asset_1"}},
    "part": {},
}


def route_of(request: RawRequest) -> str:
    """The name of the route that a request took."""
    parts = request.path.removeprefix("/v1").strip("/").split("/")
    kind = parts[0]
    if kind == "generate":
        return "estimate" if "dryRun" in request.target else "submit"
    if kind == "jobs":
        return "get_job" if len(parts) > 1 else "jobs"
    if kind == "uploads" and request.method == "POST":
        return "create_upload" if len(parts) == 1 else "complete_upload"
    return {"uploads": "get_upload", "assets": "get_asset"}.get(kind, kind)


def answer_with(hostile: HostileReply, request: RawRequest, origin: str) -> bytes:
    """The reply to a request: the hostile one on its route, else a good one."""
    route = route_of(request)
    if route == hostile.route:
        content = hostile.content
    elif route == "file":
        content = http_reply(VIDEO)
    else:
        content = json_reply(GOOD.get(route, {}))
    body = content.partition(b"\r\n\r\n")[2]
    return http_reply(body.replace(_ORIGIN, origin.encode())) if _ORIGIN in body else content


def _corpus() -> Iterator[_Row]:
    for name, (content, expected) in {**HEADS, **REDIRECTS}.items():
        yield name, "get_job", content, expected
        yield name, "submit", content, expected if expected == "job_1" else SubmissionUncertainError
    for name, (body, expected) in {**JOBS, **BROKEN_JOBS}.items():
        of_get = expected if name in JOBS else UnexpectedResponseError
        yield name, "get_job", json_reply(body), of_get
        # The look-up decides whose job an unreadable reply names.
        of_submit = expected if name in JOBS else SubmissionUncertainError
        yield name, "submit", json_reply(body), of_submit
    for name, (content, expected) in REFUSALS.items():
        yield name, "get_job", content, expected
    for name, (payload, expected) in ASSETS.items():
        yield name, "get_asset", json_reply({"asset": payload}), expected
    for name, (payload, expected) in PAGES.items():
        yield name, "jobs", json_reply(payload), expected
    for name, (body, expected) in ESTIMATES.items():
        yield name, "estimate", json_reply(body), expected
    for name, (route, upload, expected) in UPLOADS.items():
        yield name, route, json_reply({"upload": upload}), expected
    for name, (content, expected) in FILES.items():
        yield name, "file", content, expected


CORPUS = [
    HostileReply(f"{route}: {name}", route, content, expected)
    for name, route, content, expected in _corpus()
]
