"""The one paid job: found from an earlier run or submitted once, and followed to its end."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, cast

import httpx

from scenario_reframe import Asset, Entry, Job, ReframeClient, ReframeSettings
from scenario_reframe_api.settings import VIDEO_FIELD

from .pricing import Pricing, wire
from .report import SkippedError
from .session import ContactSession, Facts, response_facts
from .shapes import echo, input_of, job_id_of, object_at, objects_at, seconds_between, shape
from .uploading import upload

MARKER = "submitted.json"
_POSTED = frozenset({"intent", "posting", "uncertain"})
"""States of an entry whose submit may have reached the server: its job is looked up for free."""

_FIRST_PAUSE, _FIRST_POLLS, _LATER_PAUSE = 0.5, 40, 5.0
_LISTING_TIMEOUT = 600.0
_JOB_TIMEOUT = 3600.0


class PurchaseRefusedError(Exception):
    """Nothing was bought; the message gives the reason."""


@dataclass
class Purchase:
    """The paid job of a report folder. `confirm` is called with the price before the submit."""

    session: ContactSession
    client: ReframeClient
    folder: Path
    confirm: Callable[[str], bool]
    pricing: Pricing = field(default_factory=Pricing)
    asset: Asset | None = None
    job: Job | None = None
    is_new: bool = False
    listed: Mapping[str, Any] | None = None
    _may_buy: bool = False
    _unsent_entry: Entry | None = None

    def find(self) -> Facts:
        """Look up the job of an earlier run; nothing may be bought before that."""
        entries = self.client.entries()
        made = [entry for entry in entries if entry.job_id]
        if made:
            self.job = self.client.get_job(str(made[0].job_id))
            return {"earlier job": "resumed"}
        unfinished = self.client.entries(unfinished=True)
        if unfinished and unfinished[0].state in _POSTED:
            # No request here is paid: the client only looks up the job.
            self.job = self.client.resume(unfinished[0], timeout=_JOB_TIMEOUT).job
            return {"earlier job": "found in the list"}
        if not entries and (self.folder / MARKER).exists():
            raise PurchaseRefusedError(
                f"an earlier run was about to submit, but this ledger has no entry of it, perhaps "
                f"for other credentials or another project; nothing is bought while {MARKER} exists"
            )
        self._unsent_entry = unfinished[0] if unfinished else None
        self._may_buy = True
        return {"earlier job": "none"}

    def upload(self, video: Path | None) -> Facts:
        """Upload the video, if a job may still be bought."""
        self._check_may_buy()
        if video is None:
            raise SkippedError("there is no video")
        self.asset, facts = upload(self.session, self.client, video)
        return facts

    def estimate(self) -> Facts:
        """Find the cheapest settings, and their price."""
        self._check_may_buy()
        return self.pricing.find(self.session, self.asset.id if self.asset else None)

    def _check_may_buy(self) -> None:
        if self.job is not None:
            raise SkippedError("the job was submitted by an earlier run")
        if not self._may_buy:
            raise SkippedError("nothing is bought until the job of an earlier run is looked up")

    def submit(self) -> Facts:
        """Submit once, if the price is confirmed."""
        self._check_may_buy()
        if self.asset is None or self.pricing.price is None:
            raise PurchaseRefusedError(
                "nothing was bought: the upload failed, or no price is known"
            )
        price = self.pricing.price
        if not self.confirm(f"One job for {price:g} creative units, which cannot be cancelled."):
            raise SkippedError("not confirmed it; nothing was bought")
        (self.folder / MARKER).touch()
        try:
            with self.session.traffic.allow_paid_requests():
                self.job = self._submit_or_resume(self.asset)
        finally:
            sent = self.session.traffic.submitted
            if sent is not None:
                (self.folder / MARKER).write_text(json.dumps(sent), "utf-8")
        self.is_new = self.session.traffic.submit is not None
        return self._submit_facts()

    def _submit_or_resume(self, asset: Asset) -> Job:
        if self._unsent_entry is not None:
            return self.client.resume(self._unsent_entry, timeout=_JOB_TIMEOUT).job
        settings = cast("ReframeSettings", self.pricing.settings)
        return self.client.submit(asset, **settings)

    def _submit_facts(self) -> Facts:
        found = self.session.traffic.submit
        if found is None:
            return {"response": "none; the job was found in the list"}
        facts = response_facts(found) | {"seconds": round(found.ended - found.began, 2)}
        job = object_at(found.payload, "job")
        facts["first status"] = job.get("status")
        facts["date to createdAt, seconds"] = seconds_between(
            found.headers.get("date"), job.get("createdAt")
        )
        return facts | {"price before": self.pricing.price}

    def measure_listing(self) -> Facts:
        """Poll the list until the new job is in it."""
        submit = self.session.traffic.submit
        if self.job is None or submit is None:
            raise SkippedError("only the run that submits can measure it")
        clocks = self.session.clocks
        # An hour back, in case the clocks differ.
        since = datetime.fromtimestamp(clocks.now() - 3600, UTC).isoformat(timespec="milliseconds")
        for polls in count(1):
            position = self._position_of(self.job, createdAfter=since)
            waited = round(clocks.elapsed() - submit.ended, 2)
            if position is not None:
                return {
                    "seconds after the reply": waited,
                    "polls": polls,
                    "position among those of the last hour": position,
                    "position on the first page": self._position_of(self.job),
                }
            if waited > _LISTING_TIMEOUT:
                break
            clocks.pause(_FIRST_PAUSE if polls < _FIRST_POLLS else _LATER_PAUSE)
        return {"seconds after the reply": f"not within {_LISTING_TIMEOUT:g}", "polls": polls}

    def _position_of(self, job: Job, **query: Any) -> int | None:
        """The job's position on a list's first page; None if it is missing or the poll failed."""
        try:
            found = self.session.get("/jobs", pageSize=100, **query)
        except httpx.TransportError:
            return None
        rows = objects_at(found.payload, "jobs")
        ids = [job_id_of({"job": row}) for row in rows]
        if job.id not in ids:
            return None
        self.listed = rows[ids.index(job.id)]
        return ids.index(job.id)

    def echo(self) -> Facts:
        """How the request is echoed: in the submit's response, in the list, and by id."""
        job = self._require_job()
        submit = self.session.traffic.submit
        by_id = self.session.get(f"/jobs/{job.id}")
        views = {
            "in the submit's response": object_at(submit.payload, "job") if submit else None,
            "in the list": self.listed,
            "by its id": object_at(by_id.payload, "job"),
        }
        sent = self._sent()
        return {
            "sent": {key: value for key, value in sent.items() if key != VIDEO_FIELD},
            **{name: _echo_facts(sent, view) for name, view in views.items() if view is not None},
        }

    def _sent(self) -> dict[str, Any]:
        """The submitted body; if the run was killed meanwhile, the settings without the seed."""
        try:
            found = json.loads((self.folder / MARKER).read_text("utf-8"))
        except (OSError, ValueError):
            found = None
        return found if isinstance(found, dict) else wire(self.pricing.settings)

    def wait(self) -> Facts:
        """Wait for the job's end; return its statuses and its cost."""
        self.job = self.client.wait(self._require_job(), timeout=_JOB_TIMEOUT)
        raw = self.job.raw
        history = [
            {"status": row.get("status"), "after": seconds_between(raw.get("createdAt"), when)}
            for row in objects_at(raw, "statusHistory")
            if (when := row.get("date"))
        ]
        return {
            "keys": sorted(raw),
            "statuses": history,
            "seconds": seconds_between(raw.get("createdAt"), raw.get("updatedAt")),
            "billing": shape(raw.get("billing")),
            "cost": self.job.cost,
        }

    def _require_job(self) -> Job:
        if self.job is None:
            raise SkippedError("there is no job")
        return self.job


def _echo_facts(sent: Mapping[str, Any], job: Mapping[str, Any]) -> Facts:
    found = input_of(job)
    if found is None:
        return {"metadata.input": "missing"}
    extra = {key: shape(value) for key, value in found.items() if key not in sent}
    return {**echo(sent, found), "echoed but not sent": extra}
