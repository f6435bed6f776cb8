"""Look-ups of a lost submit's job, and when a second POST is allowed: stepped by hand."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from scenario_reframe import (
    ApiError,
    ConnectionFailedError,
    JobFailedError,
    PermissionDeniedError,
    RateLimitedError,
    Submission,
    SubmissionUncertainError,
)
from scenario_reframe.flow.steps import NoReply, Reply
from scenario_reframe.job_matching import LookUpResult
from scenario_reframe.ledger.interface import Post
from scenario_reframe.models import Job
from scenario_reframe.recovery import MOST_PAGES
from scenario_reframe.run_state import Options
from scenario_reframe.second_post import Reading, may_post_again
from scenario_reframe.submitting import MOST_POSTS, new_submission
from scenario_reframe.timing import DEFAULT_TIMING
from scenes import LOOK_UP_SECONDS, NOON, POST, Page, Scene, mine
from stepping import VENDORS_429, Answer, job_record, job_reply, lost, reply

MADE = reply({"job": job_record("job_9")})
REFUSED = reply({"reason": "no"}, 403)
DEFERRED = reply(VENDORS_429, 429)
NONE: dict[str, Any] = {"jobs": []}
HIDDEN = mine("job_hidden", without=["seed"])
"""A job that does not say its seed, and contradicts nothing."""


def test_job_that_is_listed_late_is_found() -> None:
    """The vendor does not say how soon a job is listed, so there are several look-ups."""
    scene = Scene(lost(), pages=[[], [], [], [mine()]])
    assert scene.submit().id == "job_mine"
    assert scene.stepper.pauses == [1.0, 2.0, 4.0]


def test_candidate_does_not_end_the_look_ups() -> None:
    """The job itself may be listed later; after a minute a person decides."""
    scene = Scene(lost(), pages=[[HIDDEN], [HIDDEN, mine()]])
    assert scene.submit().id == "job_mine"
    scene = Scene(lost(), pages=[[HIDDEN]])
    error = scene.fails(SubmissionUncertainError)
    assert [job.id for job in error.candidates] == ["job_hidden"]
    assert "job_hidden" in str(error)
    assert scene.paused == LOOK_UP_SECONDS


def test_several_matches_end_the_look_ups() -> None:
    """Nothing is guessed: the error names both, at once."""
    scene = Scene(lost(), pages=[[mine("job_a"), mine("job_b")]])
    error = scene.fails(SubmissionUncertainError)
    assert [job.id for job in error.candidates] == ["job_a", "job_b"]
    assert "job_a, job_b" in str(error)
    assert scene.paused == 0


def test_a_found_job_cannot_be_another_submission_s() -> None:
    """Nor can a job that a reply named: two submits of one client never get one job."""
    scene = Scene(lost(), pages=[[mine()]])
    assert scene.submit().id == "job_mine"
    assert scene.fails(SubmissionUncertainError).candidates == ()
    scene = Scene(reply({"job": job_record("job_mine")}), lost(), pages=[[mine()]])
    assert scene.submit().id == "job_mine"
    assert scene.fails(SubmissionUncertainError).candidates == ()


def test_a_job_in_the_ledger_cannot_be_another_submission_s() -> None:
    """Another client's job is neither a match nor a candidate."""
    scene = Scene(MADE, lost(), pages=[[mine("job_9"), mine("job_8", without=["seed"])]],
                  has_ledger=True)  # fmt: skip
    scene.submit()
    scene.forget()
    error = scene.fails(SubmissionUncertainError)
    assert [job.id for job in error.candidates] == ["job_8"]


def test_job_whose_seed_the_list_does_not_show_is_read_once() -> None:
    """Read by its id, it is the job, or another's, or stays a candidate."""
    theirs = job_reply(job_id="job_hidden", metadata={"input": {"seed": -1}})
    scene = Scene(lost(), pages=[[HIDDEN]], by_id={"job_hidden": theirs})
    assert scene.fails(SubmissionUncertainError).candidates == ()
    assert scene.sent.count("GET /jobs/job_hidden") == 1

    def described() -> Reply:
        seed = scene.posted[-1]["seed"]
        return job_reply(job_id="job_hidden", metadata={"input": {"seed": str(seed)}})

    scene = Scene(lost(), pages=[[HIDDEN]], by_id={"job_hidden": described})
    assert scene.submit().id == "job_hidden"

    silent = job_reply(job_id="job_hidden", metadata={"input": {"prompt": "a"}})
    scene = Scene(lost(), pages=[[HIDDEN]], by_id={"job_hidden": silent})
    assert len(scene.fails(SubmissionUncertainError).candidates) == 1
    assert scene.sent.count("GET /jobs/job_hidden") == 1


