"""Bad manifests: each fault with its line, and nothing sent; hypothesis for the rest of them."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bad_commands import Refusal
from scenario_reframe import BatchItem, InvalidInputError
from scenario_reframe.cli.batch_inputs import BatchInputs
from scenario_reframe.cli.each_flag import Variant
from scenario_reframe.cli.flags import GivenSettings
from scenario_reframe.cli.manifest import Manifest, read_manifest
from scenario_reframe_api.settings import SETTINGS

CLIP = b"clip.mp4"
CSV: list[tuple[bytes, str]] = [
    (b"", "list.csv:1: the file has no rows"),
    (b"\n" * 1000, "list.csv:1: the file has no rows"),
    (b"video\n" + b"x" * 10_000_000, "list.csv:2: not valid CSV: a cell has more than 131,072"),
    (b'video,prompt\nclip.mp4,"never closed\n', "list.csv:2: not valid CSV"),
    (b"video\n" + b"clip.mp4\n" * 100_000, "list.csv:100001: 100,001 lines"),
    (b"video\r" + b"clip.mp4\r" * 100_000, "list.csv:100001: 100,001 lines"),
    (b"video\n" + b"#" * (64 * 2**20), "list.csv is larger than 64 MiB"),
    (b"video" + b",a" * 1000 + b"\n", "list.csv:1: 1,001 columns"),
    (b"video,seed\nclip.mp4," + b"9" * 5000 + b"\n", "list.csv:2: seed: "),
    (b"video,num_frames\nclip.mp4,nan\n", "list.csv:2: num_frames: 'nan'"),
    (b"video,zoom_factor\nclip.mp4,inf\n", "list.csv:2: zoom_factor: inf"),
    (b"video\nclip\xe9.mp4\n", "list.csv:2: byte 0xe9 is not UTF-8"),
    (b"\xff\xfev\0i\0d\0e\0o\0", "list.csv:1: the file is UTF-16"),
    (b"\x89PNG\r\n\x1a\n" + bytes(100), "list.csv:1: byte 0x89 is not UTF-8"),
    (b"video\nclip\0.mp4\n", "list.csv:2: the file contains a NUL"),
    (b"video\nclip.mp4,1\n", "list.csv:2: 2 cells"),
    (b"video,output\nclip.mp4,../out.mp4\n", "list.csv:2: output: "),
    (b"video,output\nclip.mp4,/etc/passwd\n", "list.csv:2: output: "),
    (b"video,output\nclip.mp4,sub/\n", "list.csv:2: output: "),
    (b"video,output\nclip.mp4," + b"y" * 246 + b".mp4\n", "list.csv:2: output: "),
    (b"video\nfifo.mp4\n", "list.csv:2: video: "),
    (b"video\n/dev/zero\n", "list.csv:2: video: "),
    (b"video\nhttps://\n", "list.csv:2: video: "),
    (b"video\n" + b"x" * 5000 + b"\n", "list.csv:2: video: "),
]
JSON_LINES: list[tuple[bytes, str]] = [
    (b"[" * 200_000 + b"]" * 200_000, "list.jsonl:1: not valid JSON: nested too deeply"),
    (b'{"video":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, "list.jsonl:1: not valid JSON: "),
    (b'{"video": "clip.mp4", "seed": ' + b"9" * 5000 + b"}", "more than 4,300 digits"),
    (b'{"video": "clip.mp4", "seed": ' + b"9" * 4000 + b"}", "list.jsonl:1: seed: "),
    (b'{"video": "clip.mp4", "zoomFactor": NaN}', "list.jsonl:1: zoom_factor: nan"),
    (b'{"video": "clip.mp4", "extra": {"a": 1e999}}', "cannot be written as JSON"),
    (b'{"video": "clip.mp4", "extra": [1]}', "list.jsonl:1: extra: "),
    (b'{"video": "clip.mp4", "extra": {"dryRun": true}}', "list.jsonl:1: extra: dryRun"),
    (b'{"video": "clip.mp4", "prompt": "\\ud800"}', "list.jsonl:1: prompt: "),
    (b'{"video": "\\ud800.mp4"}', "list.jsonl:1: video: "),
    (b'{"video": "clip.mp4", "extra": {"a": "\\ud800"}}', "list.jsonl:1: extra: a: "),
    (b'{"video": "clip.mp4", "\\ud800": 1}', "ud800': no such key"),
    (b'{"video": "clip.mp4", "": 1}', "'': no such key"),
    (b'{"video": "a\\u0000.mp4"}', "list.jsonl:1: video: "),
    (b'{"video": ["clip.mp4"]}', "list.jsonl:1: video: "),
    (b'{"video": true}', "list.jsonl:1: video: "),
    (b'{"video": "clip.mp4", "output": 7}', "list.jsonl:1: output: "),
    (b'{"video": "clip.mp4", "output": "a\\u0000"}', "list.jsonl:1: output: "),
    (b'{"video": "clip.mp4", "seed": true}', "list.jsonl:1: seed: "),
    (b'{"video": "clip.mp4", "seed": {"a": 1}}', "list.jsonl:1: seed: "),
    (b"\n\n{'video': 'clip.mp4'}", "list.jsonl:3: not valid JSON"),
    (b'{"video": "clip.mp4"} {"video": "clip.mp4"}', "list.jsonl:1: not valid JSON: Extra data"),
    (b'"clip.mp4"', "list.jsonl:1: not a JSON object"),
    (b'{"video": 1' + b', "seed": 1' * 100_000 + b"}", "list.jsonl:1: 100,001 keys"),
    (b"x\n" * 100_001, "list.jsonl:100001: 100,001 lines"),
]
CASES = [
    (name, content, words)
    for name, cases in (("list.csv", CSV), ("list.jsonl", JSON_LINES))
    for content, words in cases
]


@pytest.mark.parametrize(("name", "content", "words"), CASES, ids=range(len(CASES)))
def test_a_bad_manifest_is_refused_with_its_line(
    folder: Path, refused: Refusal, name: str, content: bytes, words: str
) -> None:
    """And never with as many lines as it has."""
    Path(name).write_bytes(content)
    shown = content[:60].decode("ascii", "backslashreplace")
    message = refused(
        ("batch", name, "-o", "out"), {}, 2, words, f"{name}: {json.dumps(shown)[1:-1]}"
    )
    assert len(message.splitlines()) <= 3


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever its results come from: rows, files or `--each`."""
    monkeypatch.setattr("scenario_reframe.cli.batch_inputs.MOST_RESULTS", 3)
    variants: list[Variant] = [{"seed": 1}, {"seed": 2}]
    inputs = BatchInputs(tmp_path, GivenSettings({}, {}), variants)
    inputs.add("asset_1")
    with pytest.raises(InvalidInputError, match="at most 3 results"):
        inputs.add("asset_2")


