"""The vendor's reference page, read as a source of drift."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from _drift.errors import SourceError
from _drift.page import read_page
from _drift.sources import read_file
from _drift.spec import REQUIRED_MARK, known_in, schemas_of
from drift_sources import EIGHT, FIVE, OTHER_FRAMES, Rows, new_row, page, rows_of_spec, table
from reference import PAGE
from scenario_reframe.drift.differences import compare
from scenario_reframe.drift.vendor_settings import KnownSetting, StatedSetting
from scenario_reframe_api.settings import MODEL_ID

pytestmark = pytest.mark.any_python

SPEC = Path(__file__).parents[2] / "spec" / "openapi.yaml"


@pytest.fixture(scope="module")
def known() -> list[KnownSetting]:
    """The spec's settings."""
    return known_in(YAML(typ="safe").load(SPEC))


def changes(known: list[KnownSetting], text: str) -> list[tuple[str, str, str]]:
    """Setting, kind and breaks of every change on a page."""
    found = compare(known, read_page(text, MODEL_ID))
    return [(change.setting, change.kind, change.breaks) for change in found]


def video(required: str = "yes", kind: str = "assetId") -> Rows:
    """The row of the video, which older pages omit."""
    return {"videoUrl": new_row("videoUrl", kind, Required=required)}


@pytest.mark.parametrize(
    "text",
    [
        page(rows_of_spec()),
        page(video() | rows_of_spec()),
        page(video("-") | rows_of_spec()),
        page(rows_of_spec(), EIGHT),
        page(video("Yes", "file") | rows_of_spec(), EIGHT),
        page(rows_of_spec(), EIGHT[::-1]),
        page(rows_of_spec(), ("Parameter", "Type")),
        page(rows_of_spec(), EIGHT).replace("`", "").replace(f"{MODEL_ID}\n", f"`{MODEL_ID}`\n"),
        page(rows_of_spec()).replace("| Parameter | Type |", "|  PARAMETER | type |"),
        page(rows_of_spec(), EIGHT).replace("true", "Yes").replace("false", "No"),
        page(rows_of_spec(), model=None),
        page(rows_of_spec()).replace("\n", "\r\n"),
    ],
    ids=[
        "five", "with video", "video optional", "eight", "eight with video", "other order",
        "two columns", "no backticks", "header in capitals", "booleans Yes/No", "no id", "CRLF",
    ],
)  # fmt: skip
def test_a_page_that_says_what_the_spec_says_is_in_agreement(
    known: list[KnownSetting], text: str
) -> None:
    """In either format, with or without the video's row."""
    assert changes(known, text) == []


def test_a_page_of_five_columns_proves_no_bounds_and_no_choices(known: list[KnownSetting]) -> None:
    """What it has no column for is reported as unproven."""
    assert read_page(page(rows_of_spec()), MODEL_ID).silent_on == ("bounds", "choices")
    assert read_page(page(rows_of_spec(), EIGHT), MODEL_ID).silent_on == ()


def test_the_spec_differs_from_the_reference_page_only_by_applied_changes(
    known: list[KnownSetting],
) -> None:
    """None, unless a later page was applied: then its changes, and no more."""
    rows = {
        name: new_row(name, kind, Default="-" if default is None else json.dumps(default))
        for name, kind, default in PAGE
    }
    kinds = {"integer": "number"}
    reference = {(name, kind, json.dumps(default)) for name, kind, default in PAGE}
    spec = {
        (wire, kinds.get(one["type"], one["type"]), json.dumps(one.get("default")))
        for wire, one in schemas_of(YAML(typ="safe").load(SPEC)).items()
        if wire in rows or not {"x-input", REQUIRED_MARK} & one.keys()  # a page may omit it
    }
    found = changes(known, page(rows))
    assert {setting for setting, *_ in found} == {name for name, *_ in reference ^ spec}


FIVE_CHANGES = [
    ("numFrames", "Default", f"`{OTHER_FRAMES}`", ("numFrames", "default", "may")),
    ("trimBorders", "Type", "string", ("trimBorders", "type", "yes")),
    ("prompt", "Required", "yes", ("prompt", "required", "yes")),
    ("zoomFactor", "Max", "0.5", ("zoomFactor", "bounds", "yes")),
    ("zoomFactor", "Min", "-1", ("zoomFactor", "bounds", "no")),
    ("resolution", "Allowed Values", "1080p, 720p, 580p, 480p", ("resolution", "choices", "no")),
    ("resolution", "Allowed Values", "`720p`<br>`580p`", ("resolution", "choices", "yes")),
]


