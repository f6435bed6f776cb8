"""One POST and what it proves, stepped by hand: at most one paid job, and none lost."""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scenario_reframe import (
    ApiError,
    ConnectionFailedError,
    InvalidInputError,
    LedgerBusyError,
    RateLimitedError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.flow.steps import Blocking, Pause, Reply, Request, Send, Step
from scenario_reframe.run_state import Options
from scenario_reframe.submitting import REFUSALS, new_submission
from scenario_reframe.timing import DEFAULT_TIMING
from scenes import LOOK_UP_SECONDS, NOON, POST, Scene, mine
from stepping import SUBMIT_PATH, VENDORS_429, Answer, Unsent, job_record, lost, reply

MADE = reply({"job": job_record("job_9")})
SORRY = {"reason": "no"}
# Answers that do not show whether a job was made.
UNCLEAR = [
    lost(),
    *[reply(SORRY, status) for status in (408, 409, 410, 418, 425, 451)],
    *[reply(SORRY, status) for status in (500, 502, 503, 504, 520, 599)],
    *[reply(b"", status, location="urn:job:1") for status in (301, 302, 303, 307, 308)],
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
    reply(b"", 204),
    reply({"creativeUnitsCost": 60}, 269),
    reply({"job": job_record("job_other", metadata={"input": {"seed": -1}})}),
]
STOPS = [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, asyncio.CancelledError]


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
        {"job": {"jobId": "job_9", "metadata": {"input": {"seed": None, "prompt": "other"}}}},
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 269, 299])
def test_submit_reads_the_job_id_through_any_surprise(payload: Any, status: int) -> None:
    """The id is found under each of its keys, whatever else is odd, and is enough."""
    scene = Scene(reply(payload, status))
    assert scene.submit().id == "job_9"
    assert scene.sent == [POST]


@pytest.mark.parametrize(
    "content",
    [
        b'{"job": {"jobId": "job_9", "metadata": ' + b'{"a":' * 700 + b"1" + b"}" * 702,
        b'{"job": {"jobId": "job_9", "cost": ' + b"1" * 5000 + b"}}",
        b'{"job": {"jobId": "job_9", "progress": NaN, "createdAt": -Infinity}}',
        b'{"job": {"jobId": "job_9", "error": "\\ud800", "status": "\x00\xff"}}',
        b'\xef\xbb\xbf{"job": {"jobId": "job_9"}}',
        '{"job": {"jobId": "job_9"}}'.encode("utf-16"),
    ],
    ids=lambda content: repr(content)[:40],
)
def test_submit_keeps_the_job_id_of_a_reply_with_odd_values(content: bytes) -> None:
    """What cannot be read beside it costs nothing."""
    scene = Scene(Reply(200, {}, content))
    assert scene.submit().id == "job_9"
    assert scene.sent == [POST]


@pytest.mark.parametrize(
    "content",
    [
        b'{"job": {"jobId": "job_9"}, "more": ' + b"[" * 100_000,
        b'{"job": {"jobId": "job_9"}} and more',
        b'{"job": {"jobId": "job_9"',
        b'{"job": {"jobId": "job_9"}, "job": {}}',
        b'{"job": {"status": "queued", "id" : "job_9", }}',
        b'[{"job": {"jobId": "job_9"}}]',
    ],
    ids=lambda content: repr(content)[:40],
)
def test_the_only_job_that_an_unreadable_reply_names_is_in_the_error(content: bytes) -> None:
    """A hint for a person: whose job it is is decided by the look-up."""
    scene = Scene(Reply(200, {}, content))
    with pytest.raises(SubmissionUncertainError) as caught:
        scene.submit()
    assert caught.value.job is not None
    assert caught.value.job.id == "job_9"
    assert scene.sent.count(POST) == 1


@pytest.mark.parametrize(
    "content",
    [
        b'{"job": {"jobId": "job_8"}, "other": {"jobId": "job_9"}',
        b'{"reason": "{\\"jobId\\": \\"job_9\\"}", ]',
        b'{"ownerId": "job_9", ]',
        b'{"id": "asset_9", ]',
        b'{"jobId": "job_\\ud800"}',
    ],
)
def test_submit_guesses_no_job_id(content: bytes) -> None:
    """Of two, or of other things; then the job is looked up."""
    scene = Scene(Reply(200, {}, content), pages=[[mine()]])
    assert scene.submit().id == "job_mine"


def test_submit_sends_the_body_and_the_project() -> None:
    """The checked settings and a drawn seed are sent, with the project in the query."""
    scene = Scene(MADE, project_id="proj_7")
    scene.submit("asset_in", aspect_ratio="9:16")
    (body,) = scene.posted
    seed = body["seed"]
    assert scene.stepper.requests == [
        Request(
            method="POST",
            path=SUBMIT_PATH,
            params={"projectId": "proj_7"},
            body={"seed": seed, "aspectRatio": "9:16", "videoUrl": "asset_in"},
        )
    ]


