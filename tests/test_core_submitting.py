"""Submitting, stepped by hand: at most one paid job, and none that is lost."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scenario_reframe import (
    ApiError,
    ConnectionFailedError,
    Job,
    RateLimitedError,
    ReframeError,
    Submission,
    SubmissionUncertainError,
)
from scenario_reframe.flow import Reply, Request, Send
from scenario_reframe.retry import REFUSALS
from scenario_reframe.submitting import Claims, find, sort_out, submit, with_seed
from scenario_reframe.timing import USUAL
from stepping import DATE, SUBMIT_PATH, Answer, Stepper, job_record, lost, reply

BODY = {"seed": 7, "aspectRatio": "9:16", "videoUrl": "asset_in"}
POST = f"POST {SUBMIT_PATH}"
VENDORS_429 = {"reason": "Too many", "details": {"actionName": "custom", "actionLimit": 5}}

AMBIGUOUS = [
    lost(),
    *[reply({"reason": "hm"}, status) for status in (408, 409, 425, 429, 402, 410, 418)],
    *[reply({"reason": "oops"}, status) for status in (500, 502, 503, 504, 520, 599)],
    *[reply(b"", status, location="/v2") for status in (301, 302, 303, 307, 308)],
    reply(b"<html>thanks</html>"),
    reply([]),
    reply(None),
    reply({}),
    reply({"job": None}),
    reply({"job": {}}),
    reply({"job": []}),
    reply({"job": {"jobId": 5}}),
    reply({"job": {"jobId": None}}),
    reply({"job": {"jobId": ""}}),
    reply({"job": {"jobId": "../jobs"}}),
    reply({"job": {"jobId": ".."}}),
    reply({"job": {"status": "queued"}}),
    reply(b'{"job": {"jobId": "job_1"'),
    reply(b"", 204),
    reply({"creativeUnitsCost": 60}, 269),
]


class Server:
    """Answers a submit once as told, and then lists jobs."""

    def __init__(
        self, answer: Answer, *pages: Sequence[dict[str, Any]] | Answer, date: str = DATE
    ) -> None:
        self.answer = answer
        self.pages = list(pages)
        self.date = date
        self.lists: list[Request] = []

    def __call__(self, step: Any) -> Answer:
        """One answer. The last page is given again and again."""
        assert isinstance(step, Send)
        if step.request.method == "POST":
            return self.answer
        if "createdAfter" not in step.request.params:
            return reply({"jobs": []}, date=self.date)
        self.lists.append(step.request)
        page = self.pages.pop(0) if len(self.pages) > 1 else (self.pages or [()])[0]
        return page if isinstance(page, Answer) else reply({"jobs": page})


def mine(job_id: str = "job_mine", seed: Any = 7, **more: Any) -> dict[str, Any]:
    """A listed job that echoes the seed and the video."""
    echoed = {"seed": seed, "videoUrl": "asset_in", **more.pop("input", {})}
    return job_record(job_id, metadata={"input": echoed}, **more)


def submitted(
    answer: Answer,
    *pages: Sequence[dict[str, Any]] | Answer,
    claimed: set[str] | None = None,
    body: dict[str, Any] | None = None,
    date: str = DATE,
) -> tuple[Job, Stepper]:
    """Submit by hand: the job, and what was done."""
    stepper = Stepper(script=Server(answer, *pages, date=date))
    ids = set() if claimed is None else claimed
    return stepper.run(submit(stepper.operations(), body or BODY, Claims(ids))), stepper


def refused(
    answer: Answer, *pages: Sequence[dict[str, Any]] | Answer, claimed: set[str] | None = None
) -> tuple[ReframeError, Stepper]:
    """Submit by hand for an error: the error, and what was done."""
    stepper = Stepper(script=Server(answer, *pages))
    with pytest.raises(ReframeError) as caught:
        stepper.run(submit(stepper.operations(), BODY, Claims(claimed or set())))
    return caught.value, stepper


@pytest.mark.parametrize(
    "payload",
    [
        {"job": job_record("job_9")},
        {"job": {"id": "job_9", "status": "queued"}},
        {"jobId": "job_9"},
        {"jobId": "job_9", "job": None},
        {"job": {"jobId": None, "id": "job_9"}},
        {"job": {"jobId": 5, "id": ["x"]}, "jobId": "job_9"},
        {"job": {"jobId": "job_9", "status": 5}},
        {"job": {"jobId": "job_9", "metadata": 5}},
        {"job": {"jobId": "job_9", "billing": "free", "progress": [], "createdAt": {}}},
        {"job": {"jobId": "job_9", "status": None, "metadata": None, "statusHistory": None}},
        {"job": {"jobId": "job_9", "statusHistory": [None, 5]}, "creativeUnitsCost": "dear"},
        {"job": {"jobId": "job_9", "metadata": {"assetIds": "asset_1", "input": 3}}},
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 269, 299])
def test_submit_reads_the_job_id_through_any_surprise(payload: Any, status: int) -> None:
    """A paid job's id is found under each of its keys, whatever else is odd."""
    job, stepper = submitted(reply(payload, status))
    assert job.id == "job_9"
    assert stepper.sent == [POST]


