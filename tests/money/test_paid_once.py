"""What can go wrong during a submit, and what it costs: the server counts.

Run with `-s` for a table: fault, jobs made, what the caller got.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from ledger_sessions import when_it_comes
from scenario_reframe import (
    ApiError,
    AsyncReframeClient,
    ConnectionFailedError,
    Job,
    RateLimitedError,
    ReframeClient,
    ReframeError,
    SubmissionUncertainError,
    submitting,
)
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import Fault, answer, cut, drop, hang, rewrite, trickle
from timings import SOON
from waiting import Clock

LIMITED = {"reason": "Too many", "details": {"actionName": "parallel", "actionLimit": 2}}
GENERATE = r"/generate/"
PATIENCE = 1.0
"""Seconds that a request may take where the server is too slow on purpose: it takes longer."""

Row = tuple[str, Fault, int, object]
MADE: Sequence[Row] = [
    ("dropped after acceptance", drop(after=True), 1, Job),
    ("hangs after acceptance", hang(PATIENCE * 2, after=True), 1, Job),
    ("reply cut in its JSON", cut(30), 1, Job),
    ("reply that trickles", trickle(PATIENCE / 20), 1, Job),
    *((f"{s} after acceptance", answer(s, {}, after=True), 1, Job)
      for s in (307, 402, 408, 409, 429, 500, 502, 503, 504, 520)),
    *((f"303 to {place:.9}", answer(303, {}, {"location": place}, after=True), 1, Job)
      for place in ("urn:job:1", "https:x", "mailto:x", "about:blank", "/" + "x" * 66_000)),
    ("403 of a proxy after acceptance", answer(403, "<h1>Forbidden</h1>", after=True), 1, Job),
    ("429 of the vendor's after acceptance", answer(429, LIMITED, after=True), 1, Job),
    ("HTML under 502", answer(502, "<h1>Bad Gateway</h1>", after=True), 1, Job),
    ("HTML under 200", answer(200, "<h1>Hello</h1>", after=True), 1, Job),
    ("an array", answer(200, [], after=True), 1, Job),
    ("null for the job", rewrite(lambda body: body | {"job": None}), 1, Job),
    ("no id", rewrite(lambda body: body | {"job": {"status": "queued"}}), 1, Job),
    ("a number for the id", rewrite(lambda body: {"job": body["job"] | {"jobId": 5}}), 1, Job),
    ("id as job.id", rewrite(lambda body: {"job": {"id": body["job"]["jobId"]}}), 1, Job),
    ("id as jobId", rewrite(lambda body: {"jobId": body["job"]["jobId"]}), 1, Job),
    ("nulls around the id", rewrite(
        lambda body: {"job": dict.fromkeys(body["job"]) | {"jobId": body["job"]["jobId"]}}
    ), 1, Job),
    ("wrong types around the id", rewrite(
        lambda body: {"job": dict.fromkeys(body["job"], 5) | {"jobId": body["job"]["jobId"]}}
    ), 1, Job),
]  # fmt: skip
NOT_MADE: Sequence[Row] = [
    ("dropped before acceptance", drop(), 0, SubmissionUncertainError),
    *((f"{s} before acceptance", answer(s, {}), 0, SubmissionUncertainError)
      for s in (302, 402, 403, 408, 409, 500, 502, 503, 504)),
    ("429 of the vendor's", answer(429, LIMITED), 0, RateLimitedError),
    ("429 of a gateway's", answer(429, "slow down"), 0, RateLimitedError),
    *((f"refused with {s}", answer(s, {"reason": "no"}), 0, ApiError)
      for s in (400, 401, 402, 403, 404, 405, 413, 415, 422)),
]  # fmt: skip


Submit = Callable[..., Job]


@pytest.fixture(params=["sync", "async"])
def submit(request: pytest.FixtureRequest, sandbox: Sandbox) -> Submit:
    """Submit with either client; `client` holds further arguments of it."""
    usual: dict[str, Any] = {
        "api_key": sandbox.api_key,
        "api_secret": sandbox.api_secret,
        "base_url": sandbox.base_url,
        "timing": SOON,
    }

    def sync(client: dict[str, Any] | None = None, **settings: Any) -> Job:
        with ReframeClient(**usual | (client or {})) as made:
            return made.submit(**settings)

    async def run(client: dict[str, Any] | None = None, **settings: Any) -> Job:
        async with AsyncReframeClient(**usual | (client or {})) as made:
            return await made.submit(**settings)

    if request.param == "sync":
        return sync
    return lambda *args, **settings: asyncio.run(run(*args, **settings))


def outcome(submit: Submit, *args: Any, **settings: Any) -> Job | ReframeError:
    """What the caller got."""
    try:
        return submit(*args, **settings)
    except ReframeError as error:
        return error


@pytest.mark.parametrize(
    ("name", "fault", "jobs", "wanted"),
    [pytest.param(*row, id=row[0]) for row in (*MADE, *NOT_MADE)],
)
def test_one_submit_makes_at_most_one_job(
    sandbox: Sandbox, submit: Submit, name: str, fault: Fault, jobs: int, wanted: type
) -> None:
    """One POST whatever happens; the caller gets the job that was made, or a correct error."""
    sandbox.faults.clear()
    made, before = sandbox.jobs_made, len(sandbox.requests)
    sandbox.faults.add(fault, GENERATE, method="POST")
    too_slow = "hangs" in name or "trickles" in name
    got = outcome(submit, {"timeout": PATIENCE} if too_slow else {}, resolution="480p")
    posts = [seen for seen in sandbox.requests[before:] if "/generate/" in seen.path]
    print(f"{name} | {sandbox.jobs_made - made} | {type(got).__name__}")  # noqa: T201
    assert len(posts) == 1
    assert sandbox.jobs_made - made == jobs
    assert isinstance(got, wanted), got
    if isinstance(got, Job):
        assert got.id in {job.id for job in listed(sandbox)[:1]}
    if isinstance(got, SubmissionUncertainError):
        assert got.submission.body["seed"] == got.submission.seed
        assert str(got.submission.seed) in str(got)


def listed(sandbox: Sandbox) -> list[Job]:
    """The server's jobs, newest first."""
    with ReframeClient(sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url) as client:
        return [job for job in client.jobs() if job.raw["jobType"] == "custom"]


