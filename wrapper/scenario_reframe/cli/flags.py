"""The flags that several commands share. Those of the settings are the generated TypedDict's."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from attrs import frozen
from cyclopts import Group, Parameter, Token

from scenario_reframe.errors import InvalidSettingsError
from scenario_reframe.ledger.default_path import default_ledger_path
from scenario_reframe.settings import problem_with, request_body
from scenario_reframe_api.settings import SETTINGS, ReframeSettings

_SETTINGS_GROUP = Group("Settings", help="What is not given takes the server's default.")
_CONNECTION_GROUP = Group(
    "Connection",
    help="Credentials come from SCENARIO_API_KEY and SCENARIO_API_SECRET, never from flags.",
)


def convert(kind: object, tokens: Sequence[Token]) -> object:
    """A flag's text as the number it stands for, else as it is.

    No value is refused here: the library does that, and names every wrong setting at once.
    """
    text = tokens[0].value
    readers = {int: (int,), float: (int, float)}.get(kind, ()) if isinstance(kind, type) else ()
    for read in readers:
        try:
            return read(text)
        except ValueError:
            continue
    return text


SettingFlags = Annotated[
    ReframeSettings | None,
    Parameter(name="*", group=_SETTINGS_GROUP, converter=convert, show_choices=False),
]

ExtraFlags = Annotated[
    list[str] | None,
    Parameter(
        name="--extra",
        group=_SETTINGS_GROUP,
        metavar="KEY=VALUE",
        negative=(),
        json_list=False,
        help="A setting that this version does not know, under the API's name; its value is JSON "
        "if it parses, else text. Repeatable.",
    ),
]

OutputFlag = Annotated[str | None, Parameter(name=("--output", "-o"), metavar="OUT")]
JsonFlag = Annotated[
    bool,
    Parameter(
        name="--json",
        negative=(),
        show_default=False,
        help="Print one JSON object on stdout, errors as well.",
    ),
]
OverwriteFlag = Annotated[
    bool,
    Parameter(name="--overwrite", negative=(), show_default=False, help="Replace what is there."),
]
TimeoutFlag = Annotated[
    float,
    Parameter(
        name="--timeout", metavar="SECONDS", help="Longest wait for the job; it goes on after that."
    ),
]


@Parameter(name="*", group=_CONNECTION_GROUP)
@frozen(kw_only=True)
class Connection:
    """Where the API is."""

    base_url: Annotated[
        str | None, Parameter(metavar="URL", help="The API's address, else SCENARIO_BASE_URL.")
    ] = None
    project_id: Annotated[
        str | None, Parameter(metavar="ID", help="The project, else SCENARIO_PROJECT_ID.")
    ] = None
    ledger: Annotated[
        str | None,
        Parameter(
            metavar="PLACE",
            help="Where jobs are put on record: a path, a database URL, or none; else "
            "SCENARIO_LEDGER, else ledger.db in the user's state folder.",
        ),
    ] = None

    def place(self) -> str | None:
        """Where the ledger is."""
        place = self.ledger or str(default_ledger_path())
        return None if place == "none" else place


HERE = Connection()


@frozen
class Wishes:
    """The settings of one job, checked."""

    settings: ReframeSettings
    extra: Mapping[str, Any]


def checked(settings: ReframeSettings | None, extra: Sequence[str] | None) -> Wishes:
    """The settings as given. Raises InvalidSettingsError that names everything wrong at once."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    for text in extra or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            problems.append(f"extra: {text!r:.80} is not KEY=VALUE")
        elif key in values:
            problems.append(f"extra: {key} is given twice")
        else:
            values[key] = _json_or_text(value)
    wishes = Wishes(settings or {}, values)
    try:
        request_body(wishes.settings, wishes.extra)
    except InvalidSettingsError as error:
        problems += error.problems
    if problems:
        raise InvalidSettingsError(problems)
    return wishes


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_DEMO: Mapping[str, Any] = {"aspect_ratio": "9:16", "resolution": "480p"}


def for_demo(settings: ReframeSettings | None) -> ReframeSettings:
    """The settings as given, over those of the demo, as far as the spec still allows these."""
    known = {
        row.name: _DEMO[row.name]
        for row in SETTINGS
        if row.name in _DEMO and problem_with(row, _DEMO[row.name]) is None
    }
    return cast("ReframeSettings", {**known, **(settings or {})})


_FLAGS = {
    "to": "--output",
    "video": "VIDEO",
    "extra": "--extra",
    "timeout": "--timeout",
    "concurrency": "--concurrency",
    "budget": "--budget",
    "resubmit_after": "--resubmit-after",
    "base_url": "--base-url",
    **{row.name: "--" + row.name.replace("_", "-") for row in SETTINGS},
}


def in_flags(line: str) -> str:
    """The library's complaint about an argument, in the words of the command line."""
    name, colon, rest = line.partition(": ")
    rest = rest.replace("pass overwrite=True", "pass --overwrite")
    rest = re.sub(r"(?<=pass it as )(\w+)=\.\.\.", lambda found: _FLAGS[found[1]], rest)
    return f"{_FLAGS.get(name, name)}{colon}{rest}"
