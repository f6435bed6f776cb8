"""Uploading or importing a video, stepped by hand."""

import errno
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from scenario_reframe import ApiError, ReframeError, UploadError
from scenario_reframe.api.parsing import Part, Upload
from scenario_reframe.flow.steps import Progress, Push, Reply, Send, Together
from scenario_reframe.uploading import (
    MAX_PARTS,
    PART_ATTEMPTS,
    PART_BYTES,
    part_urls,
    plan_parts,
    upload,
    upload_or_import,
    wait_until_imported,
)
from scenario_reframe.video import VideoAsset, VideoFile, VideoUrl, open_video
from stepping import Answer, Stepper, asset_reply, lost, reply

HEAD = b"\x00\x00\x00\x18ftypmp42"


@pytest.fixture
def clip(tmp_path: Path) -> VideoFile:
    """A file of 40 bytes that begins like an MP4."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(HEAD + bytes(range(28)))
    return open_video(path)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 16 bytes."""
    monkeypatch.setattr("scenario_reframe.uploading.plan_parts", lambda size: plan_parts(size, 16))


def record(status: str = "pending", parts: int = 0, tag: str = "", **more: Any) -> Reply:
    """A reply that holds an upload."""
    urls = [{"number": n, "url": f"https://s3.test/{n}{tag}"} for n in range(1, parts + 1)]
    return reply({"upload": {"id": "upload_1", "status": status, "parts": urls, **more}})


DONE = record("imported", entityId="asset_in")
OK = reply(b"", 200)


def uploaded(video: Any, *answers: Answer, **more: Any) -> tuple[str, Stepper]:
    """Upload or import a video, stepped by hand: its asset's id, and the steps."""
    stepper = Stepper(*answers)
    return stepper.run(upload_or_import(stepper.operations(), video, **more)), stepper


def failed(video: Any, *answers: Answer) -> tuple[ReframeError, Stepper]:
    """Upload or import a video, stepped by hand, with an error: the error, and the steps."""
    stepper = Stepper(*answers)
    with pytest.raises(ReframeError) as caught:
        stepper.run(upload_or_import(stepper.operations(), video))
    return caught.value, stepper


@pytest.mark.parametrize(
    ("size", "lengths"),
    [
        (1, [1]),
        (PART_BYTES - 1, [PART_BYTES - 1]),
        (PART_BYTES, [PART_BYTES]),
        (PART_BYTES + 1, [PART_BYTES, 1]),
        (PART_BYTES * 3, [PART_BYTES] * 3),
    ],
)
def test_plan_parts_cuts_equal_pieces_and_a_rest(size: int, lengths: list[int]) -> None:
    """Parts of 8 MiB, and a shorter last one."""
    plan = plan_parts(size)
    assert [part.length for part in plan] == lengths
    assert [part.number for part in plan] == list(range(1, len(lengths) + 1))


@pytest.mark.parametrize("size", [PART_BYTES * MAX_PARTS + 1, 5 * 2**40, 10**15 + 7])
def test_plan_parts_makes_no_more_than_s3_takes(size: int) -> None:
    """A giant file gets larger parts, which still cover it without gap or overlap."""
    plan = plan_parts(size)
    assert len(plan) <= MAX_PARTS
    ends = [part.offset + part.length for part in plan]
    assert [part.offset for part in plan] == [0, *ends[:-1]]
    assert ends[-1] == size


def test_asset_is_not_uploaded_again() -> None:
    """What the server has is not sent."""
    asset_id, stepper = uploaded(VideoAsset("asset_in"))
    assert asset_id == "asset_in"
    assert stepper.steps == []


def test_url_is_imported() -> None:
    """The server fetches it; the import is polled to its end."""
    asset_id, stepper = uploaded(
        VideoUrl("https://web.test/a.mp4"), record("validating"), record("validated"), DONE
    )
    assert asset_id == "asset_in"
    assert stepper.requests[0].body == {"kind": "video", "url": "https://web.test/a.mp4"}
    assert stepper.sent == ["POST /uploads", "GET /uploads/upload_1", "GET /uploads/upload_1"]