def lose_the_reply(sandbox: Sandbox) -> None:
    """Let the next submit make its job, and lose its reply."""
    sandbox.faults.clear()
    sandbox.faults.add(drop(after=True), GENERATE, method="POST")


PATIENT = evolve(SOON, look_ups=(0.01,) * 60_000)
"""Looks again and again, for as long as a slow machine takes."""


def test_a_job_that_is_listed_late_is_found(sandbox: Sandbox, submit: Submit) -> None:
    """Several look-ups see no job, then one does."""
    lose_the_reply(sandbox)
    sandbox.faults.add(rewrite(lambda body: body | {"jobs": []}), r"/jobs$", times=4)
    made = sandbox.jobs_made
    assert submit({"timing": PATIENT}).id == listed(sandbox)[0].id
    assert sandbox.jobs_made == made + 1


def test_a_list_that_fails_once_is_read_again(sandbox: Sandbox, submit: Submit) -> None:
    """A 502 and a broken list prove nothing."""
    lose_the_reply(sandbox)
    sandbox.faults.add(answer(502, "<h1>no</h1>"), r"/jobs$")
    sandbox.faults.add(answer(200, {"jobs": 5}), r"/jobs$")
    made = sandbox.jobs_made
    assert submit().id == listed(sandbox)[0].id
    assert sandbox.jobs_made == made + 1


Echoed = dict[str, Any]
ECHOES: dict[str, Callable[[Echoed], Echoed]] = {
    "an expanded prompt": lambda sent: sent | {"prompt": sent["prompt"] + ", cinematic"},
    "a trimmed prompt": lambda sent: sent | {"prompt": sent["prompt"].strip()},
    "text for numbers": lambda sent: sent | {
        "seed": str(sent["seed"]), "zoomFactor": str(sent["zoomFactor"])
    },
    "a float32": lambda sent: sent | {"zoomFactor": 0.10000000149011612},
    "defaults": lambda sent: {"videoWriteMode": "balanced", "numFrames": 81} | sent,
    "only its seed": lambda sent: {"seed": sent["seed"]},
}  # fmt: skip


