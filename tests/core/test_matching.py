"""Which job belongs to which submission, by the server's echo, and which submissions must wait."""

import struct
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from scenario_reframe import Job, LedgerBusyError, Submission, SubmissionUncertainError
from scenario_reframe.flow.steps import Blocking, Flow, Pause, Reply, Send
from scenario_reframe.job_matching import agreement, classify, classify_all, contradicts, twin_key
from scenario_reframe.submitting import new_submission
from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD
from scenes import NOON, Scene
from stepping import job_record, lost, reply

DEFAULTS: dict[str, Any] = {row.wire: row.default for row in SETTINGS if row.default is not None}
MADE = reply({"job": job_record("job_9")})
REFUSED = reply({"reason": "no"}, 403)
SENT: dict[str, Any] = {
    "videoUrl": "asset_in",
    "aspectRatio": "9:16",
    "numFrames": 100,
    "zoomFactor": 0.1,
    "trimBorders": False,
    "prompt": " a cat ",
}
SEED = 16_777_217
"""The first whole number that a float32 cannot hold."""


def float32(value: float) -> float:
    """A number after a round trip through four bytes."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def drawn(**settings: Any) -> Submission:
    """A submission whose seed the client drew."""
    return new_submission({**SENT, **settings}, "t", None, NOON)


def given(**settings: Any) -> Submission:
    """A submission whose seed the caller gave."""
    return new_submission({"seed": SEED, **SENT, **settings}, "t", None, NOON)


def job(echoed: Any, seconds: float | None = 1.0, **raw: Any) -> Job:
    """A listed job, created so many seconds after the submission."""
    made = None if seconds is None else NOON + timedelta(seconds=seconds)
    return Job(id="job_1", status="queued", input=echoed, created_at=made, raw=raw)


def echo(submission: Submission, **changed: Any) -> dict[str, Any]:
    """What was sent, with some of it changed, or left out where the value is `...`."""
    told = {**submission.body, **changed}
    return {key: value for key, value in told.items() if value is not ...}


REWRITTEN: list[dict[str, Any]] = [
    {},
    {"prompt": "a cat, high quality, 4k"},
    {"prompt": "a cat"},
    {"videoUrl": "https://cdn.test/assets/asset_in.mp4?Signature=s"},
    {"videoUrl": "https://cdn.test/other.mp4"},
    {"numFrames": "100", "zoomFactor": "0.1", "trimBorders": "false"},
    {"zoomFactor": float32(0.1)},
    {"aspectRatio": "1:1", "numFrames": 81, "videoUrl": "asset_other"},
    {"newKey": 5},
    dict.fromkeys(SENT, ...),
]


@pytest.mark.parametrize("seconds", [-86_400.0, 0.0, 86_400.0, None])
@pytest.mark.parametrize("changed", REWRITTEN, ids=repr)
@pytest.mark.parametrize("form", [int, float, str, float32])
def test_drawn_seed_is_the_identity(form: Any, changed: dict[str, Any], seconds: float) -> None:
    """However the seed is written, whatever else is echoed, and whatever the clocks say."""
    submission = drawn()
    found = job(echo(submission, seed=form(submission.seed), **changed), seconds)
    assert classify(found, submission) == "match"


def test_a_job_with_another_seed_than_the_drawn_one_is_another_request() -> None:
    """Even if all the rest agrees."""
    submission = drawn()
    other = job(echo(submission, seed=(submission.seed + 2**30) % 2**31))
    assert classify(other, submission) == "other"


@pytest.mark.parametrize(
    "changed",
    [{"seed": ...}, {"seed": None}, {"seed": ""}, {"seed": "a lot"}, {"seed": [5]},
     {"seed": ..., "prompt": "other"}, {"seed": ..., "videoUrl": "https://cdn.test/x"},
     {"seed": ..., **dict.fromkeys(SENT, ...)}],
    ids=repr,
)  # fmt: skip
def test_job_without_a_readable_seed_is_a_candidate(changed: dict[str, Any]) -> None:
    """It could be the lost job."""
    submission = drawn()
    assert classify(job(echo(submission, **changed)), submission) == "candidate"


CONTRADICTIONS: list[dict[str, Any]] = [
    {"numFrames": 101},
    {"numFrames": "101"},
    {"zoomFactor": 0.2},
    {"trimBorders": True},
    {"trimBorders": "true"},
    {"aspectRatio": "1:1"},
    {"videoUrl": "asset_other"},
]


@pytest.mark.parametrize("changed", CONTRADICTIONS, ids=repr)
@pytest.mark.parametrize("whose", ["drawn", "given"])
def test_number_boolean_choice_or_asset_that_differs_is_a_contradiction(
    whose: str, changed: dict[str, Any]
) -> None:
    """Without a drawn seed, the job then belongs to another request."""
    submission = drawn() if whose == "drawn" else given()
    echoed = echo(submission, **changed, **({"seed": ...} if whose == "drawn" else {}))
    assert contradicts(job(echoed), submission)
    assert classify(job(echoed), submission) == "other"


def test_other_seed_of_a_caller_is_a_contradiction() -> None:
    """Also if it differs in the last digit only, or is text."""
    for seed in (SEED + 2, str(SEED + 2), 0):
        assert classify(job(echo(given(), seed=seed)), given()) == "other"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"seed": str(SEED)},
        {"seed": float32(SEED)},
        {"numFrames": 100.0, "zoomFactor": float32(0.1), "trimBorders": "False"},
        {"videoUrl": "https://cdn.test/assets/asset_in.mp4?Signature=s"},
        {"videoUrl": "https://cdn.test/asset_in"},
        {key: value for key, value in DEFAULTS.items() if key not in {*SENT, "seed"}},
        {"negativePrompt": "", "newKey": 5},
    ],
    ids=repr,
)
def test_job_that_agrees_in_everything_matches_a_caller_s_seed(changed: dict[str, Any]) -> None:
    """In every key that was sent, and in the server's defaults for the others."""
    assert classify(job(echo(given(), **changed)), given()) == "match"
    assert classify(job(echo(given(), **changed), 0.0), given()) == "match"


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "a cat"},
        {"prompt": "a cat, high quality"},
        {"prompt": ...},
        {"seed": ...},
        {"seed": None},
        {"numFrames": ...},
        {"numFrames": None},
        {"videoUrl": ...},
        {"videoUrl": "https://cdn.test/other.mp4"},
        {"videoUrl": "http://[bad"},
        {"numInferenceSteps": DEFAULTS["numInferenceSteps"] + 1},
        {"negativePrompt": "dogs"},
    ],
    ids=repr,
)
def test_job_that_agrees_in_part_is_a_candidate_for_a_caller_s_seed(
    changed: dict[str, Any],
) -> None:
    """A key is missing, rewritten or was not sent: another run's job could look like that."""
    assert classify(job(echo(given(), **changed)), given()) == "candidate"


