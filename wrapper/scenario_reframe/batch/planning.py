"""Check all of a batch before any of it is sent: every fault of every item is told at once."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from scenario_reframe.arguments import checked_path
from scenario_reframe.errors import InvalidBatchError, InvalidInputError, InvalidSettingsError
from scenario_reframe.ledger.interface import Entry
from scenario_reframe.pipeline import may_have_files
from scenario_reframe.result_paths import Destination, default_name
from scenario_reframe.settings import request_body
from scenario_reframe.video import Video, resolve

from .items import BatchItem

_NOT_KNOWN = "it is not on record as this item's result: move it away, or name another"


@frozen
class ItemPlan:
    """One item, checked: its video, the body to send, and the file that its result goes to."""

    item: BatchItem
    video: Video
    body: dict[str, Any]
    output: Path


def plan(items: Iterable[BatchItem], to: Destination) -> list[ItemPlan]:
    """Check every item. Reads the head of every local file.

    Raises InvalidBatchError that names all that is wrong with each of them.
    """
    folder = checked_folder(to)
    plans: list[ItemPlan | None] = []
    faults: list[tuple[int, str]] = []
    for place, item in enumerate(items):
        try:
            plans.append(_planned(item, folder))
        except InvalidInputError as fault:
            plans.append(None)
            faults += [(place, line) for line in _lines(fault)]
    faults += _shared_outputs(plans)
    if faults:
        raise InvalidBatchError(sorted(faults, key=lambda fault: fault[0]))
    return [planned for planned in plans if planned is not None]


def checked_folder(to: Destination) -> Path:
    """The folder that results go to, which may have to be made. Raises InvalidInputError."""
    text = checked_path(to, "to")
    folder = Path(text).absolute()
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"to: {text} is a file; a folder is wanted")
    return folder


def occupied(plans: Sequence[ItemPlan], entries: Iterable[Entry]) -> list[tuple[int, str]]:
    """Faults of items whose target is there and is no result of theirs, as far as is on record."""
    made: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.target is not None and may_have_files(entry, entry.target):
            made[entry.target].append(entry)
    faults = []
    for place, planned in enumerate(plans):
        known = any(entry.settings == planned.body for entry in made[str(planned.output)])
        if not known and planned.output.exists():
            faults.append((place, f"output: {planned.output} is there already; {_NOT_KNOWN}"))
    return faults


def _planned(item: object, folder: Path) -> ItemPlan:
    if not isinstance(item, BatchItem):
        raise InvalidInputError(f"items: takes BatchItem, not {type(item).__name__}")
    problems: list[str] = []
    body: dict[str, Any] = {}
    video: Video | None = None
    try:
        body = request_body(item.settings, item.extra)
    except InvalidSettingsError as fault:
        problems += fault.problems
    try:
        video = resolve(item.video)
    except InvalidInputError as fault:
        problems.append(str(fault))
    output = folder
    try:
        output = _output(item, video, folder) if video or item.output is not None else folder
    except InvalidInputError as fault:
        problems.append(str(fault))
    if problems or video is None:
        raise InvalidSettingsError(problems)
    return ItemPlan(item, video, body, output)


def _output(item: BatchItem, video: Video | None, folder: Path) -> Path:
    if item.output is None:
        return folder / default_name(video, item.settings)
    text = checked_path(item.output, "output")
    path = Path(os.path.normpath(folder / text))
    if not path.is_relative_to(folder) or path == folder:
        raise InvalidInputError(f"output: {text!r:.80} is not inside the folder {folder}")
    if text.endswith(("/", os.sep)) or path.is_dir():
        raise InvalidInputError(f"output: {text!r:.80} is a folder; a file is wanted")
    return path


def _shared_outputs(plans: Sequence[ItemPlan | None]) -> list[tuple[int, str]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, planned in enumerate(plans):
        if planned is not None:
            places[os.path.normcase(planned.output)].append(place)
    return [
        (place, f"output: {Path(output).name} is the output of more than one; name another")
        for output, several in places.items()
        if len(several) > 1
        for place in several
    ]


def _lines(fault: InvalidInputError) -> Sequence[str]:
    return fault.problems if isinstance(fault, InvalidSettingsError) else (str(fault),)
