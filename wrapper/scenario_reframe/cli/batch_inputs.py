"""What a batch is made of: folders, patterns, files and manifests become items, all checked."""

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

from .each_flag import Variant, varied
from .exit_codes import FaultyBatchError, Misfit
from .flags import Wishes
from .manifest import SUFFIXES, is_remote, read_manifest

_MAGIC = frozenset("*?[")


@frozen(order=True)
class Place:
    """Where something was asked for: a manifest's line, or a clip; `number` keeps the order."""

    number: int
    line: int = 0
    source: str = field(default="", order=False)

    def misfit(self, text: str) -> Misfit:
        """A fault of what stands here."""
        return Misfit(self.source, self.line or None, text)


@frozen
class Asked:
    """One thing to make."""

    item: BatchItem
    place: Place


def label(video: Any) -> str:
    """What to call a video: a URL without its user and its query, which may be secrets."""
    text = str(video)
    return bare_url(text) if is_url(text) else text


@define
class Gathering:
    """Everything asked for. `remarks`: what was left out, and why."""

    folder: Path
    wishes: Wishes
    variants: Sequence[Variant]
    asked: list[Asked] = field(factory=list)
    faults: list[tuple[Place, str]] = field(factory=list)
    remarks: list[str] = field(factory=list)
    _number: int = 0

    def add(self, source: str) -> None:
        """A folder, a pattern, a manifest, or a video: a file, a URL or the id of an asset."""
        path = Path(source)
        if not source:
            self._fault(source, "an empty name is no file and no folder")
        elif path.is_dir():
            self._clips(source, sorted(path.iterdir()))
        elif path.suffix.lower() in SUFFIXES:
            self._manifest(path)
        elif path.exists() and self._is_result(path):
            self.remarks.append(f"Left out: {source} is in the output folder")
        elif path.exists() or is_remote(source):
            self._ask(BatchItem(source), self._place(label(source)))
        elif _MAGIC & set(source):
            found = glob.glob(source, recursive=True)  # noqa: PTH207 - as absolute as it is typed
            self._clips(source, [Path(one) for one in sorted(found)])
        else:
            self._fault(source, "there is no such file or folder")

    def plans(self) -> list[ItemPlan]:
        """Each item checked, in the order of `asked`.

        Raises FaultyBatchError that tells every fault of every row.
        """
        plans: list[ItemPlan] = []
        if not self.asked and not self.faults:
            raise InvalidInputError("there is nothing to make: name another folder with --output")
        try:
            plans = plan([asked.item for asked in self.asked], self.folder)
        except InvalidBatchError as error:
            self.faults += self.placed(error)
        if self.faults:
            raise self.faulty(self.faults)
        return plans

    def placed(self, error: InvalidBatchError) -> list[tuple[Place, str]]:
        """Its faults with their places; that a video is missing is told without the library."""
        found = [(self.asked[number], text) for number, text in error.faults]
        return [
            (asked.place, text)
            for asked, text in found
            if asked.item.video != "" or not text.startswith("video: ")
        ]

    def faulty(self, faults: Sequence[tuple[Place, str]]) -> FaultyBatchError:
        """What to raise for them. A row that is made in several shapes has each fault once."""
        ordered = sorted(dict.fromkeys(faults), key=lambda fault: fault[0])
        return FaultyBatchError([place.misfit(text) for place, text in ordered])

    def _manifest(self, path: Path) -> None:
        place = self._place(str(path))
        try:
            manifest = read_manifest(path)
        except InvalidInputError as error:
            self.faults.append((place, str(error)))
            return
        self.faults += [(evolve(place, line=line), text) for line, text in manifest.faults]
        for item, line in zip(manifest.items, manifest.lines, strict=True):
            self._ask(item, evolve(place, line=line))

    def _clips(self, source: str, paths: Sequence[Path]) -> None:
        """Those of the files that begin like a video."""
        before, in_folder = len(self.asked), 0
        for path in paths:
            if not path.is_file():
                continue
            if self._is_result(path):
                in_folder += 1
                continue
            try:
                open_video(path)
            except InvalidVideoError as fault:
                self.remarks.append(f"Left out: {str(fault).removeprefix('video: ')}")
            else:
                self._ask(BatchItem(str(path)), self._place(str(path)))
        if in_folder:
            self.remarks.append(f"Left out: {in_folder} files of {self.folder}, the output folder")
        if len(self.asked) == before:
            self._fault(
                source, "no video is there" + (" but in the output folder" * bool(in_folder))
            )

    def _is_result(self, path: Path) -> bool:
        """Results of an earlier run must not be taken for clips, and paid for again."""
        return path.parent.resolve() == self.folder.resolve()

    def _ask(self, item: BatchItem, place: Place) -> None:
        for name in item.settings:
            if name in self.variants[0]:
                self.faults.append((place, f"{name}: the row gives it, and --each as well"))
        extra = item.extra
        if isinstance(extra, Mapping):  # else it is told when all is checked
            extra = {**self.wishes.extra, **extra}
        whole = evolve(item, settings={**self.wishes.settings, **item.settings}, extra=extra)
        self.asked += [Asked(made, place) for made in varied(whole, self.variants)]

    def _place(self, source: str) -> Place:
        self._number += 1
        return Place(self._number, 0, source)

    def _fault(self, source: str, text: str) -> None:
        self.faults.append((self._place(source), text))