@pytest.mark.parametrize(
    "listed",
    [mine(jobType="upload"), {"status": "queued"}, {"jobId": 5}, mine(seed=-1)],
    ids=["an upload's", "no id", "a number for an id", "another seed"],
)
def test_job_that_cannot_be_the_lost_one_is_skipped(listed: Any) -> None:
    """Another type, no id, or another seed."""
    if callable(listed):
        listed = {**listed({"seed": -1}), "jobType": "upload"}
    assert Scene(lost(), pages=[[listed]]).fails(SubmissionUncertainError).candidates == ()


@pytest.mark.parametrize("seed", [None, 7])
def test_list_is_read_from_a_day_before_the_post_by_the_server_s_clock(seed: int | None) -> None:
    """The same time in each look-up, the submission's project, a hundred jobs a page."""
    scene = Scene(MADE, lost(), pages=[[], [], [mine()]], project_id="proj_7")
    scene.submit()  # its reply names the server's time
    scene.submit("asset_in", None, **({} if seed is None else {"seed": seed}))
    day_before = "2025-12-31T12:00:00.000Z"
    assert [request.params["createdAfter"] for request in scene.lists] == [day_before] * 3
    assert {request.params["projectId"] for request in scene.stepper.requests} == {"proj_7"}
    assert {request.params["pageSize"] for request in scene.lists} == {100}


def test_list_is_read_from_a_day_before_a_post_that_came_first() -> None:
    """A free GET asks for the server's time if no reply has named it."""
    scene = Scene(lost(), pages=[[mine()]])
    scene.ahead = -5 * 3600.0
    scene.submit()
    asked = datetime.fromisoformat(scene.lists[0].params["createdAfter"])
    day_before = NOON - timedelta(days=1, hours=5)
    assert timedelta() <= day_before - asked < timedelta(minutes=5)
    assert scene.sent[:3] == [POST, "GET /jobs", "GET /jobs"]


@pytest.mark.parametrize(
    "date",
    ["", "today", "Thu, 01 Jan 99999999999999999999 10:00:00 GMT",
     "Thu, 01 Jan 2026 10:00:00 +99999999999999"],
)  # fmt: skip
def test_without_the_server_s_time_the_list_is_read_by_our_clock(date: str) -> None:
    """A date that makes no sense counts as none."""
    page = reply({"jobs": []}, date=date)
    scene = Scene(lost(), times=[page], pages=[page, [mine()]], is_dated=False)
    assert scene.submit().id == "job_mine"
    asked = datetime.fromisoformat(scene.lists[0].params["createdAfter"])
    assert abs(datetime.now(UTC) - timedelta(days=1) - asked) < timedelta(minutes=5)


def paged(*jobs: Any, token: str | None = None) -> Any:
    """One page of a list, as a reply that is made once the seed is known."""
    return lambda body: reply(
        {
            "jobs": [one(body) if callable(one) else one for one in jobs],
            "nextPaginationToken": token,
        }
    )


@pytest.mark.parametrize("token", ["page 2/+=", "t" * 3000], ids=["odd", "long"])
def test_list_is_read_to_its_last_page(token: str) -> None:
    """A short or empty page with a token is not the end; tokens are sent back unchanged."""
    scene = Scene(lost(), pages=[paged(token=token), paged(token="page 3"), paged(mine())])
    assert scene.submit().id == "job_mine"
    tokens = [request.params.get("paginationToken") for request in scene.lists]
    assert tokens == [None, token, "page 3"]


def test_match_on_an_early_page_does_not_end_the_reading() -> None:
    """A later page may hold another; a job on both pages counts once."""
    scene = Scene(lost(), pages=[paged(mine("job_a"), token="t"), paged(mine("job_b"))])
    assert len(scene.fails(SubmissionUncertainError).candidates) == 2
    scene = Scene(lost(), pages=[paged(mine(), token="t"), paged(mine())])
    assert scene.submit().id == "job_mine"


