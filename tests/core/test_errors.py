"""Errors survive pickling and copying."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from threading import Lock
from typing import Any, NoReturn

import pytest

from copying import TRAVELS, Travel
from scenario_reframe import BatchItem, BatchOutcome, Job, Submission, errors
from scenario_reframe.errors import ApiError, ReframeError
from scenario_reframe.ledger.interface import BudgetSpentError, NoSlotError, TwinOpenError

JOB = Job(id="job_1", status="queued", input={"seed": 7}, raw={"jobId": "job_1"})
SUBMISSION = Submission(
    seed=7, body={"seed": 7}, started_at=datetime(2026, 1, 2, tzinfo=UTC), token="t"
)
MADE: dict[type[ReframeError], Callable[[Any], ReframeError]] = {
    ApiError: lambda kind: kind("no", status_code=429, reason="r", request_id="i", body={"a": 1}),
    errors.InvalidSettingsError: lambda kind: kind(["one", "two"]),
    errors.InvalidBatchError: lambda kind: kind([(0, "one"), (3, "two")]),
    errors.ConnectionFailedError: lambda kind: kind("broken", sent=True),
    errors.SubmissionUncertainError: lambda kind: kind(
        "?", submission=SUBMISSION, candidates=[JOB]
    ),
    NoSlotError: lambda kind: kind(2, ["job_1", "job_2"]),
    TwinOpenError: lambda kind: kind("twin", is_uncertain=True, is_in_process=True),
    ReframeError: lambda kind: kind("what happened"),
}
"""How they are made, and those below them."""


def kinds(root: type[ReframeError] = ReframeError) -> Iterator[type[ReframeError]]:
    """Every error class of the package."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


KINDS = sorted({one for one in kinds() if one.__module__.startswith("scenario_reframe.")}, key=str)


def test_every_error_class_is_tested() -> None:
    """The ledger's errors too."""
    named = {one for one in vars(errors).values() if isinstance(one, type)} & {*kinds()}
    assert {*named, NoSlotError, BudgetSpentError, TwinOpenError, *MADE} <= {*KINDS}
    assert len(named) > 15


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("travel", TRAVELS.values(), ids=TRAVELS)
def test_an_error_is_pickled_and_copied_whole(travel: Travel, kind: type[ReframeError]) -> None:
    """With its text, attributes, paid job and notes, as when it comes from a pool's worker."""
    error = made(kind)
    for other in (travel(error), travel(travel(error))):
        assert_same(other, error)


class OwnError(ApiError):
    """A caller's error, with arguments of its own."""

    def __init__(self, clip: str, *, attempts: int) -> None:
        super().__init__(
            f"{clip} failed", status_code=500, reason="r", request_id=None, body={"a": [1]}
        )
        self.clip = clip
        self.attempts = attempts


@pytest.mark.parametrize("travel", TRAVELS.values(), ids=TRAVELS)
def test_a_callers_own_error_is_whole_too(travel: Travel) -> None:
    """A subclass needs no method for it, whatever its arguments."""
    error = OwnError("clip.mp4", attempts=3)
    error.job = JOB
    assert_same(travel(error), error)


@pytest.mark.parametrize("travel", TRAVELS.values(), ids=TRAVELS)
def test_an_error_may_refer_to_itself(travel: Travel) -> None:
    """As one does that knows the outcome which it is the error of."""
    error: Any = errors.DownloadError("cut off", job=JOB)
    error.outcome = BatchOutcome(item=BatchItem("clip.mp4"), status="failed", error=error)
    other = travel(error)
    assert other.outcome.error in {other, error}  # `copy.copy` shares what an error refers to
    assert (other.job, str(other)) == (JOB, "cut off")


def made(kind: type[ReframeError]) -> Any:
    """An error of this class, with every attribute that one may have."""
    error: Any = next(MADE[one] for one in kind.__mro__ if one in MADE)(kind)
    error.add_note("a note")
    error.job, error.limit, error.submission = JOB, 2, SUBMISSION
    return error


def assert_same(other: Any, error: Any) -> None:
    """Its class, text and attributes are the same."""
    assert (type(other), str(other), other.args) == (type(error), str(error), error.args)
    assert vars(other) == vars(error)


def raise_from_the_unpicklable(kind: type[ReframeError]) -> NoReturn:
    """Raise an error whose cause holds what cannot be pickled."""
    raise made(kind) from ValueError(Lock())


def test_a_pools_worker_raises_every_error() -> None:
    """Never a broken pool: the seed of an uncertain submit would be lost with it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        raised = [pool.submit(raise_from_the_unpicklable, kind).exception() for kind in KINDS]
    for kind, error in zip(KINDS, raised, strict=True):
        assert_same(error, made(kind))
