"""One interface to both clients, so that a test is written once for both."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import httpx
from attrs import evolve

from scenario_reframe import AsyncReframeClient, ReframeClient
from scenario_reframe.timing import DEFAULT_TIMING

BASE_URL = "https://api.test/v1"
KEY, SECRET = "the-key", "the-secret"
_TLS = ssl.create_default_context()  # shared by all clients, since making it is slow


class PausesClock:
    """A clock that only pauses move: tests with a `Caller` never sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The seconds paused so far."""
        return self.now


CLOCK = PausesClock()
"""The clock of all clients that a `Caller` makes; the fixture `pauses` moves it."""
TIMING = evolve(DEFAULT_TIMING, clock=CLOCK)


def plain(make: Any) -> Any:
    """An httpx client without options of its own."""
    return make(verify=_TLS)


class Caller:
    """Calls a client's method by name; iterators come back as lists.

    `http` makes the httpx client that is passed in, from httpx.Client or httpx.AsyncClient.
    """

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async

    def __call__(
        self,
        name: str,
        *args: Any,
        client: dict[str, Any] | None = None,
        http: Callable[[Any], Any] = plain,
        **kwargs: Any,
    ) -> Any:
        """Make a client, call one method, close the client."""
        options: dict[str, Any] = {
            "api_key": KEY, "api_secret": SECRET, "base_url": BASE_URL, "timing": TIMING,
            **(client or {}),
        }  # fmt: skip
        if self.is_async:
            return asyncio.run(self._later(name, options, http, args, kwargs))
        options["http_client"] = http(httpx.Client)
        try:
            with ReframeClient(**options) as made:
                found = getattr(made, name)(*args, **kwargs)
                return list(found) if name == "jobs" else found
        finally:
            assert not options["http_client"].is_closed
            options["http_client"].close()

    async def _later(
        self,
        name: str,
        options: dict[str, Any],
        http: Callable[[Any], Any],
        args: Any,
        kwargs: Any,
    ) -> Any:
        options["http_client"] = http(httpx.AsyncClient)
        try:
            async with AsyncReframeClient(**options) as made:
                found = getattr(made, name)(*args, **kwargs)
                return [item async for item in found] if name == "jobs" else await found
        finally:
            assert not options["http_client"].is_closed
            await options["http_client"].aclose()
