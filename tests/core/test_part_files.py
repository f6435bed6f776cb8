"""Part files in a folder that others can write to: links, pipes and forged notes are not used."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from downloads import ASSET, DATA, JOB, listed
from scenario_reframe import DownloadError
from scenario_reframe.api.operations import Operations
from scenario_reframe.downloading import FRUITLESS_ATTEMPTS, download
from scenario_reframe.own_files import is_own, open_own
from stepping import Answer, File, Stepper, lost

ETAG = '"v1"'
NOTE = json.dumps({"asset": "asset_1", "size": 100, "etag": ETAG})
WHOLE = File(200, {"content-length": "100", "etag": ETAG}, [DATA])


def downloaded(to: Path, *answers: Answer, overwrite: bool = False) -> Stepper:
    """Download into a file, stepped by hand: the steps."""
    stepper = Stepper(*answers)
    flow = download(Operations(), JOB, to, overwrite=overwrite, on_progress=None)
    assert stepper.run(flow) == [to]
    assert to.read_bytes() == DATA
    assert to.is_file()
    assert not to.is_symlink()
    return stepper


Trap = Callable[[Path, Path], None]


def link_to_a_file(path: Path, victim: Path) -> None:
    """A link to a file that must not change."""
    path.symlink_to(victim)


def link_to_nothing(path: Path, victim: Path) -> None:
    """A link through which a new file could be made."""
    path.symlink_to(victim.with_name("made"))


def pipe(path: Path, _: Path) -> None:
    """A pipe, of which nobody opens the other end."""
    os.mkfifo(path)


def folder(path: Path, victim: Path) -> None:
    """A folder with something in it."""
    path.mkdir()
    (path / victim.name).write_bytes(b"theirs")


TRAPS = [link_to_a_file, link_to_nothing, pipe, folder]


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("suffixes", [("",), ("", ".2", ".3", ".4")], ids=["one", "all"])
@pytest.mark.parametrize("which", ["part", "note", "both", "part with a forged note"])
def test_what_is_not_ours_is_neither_written_nor_removed(
    tmp_path: Path, trap: Trap, suffixes: tuple[str, ...], which: str
) -> None:
    """The download uses another name, and does not wait for the other end of a pipe."""
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    shared.mkdir()
    victim.write_bytes(b"x" * 40)
    for suffix in suffixes:
        part = shared / f"out.mp4{suffix}.part"
        note = shared / f"out.mp4{suffix}.part.json"
        if which != "note":
            trap(part, victim)
        if which in {"note", "both"}:
            trap(note, victim)
        if which == "part with a forged note":
            note.write_text(NOTE)
    before = {path.name: path.lstat().st_ino for path in shared.iterdir()}
    broken = File(200, {"content-length": "100", "etag": ETAG}, [DATA[:40]], OSError("cut"))
    rest = File(206, {"content-range": "bytes 40-99/100"}, [DATA[40:]])
    stepper = downloaded(shared / "out.mp4", ASSET, broken, rest)
    assert "Range" not in stepper.pulls[0].headers
    assert victim.read_bytes() == b"x" * 40
    assert listed(tmp_path) == ["shared", "victim"]
    after = {path.name: path.lstat().st_ino for path in shared.iterdir()}
    assert after.pop("out.mp4")
    assert after == before


def test_another_user_s_part_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is their note believed: its bytes would become the beginning of the result."""
    part = tmp_path / "out.mp4.part"
    part.write_bytes(b"x" * 40)
    (tmp_path / "out.mp4.part.json").write_text(NOTE)
    theirs = part.stat().st_ino

    def foreign(path: Path, status: os.stat_result) -> bool:
        return is_own(path, status) and status.st_ino != theirs

    monkeypatch.setattr("scenario_reframe.own_files.is_own", foreign)
    stepper = downloaded(tmp_path / "out.mp4", ASSET, WHOLE)
    assert "Range" not in stepper.pulls[0].headers
    assert part.read_bytes() == b"x" * 40


