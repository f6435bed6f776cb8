"""The edit of the YAML's text: everything else stays, byte for byte."""

import pytest
from ruamel.yaml import YAML

from _drift.editing import edited
from _generate.errors import SpecError
from _generate.settings_table import REQUEST_SCHEMA

pytestmark = pytest.mark.any_python

HEAD = f"""\
# A comment at the top.
paths: {{ /x: {{ $ref: "#/y" }} }}   # spaces in braces
components:
  schemas:
    {REQUEST_SCHEMA}:
      properties:
"""
FIRST = """\
        first:   # why it is first
          type: integer
          # what bounds it
          minimum: 1   # vendor
          maximum: 9
          description: >-
            A long text that is folded over
            several lines.
"""
SECOND = """\
        # about the second
        second: { type: string, description: "quoted" }
"""
THIRD = """\

        "third":
          type: string
          enum:
            - 'a'
            - b
          default: a
          description: No more.
"""
TAIL = """\
        # a last word

    Other: { type: object }
"""
TEXT = HEAD + FIRST + SECOND + THIRD + TAIL
LONG = "In " + "very " * 60 + "many words"


def test_a_revised_setting_keeps_its_comments_and_everything_else() -> None:
    """One value changes, one keyword is added, one is removed."""
    wanted = {
        "first": {
            "type": "number",
            "minimum": 1,
            "default": 2,
            "description": "A long text that is folded over several lines.",
        }
    }
    revised = FIRST.replace("integer", "number").replace("maximum: 9", "default: 2")
    assert edited(TEXT, wanted) == HEAD + revised + SECOND + THIRD + TAIL


def test_removed_settings_leave_the_lines_of_their_neighbours() -> None:
    """A comment belongs to what follows it."""
    assert edited(TEXT, {"first": None}) == HEAD + SECOND + THIRD + TAIL
    assert edited(TEXT, {"third": None}) == HEAD + FIRST + SECOND + "\n" + TAIL


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("16:9", '"16:9"'),
        ("on", '"on"'),
        ("no", '"no"'),
        ("12", '"12"'),
        ("1e3", '"1e3"'),
        ("null", '"null"'),
        ("a, b", '"a, b"'),
        ("# x", '"# x"'),
        ('say "so"', 'say "so"'),
        (True, "true"),
        (0.5, "0.5"),
        (81, "81"),
    ],
)
def test_a_value_is_quoted_where_some_yaml_would_misread_it(value: object, written: str) -> None:
    """Also by YAML 1.1, where 16:9 is a number and `on` is true."""
    schema = {"type": "string", "default": value, "description": "D."}
    made = edited(TEXT, {"third": {**schema}})
    assert f"          default: {written}\n" in made
    assert "        second: { type: string" in made


def test_added_settings_come_last_in_their_order() -> None:
    """After the last one, before what follows it; a long description is one line."""
    wanted = {
        "fourth": {"type": "string", "enum": ["b", "4:3"], "description": LONG},
        "third": None,
        "fifth": {"type": "boolean", "description": "Is: it # so?"},
    }
    added = (
        f'        fourth:\n          type: string\n          enum: [b, "4:3"]\n'
        f"          description: {LONG}\n"
        '        fifth:\n          type: boolean\n          description: "Is: it # so?"\n'
    )
    assert edited(TEXT, wanted) == HEAD + FIRST + SECOND + "\n" + added + TAIL


def test_a_file_with_windows_line_ends_is_edited_correctly() -> None:
    """Unchanged lines keep theirs."""
    text = TEXT.replace("\n", "\r\n")
    made = edited(text, {"second": None})
    assert made == (HEAD + FIRST + "        # about the second\n" + THIRD + TAIL).replace(
        "\n", "\r\n"
    )


EXAMPLE = """\
paths:
  /x:
    post:
      operationId: generateReframe
      requestBody:
        content:
          application/json:
            example:
              first: 5   # as on the page
              third: a
  /y: {}
components:
"""


def test_the_example_of_a_request_has_the_defaults() -> None:
    """One is new, one is another, one is gone; what has none and what is not edited stay."""
    text = TEXT.replace(TEXT[: TEXT.index("  schemas:")], EXAMPLE)
    wanted = {
        "first": {"type": "integer", "default": True, "description": "D."},
        "third": None,
        "fourth": {"type": "string", "default": "16:9", "description": "D."},
        "fifth": {"type": "string", "description": "D."},
    }
    shown = '              first: true\n              fourth: "16:9"\n'
    head = EXAMPLE.partition("              first")[0] + shown + "  /y: {}\ncomponents:\n"
    assert edited(text, wanted).startswith(head + "  schemas:\n")
    assert edited(text, {"fifth": wanted["fifth"]}).startswith(EXAMPLE)


def test_settings_in_braces_are_left_to_a_person() -> None:
    """No edit is made unless its result is exactly right."""
    spec = YAML(typ="safe").load(TEXT)["components"]["schemas"][REQUEST_SCHEMA]["properties"]
    text = f"components: {{schemas: {{{REQUEST_SCHEMA}: {{properties: {spec!r}}}}}}}"
    with pytest.raises(SpecError, match="by hand"):
        edited(text, {"second": None})
