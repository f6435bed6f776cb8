"""`resume`, and what `jobs list` shows from the ledger, in this process."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import point_to
from ledger_rows import sql
from scenario_reframe import ReframeClient
from scenario_reframe.cli import main
from scenario_reframe.ledger.store import SqlLedger
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer, drop
from timings import SOON

QUICK = ("--resolution", "480p", "--num-interpolated-frames", "0", "--video-write-mode", "fast")
RUN = ("run", "clip.mp4", "-o", "out.mp4", *QUICK)
Output = pytest.CaptureFixture[str]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short_clip: Path) -> Iterator[Sandbox]:
    """A sandbox that the environment points to; the working directory has a clip; no pauses."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(short_clip, tmp_path)
    with Sandbox(stage_seconds=0.0) as running:
        point_to(running, monkeypatch)
        yield running


def lose_the_reply(sandbox: Sandbox, *, accepted: bool) -> None:
    """Run the command; the reply to its POST is lost and the list cannot be read."""
    sandbox.faults.add(drop(after=accepted), r"/generate/", method="POST")
    sandbox.faults.add(answer(503), r"/v1/jobs$", times=99)
    assert main([*RUN]) == 6
    sandbox.faults.clear()


def test_nothing_to_resume_is_reported(sandbox: Sandbox, capsys: Output) -> None:
    """Exit code 0, and nothing on stdout."""
    assert main(["resume"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Nothing is unfinished" in captured.err


def test_resume_finds_the_job_of_a_lost_reply(sandbox: Sandbox, capsys: Output) -> None:
    """The uncertain run prints how to go on; resume finds the job and downloads its video."""
    lose_the_reply(sandbox, accepted=True)
    assert "scenario-reframe resume" in capsys.readouterr().err
    assert main(["resume"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == str(Path("out.mp4").absolute())
    assert "found by its settings" in captured.err
    assert Path("out.mp4").stat().st_size > 0
    assert sandbox.jobs_made == 1


def test_the_same_command_continues_it_and_says_so(sandbox: Sandbox, capsys: Output) -> None:
    """`run` again buys nothing."""
    lose_the_reply(sandbox, accepted=True)
    assert main([*RUN]) == 0
    assert "found by its settings" in capsys.readouterr().err
    assert sandbox.jobs_made == 1


def test_what_is_not_listed_stays_uncertain(sandbox: Sandbox, capsys: Output) -> None:
    """Exit code 6, nothing is sent, and the list shows it, with its seed."""
    lose_the_reply(sandbox, accepted=False)
    assert main(["resume"]) == 6
    assert main(["resume", "--resubmit", "--after", "3600"]) == 6
    assert sandbox.jobs_made == 0
    capsys.readouterr()
    assert main(["jobs", "list"]) == 0
    told = capsys.readouterr().out
    assert "no job known" in told
    assert "out.mp4" in told
    assert main(["jobs", "list", "--json"]) == 0
    (lost,) = json.loads(capsys.readouterr().out)["without_job"]
    assert lost["state"] == "uncertain"
    assert str(lost["seed"]) in told


def test_resubmit_sends_it_again_with_permission(sandbox: Sandbox, capsys: Output) -> None:
    """Once the time has passed since its POST ended, with the same seed."""
    lose_the_reply(sandbox, accepted=False)
    main(["jobs", "list", "--json"])
    (lost,) = json.loads(capsys.readouterr().out)["without_job"]
    assert main(["resume", "--resubmit", "--after", "3600", "--json"]) == 6
    assert sandbox.jobs_made == 0
    capsys.readouterr()
    moved = "UPDATE posts SET ended_at = ended_at - 3600, server_ended = server_ended - 3600"
    sql(Path(os.environ["SCENARIO_LEDGER"]), moved)
    assert main(["resume", "--resubmit", "--after", "3600", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["resumed"]
    assert row["seed"] == lost["seed"]
    assert row["files"] == [str(Path("out.mp4").absolute())]
    assert sandbox.jobs_made == 1


def test_resubmit_does_not_send_while_a_job_could_be_it(sandbox: Sandbox, capsys: Output) -> None:
    """A job whose input is never shown could be the lost one."""
    lose_the_reply(sandbox, accepted=True)
    sandbox.echo = lambda _body, _place: None
    assert main(["resume", "--resubmit", "--after", "0"]) == 6
    assert "candidate: job_" in capsys.readouterr().err.lower()
    assert sandbox.jobs_made == 1


def test_one_failure_stops_nothing_else(sandbox: Sandbox, capsys: Output) -> None:
    """The first stays uncertain, the second is finished; the exit code is the first one's."""
    lose_the_reply(sandbox, accepted=False)
    sandbox.faults.add(drop(after=True), r"/generate/", method="POST")
    sandbox.faults.add(answer(503), r"/v1/jobs$", times=99)
    assert main(["run", "clip.mp4", "-o", "two.mp4", *QUICK]) == 6
    sandbox.faults.clear()
    capsys.readouterr()
    assert main(["resume", "--json"]) == 6
    first, second = json.loads(capsys.readouterr().out)["resumed"]
    assert first["error"] == "SubmissionUncertainError"
    assert second["files"] == [str(Path("two.mp4").absolute())]
    assert not Path("out.mp4").exists()


def test_resume_without_a_ledger_is_an_error(sandbox: Sandbox, capsys: Output) -> None:
    """There is nothing to resume from."""
    assert main(["resume", "--ledger", "none"]) == 3
    assert "ledger" in capsys.readouterr().err


def test_a_ledger_is_made_only_where_it_is_wanted(
    sandbox: Sandbox, capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--ledger none` makes none; `--ledger PATH` makes it there."""
    monkeypatch.setenv("SCENARIO_LEDGER", str(tmp_path / "unwanted.db"))
    assert main([*RUN, "--ledger", "none"]) == 0
    assert main([*RUN, "--ledger", "wanted.db", "--overwrite"]) == 0
    assert not Path("unwanted.db").exists()
    assert Path("wanted.db").exists()
    capsys.readouterr()
    assert main(["jobs", "list", "--ledger", "wanted.db", "--limit", "1"]) == 0
    assert "clip.mp4 -> " in capsys.readouterr().out


def test_a_program_finds_the_ledger_of_the_command_line(sandbox: Sandbox, capsys: Output) -> None:
    """A client with `ledger=True` finishes what a command lost, and the other way round."""
    lose_the_reply(sandbox, accepted=True)
    with ReframeClient(ledger=True, timing=SOON) as client:
        (entry,) = client.entries(unfinished=True)
        result = client.resume(entry)
    assert result.files == (Path("out.mp4").absolute(),)
    capsys.readouterr()
    assert main(["resume"]) == 0
    assert "Nothing is unfinished" in capsys.readouterr().err
    Path("out.mp4").unlink()
    assert main([*RUN]) == 0
    assert Path("out.mp4").stat().st_size > 0
    assert sandbox.jobs_made == 1


@pytest.mark.parametrize("again", [["resume"], [*RUN]])
def test_a_file_that_was_whole_before_ctrl_c_is_accepted_as_the_result(
    sandbox: Sandbox, capsys: Output, monkeypatch: pytest.MonkeyPatch, again: list[str]
) -> None:
    """The ledger did not know it yet: no message suggests to move or overwrite the file."""

    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SqlLedger, "record_files", ctrl_c)
        assert main([*RUN]) == 130
    whole = Path("out.mp4").read_bytes()
    capsys.readouterr()
    assert main(again) == 0
    assert capsys.readouterr().out.strip().endswith("out.mp4")
    assert main([*RUN]) == 0, "nor once it is"
    assert Path("out.mp4").read_bytes() == whole
    assert sandbox.jobs_made == 1
