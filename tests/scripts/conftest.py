"""What the tests of scripts/first-contact share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import point_to
from contact_runs import Run, runs_of
from scenario_reframe.sandbox import Sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that makes bytes instead of videos, at once."""
    with Sandbox(fast=True, stage_seconds=0) as running:
        point_to(running, monkeypatch)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the report."""
    return tmp_path / "report"


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Runs the command with a small video."""
    return runs_of(folder, tmp_path / "clip.mp4")