def test_list_that_goes_in_circles_proves_nothing() -> None:
    """A repeated token ends the look-up."""
    scene = Scene(lost(), pages=[paged(mine(), token="t")])
    error = scene.fails(SubmissionUncertainError)
    assert "repeats a page" in str(error)
    assert len(scene.lists) == 2 * len(DEFAULT_TIMING.look_ups)


@pytest.mark.parametrize("took", [0.0, 100.0], ids=["pages", "seconds"])
def test_list_that_is_too_long_proves_nothing(took: float) -> None:
    """After 1,000 pages or ten minutes: no conclusion, and no second POST despite permission."""
    numbers = count()

    def page(body: Any) -> Reply:
        made: Reply = paged(mine(seed=1), token=f"t{next(numbers)}")(body)
        return made

    scene = Scene(lost(), MADE, pages=[page], took=took)
    with pytest.raises(SubmissionUncertainError, match="too long"):
        scene.reframe(resubmit_after=0.0)
    assert len(scene.posted) == 1
    most = MOST_PAGES * len(DEFAULT_TIMING.look_ups)
    assert len(scene.lists) == most if not took else 6 < len(scene.lists) < 20


UNREAD: list[Reply | NoReply] = [
    lost(), reply({"reason": "no"}, 403), reply({}, 500), reply({}, 429), reply(b"<html>"),
    reply({"jobs": None}), reply({"jobs": {}}), reply({"jobs": ["job_1"]}), reply({}),
    # One of these may be the job, and these tokens are not the end of the list.
    reply({"jobs": [{"status": "queued"}]}), reply({"jobs": [{"jobId": "\ud800"}]}),
    reply({"jobs": [{"jobId": "../a", "jobType": "custom"}]}),
    reply({**NONE, "nextPaginationToken": 5}), reply({**NONE, "nextPaginationToken": False}),
    reply({**NONE, "nextPaginationToken": "t" * 5000}),
]  # fmt: skip


@pytest.mark.parametrize("page", UNREAD, ids=repr)
def test_list_that_cannot_be_read_proves_nothing(page: Reply | NoReply) -> None:
    """A temporary fault is retried in each look-up; a lasting one ends them."""
    scene = Scene(lost(), MADE, pages=[page])
    with pytest.raises(SubmissionUncertainError):
        scene.reframe(resubmit_after=0.0)
    assert len(scene.posted) == 1
    lasts = isinstance(page, Reply) and page.status == 403
    assert scene.paused == 0 if lasts else scene.paused >= LOOK_UP_SECONDS


def test_failed_look_up_does_not_end_the_look_ups() -> None:
    """The next one may find the job."""
    scene = Scene(lost(), pages=[*[reply({}, 500)] * 4, [mine()]])
    assert scene.submit().id == "job_mine"


# --- the second POST ------------------------------------------------------------------------------

STILL = LookUpResult()
LATER = NOON + timedelta(hours=1)


def post(outcome: Any, ended: float | None = 100.0, server_ended: datetime | None = NOON) -> Post:
    """A POST that ended at this second."""
    submission = new_submission({"seed": 7}, "t", None, NOON)
    return Post(submission=submission, outcome=outcome, ended=ended, server_ended=server_ended)


@pytest.mark.parametrize(
    ("posts", "seconds", "permission", "may"),
    [
        ([], 0.0, None, True),
        ([post("refused")], 0.0, None, True),
        ([post("deferred")], 10.0, None, True),
        ([post("deferred")], 9.9, None, False),
        ([post("deferred")], 9.9, 0.0, False),
        ([post("uncertain")], 1e9, None, False),
        ([post("uncertain")], 30.0, 30.0, True),
        ([post("uncertain")], 29.9, 30.0, False),
        ([post("uncertain")], 0.0, 0.0, True),
        ([post("open")], 1e9, 0.0, False),
        ([post("uncertain", ended=None)], 1e9, 0.0, False),
        ([post("deferred", ended=None)], 1e9, 0.0, False),
        ([post("refused"), post("uncertain")], 1e9, None, False),
        ([post("uncertain"), post("refused")], 1e9, None, False),
        ([post("uncertain"), post("refused")], 30.0, 30.0, True),
        ([post("deferred"), post("uncertain")], 1e9, None, False),
        ([post("uncertain"), post("deferred")], 1e9, None, False),
        ([post("uncertain"), post("deferred")], 5.0, 2.0, False),
        ([post("uncertain"), post("deferred")], 10.0, 2.0, True),
        ([post("uncertain", 70.0), post("uncertain", 100.0)], 29.0, 30.0, False),
        ([post("uncertain", 100.0), post("uncertain", 70.0)], 29.0, 30.0, False),
        ([post("uncertain", 70.0), post("uncertain", 100.0)], 30.0, 30.0, True),
        ([post("deferred"), post("open")], 1e9, 0.0, False),
    ],
)
def test_second_post_has_one_rule(
    posts: list[Post], seconds: float, permission: float | None, *, may: bool
) -> None:
    """Every POST of the request counts; unless all were deferred, a person must permit it."""
    reading = Reading(STILL, 100.0 + seconds, None)
    assert may_post_again(posts, reading, permission, DEFAULT_TIMING) is may