def test_submit_keeps_the_job_id_of_a_deeply_nested_reply() -> None:
    """A record too deep to read through still gives up its id."""
    deep = b'{"job": {"jobId": "job_9", "metadata": ' + b'{"a":' * 700 + b"1" + b"}" * 702
    job, _ = submitted(Reply(200, {}, deep))
    assert job.id == "job_9"


def test_submit_sends_the_body_and_the_project() -> None:
    """What was checked goes out as it is, with the project in the query."""
    stepper = Stepper(reply({"jobId": "job_9"}))
    stepper.run(submit(stepper.operations("proj_1"), BODY, Claims()))
    assert stepper.requests == [
        Request(method="POST", path=SUBMIT_PATH, params={"projectId": "proj_1"}, body=BODY)
    ]


def test_submit_claims_and_logs_the_job(caplog: pytest.LogCaptureFixture) -> None:
    """The id is on record at once, and no later look takes the job for its own."""
    claimed: set[str] = set()
    with caplog.at_level(logging.INFO, "scenario_reframe"):
        submitted(reply({"jobId": "job_9"}), claimed=claimed)
    assert claimed == {"job_9"}
    assert "job_9" in caplog.text


@pytest.mark.parametrize("status", sorted(REFUSALS))
def test_submit_raises_a_refusal_at_once(status: int) -> None:
    """These statuses prove that no job was made: nothing is looked for, nothing sent again."""
    error, stepper = refused(reply({"reason": "no"}, status))
    assert isinstance(error, ApiError)
    assert error.status_code == status
    assert stepper.sent == [POST]
    assert stepper.pauses == []


def test_refusals_are_those_of_the_contract() -> None:
    """The list of statuses that prove that no job was made."""
    assert {400, 401, 403, 404, 405, 413, 415, 422} == REFUSALS


def test_submit_tries_again_when_no_connection_was_opened() -> None:
    """Nothing can have arrived, so a second and a third try cost nothing."""
    stepper = Stepper(lost(sent=False), lost(sent=False), reply({"jobId": "job_9"}))
    job = stepper.run(submit(stepper.operations(), BODY, Claims()))
    assert job.id == "job_9"
    assert stepper.sent == [POST] * 3
    assert stepper.pauses == [0.5, 1.0]


def test_submit_gives_up_connecting_after_three_tries() -> None:
    """The error says that nothing was sent."""
    error, stepper = refused(lost(sent=False))
    assert isinstance(error, ConnectionFailedError)
    assert not error.sent
    assert isinstance(error.__cause__, OSError)
    assert stepper.sent == [POST] * 3


