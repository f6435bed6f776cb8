"""Watching many jobs together, stepped by hand with a clock that only pauses move."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import define, field

from scenario_reframe import (
    AuthenticationError,
    Job,
    NotFoundError,
    ReframeError,
    WaitTimeoutError,
)
from scenario_reframe.batch.watching import (
    MOST_PAGES,
    READ_PER_SWEEP,
    WatchList,
    watch,
)
from scenario_reframe.flow.steps import NoReply, Pull, Push, Reply, Send
from stepping import START, Stepper, job_record, lost, reply

EPOCH = datetime(2026, 1, 1, 10, tzinfo=UTC)


@define
class Server:
    """A server with jobs that end at their times, and a list of them, newest first."""

    ends: dict[str, float] = field(factory=dict)
    created: dict[str, float] = field(factory=dict)
    stepper: Stepper = field(init=False)
    lists: Any = None
    shown: Any = None

    def __attrs_post_init__(self) -> None:
        self.stepper = Stepper(script=self.answer)

    def add(self, job_id: str, seconds: float, age: float = 0.0) -> Job:
        """A job that ends so many seconds from now."""
        now = self.stepper.now
        self.ends[job_id], self.created[job_id] = now + seconds, now - age
        return Job(id=job_id, status="queued", created_at=self.date(job_id))

    def date(self, job_id: str) -> datetime:
        """When a job was made, by the server's clock."""
        return EPOCH + timedelta(seconds=self.created[job_id] - START)

    def record(self, job_id: str) -> dict[str, Any]:
        """A job as a JSON object."""
        is_done = self.stepper.now >= self.ends[job_id]
        return job_record(
            job_id,
            "success" if is_done else "in-progress",
            createdAt=self.date(job_id).isoformat(),
            metadata={"assetIds": [f"asset_{job_id}"] if is_done else []},
        )

    def answer(self, step: Send | Pull | Push) -> Reply | NoReply:
        """The list, or one job."""
        assert isinstance(step, Send)
        *_, last = step.request.path.split("/")
        if last != "jobs":
            return reply({"job": self.record(last)}) if last in self.ends else reply({}, 404)
        if self.lists is not None and (reported := self.lists()) is not None:
            return reported  # type: ignore[no-any-return]
        after = datetime.fromisoformat(step.request.params["createdAfter"])
        ids = [one for one in self.ends if self.date(one) > after]
        ids = [one for one in ids if self.shown is None or self.shown(one)]
        ids.sort(key=lambda one: self.created[one], reverse=True)
        start = int(step.request.params.get("paginationToken", 0))
        size = step.request.params["pageSize"]
        page: dict[str, Any] = {"jobs": [self.record(one) for one in ids[start : start + size]]}
        if start + size < len(ids):
            page["nextPaginationToken"] = str(start + size)
        return reply(page)

    @property
    def listed(self) -> int:
        """Requests for the list."""
        return sum(one.path == "/jobs" for one in self.stepper.requests)

    @property
    def asked(self) -> list[str]:
        """Jobs that were read by their ids."""
        return [one.path[6:] for one in self.stepper.requests if one.path != "/jobs"]


@define
class Watch:
    """The watching, and what its waiters received."""

    server: Server
    waiting: WatchList = field(init=False)
    reported: dict[str, list[Job | ReframeError]] = field(factory=dict)
    updates: list[Job] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.waiting = WatchList(self.server.stepper.timing)

    def add(self, *jobs: Job) -> None:
        """Wait for some jobs."""
        for job in jobs:
            self.waiting.add(job, self.reported.setdefault(job.id, []).append, self.updates.append)

    def run(self) -> dict[str, Job | ReframeError]:
        """Watch to the end; each job's outcome is reported once."""
        self.server.stepper.run(watch(self.server.stepper.operations(), self.waiting))
        assert all(len(one) == 1 for one in self.reported.values())
        return {job_id: one[0] for job_id, one in self.reported.items()}


@pytest.fixture
def server() -> Server:
    """A server without jobs."""
    return Server()


@pytest.fixture
def watched(server: Server) -> Watch:
    """A watch without waiters."""
    return Watch(server)