@pytest.mark.parametrize("seconds", [-0.001, -3600.0, None])
def test_older_job_of_a_caller_s_seed_is_a_candidate(seconds: float | None) -> None:
    """An earlier run may have sent the same request."""
    assert classify(job(echo(given()), seconds), given()) == "candidate"


def test_no_job_matches_a_caller_s_seed_if_the_server_s_time_is_unknown() -> None:
    """Then no job is known to be new."""
    timeless = new_submission({"seed": SEED, **SENT}, "t", None, None)
    assert classify(job(echo(timeless)), timeless) == "candidate"


def test_submission_without_a_video_does_not_match_a_job_that_has_one() -> None:
    """The same settings with a video may be another's."""
    sent = {"seed": SEED, "numFrames": 100}
    submission = new_submission(sent, "t", None, NOON)
    assert classify(job(sent), submission) == "match"
    assert classify(job({**sent, "videoUrl": "asset_in"}), submission) == "candidate"


@pytest.mark.parametrize("kind", ["upload", "assets-download", 5])
def test_job_of_another_kind_is_another_request(kind: Any) -> None:
    """Only custom jobs count; a job without a kind may be custom."""
    for submission in (drawn(), given()):
        assert classify(job(echo(submission), jobType=kind), submission) == "other"
        for custom in ({"jobType": "custom"}, {"jobType": None}, {}):
            assert classify(job(echo(submission), **custom), submission) == "match"


def test_jobs_are_sorted_into_matches_and_candidates() -> None:
    """In their order; others are dropped."""
    submission = drawn()
    other = job(echo(submission, seed=-1))
    match, candidate = job(echo(submission)), job(echo(submission, seed=...))
    found = classify_all([candidate, other, match, candidate], submission)
    assert found.matches == (match,)
    assert found.candidates == (candidate, candidate)