@pytest.mark.parametrize(("name", "column", "cell", "expected"), FIVE_CHANGES)
def test_one_changed_cell_is_one_change(
    known: list[KnownSetting], name: str, column: str, cell: str, expected: tuple[str, str, str]
) -> None:
    """Each column has its kind of change."""
    rows = rows_of_spec()
    rows[name][column] = cell
    found = changes(known, page(rows, EIGHT))
    assert found[0] == expected
    assert {setting for setting, *_ in found} == {name}
    in_five = changes(known, page(rows))
    assert in_five == ([] if column in set(EIGHT) - set(FIVE) else found)


def test_added_and_removed_rows_are_changes(known: list[KnownSetting]) -> None:
    """With every type of the vendor's."""
    rows = rows_of_spec()
    del rows["acceleration"]
    kinds = {
        "testText": "string", "testMask": "assetId", "testMasks": "assetId[]",
        "testFiles": "file_array", "testHue": "colour",
    }  # fmt: skip
    rows |= {name: new_row(name, kind) for name, kind in kinds.items()}
    assert changes(known, page(rows)) == [
        ("acceleration", "removed", "yes"),
        *((name, "added", "no") for name in kinds),
    ]


def test_cells_are_parsed() -> None:
    """Numbers, texts with pipes and commas, and notes for a person."""
    rows = {
        "shift": new_row("shift", "number", Default="1.0", Min="-0.5", Max="`1e2`"),
        "mode": new_row(
            "mode", "string", Default='"a|b"'.replace("|", "\\|"),
            **{"Allowed Values": "`a\\|b`, `none`"}, Required="if shift is given",
        ),
    }  # fmt: skip
    source = read_page(page(rows, EIGHT), MODEL_ID)
    assert source.settings == (
        StatedSetting(
            name="shift",
            type="number",
            default=1,
            limits=(-0.5, 100),
            description="The new shift.",
        ),
        StatedSetting(
            name="mode",
            type="string",
            default="a|b",
            limits=None,
            choices=("a|b", "none"),
            description="The new mode.",
        ),
    )
    assert source.notes == ("mode is required: 'if shift is given'",)


def test_the_model_s_own_table_is_chosen_among_several() -> None:
    """The one after the last mention of the model."""
    other = page({"other": new_row("other", "string")}, model="model_other")
    source = read_page(f"{other}\n\n{page(rows_of_spec())}\n\n{other}", MODEL_ID)
    assert [row.name for row in source.settings] == list(rows_of_spec())


ROWS = rows_of_spec()
CELL = "the default of numFrames"
UNREADABLE = [
    ("# A title\n\nAnd no table.\n", "no table"),
    ("<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>", "no table"),
    (page(ROWS).replace("| Parameter |", "| Field |"), "no table"),
    (page(ROWS).replace("|---", "| xx"), "no table"),
    (page(ROWS, model="model_other"), "the page of model_other, not of"),
    (page({}), "no rows"),
    (page(ROWS) + f"\n\n`{MODEL_ID}`\n\n" + table(ROWS.values(), FIVE), "2 tables"),
    (page({**ROWS, "x": new_row("prompt", "string")}), "lists prompt twice"),
    (page({**ROWS, "x": new_row("x", "-")}), "no type for x"),
    (page({**ROWS, "x": new_row("x", "string", Parameter="")}), "no name"),
    (page({"numFrames": new_row("numFrames", "number", Default="many")}), f"{CELL} is 'many'"),
    (page({"numFrames": new_row("numFrames", "number", Default="NaN")}), f"{CELL} is 'NaN'"),
    (page({"flag": new_row("flag", "boolean", Default="maybe")}), "'maybe', which is not"),
    (page(ROWS, (*FIVE, "Default")), "same name"),
]


@pytest.mark.parametrize(("text", "words"), UNREADABLE, ids=lambda value: value[-40:])
def test_a_page_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    """Nothing is concluded from another document, or another model's page."""
    with pytest.raises(SourceError, match=words):
        read_page(text, MODEL_ID)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe|\x00", "not UTF-8"),
        (b'{"model": ', "not valid JSON"),
        (b"{" * 100_000, "not valid JSON"),
        (b'{"model": {"inputs": 3}}', "no inputs"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """Whatever it contains."""
    path = tmp_path / "source"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        read_file(path, MODEL_ID)


def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """A folder, and a missing file."""
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SourceError):
            read_file(path, MODEL_ID)
