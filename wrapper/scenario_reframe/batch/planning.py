"""Check a whole batch before anything is sent, and report all faults of all items at once."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from scenario_reframe.arguments import checked_path, shown
from scenario_reframe.errors import InvalidBatchError, InvalidInputError, InvalidSettingsError
from scenario_reframe.ledger.interface import Entry
from scenario_reframe.pipeline import may_have_files
from scenario_reframe.result_paths import Destination, check_length, default_name
from scenario_reframe.settings import request_body
from scenario_reframe.video import Video, resolve

from .items import BatchItem

_NOT_KNOWN = "the ledger does not have it as this item's result; move it away, or name another"


@frozen
class ItemPlan:
    """One checked item: its video, the body to send, and the file of its result."""

    item: BatchItem
    video: Video
    body: dict[str, Any]
    output: Path


def plan(items: Iterable[BatchItem], to: Destination) -> list[ItemPlan]:
    """Check every item. Reads the head of every local file.

    Raises InvalidBatchError with all faults of all items.
    """
    folder = checked_folder(to)
    plans: list[ItemPlan | None] = []
    faults: list[tuple[int, str]] = []
    for position, item in enumerate(items):
        try:
            plans.append(_planned(item, folder))
        except InvalidInputError as fault:
            plans.append(None)
            faults += [(position, line) for line in _problems_of(fault)]
    faults += _shared_outputs(plans)
    if faults:
        raise InvalidBatchError(sorted(faults, key=lambda fault: fault[0]))
    return [planned for planned in plans if planned is not None]


def checked_folder(to: Destination) -> Path:
    """The results' folder, which need not exist yet. Raises InvalidInputError if it is a file."""
    text = checked_path(to, "to")
    folder = Path(text).absolute()
    check_length(folder, "to", is_folder=True)
    try:
        if folder.exists() and not folder.is_dir():
            raise InvalidInputError(f"to: {text} is a file; it takes a folder")
    except OSError as fault:
        raise InvalidInputError(f"to: {text} cannot be read: {fault.strerror}") from fault
    return folder


def occupied(plans: Sequence[ItemPlan], entries: Iterable[Entry]) -> list[tuple[int, str]]:
    """Faults of items whose target exists and is not recorded as their own result."""
    made: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.target is not None and may_have_files(entry, entry.target):
            made[entry.target].append(entry)
    faults = []
    for position, planned in enumerate(plans):
        known = any(entry.settings == planned.body for entry in made[str(planned.output)])
        if not known and planned.output.exists():
            faults.append((position, f"output: {planned.output} exists already; {_NOT_KNOWN}"))
    return faults


def _planned(item: object, folder: Path) -> ItemPlan:
    """Check one item. Raises InvalidInputError with all its faults."""
    if not isinstance(item, BatchItem):
        raise InvalidInputError(f"items: it takes BatchItems, not {type(item).__name__}")
    if not isinstance(item.settings, Mapping):
        raise InvalidInputError(f"settings: {shown(item.settings)} is not allowed; it takes a dict")
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
    """The file of an item's result. Raises InvalidInputError unless it is inside the folder."""
    if item.output is None:
        path = folder / default_name(video, item.settings, folder)
        check_length(path, "output")
        return path
    text = checked_path(item.output, "output")
    path = Path(os.path.normpath(folder / text))
    if not path.is_relative_to(folder) or path == folder:
        raise InvalidInputError(f"output: {shown(text)} is not inside the folder {folder}")
    check_length(path, "output")
    if text.endswith(("/", os.sep)) or path.is_dir():
        raise InvalidInputError(f"output: {shown(text)} is a folder; it takes a file")
    return path


def _shared_outputs(plans: Sequence[ItemPlan | None]) -> list[tuple[int, str]]:
    """Faults of items whose output is that of another item, too."""
    positions: dict[str, list[int]] = defaultdict(list)
    for position, planned in enumerate(plans):
        if planned is not None:
            positions[os.path.normcase(planned.output)].append(position)
    return [
        (position, f"output: {Path(output).name} is the output of several items; name another")
        for output, several in positions.items()
        if len(several) > 1
        for position in several
    ]


def _problems_of(fault: InvalidInputError) -> Sequence[str]:
    return fault.problems if isinstance(fault, InvalidSettingsError) else (str(fault),)
