"""When a job or an upload is shown in which status."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import takewhile


class Timeline:
    """The statuses of a job or an upload, each shown for at least `stage_seconds`.

    Work may be faster than any client polls. So a status is shown as soon as it is reached and the
    one before has been shown long enough. No thread waits for this: the shown status is computed
    when it is read.
    """

    def __init__(
        self,
        status: str,
        stage_seconds: float,
        clock: Callable[[], float],
        created: float | None = None,
    ) -> None:
        self._stage_seconds = stage_seconds
        self._clock = clock
        self._entries = [(status, clock() if created is None else created)]

    def reach(self, status: str, *, at_once: bool = False) -> None:
        """Add a status that is reached now; `at_once`: show it now, as a request asked for it."""
        shown_from = self._clock()
        if not at_once:
            shown_from = max(shown_from, self._entries[-1][1] + self._stage_seconds)
        self._entries.append((status, shown_from))

    def shown(self) -> list[tuple[str, float]]:
        """The statuses shown so far, oldest first, each with its Unix time in seconds."""
        now = self._clock()
        return self._entries[:1] + list(takewhile(lambda e: e[1] <= now, self._entries[1:]))

    @property
    def created(self) -> float:
        """Unix time of the first status, in seconds."""
        return self._entries[0][1]


def iso(moment: float) -> str:
    """Format a Unix time as the vendor does: UTC, milliseconds, Z."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