def test_submit_logs_the_job(caplog: pytest.LogCaptureFixture) -> None:
    """Its id is logged at once."""
    with caplog.at_level(logging.INFO, "scenario_reframe"):
        Scene(MADE).submit()
    assert "job_9" in caplog.text


@pytest.mark.parametrize("body", [SORRY, {"message": "Forbidden"}], ids=repr)
@pytest.mark.parametrize("status", sorted(REFUSALS))
def test_refusal_of_the_api_proves_that_no_job_was_made(status: int, body: Any) -> None:
    """It is raised at once: no look-up, and no second POST."""
    scene = Scene(reply(body, status))
    error = scene.fails(ApiError)
    assert error.status_code == status
    assert scene.sent == [POST]
    assert scene.paused == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Payment required</html>", b"no", ["reason"], {"error": "no"}, {"detail": "no"},
     {"reason": 5}, {"reason": ""}, {"message": None}],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("status", sorted(REFUSALS))
def test_refusal_of_a_proxy_proves_nothing(status: int, body: Any) -> None:
    """The server behind the proxy may have made the job: it is looked up, and found."""
    scene = Scene(reply(body, status), pages=[[], [mine()]])
    assert scene.submit().id == "job_mine"
    assert len(scene.posted) == 1


def test_refusals_are_those_of_the_contract() -> None:
    """The statuses with which the API can prove that no job was made."""
    assert {400, 401, 402, 403, 404, 405, 413, 415, 422} == REFUSALS


def test_submit_tries_again_when_nothing_was_handed_over() -> None:
    """Nothing can have arrived, so a second and a third try cost nothing."""
    scene = Scene(lost(sent=False), lost(sent=False), MADE)
    assert scene.submit().id == "job_9"
    assert scene.sent == [POST] * 3
    assert scene.stepper.pauses == [0.5, 1.0]
    assert len(scene.posted) == 1


@pytest.mark.parametrize("has_ledger", [False, True])
def test_submit_gives_up_connecting_after_three_tries(*, has_ledger: bool) -> None:
    """The error says that nothing was sent, and the ledger holds no POST."""
    scene = Scene(lost(sent=False), has_ledger=has_ledger)
    error = scene.fails(ConnectionFailedError)
    assert not error.sent
    assert isinstance(error.__cause__, OSError)
    assert scene.sent == [POST] * 3
    assert scene.states == (["failed"] if has_ledger else [])


def test_submit_whose_second_try_is_lost_is_not_sent_again() -> None:
    """The first connection failed, the second broke: the job is looked up."""
    scene = Scene(lost(sent=False), lost(), pages=[[mine()]])
    assert scene.submit().id == "job_mine"
    assert scene.sent.count(POST) == 2
    assert len(scene.posted) == 1


@pytest.mark.parametrize("answer", UNCLEAR, ids=repr)
def test_submit_finds_its_job_after_an_unclear_answer(answer: Answer) -> None:
    """One POST; the job that echoes the drawn seed is the job."""
    scene = Scene(answer, pages=[[mine(), mine("job_a", seed=-5)]])
    assert scene.submit().id == "job_mine"
    assert len(scene.posted) == 1


@pytest.mark.parametrize("answer", UNCLEAR, ids=repr)
def test_submit_is_uncertain_after_an_unclear_answer_without_a_job(answer: Answer) -> None:
    """One POST, a minute of look-ups, and an error that says what to look for."""
    scene = Scene(answer)
    error = scene.fails(SubmissionUncertainError, aspect_ratio="9:16")
    (body,) = scene.posted
    assert (error.submission.seed, error.submission.body) == (body["seed"], body)
    assert error.submission.is_seed_drawn
    assert error.candidates == ()
    assert isinstance(error.__cause__, ReframeError)
    assert f"seed {body['seed']}" in str(error)
    assert scene.paused == LOOK_UP_SECONDS


def test_submit_rejects_the_answer_to_another_s_request() -> None:
    """A job named in two replies is the first one's; the second job is looked up."""
    scene = Scene(MADE, pages=[[mine()]])
    assert [scene.submit().id, scene.submit().id] == ["job_9", "job_mine"]
    assert len(scene.posted) == 2


@pytest.mark.parametrize("more", [{}, {"seed": 5}], ids=repr)
def test_submit_rejects_an_answer_that_echoes_another_s_request(more: Any) -> None:
    """A drawn seed must not differ; with a caller's seed nothing may."""
    echo = {"seed": 5, "numFrames": 100} if more else {"seed": -5}
    theirs = reply({"job": job_record("job_theirs", metadata={"input": echo})})
    scene = Scene(theirs)
    error = scene.fails(SubmissionUncertainError, num_frames=81, **more)
    assert "job_theirs, which is another request's" in str(error)
    assert len(scene.posted) == 1


