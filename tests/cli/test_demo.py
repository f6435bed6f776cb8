"""`demo` and `scripts/demo`: the whole pipeline without an account."""

import os
import subprocess
from pathlib import Path

import av
import pytest

from scenario_reframe.cli import main
from scenario_reframe.sandbox.sample_clip import make_sample

ROOT = Path(__file__).parents[2]
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set credentials, a project and proxies that must not be used, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCENARIO_BASE_URL", "https://127.0.0.1:9/v1")
    monkeypatch.setenv("SCENARIO_API_KEY", "real-key")
    monkeypatch.setenv("SCENARIO_API_SECRET", "real-secret")
    monkeypatch.setenv("SCENARIO_PROJECT_ID", "real-project")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")


def test_demo_without_a_video_makes_one_and_shows_before_and_after(capsys: Output) -> None:
    """Two paths on stdout; older files are replaced; the real account is not used."""
    Path("demo-output").mkdir()
    Path("demo-output", "sample-9x16.mp4").write_text("older", "utf-8")
    Path("demo-output", "sample-9x16.png").write_text("older", "utf-8")
    assert main(["demo", "--video-write-mode", "fast", "--num-interpolated-frames", "0"]) == 0
    out = capsys.readouterr().out
    assert out == "demo-output/sample-9x16.mp4\ndemo-output/sample-9x16.png\n"
    video, picture = map(Path, out.splitlines())
    with av.open(str(video)) as container:
        shape = container.streams.video[0].codec_context
        assert (shape.width, shape.height) == (480, 854)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_script_finds_a_video_relative_to_the_callers_folder(tmp_path: Path) -> None:
    """Settings and folder can be given too."""
    make_sample(tmp_path / "my clip.mp4", seconds=1, size="160x90", rate=10)
    done = subprocess.run(
        [ROOT / "scripts" / "demo", "my clip.mp4", "--aspect-ratio", "1:1", "-o", "out",
         "--num-interpolated-frames", "0"],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out/my clip-1x1.mp4\nout/my clip-1x1.png\n"
    assert (tmp_path / "out" / "my clip-1x1.png").is_file()


@pytest.mark.parametrize("arguments", [["nothing.mp4"], ["--num-frames", "1"], ["-o", "taken"]])
def test_demo_refuses_what_cannot_be_used(arguments: list[str], capsys: Output) -> None:
    """Exit code 2, and nothing is made."""
    Path("taken").touch()
    assert main(["demo", *arguments]) == 2
    assert capsys.readouterr().out == ""
