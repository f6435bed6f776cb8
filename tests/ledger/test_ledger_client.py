"""Both clients with a ledger: what it holds at each moment, and that no call buys twice."""

import base64
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import evolve

from ledger_rows import lapse, sql
from ledger_sessions import (
    BOTH,
    FILE,
    GENERATE,
    JOB,
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
    DownloadError,
    InvalidInputError,
    InvalidVideoError,
    JobFailedError,
    NotFoundError,
    ReframeError,
    SubmissionUncertainError,
    UploadError,
    WaitTimeoutError,
    uploading,
)
from scenario_reframe.ledger.interface import content_of
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.sandbox.faults import Fault, answer, drop, rewrite
from scenario_reframe.sandbox.sample_clip import make_sample
from scenario_reframe.video import open_video
from timings import SOON

# --- uploads ------------------------------------------------------------------------------------


def test_a_clip_is_uploaded_once_for_all_its_jobs(
    runs: Runs, short_clip: Path, tmp_path: Path
) -> None:
    """By upload, estimate, submit and reframe, in one run and in later ones."""
    session = runs()
    session("upload", short_clip)
    session("estimate", short_clip, **QUICK)
    session("submit", short_clip, **QUICK)
    for number, shape in enumerate(("9:16", "1:1")):
        runs()("reframe", short_clip, tmp_path / f"{number}.mp4", aspect_ratio=shape, **QUICK)
        assert whole(tmp_path / f"{number}.mp4")
    assert (runs.uploads, runs.jobs) == (1, 3)


def test_a_clip_that_was_changed_is_uploaded_again(
    runs: Runs, short_clip: Path, tmp_path: Path
) -> None:
    """Its bytes count, not its name."""
    copy, session = tmp_path / "copy.mp4", runs()
    copy.write_bytes(short_clip.read_bytes())
    session("estimate", short_clip, **QUICK)
    session("estimate", copy, **QUICK)
    assert runs.uploads == 1
    make_sample(copy, seconds=0.2, size="128x72", rate=25)
    session("estimate", copy, **QUICK)
    assert runs.uploads == 2


def test_an_upload_that_the_server_lost_is_repeated(
    runs: Runs, short_clip: Path, tmp_path: Path
) -> None:
    """An estimate uploads it again; a submit fails with 404, and the next call uploads it."""
    session, to = runs(), tmp_path / "a.mp4"
    session("submit", short_clip, **QUICK)
    del runs.sandbox._state.assets[runs.sandbox.made[-1].input["videoUrl"]]
    session.fails(NotFoundError, "reframe", short_clip, to, **QUICK)
    assert (runs.uploads, runs.jobs) == (1, 1)
    session("reframe", short_clip, to, **QUICK)
    assert (runs.uploads, runs.jobs) == (2, 2)
    assert whole(to)
    del runs.sandbox._state.assets[runs.sandbox.made[-1].input["videoUrl"]]
    session("estimate", short_clip, **QUICK)
    assert (runs.uploads, runs.jobs) == (3, 2)