def test_submit_looks_for_its_job_when_the_second_try_is_lost() -> None:
    """A connection that failed first and broke then leaves it open, and is not sent again."""
    stepper = Stepper(
        lost(sent=False), lost(), reply({"jobs": []}, date=DATE), reply({"jobs": [mine()]})
    )
    job = stepper.run(submit(stepper.operations(), BODY, Claims()))
    assert job.id == "job_mine"
    assert stepper.sent.count(POST) == 2


@pytest.mark.parametrize("answer", AMBIGUOUS, ids=repr)
def test_submit_finds_its_job_after_an_ambiguous_answer(answer: Answer) -> None:
    """One POST; the job that echoes the seed and the input is the job."""
    job, stepper = submitted(answer, [mine(), mine("job_other", seed=8)])
    assert job.id == "job_mine"
    assert stepper.sent.count(POST) == 1


@pytest.mark.parametrize("answer", AMBIGUOUS, ids=repr)
def test_submit_is_uncertain_after_an_ambiguous_answer_without_a_job(answer: Answer) -> None:
    """One POST, a minute of looking, and an error that says what to look for."""
    error, stepper = refused(answer, [])
    assert isinstance(error, SubmissionUncertainError)
    assert error.submission.seed == 7
    assert error.submission.body == BODY
    assert error.candidates == ()
    assert isinstance(error.__cause__, ReframeError)
    assert "seed 7" in str(error)
    assert stepper.sent.count(POST) == 1
    assert sum(stepper.pauses) == sum(USUAL.look_ups) == 60.0


def test_submit_finds_a_job_that_is_listed_late() -> None:
    """The vendor does not say how soon a job is listed, so it is looked for again."""
    job, stepper = submitted(lost(), [], [], [], [mine()])
    assert job.id == "job_mine"
    assert stepper.pauses == [1.0, 2.0, 4.0]


def test_submit_claims_the_job_that_it_found() -> None:
    """A job that was found is nobody else's."""
    claimed: set[str] = set()
    submitted(lost(), [mine()], claimed=claimed)
    assert claimed == {"job_mine"}


def test_submit_does_not_take_a_job_that_was_claimed() -> None:
    """A job that this client knows to be another submit's is passed over."""
    error, _ = refused(lost(), [mine()], claimed={"job_mine"})
    assert isinstance(error, SubmissionUncertainError)
    assert error.candidates == ()
    job, _ = submitted(lost(), [mine("job_a"), mine("job_b")], claimed={"job_a"})
    assert job.id == "job_b"


def test_submit_is_uncertain_when_several_jobs_match() -> None:
    """It does not guess: both are named, and it does not go on looking."""
    error, stepper = refused(lost(), [mine("job_a"), mine("job_b")])
    assert isinstance(error, SubmissionUncertainError)
    assert [job.id for job in error.candidates] == ["job_a", "job_b"]
    assert "job_a, job_b" in str(error)
    assert stepper.pauses == []


@pytest.mark.parametrize(
    "listed",
    [
        job_record("job_c"),
        job_record("job_c", metadata=None),
        job_record("job_c", metadata=5),
        job_record("job_c", metadata={"input": {}}),
        job_record("job_c", metadata={"input": {"videoUrl": "asset_in"}}),
        job_record("job_c", metadata={"input": {"seed": None}}),
        {"jobId": "job_c"},
        {"jobId": "job_c", "jobType": None},
        {"id": "job_c", "status": "queued"},
    ],
    ids=repr,
)
def test_submit_names_a_job_without_a_seed_as_a_candidate(listed: dict[str, Any]) -> None:
    """A job that does not say its seed could be it: a person decides."""
    error, _ = refused(lost(), [listed])
    assert isinstance(error, SubmissionUncertainError)
    assert [job.id for job in error.candidates] == ["job_c"]


