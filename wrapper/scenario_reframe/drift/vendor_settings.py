"""The data of drift: a setting as known, as stated by a source, and a change."""

import json
from collections.abc import Iterable
from typing import Any, Literal

from attrs import frozen

from scenario_reframe.api.sanitize import printable

Aspect = Literal["default", "bounds", "choices", "required"]
ChangeKind = Literal["added", "removed", "type", "default", "bounds", "choices", "required"]
Breaks = Literal["yes", "no", "may"]
Value = bool | int | float | str | None
Limits = tuple[float | None, float | None]

ASPECTS: tuple[Aspect, ...] = ("default", "bounds", "choices", "required")
NO_LIMITS: Limits = (None, None)


@frozen(kw_only=True)
class KnownSetting:
    """A setting as this client knows it, under the API's name.

    `kind`: boolean, integer, number, string or file. `limits`: of a number's value or a text's
    length. `maybe_file`: a string that may be an asset's id.
    """

    name: str
    kind: str
    default: Value = None
    limits: Limits = NO_LIMITS
    choices: tuple[str, ...] = ()
    required: bool = False
    maybe_file: bool = False


@frozen(kw_only=True)
class StatedSetting:
    """A setting as a source states it. The vendor has no type for whole numbers.

    `limits`: None if the source does not mention limits for this setting.
    """

    name: str
    type: str
    default: Any = None
    limits: Limits | None = NO_LIMITS
    choices: tuple[Any, ...] = ()
    required: bool = False
    step: float | None = None
    description: str = ""

    @property
    def has_fractions(self) -> bool:
        """Whether any of its numbers has a fraction."""
        numbers = (self.default, *(self.limits or ()), self.step)
        return any(isinstance(number, float) and not number.is_integer() for number in numbers)

    @property
    def is_whole(self) -> bool:
        """Whether the source proves that it takes whole numbers only."""
        return self.step == 1 and not self.has_fractions


@frozen(kw_only=True)
class VendorSource:
    """The settings in one source. `proves`: the aspects that it states at all.

    `complete`: a setting that it does not list does not exist; a page may omit files and required
    settings. `notes`: remarks to show to a person.
    """

    settings: tuple[StatedSetting, ...]
    proves: frozenset[Aspect]
    complete: bool
    notes: tuple[str, ...] = ()

    @property
    def silent_on(self) -> tuple[Aspect, ...]:
        """The aspects that it cannot prove."""
        return tuple(aspect for aspect in ASPECTS if aspect not in self.proves)


@frozen(kw_only=True)
class Change:
    """One difference. `spec`, `source`: texts to show; `breaks`: whether callers break."""

    setting: str
    kind: ChangeKind
    spec: str
    source: str
    breaks: Breaks
    why: str

    def as_json(self) -> dict[str, str]:
        """The change as a JSON object."""
        return {
            "setting": printable(self.setting),
            "change": self.kind,
            "spec": self.spec,
            "source": self.source,
            "breaks": self.breaks,
            "why": self.why,
        }


def words(value: object) -> str:
    """A value as text to show."""
    if value is None or value == "":
        return "none"
    return printable(value if isinstance(value, str) else json.dumps(value))


def stated_words(found: StatedSetting, proves: Iterable[Aspect] = ASPECTS) -> str:
    """Everything that a source states about a setting, in one line."""
    text = summary(printable(found.type), found.default, found.limits, found.choices)
    return f"{text}, required" if found.required and "required" in proves else text


def limits_words(limits: Limits | None) -> str:
    """Limits as text to show."""
    low, high = limits or NO_LIMITS
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is None and high is None:
        return "none"
    return f"at most {high}" if low is None else f"at least {low}"


def choices_words(choices: tuple[Any, ...]) -> str:
    """Choices as text to show."""
    return ", ".join(map(words, choices)) or "any"


def summary(kind: str, default: object, limits: Limits | None, choices: tuple[Any, ...]) -> str:
    """Everything that is known or stated about a setting, in one line."""
    parts = [kind]
    parts += [limits_words(limits)] if limits not in (None, NO_LIMITS) else []
    parts += [f"one of {choices_words(choices)}"] if choices else []
    parts += [f"default {words(default)}"] if default not in (None, "") else []
    return ", ".join(parts)