@pytest.mark.parametrize("place", ["list", "job"])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_drawn_seed_is_found_however_the_rest_is_echoed(
    sandbox: Sandbox, submit: Submit, echo: str, place: str
) -> None:
    """In the list, or only by its id: a drawn seed belongs to one job alone."""

    def shown(sent: Echoed, where: str) -> Echoed | None:
        if (where, place) == ("list", "job"):
            return None
        return ECHOES[echo](sent) if "prompt" in sent else sent

    lose_the_reply(sandbox)
    made = sandbox.jobs_made
    try:
        sandbox.echo = shown
        job = submit(prompt=" a dog ", zoom_factor=0.1)
    finally:
        sandbox.echo = None
    assert job.id == sandbox.made[-1].id
    assert sandbox.jobs_made == made + 1


@pytest.mark.parametrize("shown", [None, {}, {"resolution": "480p"}])
def test_a_job_whose_seed_is_never_shown_is_a_candidate(
    sandbox: Sandbox, submit: Submit, shown: Echoed | None
) -> None:
    """It is read by its id, once; that shows no more, so a person has to look at it."""
    lose_the_reply(sandbox)
    made, before = sandbox.jobs_made, len(sandbox.requests)
    try:
        sandbox.echo = lambda _sent, _place: shown
        got = outcome(submit, resolution="480p")
    finally:
        sandbox.echo = None
    assert isinstance(got, SubmissionUncertainError)
    mine = sandbox.made[-1].id
    assert mine in {job.id for job in got.candidates}
    read = [seen for seen in sandbox.requests[before:] if seen.path.endswith(f"/{mine}")]
    assert len(read) == 1
    assert sandbox.jobs_made == made + 1


def test_an_uncertain_job_can_be_found_later(sandbox: Sandbox, submit: Submit) -> None:
    """find_job() with the error's submission finds what submit() could not."""
    lose_the_reply(sandbox)
    sandbox.faults.add(answer(503), r"/jobs$", times=100)
    got = outcome(submit)
    sandbox.faults.clear()
    assert isinstance(got, SubmissionUncertainError)
    with ReframeClient(sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url) as client:
        found = client.find_job(got.submission)
    assert found is not None
    assert found.id == listed(sandbox)[0].id


def test_three_hundred_jobs_of_the_same_input_hide_nothing(
    sandbox: Sandbox, submit: Submit
) -> None:
    """The list is read to its last page, and other seeds are not mistaken for this one."""
    lose_the_reply(sandbox)
    made = sandbox.jobs_made
    for seed in range(300):
        sandbox._state.new_job("custom", None, {"seed": seed, "resolution": "480p"})
    job = submit(resolution="480p")
    assert job.input["seed"] > 300
    assert sandbox.jobs_made == made + 1


