"""Upload a video: announce it, send its parts in parallel, wait until the server imported it.

Nothing of this costs money, so every request may be repeated.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count

from attrs import frozen

from .api import retry
from .api.calling import repeat
from .api.operations import Operations
from .api.parsing import Upload
from .api.sanitize import printable
from .errors import ApiError, NotFoundError, ReframeError, UploadError
from .flow.connection_faults import explain
from .flow.steps import (
    Blocking,
    Flow,
    NoReply,
    Pause,
    Progress,
    ProgressCallback,
    Push,
    Reply,
    Together,
)
from .models import Asset
from .polling import poll_interval
from .video import Video, VideoAsset, VideoFile, VideoUrl

_LOG = logging.getLogger("scenario_reframe")

PART_BYTES = 8 * 1024 * 1024
MAX_PARTS = 10_000
PARALLEL_PARTS = 4
PART_ATTEMPTS = 5
_ACCEPTED = {200, 201, 204}
_EXPIRED = {401, 403, 404, 410}


@frozen
class FilePart:
    """One part of a file: `offset` and `length` in bytes, `number` from 1."""

    number: int
    offset: int
    length: int


def plan_parts(size: int, part_bytes: int = PART_BYTES) -> tuple[FilePart, ...]:
    """Parts of one size and a shorter last one; larger if S3 would not allow so many."""
    length = max(part_bytes, -(-size // MAX_PARTS))
    offsets = range(0, size, length)
    return tuple(
        FilePart(number, offset, min(length, size - offset))
        for number, offset in enumerate(offsets, 1)
    )


def upload_or_import(
    operations: Operations,
    video: Video,
    on_progress: ProgressCallback | None = None,
    on_sent: Callable[[str], Flow[None]] | None = None,
) -> Flow[str]:
    """The asset id of a video; a file is uploaded, a URL imported. Raises UploadError.

    `on_sent` gets the id of an upload whose parts are all sent: `resume_upload` can finish it.
    """
    if isinstance(video, VideoAsset):
        return video.asset_id
    if isinstance(video, VideoUrl):
        upload = yield from repeat(operations.create_upload(url=video.url), operations.timing)
    else:
        sent = yield from send_file(operations, video, on_progress)
        if on_sent is not None:
            yield from on_sent(sent.id)
        upload = yield from _complete(operations, sent.id)
    return (yield from wait_until_imported(operations, upload))


def upload(
    operations: Operations, video: VideoFile, on_progress: ProgressCallback | None
) -> Flow[Asset]:
    """Upload a file and read its asset. Raises UploadError."""
    asset_id = yield from upload_or_import(operations, video, on_progress)
    return (yield from repeat(operations.get_asset(asset_id), operations.timing))


def send_file(
    operations: Operations, video: VideoFile, on_progress: ProgressCallback | None
) -> Flow[Upload]:
    """Send every part. Raises UploadError."""
    plan = plan_parts(video.size)
    # A file name may contain bytes that are not UTF-8, which neither a log nor JSON can take.
    name = video.path.name.encode("utf-8", "replace").decode()
    _LOG.info("uploading %s, %d bytes", name, video.size)
    announced = yield from repeat(
        operations.create_upload(
            file_name=name,
            content_type=video.content_type,
            file_size=video.size,
            parts=len(plan),
        ),
        operations.timing,
    )
    urls = part_urls(announced, len(plan))
    progress = Progress(on_progress, video.size)
    parts = [
        _send_part(operations, announced.id, video, part, urls[part.number], progress)
        for part in plan
    ]
    yield Together(parts, PARALLEL_PARTS)
    yield Blocking(video.check_unchanged)
    return announced


def resume_upload(operations: Operations, upload_id: str) -> Flow[str | None]:
    """The asset id of an upload whose parts an earlier run sent; None if that failed."""
    try:
        upload = yield from repeat(operations.get_upload(upload_id), operations.timing)
        if upload.status == "pending":
            upload = yield from _complete(operations, upload_id)
        return (yield from wait_until_imported(operations, upload))
    except (NotFoundError, UploadError):
        return None


def part_urls(upload: Upload, expected: int) -> Mapping[int, str]:
    """The URL of each part, by number. Raises UploadError unless the server named them all."""
    urls = {part.number: part.url for part in upload.parts if part.url}
    missing = [number for number in range(1, expected + 1) if number not in urls]
    if missing:
        raise UploadError(f"the server named no URL for {len(missing)} of {expected} parts")
    return urls


def _send_part(
    operations: Operations,
    upload_id: str,
    video: VideoFile,
    part: FilePart,
    url: str,
    progress: Progress,
) -> Flow[None]:
    headers = {"Content-Type": video.content_type, "Content-Length": str(part.length)}
    for attempt in count(1):
        attempted = progress.attempt()
        answer = yield Push(url, headers, partial(video.read, part.offset, part.length), attempted)
        if isinstance(answer, Reply) and answer.status in _ACCEPTED:
            return
        if attempt == PART_ATTEMPTS:
            raise _part_failed(part, answer)
        attempted.undo()
        yield Pause(operations.timing.back_off(attempt))
        if isinstance(answer, Reply) and answer.status in _EXPIRED:
            fresh = yield from repeat(operations.get_upload(upload_id), operations.timing)
            url = next((p.url for p in fresh.parts if p.number == part.number and p.url), url)


def _part_failed(part: FilePart, answer: Reply | NoReply) -> UploadError:
    if isinstance(answer, NoReply):
        why = explain(answer.error) or type(answer.error).__name__
        error = UploadError(f"part {part.number} could not be sent: {why}")
        error.__cause__ = answer.error
        return error
    text = printable(answer.content[:500].decode("utf-8", "replace"), 200)
    return UploadError(f"part {part.number} was answered with {answer.status}: {text}")


def _complete(operations: Operations, upload_id: str) -> Flow[Upload]:
    try:
        return (yield from repeat(operations.complete_upload(upload_id), operations.timing))
    except ApiError:
        # Perhaps a first try arrived and only its reply was lost: then it is no longer pending.
        now = yield from repeat(operations.get_upload(upload_id), operations.timing)
        if now.status == "pending":
            raise
        return now


def wait_until_imported(operations: Operations, upload: Upload) -> Flow[str]:
    """Poll until the upload has become an asset; the asset's id. Raises UploadError."""
    timing = operations.timing
    started = timing.clock()
    while True:
        if upload.status == "failed":
            raise UploadError(f"the server refused the video: {upload.error or 'no reason given'}")
        if upload.status == "imported" and upload.asset_id:
            return upload.asset_id
        waited = timing.clock() - started
        if waited >= timing.longest_import:
            raise UploadError(
                f"upload {upload.id} was not imported after {waited:.0f} s (status {upload.status})"
            )
        yield Pause(poll_interval(waited, timing))
        try:
            upload = yield from repeat(operations.get_upload(upload.id), operations.timing)
        except ReframeError as error:
            if not retry.is_transient(error):
                raise
