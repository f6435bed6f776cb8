"""The submit path with one of its rules removed."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import httpx
from attrs import evolve

from scenario_reframe import job_matching, second_post, submitting
from scenario_reframe.api.calling import send
from scenario_reframe.errors import ApiError, ConnectionFailedError, ReframeError
from scenario_reframe.flow.steps import Handover
from scenario_reframe.ledger.interface import Outcome, Post
from scenario_reframe.models import Job, Submission
from scenario_reframe.second_post import Reading
from scenario_reframe.timing import Timing

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL)
Mutant = Mapping[str, Any]
_PACKAGE = "scenario_reframe."


def _new(*given: Any) -> Submission:
    return evolve(_NEW(*given), is_seed_drawn=True)


def _verdict(job: Job, submission: Submission) -> job_matching.Verdict:
    verdict = _VERDICT(job, submission)
    return "match" if verdict == "candidate" else verdict


def _settling(fault: ReframeError) -> Outcome:
    outcome = _PROVEN_BY(fault)
    return "refused" if outcome == "deferred" else outcome


def _believing(fault: ReframeError) -> Outcome:
    is_refusal = isinstance(fault, ApiError) and fault.status_code in submitting.REFUSALS
    return "refused" if is_refusal else _PROVEN_BY(fault)


def _blind(posts: Sequence[Post], reading: Reading, after: float | None, timing: Timing) -> bool:
    found = evolve(reading.found, candidates=())
    return _MAY(posts, evolve(reading, found=found), after, timing)


def _forgetful(posts: Sequence[Post], reading: Reading, after: Any, timing: Timing) -> bool:
    return _MAY(posts[1:], reading, after, timing)


def _hasty(posts: Sequence[Post], reading: Reading, after: Any, timing: Timing) -> bool:
    return _MAY(posts, reading, None if after is None else 0.0, timing)


def _by_class(
    operation: Any, handover: Handover | None = None, grace: float = 0.0
) -> Generator[Any, Any, Any]:
    try:
        return (yield from send(operation, handover, grace))
    except ConnectionFailedError as error:
        if handover is not None and isinstance(error.__cause__, _NEVER_SENT):
            handover.happened = False
        raise


_NEW, _PROVEN_BY = submitting.new_submission, submitting.proven_by
_VERDICT, _MAY = job_matching.classify, second_post.may_post_again

MUTANTS: dict[str, Mutant] = {
    "a caller's seed counts as drawn": {"submitting.new_submission": _new},
    "what could be the job is the job": {"job_matching.classify": _verdict},
    "429 proves that no job was made": {"submitting.proven_by": _settling},
    "a proxy's page proves that no job was made": {"submitting.proven_by": _believing},
    "a candidate is no obstacle to a second POST": {"recovery.may_post_again": _blind},
    "the first POST does not count": {"recovery.may_post_again": _forgetful},
    "permission holds at once": {"recovery.may_post_again": _hasty},
    "an exception's class tells what was sent": {"submitting.send": _by_class},
    "the list is read to the end of its first page": {
        "recovery.Paging.next_token": lambda *_: None
    },
    "a refusal closes whatever was sent": {
        "ledger.store.COUNT_UNRESOLVED": "SELECT 0 WHERE :id IS NOT NULL"
    },
    "the answer to another's request is believed": {"submitting.contradicts": lambda *_: False},
}


def mutated(mutant: Mutant) -> ExitStack:
    """The program without the rule, while the stack is open."""
    with ExitStack() as stack:
        for target, replacement in mutant.items():
            stack.enter_context(patch(_PACKAGE + target, replacement))
        return stack.pop_all()
