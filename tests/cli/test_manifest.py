"""Manifests as people write them, and `--each`, without a server."""

from pathlib import Path
from typing import Any

import pytest

from scenario_reframe import BatchItem, InvalidInputError, InvalidSettingsError
from scenario_reframe.cli.batch_inputs import video_label
from scenario_reframe.cli.each_flag import parse_each, variants_of
from scenario_reframe.cli.manifest import Manifest, read_manifest

BOM = b"\xef\xbb\xbf"


def manifest(folder: Path, content: bytes, name: str = "list.csv") -> Manifest:
    """Write a manifest and read it."""
    path = folder / name
    path.write_bytes(content)
    return read_manifest(path)


@pytest.mark.parametrize(
    "content",
    [
        b"video,output,aspect_ratio,num_frames\na.mp4,x.mp4,9:16,90\n",
        BOM + b"video,output,aspect_ratio,num_frames\r\na.mp4,x.mp4,9:16,90\r\n",
        b"Video ;OUTPUT;aspect-ratio;Num Frames\r\na.mp4; x.mp4 ;9:16;90",
        b"video\toutput\taspectRatio\tnumFrames\ra.mp4\tx.mp4\t9:16\t90\r",
        b'"video","output","ASPECT_RATIO","num_frames"\n"a.mp4","x.mp4","9:16","90"\n,,,\n\n',
        b"num_frames,aspect_ratio,output,prompt,video\n90,9:16,x.mp4,,a.mp4\n",
    ],
    ids=["plain", "bom-crlf", "semicolons", "tabs-cr", "quotes-blank-lines", "order-empty-cell"],
)
def test_a_csv_file_is_read_as_programs_write_it(content: bytes, tmp_path: Path) -> None:
    """Whatever the delimiter, the line ends and the spelling of the header."""
    read = manifest(tmp_path, content)
    settings = {"aspect_ratio": "9:16", "num_frames": 90}
    assert list(read.items) == [BatchItem(str(tmp_path / "a.mp4"), "x.mp4", settings)]
    assert (list(read.lines), list(read.faults)) == ([2], [])


def test_a_suffix_in_capitals_is_recognised(tmp_path: Path) -> None:
    """As on file systems that ignore case."""
    assert len(manifest(tmp_path, b"video\na.mp4\n", "LIST.CSV").items) == 1
    assert len(manifest(tmp_path, b'{"video": "a.mp4"}\n', "LIST.NDJSON").items) == 1


