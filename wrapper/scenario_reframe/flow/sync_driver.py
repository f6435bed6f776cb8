"""The driver without asyncio: performs a flow's steps over httpx, uploads in threads."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import Any, TypeVar, cast

import httpx

from .bounds import Bound
from .connections import Connections
from .steps import (
    Blocking,
    Call,
    Flow,
    NoReply,
    Pause,
    Pull,
    Push,
    Reply,
    Send,
    Step,
    Together,
)
from .tracebacks import without_transport_frames
from .transport import (
    MAX_REDIRECTS,
    TRANSPORT_ERRORS,
    ReplyBody,
    Wire,
    log_call,
    signed_urls,
)

T = TypeVar("T")


class _StoppedError(Exception):
    """Stops a part's upload when another part has failed; that other error is the one raised."""


class SyncDriver:
    """Performs flows over an httpx.Client."""

    def __init__(self, wire: Wire, connections: Connections[httpx.Client]) -> None:
        self._wire = wire
        self._connections = connections

    @property
    def _http(self) -> httpx.Client:
        return self._connections.get()

    def run(self, flow: Flow[T], stopped: Event | None = None) -> T:
        """Perform every step, and return what the flow returns. `stopped` ends uploads early."""
        self._connections.get()
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = flow.send(answer) if error is None else flow.throw(error)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if stopped is not None and stopped.is_set():
                raise _StoppedError
            try:
                answer, error = self._perform(step, stopped or Event()), None
            except BaseException as fault:  # noqa: BLE001 - the flow decides, even on Ctrl-C
                answer, error = None, without_transport_frames(fault)

    def _perform(self, step: Step, stopped: Event) -> Any:
        match step:
            case Pause(seconds):
                return time.sleep(seconds)
            case Call(callback, arguments):
                return callback(*arguments)
            case Blocking(function):
                return function()
            case Together(flows, limit):
                return self._together(flows, limit)
            case Send():
                return self._send(step)
            case Pull() | Push():
                try:
                    with signed_urls():
                        return (
                            self._pull(step)
                            if isinstance(step, Pull)
                            else self._push(step, stopped)
                        )
                except TRANSPORT_ERRORS as error:
                    return self._wire.no_reply(error)

    def _send(self, step: Send) -> Reply | NoReply:
        def streamed(body: bytes) -> Iterator[bytes]:
            if step.handover.check is not None:
                step.handover.check()
            step.handover.happened = True
            yield body

        answer: Reply | NoReply
        request = step.request
        try:
            sent = self._wire.api(request, streamed)
            with self._wire.exchange(request) as bound:
                answer = self._exchange(sent, bound, self._wire.auth)
        except Exception as error:  # noqa: BLE001 - it may have been sent, whatever is raised
            answer = self._wire.no_reply(error, step)
        log_call(request, answer)
        return answer

    def _exchange(self, sent: httpx.Request, bound: Bound, auth: httpx.Auth | None = None) -> Reply:
        response = self._http.send(sent, auth=auth, follow_redirects=False, stream=True)
        bound.head_ended()
        try:
            body = ReplyBody(response, bound)
            for chunk in _raw(response):
                body.add(chunk)
        finally:
            response.close()
        return self._wire.reply(response, body.whole())

    def _pull(self, step: Pull) -> Reply:
        with self._wire.pull() as bound:
            return self._pull_within(bound, step)

    def _pull_within(self, bound: Bound, step: Pull) -> Reply:
        response = self._open(step)
        bound.head_ended()
        head = self._wire.reply(response)
        try:
            if step.sink.accept(head.status, head.headers):
                for chunk in _raw(response):
                    step.sink.write(chunk)
                    step.progress.add(len(chunk))
                    bound.moved(len(chunk))
        finally:
            step.sink.close()
            response.close()
        return head

    def _open(self, step: Pull) -> httpx.Response:
        # Redirects are followed by hand: httpx would add a given client's cookies to them.
        url = None
        for _ in range(MAX_REDIRECTS):
            sent = self._wire.transfer("GET", step, url=url)
            response = self._http.send(sent, auth=None, follow_redirects=False, stream=True)
            if response.next_request is None:
                return response
            url = response.next_request.url
            response.close()
        raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects")

    def _push(self, step: Push, stopped: Event) -> Reply:
        def counted() -> Iterator[bytes]:
            for chunk in chunks:
                if stopped.is_set():
                    raise _StoppedError
                yield chunk
                step.progress.add(len(chunk))
                bound.moved(len(chunk))

        with closing(step.read()) as chunks, self._wire.exchange() as bound:
            return self._exchange(self._wire.transfer("PUT", step, content=counted()), bound)

    def _together(self, flows: Sequence[Flow[Any]], limit: int) -> list[Any]:
        stopped = Event()
        with ThreadPoolExecutor(limit, thread_name_prefix="scenario-reframe") as pool:
            running = [pool.submit(self.run, flow, stopped) for flow in flows]
            try:
                return [future.result() for future in running]
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _raw(response: httpx.Response) -> Iterable[bytes]:
    """The raw bytes of a body; the decoded ones if a hook has read it."""
    if response.is_stream_consumed:
        return [response.content]
    return cast("httpx.SyncByteStream", response.stream)
