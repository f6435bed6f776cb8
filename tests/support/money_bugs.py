"""Deliberate bugs, each of which removes one rule that protects the caller's money."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest

from scenario_reframe import job_matching, recovery, submitting
from scenario_reframe.errors import (
    PermissionDeniedError,
    RateLimitedError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.flow import transport
from scenario_reframe.flow.steps import NoReply, Send
from scenario_reframe.ledger import accounts, jobs_and_uploads, store
from scenario_reframe.ledger.interface import Outcome
from scenario_reframe.models import Job, Submission
from scenario_reframe.run_state import Run
from scenario_reframe.run_state import is_open as is_open_post

_UNSENT = (httpx.InvalidURL, httpx.ConnectError, httpx.ConnectTimeout)


def proof_by_the_body(patch: pytest.MonkeyPatch) -> None:
    """Decide by an exception's class, and not by the body, whether anything was sent."""

    def by_class(error: Exception, step: Send | None = None) -> NoReply:
        was_sent = not isinstance(error, _UNSENT)
        if step is not None:
            step.handover.happened = was_sent
        return NoReply(error, sent=was_sent)

    patch.setattr(transport, "no_reply", by_class)


def strict_match(patch: pytest.MonkeyPatch) -> None:
    """Count what the server does not show as equal, and let twins run side by side."""

    def lenient(job: Job, submission: Submission) -> str:
        agrees = all(job.input.get(key, value) == value for key, value in submission.body.items())
        return "match" if agrees else "other"

    patch.setattr(job_matching, "classify", lenient)
    patch.setattr(submitting, "twin_key", lambda *_: None)


def lenient_agreement(patch: pytest.MonkeyPatch) -> None:
    """Count a job as another's unless it shows everything exactly as it was sent."""

    def differs(job: Job, submission: Submission) -> bool:
        return any(
            type(job.input[key]) is not type(value) or job.input[key] != value
            for key, value in submission.body.items()
            if key in job.input
        )

    patch.setattr(job_matching, "contradicts", differs)


def own_jobs_are_found_again(patch: pytest.MonkeyPatch) -> None:
    """Exclude every known job from look-ups, the submission's own job too."""

    def owned(self: recovery.KnownJobs, _token: str, job_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(self.owners) & frozenset(job_ids)

    true = jobs_and_uploads.JobsAndUploads.owned_by_others

    def on_record(
        self: jobs_and_uploads.JobsAndUploads, _token: str, job_ids: Sequence[str]
    ) -> frozenset[str]:
        return true(self, "", job_ids)

    patch.setattr(recovery.KnownJobs, "owned_by_others", owned)
    patch.setattr(jobs_and_uploads.JobsAndUploads, "owned_by_others", on_record)


def refusal_defers(patch: pytest.MonkeyPatch) -> None:
    """Take a 429 for proof that no job was made."""
    true = submitting.proven_by

    def proven_by(fault: ReframeError) -> Outcome:
        return "refused" if isinstance(fault, RateLimitedError) else true(fault)

    patch.setattr(submitting, "proven_by", proven_by)


def accounts_are_apart(patch: pytest.MonkeyPatch) -> None:
    """Give all keys of a server the same rows."""
    patch.setattr(accounts, "fingerprint_of", lambda *_: "anybody")
    patch.setattr(accounts.Account, "learn", lambda self, tx, _project: self.id_in(tx))


def every_post_must_be_refused(patch: pytest.MonkeyPatch) -> None:
    """Close an entry on a refusal, whatever its earlier POSTs left open."""

    def after_release(_transaction: Any, row: Any, error: BaseException | None) -> str:
        refusal = error.__cause__ if isinstance(error, SubmissionUncertainError) else error
        return "failed" if isinstance(refusal, PermissionDeniedError) else str(row["state"])

    patch.setattr(store, "_state_after_release", after_release)


def first_post_counts(patch: pytest.MonkeyPatch) -> None:
    """Look for a job from the time of the last POST, not of the first."""

    def newest(self: Run) -> Submission:
        return [post.submission for post in self.posts if is_open_post(post)][-1]

    patch.setattr(Run, "first_open", property(newest))


BUGS: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    rule.__name__: rule
    for rule in (
        proof_by_the_body,
        strict_match,
        lenient_agreement,
        own_jobs_are_found_again,
        refusal_defers,
        accounts_are_apart,
        every_post_must_be_refused,
        first_post_counts,
    )
}