@pytest.mark.parametrize(
    "found",
    [
        LookUpResult(matches=(Job(id="a", status="queued"),)),
        LookUpResult(candidates=(Job(id="a", status="queued"),)),
    ],
)
@pytest.mark.parametrize("outcome", ["refused", "deferred", "uncertain"])
def test_second_post_is_not_sent_while_a_job_could_be_the_first_one_s(
    outcome: str, found: LookUpResult
) -> None:
    """Whatever was permitted."""
    assert not may_post_again([post(outcome)], Reading(found, 1e9, LATER), 0.0, DEFAULT_TIMING)


@pytest.mark.parametrize(
    ("server_time", "server_ended", "may"),
    [
        (NOON + timedelta(seconds=1800), NOON, True),
        (NOON + timedelta(seconds=1797), NOON, False),
        (NOON + timedelta(seconds=1798), NOON, True),
        (NOON - timedelta(hours=1), NOON, False),
        (LATER, None, True),
        (None, NOON, True),
    ],
)
def test_our_clock_set_forward_permits_nothing(
    server_time: datetime | None, server_ended: datetime | None, *, may: bool
) -> None:
    """If the server's clock is known, it decides how long ago the POST was."""
    posts = [post("uncertain", 0.0, server_ended)]
    assert may_post_again(posts, Reading(STILL, 1e6, server_time), 1800.0, DEFAULT_TIMING) is may


def test_second_post_is_the_same_again_after_the_permitted_time() -> None:
    """The list is read at the end of that time; the seed stays, so either job will do."""
    scene = Scene(lost(), MADE)
    with pytest.raises(ApiError):  # from the wait: the scene does not have this job
        scene.reframe(resubmit_after=300.0, waits_to_resubmit=True)
    assert len(scene.posted) == 2
    assert scene.posted[0] == scene.posted[1]
    assert scene.paused >= 300.0
    assert scene.lists


def test_a_call_that_does_not_wait_to_resubmit_sends_one_post() -> None:
    """Whatever was permitted: the next call may send the second."""
    scene = Scene(lost(), MADE)
    with pytest.raises(SubmissionUncertainError):
        scene.reframe(resubmit_after=10.0)
    assert len(scene.posted) == 1


@pytest.mark.parametrize("page", [[mine()], [HIDDEN]], ids=["match", "candidate"])
def test_job_that_is_listed_before_the_second_post_prevents_it(page: Page) -> None:
    """One POST in all."""
    scene = Scene(lost(), MADE, pages=[[], [], [], page])
    with pytest.raises((ApiError, SubmissionUncertainError)) as caught:
        scene.reframe(resubmit_after=30.0, waits_to_resubmit=True)
    assert isinstance(caught.value, SubmissionUncertainError) is (page == [HIDDEN])
    assert len(scene.posted) == 1


@pytest.mark.parametrize("settings", [{}, {"seed": 7}], ids=repr)
@pytest.mark.parametrize("second", [lost(), reply({}, 500), reply(b"<html>", 403)], ids=repr)
def test_job_of_the_first_post_that_is_listed_after_the_second_is_found(
    second: Answer, settings: Any
) -> None:
    """The window reaches back to the first POST, whatever the second made."""
    scene = Scene(lost(), second, pages=[[]])

    scene.pages = [lambda body: paged(mine())(body) if len(scene.posted) == 2 else reply(NONE)]
    with pytest.raises(ApiError):
        scene.reframe(settings, resubmit_after=30.0, waits_to_resubmit=True)
    assert len(scene.posted) == 2
    assert scene.sent[-1] == "GET /jobs/job_mine"


