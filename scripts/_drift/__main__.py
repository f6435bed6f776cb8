"""Compare the spec with what the vendor says of the model; with --apply, make the spec follow.

A source is a reference page (Markdown) or a saved reply to GET /models/{id} (JSON); --live asks
the server. Exit code: 0 in agreement, 1 on drift (after --apply: on drift that is left for a
person), 2 when a source cannot be read or nothing can be applied.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from _generate.errors import SpecError
from _generate.settings_table import model_id
from scenario_reframe.api.sanitize import printable
from scenario_reframe.drift.differences import compare
from scenario_reframe.drift.stated_settings import VendorSource

from .applying import SPEC, apply
from .errors import SourceError
from .mentions import mentions
from .plan import Plan, make_plan
from .report import Finding, print_finding, print_json, print_plan, print_undecided
from .sources import read_file, read_live
from .spec import known_in

Reader = Callable[[str], VendorSource]


def main() -> int:
    """Run the command; its exit code."""
    arguments = _arguments()
    root: Path = arguments.root.resolve()
    readers: dict[str, Reader] = {
        printable(str(path)): partial(read_file, path) for path in arguments.sources
    }
    if arguments.live:
        readers["the live server"] = read_live
    try:
        text = (root / SPEC).read_bytes().decode()
        spec = _load(text)
        findings = [_find(name, reader, spec) for name, reader in readers.items()]
        plan = _apply(root, text, spec, findings[0]) if arguments.apply else None
    except (SpecError, YAMLError, OSError, UnicodeDecodeError) as fault:
        print(f"scripts/drift: nothing was changed: {fault}", file=sys.stderr)
        return 2
    named = {name: mentions(root, name) for name in _gone(findings)}
    if arguments.json:
        print_json(findings, plan, named)
    for finding in findings:
        if not arguments.json or finding.error:
            print_finding(finding)
    if not arguments.json:
        decided = plan or Plan()
        print_plan(decided)
        print_undecided(decided, named)
    return _exit_code(findings, plan)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/drift", description=__doc__)
    parser.add_argument("sources", nargs="*", type=Path, metavar="SOURCE", help="a page or a reply")
    parser.add_argument("--live", action="store_true", help="ask the server: SCENARIO_API_KEY, ...")
    parser.add_argument("--apply", action="store_true", help="edit the spec, then generate")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's folder")
    arguments = parser.parse_args()
    count = len(arguments.sources) + arguments.live
    if not count:
        parser.error("name a SOURCE, or --live")
    if arguments.apply and count > 1:
        parser.error("--apply follows one source: sources may contradict each other")
    return arguments


def _load(text: str) -> dict[str, Any]:
    spec: dict[str, Any] = YAML(typ="safe").load(text)
    try:
        known_in(spec), model_id(spec)
    except (LookupError, TypeError, AttributeError) as fault:
        raise SpecError(f"{SPEC} lacks or misuses {fault}") from fault
    return spec


def _find(name: str, read: Callable[..., VendorSource], spec: Mapping[str, Any]) -> Finding:
    try:
        source = read(model_id(spec))
    except SourceError as fault:
        return Finding(name, error=str(fault))
    return Finding(name, source, compare(known_in(spec), source))


def _apply(root: Path, text: str, spec: Mapping[str, Any], finding: Finding) -> Plan | None:
    if finding.source is None:
        return None
    plan = make_plan(spec, finding.source, finding.changes)
    if plan.wanted:
        apply(root, text, plan.wanted)
    return plan


def _gone(findings: Sequence[Finding]) -> list[str]:
    """Settings that are removed, renamed (which begins as a removal) or of another type."""
    changes = [change for finding in findings for change in finding.changes]
    gone = [change.setting for change in changes if change.kind in {"removed", "type"}]
    return [*dict.fromkeys(gone)]


def _exit_code(findings: list[Finding], plan: Plan | None) -> int:
    if any(finding.error for finding in findings):
        return 2
    if plan is not None:
        return 1 if plan.undecided else 0
    return 1 if any(finding.changes for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