@pytest.mark.parametrize(
    ("sent", "echoed", "agrees"),
    [
        (1, True, None), (True, 1, None), (False, 0, None), (0, False, None),
        (1, 10**400, None), (1, "1e999", False), (1, "nan", False), (1e300, 1e300, True),
        (0.1, "0.1", True), (5, [5], None), (5, None, None), (5, "", None),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers_and_booleans_do_not_match_each_other(
    sent: Any, echoed: Any, *, agrees: bool | None
) -> None:
    """Another type proves nothing; text that is not that number differs."""
    assert agreement("numFrames", sent, echoed) is agrees


# Settings that an echo may not tell apart, and settings that it does.
SAME: list[dict[str, Any]] = [
    {"seed": 5},
    {"seed": 5.0},
    {"seed": 5, "prompt": "a"},
    {"seed": 5, "negativePrompt": "b"},
    {"seed": 5, "newKey": 5},
    {"seed": 5, "numFrames": DEFAULTS["numFrames"]},
    {"seed": 5, **{key: value for key, value in DEFAULTS.items() if key != "seed"}},
]
UNLIKE: list[tuple[dict[str, Any], str | None]] = [
    ({"seed": 5}, "asset_a"),
    ({"seed": 5}, "asset_b"),
    ({"seed": 5}, None),
    ({"seed": 6}, "asset_a"),
    ({"seed": 5, "numFrames": 100}, "asset_a"),
    ({"seed": 5, "numFrames": 101}, "asset_a"),
    ({"seed": 5, "aspectRatio": "1:1"}, "asset_a"),
    ({"seed": 5, "trimBorders": True}, "asset_a"),
    ({"seed": 5, "trimBorders": False}, "asset_a"),
    ({"seed": 5, "zoomFactor": 0.5}, "asset_a"),
]


def test_twins_are_requests_that_an_echo_may_not_tell_apart() -> None:
    """Text does not count, and what is not sent has its default."""
    assert len({twin_key(settings, "asset_a") for settings in SAME}) == 1
    assert twin_key({"prompt": "a"}, "asset_a") is None


def test_requests_that_are_not_twins_never_match_each_other_s_jobs() -> None:
    """Each request's exact echo is not a match for the other."""
    for (settings, asset), (others, others_asset) in permutations(UNLIKE, 2):
        if twin_key(settings, asset) == twin_key(others, others_asset):
            continue
        body = {**settings, **({VIDEO_FIELD: asset} if asset else {})}
        echoed = {**others, **({VIDEO_FIELD: others_asset} if others_asset else {})}
        assert classify(job(echoed), new_submission(body, "t", None, NOON)) != "match"
    assert len({twin_key(*one) for one in UNLIKE}) >= len(UNLIKE) - 2


def first_steps(flow: Flow[Any]) -> Any:
    """Step a flow to its first step that is not work on the disk; that step."""
    step = next(flow)
    while isinstance(step, Blocking):
        step = flow.send(step.function())
    return step


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({"seed": 7}, True),
        ({"seed": 7, "prompt": "another"}, True),
        ({"seed": 8}, False),
        ({"seed": 7, "num_frames": 100}, False),
        ({}, False),
    ],
    ids=repr,
)
def test_twin_waits_until_the_first_has_ended(settings: Any, *, waits: bool) -> None:
    """Two that could not be told apart are never submitted at the same time."""
    scene = Scene(MADE)
    twin = scene.pipeline.submit_only("asset_in", None, None, settings)
    seen: list[Any] = []

    def meanwhile() -> Reply:
        seen.append(first_steps(twin))
        if waits:
            seen.append(twin.send(None))
        return MADE

    scene.answers = [meanwhile, reply({"job": job_record("job_10")})]
    assert scene.submit(seed=7).id == "job_9"
    if waits:
        assert [type(step) for step in seen] == [Pause, Pause]
        assert scene.run(twin).id == "job_10"
    else:
        assert [type(step) for step in seen] == [Send]
        twin.close()


def test_twin_that_failed_lets_the_next_go() -> None:
    """It makes room however it ended."""
    for fault in (lost(), lost(sent=False), REFUSED, KeyboardInterrupt()):
        scene = Scene(fault)
        scene.fails(BaseException, seed=7)
        scene.answers = [MADE]
        assert scene.submit(seed=7).id == "job_9"


def test_twin_of_an_uncertain_entry_is_not_sent() -> None:
    """The first has no clear outcome in the ledger: the second would hide its job."""
    scene = Scene(lost(), MADE, has_ledger=True)
    scene.fails(SubmissionUncertainError, seed=7)
    with pytest.raises(LedgerBusyError):
        scene.submit(seed=7)
    assert len(scene.posted) == 1
    assert scene.submit(seed=8).id == "job_9"
