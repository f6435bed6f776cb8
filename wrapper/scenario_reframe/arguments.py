"""Checks of arguments that several methods have. No I/O."""

import os
from typing import TypeGuard

from .errors import InvalidInputError


def checked_path(
    path: object, name: str, error: type[InvalidInputError] = InvalidInputError
) -> str:
    """A path as text. Raises `error` unless it is a usable str or PathLike."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise error(
            f"{name}: {text!r:.80} is not allowed; it takes a path (str or os.PathLike) that is "
            "not empty and has no NUL"
        )
    return text


def check_seconds(seconds: object, name: str = "timeout") -> None:
    """Raise InvalidInputError unless it is None or a number of seconds from 0."""
    if seconds is not None and not (is_number(seconds) and seconds >= 0):
        raise InvalidInputError(
            f"{name}: {seconds!r:.80} is not allowed; it takes seconds from 0, or None"
        )


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is an int or a float, and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether a value is an int, and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)