def test_file_is_announced_sent_and_completed(clip: VideoFile, small_parts: None) -> None:
    """Every byte is sent once, to its part's URL, without credentials."""
    told: list[tuple[int, int | None]] = []
    asset_id, stepper = uploaded(
        clip, record(parts=3), OK, reply(b"", 201), reply(b"", 204), record("validating"), DONE,
        on_progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert asset_id == "asset_in"
    assert stepper.requests[0].body == {
        "kind": "video",
        "fileName": "clip.mp4",
        "contentType": "video/mp4",
        "fileSize": 40,
        "parts": 3,
    }
    assert b"".join(stepper.pushed) == clip.path.read_bytes()
    assert [push.url for push in stepper.pushes] == [f"https://s3.test/{n}" for n in (1, 2, 3)]
    assert [push.headers for push in stepper.pushes] == [
        {"Content-Type": "video/mp4", "Content-Length": length} for length in ("16", "16", "8")
    ]
    assert stepper.sent[-2:] == ["POST /uploads/upload_1/action", "GET /uploads/upload_1"]
    assert stepper.requests[1].body == {"action": "complete"}
    assert told == [(16, 40), (32, 40), (40, 40)]


def test_parts_are_sent_side_by_side(clip: VideoFile, small_parts: None) -> None:
    """Four at once, whatever their number."""
    _, stepper = uploaded(clip, record(parts=3), OK, OK, OK, DONE)
    (together,) = [step for step in stepper.steps if isinstance(step, Together)]
    assert (len(together.flows), together.limit) == (3, 4)


def test_file_name_that_is_not_unicode_can_be_announced(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are replaced."""
    path = Path(f"{tmp_path}/a\udcffb.mp4")
    path.write_bytes(HEAD)
    _, stepper = uploaded(open_video(path), record(parts=1), OK, DONE)
    body = stepper.requests[0].body
    assert body is not None
    assert body["fileName"] == "a?b.mp4"


def test_upload_gives_the_asset(clip: VideoFile) -> None:
    """The asset is read once the import is done."""
    stepper = Stepper(record(parts=1), OK, DONE, asset_reply("asset_in", size=40))
    asset = stepper.run(upload(stepper.operations(), clip, None))
    assert (asset.id, asset.size) == ("asset_in", 40)


@pytest.mark.parametrize(
    "fault", [lost(), lost(sent=False), reply(b"", 500), reply(b"", 400), reply(b"", 307)], ids=repr
)
def test_failed_part_is_sent_again(clip: VideoFile, fault: Answer) -> None:
    """The same bytes to the same URL, after a pause; progress counts them once."""
    told: list[int] = []
    _, stepper = uploaded(
        clip, record(parts=1), fault, OK, DONE, on_progress=lambda done, _: told.append(done)
    )
    assert stepper.pushed == [clip.path.read_bytes()] * 2
    assert stepper.pauses == [0.5]
    assert told == [40, 40]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_expired_part_url_is_replaced(clip: VideoFile, status: int) -> None:
    """A part's URL that has expired is read again."""
    _, stepper = uploaded(
        clip, record(parts=1), reply(b"", status), record(parts=1, tag="-new"), OK, DONE
    )
    assert [push.url for push in stepper.pushes] == ["https://s3.test/1", "https://s3.test/1-new"]


def test_fresh_part_url_is_used_though_others_are_missing(
    clip: VideoFile, small_parts: None
) -> None:
    """When the upload is read again, only the part at hand must be in it."""
    only = reply(
        {"upload": {"id": "upload_1", "status": "pending",
                    "parts": [{"number": 2, "url": "https://s3.test/new"}]}}
    )  # fmt: skip
    _, stepper = uploaded(clip, record(parts=3), OK, reply(b"", 403), only, OK, OK, DONE)
    assert [push.url for push in stepper.pushes][2] == "https://s3.test/new"


@pytest.mark.parametrize(
    ("fault", "words"),
    [(lost(), "OSError"), (reply(b"<Error>SlowDown</Error>", 503), "503: <Error>SlowDown</Error>")],
)
def test_part_is_given_up_after_several_tries(clip: VideoFile, fault: Answer, words: str) -> None:
    """The error names the part and the last fault."""
    error, stepper = failed(clip, record(parts=1), *[fault] * PART_ATTEMPTS)
    assert isinstance(error, UploadError)
    assert "part 1" in str(error)
    assert words in str(error)
    assert len(stepper.pushes) == PART_ATTEMPTS
    assert stepper.pauses == [0.5, 1.0, 2.0, 4.0]


def test_a_lost_part_names_its_cause(clip: VideoFile) -> None:
    """The error's cause is what broke the connection."""
    error, _ = failed(clip, record(parts=1), *[lost()] * PART_ATTEMPTS)
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize(
    "parts",
    [
        None,
        [],
        [{"number": 1, "url": "https://s3.test/1"}],
        [{"number": n, "url": None} for n in (1, 2, 3)],
        [{"number": n, "url": ""} for n in (1, 2, 3)],
        [{"url": "https://s3.test/1"}] * 3,
        [{"number": 1, "url": "https://s3.test/1"}] * 3,
    ],
)
def test_upload_without_a_url_for_every_part_is_an_error(
    clip: VideoFile, small_parts: None, parts: Any
) -> None:
    """It is raised before any byte is sent."""
    error, stepper = failed(
        clip, reply({"upload": {"id": "upload_1", "status": "pending", "parts": parts}})
    )
    assert isinstance(error, UploadError)
    assert "of 3 parts" in str(error)
    assert stepper.pushes == []


def test_part_urls_ignores_surplus_parts() -> None:
    """URLs of unknown parts do no harm."""
    parts = (Part(1, "https://a"), Part(2, "https://b"))
    found = part_urls(Upload("upload_1", "pending", None, None, parts), 1)
    assert found[1] == "https://a"


@pytest.mark.parametrize("change", ["touched", "longer", "gone"])
def test_file_that_changes_while_it_is_sent_is_an_error(clip: VideoFile, change: str) -> None:
    """A video that is half old and half new is not completed."""

    def script(step: Any) -> Answer:
        if isinstance(step, Send):
            return record(parts=1)
        if change == "gone":
            clip.path.unlink()
        else:
            clip.path.write_bytes(HEAD + bytes(28 if change == "touched" else 29))
        return OK

    if change == "touched":
        clip = evolve(clip, changed=clip.changed - 1)
    stepper = Stepper(script=script)
    with pytest.raises(UploadError, match=r"clip\.mp4"):
        stepper.run(upload_or_import(stepper.operations(), clip))
    assert stepper.sent == ["POST /uploads"]


def test_file_that_became_shorter_is_an_error(clip: VideoFile) -> None:
    """The missing bytes cannot be sent, before they are read or while they are."""
    clip.path.write_bytes(HEAD + bytes(10**6))
    chunks = open_video(clip.path).read(0, 10**6)
    next(chunks)
    clip.path.write_bytes(HEAD)
    with pytest.raises(UploadError, match="shorter"):
        list(chunks)
    with pytest.raises(UploadError, match="changed or replaced"):
        uploaded(clip, record(parts=1))


def test_file_that_cannot_be_read_is_an_upload_error(clip: VideoFile) -> None:
    """It quotes the disk's error."""
    clip.path.unlink()
    with pytest.raises(UploadError, match="cannot be read") as caught:
        uploaded(clip, record(parts=1))
    assert isinstance(caught.value.__cause__, OSError)


def test_upload_goes_on_when_only_the_reply_to_complete_was_lost(clip: VideoFile) -> None:
    """The second try is refused, but the upload is no longer pending."""
    asset_id, stepper = uploaded(
        clip,
        record(parts=1),
        OK,
        lost(),
        reply({"reason": "done"}, 400),
        record("validating"),
        DONE,
    )
    assert asset_id == "asset_in"
    assert stepper.sent.count("POST /uploads/upload_1/action") == 2


def test_refusal_of_complete_is_raised_while_the_upload_is_pending(clip: VideoFile) -> None:
    """Then the refusal is real, and is raised unchanged."""
    error, _ = failed(clip, record(parts=1), OK, reply({"reason": "no"}, 400), record("pending"))
    assert isinstance(error, ApiError)
    assert error.status_code == 400


@pytest.mark.parametrize(
    ("more", "words"),
    [({"errorMessage": "not a video"}, "not a video"), ({}, "no reason given")],
)
def test_failed_import_is_an_error(more: dict[str, Any], words: str) -> None:
    """It quotes the server's reason."""
    error, _ = failed(VideoUrl("https://web.test/a"), record(), record("failed", **more))
    assert isinstance(error, UploadError)
    assert words in str(error)


def test_failing_polls_of_the_import_are_repeated() -> None:
    """Even four in a row, which end a single read."""
    answers = [reply({}, 500)] * 4
    asset_id, _ = uploaded(VideoUrl("https://web.test/a"), record(), *answers, DONE)
    assert asset_id == "asset_in"


def test_refused_poll_of_the_import_is_an_error() -> None:
    """A refusal is not temporary."""
    error, _ = failed(VideoUrl("https://web.test/a"), record(), reply({}, 403))
    assert isinstance(error, ApiError)


@pytest.mark.parametrize(
    "stuck", [record("validating"), record("imported"), record("new-state")], ids=repr
)
def test_import_gives_up_at_its_deadline(stuck: Reply) -> None:
    """An upload that never becomes an asset fails after a quarter of an hour."""
    stepper = Stepper(script=lambda _: stuck)
    waiting = Upload("upload_1", "pending", None, None, ())
    with pytest.raises(UploadError, match="upload_1 was not imported"):
        stepper.run(wait_until_imported(stepper.operations(), waiting))
    longest = stepper.timing.longest_import
    assert longest <= stepper.now - 1000 < longest + 6


@pytest.mark.parametrize(
    "answer",
    [reply({}), reply({"upload": None}), reply({"upload": {"id": None}}), reply({"upload": 5}),
     reply({"upload": {"id": "upload_1", "parts": [5]}}), reply([]), reply(b"<html>")],
    ids=repr,
)  # fmt: skip
def test_announcement_with_a_senseless_answer_is_repeated(answer: Reply) -> None:
    """An announcement costs nothing, so it is repeated a few times."""
    asset_id, stepper = uploaded(VideoUrl("https://web.test/a"), answer, DONE)
    assert asset_id == "asset_in"
    error, stepper = failed(VideoUrl("https://web.test/a"), *[answer] * 4)
    assert isinstance(error, ReframeError)
    assert stepper.pauses == [0.5, 1.0, 2.0]


def test_progress_is_taken_back_with_a_failed_attempt() -> None:
    """Only what arrived counts, and undoing does not call the callback."""
    told: list[int] = []
    progress = Progress(lambda done, _: told.append(done), 30)
    first, second = progress.attempt(), progress.attempt()
    first.add(10)
    second.add(5)
    first.undo()
    assert (progress.done, told) == (5, [10, 15])


def test_push_hides_its_url() -> None:
    """A signed URL stays out of reprs."""
    push = Push("https://s3.test/1?Signature=s", {}, lambda: (_ for _ in ()), Progress(None, None))
    assert "Signature" not in repr(push)


def test_file_that_cannot_be_checked_again_is_an_upload_error(
    clip: VideoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It quotes the system's error."""

    def broken(_: Path) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", broken)
        with pytest.raises(UploadError, match="Input/output error"):
            clip.check_unchanged()
