"""The API's keys: which project each belongs to, and which projects it may read.

A project may have several keys, as when one is rotated. A project's jobs and files are invisible
to the keys of other projects.
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

_SCOPE_KEY: Final = "scenario_reframe.access"


@dataclass(frozen=True)
class ApiKey:
    """A key, its secret and the project that it belongs to."""

    api_key: str
    api_secret: str
    project_id: str


@dataclass(frozen=True)
class ProjectAccess:
    """What a request may do: act for `project_id`, and read each project that `sees` allows."""

    project_id: str
    sees: Callable[[str], bool]


class ApiKeys:
    """All valid keys. The first one acts for every project that has no key of its own."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        self._first_key = ApiKey(api_key, api_secret, PROJECT_ID)
        self._keys = {api_key: self._first_key}
        self._projects_with_keys: set[str] = set()

    def add(self, api_key: str, api_secret: str, project_id: str) -> None:
        """Accept a key for a project from now on. Raises ValueError if the key exists already."""
        if api_key in self._keys:
            raise ValueError("api_key: this key exists already; pass another one")
        self._keys[api_key] = ApiKey(api_key, api_secret, project_id)
        self._projects_with_keys.add(project_id)

    def revoke(self, api_key: str) -> None:
        """Reject a key from now on. Raises KeyError if it does not exist."""
        del self._keys[api_key]

    def find_key(self, header: bytes | None) -> ApiKey | None:
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

    def access(self, key: ApiKey, project_id: str | None) -> ProjectAccess | None:
        """Grant a key the project that a request names, else its own; None if it is another's."""
        requested = project_id or key.project_id
        if not self._sees(key, requested):
            return None
        return ProjectAccess(requested, partial(self._sees, key))

    def _sees(self, key: ApiKey, project_id: str) -> bool:
        own = project_id == key.project_id
        return own or (key is self._first_key and project_id not in self._projects_with_keys)


def grant(scope: Scope, access: ProjectAccess) -> None:
    """Attach to a request what it may do, for its route."""
    scope[_SCOPE_KEY] = access


def access_of(request: Request) -> ProjectAccess:
    """Return what `grant` attached to a request."""
    access: ProjectAccess = request.scope[_SCOPE_KEY]
    return access