@pytest.mark.parametrize(
    ("cells", "settings"),
    [
        ("trim_borders|TRUE", {"trim_borders": True}),
        ("trim_borders|No", {"trim_borders": False}),
        ("trim_borders|0", {"trim_borders": False}),
        ("trim_borders|maybe", {"trim_borders": "maybe"}),
        ("num_frames|81.5", {"num_frames": "81.5"}),
        ("frames_per_second|12.5", {"frames_per_second": 12.5}),
        ("frames_per_second|12", {"frames_per_second": 12}),
        ("seed|007", {"seed": 7}),
        ("prompt|7", {"prompt": "7"}),
        ("prompt|", {}),
    ],
)
def test_a_cell_is_converted_to_the_type_of_its_setting(
    cells: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Text that cannot be converted stays text, for the error; an empty cell is not given."""
    name, value = cells.split("|")
    (item,) = manifest(tmp_path, f"video,{name}\na.mp4,{value}\n".encode()).items
    assert item.settings == settings
    assert [type(found) for found in item.settings.values()] == list(map(type, settings.values()))


def test_lines_are_counted_through_quoted_cells(tmp_path: Path) -> None:
    """A row has the number of its first line; line ends within quotes belong to the cell."""
    content = b'video,prompt\r\n"a.mp4","two\r\nlines"\r\n\r\nb.mp4,one\r\n"c.mp4,x\r\n'
    read = manifest(tmp_path, content)
    assert list(read.lines) == [2, 5]
    assert read.items[0].settings["prompt"] == "two\r\nlines"
    assert read.faults == [(6, "not valid CSV: a quoted cell has no end")]


def test_json_lines_keep_their_types(tmp_path: Path) -> None:
    """Null counts as not given, `extra` is passed on, and only LF ends a line."""
    rows = (
        '{"video": "a.mp4", "numFrames": 90, "trim-borders": false, "prompt": null}\r\n\n'
        '{"video": "asset_1", "output": "x.mp4", "extra": {"new": {"a": [1]}}, "prompt": "\u2028"}'
    )
    read = manifest(tmp_path, BOM + rows.encode(), "list.jsonl")
    assert (list(read.lines), list(read.faults)) == ([1, 3], [])
    settings = {"num_frames": 90, "trim_borders": False}
    assert read.items[0] == BatchItem(str(tmp_path / "a.mp4"), None, settings)
    extra = {"new": {"a": [1]}}
    assert read.items[1] == BatchItem("asset_1", "x.mp4", {"prompt": "\u2028"}, extra)


@pytest.mark.parametrize(
    ("video", "found"),
    [
        ("sub/a.mp4", "HERE/sub/a.mp4"),
        ("/else/where.mp4", "/else/where.mp4"),
        ("https://files.test/a.mp4", "https://files.test/a.mp4"),
        ("asset_abc", "asset_abc"),
        ("asset_abc.mp4", "HERE/asset_abc.mp4"),
    ],
)
def test_paths_are_relative_to_the_manifest(video: str, found: str, tmp_path: Path) -> None:
    """URLs and assets are not paths."""
    (item,) = manifest(tmp_path, f"video\n{video}\n".encode()).items
    assert item.video == found.replace("HERE", str(tmp_path))


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (b"", [(1, "the file has no rows")]),
        (BOM + b"\r\n\r\n", [(1, "the file has no rows")]),
        (b"video,output\n", [(1, "the file has no rows")]),
        (b"output,prompt\nx.mp4,y\n", [(1, "video: the column is missing")]),
        (
            b"video,aspect_ration\na.mp4,1:1\n",
            [(1, "aspect_ration: no such column; did you mean aspect_ratio?")],
        ),
        (
            b"video,seed,Seed,aspectRatio,aspect-ratio\na.mp4,1,2,1:1,1:1\n",
            [
                (1, "aspect_ratio: duplicate column"),
                (1, "seed: duplicate column"),
            ],
        ),
        (
            b"video,seed\na.mp4\nb.mp4,1,2\n",
            [
                (2, "1 cells, but the header has 2"),
                (3, "3 cells, but the header has 2"),
            ],
        ),
        (b"video,seed\n,1\n", [(2, "video: missing; every row needs one")]),
        (b"video,\na.mp4,x\n", [(2, "cell 2: 'x' is in a column without a name")]),
        (
            b'video,prompt\n"a"b,x\nc.mp4,y\n',
            [(2, "not valid CSV: ',' expected after '\"'")],
        ),
        (
            "video,prompt\na.mp4,x\nb.mp4,Tür\n".encode("latin-1"),
            [(3, "byte 0xfc is not UTF-8; save the file as UTF-8")],
        ),
        ("video\na.mp4\n".encode("utf-16"), [(1, "the file is UTF-16; save the file as UTF-8")]),
        (
            "video\na.mp4\n".encode("utf-16-le"),
            [(1, "the file contains a NUL character; save the file as UTF-8")],
        ),
    ],
)
def test_every_fault_of_a_csv_file_has_its_line(
    content: bytes, faults: list[tuple[int, str]], tmp_path: Path
) -> None:
    """And the names that the file uses."""
    assert list(manifest(tmp_path, content).faults) == faults


def test_every_fault_of_json_lines_has_its_line(tmp_path: Path) -> None:
    """One broken line hides no other fault."""
    lines = [
        '{"video": "a.mp4"', "[1]", '{"seed": 1}', '{"video": "a.mp4", "sede": 1}',
        '{"video": "a.mp4", "numFrames": 90, "num_frames": 91}', '{"video": ""}', "[" * 99999,
        '{"video": "a.mp4"}',
    ]  # fmt: skip
    read = manifest(tmp_path, "\n".join(lines).encode(), "list.jsonl")
    assert [line for line, _ in read.faults] == [1, 2, 3, 4, 5, 6, 7]
    told = dict(read.faults)
    assert told[2] == "not a JSON object"
    assert told[3] == told[6] == "video: missing; every row needs one"
    assert told[4] == "sede: no such key; did you mean seed?"
    assert told[5] == "num_frames: duplicate key"
    assert "not valid JSON: " in told[1]
    assert "not valid JSON: " in told[7]


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(InvalidInputError, match=r"none\.csv cannot be read: No such file"):
        read_manifest(tmp_path / "none.csv")


def test_each_is_every_combination_under_its_own_name(tmp_path: Path) -> None:
    """The default name has the ratio; other values follow, before the suffix."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"\0\0\0\x18ftypisom")
    both = parse_each(["aspect-ratio=9:16, 1:1", "trimBorders=true,false"], {})
    assert [item.output for item in variants_of(BatchItem(clip), both)] == [
        "clip-9x16-trim-borders.mp4", "clip-9x16-no-trim-borders.mp4",
        "clip-1x1-trim-borders.mp4", "clip-1x1-no-trim-borders.mp4",
    ]  # fmt: skip
    shapes = parse_each(["aspect_ratio=9:16,1:1"], {})
    named = BatchItem(clip, "sub.d/my.clip.mov", {"seed": 5})
    assert [item.output for item in variants_of(BatchItem(clip), shapes)] == [None, None]
    made = list(variants_of(named, shapes))
    assert [item.output for item in made] == ["sub.d/my.clip-9x16.mov", "sub.d/my.clip-1x1.mov"]
    assert made[1].settings == {"seed": 5, "aspect_ratio": "1:1"}
    (prompt,) = parse_each(["prompt=../a b"], {})
    assert [item.output for item in variants_of(named, [prompt])] == ["sub.d/my.clip-.._a_b.mov"]
    assert list(variants_of(named, parse_each([], {}))) == [named]


def test_all_faults_of_each_are_named_at_once() -> None:
    """Before any file is read."""
    wrong = ["num-frames=81,80", "ratio", "shape=1", "seed=1,1", "seed=2", "resolution=480p"]
    with pytest.raises(InvalidSettingsError) as caught:
        parse_each(wrong, {"resolution": "720p"})
    problems = caught.value.problems
    assert problems[0].startswith("--each num_frames: 80 is not allowed; it takes a whole number")
    assert problems[1] == "--each: 'ratio' is not SETTING=VALUE,VALUE"
    assert problems[2].startswith("--each shape: no such setting; ")
    assert problems[3] == "--each seed: duplicate value"
    assert problems[4:] == (
        "--each seed: given twice",
        "--each resolution: given twice",
    )


@pytest.mark.parametrize(
    ("video", "shown"),
    [
        ("https://me:pw@files.test:8/a.mp4?Token=x", "https://files.test:8/a.mp4"),
        ("https://[bad", "a URL"),
        ("asset_1", "asset_1"),
        ("a?b.mp4", "a?b.mp4"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(video: str, shown: str) -> None:
    """Without its user and its query."""
    assert video_label(video) == shown
