"""Flows for one call of the API: sent once, or repeated where that is safe."""

from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import evolve, frozen

from scenario_reframe.errors import ConnectionFailedError, ReframeError
from scenario_reframe.flow.connection_faults import explain
from scenario_reframe.flow.steps import Flow, Handover, NoReply, Pause, Reply, Request, Send
from scenario_reframe.timing import Timing

from . import retry

T = TypeVar("T")


@frozen
class Operation(Generic[T]):
    """A request, and the function that reads the reply to it."""

    request: Request
    parse: Callable[[Reply], T]


def send(operation: Operation[T], handover: Handover | None = None, grace: float = 0.0) -> Flow[T]:
    """One attempt. Raises ConnectionFailedError, and whatever `parse` raises."""
    answer = yield Send(operation.request, handover or Handover(), grace)
    if isinstance(answer, NoReply):
        what = "the reply was not complete" if answer.sent else "could not connect"
        why = explain(answer.error) or f"{type(answer.error).__name__}: {answer.error}"
        raise ConnectionFailedError(
            f"{operation.request.method} {operation.request.path}: {what} ({why})",
            sent=answer.sent,
        ) from answer.error
    return operation.parse(answer)


def repeat(operation: Operation[T], timing: Timing) -> Flow[T]:
    """Up to `retry.ATTEMPTS` attempts, for calls that cost nothing and may safely be repeated."""
    failed = 0
    while True:
        try:
            return (yield from send(operation))
        except ReframeError as error:
            failed += 1
            pause = retry.pause_before_retry(error, failed, timing)
            if pause is None:
                raise
        yield Pause(pause)


def within(operation: Operation[T], seconds: float | None) -> Operation[T]:
    """The same operation, with a timeout in seconds."""
    return evolve(operation, request=evolve(operation.request, timeout=seconds))