@pytest.mark.parametrize("second", [REFUSED, lost(sent=False)], ids=["refused", "not sent"])
def test_failed_second_post_does_not_close_the_first(second: Reply | NoReply) -> None:
    """The first stays uncertain: the same call later finds its job."""
    scene = Scene(lost(), second, has_ledger=True)
    with pytest.raises(SubmissionUncertainError) as caught:
        scene.reframe(resubmit_after=30.0, waits_to_resubmit=True)
    assert isinstance(caught.value.__cause__, PermissionDeniedError | ConnectionFailedError)
    posted = len(scene.posted)
    assert scene.states == ["uncertain"]
    scene.pages = [[mine()]]
    with pytest.raises(ApiError):
        scene.reframe()
    assert len(scene.posted) == posted
    assert scene.entries[0].job_id == "job_mine"


def test_failed_job_of_the_second_post_hides_nothing_of_the_first() -> None:
    """The same call buys nothing: it looks for the first POST's job."""
    failed = reply({"job": job_record("job_9", "failure")})
    scene = Scene(lost(), MADE, has_ledger=True, by_id={"job_9": failed})
    with pytest.raises(JobFailedError):
        scene.reframe(resubmit_after=30.0, waits_to_resubmit=True)
    with pytest.raises(SubmissionUncertainError) as caught:
        scene.reframe()
    assert not caught.value.candidates
    scene.pages = [[mine(), mine("job_9")]]
    with pytest.raises(ApiError):  # from the wait: the scene does not have this job
        scene.reframe()
    assert len(scene.posted) == 2
    assert [entry.job_id for entry in scene.entries] == ["job_9", "job_mine"]


def test_deferred_second_post_leaves_the_first_uncertain() -> None:
    """Without permission it is not repeated, though a 429 alone would be."""
    scene = Scene(lost(), DEFERRED, MADE, has_ledger=True)
    with pytest.raises(RateLimitedError):
        scene.reframe(resubmit_after=30.0, waits_to_resubmit=True)
    with pytest.raises(SubmissionUncertainError):
        scene.reframe()
    assert len(scene.posted) == 2
    with pytest.raises(ApiError):
        scene.reframe(resubmit_after=0.0, waits_to_resubmit=True)
    assert len(scene.posted) == 3
    assert scene.entries[0].job_id == "job_9"


@pytest.mark.parametrize(
    ("page", "permission", "posts", "job_id"),
    [([mine()], 0.0, 1, "job_mine"), ([], 0.0, 2, "job_9"), ([], None, 1, None),
     ([HIDDEN], 0.0, 1, None)],
    ids=["listed", "permitted", "not permitted", "candidate"],
)  # fmt: skip
def test_resume_looks_up_the_job_before_it_submits_again(
    page: Page, permission: float | None, posts: int, job_id: str | None
) -> None:
    """The rule is the same for every caller."""
    scene = Scene(lost(), MADE, has_ledger=True)
    scene.fails(SubmissionUncertainError)
    scene.pages = [page]
    (entry,) = scene.entries
    with pytest.raises((ApiError, SubmissionUncertainError)):
        scene.run(scene.pipeline.resume(entry, Options(resubmit_after=permission)))
    assert len(scene.posted) == posts
    assert scene.entries[0].job_id == job_id


def test_one_run_does_not_post_for_ever() -> None:
    """However long resubmitting is permitted."""
    scene = Scene(lost())
    with pytest.raises(SubmissionUncertainError):
        scene.reframe(resubmit_after=30.0, waits_to_resubmit=True)
    assert len(scene.posted) == MOST_POSTS


def test_jump_of_the_clock_does_not_send_the_second_post() -> None:
    """Our clock jumps hours between POST and look-up; the server's shows a moment."""
    scene = Scene(MADE, lost(), MADE)
    scene.submit()  # its reply names the server's time

    def listed(_: Any) -> Reply:
        if not scene.ahead:
            scene.stepper.now += 5 * 3600.0
            scene.ahead = -5 * 3600.0
        return reply(NONE)

    scene.pages = [listed]
    with pytest.raises(SubmissionUncertainError):
        scene.reframe(resubmit_after=3600.0)
    assert len(scene.posted) == 2


