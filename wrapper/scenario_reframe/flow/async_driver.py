"""The driver for asyncio: performs a flow's steps over httpx, blocking work in threads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from threading import Lock
from typing import Any, TypeVar, cast

import httpx

from scenario_reframe.models import Job

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


class AsyncDriver:
    """Performs flows over an httpx.AsyncClient. Blocking work runs off the event loop."""

    def __init__(self, wire: Wire, connections: Connections[httpx.AsyncClient]) -> None:
        self._wire = wire
        self._connections = connections

    @property
    def _http(self) -> httpx.AsyncClient:
        return self._connections.get()

    async def run(self, flow: Flow[T]) -> T:
        """Perform every step, and return what the flow returns.

        A step whose answer the flow must know is finished even when the caller is cancelled: the
        flow gets the answer, and the cancellation in place of the next step.
        """
        self._connections.get()
        answer: Any = None
        error: BaseException | None = None
        cancelled = False
        while True:
            try:
                step = flow.send(answer) if error is None else flow.throw(error)
            except StopIteration as stop:
                result: T = stop.value
                break
            if cancelled:
                answer, error, cancelled = None, asyncio.CancelledError(), False
                continue
            try:
                if isinstance(step, Blocking) and not step.may_be_left:
                    answer, cancelled = await _run_to_end(step.function)
                elif isinstance(step, Send) and step.grace:
                    answer, cancelled = await _with_grace(self._send(step), step)
                else:
                    answer = await self._perform(step)
                error = None
            except BaseException as fault:  # noqa: BLE001 - the flow decides, even on cancellation
                answer, error = None, without_transport_frames(fault)
        if cancelled:
            raise _with_job(asyncio.CancelledError(), result)
        return result

    async def _perform(self, step: Step) -> Any:
        match step:
            case Pause(seconds):
                return await asyncio.sleep(seconds)
            case Call(callback, arguments):
                return await awaited(callback(*arguments))
            case Blocking(function):
                return await asyncio.to_thread(function)
            case Together(flows, limit):
                return await self._together(flows, limit)
            case Send():
                return await self._send(step)
            case Pull() | Push():
                try:
                    with signed_urls():
                        return await (
                            self._pull(step) if isinstance(step, Pull) else self._push(step)
                        )
                except TRANSPORT_ERRORS as error:
                    return self._wire.no_reply(error)

    async def _send(self, step: Send) -> Reply | NoReply:
        async def streamed(body: bytes) -> AsyncIterator[bytes]:
            if step.handover.check is not None:
                await _run_in_thread(step.handover.check)
            step.handover.happened = True
            yield body

        answer: Reply | NoReply
        request = step.request
        try:
            sent = self._wire.api(request, streamed)
            with self._wire.exchange(request) as bound:
                answer = await self._exchange(sent, bound, self._wire.auth)
        except Exception as error:  # noqa: BLE001 - it may have been sent, whatever is raised
            answer = self._wire.no_reply(error, step)
        log_call(request, answer)
        return answer

    async def _exchange(
        self, sent: httpx.Request, bound: Bound, auth: httpx.Auth | None = None
    ) -> Reply:
        response = await self._http.send(sent, auth=auth, follow_redirects=False, stream=True)
        bound.head_ended()
        try:
            body = ReplyBody(response, bound)
            async for chunk in _raw(response):
                body.add(chunk)
        finally:
            await response.aclose()
        return self._wire.reply(response, body.whole())

    async def _pull(self, step: Pull) -> Reply:
        with self._wire.pull() as bound:
            return await self._pull_within(bound, step)

    async def _pull_within(self, bound: Bound, step: Pull) -> Reply:
        response = await self._open(step)
        bound.head_ended()
        head = self._wire.reply(response)
        try:
            # Each to its end, even when cancelled: no thread may use the file when it is closed.
            if await _run_in_thread(partial(step.sink.accept, head.status, head.headers)):
                async for chunk in _raw(response):
                    await _run_in_thread(partial(step.sink.write, chunk))
                    await awaited(step.progress.add(len(chunk)))
                    bound.moved(len(chunk))
        finally:
            try:
                await _run_in_thread(step.sink.close)
            finally:
                await response.aclose()
        return head

    async def _open(self, step: Pull) -> httpx.Response:
        # Redirects are followed by hand: httpx would add a given client's cookies to them.
        url = None
        for _ in range(MAX_REDIRECTS):
            sent = self._wire.transfer("GET", step, url=url)
            response = await self._http.send(sent, auth=None, follow_redirects=False, stream=True)
            if response.next_request is None:
                return response
            url = response.next_request.url
            await response.aclose()
        raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects")

    async def _push(self, step: Push) -> Reply:
        def read() -> bytes:
            with reading:
                return next(chunks, b"")

        async def counted() -> AsyncGenerator[bytes, None]:
            while chunk := await asyncio.to_thread(read):
                yield chunk
                await awaited(step.progress.add(len(chunk)))
                bound.moved(len(chunk))

        chunks, reading = step.read(), Lock()
        try:
            with self._wire.exchange() as bound:
                async with aclosing(counted()) as content:
                    sent = self._wire.transfer("PUT", step, content=content)
                    return await self._exchange(sent, bound)
        finally:
            # Not in a thread, which a second cancellation would prevent. After a cancellation,
            # another thread may still be reading the last chunk.
            with reading:
                chunks.close()

    async def _together(self, flows: Sequence[Flow[Any]], limit: int) -> list[Any]:
        slots = asyncio.Semaphore(limit)

        async def one(flow: Flow[Any]) -> Any:
            async with slots:
                return await self.run(flow)

        tasks = [asyncio.ensure_future(one(flow)) for flow in flows]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _run_to_end(function: Callable[[], T]) -> tuple[T, bool]:
    """Run a function in a thread to its end: its result, and whether the caller was cancelled.

    The flow must know what was written by then, such as a lease or a POST's row.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function))
    cancelled = await _wait_until_done(work)
    if cancelled and work.exception() is not None:
        raise asyncio.CancelledError from work.exception()
    return work.result(), cancelled


async def _with_grace(work: Coroutine[Any, Any, T], step: Send) -> tuple[T, bool]:
    """The reply to a request, and whether the caller was cancelled before it came.

    It may be a paid job's: once the request was sent, the reply is waited for all the same.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task], timeout=step.grace if step.handover.happened else 0.0)
        finally:
            task.cancel()
            await _wait_until_done(task)
        if task.cancelled() or task.exception() is not None:
            raise
        return task.result(), True
    return task.result(), False


async def _wait_until_done(task: "asyncio.Future[Any]") -> bool:
    """Wait until a task is done, however often the caller is cancelled; return whether it was."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


def _with_job(stop: asyncio.CancelledError, result: object) -> asyncio.CancelledError:
    """Add the job to a cancellation that came after the job was made: it is paid for."""
    job = result if isinstance(result, Job) else getattr(result, "job", None)
    if job is not None:
        stop.job = job  # type: ignore[attr-defined]
        stop.add_note(f"Job {job.id} was made: wait for this id.")
    return stop


async def _run_in_thread(function: Callable[[], T]) -> T:
    """Run a function in a thread to its end; only then raise the caller's cancellation."""
    result, cancelled = await _run_to_end(function)
    if cancelled:
        raise asyncio.CancelledError
    return result


async def awaited(value: Any) -> Any:
    """What a callback returned, awaited if it can be."""
    return await value if isawaitable(value) else value


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    """The raw bytes of a body; the decoded ones if a hook has read it."""
    if response.is_stream_consumed:
        yield response.content
    else:
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            yield chunk
