"""Both clients with a ledger when it is unknown what a submit made: nothing is guessed."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from ledger_rows import sql
from ledger_sessions import (
    BOTH,
    GENERATE,
    LIST,
    QUICK,
    Runs,
    Seconds,
    when_it_comes,
    whole,
)
from scenario_reframe import (
    ApiError,
    ConfigurationError,
    InvalidInputError,
    PermissionDeniedError,
    RateLimitedError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.sandbox.faults import answer, drop, rewrite
from timings import SOON

LIMITED = answer(429, {"reason": "Too many", "details": {"actionName": "parallel"}}, after=True)
PATIENT = evolve(SOON, refusal_settled=600.0)
"""With it a refusal is not settled before a test says so."""


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """The target of the result."""
    return tmp_path / "a.mp4"


def unlisted(runs: Runs, times: int = 1000) -> None:
    """Leave all jobs out of the list."""
    runs.sandbox.faults.add(rewrite(lambda body: body | {"jobs": []}), LIST, times=times)


# --- the job of a lost submit -------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("resubmit_after", [None, 0.0])
def test_resume_finds_the_job_of_a_lost_submit(
    runs: Runs, video: str, to: Path, resubmit_after: float | None
) -> None:
    """Also where resubmitting is permitted."""
    entry = runs.uncertain(video, to, accepted=True, **QUICK)
    result = runs()("resume", entry, resubmit_after=resubmit_after)
    assert (result.job.input["seed"], result.files) == (entry.seed, (to,))
    assert (runs.posts, runs.jobs) == (1, 1)
    assert whole(to)


@BOTH
def test_what_is_not_listed_stays_uncertain_without_permission(
    runs: Runs, video: str, to: Path
) -> None:
    """reframe() and resume() raise SubmissionUncertainError with the seed, each time."""
    entry = runs.uncertain(video, to, accepted=False, **QUICK)
    runs.later(1e6)
    for call in ("reframe", "resume"):
        args: tuple[Any, ...] = (entry,) if call == "resume" else (video, to)
        settings = {} if call == "resume" else QUICK
        error = runs().fails(SubmissionUncertainError, call, *args, **settings)
        assert error.submission.seed == entry.seed
    assert (runs.posts, runs.jobs, runs.states()) == (1, 0, ["uncertain"])


@BOTH
def test_the_job_of_the_first_post_is_found_although_the_second_was_refused(
    runs: Runs, video: str, to: Path
) -> None:
    """Uncertain, permitted, then 403: it stays uncertain, and the job listed later is its own."""
    unlisted(runs)
    runs.sandbox.faults.add(drop(after=True), GENERATE, method="POST")
    runs().fails(SubmissionUncertainError, "reframe", video, to, **QUICK)
    runs.sandbox.faults.add(answer(403, {"reason": "no funds"}), GENERATE, method="POST")
    error = runs().fails(SubmissionUncertainError, "resume", runs.entry(), resubmit_after=0.0)
    assert isinstance(error.__cause__, PermissionDeniedError)
    assert (runs.posts, runs.jobs, runs.states()) == (2, 1, ["uncertain"])
    runs.sandbox.faults.clear()
    result = runs()("reframe", video, to, **QUICK)
    assert result.job.id == runs.sandbox.made[-1].id
    assert (runs.posts, runs.jobs) == (2, 1)
    assert whole(to)


@BOTH
def test_find_job_gives_the_same_job_each_time_and_the_ledger_keeps_it(
    runs: Runs, video: str, to: Path
) -> None:
    """In one program: find_job() twice, then resume() with permission."""
    session = runs()
    runs.sandbox.faults.add(drop(after=True), GENERATE, method="POST")
    runs.sandbox.faults.add(answer(503), LIST, times=100)
    error = session.fails(SubmissionUncertainError, "reframe", video, to, **QUICK)
    runs.sandbox.faults.clear()
    found = [session("find_job", error.submission).id for _ in range(2)]
    assert found == [runs.sandbox.made[-1].id] * 2
    assert runs.entry().job_id == found[0]
    assert session("resume", runs.entry(), resubmit_after=0.0).job.id == found[0]
    assert runs()("find_job", error.submission).id == found[0]
    assert (runs.posts, runs.jobs) == (1, 1)


def test_the_job_of_another_entry_is_not_used(
    runs: Runs, video: str, tmp_path: Path, to: Path
) -> None:
    """Two requests with one seed of the caller's: the job in the ledger is the first one's."""
    settings = {**QUICK, "seed": secrets.randbits(31)}
    runs()("reframe", video, to, **settings)
    runs.sandbox.faults.add(drop(), GENERATE, method="POST")
    for _ in range(2):
        other = tmp_path / "b.mp4"
        runs().fails(SubmissionUncertainError, "reframe", video, other, **settings)
    assert (runs.posts, runs.jobs) == (2, 1)


def test_requests_that_could_not_be_told_apart_are_not_open_at_once(
    runs: Runs, video: str, tmp_path: Path, to: Path
) -> None:
    """While the first is uncertain, the second, of the same seed and settings, is not sent."""
    settings = {**QUICK, "seed": secrets.randbits(31)}
    runs.uncertain(video, to, accepted=True, **settings)
    posted = runs.posts
    error = runs().fails(ReframeError, "reframe", video, tmp_path / "b.mp4", **settings)
    assert "a.mp4" in str(error)
    assert (runs.posts, runs.jobs) == (posted, 1)
    runs()("reframe", video, to, **settings)
    runs()("reframe", video, tmp_path / "b.mp4", **settings)
    assert runs.jobs == 2
    assert whole(tmp_path / "b.mp4")


# --- permission ---------------------------------------------------------------------------------


@BOTH
def test_with_permission_the_same_request_is_sent_again(runs: Runs, video: str, to: Path) -> None:
    """The time has passed since its POST's end, and no listed job could be the lost one."""
    entry = runs.uncertain(video, to, accepted=False, **QUICK)
    runs.later(600)
    result = runs()("resume", entry, resubmit_after=500.0)
    assert result.job.id == runs.sandbox.made[-1].id
    assert runs.sandbox.made[-1].input == {**entry.settings, "seed": entry.seed, "videoUrl": video}
    assert (runs.posts, runs.jobs) == (2, 1)
    assert whole(to)