def test_all_are_watched_through_one_list(server: Server, watched: Watch) -> None:
    """Each is reported as it ends, with its results; none is read by its id."""
    watched.add(*(server.add(f"job_{place}", 10.0 * place) for place in range(1, 30)))
    reported = watched.run()
    assert {one.asset_ids for one in reported.values() if isinstance(one, Job)} == {
        (f"asset_job_{place}",) for place in range(1, 30)
    }
    assert len(reported) == 29
    assert server.asked == []


def test_requests_do_not_grow_with_the_number_of_waiting_jobs() -> None:
    """Twenty and two hundred, five minutes each: nearly the same number of requests."""
    made = []
    for number in (20, 200):
        server = Server()
        watched = Watch(server)
        watched.add(*(server.add(f"job_{place}", 300.0) for place in range(number)))
        assert len(watched.run()) == number
        assert server.asked == []
        made.append(server.listed)
        assert server.stepper.now - START < 300.0 * 1.12 + 20
    few, many = made
    assert many <= 1.1 * few


def test_end_of_a_job_is_seen_within_an_eighth_of_its_time(server: Server, watched: Watch) -> None:
    """Or 5 s, if that is less."""
    watched.add(*(server.add(f"job_{place}", 30.0) for place in range(10)))
    watched.run()
    assert server.stepper.now - START <= 30.0 * 1.125 + 1


def test_one_old_job_does_not_make_every_sweep_long(server: Server, watched: Watch) -> None:
    """Thousands are newer: new jobs are found on the first page, the old one by its id."""
    old = server.add("job_old", 290.0, age=3000.0)
    for place in range(2000):
        server.add(f"job_other_{place}", 0.0, age=2999.0 - place)
    watched.add(old, *(server.add(f"job_{place}", 60.0) for place in range(20)))
    assert len(watched.run()) == 21
    assert set(server.asked) == {"job_old"}
    assert server.listed <= 150
    assert max(server.stepper.pauses) <= 5.0


def test_resumed_jobs_are_read_by_id_and_then_listed(server: Server, watched: Watch) -> None:
    """An id alone does not show how far back the list must be read."""
    for place in range(60):
        server.add(f"job_{place}", 100.0, age=place)
    watched.add(*(Job(id=f"job_{place}", status="unknown") for place in range(60)))
    assert all(isinstance(one, Job) for one in watched.run().values())
    assert len(server.asked) <= 70
    assert server.stepper.now - START < 125


def test_resumed_jobs_that_have_ended_do_not_quicken_the_polls(
    server: Server, watched: Watch
) -> None:
    """Ten had ended before; the running one is polled as usual."""
    for place in range(10):
        server.add(f"job_{place}", -1.0, age=400.0)
    watched.add(*(Job(id=f"job_{place}", status="unknown") for place in range(10)))
    watched.add(server.add("job_new", 300.0))
    watched.run()
    assert server.listed <= 100


@pytest.mark.parametrize("why", ["lags", "refused", "broken", "in circles", "no connection"])
def test_jobs_that_the_list_does_not_show_are_read_by_id(
    server: Server, watched: Watch, why: str
) -> None:
    """A few at a time, each at most every ten seconds; all are reported in the end."""
    answers: dict[str, Any] = {
        "refused": lambda: reply({"reason": "no"}, 403),
        "broken": lambda: reply(b"<h1>hello</h1>"),
        "in circles": lambda: reply({"jobs": [], "nextPaginationToken": "again"}),
        "no connection": lambda: lost(sent=False),
    }
    server.lists, server.shown = answers.get(why), (lambda _: False) if why == "lags" else None
    watched.add(*(server.add(f"job_{place}", 60.0) for place in range(12)))
    reported = watched.run()
    assert all(isinstance(one, Job) and one.is_success for one in reported.values())
    assert len(server.asked) <= 12 * (server.stepper.now - START) / 10 + 12
    run = 0
    for request in server.stepper.requests:
        run = 0 if request.path == "/jobs" else run + 1
        assert run <= READ_PER_SWEEP


