"""Makes text from the server safe to show."""

import re
from urllib.parse import urlsplit, urlunsplit

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b."  # the rest
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Also as JSON may write it, with `\/` for each slash.
_QUERIES = re.compile(r"(:\\*/\\*/[^\s?]*)\?\S*")


def unsigned(text: str) -> str:
    """The text without the queries of its URLs, which may be signatures."""
    return _QUERIES.sub(r"\1", text)


def bare_url(url: str) -> str:
    """A URL without its user and its query, which may contain secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def printable(text: str, limit: int = 500) -> str:
    """The text without terminal control sequences, of at most `limit` characters."""
    clean = _CONTROLS.sub("", _ESCAPES.sub("", text)).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