ANY_429 = [
    reply(VENDORS_429, 429, retry_after="9"),
    reply({"reason": "Cooldown", "remainingSeconds": 9}, 429),
    reply({"message": "Too Many Requests"}, 429, retry_after="9"),
    reply(b"slow down", 429, retry_after="9"),
    reply(b"", 429, retry_after="9"),
]


@pytest.mark.parametrize("answer", ANY_429, ids=repr)
def test_429_from_api_or_proxy_is_raised_after_one_look_up(answer: Answer) -> None:
    """The error has the pause and the submission. No later call follows, so it settles it."""
    scene = Scene(answer)
    error = scene.fails(RateLimitedError)
    assert error.retry_after == 9.0
    assert error.limit == (5 if answer is ANY_429[0] else None)
    assert error.submission.body == scene.posted[0]
    assert scene.sent[0] == POST
    assert len(scene.lists) == len(scene.posted) == 1
    assert scene.paused >= DEFAULT_TIMING.refusal_settled


@pytest.mark.parametrize("answer", ANY_429, ids=repr)
def test_job_that_was_made_despite_a_429_is_found(answer: Answer) -> None:
    """If it is listed at once."""
    scene = Scene(answer, pages=[[mine()]])
    assert scene.submit().id == "job_mine"


@pytest.mark.parametrize(
    "page", [lost(), reply({}, 500), [mine("job_a"), mine("job_b")], [mine(without=["seed"])]],
    ids=["lost", "500", "two matches", "candidate"],
)  # fmt: skip
def test_429_is_raised_whatever_else_is_listed(page: Any) -> None:
    """Other jobs in the list are judged when the same call is made again."""
    scene = Scene(reply(VENDORS_429, 429), pages=[page])
    scene.fails(RateLimitedError)
    assert len(scene.posted) == 1


def test_job_of_a_429_is_found_later_by_its_submission() -> None:
    """Listed late, it is not lost, even without a ledger."""
    scene = Scene(reply(VENDORS_429, 429), pages=[[], [mine()]])
    submission = scene.fails(RateLimitedError).submission
    job = scene.run(scene.pipeline.find_job(submission))
    assert job is not None
    assert job.id == "job_mine"


def test_same_call_after_a_429_waits_until_the_list_shows_no_job_of_it() -> None:
    """After ten seconds the same body is posted again; no permission is needed."""
    scene = Scene(reply(VENDORS_429, 429), MADE, has_ledger=True)
    scene.fails(RateLimitedError, key="order-1")
    assert scene.states == ["new"]
    assert scene.submit(key="order-1").id == "job_9"
    assert scene.posted[0] == scene.posted[1]
    assert scene.paused >= 10.0
    assert scene.states == ["submitted"]


def test_same_call_after_a_429_finds_the_job_that_was_made() -> None:
    """Listed after four seconds: nothing is bought again."""
    scene = Scene(reply(VENDORS_429, 429), has_ledger=True, pages=[[], [], [], [mine()]])
    scene.fails(RateLimitedError, key="order-1")
    assert scene.submit(key="order-1").id == "job_mine"
    assert len(scene.posted) == 1


def test_same_call_after_a_429_asks_a_person_about_a_candidate() -> None:
    """A job that could be the lost one prevents a second POST."""
    scene = Scene(reply(VENDORS_429, 429), has_ledger=True, pages=[[mine(without=["seed"])]])
    scene.fails(RateLimitedError, key="order-1")
    error = scene.fails(SubmissionUncertainError, key="order-1")
    assert [job.id for job in error.candidates] == ["job_mine"]
    assert len(scene.posted) == 1


@pytest.mark.parametrize("has_ledger", [False, True])
@pytest.mark.parametrize("is_checked", [False, True])
@pytest.mark.parametrize("stop", STOPS)
def test_stop_before_the_handover_leaves_nothing_open(
    stop: type[BaseException], *, is_checked: bool, has_ledger: bool
) -> None:
    """Nothing was sent, so there is nothing to look for, and no open POST in the ledger."""
    scene = Scene(Unsent(stop(), is_checked=is_checked), has_ledger=has_ledger)
    error = scene.fails(stop)
    assert scene.posted == []
    assert "seed" not in "".join(getattr(error, "__notes__", []))
    assert scene.states == (["failed"] if has_ledger else [])


