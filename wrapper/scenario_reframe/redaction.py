"""Redacts key and secret in what a server says, however it writes them. No I/O."""

import base64
import json
import re
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from .secret import Secret

SHORTEST = 4
"""One with fewer characters stays: it is a part of ordinary words."""
SHORTEST_IN_RESULT = 8
"""The same in a 2xx reply, which may name a paid job."""
_HIDDEN = "***"
_ID = re.compile(r"[A-Za-z0-9_.:-]+")
_ID_KEY = re.compile(r"id|.*Ids?")
_NAMES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}  # in HTML
_BY_NAME = {name: letter for letter, name in _NAMES.items()}
# Escapes of escapes, too, up to a bound: else the time would grow with the text's square.
_ESCAPES = re.compile(
    r"\\{1,8}u([0-9a-fA-F]{4})"
    r'|\\{1,8}(["\\/])'
    r"|((?:%(?:25){0,4}[0-9a-fA-F]{2})+)"
    r"|&(?:amp;){0,4}(?:\#([0-9]{1,9})|\#[xX]([0-9a-fA-F]{1,7})|(amp|lt|gt|quot|apos));"
)
_SHORT_ESCAPES = '"\\/'


def redact(text: str, key: Secret[str], secret: Secret[str], shortest: int = SHORTEST) -> str:
    """The text with `***` for key, secret and the pair: as they are, and in base64.

    Each letter may be plain, or escaped as JSON, a URL or HTML does it.
    """
    if not _may_hold(text, key, secret, shortest):
        return text
    for pattern in _patterns(key, secret, shortest):
        text = pattern.reveal().sub(_HIDDEN, text)
    return text


def _may_hold(text: str, key: Secret[str], secret: Secret[str], shortest: int) -> bool:
    """Whether the patterns, which are slow to compile, may find anything."""
    # In a form of HTML, a plus is a space.
    variants = {text, text.replace("+", " ")}
    texts = (text, *(_ESCAPES.sub(_unescaped, variant) for variant in variants))
    return any(form.reveal() in each for form in _forms(key, secret, shortest) for each in texts)


def _unescaped(escape: re.Match[str]) -> str:
    in_json, short, in_url, decimal, hexadecimal, name = escape.groups()
    if short:
        return short
    if in_url:
        found = (part[-2:] for part in in_url.split("%")[1:])
        return bytes.fromhex("".join(found)).decode("utf-8", "replace")
    if name:
        return _BY_NAME[name]
    point = int(decimal) if decimal else int(in_json or hexadecimal, 16)
    return chr(point) if point <= sys.maxunicode else ""


def redact_body(content: bytes, redact: Callable[[str, int], str], *, is_success: bool) -> bytes:
    """A reply's body, redacted, as UTF-8. In JSON, only texts change, and ids of a success stay.

    `redact`: takes a text, and the length of the shortest secret.
    """
    text = content.decode(json.detect_encoding(content), "replace")
    is_result = is_success and text.lstrip().startswith("{")
    shortest = SHORTEST_IN_RESULT if is_result else SHORTEST
    redacted = redact(text, shortest)
    if redacted != text:
        try:
            tree = _redacted(
                json.loads(text), lambda part: redact(part, shortest), is_result=is_result
            )
            redacted = json.dumps(tree)
        except (ValueError, RecursionError):
            pass  # no JSON
    return redacted.encode()


def _redacted(value: Any, redact: Callable[[str], str], key: str = "", *, is_result: bool) -> Any:
    """A JSON value. `key`: the object's key that it stands under."""
    within = partial(_redacted, redact=redact, is_result=is_result)
    if isinstance(value, dict):
        return {redact(name): within(item, key=name) for name, item in value.items()}
    if isinstance(value, list):
        return [within(item, key=key) for item in value]
    if isinstance(value, str):
        hidden = redact(value)
        is_id = is_result and _ID_KEY.fullmatch(key) and _ID.fullmatch(value)
        return value if is_id and hidden != _HIDDEN else hidden
    if is_result or value is None or isinstance(value, bool):
        return value
    text = str(value)
    return value if redact(text) == text else _HIDDEN


@lru_cache(maxsize=16)
def _patterns(
    key: Secret[str], secret: Secret[str], shortest: int
) -> tuple[Secret[re.Pattern[str]], ...]:
    return tuple(
        Secret(re.compile("".join(map(_letter, form.reveal()))))
        for form in _forms(key, secret, shortest)
    )


@lru_cache(maxsize=16)
def _forms(key: Secret[str], secret: Secret[str], shortest: int) -> tuple[Secret[str], ...]:
    """The forms to find, the longest first, since it may contain a shorter one."""
    forms = {key, secret}
    for text in (Secret(f"{key.reveal()}:{secret.reveal()}"), secret, key):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(Secret(encode(text.reveal().encode()).decode().rstrip("=")))
    long = (form for form in forms if len(form.reveal()) >= shortest)
    return tuple(sorted(long, key=lambda form: len(form.reveal()), reverse=True))


@lru_cache(maxsize=1024)
def _letter(letter: str) -> str:
    """A pattern for one letter and its escapes. Each branch begins with a letter: that is quick."""
    units = letter.encode("utf-16-be")
    points = [f"{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2)]
    ways = [
        re.escape(letter),
        "".join(rf"\\{{1,8}}u{_hex(point)}" for point in points),  # JSON, and JSON in JSON
        "".join(rf"%(?:25){{0,4}}{_hex(f'{byte:02x}')}" for byte in letter.encode()),
        rf"&(?:amp;){{0,4}}\#(?:0{{0,6}}{ord(letter)}|[xX]0{{0,6}}{_hex(f'{ord(letter):x}')});",
    ]
    if letter in _SHORT_ESCAPES:
        ways.append(rf"\\{{1,8}}{re.escape(letter)}")
    if letter in _NAMES:
        ways.append(f"&(?:amp;){{0,4}}{_NAMES[letter]};")
    if letter == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


def _hex(digits: str) -> str:
    """A pattern for hexadecimal digits of either case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
