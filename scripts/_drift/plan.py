"""Which changes a machine can follow, and which only a person can decide. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from _generate.errors import SpecError
from _generate.settings_table import read_settings
from scenario_reframe.drift.stated_settings import (
    NO_LIMITS,
    Change,
    KnownSetting,
    StatedSetting,
    VendorSource,
    words,
)

from .schema import Schema, new_schema, revised
from .spec import known_in, schemas_of, with_settings

# Share of letters that the names of a renamed setting have in common, in order: with the same
# default, and without.
_ALIKE, _ALIKE_BY_NAME = 0.5, 0.7


@dataclass
class Plan:
    """The new schema of each setting to edit (None: to remove), and lines for a person.

    `notes` concern what is edited; `undecided` what is left alone.
    """

    wanted: dict[str, Schema | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)


def make_plan(spec: Mapping[str, Any], source: VendorSource, changes: Sequence[Change]) -> Plan:
    """Sort the changes, setting by setting."""
    plan = Plan()
    _, video = read_settings(spec)
    stated = {row.name: row for row in source.settings}
    renamed = _renamed(known_in(spec), stated, changes)
    plan.undecided += [
        f"{old} is gone and {new} is new, and they look alike: was it renamed? Rename it in the"
        " spec if so; if not, remove the one by hand and run this again"
        for old, new in renamed
    ]
    set_aside = {name for pair in renamed for name in pair}
    for name in dict.fromkeys(change.setting for change in changes):
        own = [change for change in changes if change.setting == name]
        if name == video:
            told = "; ".join(f"{c.kind}: {c.spec} -> {c.source}" for c in own)
            plan.undecided.append(f"{name}, which the client fills with the video ({told})")
        elif name not in set_aside:
            _follow(plan, spec, stated.get(name), own, source)
    return plan


def _follow(
    plan: Plan,
    spec: Mapping[str, Any],
    found: StatedSetting | None,
    own: Sequence[Change],
    source: VendorSource,
) -> None:
    """Take a setting's changes into the plan, if the generator can carry the result over."""
    name = own[0].setting
    kinds = {change.kind for change in own}
    try:
        if found is None:
            wanted = None
        elif "added" in kinds:
            wanted = new_schema(found)
        else:
            wanted = revised(schemas_of(spec)[name], found, kinds)
        read_settings(with_settings(spec, plan.wanted | {name: wanted}))
    except SpecError as fault:
        silent = _silence(source) if kinds == {"default"} else ""
        plan.undecided.append(f"{fault}{f'; {silent}' if silent else ''}")
        return
    plan.wanted[name] = wanted
    if found is not None:
        plan.notes += _notes(found, wanted or {}, kinds, source)


def _silence(source: VendorSource) -> str:
    silent = [aspect for aspect in source.silent_on if aspect in {"bounds", "choices"}]
    return f"the source says nothing of {' and '.join(silent)}" if silent else ""


def _notes(
    found: StatedSetting, schema: Schema, kinds: set[Any], source: VendorSource
) -> list[str]:
    notes = []
    if kinds & {"added", "type"} and schema.get("type") == "number" and not found.has_fractions:
        notes.append(
            f"{found.name} is a number; if it takes whole numbers only, write `type: integer` in"
            " the spec (the vendor has no such type) and run scripts/generate"
        )
    if "added" in kinds and schema["type"] in {"number", "string"}:
        silent = _silence(source)
        if silent and "x-input" not in schema:
            notes.append(f"{found.name}: {silent}")
    return notes


def _renamed(
    known: Sequence[KnownSetting], stated: Mapping[str, StatedSetting], changes: Sequence[Change]
) -> list[tuple[str, str]]:
    """Removed and added settings that look alike, each in the likeliest pair only."""
    rows = {row.name: row for row in known}
    gone = [rows[change.setting] for change in changes if change.kind == "removed"]
    new = [stated[change.setting] for change in changes if change.kind == "added"]
    likely = sorted(
        ((likeness(old, found), old.name, found.name) for old in gone for found in new),
        key=lambda pair: -pair[0],
    )
    pairs: list[tuple[str, str]] = []
    for share, old, found in likely:
        if share and not any(old == one or found == other for one, other in pairs):
            pairs.append((old, found))
    return pairs


def likeness(old: KnownSetting, found: StatedSetting) -> float:
    """How much a removed and an added setting are alike, 0 (not enough for a rename) to 1."""
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
