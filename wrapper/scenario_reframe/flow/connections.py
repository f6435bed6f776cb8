"""The httpx client that requests use, whichever process and event loop they are made in."""

import asyncio
import os
from collections.abc import Callable
from typing import Generic, TypeVar

import httpx

from scenario_reframe.errors import ConfigurationError

H = TypeVar("H", bound=httpx.Client | httpx.AsyncClient)


class Connections(Generic[H]):
    """The caller's httpx client, or one of our own.

    A pool does not survive `os.fork`, since its sockets would receive the parent's replies, nor
    the end of its event loop. Our own client is then replaced by a new one. After a fork the old
    one stays open, since closing it would close the parent's connections; a loop's is dropped.
    """

    def __init__(self, make: Callable[[], H], given: H | None) -> None:
        self.is_given = given is not None
        self._make = make
        self._http = [given if given is not None else make()]
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> H:
        """The client. Raises ConfigurationError if it is closed, or given before a fork."""
        if self._process != os.getpid():
            if self.is_given:
                raise ConfigurationError(
                    "this client's http_client was made before os.fork: make both in the child"
                )
            self._http.append(self._make())
            self._process = os.getpid()
        self._follow_loop()
        if self._http[-1].is_closed:
            # httpx's own error is a RuntimeError.
            raise ConfigurationError("this client is closed; make a new one")
        return self._http[-1]

    def to_close(self) -> H | None:
        """The httpx client to close, or None if it is not ours."""
        if self.is_given or self._process != os.getpid():
            return None
        self._follow_loop()
        return self._http[-1]

    def _follow_loop(self) -> None:
        http = self._http[-1]
        if self.is_given or not isinstance(http, httpx.AsyncClient) or http.is_closed:
            return
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            self._http[-1] = self._make()
        self._loop = loop
