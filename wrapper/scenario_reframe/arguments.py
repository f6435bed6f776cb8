"""Checks of arguments that several methods have. No I/O."""

import math
import os
import re
from collections.abc import Mapping
from datetime import MAXYEAR, datetime
from reprlib import Repr
from typing import TypeGuard

from .api.sanitize import printable
from .errors import InvalidInputError, ReframeError
from .models import Submission

ID_PATTERN = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}"
"""Files are named by ids: no colon, which is a drive or a stream on Windows, no dot at first."""
_ID = re.compile(ID_PATTERN)
_EXACT = 2**53 - 1  # JSON numbers beyond this are not exact everywhere
_SHOWN = 80
_DEEPEST, _MOST_VALUES = 100, 100_000
JSON_RULE = (
    "text, finite numbers (whole ones up to 2**53 - 1), True, False, None, and lists and dicts of "
    f"them with text as keys, at most {_DEEPEST} deep and {_MOST_VALUES} values in all"
)
_BRIEF = Repr()  # a value may be huge, or hold itself many times over
_BRIEF.maxstring = _BRIEF.maxlong = _BRIEF.maxother = _SHOWN


def shown(value: object) -> str:
    """A value for a message: in one line of at most 80 characters, whatever it is."""
    try:
        text = _BRIEF.repr(value)
    except Exception:  # noqa: BLE001 - a broken __repr__, or an int too long to print
        text = f"a value of type {type(value).__name__}"
    return printable(text, _SHOWN)


def checked_path(
    path: object,
    name: str,
    error: type[ReframeError] = InvalidInputError,
    *,
    is_secret: bool = False,
) -> str:
    """A path as text. Raises `error` unless it is a usable str or PathLike.

    Bytes of a file name that are not UTF-8 are lone surrogates in it (see `os.fsdecode`).
    `is_secret`: it may be a database's URL with a password, which no message repeats.
    """
    try:
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    except Exception:  # noqa: BLE001 - a broken __fspath__
        text = None
    if not isinstance(text, str) or not text.strip() or "\0" in text or not _is_encodable(text):
        what = f"this {type(path).__name__}" if is_secret else shown(path)
        raise error(
            f"{name}: {what} is not allowed; it takes a path (str or os.PathLike) that is "
            "not empty, has no NUL and can be encoded for the file system"
        )
    return text


def check_seconds(seconds: object, name: str = "timeout") -> None:
    """Raise InvalidInputError unless it is None or a number of seconds from 0."""
    if seconds is not None and not (is_number(seconds) and seconds >= 0):
        raise InvalidInputError(
            f"{name}: {shown(seconds)} is not allowed; it takes seconds from 0, or None"
        )


def check_amount(amount: object, name: str, unit: str) -> None:
    """Raise InvalidInputError unless it is None or a finite number from 0."""
    if amount is not None and not (is_finite(amount) and amount >= 0):
        raise InvalidInputError(
            f"{name}: {shown(amount)} is not allowed; it takes {unit}, a number from 0, or None"
        )


def check_flag(flag: object, name: str) -> None:
    """Raise InvalidInputError unless it is a bool: `overwrite="no"` must not overwrite."""
    if not isinstance(flag, bool):
        raise InvalidInputError(f"{name}: {shown(flag)} is not allowed; it takes True or False")


def check_callback(callback: object, name: str) -> None:
    """Raise InvalidInputError unless it is None or can be called."""
    if callback is not None and not callable(callback):
        raise InvalidInputError(
            f"{name}: {shown(callback)} is not allowed; it takes a function, or None"
        )


def check_submission(submission: object) -> None:
    """Raise InvalidInputError unless it is a Submission as an error carries it."""
    if not isinstance(submission, Submission):
        raise InvalidInputError(
            f"find_job takes a Submission, not {type(submission).__name__}: error.submission"
        )
    rules = {
        "seed": is_whole_number(submission.seed),
        "body": isinstance(submission.body, Mapping),
        "started_at": _is_time(submission.started_at),
        "project_id": submission.project_id is None or is_text(submission.project_id),
        "server_time": submission.server_time is None or _is_time(submission.server_time),
        "token": is_text(submission.token),
    }
    for name, is_kept in rules.items():
        if not is_kept:
            raise InvalidInputError(
                f"submission: {name} {shown(getattr(submission, name))} is not allowed; pass "
                "error.submission as it is"
            )


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a float, or an int that `is_whole_number`."""
    return isinstance(value, float) or is_whole_number(value)


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number, and neither NaN nor infinite."""
    return is_number(value) and math.isfinite(value)


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether a value is an int that JSON and databases can hold exactly, and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _EXACT


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is a str without lone surrogates, which JSON in UTF-8 cannot hold."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def is_id(value: object) -> TypeGuard[str]:
    """Whether a value can be an id of the API."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_json(value: object) -> bool:
    """Whether a value keeps to `JSON_RULE`. One that holds itself is endlessly deep."""
    left, found = [(value, 1)], 0
    while left:
        one, depth = left.pop()
        found += 1
        if found > _MOST_VALUES or depth > _DEEPEST:
            return False
        if isinstance(one, dict) and all(map(is_text, one)):
            left += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, list | tuple):
            left += [(inner, depth + 1) for inner in one]
        elif not (one is None or isinstance(one, bool) or is_text(one) or is_finite(one)):
            return False
    return True


def _is_time(value: object) -> bool:
    """Whether a value is a datetime with an offset, from which days can be subtracted."""
    return (
        isinstance(value, datetime)
        and value.utcoffset() is not None
        and value.year in range(1970, MAXYEAR)
    )


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
