"""`batch` against the sandbox: what it makes, what it refuses, and how it is resumed."""

import io
import json
import os
import shlex
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from rich.console import Console

from commands import Commands, commands, interrupt, output_of, point_to
from ledger_rows import sql
from ledger_sessions import held
from scenario_reframe import (
    ApiError,
    BatchItem,
    BatchOutcome,
    JobFailedError,
    ReframeError,
    Submission,
    SubmissionUncertainError,
    UploadError,
)
from scenario_reframe.batch.items import Status
from scenario_reframe.cli import main
from scenario_reframe.cli.batch_summary import BatchSummary
from scenario_reframe.cli.exit_codes import remember_command_line
from scenario_reframe.cli.progress import LiveDisplay
from scenario_reframe.models import Job
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer
from scenario_reframe.sandbox.prices import price
from scenario_reframe.sandbox.reframe_plan import frames_to_make
from scenario_reframe.sandbox.sample_clip import SAMPLE_RATE, SAMPLE_SECONDS
from waiting import until

MP4 = b"\0\0\0\x18ftypisom"
SHAPES = ("--each", "aspect-ratio=9:16,1:1")
# The price of a job with the spec's defaults, in creative units.
EACH = price({}, frames_to_make({}, SAMPLE_SECONDS * SAMPLE_RATE))
Output = pytest.CaptureFixture[str]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """A fast sandbox that the environment points to; the working directory has three clips."""
    monkeypatch.chdir(tmp_path)
    clips("a.mp4", "b.mov", "c.mp4")
    with Sandbox(stage_seconds=0.01, fast=True) as running:
        point_to(running, monkeypatch)
        yield running


def clips(*names: str) -> None:
    """Write files that begin like videos, each with its own content."""
    for name in names:
        path = Path("clips", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MP4 + name.encode() * 100)


def uploads(sandbox: Sandbox) -> int:
    """How many uploads were started."""
    return sum(seen.path.endswith("/uploads") for seen in sandbox.requests)


def test_a_folder_in_two_shapes_and_the_same_command_again(
    sandbox: Sandbox, capsys: Output
) -> None:
    """Each clip is uploaded once and reframed twice; then nothing is left to do."""
    Path("clips", "notes.txt").write_text("no video", "utf-8")
    arguments = ["batch", "clips", "-o", "out", *SHAPES]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    made = {f"out/{clip}-{shape}.mp4" for clip in "abc" for shape in ("9x16", "1x1")}
    assert set(captured.out.splitlines()) == made
    assert {str(path) for path in Path("out").iterdir()} == made
    assert "Left out: clips/notes.txt does not begin like a video" in captured.err
    assert f"6 items: 6 done. {6 * EACH:,g} creative units paid in this run." in captured.err
    assert (sandbox.jobs_made, uploads(sandbox)) == (6, 3)
    before = sandbox.requests_made
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert set(captured.out.splitlines()) == made
    told = "6 done (6 bought by an earlier run). 0 creative units paid in this run."
    assert told in captured.err
    assert sandbox.requests_made == before


def test_check_prints_what_would_be_made_and_sends_nothing(
    sandbox: Sandbox, capsys: Output
) -> None:
    """In the order of the request, and as JSON."""
    arguments = ["batch", "clips/a.mp4", "clips/c.mp4", "-o", "out", "--aspect-ratio", "1:1"]
    assert main([*arguments, "--check"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "clips/a.mp4 -> out/a-1x1.mp4", "clips/c.mp4 -> out/c-1x1.mp4",
    ]  # fmt: skip
    assert "nothing was sent" in captured.err
    assert main([*arguments, "--check", "--json"]) == 0
    first, *_, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"video": "clips/a.mp4", "output": "out/a-1x1.mp4"}
    assert last["summary"]["asked"] == 2
    assert sandbox.requests == []
    assert not Path("out").exists()


def test_a_manifests_cells_beat_the_flags(sandbox: Sandbox, capsys: Output) -> None:
    """An empty cell takes the flag's value; --json prints each outcome, and a summary last."""
    rows = "video,output,aspect_ratio,seed\na.mp4,my/own.mp4,9:16,\nb.mov,,,7\n"
    Path("clips", "list.csv").write_text(rows, "utf-8")
    flags = ["--aspect-ratio", "1:1", "--seed", "5", "--extra", "new=1", "--json"]
    assert main(["batch", "clips/list.csv", "-o", "out", *flags]) == 0
    *outcomes, last = map(json.loads, capsys.readouterr().out.splitlines())
    found = {one["output"]: one for one in outcomes}
    assert found["out/my/own.mp4"]["settings"] == {"aspect_ratio": "9:16", "seed": 5}
    assert found["out/b-1x1.mp4"]["settings"] == {"aspect_ratio": "1:1", "seed": 7}
    assert found["out/b-1x1.mp4"]["files"] == ["out/b-1x1.mp4"]
    assert {one["status"] for one in outcomes} == {"done"}
    assert last["summary"]["done"] == 2
    assert last["summary"]["paid"] == sum(one["cost"] for one in outcomes) > 0
    assert [job.input["new"] for job in sandbox.made] == [1, 1]


