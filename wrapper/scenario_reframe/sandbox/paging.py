"""The `nextPaginationToken` of a page of the list of jobs."""

import base64
from dataclasses import dataclass
from typing import Final, Self

# A job's position in the list: a time in milliseconds, then the job's number.
ListPosition = tuple[int, int]

TOP: Final[ListPosition] = (10**15, 10**15)
"""Before every job, as the newest comes first."""

END: Final[ListPosition] = (-1, -1)
"""After every job."""


@dataclass(frozen=True)
class PageToken:
    """The next page begins after `position`.

    It also shows the jobs with the ids `moved`, left out of the page before. A `nonce` makes two
    tokens of one position differ, so that a client does not take them for a loop.
    """

    position: ListPosition
    moved: tuple[str, ...] = ()
    nonce: str = ""

    def text(self) -> str:
        """Encode it as text that is safe in a URL."""
        fields = (*map(str, self.position), ",".join(self.moved), self.nonce)
        return base64.urlsafe_b64encode(".".join(fields).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Self:
        """Decode what `text` encoded. Raises ValueError."""
        padded = text + "=" * (-len(text) % 4)
        plain = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii")
        date, number, moved, nonce = plain.split(".")
        return cls((int(date), int(number)), tuple(filter(None, moved.split(","))), nonce)