# --- find_job -------------------------------------------------------------------------------------


def asked(**more: Any) -> Submission:
    """A submission that a person asks about, half an hour later."""
    started = datetime.now(UTC) - timedelta(minutes=30)
    known = {"seed": 7, "body": {"seed": 7, "videoUrl": "asset_in"}, "started_at": started}
    return Submission(**{**known, "is_seed_drawn": True, "token": "t", **more})


def echoing(seed: int, job_id: str = "job_mine") -> dict[str, Any]:
    """A listed job with this seed."""
    return job_record(job_id, metadata={"input": {"seed": seed}})


@pytest.mark.parametrize(
    ("listed", "found"),
    [([echoing(7)], "job_mine"), ([], None), ([echoing(8)], None), ([job_record("job_c")], None)],
)
def test_find_job_gives_the_same_answer_every_time(listed: list[Any], found: str | None) -> None:
    """The job if it is listed, else None, for a candidate too. One look-up per call."""
    scene = Scene(lost(), pages=[listed])
    for _ in range(3):
        job = scene.run(scene.pipeline.find_job(asked()))
        assert (job.id if job else None) == found
    assert len(scene.lists) == 3
    assert scene.paused == 0


@pytest.mark.parametrize("has_ledger", [False, True])
def test_find_job_finds_what_the_submit_itself_found(*, has_ledger: bool) -> None:
    """The client and the ledger know that the job belongs to this submission."""
    scene = Scene(lost(), has_ledger=has_ledger)
    submission = scene.fails(SubmissionUncertainError).submission
    scene.pages = [[mine()]]
    for _ in range(2):
        found = scene.run(scene.pipeline.find_job(submission))
        assert found is not None
        assert found.id == "job_mine"
        scene.forget()
    if has_ledger:
        assert [(one.state, one.job_id) for one in scene.entries] == [("submitted", "job_mine")]


def test_find_job_does_not_find_another_s() -> None:
    """One job and two submissions of one seed: the first that asks gets it."""
    scene = Scene(lost(), pages=[[echoing(7)]])
    assert scene.run(scene.pipeline.find_job(asked())) is not None
    assert scene.run(scene.pipeline.find_job(asked(token="u"))) is None


def test_find_job_raises_on_several_matches() -> None:
    """The error names both, and the submission."""
    submission = asked()
    scene = Scene(lost(), pages=[[echoing(7, "job_a"), echoing(7, "job_b")]])
    with pytest.raises(SubmissionUncertainError) as caught:
        scene.run(scene.pipeline.find_job(submission))
    assert caught.value.submission is submission
    assert len(caught.value.candidates) == 2


def test_find_job_raises_the_error_of_the_list() -> None:
    """A person asked, so a person sees the error."""
    scene = Scene(lost(), pages=[reply({}, 401)])
    with pytest.raises(ApiError):
        scene.run(scene.pipeline.find_job(asked()))


@pytest.mark.parametrize(
    ("more", "since"),
    [({}, timedelta(days=1, minutes=30)),
     ({"started_at": datetime.now(UTC) + timedelta(days=3)}, timedelta(days=1)),
     ({"server_time": NOON - timedelta(days=2)}, timedelta(days=3)),
     ({"started_at": NOON, "server_time": datetime(2999, 1, 1, tzinfo=UTC)}, timedelta(days=1))],
    ids=["half an hour ago", "a clock that was set back", "the server's time", "a wrong Date"],
)  # fmt: skip
def test_find_job_reads_the_list_from_a_day_before_the_submit(more: Any, since: timedelta) -> None:
    """By the server's clock, but for a `Date` of the future, which would hide the job."""
    scene = Scene(lost())
    scene.run(scene.pipeline.find_job(asked(**more)))
    moment = datetime.fromisoformat(scene.lists[0].params["createdAfter"])
    assert abs(NOON - since - moment) < timedelta(minutes=5)


def test_find_job_asks_in_the_submission_s_project() -> None:
    """Whatever the client's project is now."""
    scene = Scene(lost(), pages=[[echoing(7)]], project_id="proj_7")
    assert scene.run(scene.pipeline.find_job(asked(project_id="proj_sub"))) is not None
    assert scene.lists[0].params["projectId"] == "proj_sub"