def test_a_file_of_our_own_is_regular_and_this_user_s(tmp_path: Path) -> None:
    """By what the system says of the name itself, not of what a link leads to."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"")
    link.symlink_to(file)
    assert is_own(file, file.lstat())
    assert not is_own(link, link.lstat())
    assert not is_own(tmp_path, tmp_path.lstat())
    mode, inode, device, links, owner, *others = file.lstat()
    theirs = os.stat_result((mode, inode, device, links, owner + 1, *others))
    assert not is_own(file, theirs)


def test_a_disk_with_one_owner_for_all_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote it: a file belongs to whom the folder belongs, and downloads are resumed."""
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    to = tmp_path / "out.mp4"
    broken = File(200, {"content-length": "100", "etag": ETAG}, [DATA[:40]], OSError("cut"))
    rest = File(206, {"content-range": "bytes 40-99/100"}, [DATA[40:]])
    stepper = downloaded(to, ASSET, broken, rest)
    assert stepper.pulls[1].headers["Range"] == "bytes=40-"
    assert listed(tmp_path) == ["out.mp4"]


def test_a_disk_whose_files_never_seem_ours_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is fetched again after a break."""
    monkeypatch.setattr("scenario_reframe.own_files.is_own", lambda *_: False)
    broken = File(200, {"content-length": "100", "etag": ETAG}, [DATA[:40]], OSError("cut"))
    stepper = downloaded(tmp_path / "out.mp4", ASSET, broken, WHOLE)
    assert "Range" not in stepper.pulls[1].headers


def test_a_file_that_is_exchanged_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a system that opens links: the open file is not the one of that name."""
    monkeypatch.setattr("scenario_reframe.own_files._CAREFULLY", 0)
    (tmp_path / "victim").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(PermissionError):
        open_own(tmp_path / "link", "ab")
    assert (tmp_path / "victim").read_bytes() == b"theirs"


def test_a_part_that_becomes_a_link_between_two_attempts_is_not_written_through(
    tmp_path: Path,
) -> None:
    """Somebody exchanged it while the host was asked for the rest."""
    to, victim = tmp_path / "out.mp4", tmp_path / "victim"
    victim.write_bytes(b"x" * 40)
    part = tmp_path / "out.mp4.part"

    broken = File(200, {"content-length": "100", "etag": ETAG}, [DATA[:40]], OSError("cut"))
    rest = File(206, {"content-range": "bytes 40-99/100"}, [DATA[40:]])
    answers: list[Answer] = [WHOLE, rest, broken, ASSET]

    def script(_: object) -> Answer:
        answer = answers.pop()
        if answer is rest:
            part.unlink()
            part.symlink_to(victim)
        return answer

    flow = download(Operations(), JOB, to, overwrite=False, on_progress=None)
    assert Stepper(script=script).run(flow) == [to]
    assert (answers, to.read_bytes(), to.is_symlink()) == ([], DATA, False)
    assert victim.read_bytes() == b"x" * 40


def test_a_part_has_the_final_file_s_permissions(tmp_path: Path) -> None:
    """What the user's umask leaves of reading and writing: it becomes the result."""
    to = tmp_path / "out.mp4"
    given = os.umask(0o027)
    try:
        broken = File(200, {"content-length": "100", "etag": ETAG}, [DATA[:40]], OSError("cut"))
        flow = download(Operations(), JOB, to, overwrite=False, on_progress=None)
        with pytest.raises(DownloadError):
            Stepper(ASSET, broken, *[lost()] * FRUITLESS_ATTEMPTS).run(flow)
    finally:
        os.umask(given)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"out.mp4.part": 0o640, "out.mp4.part.json": 0o640}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_is_not_utf_8_has_its_part_and_its_note(
    tmp_path: Path, overwrite: bool
) -> None:
    """Its bytes are kept, and an unfinished download is resumed."""
    to = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    flow = download(Operations(), JOB, to, overwrite=overwrite, on_progress=None)
    broken = File(200, {"content-length": "100", "etag": ETAG}, [DATA[:40]], OSError("cut"))
    with pytest.raises(DownloadError):
        Stepper(ASSET, broken, *[lost()] * FRUITLESS_ATTEMPTS).run(flow)
    assert to.with_name(f"{to.name}.part").read_bytes() == DATA[:40]
    rest = File(206, {"content-range": "bytes 40-99/100"}, [DATA[40:]])
    stepper = downloaded(to, ASSET, rest, overwrite=overwrite)
    assert stepper.pulls[0].headers["Range"] == "bytes=40-"
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"caf\xe9.mp4"]