@pytest.mark.parametrize("resubmit_after", [600.0, float("nan"), -1.0])
def test_permission_holds_only_after_its_seconds(
    runs: Runs, video: str, to: Path, resubmit_after: float
) -> None:
    """Until they have passed, nothing is sent; an invalid number is refused."""
    entry = runs.uncertain(video, to, accepted=False, **QUICK)
    runs.later(590)
    late = resubmit_after == 600.0
    kind = SubmissionUncertainError if late else InvalidInputError
    runs().fails(kind, "resume", entry, resubmit_after=resubmit_after)
    assert runs.posts == 1


def test_permission_counts_from_the_last_possible_end_of_a_killed_post(
    runs: Runs, video: str, to: Path
) -> None:
    """For three timeouts after the lease of a killed process, its POST may still arrive."""
    clock, sent_at = Seconds(), list[float]()
    entry = runs.uncertain(video, to, accepted=False, **QUICK)
    sql(runs.ledger, "UPDATE posts SET outcome = 'open', ended_at = NULL, server_ended = NULL")
    sql(runs.ledger, "UPDATE entries SET state = 'posting', owner = 'somewhere:1:x'")
    runs.sandbox.faults.add(when_it_comes(lambda: sent_at.append(clock.now)), GENERATE)
    result = runs(timing=evolve(SOON, clock=clock))("resume", entry, resubmit_after=0.0)
    assert result.files == (to,)
    assert [moment >= 3 * 60 for moment in sent_at] == [True]
    assert (runs.posts, runs.jobs) == (2, 1)


Hide = Callable[[dict[str, Any], str], dict[str, Any] | None]
HIDDEN: dict[str, Hide] = {
    "nothing": lambda _body, _place: None,
    "no seed": lambda _body, _place: {"resolution": "480p"},
    "a seed that is no number": lambda body, _place: body | {"seed": "drawn"},
}


@BOTH
@pytest.mark.parametrize("echo", HIDDEN)
def test_with_permission_nothing_is_sent_while_a_job_could_be_it(
    runs: Runs, video: str, to: Path, echo: str
) -> None:
    """What the server shows of a job neither proves nor disproves that it is the lost one."""
    entry = runs.uncertain(video, to, accepted=True, **QUICK)
    runs.sandbox.echo = HIDDEN[echo]
    runs.later(1e6)
    error = runs().fails(SubmissionUncertainError, "resume", entry, resubmit_after=0.0)
    assert runs.sandbox.made[-1].id in {job.id for job in error.candidates}
    assert (runs.posts, runs.jobs) == (1, 1)


@pytest.mark.parametrize("page", ["fails", "circles", "no list"])
def test_with_permission_nothing_is_sent_unless_the_list_was_read_to_its_end(
    runs: Runs, video: str, to: Path, page: str
) -> None:
    """A page that fails, a list that goes in circles, a reply that is not a list."""
    entry = runs.uncertain(video, to, accepted=True, **QUICK)
    runs.later(10_000)
    if page == "no list":
        runs.sandbox.faults.add(answer(200, {"jobs": 5}), LIST, times=1000)
    else:
        more = rewrite(lambda body: {"jobs": [], "nextPaginationToken": "again"})
        runs.sandbox.faults.add(more, LIST, times=2 if page == "fails" else 1000)
        runs.sandbox.faults.add(answer(500), LIST, times=1000)
    runs().fails(ReframeError, "resume", entry, resubmit_after=0.0)
    assert (runs.posts, runs.jobs, runs.states()) == (1, 1, ["uncertain"])


