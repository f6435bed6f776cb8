"""A batch's inputs (folders, patterns, files, manifests) made into items, all checked."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from scenario_reframe.api.sanitize import bare_url
from scenario_reframe.batch import BatchItem
from scenario_reframe.batch.planning import ItemPlan, plan
from scenario_reframe.errors import InvalidBatchError, InvalidInputError, InvalidVideoError
from scenario_reframe.video import is_url, open_video

from .each_flag import MOST_RESULTS, Variant, variants_of
from .exit_codes import FaultyInputsError, InputFault
from .flags import GivenSettings
from .manifest import SUFFIXES, is_remote, read_manifest

_GLOB_CHARACTERS = frozenset("*?[")


@frozen(order=True)
class InputPosition:
    """Where an item comes from: a manifest's line, or a clip; `number` keeps the order."""

    number: int
    line: int = 0
    source: str = field(default="", order=False)

    def fault(self, text: str) -> InputFault:
        """A fault at this position."""
        return InputFault(self.source, self.line or None, text)


@frozen
class PositionedItem:
    """An item of the batch, and where it comes from."""

    item: BatchItem
    position: InputPosition


def video_label(video: Any) -> str:
    """A video as it is shown: a URL without its user and query, which may be secrets."""
    text = str(video)
    return bare_url(text) if is_url(text) else text


@define
class BatchInputs:
    """Collects the items of all inputs. `remarks` say which files were left out, and why."""

    folder: Path
    given: GivenSettings
    variants: Sequence[Variant]
    items: list[PositionedItem] = field(factory=list)
    faults: list[tuple[InputPosition, str]] = field(factory=list)
    remarks: list[str] = field(factory=list)
    _number: int = 0

    def add(self, source: str) -> None:
        """Add a folder, a pattern, a manifest, or a video: a file, a URL or the id of an asset.

        Raises InvalidInputError if there are too many of them for one batch.
        """
        try:
            self._add(source)
        except OSError as fault:
            self._add_fault(source, f"cannot be read: {fault.strerror}")

    def _add(self, source: str) -> None:
        path = Path(source)
        if not source:
            self._add_fault("''", "an empty name is not a file or a folder")
        elif is_url(source):  # before the file system, to which a signed one is too long a name
            self._add_item(BatchItem(source), self._next_position(video_label(source)))
        elif path.is_dir():
            self._add_clips(source, sorted(path.iterdir()))
        elif path.suffix.lower() in SUFFIXES:
            self._add_manifest(path)
        elif path.exists() and self._is_result(path):
            self.remarks.append(f"Left out: {source} is in the output folder")
        elif path.exists() or is_remote(source):
            self._add_item(BatchItem(source), self._next_position(video_label(source)))
        elif _GLOB_CHARACTERS & set(source):
            found = glob.glob(source, recursive=True)  # noqa: PTH207 - as absolute as it is typed
            self._add_clips(source, [Path(one) for one in sorted(found)])
        else:
            self._add_fault(source, "no such file or folder")

    def plans(self) -> list[ItemPlan]:
        """Each item checked, in the order of `items`.

        Raises FaultyInputsError that names every fault of every row.
        """
        plans: list[ItemPlan] = []
        if not self.items and not self.faults:
            raise InvalidInputError("no clips are left to reframe: pass another folder as --output")
        try:
            plans = plan([one.item for one in self.items], self.folder)
        except InvalidBatchError as error:
            self.faults += self.positioned(error)
        if self.faults:
            raise self.error_for(self.faults)
        return plans

    def positioned(self, error: InvalidBatchError) -> list[tuple[InputPosition, str]]:
        """The library's faults with their positions; the manifest has reported missing videos."""
        found = [(self.items[number], text) for number, text in error.faults]
        return [
            (one.position, text)
            for one, text in found
            if one.item.video != "" or not text.startswith("video: ")
        ]

    def error_for(self, faults: Sequence[tuple[InputPosition, str]]) -> FaultyInputsError:
        """The error that lists them in order; a fault of several variants of a row only once."""
        ordered = sorted(dict.fromkeys(faults), key=lambda fault: fault[0])
        return FaultyInputsError([position.fault(text) for position, text in ordered])

    def _add_manifest(self, path: Path) -> None:
        position = self._next_position(str(path))
        try:
            manifest = read_manifest(path)
        except InvalidInputError as error:
            self.faults.append((position, str(error)))
            return
        self.faults += [(evolve(position, line=line), text) for line, text in manifest.faults]
        for item, line in zip(manifest.items, manifest.lines, strict=True):
            self._add_item(item, evolve(position, line=line))

    def _add_clips(self, source: str, paths: Sequence[Path]) -> None:
        """Add the files that begin like a video."""
        before, results = len(self.items), 0
        for path in paths:
            if not path.is_file():
                continue
            if self._is_result(path):
                results += 1
                continue
            try:
                open_video(path)
            except InvalidVideoError as fault:
                self.remarks.append(f"Left out: {str(fault).removeprefix('video: ')}")
            else:
                self._add_item(BatchItem(str(path)), self._next_position(str(path)))
        if results:
            self.remarks.append(f"Left out: {results} files of {self.folder}, the output folder")
        if len(self.items) == before:
            where = " outside the output folder" if results else ""
            self._add_fault(source, f"no video found{where}")

    def _is_result(self, path: Path) -> bool:
        """Whether it may be an earlier run's result, which must not be paid for as a clip."""
        return path.parent.resolve() == self.folder.resolve()

    def _add_item(self, item: BatchItem, position: InputPosition) -> None:
        """Add each variant of an item, with the flags' settings where it has none of its own."""
        for name in item.settings:
            if name in self.variants[0]:
                self.faults.append((position, f"{name}: is in the row and in --each; remove one"))
        extra = item.extra
        if isinstance(extra, Mapping):  # anything else is reported when the item is checked
            extra = {**self.given.extra, **extra}
        whole = evolve(item, settings={**self.given.settings, **item.settings}, extra=extra)
        if len(self.items) + len(self.variants) > MOST_RESULTS:
            raise InvalidInputError(f"SOURCES: one batch makes at most {MOST_RESULTS:,} results")
        self.items += [PositionedItem(one, position) for one in variants_of(whole, self.variants)]

    def _next_position(self, source: str) -> InputPosition:
        self._number += 1
        return InputPosition(self._number, 0, source)

    def _add_fault(self, source: str, text: str) -> None:
        self.faults.append((self._next_position(source), text))
