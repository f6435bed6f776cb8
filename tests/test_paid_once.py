"""What goes wrong on the way of a submit, and what it costs: counted on the server's side.

Run with `-s` to see the table: fault, jobs made, what the caller got.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

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
      for s in (307, 408, 409, 429, 500, 502, 503, 504, 520)),
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
      for s in (302, 402, 408, 409, 429, 500, 502, 503, 504)),
    ("429 of the vendor's", answer(429, LIMITED), 0, RateLimitedError),
    *((f"refused with {s}", answer(s, {"reason": "no"}), 0, ApiError)
      for s in (400, 401, 403, 404, 405, 413, 415, 422)),
]  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module."""
    with Sandbox() as running:
        yield running


Submit = Callable[..., Job]


@pytest.fixture(params=["sync", "async"])
def submit(request: pytest.FixtureRequest, sandbox: Sandbox) -> Submit:
    """Submit with either client; `client` holds more of its arguments."""
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
    """One POST whatever happens; the caller holds the job that was made, or a true error."""
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
    """Have the next submit make its job, and its reply be lost."""
    sandbox.faults.clear()
    sandbox.faults.add(drop(after=True), GENERATE, method="POST")


def test_a_job_that_is_listed_late_is_found(sandbox: Sandbox, submit: Submit) -> None:
    """Two looks see no job yet; the third does."""
    lose_the_reply(sandbox)
    sandbox.faults.add(rewrite(lambda body: body | {"jobs": []}), r"/jobs$", times=4)
    made = sandbox.jobs_made
    assert submit().id == listed(sandbox)[0].id
    assert sandbox.jobs_made == made + 1


def test_a_list_that_fails_once_is_read_again(sandbox: Sandbox, submit: Submit) -> None:
    """A 502 and a broken list prove nothing."""
    lose_the_reply(sandbox)
    sandbox.faults.add(answer(502, "<h1>no</h1>"), r"/jobs$")
    sandbox.faults.add(answer(200, {"jobs": 5}), r"/jobs$")
    made = sandbox.jobs_made
    assert submit().id == listed(sandbox)[0].id
    assert sandbox.jobs_made == made + 1


@pytest.mark.parametrize("kept", [{}, {"input": None}, {"input": {"resolution": "480p"}}])
def test_a_list_without_seeds_leaves_it_uncertain(
    sandbox: Sandbox, submit: Submit, kept: dict[str, Any]
) -> None:
    """A job that could be it is named in the error, and never taken for it."""

    def forget(body: Any) -> Any:
        jobs = [job | {"metadata": kept} for job in body["jobs"]]
        return body | {"jobs": jobs}

    lose_the_reply(sandbox)
    sandbox.faults.add(rewrite(forget), r"/jobs$", times=100)
    made = sandbox.jobs_made
    got = outcome(submit, resolution="480p")
    sandbox.faults.clear()
    assert isinstance(got, SubmissionUncertainError)
    assert listed(sandbox)[0].id in {job.id for job in got.candidates}
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
    """The list is read to its last page, and other seeds are not taken for this one."""
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


@pytest.mark.parametrize("lost", [1, 2])
def test_the_same_call_twice_at_once_with_one_seed_makes_two_jobs_at_most(
    sandbox: Sandbox, lost: int
) -> None:
    """Replies are lost: no two callers are told a job each that is not theirs to have."""
    sandbox.faults.clear()
    sandbox.faults.add(drop(after=True), GENERATE, method="POST", times=lost)
    made = sandbox.jobs_made
    with (
        ReframeClient(sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        runs = [pool.submit(outcome, client.submit, seed=31337 + lost) for _ in range(2)]
        got = [run.result() for run in runs]
    assert sandbox.jobs_made == made + 2
    ids = [job.id for job in got if isinstance(job, Job)]
    assert len(ids) == len(set(ids))
    for error in got:
        if not isinstance(error, Job):
            assert isinstance(error, SubmissionUncertainError)
            assert error.candidates


def test_the_same_seed_twice_is_not_guessed_at(sandbox: Sandbox, submit: Submit) -> None:
    """Two jobs of one seed and one input: the error names both, and makes none."""
    lose_the_reply(sandbox)
    sandbox._state.new_job("custom", None, {"seed": 4242, "resolution": "480p"})
    made = sandbox.jobs_made
    got = outcome(submit, resolution="480p", seed=4242)
    assert isinstance(got, SubmissionUncertainError)
    assert len(got.candidates) >= 2
    assert sandbox.jobs_made == made + 1


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_by_an_hour_changes_nothing(
    sandbox: Sandbox, submit: Submit, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The search goes by the server's clock."""

    class Wrong(datetime):
        @classmethod
        def now(cls, _tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(hours=hours)

    monkeypatch.setattr(submitting, "datetime", Wrong)
    lose_the_reply(sandbox)
    made = sandbox.jobs_made
    assert submit().id == listed(sandbox)[0].id
    assert sandbox.jobs_made == made + 1


def test_a_server_that_is_not_there_is_told_from_a_lost_reply(
    sandbox: Sandbox, submit: Submit
) -> None:
    """Connection refused, and a port that speaks no TLS: the error says that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tls = sandbox.base_url.replace("http:", "https:")
    for base_url in (f"http://127.0.0.1:{port}/v1", tls):
        got = outcome(submit, {"base_url": base_url})
        assert isinstance(got, ConnectionFailedError)
        assert not got.sent


def test_a_cancelled_task_says_what_may_have_been_paid(sandbox: Sandbox) -> None:
    """Cancellation during the POST stays a cancellation; its note names the seed."""
    sandbox.faults.clear()
    sandbox.faults.add(hang(3600.0, after=True), GENERATE, method="POST")

    async def cancelled() -> None:
        async with AsyncReframeClient(
            sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url
        ) as client:
            task = asyncio.ensure_future(client.submit(seed=77))
            made = sandbox.jobs_made
            while sandbox.jobs_made == made:  # noqa: ASYNC110 - another thread's count
                await asyncio.sleep(0.01)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(cancelled())
    assert "seed 77" in "".join(caught.value.__notes__)
