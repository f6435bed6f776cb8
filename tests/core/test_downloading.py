"""Downloads, stepped by hand: whole or not at all, and no byte fetched twice."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloads import ASSET, DATA, JOB, listed
from scenario_reframe import (
    ApiError,
    Asset,
    DownloadError,
    InvalidInputError,
    Job,
    NotFoundError,
    ReframeError,
)
from scenario_reframe.api.operations import Operations
from scenario_reframe.downloading import FRUITLESS_ATTEMPTS, LEAST_PROGRESS, download
from scenario_reframe.flow.steps import Progress, Pull, Send
from scenario_reframe.part_files import PartFile
from scenario_reframe.result_paths import check_destination, targets
from scenario_reframe.transfer_plan import MOST_BYTES, TransferPlan, judge, limit_of
from stepping import (
    Answer,
    File,
    Stepper,
    asset_record,
    asset_reply,
    job_record,
    job_reply,
    lost,
    reply,
)

ETAG = '"v1"'


def whole(data: bytes = DATA, etag: str = ETAG, **more: Any) -> File:
    """A file host sends the whole file."""
    headers = {"content-length": str(len(data)), "etag": etag, **more.pop("headers", {})}
    return File(200, headers, [data[:30], data[30:]], **more)


def broken(count: int, data: bytes = DATA, etag: str = ETAG) -> File:
    """A file host sends some bytes, then the connection breaks."""
    headers = {"content-length": str(len(data)), "etag": etag}
    return File(200, headers, [data[:count]], cut=OSError("cut"))


def rest(start: int, data: bytes = DATA, **more: Any) -> File:
    """A file host sends the missing bytes."""
    headers = {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
    return File(206, headers, [data[start:]], **more)


def downloaded(
    what: Job | Asset | str,
    to: str | os.PathLike[str],
    *answers: Answer,
    overwrite: bool = False,
    on_progress: Any = None,
) -> tuple[list[Path], Stepper]:
    """Download, stepped by hand: the files, and the steps."""
    stepper = Stepper(*answers)
    flow = download(Operations(), what, to, overwrite=overwrite, on_progress=on_progress)
    return stepper.run(flow), stepper


def failed(
    what: Job | Asset | str, to: str | os.PathLike[str], *answers: Answer, overwrite: bool = False
) -> tuple[ReframeError, Stepper]:
    """Download, stepped by hand, with an error: the error, and the steps."""
    stepper = Stepper(*answers)
    with pytest.raises(ReframeError) as caught:
        stepper.run(download(Operations(), what, to, overwrite=overwrite, on_progress=None))
    return caught.value, stepper


@pytest.mark.parametrize(
    ("status", "headers", "have", "plan", "total"),
    [
        (200, {"content-length": "9"}, 0, TransferPlan.RESTART, 9),
        (200, {"content-length": "9"}, 5, TransferPlan.RESTART, 9),
        (200, {}, 0, TransferPlan.RESTART, None),
        (200, {"content-length": "many"}, 0, TransferPlan.RESTART, None),
        (200, {"content-length": "-1"}, 0, TransferPlan.RESTART, None),
        (200, {"content-length": "\u0669"}, 0, TransferPlan.RESTART, None),
        (200, {"content-length": "9" * 19}, 0, TransferPlan.GIVE_UP, None),
        (200, {"content-length": "9" * 5000}, 0, TransferPlan.GIVE_UP, None),
        (200, {"content-length": "0" * 5000 + "9"}, 0, TransferPlan.RESTART, 9),
        (200, {"content-length": str(MOST_BYTES)}, 0, TransferPlan.RESTART, MOST_BYTES),
        (200, {"content-length": str(MOST_BYTES + 1)}, 0, TransferPlan.GIVE_UP, None),
        (200, {"content-encoding": "identity"}, 0, TransferPlan.RESTART, None),
        (200, {"content-encoding": "gzip"}, 0, TransferPlan.GIVE_UP, None),
        (206, {"content-encoding": "br"}, 0, TransferPlan.GIVE_UP, None),
        (206, {"content-range": "bytes 5-8/9"}, 5, TransferPlan.APPEND, 9),
        (206, {"content-range": "bytes 5-8/*"}, 5, TransferPlan.APPEND, None),
        (206, {"content-range": "bytes 0-8/9"}, 0, TransferPlan.APPEND, 9),
        (206, {"content-range": "bytes 4-8/9"}, 5, TransferPlan.START_AGAIN, None),
        (206, {"content-range": "bytes 0-8/9"}, 5, TransferPlan.START_AGAIN, None),
        (206, {"content-range": "bites 5-8/9"}, 5, TransferPlan.START_AGAIN, None),
        (206, {"content-range": "bytes \u0665-\u0668/\u0669"}, 5, TransferPlan.START_AGAIN, None),
        (206, {"content-range": "bytes -5-8/9"}, 5, TransferPlan.START_AGAIN, None),
        (206, {"content-range": "bytes 5-8/-9"}, 5, TransferPlan.START_AGAIN, None),
        (206, {"content-range": f"bytes {'9' * 5000}-8/9"}, 5, TransferPlan.START_AGAIN, None),
        (206, {"content-range": f"bytes 5-{'9' * 5000}/9"}, 5, TransferPlan.APPEND, 9),
        (206, {"content-range": f"bytes 5-8/{'9' * 5000}"}, 5, TransferPlan.GIVE_UP, None),
        (206, {"content-range": f"bytes 5-8/{MOST_BYTES + 1}"}, 5, TransferPlan.GIVE_UP, None),
        (
            206,
            {"content-range": "bytes 5-8/*", "content-length": str(MOST_BYTES - 4)},
            5,
            TransferPlan.GIVE_UP,
            None,
        ),
        (206, {}, 5, TransferPlan.START_AGAIN, None),
        (416, {"content-range": "bytes */9"}, 9, TransferPlan.COMPLETE, 9),
        (416, {"content-range": "bytes */9"}, 10, TransferPlan.START_AGAIN, None),
        (416, {"content-range": "bytes */9"}, 5, TransferPlan.START_AGAIN, None),
        (416, {"content-range": f"bytes */{'9' * 5000}"}, 5, TransferPlan.START_AGAIN, None),
        (416, {"content-range": "bytes */\u0669"}, 9, TransferPlan.START_AGAIN, None),
        (416, {}, 9, TransferPlan.START_AGAIN, None),
        (401, {}, 0, TransferPlan.FRESH_URL, None),
        (403, {}, 5, TransferPlan.FRESH_URL, None),
        (404, {}, 0, TransferPlan.FRESH_URL, None),
        (410, {}, 0, TransferPlan.FRESH_URL, None),
        (408, {}, 0, TransferPlan.TRY_AGAIN, None),
        (425, {}, 0, TransferPlan.TRY_AGAIN, None),
        (429, {}, 5, TransferPlan.TRY_AGAIN, None),
        (500, {}, 0, TransferPlan.TRY_AGAIN, None),
        (503, {}, 5, TransferPlan.TRY_AGAIN, None),
        (520, {}, 0, TransferPlan.TRY_AGAIN, None),
        (204, {}, 0, TransferPlan.GIVE_UP, None),
        (302, {}, 0, TransferPlan.GIVE_UP, None),
        (400, {}, 0, TransferPlan.GIVE_UP, None),
        (451, {}, 0, TransferPlan.GIVE_UP, None),
    ],
)
def test_judge_knows_what_a_reply_means(
    status: int, headers: Mapping[str, str], have: int, plan: TransferPlan, total: int | None
) -> None:
    """Each head of a reply has its verdict."""
    verdict = judge(status, headers, have)
    assert (verdict.plan, verdict.total) == (plan, total)


NUMBER = st.integers(0, 10**30).map(str) | st.text("0123456789-*\u0665", max_size=25)
HEADER = st.text(max_size=30) | NUMBER | st.builds("bytes {}-{}/{}".format, NUMBER, NUMBER, NUMBER)
NAMES = ("content-length", "content-range", "content-encoding", "transfer-encoding", "etag")


@given(
    status=st.sampled_from([200, 206, 416]) | st.integers(100, 999),
    headers=st.dictionaries(st.sampled_from(NAMES), HEADER),
    have=st.integers(0, 10**6),
    size=st.none() | st.integers(1, 10**6),
)
def test_judge_has_a_verdict_on_any_head(
    status: int, headers: Mapping[str, str], have: int, size: int | None
) -> None:
    """Nothing is raised, and no plan writes more bytes than the limit."""
    verdict = judge(status, headers, have, size)
    if verdict.plan in {TransferPlan.RESTART, TransferPlan.APPEND}:
        assert (verdict.total or 0) <= limit_of(size)


def test_download_writes_a_whole_file(tmp_path: Path) -> None:
    """The bytes are the host's, no leftover stays, and no credentials were sent."""
    to = tmp_path / "out.mp4"
    files, stepper = downloaded(JOB, to, ASSET, whole())
    assert files == [to]
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]
    (pull,) = stepper.pulls
    assert pull.headers == {"Accept-Encoding": "identity"}
    assert pull.url == "https://cdn.test/asset_1?Signature=s"
    assert "Signature" not in repr(pull)


