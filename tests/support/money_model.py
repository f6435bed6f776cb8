"""Flows stepped by hand against the model server. No I/O but the ledger's."""

from collections.abc import Callable, Sequence
from typing import Any

import httpx
from attrs import define, field

from money_processes import Processes
from money_rules import CallArguments, Post, Process, Reading, Request, ViolationError, Walk
from money_server import Fate
from scenario_reframe.api.operations import PAGE_SIZE
from scenario_reframe.errors import SubmissionUncertainError
from scenario_reframe.flow.steps import Blocking, Call, NoReply, Pause, Reply, Send, Step
from scenario_reframe.models import Submission
from scenario_reframe.run_state import Options

NEVER_SENT = "never sent"


@define(eq=False)
class World(Processes):
    """All requests, and the flows that are stepped for them."""

    _by_key: dict[str, Request] = field(factory=dict)

    # --- calls ------------------------------------------------------------------------------------

    def submit(self, process: Process, arguments: CallArguments) -> Walk:
        """Call `submit`."""
        key = arguments.key if arguments.is_callers_key else None
        flow = process.pipeline.submit_only(arguments.video, key, None, arguments.settings)
        return self._begin(Walk(process, self._request_of(arguments), flow))

    def reframe(self, process: Process, arguments: CallArguments, permission: float | None) -> Walk:
        """Call `reframe`; with permission, as a batch does."""
        assert arguments.video is not None
        key = arguments.key if arguments.is_callers_key else None
        options = Options(resubmit_after=permission, waits_to_resubmit=permission is not None)
        flow = process.pipeline.reframe(arguments.video, options, key, None, arguments.settings)
        return self._begin(Walk(process, self._request_of(arguments), flow, permission))

    def resume(self, process: Process, index: int, permission: float | None) -> Walk | None:
        """Call `resume` for one of the unfinished entries."""
        assert process.ledger is not None
        unfinished = process.ledger.entries(unfinished=True)
        if not unfinished:
            return None
        entry = unfinished[index % len(unfinished)]
        flow = process.pipeline.resume(entry, Options(resubmit_after=permission))
        return self._begin(Walk(process, self.entries[entry.id], flow, permission))

    def find_job(self, process: Process, request: Request, submission: Submission) -> Walk:
        """Call `find_job`."""
        flow = process.pipeline.find_job(submission)
        return self._begin(Walk(process, request, flow, submission=submission))

    def _request_of(self, arguments: CallArguments) -> Request:
        if arguments.key is not None and arguments.key in self._by_key:
            return self._by_key[arguments.key]
        self.requests.append(Request(len(self.requests), arguments))
        if arguments.key is not None:
            self._by_key[arguments.key] = self.requests[-1]
        return self.requests[-1]

    # --- steps ------------------------------------------------------------------------------------

    def _begin(self, walk: Walk) -> Walk:
        self.walks.append(walk)
        self._go_on(walk, lambda: next(walk.flow))
        return walk

    def advance(self, walk: Walk, fate: Fate, get: str = "") -> None:
        """Perform a walk's step; a POST takes two, between which it is on the wire."""
        step = walk.step
        match step:
            case Send() if walk.on_wire is not None:
                self._answer(walk, walk.on_wire)
            case Send() if step.request.method == "POST":
                self._hand_over(walk, step, fate)
            case Send():
                self.tick(0.1)
                self._answered(walk, self._get(walk, step, get))
            case Pause(seconds):
                self.tick(seconds)
                self._answered(walk, None)
            case Blocking(function):
                self._call(walk, function)
            case Call(callback, arguments):
                self._call(walk, lambda: callback(*arguments))
            case _:
                raise AssertionError(step)

    def finish(self, walks: Sequence[Walk], fate: Fate, most: int = 5000) -> None:
        """Advance the walks in turns until all have ended, since one may wait for another."""
        for _ in range(most):
            going = [walk for walk in walks if not walk.is_over]
            if not going:
                return
            for walk in going:
                self.advance(walk, fate)
        raise ViolationError(f"a flow does not end: {going[0].step}")

    def interrupt(self, walk: Walk, error: BaseException) -> None:
        """Throw an exception into a flow, whatever it waits for."""
        if walk.on_wire is not None:
            walk.on_wire.ended, walk.on_wire = self.now, None
        if isinstance(error, GeneratorExit):
            walk.flow.close()
            walk.is_over, walk.error = True, error
            self.check_all(walk)
        else:
            self._go_on(walk, lambda: walk.flow.throw(error))

    def _answered(self, walk: Walk, answer: Any) -> None:
        self._go_on(walk, lambda: walk.flow.send(answer))

    def _call(self, walk: Walk, function: Callable[[], Any]) -> None:
        try:
            answer = function()
        except BaseException as fault:  # noqa: BLE001 - the flow decides
            self._go_on(walk, lambda error=fault: walk.flow.throw(error))  # type: ignore[misc]
        else:
            self._answered(walk, answer)

    def _hand_over(self, walk: Walk, step: Send, fate: Fate) -> None:
        body, check = step.request.body, step.handover.check
        assert body is not None
        if fate.answer == NEVER_SENT:
            self._answered(walk, NoReply(httpx.ConnectError("refused"), sent=False))
            return
        try:
            if check is not None:
                check()
        except BaseException as fault:  # noqa: BLE001 - the flow decides
            self._go_on(walk, lambda error=fault: walk.flow.throw(error))  # type: ignore[misc]
            return
        step.handover.happened = True
        request = walk.request
        self.check_post(walk)
        entry = max((n for n, one in self.entries.items() if one is request), default=None)
        made = self.server.take(request.number, body, fate)
        age = walk.process.pipeline.operations.server.age()
        request.body, walk.on_wire = body, Post(self.now, fate, made, entry, time_age=age)
        request.posts.append(walk.on_wire)
        walk.own.append(walk.on_wire)
        self.tick(0.1)

    def _answer(self, walk: Walk, post: Post) -> None:
        walk.on_wire, post.ended, post.is_answered = None, self.now, True
        if post.fate.kind == "named" and post.made is not None:
            walk.named = post.made.id
        self._answered(walk, self.server.answer(post.fate, post.made))

    def _get(self, walk: Walk, step: Send, how: str) -> Reply | NoReply:
        if how == "cut":
            return NoReply(httpx.ReadError("reset"), sent=True)
        if how:
            return Reply(int(how), {}, b'{"reason": "not now"}')
        reply, params = self.server.get(step.request), step.request.params
        if params.get("pageSize") == PAGE_SIZE:
            if "paginationToken" not in params or walk.reading is None:
                walk.reading = Reading(self.now)
            shown = reply.content.decode()
            walk.reading.shown += [job for job in self.server.jobs if f'"{job.id}"' in shown]
            walk.reading.is_whole = "nextPaginationToken" not in shown
        return reply

    def _go_on(self, walk: Walk, act: Callable[[], Step]) -> None:
        try:
            walk.step = act()
        except StopIteration as stop:
            walk.is_over, walk.result = True, stop.value
        except AssertionError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is checked below
            walk.is_over, walk.error = True, error
        self.check_all(walk)

    def check_all(self, walk: Walk) -> None:
        """Check every rule after a step of a walk."""
        self.check_entries(walk)
        if walk.is_over:
            self.check_end(walk)
        self.check_jobs()

    # --- the end ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring everything to its end: no job that can be identified by its seed stays unknown."""
        for process in self.processes:
            process.is_stopped = False
        self.finish(self.under_way(), Fate())
        self.tick(7200.0)
        self._change(
            "UPDATE entries SET lease_until = 0"
        )  # a clock that was set back would keep it
        process = self.processes[-1] if self.processes else self.start()
        if process.ledger is None:
            walks: list[Walk | None] = [
                self.find_job(process, *one) for one in list(self.uncertain)
            ]
        else:
            number = len(process.ledger.entries(unfinished=True))
            walks = [self.resume(process, index, None) for index in reversed(range(number))]
        settled = [walk for walk in walks if walk is not None]
        self.finish(settled, Fate())
        for walk in settled:
            self._check_settled(walk)

    def _check_settled(self, walk: Walk) -> None:
        request, error = walk.request, walk.error
        if not request.is_seed_drawn:
            return
        jobs = [job for job in self.server.jobs if job.request == request.number]
        named = [job.id for job in jobs if job.fate.echo not in ("no seed", "nothing")]
        if len(jobs) == len(named) == 1 and not (walk.result or getattr(error, "job", None)):
            raise ViolationError(f"{named} is not found: {error!r}")
        if isinstance(error, SubmissionUncertainError) and not named:
            missing = {job.id for job in jobs} - {job.id for job in error.candidates}
            if missing:
                raise ViolationError(f"{missing} could be it, and is not named: {error!r}")
