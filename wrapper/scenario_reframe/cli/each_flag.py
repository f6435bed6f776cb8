"""`--each`: makes every clip once for each combination of some settings' values."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from attrs import evolve

from scenario_reframe.batch import BatchItem
from scenario_reframe.errors import InvalidInputError, InvalidSettingsError
from scenario_reframe.result_paths import default_name
from scenario_reframe.settings import problem_with
from scenario_reframe.video import resolve
from scenario_reframe_api.settings import ReframeSettings

from .manifest import SETTING_ROWS, field_name, parse_value, unknown_name

Variant = Mapping[str, Any]

MOST_RESULTS = 100_000
"""Of one batch: its plan is kept in memory."""

_LONGEST_TAG = 40


def parse_each(texts: Sequence[str], given: ReframeSettings) -> list[Variant]:
    """The combinations of all `SETTING=VALUE,VALUE`; a single empty one if there are none.

    Raises InvalidSettingsError that names everything wrong at once.
    """
    values: dict[str, list[Any]] = {}
    problems: list[str] = []
    for text in texts:
        written, equals, listed = text.partition("=")
        row = SETTING_ROWS.get(field_name(written) or "")
        if not equals or not written:
            problems.append(f"--each: {text!r:.80} is not SETTING=VALUE,VALUE")
        elif row is None:
            problems.append(f"--each {unknown_name(written, 'setting', SETTING_ROWS)}")
        elif row.name in values or row.name in given:
            problems.append(f"--each {written}: given twice")
        else:
            found = [parse_value(row, value.strip()) for value in listed.split(",")]
            values[row.name] = found
            wrong = (problem_with(row, value) for value in found)
            problems += [f"--each {problem}" for problem in wrong if problem]
            if len(set(found)) < len(found):
                problems.append(f"--each {written}: duplicate value")
    combinations = prod(map(len, values.values()))
    if combinations > MOST_RESULTS:
        problems.append(f"--each: {combinations:,} combinations; at most {MOST_RESULTS:,} are made")
    if problems:
        raise InvalidSettingsError(problems)
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def variants_of(item: BatchItem, variants: Sequence[Variant]) -> Iterator[BatchItem]:
    """The item once for each variant, under distinct output names."""
    for variant in variants:
        made = evolve(item, settings={**item.settings, **variant})
        yield evolve(made, output=_output(made, variant))


def _output(item: BatchItem, variant: Variant) -> Any:
    """The output of one variant; None for the default name."""
    if not variant:
        return item.output
    if item.output is not None:
        return _inserted(item.output, variant)
    others = {name: value for name, value in variant.items() if name != "aspect_ratio"}
    if not others:
        return None  # the default name includes the aspect ratio
    try:
        return default_name(resolve(item.video), item.settings, tags=_tags(others))
    except InvalidInputError:
        return None  # reported when the item is checked


def _inserted(output: Any, variant: Variant) -> Any:
    """The output with the values before its suffix; unchanged if it is not a file's name."""
    path = Path(output) if isinstance(output, str) else Path()
    if path.name in {"", ".."} or output.endswith("/"):
        return output
    return str(path.with_name("-".join([path.stem, *_tags(variant)]) + path.suffix))


def _tags(variant: Variant) -> list[str]:
    return [_tag(name, value) for name, value in variant.items()]


def _tag(name: str, value: Any) -> str:
    """A value as part of a file name: `9x16`, `480p`, `no-trim-borders`."""
    if isinstance(value, bool):
        return ("" if value else "no-") + name.replace("_", "-")
    return re.sub(r"[^\w.-]", "_", str(value).replace(":", "x"))[:_LONGEST_TAG]
