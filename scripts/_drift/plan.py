"""Decide which changes can be applied, and which are left to a person. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from _generate.errors import SpecError
from _generate.settings_table import read_settings
from scenario_reframe.drift.vendor_settings import (
    NO_LIMITS,
    Change,
    KnownSetting,
    StatedSetting,
    VendorSource,
    words,
)

from .schema import Schema, new_schema, revised
from .spec import known_in, schemas_of, with_settings

# How similar the names of a renamed setting are at least: with the same default, and without.
_ALIKE, _ALIKE_BY_NAME = 0.5, 0.7


@dataclass
class EditPlan:
    """The new schema of each setting to edit (None: to remove), and messages for a person.

    `notes` concern what is edited; `undecided` what is not.
    """

    new_schemas: dict[str, Schema | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)


def make_plan(spec: Mapping[str, Any], source: VendorSource, changes: Sequence[Change]) -> EditPlan:
    """Plan the edits, setting by setting."""
    plan = EditPlan()
    _, video = read_settings(spec)
    stated = {row.name: row for row in source.settings}
    renamed = _renamed(known_in(spec), stated, changes)
    plan.undecided += [
        f"{old} is missing and {new} is new, and they are alike: was it renamed? If so, rename it"
        " in the spec; if not, remove the old one by hand and run this again"
        for old, new in renamed
    ]
    undecided = {name for pair in renamed for name in pair}
    for name in dict.fromkeys(change.setting for change in changes):
        own = [change for change in changes if change.setting == name]
        if name == video:
            details = "; ".join(f"{c.kind}: {c.spec} -> {c.source}" for c in own)
            plan.undecided.append(f"{name}, which the client fills with the video ({details})")
        elif name not in undecided:
            _plan_setting(plan, spec, stated.get(name), own, source)
    return plan


def _plan_setting(
    plan: EditPlan,
    spec: Mapping[str, Any],
    found: StatedSetting | None,
    own: Sequence[Change],
    source: VendorSource,
) -> None:
    """Add a setting's changes to the plan, if the generator supports the result."""
    name = own[0].setting
    kinds = {change.kind for change in own}
    try:
        if found is None:
            schema = None
        elif "added" in kinds:
            schema = new_schema(found)
        else:
            schema = revised(schemas_of(spec)[name], found, kinds)
        read_settings(with_settings(spec, plan.new_schemas | {name: schema}))
    except SpecError as error:
        silent = _unstated(source) if kinds == {"default"} else ""
        plan.undecided.append(f"{error}{f'; {silent}' if silent else ''}")
        return
    plan.new_schemas[name] = schema
    if found is not None:
        plan.notes += _notes(found, schema or {}, kinds, source)


def _unstated(source: VendorSource) -> str:
    """A message if the source does not state bounds or choices, else empty."""
    silent = [aspect for aspect in source.silent_on if aspect in {"bounds", "choices"}]
    return f"the source does not state {' and '.join(silent)}" if silent else ""


def _notes(
    found: StatedSetting, schema: Schema, kinds: set[Any], source: VendorSource
) -> list[str]:
    notes = []
    if kinds & {"added", "type"} and schema.get("type") == "number" and not found.has_fractions:
        notes.append(
            f"{found.name} is a number; if it takes integers only, write `type: integer` in the"
            " spec (the vendor has no such type) and run scripts/generate"
        )
    if "added" in kinds and schema["type"] in {"number", "string"}:
        silent = _unstated(source)
        if silent and "x-input" not in schema:
            notes.append(f"{found.name}: {silent}")
    return notes


def _renamed(
    known: Sequence[KnownSetting], stated: Mapping[str, StatedSetting], changes: Sequence[Change]
) -> list[tuple[str, str]]:
    """Pairs of a removed and an added setting that are alike, each in its likeliest pair only."""
    rows = {row.name: row for row in known}
    removed = [rows[change.setting] for change in changes if change.kind == "removed"]
    added = [stated[change.setting] for change in changes if change.kind == "added"]
    likely = sorted(
        ((likeness(old, found), old.name, found.name) for old in removed for found in added),
        key=lambda pair: -pair[0],
    )
    pairs: list[tuple[str, str]] = []
    for share, old, found in likely:
        if share and not any(old == one or found == other for one, other in pairs):
            pairs.append((old, found))
    return pairs


def likeness(old: KnownSetting, found: StatedSetting) -> float:
    """How alike a removed and an added setting are: 0 (not a rename) to 1."""
    if found.type != {"integer": "number"}.get(old.kind, old.kind):
        return 0.0
    if old.choices and set(old.choices) == set(found.choices):
        return 1.0
    same_default = old.default is not None and words(old.default) == words(found.default)
    same_limits = old.limits == found.limits != NO_LIMITS
    if same_default and (same_limits or old.kind == "string"):
        return 1.0
    share = SequenceMatcher(None, old.name.lower(), found.name.lower()).ratio()
    return share if share >= (_ALIKE if same_default else _ALIKE_BY_NAME) else 0.0
