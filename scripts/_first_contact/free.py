"""What can be asked for nothing."""

import secrets
from collections import Counter
from typing import Any

from scenario_reframe_api.settings import MODEL_ID, SETTINGS, VIDEO_FIELD

from .session import Facts, Session, answer
from .shapes import instant, job_id_of, price_of, record, records

_INPUT_KEYS = (
    "type", "kind", "default", "min", "max", "step", "minLength", "maxLength", "allowedValues",
    "required", "parent", "costImpact", "maxSize", "minDuration", "maxDuration",
)  # fmt: skip
_MODEL_KEYS = ("status", "capabilities", "accessRestrictions", "disableRefund", "performanceStats")
_PRICE_KEYS = ("creativeUnits", "currency", "unitAmount", "expires")
_SERVERS = ("server", "via", "content-type")
_LIMITS = ("parallelCustomJobs", "minCooldown", "maxCooldown", "upload")


def model(session: Session) -> Facts:
    """The model's record: its inputs with their limits, and which of them move the price."""
    found = session.get(f"/models/{MODEL_ID}")
    one = record(found.payload, "model")
    inputs = {
        str(row.get("name")): {key: row[key] for key in _INPUT_KEYS if key in row}
        for row in records(one, "inputs")
    }
    known = {row.wire for row in SETTINGS} | {VIDEO_FIELD}
    return {
        "status": found.status,
        "keys": sorted(one),
        "inputs": inputs,
        "inputs that the client does not know": sorted(set(inputs) - known),
        "record": {key: one[key] for key in _MODEL_KEYS if key in one},
    }


def jobs(session: Session) -> Facts:
    """The list of jobs: its shape, its paging, and the server's clock against this machine's."""
    found = session.get("/jobs", pageSize=1)
    facts = answer(found)
    date = instant(found.headers.get("date"))
    if date is not None:
        facts["server's clock ahead, seconds"] = round(date.timestamp() - session.clocks.now(), 1)
    token = found.payload.get("nextPaginationToken") if isinstance(found.payload, dict) else None
    facts["next page named"] = isinstance(token, str) and bool(token)
    if facts["next page named"]:
        second = session.get("/jobs", pageSize=1, paginationToken=token)
        facts["second page"] = answer(second) | {"is another": _first(second) != _first(found)}
    return facts


def _first(found: Any) -> str | None:
    return next((job_id_of({"job": job}) for job in records(found.payload, "jobs")), None)


def unknown_job(session: Session) -> Facts:
    """The error for a job that does not exist."""
    return answer(session.get(f"/jobs/job_{secrets.token_hex(12)}"))


def dry_run(session: Session) -> Facts:
    """A dry run without a video and without settings."""
    found = session.dry_run({})
    return answer(found) | {"price": price_of(found.payload)}


def bad_setting(session: Session) -> Facts:
    """The error for a number out of bounds and for a name that there is none of."""
    low = next(row for row in SETTINGS if row.bounds.minimum is not None and row.kind == "integer")
    out_of_bounds = {low.wire: int(low.bounds.minimum or 0) - 1}
    return {
        "out of bounds": answer(session.dry_run(out_of_bounds)),
        "unknown name": answer(session.dry_run({"noSuchSetting": 1})),
    }


def prices(session: Session) -> Facts:
    """What creative units cost."""
    found = session.get("/oscu/prices")
    listed = [
        {key: row[key] for key in _PRICE_KEYS if key in row}
        for row in records(found.payload, "prices")
    ]
    return answer(found) | {"prices": listed}


def team_limits(session: Session) -> Facts:
    """How many jobs may run side by side, if a key may ask."""
    teams = session.get("/teams")
    facts: Facts = {"teams": answer(teams)}
    team = next((row.get("id") for row in records(teams.payload, "teams")), None)
    if isinstance(team, str) and team.replace("_", "").replace("-", "").isalnum():
        found = session.get(f"/teams/{team}/limits")
        limits = record(found.payload, "limits")
        told = {key: limits[key] for key in _LIMITS if key in limits}
        facts["limits"] = answer(found) | {"of the plan": told}
    return facts


def wrong_credentials(session: Session) -> Facts:
    """The error for a key that there is none of: one request."""
    auth = ("first-contact", f"none-{secrets.token_hex(8)}")
    return answer(session.get("/jobs", auth=auth, pageSize=1))


def headers(session: Session) -> Facts:
    """Names of all headers that replies of the API carried, how often, and who answered."""
    replies = [found.headers for found in session.traffic.exchanges]
    names = [name for headers in replies for name in set(headers.keys())]
    told = {
        name: sorted({headers[name] for headers in replies if name in headers})
        for name in _SERVERS
        if name in names
    }
    return {"replies": len(replies), "carried": dict(sorted(Counter(names).items())), **told}


PROBES = {
    "list of jobs": jobs,
    "record of the model": model,
    "dry run": dry_run,
    "dry run of a bad setting": bad_setting,
    "unknown job": unknown_job,
    "prices": prices,
    "team limits": team_limits,
    "wrong credentials": wrong_credentials,
}
"""In this order; the wrong credentials last, should a server bar who sent them for a while."""