def test_a_list_that_is_shuffled_while_it_is_read_hides_nothing(
    sandbox: Sandbox, submit: Submit
) -> None:
    """Pages overlap and come in no order."""
    seen: list[Any] = []

    def shuffle(body: Any) -> Any:
        seen.extend(body["jobs"])
        return body | {"jobs": [*reversed(body["jobs"]), *seen[-3:]]}

    for seed in range(150):
        sandbox._state.new_job("custom", None, {"seed": seed, "resolution": "480p"})
    lose_the_reply(sandbox)
    sandbox.faults.add(rewrite(shuffle), r"/jobs$", times=100)
    made = sandbox.jobs_made
    job = submit(resolution="480p")
    sandbox.faults.clear()
    assert job.id == listed(sandbox)[0].id
    assert sandbox.jobs_made == made + 1


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_the_same_call_twice_at_once_with_one_seed_makes_two_jobs(
    sandbox: Sandbox, lost: int
) -> None:
    """They could not be told apart, so one waits for the other: each gets its own job."""
    sandbox.faults.clear()
    sandbox.faults.add(drop(after=True), GENERATE, method="POST", times=lost)
    made = sandbox.jobs_made
    with (
        ReframeClient(
            sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url, timing=PATIENT
        ) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        runs = [pool.submit(client.submit, seed=31337 + lost) for _ in range(2)]
        ids = {run.result().id for run in runs}
    sandbox.faults.clear()
    assert sandbox.jobs_made == made + 2
    assert ids == {job.id for job in sandbox.made[-2:]}


@pytest.mark.parametrize("is_alike", [True, False])
def test_the_job_of_a_callers_seed_is_not_guessed(
    sandbox: Sandbox, submit: Submit, *, is_alike: bool
) -> None:
    """Another run's job with that seed is made at the same time.

    With the same settings, the error names both; with others, it is the other run's.
    """
    seed, others = secrets.randbits(31), []
    theirs = {"seed": seed, "resolution": "480p" if is_alike else "580p"}

    def made_first() -> None:
        others.append(sandbox._state.new_job("custom", None, theirs).id)

    sandbox.faults.clear()
    lost = when_it_comes(made_first, drop(after=True))
    sandbox.faults.add(lost, GENERATE, method="POST")
    made = sandbox.jobs_made
    got = outcome(submit, resolution="480p", seed=seed)
    mine = sandbox.made[-1].id
    if is_alike:
        assert isinstance(got, SubmissionUncertainError)
        assert {job.id for job in got.candidates} >= {*others, mine}
    else:
        assert isinstance(got, Job)
        assert got.id == mine
    assert sandbox.jobs_made == made + 1


def test_an_older_job_of_the_callers_seed_is_not_used(submit: Submit) -> None:
    """This submit was not accepted; the listed job is older, by the server's clock."""
    clock = Clock()
    with Sandbox(fast=True, clock=clock) as older:
        here, settings = {"base_url": older.base_url}, {"seed": 7, "resolution": "480p"}
        first = submit(here, **settings)
        clock.forward(3600)
        older.faults.add(answer(504), GENERATE, method="POST")
        got = outcome(submit, here, **settings)
        assert isinstance(got, SubmissionUncertainError)
        assert [job.id for job in got.candidates] == [first.id]
        assert older.jobs_made == 1


@pytest.mark.parametrize("is_drawn", [True, False])
@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_was_wrong_at_the_post_and_is_right_later_changes_nothing(
    sandbox: Sandbox, submit: Submit, monkeypatch: pytest.MonkeyPatch, hours: int, *,
    is_drawn: bool,
) -> None:  # fmt: skip
    """Look-ups go by the server's clock, whether the seed was drawn or given."""

    class Wrong(datetime):
        @classmethod
        def now(cls, _tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=hours)

    monkeypatch.setattr(submitting, "datetime", Wrong)
    lose_the_reply(sandbox)
    made = sandbox.jobs_made
    given = {} if is_drawn else {"seed": secrets.randbits(31)}
    assert submit(**given).id == sandbox.made[-1].id
    assert sandbox.jobs_made == made + 1


def test_an_unreachable_server_is_told_from_a_lost_reply(sandbox: Sandbox, submit: Submit) -> None:
    """Connection refused, and a port without TLS: the error says that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tls = sandbox.base_url.replace("http:", "https:")
    for base_url in (f"http://127.0.0.1:{port}/v1", tls):
        got = outcome(submit, {"base_url": base_url})
        assert isinstance(got, ConnectionFailedError)
        assert not got.sent


def test_a_cancelled_task_says_what_may_have_been_paid(sandbox: Sandbox) -> None:
    """Cancelled during the POST, it raises CancelledError; the note names the seed."""
    sandbox.faults.clear()
    sandbox.faults.add(hang(3600.0, after=True), GENERATE, method="POST")

    async def cancelled() -> None:
        async with AsyncReframeClient(
            sandbox.api_key,
            sandbox.api_secret,
            base_url=sandbox.base_url,
            timing=evolve(SOON, last_answers=0.01),
        ) as client:
            task = asyncio.ensure_future(client.submit(seed=77))
            made = sandbox.jobs_made
            while sandbox.jobs_made == made:  # noqa: ASYNC110 - the count of another thread
                await asyncio.sleep(0.01)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(cancelled())
    assert "seed 77" in "".join(caught.value.__notes__)
