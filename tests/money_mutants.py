"""The money path with one of its rules taken out."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import httpx
from attrs import evolve

from scenario_reframe import matching, recovery, submitting
from scenario_reframe.errors import ConnectionFailedError
from scenario_reframe.flow import Handover, send
from scenario_reframe.ledger.interface import Claim, Outcome, Post
from scenario_reframe.models import Job, Submission
from scenario_reframe.recovery import Reading
from scenario_reframe.timing import Timing

Mutant = Mapping[str, Any]
_PACKAGE = "scenario_reframe."


def _new(*given: Any) -> Submission:
    return evolve(_NEW(*given), is_seed_drawn=True)


def _verdict(job: Job, submission: Submission) -> matching.Verdict:
    verdict = _VERDICT(job, submission)
    return "match" if verdict == "candidate" else verdict


def _proof(of_deferred: Outcome | None = None) -> Callable[[Any], Outcome]:
    def proven_by(fault: Any) -> Outcome:
        if getattr(fault, "status_code", 0) in submitting.REFUSALS:
            return "refused"
        return "uncertain"

    def settled(fault: Any) -> Outcome:
        outcome = _PROVEN_BY(fault)
        return "refused" if outcome == "deferred" else outcome

    return settled if of_deferred else proven_by


def _blind(posts: Sequence[Post], reading: Reading, after: float | None, timing: Timing) -> bool:
    found = evolve(reading.found, candidates=())
    return _MAY(posts, evolve(reading, found=found), after, timing)


def _forgetful(posts: Sequence[Post], reading: Reading, after: Any, timing: Timing) -> bool:
    return _MAY(posts[1:], reading, after, timing)


def _overwritten(posts: Sequence[Post], reading: Reading, after: Any, timing: Timing) -> bool:
    return _MAY(posts[-1:], reading, after, timing)


def _hasty(posts: Sequence[Post], reading: Reading, after: Any, timing: Timing) -> bool:
    return _MAY(posts, reading, None if after is None else 0.0, timing)


def _soon(posts: Sequence[Post], reading: Reading, after: Any, timing: Timing) -> bool:
    return _MAY(posts, reading, after, evolve(timing, refusal_settled=0.0))


def _by_class(
    operation: Any, handover: Handover | None = None, grace: float = 0.0
) -> Generator[Any, Any, Any]:
    try:
        return (yield from send(operation, handover, grace))
    except ConnectionFailedError as error:
        if handover is not None and isinstance(error.__cause__, httpx.ConnectError):
            handover.happened = False
        raise


def _everybodys(*_: Any) -> frozenset[str]:
    return frozenset()


def _made(self: recovery.Recovery, token: str, job: Job) -> bool:
    _MADE(self, token, job)
    return True


def _unfenced(transaction: Any, claim: Claim, _owner: str) -> Any:
    return transaction.row("SELECT * FROM entries WHERE token = :token", token=claim.token)


_NEW, _PROVEN_BY = submitting.new_submission, submitting.proven_by
_VERDICT, _MAY, _MADE = matching.verdict_on, recovery.may_post_again, recovery.Recovery.made

MUTANTS: dict[str, Mutant] = {
    "a caller's seed counts as drawn": {"submitting.new_submission": _new},
    "what could be the job is the job": {"matching.verdict_on": _verdict},
    "429 proves that no job was made": {"submitting.proven_by": _proof("refused")},
    "a proxy's page proves that no job was made": {"submitting.proven_by": _proof()},
    "a candidate is no obstacle to a second POST": {"recovery.may_post_again": _blind},
    "the first POST does not count": {"recovery.may_post_again": _forgetful},
    "only the last POST counts": {"recovery.may_post_again": _overwritten},
    "permission holds at once": {"recovery.may_post_again": _hasty},
    "429 is settled at once": {"recovery.may_post_again": _soon},
    "an exception's class tells what was sent": {"submitting.send": _by_class},
    "jobs of other requests are free to take": {
        "recovery.Known.owned_by_others": _everybodys,
        "ledger.records.Records.owned_by_others": _everybodys,
        "recovery.Recovery.made": _made,
    },
    "twins are on their way at once": {"submitting.twin_of": lambda *_: None},
    "the list is read to the end of its first page": {"recovery.next_token": lambda *_: None},
    "a refusal closes whatever was sent": {
        "ledger.store._IS_UNRESOLVED": "SELECT 0 WHERE :id IS NOT NULL"
    },
    "the answer to another's request is believed": {"submitting.contradicts": lambda *_: False},
    "Ctrl-C makes a POST unsent": {
        "submitting._stopped": lambda _stop, log, *_, **__: log.withdraw()
    },
    "a claim that was lost may post": {"ledger.store.owned": _unfenced},
    "a clock that was set is believed": {"recovery._CLOCK_SLACK": float("inf")},
}


def mutated(mutant: Mutant) -> ExitStack:
    """The program without the rule, for a while."""
    with ExitStack() as stack:
        for place, instead in mutant.items():
            stack.enter_context(patch(_PACKAGE + place, instead))
        return stack.pop_all()
