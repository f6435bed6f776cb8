"""Reads JSON text in which anything may be odd, so that one odd value costs no other. No I/O."""

import json
import re
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import Any

DEEPEST = 64
"""Levels of nesting that are kept: code that reads, compares or shows a value is recursive."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_SURROGATES = re.compile(r"[\ud800-\udfff]")


def read_json(content: bytes) -> Any:
    """The JSON value in these bytes; None if they are not JSON.

    What no JSON text, terminal or database may hold is replaced within it: numbers that are not
    finite or have thousands of digits, and what is nested too deep, by None; bytes that are not
    UTF-8 and lone surrogates by U+FFFD.
    """
    try:
        value = _DECODER.decode(text_of(content))
        return _sound(value, DEEPEST)
    except (JSONDecodeError, RecursionError):
        return None


def text_of(content: bytes) -> str:
    """The text in these bytes, whichever of JSON's encodings it has; without a byte order mark."""
    return content.decode(json.detect_encoding(content), "replace")


def _int(digits: str) -> int | None:
    try:
        return int(digits)
    except ValueError:  # Python limits the digits
        return None


def _float(digits: str) -> float | None:
    value = float(digits)
    return value if isfinite(value) else None


def _constant(_name: str) -> None:
    """NaN and infinities are not JSON, although Python reads them."""


_DECODER = JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_constant, strict=False)


def _sound(value: Any, levels: int) -> Any:
    """The same value, as far as it can be stored, shown and compared."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATES.sub(REPLACEMENT, value)
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return None
    if isinstance(value, dict):
        return {_sound(key, levels): _sound(item, levels - 1) for key, item in value.items()}
    return [_sound(item, levels - 1) for item in value]
