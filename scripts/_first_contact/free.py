"""The probes that are free of charge."""

import secrets
from collections import Counter
from typing import Any

from scenario_reframe_api.settings import MODEL_ID, SETTINGS, VIDEO_FIELD

from .session import ContactSession, Facts, response_facts
from .shapes import job_id_of, object_at, objects_at, parse_time, price_of

_INPUT_KEYS = (
    "type", "kind", "default", "min", "max", "step", "minLength", "maxLength", "allowedValues",
    "required", "parent", "costImpact", "maxSize", "minDuration", "maxDuration",
)  # fmt: skip
_MODEL_KEYS = ("status", "capabilities", "accessRestrictions", "disableRefund", "performanceStats")
_PRICE_KEYS = ("creativeUnits", "currency", "unitAmount", "expires")
_SERVERS = ("server", "via", "content-type")
_LIMITS = ("parallelCustomJobs", "minCooldown", "maxCooldown", "upload")


def model(session: ContactSession) -> Facts:
    """The model's inputs with their limits, and which of them affect the price."""
    found = session.get(f"/models/{MODEL_ID}")
    one = object_at(found.payload, "model")
    inputs = {
        str(row.get("name")): {key: row[key] for key in _INPUT_KEYS if key in row}
        for row in objects_at(one, "inputs")
    }
    known = {row.wire for row in SETTINGS} | {VIDEO_FIELD}
    return {
        "status": found.status,
        "keys": sorted(one),
        "inputs": inputs,
        "inputs unknown to the client": sorted(set(inputs) - known),
        "properties": {key: one[key] for key in _MODEL_KEYS if key in one},
    }


def jobs(session: ContactSession) -> Facts:
    """The list of jobs: its shape and paging, and the difference of the server's clock."""
    found = session.get("/jobs", pageSize=1)
    facts = response_facts(found)
    date = parse_time(found.headers.get("date"))
    if date is not None:
        facts["server's clock ahead, seconds"] = round(date.timestamp() - session.clocks.now(), 1)
    token = found.payload.get("nextPaginationToken") if isinstance(found.payload, dict) else None
    facts["has a next page"] = isinstance(token, str) and bool(token)
    if facts["has a next page"]:
        second = session.get("/jobs", pageSize=1, paginationToken=token)
        facts["second page"] = response_facts(second) | {"differs": _first(second) != _first(found)}
    return facts


def _first(found: Any) -> str | None:
    return next((job_id_of({"job": job}) for job in objects_at(found.payload, "jobs")), None)


def unknown_job(session: ContactSession) -> Facts:
    """The error for a job that does not exist."""
    return response_facts(session.get(f"/jobs/job_{secrets.token_hex(12)}"))


def dry_run(session: ContactSession) -> Facts:
    """A dry run without a video and without settings."""
    found = session.dry_run({})
    return response_facts(found) | {"price": price_of(found.payload)}


def bad_setting(session: ContactSession) -> Facts:
    """The errors for a number out of bounds and for an unknown name."""
    low = next(row for row in SETTINGS if row.bounds.minimum is not None and row.kind == "integer")
    out_of_bounds = {low.wire: int(low.bounds.minimum or 0) - 1}
    return {
        "out of bounds": response_facts(session.dry_run(out_of_bounds)),
        "unknown name": response_facts(session.dry_run({"noSuchSetting": 1})),
    }


def prices(session: ContactSession) -> Facts:
    """The prices of creative units."""
    found = session.get("/oscu/prices")
    listed = [
        {key: row[key] for key in _PRICE_KEYS if key in row}
        for row in objects_at(found.payload, "prices")
    ]
    return response_facts(found) | {"prices": listed}


def team_limits(session: ContactSession) -> Facts:
    """How many jobs may run in parallel, if the key may read it."""
    teams = session.get("/teams")
    facts: Facts = {"teams": response_facts(teams)}
    team = next((row.get("id") for row in objects_at(teams.payload, "teams")), None)
    if isinstance(team, str) and team.replace("_", "").replace("-", "").isalnum():
        found = session.get(f"/teams/{team}/limits")
        limits = object_at(found.payload, "limits")
        shown = {key: limits[key] for key in _LIMITS if key in limits}
        facts["limits"] = response_facts(found) | {"of the plan": shown}
    return facts


def wrong_credentials(session: ContactSession) -> Facts:
    """The error for an unknown key, in one request."""
    auth = ("first-contact", f"none-{secrets.token_hex(8)}")
    return response_facts(session.get("/jobs", auth=auth, pageSize=1))


def headers(session: ContactSession) -> Facts:
    """The names of all headers in the API's responses, how often, and the servers."""
    replies = [found.headers for found in session.traffic.exchanges]
    names = [name for headers in replies for name in set(headers.keys())]
    servers = {
        name: sorted({headers[name] for headers in replies if name in headers})
        for name in _SERVERS
        if name in names
    }
    return {
        "responses": len(replies),
        "responses with each header": dict(sorted(Counter(names).items())),
        **servers,
    }


PROBES = {
    "list of jobs": jobs,
    "the model's inputs": model,
    "dry run": dry_run,
    "dry run of a bad setting": bad_setting,
    "unknown job": unknown_job,
    "prices": prices,
    "team limits": team_limits,
    "wrong credentials": wrong_credentials,
}
"""In this order; the wrong credentials last, as a server may block their sender for a while."""
