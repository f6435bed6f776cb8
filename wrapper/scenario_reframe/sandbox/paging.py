"""Where a page of the list of jobs ends, as the text of a `nextPaginationToken`."""

import base64
from dataclasses import dataclass
from typing import Final, Self

# A job's place in the list: a time in milliseconds, then the job's number.
ListPlace = tuple[int, int]

TOP: Final[ListPlace] = (10**15, 10**15)
"""Before every job, as the newest comes first."""

END: Final[ListPlace] = (-1, -1)
"""After every job."""


@dataclass(frozen=True)
class Token:
    """The next page begins after `place`.

    It also shows the jobs whose ids are `held` back. A `nonce` makes a token of the same place
    another text, so that nobody who follows tokens seems to go round in circles.
    """

    place: ListPlace
    held: tuple[str, ...] = ()
    nonce: str = ""

    def text(self) -> str:
        """Write it so that it can stand in a URL."""
        fields = (*map(str, self.place), ",".join(self.held), self.nonce)
        return base64.urlsafe_b64encode(".".join(fields).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `text` wrote. Raises ValueError."""
        padded = text + "=" * (-len(text) % 4)
        plain = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii")
        date, number, held, nonce = plain.split(".")
        return cls((int(date), int(number)), tuple(filter(None, held.split(","))), nonce)
