"""Flows: the control plane without I/O.

A flow is a generator that yields steps and is sent their answers; a driver performs them, one
with threads and one with asyncio. Retry, deadlines, polling and recovery are written here once,
and tested by stepping a flow by hand, with no socket and no sleep.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

T = TypeVar("T")


@frozen(kw_only=True)
class Request:
    """One call of the API. `timeout` in seconds, None for the client's own."""

    method: str
    path: str
    params: Mapping[str, Any] = field(factory=dict)
    body: Mapping[str, Any] | None = None
    timeout: float | None = None


@frozen
class Reply:
    """A whole reply. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


@frozen
class NoReply:
    """No whole reply. `sent` is False when it is certain that no whole request was sent."""

    error: Exception
    sent: bool


class Sink(Protocol):
    """Where a download's bytes go. Its methods block; drivers keep them off the event loop."""

    def accept(self, status: int, headers: Mapping[str, str]) -> bool:
        """Look at the reply's head; False to leave the body unread."""

    def write(self, chunk: bytes) -> None:
        """Take some bytes."""

    def close(self) -> None:
        """Called once for every `accept`, whatever happened."""


class Handover:
    """The moment in which a request's body is handed over to be sent.

    A body that was never handed over was not sent, whatever was raised: an exception's class proves
    nothing, since a reply may be there when one is raised. `check` is called right before; what it
    raises keeps the request from being sent.
    """

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        self.check = check
        self.happened = False


@frozen
class Send:
    """Send a request to the API. Answer: Reply or NoReply.

    `grace`: for so many seconds its reply is waited for when the caller is cancelled (asyncio).
    """

    request: Request
    handover: Handover = field(factory=Handover)
    grace: float = 0.0


@frozen
class Pause:
    """Let some seconds pass."""

    seconds: float


@frozen
class Call:
    """Call a function of the caller's. Answer: what it returns, awaited (asyncio) if awaitable."""

    callback: Callable[..., Any]
    arguments: tuple[Any, ...]


@frozen
class Blocking:
    """Blocking work, off the event loop. Answer: what the function returns.

    Under asyncio it runs to its end even when the caller is cancelled, since what it wrote must
    be known; unless it `may_be_left`.
    """

    function: Callable[[], Any]
    may_be_left: bool = False


@frozen
class Pull:
    """Fetch a file's bytes into a sink, without credentials. Answer: Reply (no body) or NoReply."""

    url: str = field(repr=False)
    headers: Mapping[str, str]
    sink: Sink
    progress: "Progress"


@frozen
class Push:
    """PUT a file's bytes, without credentials. Answer: Reply or NoReply."""

    url: str = field(repr=False)
    headers: Mapping[str, str]
    read: Callable[[], Generator[bytes, None, None]]
    progress: "Progress"


@frozen
class Together:
    """Run flows side by side, at most `limit` at once. Answer: their results, in order."""

    flows: Sequence["Flow[Any]"]
    limit: int


Step = Send | Pause | Call | Blocking | Pull | Push | Together
Flow = Generator[Step, Any, T]
ProgressCallback = Callable[[int, int | None], Any]


class Progress:
    """Counts transferred bytes and tells them to a callback as (done, total or None)."""

    def __init__(self, callback: ProgressCallback | None, total: int | None, done: int = 0) -> None:
        self._callback = callback
        self._lock = Lock()
        self.total = total
        self.done = done

    def add(self, count: int) -> Any:
        """Count some bytes; what the callback returns, since that may have to be awaited."""
        with self._lock:
            self.done += count
            return self._callback(self.done, self.total) if self._callback else None

    def subtract(self, count: int) -> None:
        """Count some bytes less, without telling."""
        with self._lock:
            self.done -= count

    def attempt(self) -> "Attempt":
        """A count of its own for something that may fail and start again."""
        return Attempt(self)


class Attempt(Progress):
    """What one attempt has added to the whole, so that it can be taken back."""

    def __init__(self, whole: Progress) -> None:
        super().__init__(None, None)
        self._whole = whole

    def add(self, count: int) -> Any:
        """Count here and in the whole."""
        super().add(count)
        return self._whole.add(count)

    def undo(self) -> None:
        """Take back what was counted, without telling."""
        self._whole.subtract(self.done)