def test_list_that_fails_for_a_while_is_read_again(server: Server, watched: Watch) -> None:
    """502, a lost connection, nonsense: the next sweep finds the jobs."""
    faults = [reply({}, 502)] * 9 + [lost()] * 3 + [reply({"jobs": 5})] * 3
    server.lists = lambda: faults.pop() if faults else None
    watched.add(*(server.add(f"job_{place}", 200.0) for place in range(3)))
    assert all(isinstance(one, Job) for one in watched.run().values())


def test_pause_of_a_429_is_obeyed(server: Server, watched: Watch) -> None:
    """No request is sent earlier."""
    limits = [reply({}, 429, retry_after="90")]
    server.lists = lambda: limits.pop() if limits else None
    watched.add(server.add("job_1", 30.0))
    watched.run()
    assert 90.0 in server.stepper.pauses


def test_job_that_never_ends_is_given_up_after_the_longest_wait(
    server: Server, watched: Watch
) -> None:
    """It times out with its job; the others were reported long before."""
    watched.add(server.add("job_1", 10.0), server.add("job_2", 1e9))
    reported = watched.run()
    assert isinstance(reported["job_1"], Job)
    late = reported["job_2"]
    assert isinstance(late, WaitTimeoutError)
    assert late.job is not None
    assert (late.job.id, late.job.status) == ("job_2", "in-progress")
    longest = server.stepper.timing.longest_wait
    assert longest <= server.stepper.now - START <= longest + 60


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (404, NotFoundError)])
def test_error_of_one_job_reaches_its_waiter(
    watched: Watch, server: Server, status: int, kind: type[ReframeError]
) -> None:
    """With the paid job; the others go on. A young job may still answer 404."""
    if status == 401:
        server.stepper = watched.server.stepper = Stepper(script=lambda _: reply({}, 401))
        watched.waiting.timing = server.stepper.timing
    watched.add(Job(id="job_gone", status="unknown", cost=40.0))
    if status == 404:
        watched.add(server.add("job_1", 100.0))
    reported = watched.run()
    assert isinstance(reported["job_gone"], kind)
    assert reported["job_gone"].job == Job(id="job_gone", status="unknown", cost=40.0)
    if status == 404:
        assert isinstance(reported["job_1"], Job)


def test_abridged_list_is_completed_by_the_jobs_own_record(server: Server, watched: Watch) -> None:
    """A success without assets in the list is read by its id."""
    job = server.add("job_1", 1.0)
    bare = job_record("job_1", "success", createdAt=server.date("job_1").isoformat())
    server.lists = lambda: reply({"jobs": [bare]}) if server.stepper.now > START + 1 else None
    watched.add(job)
    (reported,) = watched.run().values()
    assert isinstance(reported, Job)
    assert reported.asset_ids == ("asset_job_1",)


def test_pages_are_bounded(server: Server, watched: Watch) -> None:
    """Reading an endless list stops after so many pages."""
    numbers = iter(range(10_000))
    server.lists = lambda: reply({"jobs": [], "nextPaginationToken": str(next(numbers))})
    watched.add(*(server.add(f"job_{place}", 5.0) for place in range(20)))
    watched.run()
    run = most = 0
    for request in server.stepper.requests:
        first = request.path == "/jobs" and "paginationToken" not in request.params
        run = 1 if first else run + (request.path == "/jobs")
        most = max(most, run)
    assert most == MOST_PAGES


def test_two_waiters_for_one_job_both_get_it(server: Server, watched: Watch) -> None:
    """Once each; updates go to those that want them."""
    job = server.add("job_1", 20.0)
    silent: list[Job | ReframeError] = []
    watched.waiting.add(job, silent.append, None)
    watched.add(job)
    reported = watched.run()
    assert silent == [reported["job_1"]]
    assert [one.status for one in watched.updates] == ["in-progress", "success"]


def test_job_that_is_added_while_watching_is_watched(server: Server, watched: Watch) -> None:
    """A callback may add jobs."""
    later = server.add("job_2", 50.0)

    def more(_outcome: Job | ReframeError) -> None:
        watched.add(later)

    watched.waiting.add(server.add("job_1", 5.0), more, None)
    assert set(watched.run()) == {"job_2"}


def test_nothing_is_sent_when_nobody_waits(server: Server, watched: Watch) -> None:
    """It ends at once."""
    assert watched.run() == {}
    assert server.stepper.requests == []
