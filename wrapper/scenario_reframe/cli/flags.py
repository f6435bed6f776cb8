"""Flags shared by several commands. Those of the settings come from the generated TypedDict."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from attrs import frozen
from cyclopts import Group, Parameter, Token

from scenario_reframe.arguments import is_whole_number
from scenario_reframe.errors import InvalidInputError, InvalidSettingsError
from scenario_reframe.ledger.default_path import default_ledger_path
from scenario_reframe.settings import problem_with, request_body
from scenario_reframe_api.settings import SETTINGS, ReframeSettings

_SETTINGS_GROUP = Group("Settings", help="Settings not given take the server's defaults.")
_CONNECTION_GROUP = Group(
    "Connection",
    help="Credentials come from SCENARIO_API_KEY and SCENARIO_API_SECRET, never from flags.",
)


def convert(kind: object, tokens: Sequence[Token]) -> object:
    """A flag's text as a number if the setting takes one and it parses, else unchanged.

    Values are not checked here: the library does that, and names every wrong setting at once.
    """
    return number_or_text(tokens[0].value, kind)


def number_or_text(text: str, kind: object) -> int | float | str:
    """Text as a number where `kind` is int or float; unchanged if it is neither or does not parse.

    An int stays one where a float is taken.
    """
    for read in (int, float) if kind is float else (int,) if kind is int else ():
        try:
            return read(text)
        except ValueError:
            continue
    return text


def convert_number(_: object, tokens: Sequence[Token]) -> object:
    """The same for a flag that is a number."""
    return number_or_text(tokens[0].value, float)


def convert_whole_number(_: object, tokens: Sequence[Token]) -> object:
    """The same for a flag that is a whole number: Cyclopts would round 1.5."""
    return number_or_text(tokens[0].value, int)


def check_whole_number(value: object, name: str, low: int, high: int) -> None:
    """Raise InvalidInputError unless a flag's value is a whole number in these bounds."""
    if not is_whole_number(value) or not low <= value <= high:
        raise InvalidInputError(
            f"{name}: {value!r:.80} is not allowed; it takes a whole number from {low} to {high}"
        )


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
        help="Print one JSON object on stdout, for errors too.",
    ),
]
OverwriteFlag = Annotated[
    bool,
    Parameter(
        name="--overwrite", negative=(), show_default=False, help="Replace an existing file."
    ),
]
TimeoutFlag = Annotated[
    float,
    Parameter(
        name="--timeout",
        metavar="SECONDS",
        converter=convert_number,
        help="How long to wait for the job, which continues after that.",
    ),
]


@Parameter(name="*", group=_CONNECTION_GROUP)
@frozen(kw_only=True)
class Connection:
    """The flags that say which server, project and ledger to use."""

    base_url: Annotated[
        str | None, Parameter(metavar="URL", help="The API's address, else SCENARIO_BASE_URL.")
    ] = None
    project_id: Annotated[
        str | None, Parameter(metavar="ID", help="The project, else SCENARIO_PROJECT_ID.")
    ] = None
    ledger: Annotated[
        str | None,
        Parameter(
            metavar="PATH",
            help="The ledger of paid jobs: a path, a database URL, or none; else "
            "SCENARIO_LEDGER, else ledger.db in the user's state folder.",
        ),
    ] = None

    def ledger_location(self) -> str | None:
        """The ledger's path or URL; None for no ledger."""
        location = self.ledger or str(default_ledger_path())
        return None if location == "none" else location


DEFAULT_CONNECTION = Connection()


@frozen
class GivenSettings:
    """The settings of one job as given on the command line, checked."""

    settings: ReframeSettings
    extra: Mapping[str, Any]


def checked_settings(
    settings: ReframeSettings | None, extra: Sequence[str] | None
) -> GivenSettings:
    """The settings as given. Raises InvalidSettingsError that names every wrong one at once."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    for text in extra or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            problems.append(f"extra: {text!r:.80} is not KEY=VALUE")
        elif key in values:
            problems.append(f"extra: {key} is given twice")
        else:
            try:
                values[key] = _json_or_text(value)
            except (ValueError, RecursionError) as fault:
                problems.append(f"extra: {key}: {json_problem(fault)}")
    given = GivenSettings(settings or {}, values)
    try:
        request_body(given.settings, given.extra)
    except InvalidSettingsError as error:
        problems += error.problems
    if problems:
        raise InvalidSettingsError(problems)
    return given


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def json_problem(fault: ValueError | RecursionError) -> str:
    """Why a text could not be read as JSON."""
    if isinstance(fault, json.JSONDecodeError):
        return fault.msg
    if isinstance(fault, RecursionError):
        return "nested too deeply"
    return f"a number has more than {sys.get_int_max_str_digits():,} digits"


_DEMO: Mapping[str, Any] = {"aspect_ratio": "9:16", "resolution": "480p"}


def with_demo_defaults(settings: ReframeSettings | None) -> ReframeSettings:
    """The settings as given, and the demo's for the rest, as far as the spec still allows these."""
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
    "after": "--after",
    "limit": "--limit",
    "port": "--port",
    "base_url": "--base-url",
    **{row.name: "--" + row.name.replace("_", "-") for row in SETTINGS},
}


def with_flag_names(line: str) -> str:
    """The library's message about an argument, with the flag's name for the argument's."""
    name, colon, rest = line.partition(": ")
    rest = rest.replace("pass overwrite=True", "pass --overwrite")
    rest = re.sub(r"(?<=pass it as )(\w+)=\.\.\.", lambda found: _FLAGS[found[1]], rest)
    return f"{_FLAGS.get(name, name)}{colon}{rest}"
