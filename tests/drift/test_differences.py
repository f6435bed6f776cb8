"""The comparison of known settings with a source's, and the reading of the model's description."""

from typing import Any

import pytest

from drift_sources import record
from scenario_reframe.drift.differences import compare, known_settings
from scenario_reframe.drift.model_record import read_model
from scenario_reframe.drift.vendor_settings import ASPECTS, KnownSetting, VendorSource
from scenario_reframe.errors import UnexpectedResponseError
from scenario_reframe.sandbox.submit_routes import model_json
from scenario_reframe_api.settings import MODEL_ID, SETTINGS, VIDEO_FIELD

pytestmark = pytest.mark.any_python

KNOWN = {
    "text": KnownSetting(name="text", kind="string"),
    "word": KnownSetting(name="word", kind="string", limits=(1, 9), default="a"),
    "size": KnownSetting(name="size", kind="string", choices=("big", "small"), default="big"),
    "flag": KnownSetting(name="flag", kind="boolean", default=False),
    "count": KnownSetting(name="count", kind="integer", limits=(1, 9), default=3),
    "rate": KnownSetting(name="rate", kind="number", limits=(0, 1), default=0.5),
    "picture": KnownSetting(name="picture", kind="file", required=True),
    "either": KnownSetting(name="either", kind="string", maybe_file=True),
}
SIZES = ["big", "small"]


def read(*inputs: dict[str, Any]) -> VendorSource:
    """The inputs as read from the model's description."""
    return read_model(record(*inputs), MODEL_ID)


def changes_of(name: str, **stated: Any) -> list[tuple[str, str]]:
    """The changes found in one setting, and whether they break callers."""
    source = read({"name": name, **stated})
    return [(change.kind, change.breaks) for change in compare([KNOWN[name]], source)]


AGREED: list[tuple[str, dict[str, Any]]] = [
    ("text", {"type": "string"}),
    ("text", {"type": "string", "default": ""}),
    ("text", {"type": "string", "default": None, "allowedValues": None, "required": None}),
    ("text", {"type": "string", "required": {"ifDefined": {"flag": {"message": "so"}}}}),
    ("text", {"type": "string", "required": {"always": False}}),
    ("text", {"type": "string", "min": 1, "description": "Other words."}),
    ("word", {"type": "string", "minLength": 1, "maxLength": 9, "default": "a"}),
    ("size", {"type": "string", "allowedValues": SIZES[::-1], "default": "big"}),
    ("flag", {"type": "boolean", "default": False}),
    ("count", {"type": "number", "min": 1.0, "max": 9.0, "default": 3.0, "step": 1}),
    ("count", {"type": "number", "min": 1, "max": 9, "default": 3}),
    ("rate", {"type": "number", "min": 0, "max": 1, "default": 0.5, "step": 0.1}),
    ("picture", {"type": "file", "kind": "image", "required": {"always": True}}),
    ("either", {"type": "file"}),
    ("either", {"type": "string"}),
]


@pytest.mark.parametrize(("name", "stated"), AGREED, ids=lambda value: str(value)[:60])
def test_equal_statements_are_not_drift(name: str, stated: dict[str, Any]) -> None:
    """Other words, order and number formats, and the vendor's lack of an integer type."""
    assert changes_of(name, **stated) == []


COUNT = {"type": "number", "min": 1, "max": 9, "default": 3}
SIZE = {"type": "string", "default": "big"}
DIFFERENT: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("count", COUNT | {"default": 4}, [("default", "may")]),
    ("count", COUNT | {"default": None}, [("default", "may")]),
    ("count", COUNT | {"max": 10}, [("bounds", "no")]),
    ("count", COUNT | {"max": None}, [("bounds", "no")]),
    ("count", COUNT | {"min": 2}, [("bounds", "yes")]),
    ("count", COUNT | {"min": 0, "max": 8}, [("bounds", "yes")]),
    ("count", COUNT | {"step": 0.5}, [("type", "no")]),
    ("count", COUNT | {"default": 3.5}, [("type", "no"), ("default", "may")]),
    ("count", COUNT | {"max": 9.5}, [("type", "no"), ("bounds", "no")]),
    ("count", {"type": "string", "default": "3"}, [("type", "yes")]),
    ("count", {"type": "string", "default": "many"}, [("type", "yes"), ("default", "may")]),
    ("word", {"type": "string", "minLength": 1, "default": "a"}, [("bounds", "no")]),
    ("text", {"type": "string", "maxLength": 5}, [("bounds", "yes")]),
    ("text", {"type": "string", "allowedValues": ["x"]}, [("choices", "yes")]),
    ("text", {"type": "string", "required": {"always": True}}, [("required", "yes")]),
    ("text", {"type": "file"}, [("type", "yes")]),
    ("size", SIZE | {"allowedValues": [*SIZES, "huge"]}, [("choices", "no")]),
    ("size", SIZE | {"allowedValues": ["big", "huge"]}, [("choices", "yes")]),
    ("size", SIZE, [("choices", "no")]),
    ("flag", {"type": "boolean", "default": True}, [("default", "may")]),
    ("flag", {"type": "number", "default": 0}, [("type", "yes"), ("default", "may")]),
    ("picture", {"type": "file"}, [("required", "no")]),
    ("picture", {"type": "file_array", "required": {"always": True}}, [("type", "yes")]),
]


