"""Reads the reply to `GET /models/{modelId}` into a `VendorSource`. No I/O."""

from collections.abc import Mapping
from typing import Any

from scenario_reframe.api.json_values import number_or_none, text_or_none
from scenario_reframe.api.sanitize import printable
from scenario_reframe.errors import UnexpectedResponseError

from .vendor_settings import ASPECTS, Limits, StatedSetting, VendorSource

_LONGEST_DESCRIPTION = 2000


def read_model(payload: Any, model_id: str) -> VendorSource:
    """The model's inputs, from the whole reply (`{"model": ...}`) or its inner object.

    Raises UnexpectedResponseError if it describes another model, or none.
    """
    model = payload.get("model", payload) if isinstance(payload, dict) else None
    if not isinstance(model, dict):
        raise UnexpectedResponseError("it does not describe a model")
    found = model.get("id")
    if found is not None and found != model_id:
        raise UnexpectedResponseError(f"it describes {printable(str(found), 100)}, not {model_id}")
    inputs = model.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise UnexpectedResponseError("the model has no inputs")
    settings = tuple(_stated(raw) for raw in inputs)
    names = [row.name for row in settings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnexpectedResponseError(f"the model lists {', '.join(twice)} twice")
    notes = [] if found else ["it does not name its model"]
    notes += [note for raw in inputs for note in _conditions(raw)]
    return VendorSource(
        settings=settings, proves=frozenset(ASPECTS), complete=True, notes=tuple(notes)
    )


def _stated(raw: object) -> StatedSetting:
    if not isinstance(raw, dict):
        raise UnexpectedResponseError("the model has an input that is not a JSON object")
    name, kind = raw.get("name"), raw.get("type")
    if not isinstance(name, str) or not name or name != printable(name):
        raise UnexpectedResponseError("the model has an input without a name")
    if not isinstance(kind, str) or not kind:
        raise UnexpectedResponseError(f"the model has no type for {name}")
    low, high = ("minLength", "maxLength") if kind == "string" else ("min", "max")
    texts = (text_or_none(raw.get(key), _LONGEST_DESCRIPTION) for key in ("description", "label"))
    return StatedSetting(
        name=name,
        type=kind,
        default=_plain(raw.get("default")),
        limits=_limits(raw, low, high) if kind in {"string", "number"} else None,
        choices=_choices(raw) if kind in {"string", "number"} else (),
        required=_always(raw.get("required")),
        step=number_or_none(raw.get("step")),
        description=next((text for text in texts if text), ""),
    )


def _limits(raw: Mapping[str, Any], low: str, high: str) -> Limits:
    return _limit(raw, low), _limit(raw, high)


def _limit(raw: Mapping[str, Any], key: str) -> float | None:
    value = raw.get(key)
    found = number_or_none(value)
    if found is None and value is not None:
        raise UnexpectedResponseError(f"the model has no usable {key} for {raw['name']}")
    return None if found is None else _short(found)


def _choices(raw: Mapping[str, Any]) -> tuple[Any, ...]:
    found = raw.get("allowedValues") or []
    if not isinstance(found, list) or not all(
        isinstance(item, str) or number_or_none(item) is not None for item in found
    ):
        raise UnexpectedResponseError(
            f"the model has allowed values for {raw['name']} that are not texts or numbers"
        )
    return tuple(map(_plain, found))


def _plain(value: Any) -> Any:
    """The value; a whole number as an int: JSON's 16.0 is 16."""
    return _short(value) if isinstance(value, float) else value


def _short(value: float) -> float:
    return int(value) if value.is_integer() else value


def _always(required: object) -> bool:
    """Whether a setting is always required: the vendor's `required` may have conditions."""
    return required.get("always") is True if isinstance(required, dict) else required is True


def _conditions(raw: Mapping[str, Any]) -> list[str]:
    required = raw.get("required")
    if not isinstance(required, dict) or _always(required):
        return []
    name, notes = raw["name"], []
    for key, when in (("ifDefined", "is given"), ("ifNotDefined", "is not given")):
        others = required.get(key)
        others = others if isinstance(others, dict) else {}
        notes += [f"{name} is required if {printable(other)} {when}" for other in others]
    if required.get("conditional"):
        notes.append(f"{name} is required on conditions that the spec cannot express")
    return notes
