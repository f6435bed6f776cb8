"""The one job that is bought: found again, or submitted once, and followed to its end."""

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
from .session import Facts, Session, answer
from .shapes import echo, input_of, job_id_of, record, records, seconds_between, shape
from .uploading import upload

MARKER = "submitted.json"
_POSTED = frozenset({"intent", "posting", "uncertain"})
"""States of an entry whose submit may have reached the server: it is looked for, free of charge."""

_SOON, _POLLS_AT_FIRST, _LATER = 0.5, 40, 5.0
_LONGEST_LISTING = 600.0
_LONGEST_WAIT = 3600.0


class RefusedError(Exception):
    """Nothing was bought: the text says why."""


@dataclass
class Purchase:
    """One report folder's job. `confirm` is asked before anything is paid, and says yes or no."""

    session: Session
    client: ReframeClient
    folder: Path
    confirm: Callable[[str], bool]
    pricing: Pricing = field(default_factory=Pricing)
    asset: Asset | None = None
    job: Job | None = None
    is_new: bool = False
    listed: Mapping[str, Any] | None = None
    _may_buy: bool = False
    _unsent: Entry | None = None

    def find(self) -> Facts:
        """Look for the job of an earlier run; until that is done, nothing may be bought."""
        entries = self.client.entries()
        made = [entry for entry in entries if entry.job_id]
        if made:
            self.job = self.client.get_job(str(made[0].job_id))
            return {"earlier job": "taken up"}
        unfinished = self.client.entries(unfinished=True)
        if unfinished and unfinished[0].state in _POSTED:
            # Nothing can be paid here: the client only looks for the job, which is there or not.
            self.job = self.client.resume(unfinished[0], timeout=_LONGEST_WAIT).job
            return {"earlier job": "found in the list"}
        if not entries and (self.folder / MARKER).exists():
            raise RefusedError(
                f"an earlier run was about to submit, and this ledger does not know it: other "
                f"credentials or another project? Nothing is bought here while {MARKER} is there"
            )
        self._unsent = unfinished[0] if unfinished else None
        self._may_buy = True
        return {"earlier job": "none"}

    def bring(self, video: Path | None) -> Facts:
        """Upload the video, if a job is going to need it."""
        self._check_open()
        if video is None:
            raise SkippedError("there is no video")
        self.asset, facts = upload(self.session, self.client, video)
        return facts

    def estimate(self) -> Facts:
        """Find the cheapest settings, and their price."""
        self._check_open()
        return self.pricing.find(self.session, self.asset.id if self.asset else None)

    def _check_open(self) -> None:
        if self.job is not None:
            raise SkippedError("the job was submitted by an earlier run")
        if not self._may_buy:
            raise SkippedError("nothing is bought while it is unclear what an earlier run did")

    def submit(self) -> Facts:
        """Submit once, if somebody confirms the price."""
        self._check_open()
        if self.asset is None or self.pricing.price is None:
            raise RefusedError("nothing was bought: the upload failed, or no price is known")
        price = self.pricing.price
        if not self.confirm(f"One job for {price:g} creative units, which nobody can cancel."):
            raise SkippedError("nobody confirmed it; nothing was bought")
        (self.folder / MARKER).touch()
        try:
            with self.session.traffic.paying():
                self.job = self._bought(self.asset)
        finally:
            sent = self.session.traffic.submitted
            if sent is not None:
                (self.folder / MARKER).write_text(json.dumps(sent), "utf-8")
        self.is_new = self.session.traffic.submit is not None
        return self._submitted()

    def _bought(self, asset: Asset) -> Job:
        if self._unsent is not None:
            return self.client.resume(self._unsent, timeout=_LONGEST_WAIT).job
        settings = cast("ReframeSettings", self.pricing.settings)
        return self.client.submit(asset, **settings)

    def _submitted(self) -> Facts:
        found = self.session.traffic.submit
        if found is None:
            return {"reply": "none; the job was found in the list"}
        facts = answer(found) | {"seconds": round(found.ended - found.began, 2)}
        job = record(found.payload, "job")
        facts["first status"] = job.get("status")
        facts["date to createdAt, seconds"] = seconds_between(
            found.headers.get("date"), job.get("createdAt")
        )
        return facts | {"price before": self.pricing.price}

    def look(self) -> Facts:
        """Ask for the list until the new job is in it."""
        submit = self.session.traffic.submit
        if self.job is None or submit is None:
            raise SkippedError("only the run that submits can measure it")
        clocks = self.session.clocks
        # As the client looks for a lost job: an hour back, should the clocks differ.
        since = datetime.fromtimestamp(clocks.now() - 3600, UTC).isoformat(timespec="milliseconds")
        for polls in count(1):
            place = self._place_of(self.job, createdAfter=since)
            waited = round(clocks.elapsed() - submit.ended, 2)
            if place is not None:
                return {
                    "seconds after the reply": waited,
                    "polls": polls,
                    "place among those since an hour ago": place,
                    "place on the first page of all": self._place_of(self.job),
                }
            if waited > _LONGEST_LISTING:
                break
            clocks.pause(_SOON if polls < _POLLS_AT_FIRST else _LATER)
        return {"seconds after the reply": f"not within {_LONGEST_LISTING:g}", "polls": polls}

    def _place_of(self, job: Job, **query: Any) -> int | None:
        """Where the job stands on a list's first page; a poll that is lost says nothing."""
        try:
            found = self.session.get("/jobs", pageSize=100, **query)
        except httpx.TransportError:
            return None
        rows = records(found.payload, "jobs")
        ids = [job_id_of({"job": row}) for row in rows]
        if job.id not in ids:
            return None
        self.listed = rows[ids.index(job.id)]
        return ids.index(job.id)

    def echo(self) -> Facts:
        """How the request comes back: in the submit's reply, in the list, and by id."""
        job = self._made()
        submit = self.session.traffic.submit
        by_id = self.session.get(f"/jobs/{job.id}")
        views = {
            "in the submit's reply": record(submit.payload, "job") if submit else None,
            "in the list": self.listed,
            "by its id": record(by_id.payload, "job"),
        }
        sent = self._sent()
        return {
            "sent": {key: value for key, value in sent.items() if key != VIDEO_FIELD},
            **{name: _echoed(sent, view) for name, view in views.items() if view is not None},
        }

    def _sent(self) -> dict[str, Any]:
        """The body that went out; of a run that was killed meanwhile, what it is known to hold."""
        try:
            found = json.loads((self.folder / MARKER).read_text("utf-8"))
        except (OSError, ValueError):
            found = None
        return found if isinstance(found, dict) else wire(self.pricing.settings)

    def wait(self) -> Facts:
        """Wait for the end; the statuses on the way, and what was charged."""
        self.job = self.client.wait(self._made(), timeout=_LONGEST_WAIT)
        raw = self.job.raw
        history = [
            {"status": row.get("status"), "after": seconds_between(raw.get("createdAt"), when)}
            for row in records(raw, "statusHistory")
            if (when := row.get("date"))
        ]
        return {
            "keys": sorted(raw),
            "statuses": history,
            "seconds": seconds_between(raw.get("createdAt"), raw.get("updatedAt")),
            "billing": shape(raw.get("billing")),
            "cost": self.job.cost,
        }

    def _made(self) -> Job:
        if self.job is None:
            raise SkippedError("there is no job")
        return self.job


def _echoed(sent: Mapping[str, Any], job: Mapping[str, Any]) -> Facts:
    found = input_of(job)
    if found is None:
        return {"metadata.input": "not there"}
    extra = {key: shape(value) for key, value in found.items() if key not in sent}
    return {**echo(sent, found), "echoed though not sent": extra}