@pytest.mark.parametrize(
    ("name", "stated", "expected"), DIFFERENT, ids=lambda value: str(value)[:60]
)
def test_every_difference_is_reported_with_what_it_breaks(
    name: str, stated: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """The kind of change, and whether callers break."""
    assert changes_of(name, **stated) == expected


def test_added_and_removed_settings_are_reported() -> None:
    """A removal breaks callers, an addition only if the server requires it."""
    new = {"name": "new", "type": "string"}
    strict = {"name": "strict", "type": "file", "required": {"always": True}}
    changes = compare([KNOWN["text"], KNOWN["picture"]], read(new, strict))
    assert [(change.setting, change.kind, change.breaks) for change in changes] == [
        ("text", "removed", "yes"),
        ("picture", "removed", "yes"),
        ("new", "added", "no"),
        ("strict", "added", "yes"),
    ]


def test_a_source_proves_only_what_it_states() -> None:
    """A source may have nothing but types, and may omit files."""
    stated = read({"name": "size", "type": "string", "required": {"always": True}}).settings
    source = VendorSource(settings=stated, proves=frozenset(), complete=False)
    assert compare([KNOWN["size"], KNOWN["picture"]], source) == []
    assert source.silent_on == ASPECTS


def test_the_spec_s_mark_takes_precedence_over_a_page() -> None:
    """A page may omit what the server requires, or not call it required."""
    wanted = KnownSetting(name="text", kind="string", required=True)
    (row,) = read({"name": "text", "type": "string"}).settings
    for settings in ((), (row,)):
        source = VendorSource(settings=settings, proves=frozenset(ASPECTS), complete=False)
        assert compare([wanted], source) == []


def test_a_change_is_shown_without_control_characters() -> None:
    """It has both sides."""
    source = read({"name": "size", "type": "string", "default": "\x1b[31mbig\x07ger"})
    default, choices = compare([KNOWN["size"]], source)
    assert default.as_json() == {
        "setting": "size",
        "change": "default",
        "spec": "big",
        "source": "bigger",
        "breaks": "may",
        "why": "calls without it give another result",
    }
    assert (choices.spec, choices.source) == ("big, small", "any")


def test_conditions_of_being_required_are_notes() -> None:
    """The spec cannot express them, so a person gets a note."""
    source = read(
        {"name": "a", "type": "string", "required": {"ifDefined": {"b": {"message": "x"}}}},
        {"name": "b", "type": "string", "required": {"ifNotDefined": {"a": {"message": "x"}}}},
        {"name": "c", "type": "string", "required": {"conditional": {"operator": "and"}}},
    )
    assert not any(row.required for row in source.settings)
    assert source.notes == (
        "a is required if b is given",
        "b is required if a is not given",
        "c is required on conditions that the spec cannot express",
    )


def test_the_generated_table_agrees_with_the_sandbox_s_model() -> None:
    """The video's field and all settings are known, and the sandbox's description agrees."""
    known = known_settings()
    assert [row.name for row in known] == [VIDEO_FIELD, *(row.wire for row in SETTINGS)]
    assert compare(known, read_model({"model": model_json()}, MODEL_ID)) == []


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ([], "does not describe a model"),
        ({"model": 5}, "does not describe a model"),
        ({}, "no inputs"),
        ({"reason": "not found"}, "no inputs"),
        (record(), "no inputs"),
        (record({"name": "a", "type": "string"}, model="model_other"), "model_other"),
        ({"model": {"id": ["x"], "inputs": []}}, ", not model_"),
        ({"model": {"inputs": [5]}}, "not a JSON object"),
        (record({"type": "string"}), "without a name"),
        (record({"name": "\x1b[2J", "type": "string"}), "without a name"),
        (record({"name": "a"}), "no type"),
        (record({"name": "a", "type": "number", "min": "low"}), "no usable min for a"),
        (record({"name": "a", "type": "string", "allowedValues": "abc"}), "allowed values"),
        (record({"name": "a", "type": "string", "allowedValues": [None]}), "allowed values"),
        (record(*[{"name": "a", "type": "string"}] * 2), "lists a twice"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_invalid_model_description_is_refused(payload: Any, words: str) -> None:
    """Nothing is concluded from another answer."""
    with pytest.raises(UnexpectedResponseError, match=words):
        read_model(payload, MODEL_ID)


def test_a_bare_model_description_is_accepted() -> None:
    """With or without its wrapper; a note says if it names no model."""
    bare = {"inputs": [{"name": "a", "type": "string", "label": "Its label"}]}
    source = read_model(bare, MODEL_ID)
    assert source.settings[0].description == "Its label"
    assert source.notes == ("it does not name its model",)
