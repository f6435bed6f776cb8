"""Removes from an error what may show the credentials: frames of httpx, and texts of the server."""

from collections.abc import Callable, Iterator
from types import TracebackType

import httpx

_OURS = (f"{__package__}.bounds", f"{__package__}.transport")
_TRANSPORT = ("httpx", "httpcore", "h11", "h2", "anyio", *_OURS)
_DRIVERS = (f"{__package__}.sync_driver", f"{__package__}.async_driver")


def without_transport_frames(error: BaseException) -> BaseException:
    """The same error, and those behind it, without frames that hold a request or a reply.

    Tools that show a traceback's locals would show the Authorization header. From the transport's
    first frame on, all are left out up to one of a driver, which reads a body or calls a callback.
    """
    for fault in _chain(error):
        fault.__traceback__ = _kept(fault.__traceback__)
    return error


def redact_error(error: BaseException, redact: Callable[[str], str]) -> None:
    """Redact an error and those behind it: texts may repeat a reply, and httpx's hold requests."""
    for fault in _chain(error):
        if isinstance(fault, httpx.RequestError):
            fault._request = None  # noqa: SLF001 - it holds the Authorization header
        text = str(fault)
        if redact(text) != text or redact(repr(fault)) != repr(fault):
            fault.args = (redact(text),)


def _kept(traceback: TracebackType | None) -> TracebackType | None:
    frames: list[TracebackType] = []
    is_left_out = False
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if _is_within(module, _TRANSPORT):
            is_left_out = True
        elif _is_within(module, _DRIVERS):
            is_left_out = False
        if not is_left_out:
            frames.append(traceback)
        traceback = traceback.tb_next
    kept = None
    for one in reversed(frames):
        kept = TracebackType(kept, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return kept


def _is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all behind it, once each."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        fault = left.pop()
        if fault is None or any(fault is known for known in found):
            continue
        found.append(fault)
        left += [fault.__cause__, fault.__context__]
        if isinstance(fault, BaseExceptionGroup):
            left += fault.exceptions
    yield from found
