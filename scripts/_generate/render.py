"""Write the table of settings as a Python module and as a Markdown table. No I/O."""

from collections.abc import Sequence
from pprint import pformat

from .settings_table import SettingRow

_HEAD = '''"""The settings, from spec/openapi.yaml. Made by scripts/generate: do not edit."""

from typing import Annotated, Final, Literal, NamedTuple, TypedDict


class Bounds(NamedTuple):
    """Inclusive bounds of a number's value or of a string's length; None is no bound."""

    minimum: float | None
    maximum: float | None


class Setting(NamedTuple):
    """One setting of the spec. An empty `choices` allows any value of the kind."""

    name: str
    wire: str
    kind: Literal["boolean", "integer", "number", "string"]
    default: bool | int | float | str | None
    bounds: Bounds
    choices: tuple[str, ...]
    description: str
    required: bool = False

'''
_TYPES = {"boolean": "bool", "integer": "int", "number": "float", "string": "str"}


def settings_module(
    settings: Sequence[SettingRow], video_field: str, model_id: str, base_url: str
) -> str:
    """The source of `settings.py`: constants, the table, and the TypedDict."""
    lines = [
        _HEAD,
        f"MODEL_ID: Final = {model_id!r}",
        f"BASE_URL: Final = {base_url!r}",
        f"VIDEO_FIELD: Final = {video_field!r}",
        "",
        "SETTINGS: Final[tuple[Setting, ...]] = (",
        *(f"    {_row(row)}," for row in settings),
        ")",
        "",
        "",
        "class ReframeSettings(TypedDict, total=False):",
        '    """Settings of a reframe job. The server\'s default applies to a missing one."""',
        "",
    ]
    for row in settings:
        lines += [f"    {row.name}: {_annotation(row)}", f"    {_docstring(row)}", ""]
    return "\n".join(lines)


def settings_markdown(settings: Sequence[SettingRow]) -> str:
    """The README's table."""
    lines = ["| setting | type | default | allowed | what it does |", "|---|---|---|---|---|"]
    for row in settings:
        default = "" if row.default is None else f"`{_literal(row.default)}`"
        lines.append(
            f"| `{row.name}` | {_TYPES[row.kind]} | {default} | {_allowed(row)} | "
            f"{_description(row).replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines)


def _row(row: SettingRow) -> str:
    return (
        f"Setting(name={row.name!r}, wire={row.wire!r}, kind={row.kind!r}, "
        f"default={row.default!r}, bounds=Bounds({row.minimum!r}, {row.maximum!r}), "
        f"choices={row.choices!r}, description={pformat(row.description, width=10_000)}"
        f"{', required=True' if row.required else ''})"
    )


def _annotation(row: SettingRow) -> str:
    if row.choices:
        return f"Literal[{', '.join(map(repr, row.choices))}]"
    base = _TYPES[row.kind]
    if row.minimum is None and row.maximum is None:
        return base
    return f"Annotated[{base}, Bounds({row.minimum!r}, {row.maximum!r})]"


def _docstring(row: SettingRow) -> str:
    notes = []
    if allowed := _allowed(row):
        notes.append(f"Allowed: {allowed.replace('`', '')}.")
    if row.default is not None:
        notes.append(f"Default: {_literal(row.default)}.")
    # Escape quotes and backslashes, which could end the docstring early.
    text = " ".join([_description(row), *notes]).replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{text}"""'


def _description(row: SettingRow) -> str:
    return f"{row.description} Required." if row.required else row.description


def _allowed(row: SettingRow) -> str:
    if row.choices:
        return ", ".join(f"`{choice}`" for choice in row.choices)
    unit = " characters" if row.kind == "string" else ""
    if row.minimum is not None and row.maximum is not None:
        return f"{row.minimum} to {row.maximum}{unit}"
    if row.minimum is not None:
        return f"at least {row.minimum}{unit}"
    if row.maximum is not None:
        return f"at most {row.maximum}{unit}"
    return ""


def _literal(value: bool | float | str) -> str:  # noqa: FBT001
    return value if isinstance(value, str) else repr(value)
