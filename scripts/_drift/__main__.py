"""Compare the spec with the vendor's description of the model; with --apply, update the spec.

A source is a reference page (Markdown) or a saved response to GET /models/{id} (JSON); --live
requests it from the server. Exit code: 0 no drift, 1 drift (after --apply: drift that is left to a
person), 2 a source cannot be read or nothing can be applied.
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
from scenario_reframe.drift.vendor_settings import VendorSource

from .applying import SPEC, apply
from .errors import SourceError
from .mentions import mentions
from .plan import EditPlan, make_plan
from .report import SourceFinding, print_finding, print_json, print_plan, print_undecided
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
        findings = [_compare(name, reader, spec) for name, reader in readers.items()]
        plan = _apply(root, text, spec, findings[0]) if arguments.apply else None
    except (SpecError, YAMLError, OSError, UnicodeDecodeError) as error:
        print(f"scripts/drift: nothing was changed: {error}", file=sys.stderr)
        return 2
    named = {name: mentions(root, name) for name in _removed_or_retyped(findings)}
    if arguments.json:
        print_json(findings, plan, named)
    for finding in findings:
        if not arguments.json or finding.error:
            print_finding(finding)
    if not arguments.json:
        shown = plan or EditPlan()
        print_plan(shown)
        print_undecided(shown, named)
    return _exit_code(findings, plan)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/drift", description=__doc__)
    parser.add_argument(
        "sources", nargs="*", type=Path, metavar="SOURCE", help="a page or a saved response"
    )
    parser.add_argument(
        "--live", action="store_true", help="read from the server: SCENARIO_API_KEY, ..."
    )
    parser.add_argument(
        "--apply", action="store_true", help="edit the spec, then run scripts/generate"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's folder")
    arguments = parser.parse_args()
    count = len(arguments.sources) + arguments.live
    if not count:
        parser.error("pass a SOURCE or --live")
    if arguments.apply and count > 1:
        parser.error("--apply takes one source: several may contradict each other")
    return arguments


def _load(text: str) -> dict[str, Any]:
    spec: dict[str, Any] = YAML(typ="safe").load(text)
    try:
        known_in(spec), model_id(spec)
    except (LookupError, TypeError, AttributeError) as error:
        raise SpecError(f"{SPEC} has a missing or invalid part: {error}") from error
    return spec


def _compare(
    name: str, read: Callable[..., VendorSource], spec: Mapping[str, Any]
) -> SourceFinding:
    try:
        source = read(model_id(spec))
    except SourceError as error:
        return SourceFinding(name, error=str(error))
    return SourceFinding(name, source, compare(known_in(spec), source))


def _apply(
    root: Path, text: str, spec: Mapping[str, Any], finding: SourceFinding
) -> EditPlan | None:
    if finding.source is None:
        return None
    plan = make_plan(spec, finding.source, finding.changes)
    if plan.new_schemas:
        apply(root, text, plan.new_schemas)
    return plan


def _removed_or_retyped(findings: Sequence[SourceFinding]) -> list[str]:
    """Settings that are removed, renamed (at first seen as removed) or of another type."""
    changes = [change for finding in findings for change in finding.changes]
    names = [change.setting for change in changes if change.kind in {"removed", "type"}]
    return [*dict.fromkeys(names)]


def _exit_code(findings: list[SourceFinding], plan: EditPlan | None) -> int:
    if any(finding.error for finding in findings):
        return 2
    if plan is not None:
        return 1 if plan.undecided else 0
    return 1 if any(finding.changes for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
