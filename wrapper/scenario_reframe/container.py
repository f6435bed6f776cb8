"""Whether a video file is whole, by what its container says: MP4, MOV, WebM and MKV.

Reads only the headers at the top level, whose lengths lead from one to the next.
"""

import io
from collections.abc import Callable
from enum import Enum, auto
from typing import BinaryIO

from .video import content_type_of

_HEAD_BYTES = 64
_HEADER_BYTES = 16  # of the longest header
_MOST_ELEMENTS = 10_000  # no result has more, and reading on would only take time
_SEGMENT = 0x18538067


class ContainerEnd(Enum):
    """What a file says of its own end. UNKNOWN: nothing, or it is not a video."""

    WHOLE = auto()
    CUT = auto()
    UNKNOWN = auto()


class _CutError(Exception):
    """The file ends amid an element."""


class _UnknownError(Exception):
    """An element has no stated end, or none that can be read."""


def container_end(file: BinaryIO) -> ContainerEnd:
    """Whether a file ends exactly where its container does. `file`: seekable, at any position."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    kind = content_type_of(file.read(_HEAD_BYTES))
    try:
        if kind in {"video/mp4", "video/quicktime"}:
            return _mp4_end(_names(file, size, _box))
        if kind in {"video/webm", "video/x-matroska"}:
            is_whole = _SEGMENT in _names(file, size, _element)
            return ContainerEnd.WHOLE if is_whole else ContainerEnd.CUT
    except _CutError:
        return ContainerEnd.CUT
    except _UnknownError:
        pass
    return ContainerEnd.UNKNOWN


def _mp4_end(names: list[int]) -> ContainerEnd:
    """What boxes that fill the file exactly mean: it may have been cut between two of them."""
    found = {name.to_bytes(4) for name in names}
    if b"moof" in found:  # fragments: their number is stated nowhere, but an index may follow them
        return ContainerEnd.WHOLE if names[-1].to_bytes(4) == b"mfra" else ContainerEnd.UNKNOWN
    return ContainerEnd.WHOLE if {b"moov", b"mdat"} <= found else ContainerEnd.CUT


def _names(file: BinaryIO, size: int, header: Callable[[bytes], tuple[int, int]]) -> list[int]:
    """The names of the elements at the top level, which fill the file exactly."""
    names: list[int] = []
    position = 0
    while position < size:
        if len(names) == _MOST_ELEMENTS:
            raise _UnknownError
        file.seek(position)
        name, length = header(file.read(_HEADER_BYTES))
        names.append(name)
        position += length
    if position > size:
        raise _CutError
    return names


def _box(head: bytes) -> tuple[int, int]:
    """The name and the length in bytes of an MP4 box."""
    length, name = _number(head, 0, 4), _number(head, 4, 8)
    shortest = 8
    if length == 1:  # the length is in a longer field
        length, shortest = _number(head, 8, 16), 16
    if length < shortest:  # among them 0: the box goes on to the file's end, wherever that is
        raise _UnknownError
    return name, length


def _element(head: bytes) -> tuple[int, int]:
    """The name and the length in bytes of a Matroska element."""
    name_bytes = _vint_bytes(head, 0, longest=4)
    size_bytes = _vint_bytes(head, name_bytes, longest=8)
    end = name_bytes + size_bytes
    largest = (1 << 7 * size_bytes) - 1
    size = _number(head, name_bytes, end) & largest
    if size == largest:  # all ones: as long as it goes on
        raise _UnknownError
    return _number(head, 0, name_bytes), end + size


def _vint_bytes(head: bytes, start: int, *, longest: int) -> int:
    """How many bytes a number of variable length has: one more than its leading zero bits."""
    length = 9 - _number(head, start, start + 1).bit_length()
    if length > longest:
        raise _UnknownError
    return length


def _number(head: bytes, start: int, end: int) -> int:
    if len(head) < end:
        raise _CutError
    return int.from_bytes(head[start:end])
