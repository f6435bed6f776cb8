"""Both clients with a ledger, against the sandbox: what is bought is counted on its side."""

import base64
import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import evolve

from ledger_sessions import QUICK, Session, posts, quick_sandbox, whole
from scenario_reframe import (
    ApiError,
    ConfigurationError,
    DownloadError,
    InvalidInputError,
    InvalidVideoError,
    Job,
    JobFailedError,
    NotFoundError,
    ReframeClient,
    ReframeError,
    ReframeResult,
    SubmissionUncertainError,
    UploadError,
    WaitTimeoutError,
    uploading,
)
from scenario_reframe.ledger import Ledger
from scenario_reframe.ledger_holds import Hold
from scenario_reframe.recording import Entry, content_of
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, drop, rewrite
from scenario_reframe.sandbox.sample import make_sample
from scenario_reframe.video import open_video
from timings import SOON

GENERATE, LIST, JOB, FILE = r"/generate/", r"/jobs$", r"/jobs/job_", r"^/assets/"
Open = Callable[..., Session]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox for the module; its counts are compared before and after."""
    with quick_sandbox(stage_seconds=0.0) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    """The sandbox, which does as it is told again when the test is over."""
    yield running
    running.faults.clear()


@pytest.fixture(scope="module")
def video(running: Sandbox, short_clip: Path) -> str:
    """The clip as an asset of the server, for tests that are not about uploads."""
    keys = (running.api_key, running.api_secret)
    with ReframeClient(*keys, base_url=running.base_url) as client:
        return client.upload(short_clip).id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.db"


BOTH = pytest.mark.parametrize("start", ["sync", "async"], indirect=True)
"""For what the two drivers do each in their own way: they write the ledger around the POST."""


@pytest.fixture
def start(request: pytest.FixtureRequest, sandbox: Sandbox, path: Path) -> Iterator[Open]:
    """Opens clients with one ledger, each as a program's next run would be.

    They are async ones, whose ledger is written from threads, or as `BOTH` says.
    """
    sessions: list[Session] = []
    is_async = getattr(request, "param", "async") == "async"

    def open_one(**options: Any) -> Session:
        sessions.append(Session(sandbox, is_async=is_async, **{"ledger": path, **options}))
        return sessions[-1]

    yield open_one
    for session in sessions:
        session.close()


class Count:
    """What the server counted since this was made."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._before = self._now()

    def _now(self) -> tuple[int, int, int]:
        box = self._sandbox
        uploads = sum(s.method == "POST" and s.path.endswith("/uploads") for s in box.requests)
        return box.jobs_made, posts(box), uploads

    @property
    def jobs(self) -> int:
        """Paid jobs."""
        return self._now()[0] - self._before[0]

    @property
    def posts(self) -> int:
        """Submits, whatever became of them."""
        return self._now()[1] - self._before[1]

    @property
    def uploads(self) -> int:
        """Uploads announced."""
        return self._now()[2] - self._before[2]


def only(session: Session) -> Entry:
    """The only entry of the ledger."""
    (entry,) = session("entries")
    assert isinstance(entry, Entry)
    return entry


