"""The part that both clients share: arguments, ledger, batch."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from os import PathLike
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

from attrs import evolve

from .api.calling import Operation, repeat
from .api.json_values import iso
from .api.operations import Operations
from .api.parsing import JobPage
from .arguments import checked_path, is_number, shown
from .credentials import find_base_url, find_credentials, find_project_id
from .errors import ConfigurationError, InvalidInputError
from .flow.async_driver import AsyncDriver
from .flow.connections import Connections, H
from .flow.steps import Flow
from .flow.transport import Wire
from .ledger.interface import Ledger
from .pipeline import Pipeline
from .recovery import known_of
from .result_paths import Destination
from .secret import Secret
from .timing import Timing

if TYPE_CHECKING:
    from .batch.engine import BatchRequest
    from .batch.items import BatchItem, BatchOutcome, EventCallback

T = TypeVar("T")

DEFAULT_WAIT = 3600.0  # seconds


class ClientBase:
    """Checks the arguments of both clients, and has what their methods share."""

    def __init__(
        self,
        given: tuple[Secret[str | None], Secret[str | None]],
        base_url: str | None,
        project_id: str | None,
        timeout: float,
        ledger: str | PathLike[str] | Literal[True] | None,
        timing: Timing,
    ) -> None:
        if not (is_number(timeout) and 0 < timeout <= TIMEOUT_MAX):
            raise ConfigurationError(
                f"timeout: {shown(timeout)} is not allowed; it takes seconds above 0"
            )
        if not isinstance(timing, Timing):
            raise ConfigurationError(f"timing: {shown(timing)} is not allowed; it takes a Timing")
        credentials = find_credentials(*given)
        self._wire = Wire(find_base_url(base_url), credentials, float(timeout), timing.clock)
        self._operations = Operations(find_project_id(project_id), timing)
        known = known_of(self._wire.base_url, self._operations.project_id, credentials.key)
        if ledger is not None and ledger is not True:
            ledger = checked_path(ledger, "ledger", ConfigurationError, is_secret=True)
        opened = None if ledger is None else self._open_ledger(ledger)
        self._pipeline = Pipeline(self._operations, opened, known)

    def __repr__(self) -> str:
        # A traceback with locals shows one that could not be made, too.
        base_url = self._wire.base_url if hasattr(self, "_wire") else None
        return f"{type(self).__name__}(base_url={base_url!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is neither pickled nor copied, since it holds a secret: make "
            "one in each process, for instance in ProcessPoolExecutor(initializer=...)"
        )

    @property
    def ledger(self) -> Ledger | None:
        """The ledger that the client was made with, if any."""
        return self._pipeline.ledger

    def _open_ledger(self, ledger: str | PathLike[str] | Literal[True] | None) -> Ledger:
        """Open the ledger at a path; None means one in memory."""
        from .ledger.default_path import default_ledger_path  # noqa: PLC0415 - only when it is used
        from .ledger.store import SqlLedger  # noqa: PLC0415

        path = default_ledger_path() if ledger is True else ledger
        if ledger is True and path == "none":
            raise ConfigurationError("ledger=True, but SCENARIO_LEDGER is none: pass a path")
        return SqlLedger(
            path,
            base_url=self._wire.base_url,
            project_id=self._operations.project_id,
            api_key=self._wire.credentials.key,
            # With a given http_client, connecting, sending and receiving may each take the timeout.
            longest_post=3 * self._wire.timeout,
            timing=self._operations.timing,
        )

    def _connect(self, make: Callable[[], H], given: H | None) -> Connections[H]:
        """The connections; if they cannot be made, the ledger is closed again."""
        try:
            return Connections(make, given)
        except ConfigurationError:
            self._close_ledger()
            raise

    def _close_ledger(self) -> None:
        if self._pipeline.ledger is not None:
            self._pipeline.ledger.close()

    @asynccontextmanager
    async def _outcomes(
        self, order: "BatchRequest", driver: AsyncDriver
    ) -> "AsyncIterator[AsyncIterator[BatchOutcome]]":
        """The outcomes of a batch, with the client's ledger or else one in memory."""
        from .batch.engine import BatchEngine  # noqa: PLC0415 - only when it is used

        own = self._pipeline.ledger
        ledger = own if own is not None else self._open_ledger(None)
        try:
            pipeline = evolve(self._pipeline, ledger=ledger)
            async with aclosing(BatchEngine(pipeline, ledger, driver, order).outcomes()) as found:
                yield found
        finally:
            if own is None:
                ledger.close()

    def _order(
        self,
        items: "Iterable[BatchItem]",
        to: Destination,
        concurrency: int | None,
        budget: float | None,
        resubmit_after: float | None,
        on_event: "EventCallback | None",
    ) -> "BatchRequest":
        from .batch.engine import BatchRequest  # noqa: PLC0415 - only when it is used

        return BatchRequest(
            items=items,
            to=to,
            concurrency=concurrency,
            budget=budget,
            resubmit_after=resubmit_after,
            on_event=on_event,
        )

    def _page(self, created_after: datetime | None, token: str | None) -> Flow[JobPage]:
        return self._repeat(self._operations.list_jobs(_iso(created_after), token))

    def _repeat(self, operation: Operation[T]) -> Flow[T]:
        return repeat(operation, self._operations.timing)


def _iso(created_after: datetime | None) -> str | None:
    if created_after is None:
        return None
    try:
        if isinstance(created_after, datetime):
            return iso(created_after)
    except (OverflowError, ValueError, OSError) as fault:
        raise InvalidInputError(
            f"created_after: {shown(created_after)} cannot be written in UTC; it takes a datetime "
            "between the years 1 and 9999"
        ) from fault
    raise InvalidInputError(
        f"created_after: {shown(created_after)} is not allowed; it takes a datetime"
    )


def check_http_client(given: object, kind: type) -> None:
    """Raise ConfigurationError unless it is None or of this kind."""
    if given is not None and not isinstance(given, kind):
        raise ConfigurationError(
            f"http_client: {type(given).__name__} is not allowed; this client takes an "
            f"httpx.{kind.__name__}"
        )
