"""Runs of scripts/first-contact in this process, and their reports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from _first_contact.__main__ import main
from _first_contact.session import Clocks
from sandbox_clips import MP4
from scenario_reframe.sandbox.faults import Fault
from timings import SOON

AT_ONCE = Clocks(pause=lambda _: None, timing=SOON)
"""Clocks that wait for nothing but the server."""

Findings = dict[str, dict[str, Any]]
Run = Callable[..., int]


def runs_of(folder: Path, clip: Path) -> Run:
    """A function that runs the command with this report folder and a small video."""
    clip.write_bytes(MP4)

    def call(*flags: str, clocks: Clocks = AT_ONCE, ask: Callable[[], str] = input) -> int:
        video = ["--video", str(clip)] if "--pay" in flags else []
        return main(["--report", str(folder), *video, *flags], clocks, ask)

    return call


def findings(folder: Path) -> Findings:
    """The findings of the report."""
    found: Findings = json.loads((folder / "report.json").read_text("utf-8"))["findings"]
    return found


def facts(folder: Path, probe: str) -> dict[str, Any]:
    """The facts of one finding, which must have been found."""
    finding = findings(folder)[probe]
    assert finding["outcome"] == "found", finding
    found: dict[str, Any] = finding["facts"]
    return found


def only_paid(fault: Fault) -> Fault:
    """The fault, played on submits but not on dry runs."""

    async def chosen(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        is_dry = b"dryRun=true" in scope["query_string"]
        await (app(scope, receive, send) if is_dry else fault(app, scope, receive, send))

    return chosen
