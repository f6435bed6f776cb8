"""Errors survive pickling and copying."""

import copy
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from scenario_reframe import Job, Submission, errors
from scenario_reframe.errors import ApiError, ReframeError
from scenario_reframe.ledger.interface import BudgetSpentError, NoSlotError, TwinOpenError

JOB = Job(id="job_1", status="queued", input={"seed": 7}, raw={"jobId": "job_1"})
SUBMISSION = Submission(seed=7, body={"seed": 7}, started_at=datetime.now(UTC), token="t")
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
@pytest.mark.parametrize(
    "travel",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],  # noqa: S301
    ids=["pickle", "copy", "deepcopy"],
)
def test_an_error_is_pickled_and_copied_whole(
    travel: Callable[[Any], Any], kind: type[ReframeError]
) -> None:
    """With its text, attributes, paid job and notes, as when it comes from a pool's worker."""
    error: Any = next(MADE[one] for one in kind.__mro__ if one in MADE)(kind)
    error.add_note("a note")
    error.job, error.limit, error.submission = JOB, 2, SUBMISSION
    for other in (travel(error), travel(travel(error))):
        assert (type(other), str(other), other.args) == (kind, str(error), error.args)
        assert vars(other) == vars(error)
        assert (other.job, other.__notes__) == (JOB, ["a note"])