# --- refusals -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("status", [400, 402, 422])
def test_a_refusal_closes_the_entry_and_the_same_call_submits_again(
    runs: Runs, video: str, to: Path, status: int
) -> None:
    """It is proven that no job was made; only the call may send it again, not resume."""
    runs.sandbox.faults.add(answer(status, {"reason": "not this one"}), GENERATE, method="POST")
    runs().fails(ApiError, "reframe", video, to, **QUICK)
    entry = runs.entry()
    assert (entry.state, entry.job_id) == ("failed", None)
    assert "not this one" in str(entry.error)
    error = runs().fails(ConfigurationError, "resume", entry, resubmit_after=0.0)
    assert "another process" not in str(error)
    assert runs.posts == 1
    runs()("reframe", video, to, **QUICK)
    assert (runs.posts, runs.jobs, runs.states()) == (2, 1, ["done", "failed"])


@BOTH
@pytest.mark.parametrize("status", [402, 403])
def test_the_page_of_a_proxy_proves_nothing(runs: Runs, video: str, to: Path, status: int) -> None:
    """The server behind it may have made the job; here the list shows it."""
    runs.sandbox.faults.add(answer(status, "<h1>no</h1>", after=True), GENERATE, method="POST")
    assert runs()("reframe", video, to, **QUICK).job.id == runs.sandbox.made[-1].id
    assert (runs.posts, runs.jobs) == (1, 1)


@BOTH
def test_a_429_for_a_job_that_was_made_finds_it_at_once_or_by_the_next_call(
    runs: Runs, video: str, tmp_path: Path, to: Path
) -> None:
    """The list is read at once; if the job is listed later, before anything else is sent."""
    runs.sandbox.faults.add(LIMITED, GENERATE, method="POST")
    assert runs()("reframe", video, to, **QUICK).job.id == runs.sandbox.made[-1].id
    late = tmp_path / "b.mp4"
    unlisted(runs)
    runs.sandbox.faults.add(LIMITED, GENERATE, method="POST")
    error = runs(timing=PATIENT).fails(RateLimitedError, "reframe", video, late, **QUICK)
    assert error.submission.seed == runs.sandbox.made[-1].input["seed"]
    runs.sandbox.faults.clear()
    result = runs()("reframe", video, late, **QUICK)
    assert result.job.id == runs.sandbox.made[-1].id
    assert (runs.posts, runs.jobs) == (2, 2)


@BOTH
def test_after_a_429_the_same_call_sends_it_again_once_that_is_settled(
    runs: Runs, video: str, to: Path
) -> None:
    """Without permission: it was refused, and long afterwards no job of it is listed."""
    runs.sandbox.faults.add(answer(429, "slow down"), GENERATE, method="POST")
    runs(timing=PATIENT).fails(RateLimitedError, "reframe", video, to, **QUICK)
    seed = runs.entry().seed
    runs.later(600)
    result = runs(timing=PATIENT)("reframe", video, to, **QUICK)
    assert result.job.input["seed"] == seed
    assert (runs.posts, runs.jobs) == (2, 1)
    assert sql(runs.ledger, "SELECT outcome FROM posts ORDER BY id") == [("deferred",), ("made",)]


# --- a POST that was not sent -------------------------------------------------------------------


@BOTH
def test_an_unreachable_server_leaves_nothing_open(runs: Runs, video: str, to: Path) -> None:
    """A refused connection sends nothing: the entry is closed, and the same call buys once."""
    down = "http://127.0.0.1:9/v1"
    error = runs(base_url=down).fails(ReframeError, "reframe", video, to, **QUICK)
    assert "could not connect" in str(error)
    assert sql(runs.ledger, "SELECT * FROM posts") == []
    assert sql(runs.ledger, "SELECT state FROM entries") == [("failed",)]
    runs()("reframe", video, to, **QUICK)
    assert (runs.posts, runs.jobs) == (1, 1)


@BOTH
def test_a_target_that_appears_right_before_the_post_prevents_it(
    runs: Runs, short_clip: Path, to: Path
) -> None:
    """Another program wrote there during the upload: nothing is bought."""
    taken = when_it_comes(lambda: to.write_bytes(b"mine"))
    runs.sandbox.faults.add(taken, r"/uploads$", method="POST")
    error = runs().fails(InvalidInputError, "reframe", short_clip, to, **QUICK)
    assert "overwrite" in str(error)
    assert to.read_bytes() == b"mine"
    assert (runs.jobs, runs.states()) == (0, ["failed"])


# --- accounts -----------------------------------------------------------------------------------


def test_an_entry_of_another_project_is_not_seen_resumed_or_closed(
    runs: Runs, video: str, to: Path
) -> None:
    """It would be looked up in the wrong list, and bought twice."""
    other = runs(project_id="proj_other")
    runs.sandbox.faults.add(drop(after=True), GENERATE, method="POST")
    runs.sandbox.faults.add(answer(503), LIST, times=100)
    other.fails(SubmissionUncertainError, "reframe", video, to, **QUICK)
    runs.sandbox.faults.clear()
    (entry,) = other("entries")
    runs.later(1e6)
    mine = runs()
    assert mine("entries") == []
    mine.fails(ConfigurationError, "resume", entry, resubmit_after=0.0)
    mine("reframe", video, to.with_name("b.mp4"), **QUICK)
    assert runs.jobs == 2
    assert [entry.state for entry in other("entries")] == ["uncertain"]
