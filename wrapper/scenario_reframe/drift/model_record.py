"""Read the inputs in a model's record (`GET /models/{modelId}`) as a source of drift. No I/O."""

from collections.abc import Mapping
from typing import Any

from scenario_reframe.api.json_values import number_or_none, text_or_none
from scenario_reframe.api.sanitize import printable
from scenario_reframe.errors import UnexpectedResponseError

from .stated_settings import ASPECTS, Limits, StatedSetting, VendorSource

_LONGEST_DESCRIPTION = 2000


def read_model(payload: Any, model_id: str) -> VendorSource:
    """The record's inputs, from the reply (`{"model": ...}`) or the record alone.

    Raises UnexpectedResponseError if it is another model's record, or none.
    """
    model = payload.get("model", payload) if isinstance(payload, dict) else None
    if not isinstance(model, dict):
        raise UnexpectedResponseError("it is no record of a model")
    found = model.get("id")
    if found is not None and found != model_id:
        raise UnexpectedResponseError(
            f"it is the record of {printable(str(found), 100)}, not of {model_id}"
        )
    inputs = model.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise UnexpectedResponseError("the model's record lists no inputs")
    settings = tuple(_stated(raw) for raw in inputs)
    names = [row.name for row in settings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnexpectedResponseError(f"the model's record lists {', '.join(twice)} twice")
    notes = [] if found else ["it names no model"]
    notes += [note for raw in inputs for note in _conditions(raw)]
    return VendorSource(
        settings=settings, proves=frozenset(ASPECTS), complete=True, notes=tuple(notes)
    )


def _stated(raw: object) -> StatedSetting:
    if not isinstance(raw, dict):
        raise UnexpectedResponseError("the model's record has an input that is no object")
    name, kind = raw.get("name"), raw.get("type")
    if not isinstance(name, str) or not name or name != printable(name):
        raise UnexpectedResponseError("the model's record has an input without a name")
    if not isinstance(kind, str) or not kind:
        raise UnexpectedResponseError(f"the model's record gives {name} no type")
    low, high = ("minLength", "maxLength") if kind == "string" else ("min", "max")
    told = (text_or_none(raw.get(key), _LONGEST_DESCRIPTION) for key in ("description", "label"))
    return StatedSetting(
        name=name,
        type=kind,
        default=_plain(raw.get("default")),
        limits=_limits(raw, low, high) if kind in {"string", "number"} else None,
        choices=_choices(raw) if kind in {"string", "number"} else (),
        required=_always(raw.get("required")),
        step=number_or_none(raw.get("step")),
        description=next((text for text in told if text), ""),
    )


def _limits(raw: Mapping[str, Any], low: str, high: str) -> Limits:
    return _limit(raw, low), _limit(raw, high)


def _limit(raw: Mapping[str, Any], key: str) -> float | None:
    value = raw.get(key)
    found = number_or_none(value)
    if found is None and value is not None:
        raise UnexpectedResponseError(f"the model's record gives {raw['name']} no usable {key}")
    return None if found is None else _short(found)


def _choices(raw: Mapping[str, Any]) -> tuple[Any, ...]:
    found = raw.get("allowedValues") or []
    if not isinstance(found, list) or not all(
        isinstance(item, str) or number_or_none(item) is not None for item in found
    ):
        raise UnexpectedResponseError(
            f"the model's record gives {raw['name']} allowed values that are no texts or numbers"
        )
    return tuple(map(_plain, found))


def _plain(value: Any) -> Any:
    """The value, with whole numbers written as such: JSON's 16.0 is 16."""
    return _short(value) if isinstance(value, float) else value


def _short(value: float) -> float:
    return int(value) if value.is_integer() else value


def _always(required: object) -> bool:
    """The vendor's `required` is an object with conditions; only `always` is unconditional."""
    return required.get("always") is True if isinstance(required, dict) else required is True


def _conditions(raw: Mapping[str, Any]) -> list[str]:
    required = raw.get("required")
    if not isinstance(required, dict) or _always(required):
        return []
    name, notes = raw["name"], []
    for key, when in (("ifDefined", "is given"), ("ifNotDefined", "is left out")):
        others = required.get(key)
        others = others if isinstance(others, dict) else {}
        notes += [f"{name} is required if {printable(other)} {when}" for other in others]
    if required.get("conditional"):
        notes.append(f"{name} is required on conditions that the spec cannot say")
    return notes
