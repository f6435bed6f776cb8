"""Checks settings against the spec's table before anything is sent. No I/O but the log."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD, Setting

from .api.sanitize import printable
from .arguments import JSON_RULE, is_finite, is_json, is_text, is_whole_number, shown
from .errors import InvalidSettingsError

_BY_NAME = {row.name: row for row in SETTINGS}
_BY_WIRE = {row.wire: row for row in SETTINGS}
_QUERY = {"dryRun", "projectId", "ipDetection"}
# A log, not `warnings`: that names a line of code, which behind flows, threads and event loops
# would be one of ours; and services read their log. It is a child of `scenario_reframe`, so that
# the command line can show it separately.
_LOG = logging.getLogger("scenario_reframe.settings")
_MAX_WARNINGS = 1000
_WARNED: set[str] = set()


def request_body(settings: Mapping[str, Any], extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """The body to send, under wire names, with the given settings only.

    A name in `extra` is logged as a warning. Raises InvalidSettingsError with every wrong setting.
    """
    problems: list[str] = []
    body: dict[str, Any] = {}
    for name, value in settings.items():
        row = _BY_NAME.get(name)
        problem = _unknown(name) if row is None else problem_with(row, value)
        if problem:
            problems.append(problem)
        elif row is not None:
            body[row.wire] = value
    problems += [
        f"{row.name}: is required; it takes {allowed(row)}"
        for row in SETTINGS
        if row.required and row.name not in settings
    ]
    for name, value in _checked_extra(extra).items():
        problem = _problem_with_extra(name, value)
        if problem:
            problems.append(problem)
        else:  # a copy, since the caller may change theirs before it is sent
            body[name] = json.loads(json.dumps(value))
    if problems:
        raise InvalidSettingsError(problems)
    _warn_of(extra or ())
    return body


def problem_with(row: Setting, value: object) -> str | None:
    """What is wrong with a value, and what is allowed; None if it is valid."""
    if not _FITS[row.kind](value) or not (_in_choices(row, value) and _in_bounds(row, value)):
        return f"{row.name}: {shown(value)} is not allowed; it takes {allowed(row)}"
    return None


def allowed(row: Setting) -> str:
    """The values that a setting takes, in words."""
    if row.choices:
        return "one of " + ", ".join(map(repr, row.choices))
    low, high = row.bounds
    words = {
        "boolean": "True or False",
        "integer": "a whole number (int)",
        "number": "a number",
        "string": "a text (str)",
    }[row.kind]
    unit = " characters" if row.kind == "string" else ""
    if low is not None and high is not None:
        return f"{words} from {low} to {high}{unit}"
    if low is not None:
        return f"{words} of at least {low}{unit}"
    if high is not None:
        return f"{words} of at most {high}{unit}"
    return words


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


_FITS: Mapping[str, Callable[[object], bool]] = {
    "boolean": _is_boolean,
    "integer": is_whole_number,
    "number": is_finite,
    "string": is_text,
}


def _in_choices(row: Setting, value: object) -> bool:
    return not row.choices or value in row.choices


def _in_bounds(row: Setting, value: object) -> bool:
    low, high = row.bounds
    measure = len(value) if isinstance(value, str) else value
    if not isinstance(measure, int | float):
        return True
    return (low is None or measure >= low) and (high is None or measure <= high)


def _unknown(name: object) -> str:
    if isinstance(name, str) and name in _BY_WIRE:
        return f"{name}: write {_BY_WIRE[name].name} (names are snake_case here)"
    close = get_close_matches(name if isinstance(name, str) else "", [*_BY_NAME, *_BY_WIRE], n=1)
    if close:
        row = _BY_NAME.get(close[0]) or _BY_WIRE[close[0]]
        return f"{printable(str(name), 80)}: no such setting; did you mean {row.name}?"
    label = printable(name, 80) if isinstance(name, str) else shown(name)
    return (
        f"{label}: no such setting; there are {', '.join(_BY_NAME)}. To "
        "send one that this version does not know, use extra={...}"
    )


def _checked_extra(extra: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if extra is None:
        return {}
    if not isinstance(extra, Mapping):
        raise InvalidSettingsError([f"extra: takes a dict, not {type(extra).__name__}"])
    return extra


def _problem_with_extra(name: object, value: object) -> str | None:
    if not is_text(name) or not name:
        return f"extra: {shown(name)} is not a setting's name; it takes a text (str)"
    row = _BY_WIRE.get(name) or _BY_NAME.get(name)
    if row is not None:
        return f"extra: {name} is a setting; pass it as {row.name}=..."
    if name == VIDEO_FIELD:
        return f"extra: {name} is filled from the video; pass it as video=..."
    if name in _QUERY:
        return f"extra: {name} has no effect in the body (a dry run there is a paid job)"
    if not is_json(value):
        return f"extra: {name}: {shown(value)} cannot be written as JSON; it takes {JSON_RULE}"
    return None


def _warn_of(extra: Iterable[str]) -> None:
    """Log each name once per process: a batch checks thousands of items with the same names."""
    for name in extra:
        if name in _WARNED or len(_WARNED) >= _MAX_WARNINGS:
            continue
        _WARNED.add(name)
        _LOG.warning(
            "extra: %s is not in this version's spec and is sent unchecked; "
            "scripts/drift --live, or scenario-reframe doctor, shows what the server knows",
            printable(name, 100),
        )