def test_every_fault_of_every_row_is_named_before_anything_is_sent(
    sandbox: Sandbox, capsys: Output
) -> None:
    """Faults of the file and of its requests, by line; once for all shapes of a row."""
    rows = ["video,output,num_frames,aspect_ration"]
    rows += [f"a.mp4,{number}.mp4,90," for number in range(2, 702)]
    rows[3] = "none.mp4,3.mp4,90,"
    rows[4] = "empty.mp4,4.mp4,many"
    rows[5] = ",5.mp4,90,"
    rows[6] = "empty.mp4,6.mp4,90,"
    rows[7] = rows[8]
    rows[9] = "a.mp4,../9.mp4,90,"
    rows[700] = "c.mp4,700.mp4,300,"
    Path("clips", "empty.mp4").write_bytes(b"")
    Path("clips", "list.csv").write_bytes("\r\n".join(rows).encode("utf-8-sig"))
    arguments = ["batch", "clips/list.csv", "-o", "out", "--each", "resolution=480p,720p"]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    *told, last = captured.err.splitlines()
    assert [line.split(": ")[0] for line in told] == [
        f"clips/list.csv:{line}" for line in (1, 4, 5, 6, 7, 8, 8, 9, 9, 10, 10, 701)
    ]
    for place, part in {
        0: "aspect_ration: no such column; did you mean aspect_ratio?",
        1: "none.mp4 does not exist",
        2: "3 cells, but the header has 4",
        3: "video: missing; every row needs one",
        4: "empty.mp4 is empty",
        5: "9-480p.mp4 is the output of several items",
        9: "is not inside the folder",
        11: "num_frames: 300 is not allowed; it takes a whole number (int) from 81 to 241",
    }.items():
        assert part in told[place]
    assert last == "scenario-reframe: 12 faults in 9 rows; nothing was sent, nothing was paid"
    assert captured.out == ""
    assert main([*arguments, "--json"]) == 2
    record = json.loads(capsys.readouterr().out)
    assert record["error"] == "InvalidBatchError"
    assert len(record["faults"]) == 12
    assert record["faults"][-1]["line"] == 701
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none: no such file or folder"),
        (["clips/*.avi"], "clips/*.avi: no video found"),
        (["empty"], "empty: no video found"),
        ([""], "an empty name is not a file"),
        (["none.csv"], "none.csv: none.csv cannot be read: No such file"),
        (["empty/list.jsonl"], "empty/list.jsonl:1: the file has no rows"),
        (["clips/a.mp4", "clips/sub/a.mp4"], "A manifest can name outputs"),
        (["empty/text.mp4"], "does not begin like a video"),
        (["clips", "-o", "clips"], "clips: no video found outside the output folder"),
        (["clips/a.mp4", "-o", "clips"], "pass another folder as --output"),
        (["clips", "-o", "clips/a.mp4"], "--output: clips/a.mp4 is a file"),
        (["clips", "--num-frames", "5"], "--num-frames: 5 is not allowed"),
        (["clips", "--each", "num-frames=5"], "--each num_frames: 5 is not allowed"),
        (["clips", "--concurrency", "0"], "concurrency: 0 is not allowed"),
        (["clips", "--budget", "nan"], "budget: nan is not allowed"),
        (["clips", "-o", "taken"], "taken/a-reframed.mp4 exists already"),
        (["empty/ratio.csv", *SHAPES], "ratio.csv:2: aspect_ratio: is in the row and in --each"),
        ([], "SOURCES"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_sent(
    arguments: list[str], message: str, sandbox: Sandbox, capsys: Output
) -> None:
    """Exit code 2, nothing but reads sent, nothing on stdout."""
    clips("sub/a.mp4")
    Path("empty").mkdir()
    Path("empty/text.mp4").write_text("x", "utf-8")
    Path("empty/list.jsonl").touch()
    Path("empty/ratio.csv").write_text("video,aspect_ratio\n../clips/a.mp4,auto\n", "utf-8")
    Path("taken").mkdir()
    Path("taken/a-reframed.mp4").write_text("mine", "utf-8")
    output = [] if "-o" in arguments else ["-o", "out"]
    if arguments == ["empty"]:
        Path("empty/text.mp4").unlink()
    assert main(["batch", *arguments, *output]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    # The server names the project, and so the rows of the ledger.
    assert {seen.method for seen in sandbox.requests} <= {"GET"}


def test_results_among_the_clips_are_not_used_as_clips(sandbox: Sandbox, capsys: Output) -> None:
    """A recursive pattern matches the output folder; the same command again pays for nothing."""
    clips("sub/d.mp4")
    arguments = ["batch", "clips/**/*.m[op][4v]", "-o", "clips/out"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert "Left out: 4 files of" in capsys.readouterr().err
    assert sandbox.jobs_made == 4


def test_one_failure_stops_no_other_item(sandbox: Sandbox, capsys: Output) -> None:
    """Its reason is printed at once and at the end, with the command to go on with."""
    sandbox.faults.add(answer(400, {"reason": "too \x1b[31mdark"}), r"/generate/")
    arguments = ["batch", "clips", "-o", "my out", "--seed", "5"]
    assert main(arguments) == 3
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    lines = captured.err.splitlines()
    assert sum("failed: clips/" in line and "too dark" in line for line in lines) == 2
    paid = f"{2 * EACH:,g} creative units paid in this run."
    assert f"3 items: 2 done, 1 failed. {paid}" in lines
    assert lines[-1] == "scenario-reframe batch clips -o 'my out' --seed 5"
    assert main(shlex.split(lines[-1])[1:]) == 0
    assert "3 done (2 bought by an earlier run)" in capsys.readouterr().err
    assert sandbox.jobs_made == 3


def test_a_budget_is_not_passed(sandbox: Sandbox, capsys: Output) -> None:
    """What it does not allow is skipped and named; exit code 1."""
    budget = str(2.5 * EACH)
    assert main(["batch", "clips", "-o", "out", "--budget", budget, "--json"]) == 1
    captured = capsys.readouterr()
    last = json.loads(captured.out.splitlines()[-1])["summary"]
    assert (last["done"], last["skipped"], last["paid"]) == (2, 1, 2 * EACH)
    assert "- skipped: clips/" in captured.err
    assert sandbox.jobs_made == 2


def test_without_a_ledger_it_is_said_that_nothing_can_be_resumed(
    sandbox: Sandbox, capsys: Output
) -> None:
    """At the start, and when something is not done."""
    sandbox.faults.add(answer(400, {"reason": "no"}), r"/generate/")
    assert main(["batch", "clips", "-o", "out", "--ledger", "none"]) == 3
    told = capsys.readouterr().err
    assert "Without a ledger, a batch that is interrupted cannot be resumed." in told
    assert told.endswith("To list the jobs:\nscenario-reframe jobs list\n")


@pytest.fixture
def start(sandbox: Sandbox) -> Iterator[Commands]:
    """Starts the command in a process of its own."""
    with commands(Path.cwd(), {}) as made:
        yield made


def recorded() -> Counter[str]:
    """How many items the ledger has, by state, and how many with a `job`."""
    try:
        rows = sql(Path(os.environ["SCENARIO_LEDGER"]), "SELECT state, job_id FROM entries")
    except sqlite3.OperationalError:  # the command has not made it yet
        rows = []
    return Counter([state for state, _ in rows] + ["job" for _, job_id in rows if job_id])


def test_killed_and_run_again(start: Commands, sandbox: Sandbox) -> None:
    """No clip is uploaded, paid for or downloaded twice; the summary counts what was resumed."""
    arguments = ("batch", "clips", "-o", "out", *SHAPES, "--concurrency", "2", "--json")
    process = start(*arguments)
    until(lambda: recorded()["done"] >= 2)
    sandbox.hold_jobs = True

    def two_are_held() -> bool:
        now = recorded()
        uploaded = sql(Path(os.environ["SCENARIO_LEDGER"]), "SELECT count(asset_id) FROM uploads")
        return uploaded == [(3,)] and now["job"] == sandbox.jobs_made == now["done"] + min(
            2, 6 - now["done"]
        )

    until(two_are_held)
    process.kill()
    output_of(process)
    known = recorded()
    sandbox.hold_jobs = False
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.mp4")}
    out, _ = output_of(start(*arguments))
    last = json.loads(out.splitlines()[-1])["summary"]
    assert (last["done"], last["taken_up"]) == (6, known["job"])
    assert last["paid"] == EACH * (6 - known["job"])
    assert len(before) >= 2
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())
    assert len(list(Path("out").iterdir())) == 6
    assert (sandbox.jobs_made, uploads(sandbox)) == (6, 3)


def test_ctrl_c_prints_what_is_paid_for_and_how_to_go_on(start: Commands, sandbox: Sandbox) -> None:
    """Exit code 130; the printed command finishes the batch."""
    sandbox.hold_jobs = True
    process = start("batch", "clips", "-o", "out", *SHAPES, "--concurrency", "2")
    until(lambda: recorded()["job"] == 2)
    code, _, err = interrupt(process)
    sandbox.hold_jobs = False
    assert code == 130
    assert "Traceback" not in err
    lines = err.splitlines()
    assert "scenario-reframe: interrupted" in lines
    assert "Running jobs are paid for and continue on the server." in lines
    assert any("6 items: " in line and " unfinished" in line for line in lines)
    again = shlex.split(lines[-1])
    assert again[:2] == ["scenario-reframe", "batch"]
    _, err = output_of(start(*again[1:]))
    assert "6 done (2 bought by an earlier run)." in err.splitlines()[-1]
    assert sandbox.jobs_made == 6


def test_ctrl_c_while_submits_are_under_way(start: Commands, sandbox: Sandbox) -> None:
    """Their replies arrive as it ends: whether it saw them or not, nothing is bought again."""
    is_stopped = Event()
    sandbox.faults.add(held(is_stopped, after=True), r"/generate/", method="POST", times=2)
    arguments = ("batch", "clips", "-o", "out", "--concurrency", "2")
    process = start(*arguments)
    until(lambda: sandbox.jobs_made == 2)
    process.send_signal(signal.SIGINT)
    is_stopped.set()
    output_of(process)
    assert process.returncode == 130
    out, _ = output_of(start(*arguments))
    assert len(out.splitlines()) == 3
    assert sandbox.jobs_made == 3


SENT = Submission(seed=1, body={}, started_at=datetime(2026, 1, 2, tzinfo=UTC))
LOST = SubmissionUncertainError("lost", submission=SENT)
REFUSED = ApiError("no", status_code=400, reason="", request_id=None, body=None)


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([], 0),
        ([("skipped", ReframeError("the budget is spent"))], 1),
        ([("skipped", ReframeError("the budget is spent")), ("failed", UploadError("no"))], 7),
        ([("failed", REFUSED), ("failed", JobFailedError("no"))], 3),
        ([("failed", JobFailedError("no")), ("uncertain", LOST)], 6),
    ],
)
def test_the_exit_code_is_that_of_what_matters_most(
    ends: list[tuple[Status, ReframeError]], code: int
) -> None:
    """Uncertain items first, then the first failure, then what was skipped."""
    summary = BatchSummary(9, has_ledger=True)
    summary.add_outcome("a", BatchOutcome(item=BatchItem("a"), status="done"))
    for status, error in ends:
        summary.add_outcome("b", BatchOutcome(item=BatchItem("b"), status=status, error=error))
    assert summary.exit_code() == code


