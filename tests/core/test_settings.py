"""Settings, checked before anything is sent."""

from math import ceil, floor
from typing import Any

import pytest

from scenario_reframe import InvalidSettingsError, ReframeError
from scenario_reframe.settings import allowed, problem_with, request_body
from scenario_reframe_api.settings import SETTINGS, Bounds, Setting

BOOLEANS = [row for row in SETTINGS if row.kind == "boolean"]
INTEGERS = [row for row in SETTINGS if row.kind == "integer"]
NUMBERS = [row for row in SETTINGS if row.kind == "number"]
UNBOUNDED = Bounds(None, None)
TEXTS = [
    row for row in SETTINGS if row.kind == "string" and not row.choices and row.bounds == UNBOUNDED
]
CHOICES = [row for row in SETTINGS if row.choices]
BOUNDED = [row for row in INTEGERS + NUMBERS if row.bounds != UNBOUNDED]
NAN, INFINITY = float("nan"), float("inf")
LONE = "\ud800"


def name(row: object) -> str:
    """A setting's name, as a test id."""
    return row.name if isinstance(row, Setting) else repr(row)


def problems(settings: dict[str, Any], extra: Any = None) -> tuple[str, ...]:
    """The problems, one line for each."""
    with pytest.raises(InvalidSettingsError) as caught:
        request_body(settings, extra)
    assert isinstance(caught.value, ReframeError | ValueError)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def row(kind: Any, low: float | None = None, high: float | None = None) -> Setting:
    """A setting that the spec may have some day."""
    return Setting("new", "new", kind, None, Bounds(low, high), (), "New.")


@pytest.mark.parametrize("kind", ["boolean", "integer", "number", "string"])
def test_every_kind_is_in_the_table(kind: str) -> None:
    """The tests below cover nothing otherwise."""
    assert [row for row in SETTINGS if row.kind == kind]


@pytest.mark.parametrize("row", BOOLEANS, ids=name)
@pytest.mark.parametrize("value", [True, False])
def test_boolean_accepts_true_and_false(row: Setting, value: bool) -> None:
    """They are sent unchanged."""
    assert request_body({row.name: value}, None) == {row.wire: value}


@pytest.mark.parametrize("row", BOOLEANS, ids=name)
@pytest.mark.parametrize("value", [0, 1, "true", "", None, 1.0, []], ids=repr)
def test_boolean_refuses_everything_else(row: Setting, value: Any) -> None:
    """Nothing else counts as true or false."""
    (problem,) = problems({row.name: value})
    assert problem.startswith(f"{row.name}: {value!r}")
    assert "True or False" in problem


@pytest.mark.parametrize("row", INTEGERS, ids=name)
@pytest.mark.parametrize(
    "value", [True, False, 90.0, "90", None, NAN, INFINITY, 2**53, -(2**53), [90]], ids=repr
)
def test_integer_accepts_int_only(row: Setting, value: Any) -> None:
    """No bool, float or text, and no number that JSON cannot carry exactly."""
    (problem,) = problems({row.name: value})
    assert row.name in problem
    assert "whole number" in problem


@pytest.mark.parametrize("row", NUMBERS, ids=name)
@pytest.mark.parametrize(
    "value", [True, "5", None, NAN, INFINITY, -INFINITY, 2**60, 5j, [5]], ids=repr
)
def test_number_accepts_finite_numbers_only(row: Setting, value: Any) -> None:
    """JSON has no NaN and no infinity; a bool is not a number."""
    (problem,) = problems({row.name: value})
    assert row.name in problem


@pytest.mark.parametrize("row", BOUNDED, ids=name)
def test_bounds_are_included(row: Setting) -> None:
    """The least and the greatest value are allowed; one step beyond is not."""
    step = 1 if row.kind == "integer" else 1e-9
    for bound, outwards in zip(row.bounds, (-step, step), strict=True):
        if bound is None:
            continue
        assert request_body({row.name: bound}, None) == {row.wire: bound}
        (problem,) = problems({row.name: bound + outwards})
        assert allowed(row) in problem


@pytest.mark.parametrize("row", NUMBERS, ids=name)
def test_number_accepts_int_and_float(row: Setting) -> None:
    """Sent as given, without conversion."""
    low, high = row.bounds
    whole = floor(high or 0) if low is None else ceil(low)
    for value in (whole, float(whole)):
        sent = request_body({row.name: value}, None)[row.wire]
        assert (sent, type(sent)) == (value, type(value))


@pytest.mark.parametrize("row", CHOICES, ids=name)
def test_choices_are_accepted_and_nothing_else(row: Setting) -> None:
    """Every choice of the spec; the error for another value lists all of them."""
    for choice in row.choices:
        assert request_body({row.name: choice}, None) == {row.wire: choice}
    wrongs: list[Any] = ["", row.choices[0].upper() + " ", None, 1, True, [row.choices[0]]]
    for wrong in wrongs:
        (problem,) = problems({row.name: wrong})
        assert all(repr(choice) in problem for choice in row.choices)


@pytest.mark.parametrize("row", TEXTS, ids=name)
def test_text_accepts_any_text(row: Setting) -> None:
    """Empty, long, in any script, if UTF-8 can encode it."""
    for value in ("", "é\n" * 5000, "猫🐈"):
        assert request_body({row.name: value}, None) == {row.wire: value}
    wrongs: list[Any] = [None, 5, b"bytes", ["a"], LONE]
    for wrong in wrongs:
        assert row.name in problems({row.name: wrong})[0]


