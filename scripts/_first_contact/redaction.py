"""Redact all text that is printed or written: no credentials, no signatures."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from scenario_reframe.credentials import Credentials
from scenario_reframe_api.settings import MODEL_ID

from .shapes import WORDS

HIDDEN = "***"
_MIN_SECRET = 4  # hiding shorter texts would hide the report
_MAX_TEXT = 20_000  # characters; a longer text is not shown
_IDS = "job|asset|proj|project|apiu|api|key|user|usr|upload|team|org|collection|whe"
_ID = re.compile(rf"\b(?:{_IDS})_[A-Za-z0-9_-]{{6,}}")
_ID_KEY = re.compile(r"^ids?$|(?:Id|_id|ID)s?$")
_SHORT_ID = re.compile(r"[A-Za-z]{0,12}_?#[0-9a-f]{8}|\*\*\*")
_SECRET_KEY = re.compile(
    r"authori[sz]ation|secret|passw|signature|policy|token|cookie|credential|api.?key",
    re.IGNORECASE,
)
_EQUALS = r"(?:=|%(?:25)*3D|\\u003d)"
_NAMES = (
    r"(?:cloudfront-)?(?:policy|signature|key-pair-id)|x-amz-[a-z-]+|awsaccesskeyid|expires"
    r"|[a-z_-]*(?:token|secret|password|api[_-]?key)"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # The Authorization header of any account.
    (re.compile(r"\b(basic|bearer)\s+[\w+/=.~-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # A URL encoded in another one.
    (re.compile(r"[a-z][a-z0-9+.-]*%(?:25)*3A[^\s\"'<>`]*", re.IGNORECASE), HIDDEN),
    # Only a URL's origin is shown: its path and query may hold part URLs and signatures.
    (
        re.compile(
            r"([a-z][a-z0-9+.-]*:\\?/\\?/)(?:[^\s/@\"'<>`]*@)?([^\s/?#\"'<>`\\]+)[/?#\\][^\s\"'<>`]*",
            re.IGNORECASE,
        ),
        r"\1\2/…",
    ),
    (re.compile(r"(://)[^\s/@\"'<>`]*@"), rf"\1{HIDDEN}@"),
    # The query of a path, and the parts of a signature anywhere else.
    (re.compile(r"(/[^\s?\"'<>`]*)\?[^\s\"'<>`]+"), rf"\1?{HIDDEN}"),
    (
        re.compile(rf"\b({_NAMES})({_EQUALS})[^\s&;,\"'<>`]+", re.IGNORECASE),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), HIDDEN),
)


class Redactor:
    """Redacts JSON and text; redacting twice has no further effect.

    `keep_ids`: ids of jobs, assets, projects and people are not shortened.
    """

    def __init__(self, credentials: Credentials, *, keep_ids: bool = False) -> None:
        self._secret_forms = re.compile(
            "|".join(re.escape(form) for form in _secret_forms(credentials)), re.IGNORECASE
        )
        self._credentials = credentials
        self._keep_ids = keep_ids
        self._revealed: set[str] = set()
        self._known: set[str] = set()

    def learn(self, payload: Any) -> None:
        """Collect the ids of a response, to shorten them in texts too."""
        self._known |= {found for found in _ids_in(payload) if _is_long_id(found)}

    def reveal(self, text: str) -> None:
        """Do not shorten this id: the user must be able to find its job."""
        self._revealed.add(text)

    def __call__(self, value: Any) -> Any:
        """Redact a JSON value."""
        if isinstance(value, dict):
            return {self._text(str(key)): self._item(str(key), value[key]) for key in value}
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def text(self, value: str) -> str:
        """Redact a text."""
        return self._text(value)

    def _item(self, key: str, value: Any) -> Any:
        if isinstance(value, str) and value not in WORDS:
            if _SECRET_KEY.search(key):
                return HIDDEN
            if _ID_KEY.search(key):
                return self._text(self._short(value))
        if isinstance(value, list) and _ID_KEY.search(key):
            return [self._item(key, item) for item in value]
        return self(value)

    def _text(self, text: str) -> str:
        if len(text) > _MAX_TEXT:
            return f"(a text of {len(text)} characters)"
        text = self._credentials.redact(text)
        text = self._secret_forms.sub(HIDDEN, text)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        for known in sorted(self._known, key=len, reverse=True):
            text = text.replace(known, self._short(known))
        return _ID.sub(lambda found: self._short(found[0]), text)

    def _short(self, found: str) -> str:
        """Shorten an id; equal ids have equal short forms."""
        shown = self._keep_ids or found in self._revealed or found == MODEL_ID
        if shown or _SHORT_ID.fullmatch(found):
            return found
        prefix = re.match(r"[A-Za-z]{1,12}_", found)
        digest = hashlib.sha256(found.encode("utf-8", "replace")).hexdigest()[:8]
        return f"{prefix[0] if prefix else ''}#{digest}"


def _secret_forms(credentials: Credentials) -> list[str]:
    """Forms to redact in capital and small letters; `Credentials.redact` tells these apart."""
    key, secret = credentials.key.reveal(), credentials.secret.reveal()
    forms = {key, secret, escape(key), escape(secret)}
    for text in (f"{key}:{secret}", secret, key):
        plain, for_urls = (
            encode(text.encode()).decode().rstrip("=")
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
        )
        forms |= {plain, for_urls}
    return sorted((form for form in forms if len(form) >= _MIN_SECRET), key=len, reverse=True)


def _ids_in(value: Any) -> Iterator[str]:
    children: Iterable[Any] = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        for key, item in value.items():
            if _ID_KEY.search(key):
                items = item if isinstance(item, list) else [item]
                yield from (found for found in items if isinstance(found, str))
        children = value.values()
    for child in children:
        yield from _ids_in(child)


def _is_long_id(found: str) -> bool:
    """Whether a text is an id and not a word: long, with a digit."""
    return len(found) >= 8 and any(letter.isdigit() for letter in found)  # noqa: PLR2004
