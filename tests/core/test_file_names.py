"""Names that are not UTF-8: as a clip, a target and a folder, in every kind of run."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_reframe import (
    AsyncReframeClient,
    BatchEvent,
    BatchItem,
    InvalidBatchError,
    InvalidInputError,
    ReframeClient,
    WaitTimeoutError,
)
from scenario_reframe.sandbox import Sandbox
from timings import SOON

HEAD = b"\x00\x00\x00\x18ftypmp42"
NAME = os.fsdecode(b"cl\xff\xfe ip")
FOLDER = os.fsdecode(b"d\xe4r")

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder and a clip in it, both with such names."""
    made = tmp_path / FOLDER
    try:
        made.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (made / f"{NAME}.mp4").write_bytes(HEAD + bytes(100))
    return made


@pytest.fixture(params=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    """Whether to use the async client."""
    return bool(request.param == "async")


@pytest.fixture(params=["ledger.db", os.fsdecode(b"l\xff.db"), None], ids=["ledger", "odd", "none"])
def ledger(request: pytest.FixtureRequest, folder: Path) -> Path | None:
    """A ledger in that folder, with a usual and an odd name, or none."""
    return None if request.param is None else folder / request.param


@pytest.fixture
def run(is_async: bool, ledger: Path | None, box: Sandbox) -> Run:
    """Calls a method of a new client by name."""
    options: dict[str, Any] = {
        "api_key": box.api_key, "api_secret": box.api_secret, "base_url": box.base_url,
        "timing": SOON, "ledger": ledger,
    }  # fmt: skip

    async def later(name: str, *args: Any, **kwargs: Any) -> Any:
        async with AsyncReframeClient(**options) as client:
            result = getattr(client, name)(*args, **kwargs)
            return [one async for one in result] if name == "batch" else await result

    def call(name: str, *args: Any, **kwargs: Any) -> Any:
        if is_async:
            return asyncio.run(later(name, *args, **kwargs))
        with ReframeClient(**options) as client:
            result = getattr(client, name)(*args, **kwargs)
            return list(result) if name == "batch" else result

    return call


def test_alone(run: Run, folder: Path, ledger: Path | None, box: Sandbox) -> None:
    """A clip and a target, and a folder as target; what is done is found again."""
    clip, target = folder / f"{NAME}.mp4", folder / f"{NAME}-tall.mp4"
    before = box.jobs_made
    assert run("reframe", clip, target).files == (target,)
    (in_folder,) = run("reframe", str(clip), f"{folder}{os.sep}").files
    assert in_folder.parent == folder
    assert box.jobs_made == before + 2
    if ledger is not None:
        assert run("reframe", clip, target).files == (target,)
        assert box.jobs_made == before + 2
        recorded = {entry.target: entry for entry in run("entries")}[str(target)]
        assert recorded.source == str(clip)
        assert [*recorded.files] == [str(target)]


def test_resumed(run: Run, folder: Path, ledger: Path | None, box: Sandbox) -> None:
    """From what the ledger has recorded, by a new client."""
    if ledger is None:
        pytest.skip("there is nothing to resume without a ledger")
    clip, target = folder / f"{NAME}.mp4", folder / f"{NAME}-tall.mp4"
    before = box.jobs_made
    box.hold_jobs = True
    try:
        with pytest.raises(WaitTimeoutError):
            run("reframe", clip, target, timeout=0.0)
    finally:
        box.hold_jobs = False
    (entry,) = run("entries", unfinished=True)
    assert (entry.source, entry.target) == (str(clip), str(target))
    assert run("resume", entry).files == (target,)
    assert box.jobs_made == before + 1


def test_batch_stopped_and_resumed(
    run: Run, folder: Path, ledger: Path | None, box: Sandbox
) -> None:
    """Both kinds of output names: made from the clip's, and given."""
    clip = folder / f"{NAME}.mp4"
    items = [BatchItem(clip), BatchItem(clip, output=f"{NAME}/{NAME}.mp4", settings={"seed": 7})]
    to = folder / NAME
    expected = {to / f"{NAME}-reframed.mp4", to / NAME / f"{NAME}.mp4"}
    before = box.jobs_made
    if ledger is not None:

        def stop(event: BatchEvent) -> None:
            if event.kind == "submitted":
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run("batch", items, to, on_event=stop)
    outcomes = run("batch", items, to)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    assert {file for outcome in outcomes for file in outcome.files} == expected
    assert box.jobs_made == before + 2
    if ledger is not None:
        assert {outcome.status for outcome in run("batch", items, to)} == {"done"}
    else:
        with pytest.raises(InvalidBatchError, match="exists already") as caught:
            run("batch", items, to)
        assert str(caught.value).encode()
    assert box.jobs_made == before + 2


@pytest.mark.parametrize("bad", ["\ud800.mp4", "a/\ud800/b.mp4", "\ud83d\ude00.mp4"])
def test_name_that_no_file_can_have(bad: str, run: Run, folder: Path, box: Sandbox) -> None:
    """A lone surrogate that stands for no byte: found before anything is paid, by the item."""
    before = box.jobs_made
    clip = folder / f"{NAME}.mp4"
    with pytest.raises(InvalidInputError, match="encoded") as caught:
        run("reframe", clip, folder / bad)
    assert str(caught.value).encode()
    with pytest.raises(InvalidBatchError, match="item 1: output") as caught:
        run("batch", [BatchItem(clip), BatchItem(clip, output=bad)], folder / "out")
    assert str(caught.value).encode()
    assert box.jobs_made == before


def test_error_names_the_file_and_can_be_printed(run: Run, folder: Path, box: Sandbox) -> None:
    """The bytes that are not UTF-8 as escapes."""
    before = box.jobs_made
    target = folder / f"{NAME}.mp4"
    with pytest.raises(InvalidInputError, match="exists") as caught:
        run("reframe", target, target)
    assert "cl\\udcff\\udcfe ip" in str(caught.value)
    assert str(caught.value).encode()
    assert box.jobs_made == before