def test_download_resumes_a_broken_transfer(tmp_path: Path) -> None:
    """Only the missing bytes are requested, on condition that the file is unchanged."""
    to = tmp_path / "out.mp4"
    _, stepper = downloaded(JOB, to, ASSET, broken(40), rest(40))
    assert to.read_bytes() == DATA
    assert stepper.pulls[1].headers == {
        "Accept-Encoding": "identity",
        "Range": "bytes=40-",
        "If-Range": ETAG,
    }
    assert stepper.pauses == [0.5]


def test_download_resumes_an_earlier_call(tmp_path: Path) -> None:
    """A call that gave up leaves its bytes to the next one."""
    to = tmp_path / "out.mp4"
    failed(JOB, to, ASSET, broken(40), *[lost()] * FRUITLESS_ATTEMPTS)
    assert not to.exists()
    _, stepper = downloaded(JOB, to, ASSET, rest(40))
    assert to.read_bytes() == DATA
    assert stepper.pulls[0].headers["Range"] == "bytes=40-"
    assert listed(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize(
    "note",
    [
        None,
        "",
        "[]",
        "5",
        '{"asset": "asset_1"}',
        json.dumps({"asset": "asset_2", "size": 100, "etag": ETAG}),
        json.dumps({"asset": "asset_1", "size": 99, "etag": ETAG}),
    ],
)
def test_download_starts_again_without_a_valid_note(tmp_path: Path, note: str | None) -> None:
    """Bytes of unknown origin are discarded."""
    to = tmp_path / "out.mp4"
    (tmp_path / "out.mp4.part").write_bytes(b"x" * 40)
    if note is not None:
        (tmp_path / "out.mp4.part.json").write_text(note)
    _, stepper = downloaded(JOB, to, ASSET, whole())
    assert "Range" not in stepper.pulls[0].headers
    assert to.read_bytes() == DATA


@pytest.mark.parametrize("etag", ["", 'W/"v1"', "v1"])
def test_download_does_not_resume_without_a_strong_etag(tmp_path: Path, etag: str) -> None:
    """The bytes may belong to another file, so all are fetched again."""
    to = tmp_path / "out.mp4"
    _, stepper = downloaded(JOB, to, ASSET, broken(40, etag=etag), whole(etag=etag))
    assert "Range" not in stepper.pulls[1].headers
    assert to.read_bytes() == DATA


def test_download_forgets_the_note_of_a_file_that_was_replaced(tmp_path: Path) -> None:
    """A reply without a strong ETag must not inherit the note of an earlier one."""
    to = tmp_path / "out.mp4"
    _, stepper = downloaded(JOB, to, ASSET, broken(40), broken(60, etag=""), whole(b"y" * 100))
    assert "Range" not in stepper.pulls[2].headers
    assert to.read_bytes() == b"y" * 100


def test_download_starts_again_when_the_file_changed(tmp_path: Path) -> None:
    """A 200 to a range request means another file; its bytes replace the old ones."""
    to = tmp_path / "out.mp4"
    downloaded(JOB, to, ASSET, broken(40), whole(b"y" * 100, '"v2"'))
    assert to.read_bytes() == b"y" * 100


def test_download_does_not_trust_a_range_that_it_did_not_request(tmp_path: Path) -> None:
    """Bytes from elsewhere would leave a hole, so it starts again."""
    to = tmp_path / "out.mp4"
    _, stepper = downloaded(JOB, to, ASSET, broken(40), rest(50), whole())
    assert "Range" not in stepper.pulls[2].headers
    assert to.read_bytes() == DATA


def test_download_is_done_when_it_already_had_all_bytes(tmp_path: Path) -> None:
    """A 416 that names the size of the part means that nothing is missing."""
    to = tmp_path / "out.mp4"
    (tmp_path / "out.mp4.part").write_bytes(DATA)
    note = {"asset": "asset_1", "size": 100, "etag": ETAG}
    (tmp_path / "out.mp4.part.json").write_text(json.dumps(note))
    answer = File(416, {"content-range": "bytes */100"})
    _, stepper = downloaded(JOB, to, ASSET, answer)
    assert stepper.pulls[0].headers["Range"] == "bytes=100-"
    assert to.read_bytes() == DATA
    assert listed(tmp_path) == ["out.mp4"]


def test_download_starts_again_when_it_had_too_many_bytes(tmp_path: Path) -> None:
    """A 416 that names another size discards the part."""
    to = tmp_path / "out.mp4"
    (tmp_path / "out.mp4.part").write_bytes(DATA + b"more")
    note = {"asset": "asset_1", "size": 100, "etag": ETAG}
    (tmp_path / "out.mp4.part.json").write_text(json.dumps(note))
    downloaded(JOB, to, ASSET, File(416, {"content-range": "bytes */100"}), whole())
    assert to.read_bytes() == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_download_gets_a_fresh_url_when_the_old_one_is_refused(tmp_path: Path, status: int) -> None:
    """The asset is read again, and the bytes received so far are kept."""
    to = tmp_path / "out.mp4"
    fresh = asset_reply(size=100, url="https://cdn.test/fresh")
    _, stepper = downloaded(JOB, to, ASSET, broken(40), File(status), fresh, rest(40))
    assert stepper.pauses == [0.5]  # after the break; an expired URL costs no pause
    assert stepper.pulls[2].url == "https://cdn.test/fresh"
    assert stepper.pulls[2].headers["Range"] == "bytes=40-"
    assert to.read_bytes() == DATA


def test_download_gives_up_after_several_attempts_without_progress(tmp_path: Path) -> None:
    """The error names the job, nothing has the final name, and the pauses grow."""
    to = tmp_path / "out.mp4"
    error, stepper = failed(JOB, to, ASSET, *[lost()] * FRUITLESS_ATTEMPTS)
    assert isinstance(error, DownloadError)
    assert error.job == JOB
    assert "job_1" in str(error)
    assert "OSError" in str(error)
    assert isinstance(error.__cause__, DownloadError)
    assert stepper.pauses == [0.5, 1.0, 2.0, 4.0]
    assert not to.exists()


LARGE = bytes(range(256)) * (20 * LEAST_PROGRESS // 256)
LARGE_ASSET = asset_reply(size=len(LARGE))


def piece(start: int, end: int) -> File:
    """A file host sends some bytes of the large file, then the connection breaks."""
    headers = {"content-range": f"bytes {start}-{len(LARGE) - 1}/{len(LARGE)}", "etag": ETAG}
    if start == 0:
        headers = {"content-length": str(len(LARGE)), "etag": ETAG}
    return File(206 if start else 200, headers, [LARGE[start:end]], OSError("cut"))


def test_download_goes_on_as_long_as_bytes_arrive(tmp_path: Path) -> None:
    """Any number of breaks is tolerated if enough bytes arrive; each is followed by a pause."""
    to = tmp_path / "out.mp4"
    cuts = range(0, len(LARGE), LEAST_PROGRESS)
    pieces = [piece(at, at + LEAST_PROGRESS) for at in cuts]
    _, stepper = downloaded(JOB, to, LARGE_ASSET, *pieces[:-1], rest(cuts[-1], LARGE))
    assert len(stepper.pulls) == 20
    assert stepper.pauses == [0.5] * 19
    assert to.read_bytes() == LARGE


def test_download_counts_attempts_since_the_last_progress(tmp_path: Path) -> None:
    """Faults before enough bytes arrived no longer count."""
    to = tmp_path / "out.mp4"
    faults: list[Answer] = [lost()] * (FRUITLESS_ATTEMPTS - 1)
    first, last = piece(0, LEAST_PROGRESS), rest(LEAST_PROGRESS, LARGE)
    downloaded(JOB, to, LARGE_ASSET, *faults, first, *faults, last)
    assert to.read_bytes() == LARGE


@pytest.mark.parametrize("count", [1, LEAST_PROGRESS // FRUITLESS_ATTEMPTS])
def test_download_ends_when_each_attempt_brings_a_few_bytes(tmp_path: Path, count: int) -> None:
    """They would otherwise be as many as the file has bytes. What came is left to the next call."""
    pieces = [piece(at * count, (at + 1) * count) for at in range(FRUITLESS_ATTEMPTS)]
    error, stepper = failed(JOB, tmp_path / "out.mp4", LARGE_ASSET, *pieces)
    assert "did not arrive whole in 5 attempts" in str(error)
    assert stepper.pauses == [0.5, 1.0, 2.0, 4.0]
    assert (tmp_path / "out.mp4.part").stat().st_size == FRUITLESS_ATTEMPTS * count


def test_the_bytes_of_an_earlier_call_are_no_progress(tmp_path: Path) -> None:
    """Only what comes now counts."""
    to = tmp_path / "out.mp4"
    failed(JOB, to, LARGE_ASSET, piece(0, LEAST_PROGRESS), *[lost()] * FRUITLESS_ATTEMPTS)
    error, _ = failed(JOB, to, LARGE_ASSET, *[lost()] * FRUITLESS_ATTEMPTS)
    assert "did not arrive whole in 5 attempts" in str(error)


def test_urls_that_expire_at_once_end(tmp_path: Path) -> None:
    """The first fresh one is asked at once, each further one after a pause."""
    answers = [answer for _ in range(FRUITLESS_ATTEMPTS) for answer in (ASSET, File(403))]
    error, stepper = failed(JOB, tmp_path / "out.mp4", *answers)
    assert "its host answered 403" in str(error)
    assert stepper.pauses == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("status", [408, 429, 500, 503, 520])
def test_download_tries_again_after_a_temporary_fault(tmp_path: Path, status: int) -> None:
    """The same URL, after a pause; an error page is not part of the file."""
    to = tmp_path / "out.mp4"
    _, stepper = downloaded(JOB, to, ASSET, File(status, {}, [b"<html>"]), whole())
    assert stepper.pauses == [0.5]
    assert to.read_bytes() == DATA


@pytest.mark.parametrize(
    "answer", [File(400), File(204), File(451), whole(headers={"content-encoding": "gzip"})],
    ids=repr,
)  # fmt: skip
def test_download_gives_up_at_once_on_a_reply_that_will_not_change(
    tmp_path: Path, answer: File
) -> None:
    """A refusal, or bytes that cannot be the file's."""
    error, stepper = failed(JOB, tmp_path / "out.mp4", ASSET, answer)
    assert isinstance(error, DownloadError)
    assert len(stepper.pulls) == 1
    assert listed(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        whole(DATA[:90]),
        File(200, {"content-length": "100", "etag": ETAG}, [DATA[:90]]),
        File(200, {"etag": ETAG}, [DATA[:90]]),
        File(200, {"etag": ETAG}, []),
    ],
    ids=["shorter file", "shorter than said", "shorter than the record", "nothing"],
)
def test_download_never_accepts_a_file_of_the_wrong_length(tmp_path: Path, answer: File) -> None:
    """Both the reply's length and the asset's size count."""
    to = tmp_path / "out.mp4"
    error, stepper = failed(JOB, to, ASSET, *[answer] * FRUITLESS_ATTEMPTS)
    assert isinstance(error, DownloadError)
    assert "length" in str(error)
    assert not to.exists()
    assert len(stepper.pulls) == FRUITLESS_ATTEMPTS


@pytest.mark.parametrize(
    ("asset", "answer"),
    [
        (ASSET, File(200, {"content-length": "100", "etag": ETAG}, [DATA, b"more"])),
        (ASSET, File(200, {"etag": ETAG}, [DATA, b"more"])),
        (asset_reply(), File(200, {"content-length": "100"}, [DATA, b"more"])),
    ],
)
def test_download_never_accepts_a_file_that_is_longer_than_announced(
    tmp_path: Path, asset: Answer, answer: File
) -> None:
    """A flood of bytes is cut off, and does not get the final name."""
    to = tmp_path / "out.mp4"
    error, _ = failed(JOB, to, asset, *[answer] * FRUITLESS_ATTEMPTS)
    assert isinstance(error, DownloadError)
    assert error.job == JOB
    assert not to.exists()


def test_download_recovers_from_a_leftover_that_is_too_long(tmp_path: Path) -> None:
    """A flood that was cut off does not spoil the next call."""
    to = tmp_path / "out.mp4"
    flood = File(200, {"content-length": "100", "etag": ETAG}, [DATA, b"more"])
    failed(JOB, to, ASSET, *[flood] * FRUITLESS_ATTEMPTS)

    def script(step: Any) -> Answer:
        if isinstance(step, Send):
            return ASSET
        ranged = "Range" in step.headers
        return File(416, {"content-range": "bytes */100"}) if ranged else whole()

    stepper = Stepper(script=script)
    stepper.run(download(Operations(), JOB, to, overwrite=False, on_progress=None))
    assert to.read_bytes() == DATA


def test_download_of_unknown_length_ends_with_the_reply(tmp_path: Path) -> None:
    """Without any size, HTTP's own mark is the end of the file, if there is one."""
    to = tmp_path / "out.mp4"
    downloaded(JOB, to, asset_reply(), File(200, {"transfer-encoding": "Chunked"}, [DATA]))
    assert to.read_bytes() == DATA


def test_download_whose_end_nobody_states_is_an_error(tmp_path: Path) -> None:
    """Neither the API, nor the reply, nor the file: it may have been cut. It is not asked again."""
    error, stepper = failed(JOB, tmp_path / "out.mp4", asset_reply(), File(200, {}, [DATA]))
    assert isinstance(error, DownloadError)
    assert error.job == JOB
    assert "neither its host nor the API stated its length" in str(error)
    assert len(stepper.pulls) == 1
    assert listed(tmp_path) == []


@pytest.mark.parametrize("size", [0, -1, 1e300, 2**63, True, "100", [], None], ids=repr)
def test_a_size_that_no_file_has_is_none(tmp_path: Path, size: Any) -> None:
    """The reply's own length then counts."""
    to = tmp_path / "out.mp4"
    asset = reply({"asset": asset_record(properties={"size": size})})
    downloaded(JOB, to, asset, whole())
    assert to.read_bytes() == DATA
    flood = File(200, {"content-length": str(MOST_BYTES + 1)})
    error, stepper = failed(JOB, tmp_path / "more.mp4", asset, flood)
    assert f"more than the limit of {MOST_BYTES} bytes" in str(error)
    assert len(stepper.pulls) == 1


@pytest.mark.parametrize(
    "head",
    [
        File(200, {"content-length": "101", "etag": ETAG}, [DATA]),
        File(200, {"content-length": "9" * 5000, "etag": ETAG}, [DATA]),
    ],
    ids=["one more", "5,000 digits"],
)
def test_a_reply_above_the_limit_is_refused_before_a_byte_is_written(
    tmp_path: Path, head: File
) -> None:
    """The limit is the size that the API states; there is no second attempt."""
    told: list[int] = []
    stepper = Stepper(ASSET, head)
    flow = download(
        Operations(), JOB, tmp_path / "out.mp4", overwrite=False,
        on_progress=lambda done, _: told.append(done),
    )  # fmt: skip
    with pytest.raises(DownloadError, match="limit of 100 bytes, as the API states") as caught:
        stepper.run(flow)
    assert caught.value.job == JOB
    assert set(told) == {0}
    assert listed(tmp_path) == []


def test_a_body_without_a_length_stops_at_the_limit(tmp_path: Path) -> None:
    """Not one byte more is on disk, and none is resumed."""
    to = tmp_path / "out.mp4"
    sizes: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            yield DATA[:30]
            sizes.append((tmp_path / "out.mp4.part").stat().st_size)

    answer = File(200, {"etag": ETAG}, cast("Sequence[bytes]", endless()))
    error, stepper = failed(JOB, to, ASSET, answer)
    assert "asset_1 is longer than the limit of 100 bytes, as the API states" in str(error)
    assert len(stepper.pulls) == 1
    assert max(sizes) <= 100
    assert listed(tmp_path) == []


@pytest.mark.parametrize(
    "etag",
    [
        '"\xe9"',
        '"a\r\nX: y"',
        '"' + "x" * 1_000_000 + '"',
        '"a" "b"',
        '"',
        '"\u0669"',
        '"a',
        '"\0"',
    ],
    ids=range(8),
)
def test_an_odd_etag_is_none(tmp_path: Path, etag: str) -> None:
    """It could not be sent back; neither from a reply, nor from a note that somebody changed."""
    to = tmp_path / "out.mp4"
    _, stepper = downloaded(JOB, to, ASSET, broken(40, etag=etag), whole())
    assert stepper.pulls[1].headers == {"Accept-Encoding": "identity"}
    (tmp_path / "b.mp4.part").write_bytes(DATA[:40])
    note = {"asset": "asset_1", "size": 100, "etag": etag}
    (tmp_path / "b.mp4.part.json").write_text(json.dumps(note))
    _, stepper = downloaded(JOB, tmp_path / "b.mp4", ASSET, whole())
    assert stepper.pulls[0].headers == {"Accept-Encoding": "identity"}


@pytest.mark.parametrize(
    "note", ["[" * 100_000, '{"size": ' + "9" * 5000 + "}", "{" * 4000, "\ud800", " " * 10**6]
)
def test_a_hostile_note_is_none(tmp_path: Path, note: str) -> None:
    """Nested too deeply, with numbers too long, not UTF-8, large."""
    to = tmp_path / "out.mp4"
    (tmp_path / "out.mp4.part").write_bytes(b"x" * 40)
    (tmp_path / "out.mp4.part.json").write_bytes(note.encode("utf-8", "surrogatepass"))
    downloaded(JOB, to, ASSET, whole())
    assert to.read_bytes() == DATA


def test_a_folder_that_is_removed_during_a_download_is_an_error(tmp_path: Path) -> None:
    """The error names the job, from which it can be downloaded again."""
    folder = tmp_path / "out"

    def chunks() -> Iterator[bytes]:
        yield DATA[:30]
        shutil.rmtree(folder)
        yield DATA[30:]

    removed = File(200, {"content-length": "100"}, cast("Sequence[bytes]", chunks()))
    error, _ = failed(JOB, folder / "out.mp4", ASSET, removed, whole())
    assert isinstance(error, DownloadError)
    assert error.job == JOB


def test_download_never_accepts_an_empty_file(tmp_path: Path) -> None:
    """A video has at least one byte, whatever the length says."""
    empty = File(200, {"content-length": "0"})
    error, _ = failed(JOB, tmp_path / "o.mp4", asset_reply(), *[empty] * FRUITLESS_ATTEMPTS)
    assert isinstance(error, DownloadError)
    assert listed(tmp_path) == []


def test_download_shows_no_part_under_the_final_name(tmp_path: Path) -> None:
    """The target does not exist while bytes arrive, nor after a break."""
    to = tmp_path / "out.mp4"
    seen: list[bool] = []
    downloaded(
        JOB, to, ASSET, broken(40), rest(40), on_progress=lambda *_: seen.append(to.exists())
    )
    assert seen
    assert not any(seen)


def test_download_keeps_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """Overwriting replaces the file in one step, once the new one is whole."""
    to = tmp_path / "out.mp4"
    to.write_bytes(b"old")
    failed(JOB, to, ASSET, *[lost()] * FRUITLESS_ATTEMPTS, overwrite=True)
    assert to.read_bytes() == b"old"
    downloaded(JOB, to, ASSET, whole(), overwrite=True)
    assert to.read_bytes() == DATA


def test_download_reports_its_progress(tmp_path: Path) -> None:
    """Done and total bytes; earlier bytes count, and lost ones do not count twice."""
    told: list[tuple[int, int | None]] = []
    downloaded(
        JOB, tmp_path / "o.mp4", ASSET, broken(40), rest(40),
        on_progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[-1] == (100, 100)
    assert (40, 100) in told
    assert max(done for done, _ in told) == 100


def test_download_reports_no_total_when_the_size_is_unknown(tmp_path: Path) -> None:
    """None stands for a size that the server does not give."""
    told: list[int | None] = []
    downloaded(
        JOB, tmp_path / "o.mp4", asset_reply(), whole(),
        on_progress=lambda _, total: told.append(total),
    )  # fmt: skip
    assert set(told) == {None}


def test_download_puts_a_job_s_assets_in_order(tmp_path: Path) -> None:
    """By `outputIndex`, into `name`, `name-2`, ..., with one progress over all."""
    job = Job(id="job_1", status="success", asset_ids=("asset_b", "asset_a"))
    told: list[tuple[int, int | None]] = []
    files, _ = downloaded(
        job, tmp_path / "out.mp4",
        asset_reply("asset_b", size=2, outputIndex=1),
        asset_reply("asset_a", size=3, outputIndex=0),
        whole(b"aaa"), whole(b"bb"),
        on_progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert files == [tmp_path / "out.mp4", tmp_path / "out-2.mp4"]
    assert [file.read_bytes() for file in files] == [b"aaa", b"bb"]
    assert told[-1] == (5, 5)


@pytest.mark.parametrize(
    ("mime", "name"),
    [
        ("video/mp4", "asset_1.mp4"),
        ("video/webm", "asset_1.webm"),
        ("video/quicktime", "asset_1.mov"),
        ("application/x-sh", "asset_1.mp4"),
        ("", "asset_1.mp4"),
    ],
)
@pytest.mark.parametrize("ending", ["", "/", "/new/", "/a/b/"])
def test_download_names_files_after_the_asset_in_a_folder(
    tmp_path: Path, mime: str, name: str, ending: str
) -> None:
    """An existing folder, or a path that ends in a separator, which is created if missing."""
    to = f"{tmp_path}{ending}"
    files, _ = downloaded(JOB, to, asset_reply(size=100, mimeType=mime), whole())
    assert files == [Path(to) / name]
    assert files[0].read_bytes() == DATA


def test_targets_count_up_from_two() -> None:
    """Several assets and one name."""
    assets = [Asset(id=f"asset_{n}", url="https://cdn.test") for n in range(3)]
    found = targets(Path("d/name.mp4"), into_folder=False, assets=assets)
    assert found == [Path("d/name.mp4"), Path("d/name-2.mp4"), Path("d/name-3.mp4")]
    assert targets(Path("d/x"), into_folder=False, assets=assets[:1]) == [Path("d/x")]
    assert targets(Path("d/x"), into_folder=False, assets=[]) == []


def test_download_makes_the_missing_parent(tmp_path: Path) -> None:
    """Missing folders above the file are created."""
    files, _ = downloaded(JOB, tmp_path / "a" / "b" / "out.mp4", ASSET, whole())
    assert files[0].read_bytes() == DATA


def test_download_refuses_an_existing_target(tmp_path: Path) -> None:
    """Nothing is requested, and the file is left alone."""
    to = tmp_path / "out.mp4"
    to.write_bytes(b"old")
    error, stepper = failed(JOB, to)
    assert isinstance(error, InvalidInputError)
    assert "overwrite" in str(error)
    assert stepper.requests == []
    assert to.read_bytes() == b"old"


def test_download_refuses_any_existing_target_before_it_fetches(tmp_path: Path) -> None:
    """If a second file's name is taken, not even the first file is fetched."""
    (tmp_path / "out-2.mp4").write_bytes(b"old")
    job = Job(id="job_1", status="success", asset_ids=("asset_a", "asset_b"))
    error, stepper = failed(
        job, tmp_path / "out.mp4", asset_reply("asset_a"), asset_reply("asset_b")
    )
    assert isinstance(error, InvalidInputError)
    assert "out-2.mp4" in str(error)
    assert stepper.pulls == []


def test_download_does_not_replace_a_file_that_appears_meanwhile(tmp_path: Path) -> None:
    """Another program's file that was written in between is kept."""
    to = tmp_path / "out.mp4"
    error, _ = failed_when_target_appears(to)
    assert isinstance(error, DownloadError)
    assert "already exists" in str(error)
    assert to.read_bytes() == b"theirs"


def failed_when_target_appears(to: Path) -> tuple[ReframeError, Stepper]:
    """Download, stepped by hand, while another program writes the target."""

    def script(step: Any) -> Answer:
        if isinstance(step, Pull):
            to.write_bytes(b"theirs")
            return whole()
        return ASSET

    stepper = Stepper(script=script)
    with pytest.raises(ReframeError) as caught:
        stepper.run(download(Operations(), JOB, to, overwrite=False, on_progress=None))
    return caught.value, stepper


@pytest.mark.parametrize("bad", ["", "a\0b", b"bytes", "x" * 300, 5, None])
def test_check_destination_refuses_what_is_not_a_path(tmp_path: Path, bad: Any) -> None:
    """Empty, with null bytes, too long, or of another type."""
    to = tmp_path / bad if bad == "x" * 300 else bad
    with pytest.raises(InvalidInputError, match="to:"):
        check_destination(to, overwrite=False)


def test_check_destination_refuses_a_file_as_a_folder(tmp_path: Path) -> None:
    """A separator after a file's name, or a file where a folder must be."""
    (tmp_path / "file").write_bytes(b"")
    for bad in (f"{tmp_path}/file/", f"{tmp_path}/file/out.mp4", f"{tmp_path}/file/x/"):
        with pytest.raises(InvalidInputError, match="to:"):
            check_destination(bad, overwrite=True)


def test_check_destination_refuses_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found before anything is paid for, not after."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InvalidInputError, match="cannot be written"):
        check_destination(tmp_path / "out.mp4", overwrite=False)


@pytest.mark.parametrize("place", ["write", "open"])
def test_download_reports_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A DownloadError names the job and quotes the system's message."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((PartFile, "write", full) if place == "write" else (Path, "open", full)))
    error, _ = failed(JOB, tmp_path / "out.mp4", ASSET, whole())
    assert isinstance(error, DownloadError)
    assert "No space left on device" in str(error)
    assert "job_1" in str(error)
    assert isinstance(error.__cause__, OSError)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("what", ["job_1", Job(id="job_1", status="queued")], ids=repr)
def test_download_reads_a_job_that_is_not_known_to_be_done(what: Job | str, tmp_path: Path) -> None:
    """An id, or a job as it was before it was done."""
    ready = job_reply("success", metadata={"assetIds": ["asset_1"]})
    files, stepper = downloaded(what, tmp_path / "o.mp4", ready, ASSET, whole())
    assert files[0].read_bytes() == DATA
    assert stepper.sent == ["GET /jobs/job_1", "GET /assets/asset_1"]


@pytest.mark.parametrize(
    "what", ["asset_1", Asset(id="asset_1", url="https://cdn.test/old")], ids=repr
)
def test_download_accepts_an_asset(what: Asset | str, tmp_path: Path) -> None:
    """An asset or its id; its URL may have expired, so a fresh one is requested."""
    files, stepper = downloaded(what, tmp_path / "o.mp4", ASSET, whole())
    assert files[0].read_bytes() == DATA
    assert stepper.sent == ["GET /assets/asset_1"]
    assert stepper.pulls[0].url == "https://cdn.test/asset_1?Signature=s"


@pytest.mark.parametrize("status", ["queued", "failure", "canceled", "new"])
def test_download_refuses_a_job_without_a_result(status: str, tmp_path: Path) -> None:
    """The error names the status and carries the job."""
    error, _ = failed("job_1", tmp_path / "o.mp4", job_reply(status))
    assert isinstance(error, DownloadError)
    assert error.job is not None
    assert status in str(error)


@pytest.mark.parametrize("metadata", [None, {}, {"assetIds": []}, {"assetIds": [None, 5]}])
def test_download_refuses_a_job_that_names_no_asset(metadata: Any, tmp_path: Path) -> None:
    """A success without a result is an error of its own."""
    answer = reply({"job": job_record(status="success", metadata=metadata)})
    error, _ = failed("job_1", tmp_path / "o.mp4", answer)
    assert isinstance(error, DownloadError)
    assert "names no asset" in str(error)


@pytest.mark.parametrize("bad", ["", "..", "a/b", "asset_../x", 5])
def test_download_refuses_what_is_not_an_id(bad: Any, tmp_path: Path) -> None:
    """An id that would make another address is refused before anything is sent."""
    error, stepper = failed(bad, tmp_path / "o.mp4")
    assert isinstance(error, InvalidInputError)
    assert stepper.requests == []


def test_download_never_leaves_the_folder_by_an_asset_s_id(tmp_path: Path) -> None:
    """An asset id from the server that is a path is refused."""
    folder = tmp_path / "out"
    folder.mkdir()
    job = Job(id="job_1", status="success", asset_ids=("../../escaped",))
    error, stepper = failed(job, folder)
    assert isinstance(error, ReframeError)
    assert stepper.pulls == []
    assert listed(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("answer", "kind"), [(reply({}, 404), NotFoundError), (reply({}, 401), ApiError)]
)
def test_download_raises_the_api_s_refusal_of_an_asset(
    tmp_path: Path, answer: Answer, kind: type[ReframeError]
) -> None:
    """Before a byte is fetched, the API's own error is the clearest."""
    error, _ = failed("asset_1", tmp_path / "o.mp4", answer)
    assert isinstance(error, kind)


def test_download_reports_an_asset_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    """The URL has expired and the asset is unknown: the error names the job."""
    error, _ = failed(JOB, tmp_path / "o.mp4", ASSET, File(403), reply({}, 404))
    assert isinstance(error, DownloadError)
    assert error.job == JOB
    assert isinstance(error.__cause__, NotFoundError)


@pytest.mark.parametrize("async_like", [True, False])
def test_progress_of_a_leftover_is_reported_by_a_step(tmp_path: Path, async_like: bool) -> None:
    """A callback is only called where a driver can await its result."""
    dropped: list[int] = []

    class Later:
        """Stands for a coroutine, which must reach the driver."""

        def __init__(self, done: int) -> None:
            dropped.append(done)

    kept: list[Any] = []

    class Keeping(Stepper):
        def _perform(self, step: Any) -> Any:
            found = super()._perform(step)
            if isinstance(found, Later):
                kept.append(found)
            return found

        def _pull(self, step: Pull) -> Any:
            add = step.progress.add
            step.progress.add = lambda count: kept.append(add(count))  # type: ignore[method-assign]
            return super()._pull(step)

    stepper = Keeping(ASSET, broken(40), rest(40))
    callback = (
        (lambda done, _: Later(done)) if async_like else (lambda done, _: dropped.append(done))
    )
    flow = download(Operations(), JOB, tmp_path / "o.mp4", overwrite=False, on_progress=callback)
    stepper.run(flow)
    assert dropped
    if async_like:
        assert len([item for item in kept if isinstance(item, Later)]) == len(dropped)


def test_part_file_that_is_not_open_writes_nothing(tmp_path: Path) -> None:
    """A sink that did not accept its reply takes no bytes and can be closed."""
    part = PartFile(tmp_path / "o.mp4", Asset(id="asset_1", url="https://cdn.test"))
    assert not part.accept(503, {})
    part.write(b"x")
    part.close()
    assert listed(tmp_path) == []


def test_progress_without_a_callback_counts() -> None:
    """The callback is optional."""
    progress = Progress(None, 10)
    assert progress.add(3) is None
    assert progress.done == 3
