"""The findings, written one by one, so that an interrupted run leaves a report."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .session import ContactSession, Facts
from .traffic import ChargedError

CHARGED = "a dry run that may have been charged for"
JSON_NAME, MARKDOWN_NAME = "report.json", "report.md"
_IN_SHORT = (
    ("status of a dry run", "dry run", "status"),
    ("status of a submit", "submit", "status"),
    ("the job's first status", "submit", "first status"),
    ("seconds from the reply's Date to createdAt", "submit", "date to createdAt, seconds"),
    ("listed after seconds", "how soon it is listed", "seconds after the reply"),
    ("the seed's echo", "echo of the request", "by its id", "seed"),
    ("the prompt's echo", "echo of the request", "by its id", "prompt"),
    ("the video's echo", "echo of the request", "by its id", "videoUrl"),
    ("echoed but not sent", "echo of the request", "by its id", "echoed but not sent"),
    ("price, in creative units", "submit", "price before"),
    ("charged", "the job's statuses", "cost"),
    ("owners look like projects", "owners", "named like a project"),
    ("a Range is answered", "file host", "first bytes", "status"),
    ("ETag", "file host", "whole", "etag"),
    ("a changed signature is answered", "expiry of the URL", "signature changed", "status"),
    ("an expired URL is answered", "expiry of the URL", "expired", "status"),
    ("the result has sound", "file", "sound"),
)
"""A question, and the path of its answer: the probe, then the facts' keys."""

_MOST_KEYS, _MOST_DEPTH, _MOST_LETTERS = 200, 14, 1500


class SkippedError(Exception):
    """A probe cannot be made; the message gives the reason."""


class Report:
    """The findings of a run. `print_line` is called with a line for each probe.

    Findings of an earlier run in the same folder stay until they are replaced.
    """

    def __init__(
        self, folder: Path, session: ContactSession, print_line: Callable[[str], None]
    ) -> None:
        self.failed = 0
        self._folder = folder
        self._redact = session.redact
        self._print_line = print_line
        self._about = {
            "server": session.base_url,
            "client": f"scenario-reframe {version('scenario-reframe')}",
            "last run": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._findings: dict[str, Facts] = self._earlier()

    def probe(self, name: str, find: Callable[[], Facts], *, once: bool = False) -> None:
        """Run one probe and add its finding; an error is a finding too.

        `once`: the probe concerns the one paid job, so new facts are added to earlier ones.
        """
        try:
            finding: Facts = {"outcome": "found", "facts": find()}
        except SkippedError as why:
            finding = {"outcome": f"skipped: {why}", "facts": {}}
        except ChargedError as error:
            self._redact.reveal(error.job_id)
            self._fail(CHARGED, f"{name}: {error}")
            raise
        except Exception as error:  # noqa: BLE001 - the server may response_facts anything
            self._fail(name, f"{type(error).__name__}: {error}")
            return
        self._add(name, finding, once=once)

    def _fail(self, name: str, why: str) -> None:
        self.failed += 1
        self._add(name, {"outcome": f"failed: {why}", "facts": {}}, once=False)

    def _add(self, name: str, finding: Facts, *, once: bool) -> None:
        self._print_line(f"{name}: {finding['outcome']}")
        earlier = self._findings.get(name)
        is_found = finding["outcome"] == "found"
        if earlier is not None and not is_found and earlier.get("outcome") == "found":
            return
        if once and is_found and earlier is not None:
            finding["facts"] = {**earlier["facts"], **finding["facts"]}
        self._findings[name] = finding | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
        self.write()

    def write(self) -> None:
        """Redact the findings and write both files."""
        whole = _bounded({"about": self._about, "findings": self._findings})
        shown = self._redact(whole)
        self._write_file(JSON_NAME, json.dumps(shown, indent=2) + "\n")
        self._write_file(MARKDOWN_NAME, "\n".join(map(self._redact.text, _markdown(shown))) + "\n")

    def _earlier(self) -> dict[str, Facts]:
        """The findings of an earlier run at the same server."""
        try:
            found = json.loads((self._folder / JSON_NAME).read_text("utf-8"))
            if found["about"]["server"] != self._redact(self._about)["server"]:
                return {}
            rows = found["findings"].items()
            return {name: {**row, "facts": dict(row["facts"])} for name, row in rows}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def _write_file(self, name: str, text: str) -> None:
        part = self._folder / f"{name}.part"
        part.write_text(text, "utf-8")
        part.replace(self._folder / name)


def _bounded(value: Any, depth: int = 0) -> Any:
    """The same JSON, limited in size and depth. Texts are limited when they are shown."""
    if depth == _MOST_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {key: _bounded(value[key], depth + 1) for key in list(value)[:_MOST_KEYS]}
    if isinstance(value, list | tuple):
        return [_bounded(item, depth + 1) for item in value[:_MOST_KEYS]]
    return value


def _markdown(report: Facts) -> list[str]:
    findings = report["findings"]
    lines = ["# First contact", ""]
    lines += [f"- {name}: {_leaf(value)}" for name, value in report["about"].items()]
    if short := [line for row in _IN_SHORT if (line := _answer(findings, *row))]:
        lines += ["", "## In short", "", "| question | answer |", "|---|---|", *short]
    for name, finding in findings.items():
        lines += ["", f"## {_label(name)}", "", _leaf(finding["outcome"]), ""]
        lines += _bullets(finding["facts"], "")
    return lines


def _answer(findings: Facts, question: str, probe: str, *path: str) -> str | None:
    found: Any = findings.get(probe, {}).get("facts")
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return None if found is None else f"| {question} | {_leaf(found).replace('|', '¦')} |"


def _bullets(facts: Facts, indent: str) -> list[str]:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict) and value and name != "body":
            lines += [f"{indent}- {_label(name)}:", *_bullets(value, indent + "  ")]
        else:
            lines.append(f"{indent}- {_label(name)}: {_leaf(value)}")
    return lines


def _leaf(value: Any) -> str:
    """A value as inline code, so that no text of a server is read as Markdown."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = "".join(letter if letter.isprintable() else " " for letter in text).replace("`", "'")
    return f"`{shown if len(shown) <= _MOST_LETTERS else shown[:_MOST_LETTERS] + '…'}`"


def _label(text: str) -> str:
    """A name, perhaps a server's, without characters that are special in Markdown."""
    return re.sub(r"[^\w .,:'/-]", "?", text)[:100]
