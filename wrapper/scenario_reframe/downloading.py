"""Download results: streamed, resumed, complete or not at all. No I/O."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import httpx

from .api.calling import repeat
from .api.json_values import number_or_none
from .api.operations import Operations, checked_id
from .errors import DownloadError, InvalidInputError, ReframeError
from .flow.connection_faults import explain
from .flow.steps import (
    Blocking,
    Call,
    Flow,
    NoReply,
    Pause,
    Progress,
    ProgressCallback,
    Pull,
    Reply,
)
from .models import Asset, Job
from .part_files import PartFile
from .result_paths import Destination, check_destination, check_replaceable, targets
from .transfer_plan import PARTIAL, WHOLE, TransferPlan, stated_size

FRUITLESS_ATTEMPTS = 5
"""So many attempts in a row that transfer less than LEAST_PROGRESS together are the last."""
LEAST_PROGRESS = 64 * 1024
"""Bytes. A host that breaks each transfer after a few of them would be asked without end."""


def fetch(
    operations: Operations, asset: Asset, target: Path, *, overwrite: bool, progress: Progress
) -> Flow[Path]:
    """Download one asset. Raises DownloadError after several attempts without progress."""
    part = PartFile(target, asset)
    try:
        yield Blocking(part.acquire)
        yield from _fill(operations, part, progress)
        yield Blocking(partial(part.finish, overwrite=overwrite))
    finally:
        part.release()  # not a step: after a cancellation no step is performed
    return target


def _fill(operations: Operations, part: PartFile, progress: Progress) -> Flow[None]:
    """Try again until all bytes are on disk."""
    asset = part.asset
    url, fruitless, is_fresh = asset.url, 0, False
    most = yield Blocking(part.have)
    while True:
        headers = yield Blocking(part.request_headers)
        have = yield Blocking(part.have)
        attempt = progress.attempt()
        yield Call(attempt.add, (have,))
        answer = yield Pull(url, headers, part, attempt)
        plan = part.verdict.plan if isinstance(answer, Reply) else _plan_without_reply(answer)
        if plan in {TransferPlan.APPEND, TransferPlan.RESTART, TransferPlan.COMPLETE}:
            if (yield Blocking(part.is_whole)):
                return
            yield Blocking(part.discard)
        attempt.undo()
        if plan is TransferPlan.GIVE_UP:
            cause = part.verdict.why or _cause(answer)
            raise DownloadError(f"{asset.id} cannot be downloaded: {cause}")
        now = yield Blocking(part.have)
        fruitless += 1
        if now >= most + LEAST_PROGRESS:
            fruitless, most, is_fresh = 0, now, False
        if fruitless >= FRUITLESS_ATTEMPTS:
            raise DownloadError(
                f"{asset.id} did not arrive whole in {fruitless} attempts: {_cause(answer)}"
            )
        if is_fresh or plan is not TransferPlan.FRESH_URL:
            yield Pause(operations.timing.back_off(max(fruitless, 1)))
        if plan is TransferPlan.FRESH_URL:
            url = (yield from repeat(operations.get_asset(asset.id), operations.timing)).url
            is_fresh = True


def _plan_without_reply(answer: NoReply) -> TransferPlan:
    is_refused = isinstance(answer.error, httpx.UnsupportedProtocol)
    return TransferPlan.GIVE_UP if is_refused else TransferPlan.TRY_AGAIN


def _cause(answer: Reply | NoReply) -> str:
    if isinstance(answer, NoReply):
        if isinstance(answer.error, httpx.UnsupportedProtocol):
            return str(answer.error)
        return f"the connection broke ({explain(answer.error) or type(answer.error).__name__})"
    if answer.status in {WHOLE, PARTIAL}:
        return "its length was not the one that the server stated"
    return f"its host answered {answer.status}"


def download(
    operations: Operations,
    what: Job | Asset | str,
    to: Destination,
    *,
    overwrite: bool,
    on_progress: ProgressCallback | None,
    keep_whole: bool = False,
    assets: Sequence[Asset] = (),
) -> Flow[list[Path]]:
    """Download all results of a job, or one asset. Raises InvalidInputError, DownloadError.

    `assets`: the job's assets, if they were read already. `keep_whole`: a target that exists and
    has the asset's size is the result of an interrupted run, and is not downloaded again.
    """
    may_exist = overwrite or keep_whole
    path, into_folder = yield Blocking(partial(check_destination, to, overwrite=may_exist))
    job, ids = yield from _assets_of(operations, what)
    assets = assets or (yield from assets_in_order(operations, ids))
    paths = targets(path, into_folder=into_folder, assets=assets)
    existing = yield Blocking(partial(_kept_sizes, paths, overwrite=overwrite))
    sizes = dict(zip(paths, map(stated_size, assets), strict=True))
    fitting = {target for target, size in existing.items() if size == sizes[target]}
    # `path` did not exist a moment ago: another download of the same was faster.
    complete = fitting if keep_whole or path in fitting else set[Path]()
    if taken := [str(path) for path in existing if path not in complete]:
        raise InvalidInputError(
            f"to: {', '.join(taken)} already exists; pass overwrite=True to replace it"
        )
    known = [size for size in sizes.values() if size is not None]
    progress = Progress(on_progress, sum(known) if len(known) == len(paths) else None)
    try:
        for asset, target in zip(assets, paths, strict=True):
            if target not in complete:
                yield from fetch(operations, asset, target, overwrite=overwrite, progress=progress)
    except (ReframeError, OSError) as fault:
        raise _download_error(fault, job) from fault
    return paths


def _kept_sizes(paths: Sequence[Path], *, overwrite: bool) -> dict[Path, int]:
    """Sizes in bytes of the files that exist, unless they may be replaced; -1: a dangling link.

    Raises InvalidInputError if one is not a regular file.
    """
    for path in paths:
        check_replaceable(path)
    kept = [] if overwrite else [path for path in paths if os.path.lexists(path)]
    return {path: path.stat().st_size if path.exists() else -1 for path in kept}


def _assets_of(
    operations: Operations, what: Job | Asset | str
) -> Flow[tuple[Job | None, tuple[str, ...]]]:
    if isinstance(what, Asset):
        return None, (what.id,)
    if isinstance(what, str) and what.startswith("asset_"):
        return None, (checked_id(what, "asset"),)
    job = what if isinstance(what, Job) else None
    if job is None or not job.is_done:
        job_id = job.id if job else checked_id(what, "job")
        job = yield from repeat(operations.get_job(job_id), operations.timing)
    if not job.is_success:
        raise DownloadError(f"job {job.id} has no result: its status is {job.status}", job=job)
    if not job.asset_ids:
        raise DownloadError(f"job {job.id} succeeded, but the server names no asset", job=job)
    return job, job.asset_ids


def assets_in_order(operations: Operations, ids: Sequence[str]) -> Flow[list[Asset]]:
    """Read the assets again, in the order of the job's results."""
    assets: list[Asset] = []
    for asset_id in ids:
        asset = yield from repeat(operations.get_asset(asset_id), operations.timing)
        assets.append(asset)
    return sorted(assets, key=lambda asset: number_or_none(asset.raw.get("outputIndex")) or 0.0)


def _download_error(fault: ReframeError | OSError, job: Job | None) -> DownloadError:
    remedy = f" Job {job.id} is not lost: download it again by its id" if job else ""
    cause = str(fault)
    if isinstance(fault, OSError):
        cause = fault.strerror or cause
    return DownloadError(f"download failed: {cause}.{remedy}", job=job)
