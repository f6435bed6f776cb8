"""A client's pipeline, stepped by hand before a scripted server."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import pytest
from attrs import evolve

from scenario_reframe import Job, ReframeError, ReframeResult
from scenario_reframe.api.json_values import iso
from scenario_reframe.flow.steps import Flow, NoReply, Reply, Request, Send
from scenario_reframe.ledger.interface import Entry
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.pipeline import Pipeline
from scenario_reframe.recovery import KnownJobs
from scenario_reframe.run_state import Options
from stepping import START, SUBMIT_PATH, Answer, Stepper, Unsent, job_record, reply

T = TypeVar("T")

POST = f"POST {SUBMIT_PATH}"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The server's time when a scene begins."""
LOOK_UP_SECONDS = 60.0
"""Seconds for which the client looks for a lost job."""

Body = Mapping[str, Any]
Listed = Mapping[str, Any] | Callable[[Body], Mapping[str, Any]]
"""A listed job, or a function that makes it from the last body sent."""
Page = Sequence[Listed] | Reply | NoReply | Callable[[Body], Reply]


def mine(job_id: str = "job_mine", *, without: Sequence[str] = (), **changed: Any) -> Listed:
    """A listed job that echoes what was sent, with some of it changed or left out."""

    def listed(body: Body) -> Mapping[str, Any]:
        echoed = {key: value for key, value in {**body, **changed}.items() if key not in without}
        return job_record(job_id, createdAt=at(1), metadata={"input": echoed})

    return listed


def at(seconds: float) -> str:
    """So many seconds after the scene began, by the server's clock, as the API writes it."""
    return iso(NOON + timedelta(seconds=seconds))


class Scene:
    """The flows of one client, and what the server saw of them.

    `answers`: the replies to submits; `pages`: what the readings of the list show. The last of each
    is repeated. `by_id`: jobs that can be read by id; `times`: the replies to a GET for the time.
    The server's clock is `ahead` seconds before the stepper's; a test may change that at any time.
    """

    def __init__(
        self,
        *answers: Answer,
        pages: Sequence[Page] = ((),),
        by_id: Mapping[str, Answer] | None = None,
        project_id: str | None = "proj_1",
        has_ledger: bool = False,
        times: Sequence[Answer] = (),
        is_dated: bool = True,
        took: float = 0.0,
    ) -> None:
        self.answers = list(answers)
        self.pages = list(pages)
        self.by_id = by_id or {}
        self.times = list(times)
        self.is_dated = is_dated
        self.ahead = 0.0
        self.lists: list[Request] = []
        self.posted: list[Body] = []
        self.stepper = Stepper(script=self._answer, took=took)
        operations = self.stepper.operations(project_id)
        ledger = SqlLedger(
            None, base_url="https://api.test/v1", project_id=project_id, api_key="k",
            longest_post=0.0, timing=self.stepper.timing,
        ) if has_ledger else None  # fmt: skip
        if ledger is not None:
            weakref.finalize(self, ledger.close)
        self.pipeline = Pipeline(operations, ledger, KnownJobs())

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow to its end."""
        return self.stepper.run(flow)

    def submit(self, video: Any = "asset_in", key: str | None = None, **settings: Any) -> Job:
        """Submit, stepped by hand."""
        return self.run(self.pipeline.submit_only(video, key, None, settings))

    def fails(self, kind: type[Any] = ReframeError, **arguments: Any) -> Any:
        """Submit, stepped by hand; the error that it must raise."""
        with pytest.raises(kind) as caught:
            self.submit(**arguments)
        return caught.value

    def reframe(self, settings: Mapping[str, Any] | None = None, **options: Any) -> ReframeResult:
        """Reframe up to the assets, without a file, stepped by hand."""
        flow = self.pipeline.reframe("asset_in", Options(**options), None, None, settings or {})
        return self.run(flow)

    @property
    def sent(self) -> list[str]:
        """All requests, as `METHOD /path`."""
        return self.stepper.sent

    @property
    def paused(self) -> float:
        """The seconds paused so far."""
        return sum(self.stepper.pauses)

    @property
    def entries(self) -> Sequence[Entry]:
        """The ledger's entries, newest first."""
        return () if self.pipeline.ledger is None else self.pipeline.ledger.entries()

    @property
    def states(self) -> list[str]:
        """The states of these entries."""
        return [entry.state for entry in self.entries]

    def forget(self) -> None:
        """Continue as another client of the same ledger."""
        self.pipeline = evolve(self.pipeline, known=KnownJobs())

    def lose_the_claim(self) -> None:
        """Let another process claim everything, as if our leases had ended."""
        assert isinstance(self.pipeline.ledger, SqlLedger)
        with self.pipeline.ledger.database.transaction() as transaction:
            transaction.run("UPDATE entries SET owner = 'another', fence = fence + 1")

    def _answer(self, step: Any) -> Answer:
        assert isinstance(step, Send)
        request = step.request
        if request.method == "POST":
            return self._answer_to_submit(request)
        if request.path != "/jobs":
            return self.by_id.get(request.path.removeprefix("/jobs/"), reply({}, 404))
        if "createdAfter" not in request.params:
            return self.times[0] if self.times else self._dated(reply({"jobs": []}))
        self.lists.append(request)
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        body = self.posted[-1] if self.posted else {}
        if not isinstance(page, Sequence):
            return self._dated(page(body) if callable(page) else page)
        return self._dated(reply({"jobs": [one(body) if callable(one) else one for one in page]}))

    def _answer_to_submit(self, request: Request) -> Answer:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Unsent) or (isinstance(answer, NoReply) and not answer.sent):
            return answer

        def arrived() -> Reply | NoReply:
            assert request.body is not None
            self.posted.append(request.body)
            found = answer() if callable(answer) else answer
            if isinstance(found, BaseException):
                raise found
            assert isinstance(found, Reply | NoReply)
            return self._dated(found)

        return arrived

    def _dated(self, answer: Reply | NoReply) -> Reply | NoReply:
        if not isinstance(answer, Reply) or not self.is_dated:
            return answer
        now = NOON + timedelta(seconds=self.stepper.now - START + self.ahead)
        date = {"date": format_datetime(now, usegmt=True)}
        return Reply(answer.status, {**date, **answer.headers}, answer.content)
