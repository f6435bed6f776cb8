"""Makes text that others wrote (the server, a file's name) safe to show. No I/O.

Every pattern here takes a time in proportion to the text: none can start a match inside another's.
"""

import re
from urllib.parse import urlsplit, urlunsplit

_ESCAPES = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links and other strings
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b."  # the rest
)
# What `str.isprintable` calls printable, although it shows as nothing: fillers, joiners, selectors.
_INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
# Also as JSON may write it, with `\/` for each slash. A URL ends where the next one begins, or else
# each of many would be read to the end of the text.
_QUERIES = re.compile(r"(:\\*+/\\*+/(?:[^\s?:]|:(?!\\*+/\\*+/))*+)\?\S*")
_USERS = re.compile(r"(:\\*+/\\*+/)[^\s/?#\\]*@")
_RAW_PER_SHOWN = 20
"""How many characters are read for each that may be shown: escape sequences show nothing."""


def without_secrets(text: str) -> str:
    """The text without the users and the queries of its URLs: passwords and signatures."""
    return _USERS.sub(r"\1", _QUERIES.sub(r"\1", text))


def bare_url(url: str) -> str:
    """A URL without its user and its query, which may contain secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def printable(text: str, limit: int = 500) -> str:
    r"""The text in one line of at most `limit` printable characters.

    Left out: terminal control sequences, characters that show as nothing or turn the text's
    direction, the queries and users of URLs. Line ends and tabs become spaces; the bytes of a name
    that are not UTF-8 show as `\xff`.
    """
    if text.isascii() and text.isprintable() and "?" not in text and "@" not in text:
        clean = text.strip()
    else:
        clean = _cleaned(text[: limit * _RAW_PER_SHOWN])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _cleaned(text: str) -> str:
    lines = (line.strip() for line in _ESCAPES.sub("", text).splitlines())
    shown = "".join(map(_shown, " ".join(filter(None, lines))))
    return without_secrets(shown).strip()


def _shown(letter: str) -> str:
    """How one character is shown; an empty text if it is not."""
    if letter.isprintable():
        return "" if letter in _INVISIBLE else letter
    if letter.isspace():
        return " "
    if "\udc80" <= letter <= "\udcff":  # how Python reads a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return ""
