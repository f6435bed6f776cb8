"""The command `batch`: its flags and arguments."""
# ruff: noqa: PLC0415 - imports are delayed until the command runs, so that --help is quick

from typing import Annotated

from cyclopts import Parameter

from scenario_reframe.errors import InvalidSettingsError
from scenario_reframe_api.settings import ReframeSettings

from .flags import (
    DEFAULT_CONNECTION,
    Connection,
    ExtraFlags,
    GivenSettings,
    SettingFlags,
    checked_settings,
    convert_number,
    convert_whole_number,
)

EachFlags = Annotated[
    list[str] | None,
    Parameter(
        name="--each",
        metavar="SETTING=VALUE,...",
        negative=(),
        json_list=False,
        help="Make every clip once for each value: --each aspect-ratio=9:16,1:1. Repeatable.",
    ),
]
FolderFlag = Annotated[
    str,
    Parameter(
        name=("--output", "-o"),
        metavar="DIR",
        help="The folder for the results, named after clip and aspect ratio: clip-9x16.mp4.",
    ),
]
ConcurrencyFlag = Annotated[
    int | None,
    Parameter(
        metavar="N",
        converter=convert_whole_number,
        help="Most jobs at once; by default as many as the server allows.",
    ),
]
BudgetFlag = Annotated[
    float | None,
    Parameter(
        metavar="UNITS",
        converter=convert_number,
        help="Creative units that the batch may cost, its earlier runs included.",
    ),
]
ResubmitFlag = Annotated[
    float | None,
    Parameter(
        metavar="SECONDS",
        converter=convert_number,
        help="Resubmit an unconfirmed job after this many seconds, if no listed job could be it.",
    ),
]
CheckFlag = Annotated[
    bool,
    Parameter(
        negative=(),
        show_default=False,
        help="Only check everything and print what would be made; nothing is sent.",
    ),
]
LinesFlag = Annotated[
    bool,
    Parameter(
        name="--json",
        negative=(),
        show_default=False,
        help="Print a JSON object for each outcome as it comes, and one for the summary.",
    ),
]


def batch(
    sources: list[str],
    /,
    *,
    output: FolderFlag,
    each: EachFlags = None,
    settings: SettingFlags = None,
    extra: ExtraFlags = None,
    concurrency: ConcurrencyFlag = None,
    budget: BudgetFlag = None,
    resubmit_after: ResubmitFlag = None,
    check: CheckFlag = False,
    as_json: LinesFlag = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> int:
    """Reframe many clips in parallel. Everything is checked first; run it again to resume.

    Prints the results' paths as they come.

    Parameters
    ----------
    sources
        A folder, a quoted pattern ('clips/**/*.mp4'), files, or a manifest (.csv or .jsonl)
        with a column video, an optional output, and one for each setting.
    """
    from .batch_run import BatchArguments
    from .batch_run import batch as run
    from .each_flag import Variant, parse_each

    problems: list[str] = []
    given, variants = GivenSettings({}, {}), list[Variant]()
    try:
        given = checked_settings(settings, extra)
    except InvalidSettingsError as error:
        problems += error.problems
    try:
        variants = parse_each(each or (), settings or ReframeSettings())
    except InvalidSettingsError as error:
        problems += error.problems
    if problems:
        raise InvalidSettingsError(problems)
    arguments = BatchArguments(
        sources=sources,
        given=given,
        variants=variants,
        to=output,
        concurrency=concurrency,
        budget=budget,
        resubmit_after=resubmit_after,
        check=check,
        as_json=as_json,
    )
    return run(arguments, connection)