@pytest.mark.parametrize("has_ledger", [False, True])
@pytest.mark.parametrize("stop", STOPS)
def test_stop_after_the_handover_says_what_to_look_for(
    stop: type[BaseException], *, has_ledger: bool
) -> None:
    """Ctrl-C is raised with a note that names the seed; the ledger's entry is uncertain.

    (Closing a generator shows no note.)
    """
    scene = Scene(stop(), has_ledger=has_ledger)
    error = scene.fails(stop)
    (body,) = scene.posted
    assert stop is GeneratorExit or f"seed {body['seed']}" in "".join(error.__notes__)
    assert scene.states == (["uncertain"] if has_ledger else [])


@pytest.mark.parametrize("stop", STOPS)
def test_stop_during_the_look_ups_says_what_to_look_for(stop: type[BaseException]) -> None:
    """The seed is not lost during that minute either."""
    scene = Scene(lost())

    def before(step: Step) -> None:
        if isinstance(step, Pause):
            raise stop

    scene.stepper.before = before
    error = scene.fails(stop)
    seed = scene.posted[0]["seed"]
    assert stop is GeneratorExit or f"seed {seed}" in "".join(error.__notes__)


@pytest.mark.parametrize("answer", [MADE, reply({}, 500)], ids=["made", "500"])
@pytest.mark.parametrize("stop", STOPS)
def test_stop_before_a_reply_is_recorded_loses_nothing(
    stop: type[BaseException], answer: Answer
) -> None:
    """Cancelled instead of the write: it is still written, and the error carries the job."""
    scene = Scene(answer, has_ledger=True)

    def before(step: Step) -> None:
        if scene.posted and isinstance(step, Blocking):
            scene.stepper.before = lambda _: None
            raise stop

    scene.stepper.before = before
    error = scene.fails(stop)
    (entry,) = scene.entries
    notes = "".join(getattr(error, "__notes__", []))
    if answer is not MADE:
        assert entry.state == "uncertain"
        assert stop is GeneratorExit or f"seed {entry.seed}" in notes
    else:
        assert entry.job_id == "job_9"
        assert stop is GeneratorExit or (error.job.id == "job_9" and "job_9" in notes)


def test_target_that_appears_meanwhile_prevents_the_post(tmp_path: Path) -> None:
    """The last check before the body is sent."""
    to = tmp_path / "out.mp4"
    scene = Scene(MADE)

    def before(step: Step) -> None:
        if isinstance(step, Send) and step.request.path == SUBMIT_PATH:
            to.write_bytes(b"theirs")

    scene.stepper.before = before
    flow = scene.pipeline.reframe("asset_in", Options(to=to), None, None, {})
    with pytest.raises(InvalidInputError, match=r"out\.mp4"):
        scene.run(flow)
    assert scene.posted == []


def test_entry_that_another_has_claimed_is_not_posted() -> None:
    """A lost lease: another process has claimed the entry by the time of the POST."""
    scene = Scene(MADE, has_ledger=True)

    def before(step: Step) -> None:
        if isinstance(step, Send) and step.request.path == SUBMIT_PATH:
            scene.lose_the_claim()

    scene.stepper.before = before
    scene.fails(LedgerBusyError)
    assert scene.posted == []


def test_submit_of_a_caller_s_seed_asks_for_the_server_s_time_first() -> None:
    """Once a minute at most; the job must have been made after that."""
    scene = Scene(MADE, reply({"job": job_record("job_10")}), reply({"job": job_record("job_11")}))
    scene.submit(seed=1)
    scene.submit(seed=2)
    scene.stepper.now += 61.0
    scene.submit(seed=3)
    assert scene.sent == ["GET /jobs", POST, POST, "GET /jobs", POST]


def test_submit_of_a_caller_s_seed_is_not_sent_without_the_server_s_time() -> None:
    """If the free GET fails, nothing is paid for."""
    scene = Scene(MADE, times=[reply({}, 500)])
    assert scene.fails(ApiError, seed=7).status_code == 500
    assert POST not in scene.sent


def test_submission_holds_what_is_needed_to_find_its_job() -> None:
    """The project, the server's time before the POST, and whether the seed was drawn."""
    scene = Scene(lost(), project_id="proj_7")
    made = scene.fails(SubmissionUncertainError, seed=7).submission
    assert (made.project_id, made.server_time, made.is_seed_drawn) == ("proj_7", NOON, False)


def test_seed_is_drawn_from_31_bits() -> None:
    """A given seed stays; otherwise each submission draws its own."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    given = new_submission({"seed": 0, "prompt": "x"}, "t", None, now)
    assert (given.seed, given.body) == (0, {"seed": 0, "prompt": "x"})
    body: dict[str, Any] = {}
    drawn = {new_submission(body, "t", None, now).seed for _ in range(50)}
    assert len(drawn) > 40
    assert all(0 <= seed < 2**31 for seed in drawn)
    assert body == {}
