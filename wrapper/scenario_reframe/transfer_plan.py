"""What to do with each reply to a download. No I/O."""

import re
from collections.abc import Mapping
from enum import Enum, auto

from attrs import evolve, frozen

from .models import Asset

MOST_BYTES = 4 * 1024**3
"""The most bytes of a file whose size the API does not state: far more than any result has."""

WHOLE, PARTIAL, _BAD_RANGE = 200, 206, 416
_EXPIRED = frozenset({401, 403, 404, 410})
_TRANSIENT = frozenset({408, 425, 429})
_LONGEST_FILE = 2**63 - 1
_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")
_RANGE_OF_NONE = re.compile(r"bytes \*/([0-9]+)")
_STRONG_ETAG = re.compile(r'"[!#-~]{0,256}"')


class TransferPlan(Enum):
    """What to do with a reply."""

    APPEND = auto()
    RESTART = auto()
    COMPLETE = auto()
    START_AGAIN = auto()
    FRESH_URL = auto()
    TRY_AGAIN = auto()
    GIVE_UP = auto()


@frozen
class TransferVerdict:
    """A plan, and the complete file's size in bytes if the reply states it.

    `is_framed`: HTTP itself marks the body's end (chunked), so that a cut is noticed. `why`: the
    reason to give up, if the status does not say it.
    """

    plan: TransferPlan
    total: int | None = None
    is_framed: bool = False
    why: str = ""


def judge(
    status: int, headers: Mapping[str, str], have: int, size: int | None = None
) -> TransferVerdict:
    """What a reply's status and headers mean for a file of which `have` bytes are on disk.

    `size`: the bytes of the whole file as the API states them, which is then the limit.
    """
    encoding = headers.get("content-encoding", "")
    if encoding.strip().lower() not in {"", "identity"}:
        return TransferVerdict(
            TransferPlan.GIVE_UP, why="its host encoded the bytes (Content-Encoding), unasked"
        )
    if status in {WHOLE, PARTIAL}:
        return _judge_body(status, headers, have, size)
    if status == _BAD_RANGE:
        match = _RANGE_OF_NONE.fullmatch(headers.get("content-range", ""))
        if match is not None and _count(match[1]) == have:
            return TransferVerdict(TransferPlan.COMPLETE, have)
        return TransferVerdict(TransferPlan.START_AGAIN)
    if status in _EXPIRED:
        return TransferVerdict(TransferPlan.FRESH_URL)
    if status in _TRANSIENT or status >= 500:  # noqa: PLR2004
        return TransferVerdict(TransferPlan.TRY_AGAIN)
    return TransferVerdict(TransferPlan.GIVE_UP)


def _judge_body(
    status: int, headers: Mapping[str, str], have: int, size: int | None
) -> TransferVerdict:
    length = _count(headers.get("content-length", ""))
    if status == WHOLE:
        verdict, last = TransferVerdict(TransferPlan.RESTART, length), length or 0
    else:
        match = _RANGE.fullmatch(headers.get("content-range", ""))
        if match is None or _count(match[1]) != have:
            return TransferVerdict(TransferPlan.START_AGAIN)
        verdict, last = TransferVerdict(TransferPlan.APPEND, _count(match[2])), have + (length or 0)
    if max(last, verdict.total or 0) > limit_of(size):
        why = f"its host announces more than the limit of {limit_text(size)}"
        return TransferVerdict(TransferPlan.GIVE_UP, why=why)
    is_framed = headers.get("transfer-encoding", "").strip().lower() == "chunked"
    return evolve(verdict, is_framed=is_framed)


def _count(text: str) -> int | None:
    """A count of bytes, or None. One that no file has is cut: `int` refuses thousands of digits."""
    if not re.fullmatch("[0-9]+", text):
        return None
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) < len(str(_LONGEST_FILE)) else _LONGEST_FILE


def stated_size(asset: Asset) -> int | None:
    """The asset's size in bytes; None if the API states none, or one that no video has."""
    return asset.size if asset.size is not None and 0 < asset.size <= _LONGEST_FILE else None


def limit_of(size: int | None) -> int:
    """The most bytes that are written, given the size that the API states."""
    return MOST_BYTES if size is None else size


def limit_text(size: int | None) -> str:
    """The limit, and where it comes from."""
    source = "which holds where the API states no size" if size is None else "as the API states"
    return f"{limit_of(size)} bytes, {source}"


def strong_etag(text: object) -> str:
    """A strong ETag that can be sent back, else an empty string.

    A weak one does not promise the same bytes; one with odd bytes cannot be part of a request.
    """
    return text if isinstance(text, str) and _STRONG_ETAG.fullmatch(text) else ""
