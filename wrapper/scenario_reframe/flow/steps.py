"""Steps: what a flow yields. Flows are the control plane, without I/O.

A flow is a generator that yields steps and is sent their answers; a driver performs them, one
for plain code and one for asyncio. So retry, deadlines, polling and recovery are written once,
and tests step through a flow with no socket and no sleep.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

T = TypeVar("T")


@frozen(kw_only=True)
class Request:
    """One call of the API. `timeout`: seconds; None means the client's own."""

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
        """Check the reply's status and headers; False leaves the body unread."""

    def write(self, chunk: bytes) -> None:
        """Write some bytes."""

    def close(self) -> None:
        """Close; called once after every `accept`, whatever happened."""


class Handover:
    """Records whether a request's body was handed over to httpx.

    A body that was never handed over was not sent, whatever was raised. An exception's class proves
    nothing, since a reply may have arrived before it is raised. `check` is called right before the
    handover; if it raises, the request is not sent.
    """

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        self.check = check
        self.happened = False


@frozen
class Send:
    """Send a request to the API. Answer: Reply or NoReply.

    `grace`: seconds for which the reply is still waited for when the caller is cancelled (asyncio).
    """

    request: Request
    handover: Handover = field(factory=Handover)
    grace: float = 0.0


@frozen
class Pause:
    """Wait for some seconds."""

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
    """Run flows in parallel, at most `limit` at once. Answer: their results, in order."""

    flows: Sequence["Flow[Any]"]
    limit: int


Step = Send | Pause | Call | Blocking | Pull | Push | Together
Flow = Generator[Step, Any, T]
ProgressCallback = Callable[[int, int | None], Any]


class Progress:
    """Counts transferred bytes, and calls a callback with (done, total or None)."""

    def __init__(self, callback: ProgressCallback | None, total: int | None, done: int = 0) -> None:
        self._callback = callback
        self._lock = Lock()
        self.total = total
        self.done = done

    def add(self, count: int) -> Any:
        """Add some bytes; returns what the callback returned, which may have to be awaited."""
        with self._lock:
            self.done += count
            return self._callback(self.done, self.total) if self._callback else None

    def subtract(self, count: int) -> None:
        """Subtract some bytes, without a call of the callback."""
        with self._lock:
            self.done -= count

    def attempt(self) -> "Attempt":
        """A separate count for one attempt, which can be undone."""
        return Attempt(self)


class Attempt(Progress):
    """Counts what one attempt has added, so that it can be subtracted if the attempt fails."""

    def __init__(self, whole: Progress) -> None:
        super().__init__(None, None)
        self._whole = whole

    def add(self, count: int) -> Any:
        """Add some bytes here and to the whole."""
        super().add(count)
        return self._whole.add(count)

    def undo(self) -> None:
        """Subtract what this attempt has added, without a call of the callback."""
        self._whole.subtract(self.done)