@pytest.mark.parametrize(
    "listed",
    [
        mine(seed=8),
        mine(seed="7"),
        mine(input={"videoUrl": "asset_other"}),
        mine(input={"aspectRatio": "1:1"}),
        mine(jobType="upload"),
        job_record("job_c", metadata={"input": {"videoUrl": "asset_other"}}),
        {"status": "queued"},
        {"jobId": 5},
    ],
    ids=repr,
)
def test_submit_passes_over_jobs_that_cannot_be_it(listed: dict[str, Any]) -> None:
    """Another seed, another input, another type, or no id."""
    error, _ = refused(lost(), [listed])
    assert isinstance(error, SubmissionUncertainError)
    assert error.candidates == ()


@pytest.mark.parametrize(
    "echo", [{"aspectRatio": "9:16"}, {"numFrames": 81}, {"aspectRatio": None}]
)
def test_submit_knows_its_job_by_an_echo_that_says_more(echo: dict[str, Any]) -> None:
    """Defaults that the server adds, and keys that it leaves out, contradict nothing."""
    job, _ = submitted(lost(), [mine(input=echo)])
    assert job.id == "job_mine"


def test_submit_without_a_video_does_not_take_a_job_that_has_one() -> None:
    """The same seed with a video of its own is another job."""
    with pytest.raises(SubmissionUncertainError):
        submitted(lost(), [mine()], body={"seed": 7})


def test_submit_does_not_take_an_older_job_of_the_same_seed() -> None:
    """A job made well before the POST is an earlier run, named but not taken."""
    old, new = "2026-01-01T09:50:00.000Z", "2026-01-01T10:00:01.000Z"
    error, _ = refused(lost(), [mine("job_old", createdAt=old)])
    assert isinstance(error, SubmissionUncertainError)
    assert [job.id for job in error.candidates] == ["job_old"]
    job, _ = submitted(lost(), [mine("job_old", createdAt=old), mine("job_new", createdAt=new)])
    assert job.id == "job_new"


def test_submit_asks_by_the_servers_clock_with_an_hour_of_slack() -> None:
    """The moment of the POST is counted back from the reply's `Date`."""
    server = Server(lost(), [], [], [mine()])
    stepper = Stepper(script=server)
    stepper.run(submit(stepper.operations("proj_1"), BODY, Claims()))
    # The script's clock stands still, so each pause moves the asked moment back by as much.
    asked = [request.params["createdAfter"] for request in server.lists]
    assert asked == [
        "2026-01-01T09:00:00.000Z",
        "2026-01-01T08:59:59.000Z",
        "2026-01-01T08:59:57.000Z",
    ]
    assert all(request.params["projectId"] == "proj_1" for request in stepper.requests)
    assert all(request.params["pageSize"] == 100 for request in server.lists)


@pytest.mark.parametrize(
    "date",
    ["", "today", "Thu, 01 Jan 99999999999999999999 10:00:00 GMT",
     "Thu, 01 Jan 2026 10:00:00 +99999999999999"],
)  # fmt: skip
def test_submit_falls_back_on_its_own_clock(date: str) -> None:
    """A server that does not say the time sensibly is asked by ours."""
    server = Server(lost(), [mine()], date=date)
    stepper = Stepper(script=server)
    assert stepper.run(submit(stepper.operations(), BODY, Claims())).id == "job_mine"
    asked = datetime.fromisoformat(server.lists[0].params["createdAfter"])
    assert abs(datetime.now(UTC) - timedelta(hours=1) - asked) < timedelta(minutes=5)


@pytest.mark.parametrize("token", ["page 2/+=", "t" * 3000], ids=["odd", "long"])
def test_submit_reads_the_list_to_its_last_page(token: str) -> None:
    """A short or empty page is not the end while a token is given; tokens go back unchanged."""
    server = Server(
        lost(),
        reply({"jobs": [mine(seed=8)], "nextPaginationToken": token}),
        reply({"jobs": [], "nextPaginationToken": "page 3"}),
        reply({"jobs": [mine()], "nextPaginationToken": None}),
    )
    stepper = Stepper(script=server)
    assert stepper.run(submit(stepper.operations(), BODY, Claims())).id == "job_mine"
    tokens = [request.params.get("paginationToken") for request in server.lists]
    assert tokens == [None, token, "page 3"]