def later(path: Path, seconds: float) -> None:
    """Let so many seconds have passed for everything in the ledger."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "UPDATE entries SET posted_at = posted_at - ?, settled_at = settled_at - ?",
            (seconds, seconds),
        )
    connection.close()


def lose(sandbox: Sandbox, *, accepted: bool) -> None:
    """Let the next submit get no answer, and the list of jobs not be readable."""
    sandbox.faults.add(drop(after=accepted), GENERATE, method="POST")
    sandbox.faults.add(answer(503), LIST, times=100)


def uncertain(start: Open, sandbox: Sandbox, video: str, to: Path, *, accepted: bool) -> Entry:
    """An entry of which it is not known whether it was bought."""
    lose(sandbox, accepted=accepted)
    session = start()
    session.fails(SubmissionUncertainError, "reframe", video, to, **QUICK)
    sandbox.faults.clear()
    entry = only(session)
    assert (entry.state, entry.job_id) == ("uncertain", None)
    return entry


# --- uploads -----------------------------------------------------------------------------------


def test_one_clip_in_three_shapes_is_uploaded_once(
    start: Open, sandbox: Sandbox, short_clip: Path, tmp_path: Path
) -> None:
    """Also by later runs; every shape is a job of its own."""
    count = Count(sandbox)
    for number, shape in enumerate(("9:16", "1:1", "16:9")):
        to = tmp_path / f"{number}.mp4"
        start()("reframe", short_clip, to, aspect_ratio=shape, **QUICK)
        assert whole(to)
    assert (count.uploads, count.jobs) == (1, 3)


def test_an_estimate_and_a_submit_share_an_upload(
    start: Open, sandbox: Sandbox, short_clip: Path
) -> None:
    """And what upload() brought is not brought again."""
    count, session = Count(sandbox), start()
    session("upload", short_clip)
    session("estimate", short_clip, **QUICK)
    session("submit", short_clip, **QUICK)
    assert (count.uploads, count.jobs) == (1, 1)


def test_a_clip_that_was_changed_is_uploaded_again(
    start: Open, sandbox: Sandbox, short_clip: Path, tmp_path: Path
) -> None:
    """What counts is its bytes, and not its name."""
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(short_clip.read_bytes())
    count, session = Count(sandbox), start()
    session("estimate", short_clip, **QUICK)
    session("estimate", copy, **QUICK)
    assert count.uploads == 1
    make_sample(copy, seconds=0.2, size="128x72", rate=25)
    session("estimate", copy, **QUICK)
    assert count.uploads == 2


def test_an_upload_that_the_server_lost_is_forgotten(
    start: Open, sandbox: Sandbox, short_clip: Path, tmp_path: Path
) -> None:
    """A 404 for the video: this submit fails, and the next one brings it again."""
    session, to = start(), tmp_path / "a.mp4"
    session("submit", short_clip, **QUICK)
    (entry,) = session("entries")
    del sandbox._state.assets[entry.body["videoUrl"]]
    count = Count(sandbox)
    session.fails(NotFoundError, "reframe", short_clip, to, **QUICK)
    assert (count.uploads, count.jobs) == (0, 0)
    session("reframe", short_clip, to, **QUICK)
    assert (count.uploads, count.jobs) == (1, 1)
    assert whole(to)


@pytest.mark.parametrize("moment", ["before complete", "after complete"])
def test_an_upload_that_was_cut_off_after_its_last_part_is_taken_up(
    start: Open, sandbox: Sandbox, short_clip: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A run killed before its upload became an asset: the next one sends nothing again."""
    count = Count(sandbox)

    def killed(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        part = "_complete" if moment == "before complete" else "imported"
        broken.setattr(uploading, part, killed)
        with pytest.raises(KeyboardInterrupt):
            start()("submit", short_clip, **QUICK)
    start()("submit", short_clip, **QUICK)
    assert (count.uploads, count.jobs) == (1, 1)


def test_an_upload_that_came_to_nothing_is_sent_again(
    start: Open, sandbox: Sandbox, short_clip: Path
) -> None:
    """The server has no such upload any more."""
    count, session = Count(sandbox), start()
    video = open_video(short_clip)
    session._client._road.records.sent(content_of(video) or "", "upload_gone")
    session("submit", short_clip, **QUICK)
    assert (count.uploads, count.jobs) == (1, 1)


def test_an_upload_that_failed_is_made_good_by_the_same_call(
    start: Open, sandbox: Sandbox, short_clip: Path, tmp_path: Path
) -> None:
    """Nothing was bought, and the first entry is closed: nobody resumes what was told to fail."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    sandbox.faults.add(answer(500), r"^/uploads/", method="PUT", times=100)
    start().fails(UploadError, "reframe", short_clip, to, **QUICK)
    sandbox.faults.clear()
    assert start()("entries", unfinished=True) == []
    start()("reframe", short_clip, to, **QUICK)
    assert whole(to)
    assert (count.posts, count.jobs) == (1, 1)
    assert [entry.state for entry in start()("entries")] == ["done", "failed"]


def test_resume_refuses_a_clip_that_is_not_what_it_was(
    start: Open, sandbox: Sandbox, short_clip: Path, tmp_path: Path
) -> None:
    """Nobody wanted this one."""
    count, copy = Count(sandbox), tmp_path / "copy.mp4"
    copy.write_bytes(short_clip.read_bytes())
    sandbox.faults.add(answer(500), r"^/uploads/", method="PUT", times=100)
    start().fails(UploadError, "reframe", copy, tmp_path / "a.mp4", **QUICK)
    sandbox.faults.clear()
    copy.write_bytes(short_clip.read_bytes() + b"\0" * 8)
    start().fails(InvalidVideoError, "resume", only(start()))
    assert count.posts == 0


# --- taking up ---------------------------------------------------------------------------------


@BOTH
def test_a_finished_wish_is_on_record_with_all_that_became_of_it(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """Job, cost, assets, files, settings as they were sent."""
    session, to = start(), tmp_path / "a.mp4"
    result = session("reframe", video, to, **QUICK)
    entry = only(session)
    assert (entry.state, entry.job_id, entry.files) == ("done", result.job.id, (str(to),))
    assert entry.asset_ids == result.job.asset_ids
    assert entry.cost == sandbox._state.jobs[result.job.id].cost
    assert entry.body == sandbox._state.jobs[result.job.id].input
    assert entry.body["seed"] == entry.seed
    assert (entry.source, entry.base_url) == (video, sandbox.base_url)
    assert session("entries", unfinished=True) == []


@BOTH
def test_the_same_wish_after_an_uncertain_submit_takes_up_the_first(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """The job is found by its seed; nothing is bought."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    entry = uncertain(start, sandbox, video, to, accepted=True)
    result = start()("reframe", video, to, **QUICK)
    assert result.job.input["seed"] == entry.seed
    assert (count.posts, count.jobs) == (1, 1)
    assert whole(to)
    assert only(start()).state == "done"


def test_resume_finds_the_job_of_an_uncertain_submit(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path
) -> None:
    """Even where it would have been allowed to buy again."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    entry = uncertain(start, sandbox, video, to, accepted=True)
    later(path, 200)
    result = start()("resume", entry, resubmit_after=0.0)
    assert result.job.input["seed"] == entry.seed
    assert result.files == (to,)
    assert (count.posts, count.jobs) == (1, 1)


@BOTH
def test_a_wait_that_was_too_short_is_taken_up(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """WaitTimeoutError, and the same call again: the same job."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    slow = rewrite(lambda body: {"job": body["job"] | {"status": "in-progress"}})
    sandbox.faults.add(slow, JOB, times=1000)
    now = [0.0]
    impatient = start(timing=evolve(SOON, clock=lambda: now[0]))

    def an_hour_later(_job: Job) -> None:
        now[0] += 3600

    error = impatient.fails(
        WaitTimeoutError, "reframe", video, to, timeout=600, on_update=an_hour_later, **QUICK
    )
    sandbox.faults.clear()
    assert only(start()).state == "submitted"
    result = start()("reframe", video, to, **QUICK)
    assert result.job.id == error.job.id
    assert (count.posts, count.jobs) == (1, 1)
    assert whole(to)


@pytest.mark.parametrize("way", ["reframe", "resume"])
def test_after_a_download_that_failed_only_the_download_is_done(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, way: str
) -> None:
    """By the same call, or by resume()."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    sandbox.faults.add(answer(500), FILE, times=100)
    error = start().fails(DownloadError, "reframe", video, to, **QUICK)
    sandbox.faults.clear()
    entry = only(start())
    assert (entry.state, entry.job_id) == ("ready", error.job.id)
    again = (entry,) if way == "resume" else (video, to)
    result = start()(way, *again, **({} if way == "resume" else QUICK))
    assert result.job.id == error.job.id
    assert (count.posts, count.jobs) == (1, 1)
    assert whole(to)
    assert only(start()).state == "done"


def test_resume_may_put_the_result_elsewhere(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """Where the first target cannot be used any more."""
    sandbox.faults.add(answer(500), FILE, times=100)
    start().fails(DownloadError, "reframe", video, tmp_path / "a.mp4", **QUICK)
    sandbox.faults.clear()
    count, other = Count(sandbox), tmp_path / "b.mp4"
    assert start()("resume", only(start()), other).files == (other,)
    assert whole(other)
    assert count.jobs == 0


@BOTH
def test_a_target_that_is_filled_before_the_claim_is_not_bought_again(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow process is about to claim the entry; another one has done it all meanwhile."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    slow, quick = start(), start()
    records = slow._client._road.records
    take = records.take

    def late(*arguments: Any) -> Hold:
        quick("reframe", video, to, **QUICK)
        hold: Hold = take(*arguments)
        return hold

    monkeypatch.setattr(records, "take", late)
    slow.fails(InvalidInputError, "reframe", video, to, **QUICK)
    assert (count.posts, count.jobs) == (1, 1)
    assert whole(to)
    assert only(start()).state == "done"


def test_a_finished_wish_is_bought_again_when_overwriting(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """Without overwrite nothing is sent, since the file is there."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    first = start()("reframe", video, to, **QUICK)
    start().fails(InvalidInputError, "reframe", video, to, **QUICK)
    assert count.jobs == 1
    second = start()("reframe", video, to, overwrite=True, **QUICK)
    assert second.job.id != first.job.id
    assert count.jobs == 2


def test_a_finished_wish_without_a_target_is_bought_again(
    start: Open, sandbox: Sandbox, video: str
) -> None:
    """With nothing to download, the entry is done when the job is."""
    count, session = Count(sandbox), start()
    session("reframe", video, **QUICK)
    assert session("entries", unfinished=True) == []
    session("reframe", video, **QUICK)
    assert count.jobs == 2


@pytest.mark.parametrize("other", [{"prompt": "else"}, {"seed": 5}, {"to": "b.mp4"}])
def test_another_wish_does_not_take_up_the_first(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, other: dict[str, Any]
) -> None:
    """Another setting, seed or target: an uncertain entry stays as it is beside it."""
    count = Count(sandbox)
    uncertain(start, sandbox, video, tmp_path / "a.mp4", accepted=True)
    settings = {**QUICK, **other}
    start()("reframe", video, tmp_path / settings.pop("to", "a.mp4"), **settings)
    assert count.jobs == 2
    assert [entry.state for entry in start()("entries")] == ["done", "uncertain"]


def test_a_wish_of_another_project_is_another(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """Its entries are not shown either."""
    uncertain(start, sandbox, video, tmp_path / "a.mp4", accepted=True)
    other = start(project_id="proj_other")
    assert other("entries") == []
    count = Count(sandbox)
    other("reframe", video, tmp_path / "a.mp4", **QUICK)
    assert count.jobs == 1
    assert only(start()).state == "uncertain"


def test_an_entry_of_another_project_is_not_resumed(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path
) -> None:
    """It would be looked for in the wrong list, and bought twice."""
    mine = start(project_id="proj_other")
    lose(sandbox, accepted=True)
    mine.fails(SubmissionUncertainError, "reframe", video, tmp_path / "a.mp4", **QUICK)
    sandbox.faults.clear()
    later(path, 10_000)
    count = Count(sandbox)
    start().fails(ConfigurationError, "resume", only(mine), resubmit_after=0.0)
    assert count.posts == 0


def test_each_submit_is_a_wish_of_its_own(start: Open, sandbox: Sandbox, video: str) -> None:
    """submit() twice buys twice: whoever calls it means it. wait and download close the entry."""
    count, session = Count(sandbox), start()
    jobs = [session("submit", video, **QUICK) for _ in range(2)]
    assert count.jobs == 2
    assert {entry.job_id for entry in session("entries")} == {job.id for job in jobs}
    session("wait", jobs[0])
    assert [entry.state for entry in session("entries")] == ["submitted", "ready"]


def test_wait_and_download_of_a_submitted_job_are_on_record(
    start: Open, video: str, tmp_path: Path
) -> None:
    """By another run, which knows the job's id only."""
    job = start()("submit", video, **QUICK)
    start()("wait", job.id)
    start()("download", job.id, tmp_path / "a.mp4")
    entry = only(start())
    assert (entry.state, entry.files) == ("done", (str(tmp_path / "a.mp4"),))


# --- refusals ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_closes_the_entry_and_the_wish_may_be_made_again(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, status: int
) -> None:
    """It is proven that no job was made."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    sandbox.faults.add(answer(status, {"reason": "not this one"}), GENERATE, method="POST")
    start().fails(ApiError, "reframe", video, to, **QUICK)
    entry = only(start())
    assert (entry.state, entry.job_id) == ("failed", None)
    assert "not this one" in str(entry.error)
    start()("reframe", video, to, **QUICK)
    assert (count.posts, count.jobs) == (2, 1)


def test_resume_of_a_refused_entry_sends_nothing(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path
) -> None:
    """It is finished; what is wanted again is a wish for reframe()."""
    sandbox.faults.add(answer(400), GENERATE, method="POST")
    start().fails(ApiError, "reframe", video, tmp_path / "a.mp4", **QUICK)
    later(path, 10_000)
    count = Count(sandbox)
    error = start().fails(ReframeError, "resume", only(start()), resubmit_after=0.0)
    assert count.posts == 0
    assert "another process" not in str(error)
    assert only(start()).state == "failed"


def test_a_job_that_failed_closes_the_entry(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """The next call buys a new one."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    broken = rewrite(lambda body: {"job": body["job"] | {"status": "failure", "error": "no"}})
    sandbox.faults.add(broken, JOB)
    error = start().fails(JobFailedError, "reframe", video, to, **QUICK)
    entry = only(start())
    assert (entry.state, entry.job_id) == ("failed", error.job.id)
    assert start()("reframe", video, to, **QUICK).job.id != error.job.id
    assert count.jobs == 2


# --- uncertain ---------------------------------------------------------------------------------


def test_an_uncertain_entry_that_is_not_listed_is_never_posted_again(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """SubmissionUncertainError each time, by reframe() and by resume()."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    entry = uncertain(start, sandbox, video, to, accepted=False)
    for _ in range(2):
        error = start().fails(SubmissionUncertainError, "reframe", video, to, **QUICK)
        assert error.submission.seed == entry.seed
        start().fails(SubmissionUncertainError, "resume", entry)
    assert (count.posts, count.jobs) == (1, 0)
    assert only(start()).state == "uncertain"


def test_resume_with_leave_posts_the_same_seed_again(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path
) -> None:
    """The time has passed, and nothing that could be it is listed."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    entry = uncertain(start, sandbox, video, to, accepted=False)
    later(path, 180 + 600)
    result = start()("resume", entry, resubmit_after=500.0)
    assert sandbox._state.jobs[result.job.id].input == entry.body
    assert (count.posts, count.jobs) == (2, 1)
    assert whole(to)


@pytest.mark.parametrize(
    ("passed", "leave"), [(0, 0.0), (170, 0.0), (180 + 590, 600.0), (9e5, float("nan"))]
)
def test_resume_with_leave_waits_until_the_time_has_passed(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path, passed: float,
    leave: float,
) -> None:  # fmt: skip
    """The time runs from when the first POST can last have been accepted: three time-outs on."""
    count = Count(sandbox)
    entry = uncertain(start, sandbox, video, tmp_path / "a.mp4", accepted=False)
    later(path, passed)
    start().fails(ReframeError, "resume", entry, resubmit_after=leave)
    assert count.posts == 1


def test_leave_of_less_than_no_time_is_refused(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """The first POST may still arrive."""
    count = Count(sandbox)
    entry = uncertain(start, sandbox, video, tmp_path / "a.mp4", accepted=False)
    start().fails(InvalidInputError, "resume", entry, resubmit_after=-1e6)
    assert count.posts == 1


@pytest.mark.parametrize("kept", [{}, {"input": None}, {"input": {"resolution": "480p"}}])
def test_resume_with_leave_posts_nothing_while_a_job_could_be_it(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path, kept: dict[str, Any]
) -> None:
    """A job without input, or without a seed."""
    count = Count(sandbox)
    entry = uncertain(start, sandbox, video, tmp_path / "a.mp4", accepted=True)
    later(path, 30)

    def forget(body: Any) -> Any:
        return body | {"jobs": [job | {"metadata": kept} for job in body["jobs"]]}

    sandbox.faults.add(rewrite(forget), LIST, times=100)
    later(path, 500)
    error = start().fails(SubmissionUncertainError, "resume", entry, resubmit_after=0.0)
    assert error.candidates
    assert (count.posts, count.jobs) == (1, 1)


@pytest.mark.parametrize("page", ["fails", "circles", "no list"])
def test_resume_with_leave_posts_nothing_unless_the_list_was_read_to_its_end(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path, page: str
) -> None:
    """A page that fails, a list that goes in circles, a reply that is no list."""
    count = Count(sandbox)
    entry = uncertain(start, sandbox, video, tmp_path / "a.mp4", accepted=True)
    later(path, 10_000)
    if page == "no list":
        sandbox.faults.add(answer(200, {"jobs": 5}), LIST, times=100)
    else:
        more = rewrite(lambda body: {"jobs": [], "nextPaginationToken": "again"})
        sandbox.faults.add(more, LIST, times=2 if page == "fails" else 100)
        sandbox.faults.add(answer(500), LIST, times=100)
    start().fails(ReframeError, "resume", entry, resubmit_after=0.0)
    assert (count.posts, count.jobs) == (1, 1)
    assert only(start()).state == "uncertain"


def test_a_job_that_find_job_found_is_not_bought_again_by_the_same_client(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, path: Path
) -> None:
    """find_job() and resume() in one program."""
    count, to, session = Count(sandbox), tmp_path / "a.mp4", start()
    lose(sandbox, accepted=True)
    error = session.fails(SubmissionUncertainError, "reframe", video, to, **QUICK)
    sandbox.faults.clear()
    found = session("find_job", error.submission)
    later(path, 200)
    result = session("resume", only(session), resubmit_after=0.0)
    assert result.job.id == found.id
    assert (count.posts, count.jobs) == (1, 1)


def test_a_second_job_of_the_same_seed_is_not_taken_from_another_entry(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """Two wishes of one seed and one input: the job on record is the first one's."""
    settings = {**QUICK, "seed": secrets.randbits(31)}
    start()("reframe", video, tmp_path / "a.mp4", **settings)
    count = Count(sandbox)
    sandbox.faults.add(drop(), GENERATE, method="POST")
    for _ in range(2):
        start().fails(SubmissionUncertainError, "reframe", video, tmp_path / "b.mp4", **settings)
    assert (count.posts, count.jobs) == (1, 0)


# --- a ledger that fails -----------------------------------------------------------------------


def full(*_args: object, **_kwargs: object) -> Any:
    """Fail as a ledger does whose disk is full."""
    raise ConfigurationError("the ledger cannot be used (database or disk is full)")


@BOTH
def test_a_job_id_that_cannot_be_written_is_returned_all_the_same(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next run finds it by its seed."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "keep_job", full)
        first = start()("reframe", video, to, **QUICK)
    assert whole(to)
    assert count.jobs == 1
    again = start()("reframe", video, to, overwrite=True, **QUICK)
    assert again.job.id == first.job.id
    assert count.jobs == 1


def test_a_job_that_is_not_on_record_is_not_bought_again_by_the_same_client(
    start: Open, sandbox: Sandbox, video: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client itself remembers that it was bought."""
    count, session = Count(sandbox), start()
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "keep_job", full)
        first = session("submit", video, **QUICK)
    later(path, 10)
    result = session("resume", only(session), resubmit_after=0.0)
    assert result.job.id == first.id
    assert (count.posts, count.jobs) == (1, 1)


@pytest.fixture
def fails_after_post(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that takes the intent of the next POST and nothing more."""
    begin = Hold.begin_post

    def begin_and_fail(self: Hold, *args: Any) -> None:
        begin(self, *args)
        monkeypatch.setattr(Ledger, "_transaction", full)

    monkeypatch.setattr(Hold, "begin_post", begin_and_fail)


@BOTH
@pytest.mark.usefixtures("fails_after_post")
def test_a_ledger_that_fails_after_the_post_costs_nobody_the_job(
    start: Open, sandbox: Sandbox, video: str
) -> None:
    """submit() returns what was paid for."""
    count = Count(sandbox)
    assert isinstance(start()("submit", video, **QUICK), Job)
    assert count.jobs == 1


@BOTH
@pytest.mark.usefixtures("fails_after_post")
def test_a_ledger_that_fails_after_the_post_costs_nobody_the_result(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """reframe() waits and downloads."""
    count, to = Count(sandbox), tmp_path / "a.mp4"
    assert isinstance(start()("reframe", video, to, **QUICK), ReframeResult)
    assert whole(to)
    assert count.jobs == 1


@BOTH
@pytest.mark.usefixtures("fails_after_post")
@pytest.mark.parametrize(
    ("fault", "kind"), [(drop(), SubmissionUncertainError), (answer(400), ApiError)]
)
def test_a_ledger_that_fails_does_not_hide_what_the_submit_met(
    start: Open, sandbox: Sandbox, video: str, fault: Any, kind: type[ReframeError]
) -> None:
    """A ConfigurationError would say that nothing was sent."""
    sandbox.faults.add(fault, GENERATE, method="POST")
    start().fails(kind, "submit", video, **QUICK)


@BOTH
def test_nothing_is_sent_when_the_intent_cannot_be_written(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No POST without its intent on disk."""
    count = Count(sandbox)
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "begin_post", full)
        start().fails(ConfigurationError, "reframe", video, tmp_path / "a.mp4", **QUICK)
    assert count.posts == 0
    start()("reframe", video, tmp_path / "a.mp4", **QUICK)
    assert count.jobs == 1


@BOTH
@pytest.mark.parametrize("bad", ["folder", "text"])
def test_a_client_is_not_made_with_a_ledger_that_cannot_be_used(
    start: Open, sandbox: Sandbox, path: Path, bad: str
) -> None:
    """Nothing is sent."""
    seen = len(sandbox.requests)
    if bad == "folder":
        path.mkdir()
    else:
        path.write_text("Dear diary, " * 500)
    with pytest.raises(ConfigurationError, match=r"ledger\.db"):
        start()
    assert len(sandbox.requests) == seen


# --- no ledger ---------------------------------------------------------------------------------


@BOTH
def test_a_client_without_a_ledger_has_no_entries(
    start: Open, sandbox: Sandbox, video: str, tmp_path: Path
) -> None:
    """It says how to make one that has."""
    start()("submit", video, **QUICK)
    session = start(ledger=None)
    assert "ledger=" in str(session.fails(ConfigurationError, "entries"))
    count = Count(sandbox)
    session.fails(ConfigurationError, "resume", only(start()), tmp_path / "a.mp4")
    assert count.posts == 0


def test_a_ledger_without_its_extra_names_it(
    start: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy is not installed: the error says what to install."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delitem(sys.modules, "scenario_reframe.ledger")
    with pytest.raises(ConfigurationError, match=r"sqlalchemy.*scenario-reframe\[ledger\]"):
        start()
    assert not path.exists()


@BOTH
def test_no_secret_is_in_the_ledger(
    start: Open, sandbox: Sandbox, video: str, path: Path, tmp_path: Path
) -> None:
    """Neither key nor header, neither the video's URL nor a signature; not while it is open."""
    session = start()
    url = session("get_asset", video).url
    query = url.partition("?")[2]
    assert query
    session("reframe", url, tmp_path / "a.mp4", **QUICK)
    sandbox.faults.add(answer(500, {"reason": url}), GENERATE, method="POST")
    session.fails(ReframeError, "reframe", url, tmp_path / "b.mp4", **QUICK)
    sandbox.faults.add(answer(400, {"reason": f"cannot fetch {url}"}), GENERATE, method="POST")
    session.fails(ReframeError, "reframe", url, tmp_path / "c.mp4", **QUICK)
    files = list(path.parent.glob("ledger.db*"))
    stored = b"".join(file.read_bytes() for file in files)
    pair = f"{sandbox.api_key}:{sandbox.api_secret}".encode()
    for secret in (sandbox.api_key.encode(), sandbox.api_secret.encode(), base64.b64encode(pair)):
        assert secret not in stored
    assert url.encode() not in stored
    assert all(part.encode() not in stored for part in query.split("&"))