def test_a_long_url_is_no_file_name(tmp_path: Path) -> None:
    """A signed URL is longer than the file system allows for a name."""
    inputs = BatchInputs(tmp_path, GivenSettings({}, {}), [{}])
    inputs.add(f"https://files.test/a.mp4?Signature={'x' * 3000}")
    assert (len(inputs.items), inputs.faults) == (1, [])


def read(name: str, content: bytes) -> Manifest:
    """Read a manifest with this content."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return read_manifest(path)


def check(name: str, content: bytes) -> None:
    """Items and faults come out, each with a line that the file has, and none without a text."""
    found = read(name, content)
    lines = len(re.split(rb"\r\n|\r|\n", content))
    assert found.items or found.faults
    assert len(found.items) == len(found.lines)
    assert all(isinstance(item, BatchItem) for item in found.items)
    assert all(1 <= line <= lines for line in found.lines)
    assert all(1 <= line <= lines and text for line, text in found.faults)
    assert [line for line, _ in found.faults] == sorted(line for line, _ in found.faults)
    inputs = BatchInputs(Path("out"), GivenSettings({}, {}), [{}])
    for item in found.items:
        inputs._add_item(item, inputs._next_position(name))


NAMES = st.sampled_from(["video", "output", "extra", *(row.name for row in SETTINGS), "", "sede"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["clip.mp4", "asset_1", "https://files.test/a.mp4", "9:16"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ROWS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
CELLS = st.text(st.sampled_from('ab19,;\t\n\r" \u2028é\x0b'), max_size=8)


@given(st.sampled_from(["a.csv", "a.jsonl"]), st.binary(max_size=300))
@example("a.csv", b'video\n"')
@example("a.csv", b"\x0bvideo")
@example("a.jsonl", b"\xef\xbb\xbf")
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_items_and_faults(name: str, content: bytes) -> None:
    """Never an exception."""
    check(name, content)


@given(st.lists(ROWS, min_size=1, max_size=4), st.binary(max_size=3), st.integers(0, 500))
@settings(max_examples=300, deadline=None)
def test_almost_json_lines_are_items_and_faults(
    rows: list[list[tuple[str, object]]], noise: bytes, where: int
) -> None:
    """Objects with duplicate keys and odd values, and some bytes put in somewhere."""
    pairs = [[f"{json.dumps(name)}: {json.dumps(value)}" for name, value in row] for row in rows]
    content = "\n".join("{" + ", ".join(row) + "}" for row in pairs).encode()
    check("a.jsonl", content[:where] + noise + content[where:])


@given(st.lists(NAMES, max_size=4), st.lists(st.lists(CELLS, max_size=4), max_size=4))
@settings(max_examples=300, deadline=None)
def test_almost_csv_is_items_and_faults(header: list[str], rows: list[list[str]]) -> None:
    """Cells with separators, quotes and line ends, not always quoted."""
    check("a.csv", "\n".join([",".join(header), *map(",".join, rows)]).encode())