def test_seed_accepts_zero_and_negative_numbers() -> None:
    """The spec sets no bounds for it."""
    for seed in (0, -1, 2**53 - 1):
        assert request_body({"seed": seed}, None) == {"seed": seed}


def test_only_what_is_given_is_sent() -> None:
    """The server's defaults apply to the rest."""
    assert request_body({}, None) == {}
    assert request_body({}, {}) == {}


def test_the_error_for_a_misspelt_setting_suggests_the_right_name() -> None:
    """Similar names, in snake_case."""
    assert problems({"aspect_ration": "9:16"}) == (
        "aspect_ration: no such setting; did you mean aspect_ratio?",
    )
    assert "did you mean num_frames?" in problems({"numFrame": 81})[0]


def test_the_error_for_a_wire_name_suggests_the_python_name() -> None:
    """Arguments are in snake_case."""
    assert "write aspect_ratio" in problems({"aspectRatio": "9:16"})[0]


def test_the_error_for_an_unknown_setting_lists_all_names() -> None:
    """It points to `extra` too."""
    (problem,) = problems({"xyzzy": 1})
    assert all(row.name in problem for row in SETTINGS)
    assert "extra=" in problem


def test_every_wrong_setting_is_named_at_once() -> None:
    """One attempt is enough to see all mistakes."""
    found = problems(
        {"num_frames": 80, "aspect_ratio": "4:3", "trim_borders": "no", "prompt": "fine", "sed": 1},
        {"dryRun": True, "okKey": 1},
    )
    assert [line.split(":")[0] for line in found] == [
        "num_frames", "aspect_ratio", "trim_borders", "sed", "extra",
    ]  # fmt: skip


def test_extra_goes_out_under_its_own_name() -> None:
    """It is sent unchanged, although the spec does not know it."""
    extra = {"newKey": {"a": [1, None, "é"]}, "other": 1.5}
    assert request_body({"seed": 1}, extra) == {"seed": 1, **extra}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"aspectRatio": "9:16"}, "aspect_ratio=..."),
        ({"aspect_ratio": "9:16"}, "aspect_ratio=..."),
        ({"seed": 1}, "seed=..."),
        ({"videoUrl": "asset_1"}, "video=..."),
        ({"dryRun": True}, "paid job"),
        ({"projectId": "p"}, "no effect in the body"),
        ({"ipDetection": True}, "no effect in the body"),
        ({"key": NAN}, "JSON"),
        ({"key": INFINITY}, "JSON"),
        ({"key": object}, "JSON"),
        ({"key": {1, 2}}, "JSON"),
        ({"key": LONE}, "JSON"),
        ({5: 1}, "not a setting's name"),
        ({"": 1}, "not a setting's name"),
        ([("key", 1)], "takes a dict, not list"),
        ("key", "takes a dict, not str"),
    ],
    ids=repr,
)
def test_extra_refuses_what_makes_no_sense(extra: Any, words: str) -> None:
    """A known setting, a query parameter, and what JSON cannot express."""
    (problem,) = problems({}, extra)
    assert words in problem


def test_extra_refuses_what_contains_itself() -> None:
    """JSON cannot express a circle, nor very deep nesting."""
    circle: list[Any] = []
    circle.append(circle)
    tower: list[Any] = []
    for _ in range(100_000):
        tower = [tower]
    for value in (circle, tower):
        assert "JSON" in problems({}, {"key": value})[0]


def test_a_value_that_cannot_be_shown_does_not_hide_the_problem() -> None:
    """A broken repr, and one that is too long."""

    class Broken:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert "Broken" in problems({"num_frames": Broken()})[0]
    assert "type int is not allowed" in problems({"num_frames": 10**5000})[0]
    assert len(problems({"num_frames": "x" * 10_000})[0]) < 200


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (row("integer"), "a whole number (int)"),
        (row("integer", 1), "a whole number (int) of at least 1"),
        (row("number", None, 9), "a number of at most 9"),
        (row("number", 1, 9), "a number from 1 to 9"),
        (row("string"), "a text (str)"),
        (row("string", 1, 9), "a text (str) from 1 to 9 characters"),
        (row("boolean"), "True or False"),
    ],
)
def test_allowed_describes_what_a_setting_accepts(setting: Setting, words: str) -> None:
    """Type, bounds and unit, for settings in the spec and possible ones."""
    assert allowed(setting) == words


@pytest.mark.parametrize(
    ("setting", "value", "fits"),
    [
        (row("integer", 1), 1, True),
        (row("integer", 1), 0, False),
        (row("integer", 1), 10**9, True),
        (row("number", None, 9), 9, True),
        (row("number", None, 9), 9.1, False),
        (row("number", None, 9), -(10**9), True),
        (row("string", 1, 3), "", False),
        (row("string", 1, 3), "abc", True),
        (row("string", 1, 3), "abcd", False),
    ],
)
def test_bounds_of_one_side_and_of_a_texts_length_hold(
    setting: Setting, value: Any, fits: bool
) -> None:
    """A text's length is counted in characters."""
    assert (problem_with(setting, value) is None) is fits
