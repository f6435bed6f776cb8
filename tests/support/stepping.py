"""Steps flows by hand: scripted answers, a clock that only pauses move, no socket and no sleep."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import field, frozen

from scenario_reframe.api.operations import Operations
from scenario_reframe.flow.steps import (
    Blocking,
    Call,
    Flow,
    NoReply,
    Pause,
    Pull,
    Push,
    Reply,
    Request,
    Send,
    Step,
    Together,
)
from scenario_reframe.timing import Timing
from scenario_reframe_api.settings import MODEL_ID

T = TypeVar("T")

SUBMIT_PATH = f"/generate/custom/{MODEL_ID}"
DATE = "Thu, 01 Jan 2026 10:00:00 GMT"
"""The server's time at the start of every script."""

VENDORS_429 = {
    "reason": "Too many parallel jobs",
    "details": {"actionName": "parallel-custom-jobs", "actionLimit": 5},
}
"""The body of the vendor's own 429."""

START = 1000.0


@frozen
class File:
    """A file host's answer: a head, a body in chunks, and perhaps a break after them."""

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    chunks: Sequence[bytes] = ()
    cut: Exception | None = None


@frozen
class Unsent:
    """An error raised before the body is handed over; after its check if `is_checked`."""

    error: BaseException
    is_checked: bool = False


Answer = Reply | NoReply | File | BaseException | Unsent | Callable[[], Reply | NoReply]
"""A function plays the server: it is called once the body has been handed over."""
Script = Callable[[Send | Pull | Push], Answer]


def reply(payload: Any, status: int = 200, **headers: str) -> Reply:
    """A reply with a JSON body, or with these bytes."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, content)


def lost(*, sent: bool = True) -> NoReply:
    """No reply: the connection broke after sending, or (not `sent`) before."""
    return NoReply(OSError("broken"), sent=sent)


def job_record(job_id: str = "job_1", status: str = "queued", **more: Any) -> dict[str, Any]:
    """A job as a JSON object, with as few fields as a test needs."""
    return {"jobId": job_id, "jobType": "custom", "status": status, **more}


def job_reply(status: str = "queued", job_id: str = "job_1", **more: Any) -> Reply:
    """A reply that holds one job."""
    return reply({"job": job_record(job_id, status, **more)})


def asset_record(asset_id: str = "asset_1", **more: Any) -> dict[str, Any]:
    """An asset as a JSON object."""
    return {"id": asset_id, "url": f"https://cdn.test/{asset_id}?Signature=s", **more}


def asset_reply(asset_id: str = "asset_1", size: int | None = None, **more: Any) -> Reply:
    """A reply that holds one asset, of a known size in bytes or of none."""
    known = {} if size is None else {"properties": {"size": size}}
    return reply({"asset": asset_record(asset_id, **known, **more)})


class Stepper:
    """Performs a flow's steps, and records them.

    Answers to Send, Pull and Push come from a script: a function of the step, or a sequence. An
    answer that is an exception is thrown into the flow. A body is handed over as by the drivers: it
    is checked right before, and not sent if the check raises. `before` is called with each step;
    what it raises is thrown into the flow instead, as a cancellation would be.
    """

    def __init__(self, *answers: Answer, script: Script | None = None, took: float = 0.0) -> None:
        self.steps: list[Step] = []
        self.left = deque(answers)
        self.now = START
        self.timing = Timing(clock=self.clock)
        self.pushed: list[bytes] = []
        self.before: Callable[[Step], None] = lambda _: None
        self._script = script
        self._took = took

    def clock(self) -> float:
        """The time in seconds, which pauses move, and requests too if they take time."""
        return self.now

    def operations(self, project_id: str | None = None) -> Operations:
        """The API's operations, with this clock."""
        return Operations(project_id, self.timing)

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow to its end; what it returns."""
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = flow.send(answer) if error is None else flow.throw(error)
            except StopIteration as stop:
                result: T = stop.value
                return result
            self.steps.append(step)
            try:
                self.before(step)
                answer, error = self._perform(step), None
            except BaseException as fault:  # noqa: BLE001 - the flow decides
                answer, error = None, fault

    @property
    def requests(self) -> list[Request]:
        """The API requests that were sent."""
        return [step.request for step in self.steps if isinstance(step, Send)]

    @property
    def sent(self) -> list[str]:
        """The API requests that were sent, as `METHOD /path`."""
        return [f"{request.method} {request.path}" for request in self.requests]

    @property
    def pauses(self) -> list[float]:
        """The seconds of each pause."""
        return [step.seconds for step in self.steps if isinstance(step, Pause)]

    @property
    def pulls(self) -> list[Pull]:
        """The downloads that were started."""
        return [step for step in self.steps if isinstance(step, Pull)]

    @property
    def pushes(self) -> list[Push]:
        """The parts that were sent."""
        return [step for step in self.steps if isinstance(step, Push)]

    def _perform(self, step: Step) -> Any:
        match step:
            case Pause(seconds):
                self.now += seconds
                return None
            case Call(callback, arguments):
                return callback(*arguments)
            case Blocking(function):
                return function()
            case Together(flows, _):
                return [self.run(flow) for flow in flows]
            case Send():
                return self._answer(step)
            case Pull():
                return self._pull(step)
            case Push():
                self.pushed.append(b"".join(step.read()))
                step.progress.add(len(self.pushed[-1]))
                return self._answer(step)

    def _answer(self, step: Send | Pull | Push) -> Any:
        self.now += self._took
        if self._script:
            answer = self._script(step)
        else:
            assert self.left, f"no answer is left for {step}"
            answer = self.left.popleft()
        if isinstance(step, Send) and step.request.body is not None:
            _hand_over(step, answer)
        if isinstance(answer, Unsent):
            raise answer.error
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer

    def _pull(self, step: Pull) -> Reply | NoReply:
        answer = self._answer(step)
        if not isinstance(answer, File):
            assert isinstance(answer, NoReply)
            return answer
        try:
            if step.sink.accept(answer.status, answer.headers):
                for chunk in answer.chunks:
                    step.sink.write(chunk)
                    step.progress.add(len(chunk))
        finally:
            step.sink.close()
        if answer.cut:
            return NoReply(answer.cut, sent=True)
        return Reply(answer.status, answer.headers, b"")


def _hand_over(step: Send, answer: Answer) -> None:
    """Hand over a request's body, unless nothing is sent; raises what its check raises."""
    if isinstance(answer, NoReply) and not answer.sent:
        return
    if isinstance(answer, Unsent) and not answer.is_checked:
        return
    if step.handover.check is not None:
        step.handover.check()
    step.handover.happened = not isinstance(answer, Unsent)
