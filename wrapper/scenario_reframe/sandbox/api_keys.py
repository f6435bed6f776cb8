"""The API's keys: which project each belongs to, and what it may see.

A project may have several keys, as when one is rotated. What one project made, another project's
keys neither see nor use.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from scenario_reframe.sandbox.records import PROJECT_ID

_ACCESS: Final = "scenario_reframe.access"


@dataclass(frozen=True)
class Key:
    """A key, its secret and the project that it belongs to."""

    api_key: str
    api_secret: str
    project_id: str


@dataclass(frozen=True)
class Access:
    """What one request may do: it acts for `project_id`, and sees the projects that `sees` says."""

    project_id: str
    sees: Callable[[str], bool]


class Accounts:
    """All keys. The first one acts for every project that no other key belongs to."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        self._first = Key(api_key, api_secret, PROJECT_ID)
        self._keys = {api_key: self._first}
        self._taken: set[str] = set()

    def add(self, api_key: str, api_secret: str, project_id: str) -> None:
        """Let a key act for a project from now on. Raises ValueError for one that was given."""
        if api_key in self._keys:
            raise ValueError("there is such a key")
        self._keys[api_key] = Key(api_key, api_secret, project_id)
        self._taken.add(project_id)

    def revoke(self, api_key: str) -> None:
        """Let a key do nothing from now on. Raises KeyError if there is none."""
        del self._keys[api_key]

    def key_of(self, header: bytes | None) -> Key | None:
        """Find the key of a request by its `Authorization` header."""
        scheme, _, encoded = (header or b"").partition(b" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return None
        name, _, secret = given.partition(b":")
        key = self._keys.get(name.decode(errors="replace"))
        if key is None or scheme.lower() != b"basic":
            return None
        return key if hmac.compare_digest(secret, key.api_secret.encode()) else None

    def access(self, key: Key, project_id: str | None) -> Access | None:
        """What a key may do for the project that a request names, its own if none; or None."""
        wanted = project_id or key.project_id
        return Access(wanted, partial(self._sees, key)) if self._sees(key, wanted) else None

    def _sees(self, key: Key, project_id: str) -> bool:
        own = project_id == key.project_id
        return own or (key is self._first and project_id not in self._taken)


def grant(scope: Scope, access: Access) -> None:
    """Note what a request may do, for those who answer it."""
    scope[_ACCESS] = access


def access_of(request: Request) -> Access:
    """What a request may do."""
    access: Access = request.scope[_ACCESS]
    return access
