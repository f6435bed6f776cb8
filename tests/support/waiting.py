"""How tests wait: for a condition, or with a clock that they move; never for time to pass."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Wait until a condition returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen in {seconds:g} s"
        Event().wait(0.005)  # some tests replace `time.sleep`
    return found


class Clock:
    """A clock in Unix seconds that stands still; it starts at the true time."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        """The time."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Move the clock on."""
        self.now += seconds