def test_submit_counts_a_job_once_though_two_pages_list_it() -> None:
    """Pages that overlap do not make one job two."""
    pages = reply({"jobs": [mine()], "nextPaginationToken": "t"}), reply({"jobs": [mine()]})
    job, _ = submitted(lost(), *pages)
    assert job.id == "job_mine"


def test_submit_does_not_follow_a_list_in_circles() -> None:
    """A token that comes again ends the look, which then proves nothing."""
    error, stepper = refused(lost(), reply({"jobs": [mine()], "nextPaginationToken": "t"}))
    assert isinstance(error, SubmissionUncertainError)
    assert len(stepper.requests) == 1 + 3 * len(USUAL.look_ups)


@pytest.mark.parametrize(
    "page",
    [
        lost(),
        reply({"reason": "no"}, 403),
        reply({}, 500),
        reply({}, 429),
        reply(b"<html>"),
        reply({"jobs": None}),
        reply({"jobs": {}}),
        reply({"jobs": ["job_1"]}),
        reply({}),
    ],
    ids=repr,
)
def test_submit_stays_uncertain_when_the_list_cannot_be_read(page: Answer) -> None:
    """A list that fails proves nothing; one that may pass is read four times a look."""
    error, stepper = refused(lost(), page)
    assert isinstance(error, SubmissionUncertainError)
    assert stepper.sent.count(POST) == 1
    refusal = isinstance(page, Reply) and page.status == 403
    back_off = [] if refusal else [0.5, 1.0, 2.0]
    assert stepper.pauses == back_off + [
        seconds for pause in USUAL.look_ups[1:] for seconds in (pause, *back_off)
    ]


def test_submit_finds_its_job_after_a_list_that_failed() -> None:
    """One look that fails does not end the looking."""
    job, _ = submitted(lost(), reply({}, 500), [mine()])
    assert job.id == "job_mine"


@pytest.mark.parametrize("body", [VENDORS_429, {"reason": "Cooldown", "remainingSeconds": 12}])
def test_submit_looks_once_after_the_vendors_own_429(body: dict[str, Any]) -> None:
    """The application's word that no job was made is nearly believed."""
    error, stepper = refused(reply(body, 429, retry_after="9"), [])
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 9.0
    assert error.limit == (5 if "details" in body else None)
    assert stepper.sent == [POST, "GET /jobs", "GET /jobs"]
    assert stepper.pauses == []


def test_submit_takes_the_job_that_a_429_made_all_the_same() -> None:
    """One look is enough to find a job behind a 429."""
    job, _ = submitted(reply(VENDORS_429, 429), [mine()])
    assert job.id == "job_mine"


def test_submit_raises_the_429_when_the_list_fails() -> None:
    """With the vendor's own word, a list that cannot be read changes nothing."""
    error, _ = refused(reply(VENDORS_429, 429), lost())
    assert isinstance(error, RateLimitedError)


def test_submit_is_uncertain_after_a_429_with_several_matches() -> None:
    """Two jobs of the seed outweigh the vendor's word."""
    error, _ = refused(reply(VENDORS_429, 429), [mine("job_a"), mine("job_b")])
    assert isinstance(error, SubmissionUncertainError)
    assert len(error.candidates) == 2


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
def test_submit_that_is_cut_off_says_what_to_look_for(stop: type[BaseException]) -> None:
    """Ctrl-C during the POST goes on its way with a note that names the seed."""
    stepper = Stepper(stop())
    with pytest.raises(stop) as caught:
        stepper.run(submit(stepper.operations(), BODY, Claims()))
    assert "seed 7" in "".join(caught.value.__notes__)