@pytest.mark.parametrize("moment", ["before complete", "after complete"])
def test_an_upload_that_was_interrupted_after_its_last_part_is_resumed(
    runs: Runs, short_clip: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A run was killed before its upload became an asset: the next one sends nothing again."""

    def killed(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        part = "_complete" if moment == "before complete" else "wait_until_imported"
        broken.setattr(uploading, part, killed)
        with pytest.raises(KeyboardInterrupt):
            runs()("submit", short_clip, **QUICK)
    runs()("submit", short_clip, **QUICK)
    assert (runs.uploads, runs.jobs) == (1, 1)


def test_an_upload_that_no_longer_exists_is_sent_again(runs: Runs, short_clip: Path) -> None:
    """The server does not have the interrupted upload any more."""
    session = runs()
    content = content_of(open_video(short_clip))
    session("entries")
    sql(
        runs.ledger,
        "INSERT INTO uploads (account, content, upload_id) SELECT id, ?, 'upload_gone' "
        "FROM accounts",
        content,
    )
    session("submit", short_clip, **QUICK)
    assert (runs.uploads, runs.jobs) == (1, 1)


def test_a_failed_upload_is_repeated_by_the_same_call_but_not_resumed(
    runs: Runs, short_clip: Path, tmp_path: Path
) -> None:
    """Nothing was bought, and the entry is closed: what was reported as failed is not resumed."""
    to = tmp_path / "a.mp4"
    runs.sandbox.faults.add(answer(500), r"^/uploads/", method="PUT", times=100)
    runs().fails(UploadError, "reframe", short_clip, to, **QUICK)
    runs.sandbox.faults.clear()
    assert runs()("entries", unfinished=True) == []
    runs().fails(ConfigurationError, "resume", runs.entry())
    runs()("reframe", short_clip, to, **QUICK)
    assert whole(to)
    assert (runs.posts, runs.jobs) == (1, 1)
    assert runs.states() == ["done", "failed"]


@pytest.mark.parametrize("is_changed", [False, True])
def test_resume_uploads_what_a_killed_run_did_not_unless_it_has_changed(
    runs: Runs, short_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *,
    is_changed: bool,
) -> None:  # fmt: skip
    """Killed before its upload: there is only the entry. Other bytes were never requested."""
    copy, to = tmp_path / "copy.mp4", tmp_path / "a.mp4"
    copy.write_bytes(short_clip.read_bytes())
    with monkeypatch.context() as killed:
        killed.setattr(SqlLedger, "release", lambda *_: None)
        runs.sandbox.faults.add(answer(403), r"/uploads$", method="POST")
        runs().fails(ReframeError, "reframe", copy, to, **QUICK)
    lapse(runs.ledger)
    if is_changed:
        copy.write_bytes(short_clip.read_bytes() + b"\0" * 8)
        runs().fails(InvalidVideoError, "resume", runs.entry())
        assert (runs.uploads, runs.posts) == (1, 0)
    else:
        assert runs()("resume", runs.entry()).files == (to,)
        assert (runs.posts, runs.jobs) == (1, 1)
        assert whole(to)


# --- what the ledger holds ----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("call", ["submit", "reframe"])
def test_the_intent_is_written_before_the_post_and_the_id_right_after_it(
    runs: Runs, video: str, call: str
) -> None:
    """As another program sees it when the server gets the requests."""
    query = """SELECT e.state, p.outcome, e.job_id, p.body
        FROM entries e JOIN posts p ON p.entry = e.id"""
    seen: list[Any] = []
    look = when_it_comes(lambda: seen.append(sql(runs.ledger, query)))
    runs.sandbox.faults.add(look, GENERATE, method="POST")
    runs.sandbox.faults.add(look, JOB)
    session = runs()
    job = session(call, video, **QUICK) if call == "submit" else session(call, video, **QUICK).job
    if call == "submit":
        session("get_job", job)
    before, after = seen
    sent = runs.sandbox.made[-1].input
    assert [row[:3] for row in before] == [("posting", "open", None)]
    assert [row[:3] for row in after] == [("submitted", "made", job.id)]
    assert sql(runs.ledger, "SELECT count(*) FROM posts WHERE body = ?", before[0][3]) == [(1,)]
    assert f'"seed": {sent["seed"]}' in before[0][3]
    assert f'"videoUrl": "{video}"' in before[0][3]


@BOTH
def test_the_ledger_holds_all_about_a_finished_request(
    runs: Runs, video: str, tmp_path: Path
) -> None:
    """Job, cost, assets, files and their digests, settings and seed as they were sent."""
    session, to = runs(), tmp_path / "a.mp4"
    result = session("reframe", video, to, **QUICK)
    entry, made = runs.entry(), runs.sandbox.made[-1]
    assert (entry.state, entry.job_id) == ("done", result.job.id)
    assert dict(entry.files) == {str(to): made.digests[0]}
    assert entry.asset_ids == result.job.asset_ids == made.asset_ids
    assert entry.cost == runs.sandbox._state.jobs[made.id].cost
    assert {**entry.settings, "seed": entry.seed, "videoUrl": video} == made.input
    assert (entry.source, entry.content, entry.target) == (video, video, str(to))
    assert session("entries", unfinished=True) == []


def test_each_submit_without_a_key_is_a_request_of_its_own(
    runs: Runs, video: str, tmp_path: Path
) -> None:
    """Each call buys again. A later run's wait and download close the entry."""
    session = runs()
    jobs = [session("submit", video, **QUICK) for _ in range(2)]
    assert runs.jobs == 2
    assert {entry.job_id for entry in session("entries")} == {job.id for job in jobs}
    runs()("wait", jobs[0].id)
    assert runs.states() == ["submitted", "ready"]
    runs()("download", jobs[0].id, tmp_path / "a.mp4")
    (done,) = [entry for entry in session("entries") if entry.job_id == jobs[0].id]
    assert (done.state, [*done.files]) == ("done", [str(tmp_path / "a.mp4")])


@pytest.mark.parametrize("other", [{"prompt": "else"}, {"seed": 5}, {"to": "b.mp4"}])
def test_another_request_is_not_mistaken_for_the_first(
    runs: Runs, video: str, tmp_path: Path, other: dict[str, Any]
) -> None:
    """Another setting, seed or target: the uncertain entry stays unchanged."""
    runs.uncertain(video, tmp_path / "a.mp4", accepted=True, **QUICK)
    settings = {**QUICK, **other}
    runs()("reframe", video, tmp_path / settings.pop("to", "a.mp4"), **settings)
    assert runs.jobs == 2
    assert runs.states() == ["done", "uncertain"]


@BOTH
def test_no_secret_is_in_the_ledger(runs: Runs, video: str, tmp_path: Path) -> None:
    """Neither key, header, the video's URL nor a signature; not while it is open either."""
    session, sandbox = runs(), runs.sandbox
    url = session("get_asset", video).url
    query = url.partition("?")[2]
    assert query
    session("reframe", url, tmp_path / "a.mp4", **QUICK)
    for name, status, reason in (("b", 500, url), ("c", 400, f"cannot fetch {url}")):
        sandbox.faults.add(answer(status, {"reason": reason}), GENERATE, method="POST")
        session.fails(ReframeError, "reframe", url, tmp_path / f"{name}.mp4", **QUICK)
    stored = b"".join(file.read_bytes() for file in runs.ledger.parent.glob("ledger.db*"))
    pair = f"{sandbox.api_key}:{sandbox.api_secret}".encode()
    for secret in (sandbox.api_key.encode(), sandbox.api_secret.encode(), base64.b64encode(pair)):
        assert secret not in stored
    assert url.encode() not in stored
    assert all(part.encode() not in stored for part in query.split("&"))


# --- the same call again ------------------------------------------------------------------------

STAGES: dict[str, tuple[list[tuple[Fault, str, str]], type[ReframeError]]] = {
    "its upload failed": ([(answer(403), r"/uploads$", "POST")], ApiError),
    "its submit was refused": ([(answer(400, {"reason": "no"}), GENERATE, "POST")], ApiError),
    "its submit was lost": (
        [(drop(after=True), GENERATE, "POST"), (answer(503), LIST, "GET")],
        SubmissionUncertainError,
    ),
    "its wait was too short": (
        [(rewrite(lambda body: {"job": body["job"] | {"status": "queued"}}), JOB, "GET")],
        WaitTimeoutError,
    ),
    "its result could not be read": ([(answer(403), r"/assets/asset_", "GET")], ApiError),
    "its download failed": ([(answer(500), FILE, "GET")], DownloadError),
    "it was done": ([], ReframeError),
}
"""Faults that stop a call at a stage, and what it raises."""


@BOTH
@pytest.mark.parametrize(
    ("stage", "target"),
    [
        (stage, target)
        for stage in STAGES
        for target in ("a file", "a file, overwrite", "none")
        if (stage, target) != ("its download failed", "none")
    ],
)
def test_the_same_call_again_buys_nothing_twice(
    runs: Runs, short_clip: Path, tmp_path: Path, stage: str, target: str
) -> None:
    """Wherever the first stopped, the second finishes it, and the third returns its result."""
    to = None if target == "none" else tmp_path / "a.mp4"
    call: dict[str, Any] = {"overwrite": target.endswith("overwrite"), **QUICK}
    faults, kind = STAGES[stage]
    for fault, path, method in faults:
        runs.sandbox.faults.add(fault, path, method=method, times=1000)
    first = runs(timing=evolve(SOON, clock=Seconds()))
    if faults:
        first.fails(kind, "reframe", short_clip, to, timeout=100, **call)
        assert not (tmp_path / "a.mp4").exists()
    else:
        first("reframe", short_clip, to, **call)
    runs.sandbox.faults.clear()
    results = [session("reframe", short_clip, to, **call) for session in (runs(), runs(), first)]
    assert runs.jobs == 1
    assert len({result.job.id for result in results}) == 1
    assert {result.files for result in results} == {() if to is None else (to,)}
    assert all(result.assets for result in results)
    assert to is None or whole(to)
    assert runs.states()[0] == "done"


@BOTH
def test_a_missing_file_of_a_finished_request_is_downloaded_again(
    runs: Runs, video: str, tmp_path: Path
) -> None:
    """Also with `overwrite`; as long as the file exists no byte is fetched."""
    to = tmp_path / "a.mp4"
    first = runs()("reframe", video, to, **QUICK)
    fetched = len(files(runs))
    runs()("reframe", video, to, **QUICK)
    assert len(files(runs)) == fetched
    to.unlink()
    again = runs()("reframe", video, to, **QUICK)
    assert (again.job.id, again.files) == (first.job.id, (to,))
    assert whole(to)
    to.write_bytes(b"spoilt")
    assert runs()("reframe", video, to, overwrite=True, **QUICK).files == (to,)
    assert whole(to)
    assert runs.jobs == 1


def files(runs: Runs) -> list[str]:
    """The requests to the file host."""
    return [seen.path for seen in runs.sandbox.requests if not seen.path.startswith("/v1/")]


@BOTH
def test_a_failed_job_is_bought_again_by_the_same_call(
    runs: Runs, video: str, tmp_path: Path
) -> None:
    """The first entry stays, with its failure."""
    to = tmp_path / "a.mp4"
    fail_the_next_job(runs)
    error = runs().fails(JobFailedError, "reframe", video, to, **QUICK)
    entry = runs.entry()
    assert (entry.state, entry.job_id) == ("failed", error.job.id)
    assert runs()("reframe", video, to, **QUICK).job.id != error.job.id
    assert (runs.jobs, runs.states()) == (2, ["done", "failed"])


def fail_the_next_job(runs: Runs) -> None:
    """Report the next job as failed, however often it is read."""
    failing: list[str] = []

    def failed(body: Any) -> Any:
        job = body["job"]
        failing[:] = failing or [job["jobId"]]
        metadata = {**job["metadata"], "error": "too dark"}
        is_it = job["jobId"] in failing
        return {"job": {**job, "status": "failure", "metadata": metadata}} if is_it else body

    runs.sandbox.faults.add(rewrite(failed), JOB, method="GET", times=1000)


# --- request keys -------------------------------------------------------------------------------


@BOTH
def test_a_key_is_one_job_for_all_calls(runs: Runs, video: str, tmp_path: Path) -> None:
    """Of submit and reframe, in this run and in later ones; each target gets its file."""
    first = runs()("submit", video, key="order-1", **QUICK)
    assert runs()("submit", video, key="order-1", **QUICK).id == first.id
    for name in ("a.mp4", "b.mp4", "b.mp4"):
        result = runs()("reframe", video, tmp_path / name, key="order-1", **QUICK)
        assert (result.job.id, result.files) == (first.id, (tmp_path / name,))
        assert whole(tmp_path / name)
    assert runs()("reframe", video, key="order-1", **QUICK).job.id == first.id
    done = runs()("submit", video, key="order-1", **QUICK)
    assert (done.id, done.is_success) == (first.id, True)
    assert (runs.posts, runs.jobs) == (1, 1)
    assert runs()("submit", video, key="order-2", **QUICK).id != first.id
    assert runs.jobs == 2


@BOTH
def test_a_key_of_an_uncertain_submit_finds_its_job(runs: Runs, video: str) -> None:
    """The first call's reply was lost, and the list could not be read."""
    runs.sandbox.faults.add(drop(after=True), GENERATE, method="POST")
    runs.sandbox.faults.add(answer(503), LIST, times=100)
    runs().fails(SubmissionUncertainError, "submit", video, key="order-1", **QUICK)
    runs.sandbox.faults.clear()
    job = runs()("submit", video, key="order-1", **QUICK)
    assert job.id == runs.sandbox.made[-1].id
    assert (runs.posts, runs.jobs) == (1, 1)


@pytest.mark.parametrize("state", ["submitted", "done", "failed"])
def test_a_key_stands_for_its_video_and_settings(
    runs: Runs, video: str, short_clip: Path, tmp_path: Path, state: str
) -> None:
    """With others it is an error that says what differs, and nothing is sent."""
    if state == "failed":
        fail_the_next_job(runs)
        runs().fails(JobFailedError, "reframe", video, key="order-1", **QUICK)
    else:
        runs()("submit" if state == "submitted" else "reframe", video, key="order-1", **QUICK)
    assert runs.entry().state == state
    posts, uploads = runs.posts, runs.uploads
    for call in ("submit", "reframe"):
        error = runs().fails(InvalidInputError, call, video, key="order-1", prompt="x", **QUICK)
        assert "settings" in str(error)
        error = runs().fails(InvalidInputError, call, short_clip, key="order-1", **QUICK)
        assert "video" in str(error)
    assert (runs.posts, runs.uploads, runs.jobs) == (posts, uploads, 1)


@BOTH
def test_the_key_of_a_failed_job_raises_its_error_again(
    runs: Runs, video: str, tmp_path: Path
) -> None:
    """From submit and reframe: a service that repeats its call gets the same answer."""
    fail_the_next_job(runs)
    first = runs().fails(JobFailedError, "reframe", video, key="order-1", **QUICK)
    for call in ("submit", "reframe"):
        error = runs().fails(JobFailedError, call, video, key="order-1", **QUICK)
        assert error.job.id == first.job.id
        assert "too dark" in str(error)
    assert (runs.posts, runs.jobs) == (1, 1)


@BOTH
@pytest.mark.parametrize("path", [r"/uploads$", GENERATE])
def test_a_key_under_which_nothing_was_made_may_be_used_again(
    runs: Runs, short_clip: Path, path: str
) -> None:
    """After a failed upload or a refused submit, the same call succeeds."""
    runs.sandbox.faults.add(answer(403, {"reason": "not now"}), path, method="POST")
    runs().fails(ApiError, "submit", short_clip, key="order-1", **QUICK)
    job = runs()("submit", short_clip, key="order-1", **QUICK)
    assert runs()("submit", short_clip, key="order-1", **QUICK).id == job.id
    assert runs.jobs == 1


@BOTH
@pytest.mark.parametrize("call", ["submit", "reframe"])
def test_a_key_without_a_ledger_is_refused(runs: Runs, video: str, call: str) -> None:
    """It would not be remembered."""
    error = runs(ledger=None).fails(ConfigurationError, call, video, key="order-1", **QUICK)
    assert "ledger=" in str(error)
    assert runs.posts == 0