def test_a_long_list_of_unfinished_items_is_cut() -> None:
    """After twenty items; the printed command holds no secret of a URL."""
    summary = BatchSummary(30, has_ledger=True)
    for number in range(25):
        error = JobFailedError("it is\ntoo dark")
        job = Job(id=f"job_{number}", status="failure")
        item = BatchItem("b")
        summary.add_outcome(
            str(number), BatchOutcome(item=item, status="failed", error=error, job=job)
        )
    with remember_command_line(["batch", "https://files.test/a.mp4?Token=abc", "-o", "out"]):
        lines = list(summary.lines())
    assert lines[0].startswith("30 items: 0 done, 25 failed, 5 unfinished.")
    assert lines[20:22] == ["- failed: 19: it is too dark", "- and 5 more"]
    assert not any("Token" in line for line in lines)


def test_bars_leave_stdout_to_the_results(capsys: Output) -> None:
    """A count moves the batch's bar; a result goes to stdout and not to the terminal."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100, color_system=None)
    with LiveDisplay(console) as display:
        display.count(3, 9, "3 done, 2 running")
        display.output("out/a.mp4")
    assert "3 done, 2 running" in shown.getvalue()
    assert "out/a.mp4" not in shown.getvalue()
    assert capsys.readouterr().out == "out/a.mp4\n"