def test_submit_that_is_cut_off_while_it_looks_says_what_to_look_for() -> None:
    """Ctrl-C during the minute of looking may not lose the seed either."""
    stepper = Stepper(lost(), KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        stepper.run(submit(stepper.operations(), BODY, Claims()))
    assert "seed 7" in "".join(getattr(caught.value, "__notes__", []))


def submission(**more: Any) -> Submission:
    """A submit whose answer was lost half an hour ago."""
    at = datetime.now(UTC) - timedelta(minutes=30)
    return Submission(**{"seed": 7, "body": BODY, "started_at": at, **more})


@pytest.mark.parametrize(
    ("listed", "found"),
    [([mine()], "job_mine"), ([], None), ([mine(seed=8)], None), ([job_record("job_c")], None)],
)
def test_find_looks_once(listed: list[dict[str, Any]], found: str | None) -> None:
    """The job if it is listed, else None; a candidate is no find."""
    stepper = Stepper(script=Server(lost(), listed))
    job = stepper.run(find(stepper.operations(), submission(), Claims()))
    assert (job.id if job else None) == found
    assert stepper.sent == ["GET /jobs", "GET /jobs"]


def test_find_asks_from_before_the_submit() -> None:
    """Half an hour ago, and the hour of slack."""
    server = Server(lost(), [])
    stepper = Stepper(script=server)
    stepper.run(find(stepper.operations(), submission(), Claims()))
    asked = datetime.fromisoformat(server.lists[0].params["createdAfter"])
    wanted = datetime(2026, 1, 1, 8, 30, tzinfo=UTC)
    assert abs(asked - wanted) < timedelta(minutes=1)


def test_find_raises_when_several_jobs_match() -> None:
    """Both are named, with the submission."""
    asked = submission()
    stepper = Stepper(script=Server(lost(), [mine("job_a"), mine("job_b")]))
    with pytest.raises(SubmissionUncertainError) as caught:
        stepper.run(find(stepper.operations(), asked, Claims()))
    assert caught.value.submission is asked
    assert len(caught.value.candidates) == 2


def test_find_lets_a_list_that_fails_through() -> None:
    """A person asked, so a person is told."""
    stepper = Stepper(script=Server(lost(), reply({}, 401)))
    with pytest.raises(ApiError):
        stepper.run(find(stepper.operations(), submission(), Claims()))


def test_find_claims_what_it_finds() -> None:
    """Asked twice, it does not find one job for two submissions."""
    claimed: set[str] = set()
    for wanted in ("job_mine", None):
        stepper = Stepper(script=Server(lost(), [mine()]))
        job = stepper.run(find(stepper.operations(), submission(), Claims(claimed)))
        assert (job.id if job else None) == wanted


def test_find_survives_a_clock_that_was_set_back() -> None:
    """A submission from the future counts as one of now."""
    later = submission(started_at=datetime.now(UTC) + timedelta(days=1))
    server = Server(lost(), [])
    stepper = Stepper(script=server)
    assert stepper.run(find(stepper.operations(), later, Claims())) is None
    assert server.lists[0].params["createdAfter"] == "2026-01-01T09:00:00.000Z"


def test_with_seed_draws_31_bits() -> None:
    """A seed that was given stays; one that was not is drawn, and not twice the same."""
    assert with_seed({"seed": 0, "prompt": "x"}) == {"seed": 0, "prompt": "x"}
    seeds = {with_seed({})["seed"] for _ in range(50)}
    assert len(seeds) > 40
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_with_seed_leaves_the_given_body_alone() -> None:
    """The caller's mapping is not written to."""
    body: dict[str, Any] = {}
    with_seed(body)
    assert body == {}


@pytest.mark.parametrize(("minutes", "matches"), [(-2, 0), (-0.5, 1), (0, 1), (60, 1)])
def test_sort_out_takes_jobs_created_from_the_earliest_moment_on(
    minutes: float, matches: int
) -> None:
    """What was created before cannot be it."""
    earliest = datetime(2026, 1, 1, 10, tzinfo=UTC) - timedelta(minutes=1)
    made = earliest + timedelta(minutes=1 + minutes)
    job = Job(id="job_1", status="queued", input={"seed": 7}, created_at=made)
    assert len(sort_out([job], BODY, earliest).matches) == matches
