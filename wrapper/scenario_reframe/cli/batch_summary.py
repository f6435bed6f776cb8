"""What has become of a batch so far: counted while it runs, summed up at its end."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from scenario_reframe.batch import BatchEvent, BatchOutcome
from scenario_reframe.models import Job

from .exit_codes import counted_in, failure_of, same_command
from .output import one_line

_LISTED = 20
_ENDS = ("done", "failed", "uncertain", "skipped")
_UNCERTAIN = 6


@define
class Tally:
    """Counts outcomes, and what was paid in this run. Events come from another thread."""

    total: int
    has_ledger: bool
    begun: bool = False
    _ends: Counter[str] = field(factory=Counter)
    _taken_up: int = 0
    _running: set[int] = field(factory=set)
    _costs: dict[str, float | None] = field(factory=dict)
    _open: list[tuple[str, BatchOutcome]] = field(factory=list)
    _listed: int = 0

    def happened(self, event: BatchEvent) -> None:
        """Something happened on the way."""
        self.begun = True
        if event.kind in ("submitted", "taken-up"):
            self._running.add(id(event.item))
        if event.kind == "submitted" and event.job is not None:
            self._costs[event.job.id] = event.job.cost

    def ended(self, name: str, outcome: BatchOutcome) -> None:
        """One is at its end, under this name."""
        self._running.discard(id(outcome.item))
        self._ends[outcome.status] += 1
        self._taken_up += outcome.taken_up and outcome.status == "done"
        self._price(outcome.job)
        if outcome.status != "done":
            self._open.append((name, outcome))

    @property
    def at_end(self) -> int:
        """How many are at their end."""
        return self._ends.total()

    @property
    def paid(self) -> float:
        """Creative units, as far as the server named them."""
        return sum(cost for cost in self._costs.values() if cost is not None)

    def code(self) -> int:
        """0 if all is done; else what is worst to overlook comes first."""
        errors = {status: [] for status in _ENDS}  # type: dict[str, list[BatchOutcome]]
        for _, outcome in self._open:
            errors[outcome.status].append(outcome)
        if errors["uncertain"]:
            return _UNCERTAIN
        for outcome in (*errors["failed"], *errors["skipped"]):
            return failure_of(outcome.error).code if outcome.error is not None else 1
        return 0

    def words(self) -> str:
        """For a bar: `3 done, 1 failed, 2 under way`."""
        counts = [f"{self._ends[end]:,} {end}" for end in _ENDS if self._ends[end] or end == "done"]
        return ", ".join([*counts, f"{len(self._running):,} under way"])

    def lines(self) -> Iterator[str]:
        """The summary for people: counts, what was paid, what is not done, and how to go on."""
        yield f"{self._counted()} {self._paid_in_words()}"
        for name, outcome in self._open[:_LISTED]:
            yield f"- {outcome.status}: {name}: {reason(outcome)}"
        if len(self._open) > _LISTED:
            yield f"- and {len(self._open) - _LISTED:,} more"
        if self._ends["done"] < self.total:
            yield from self._going_on()

    def record(self) -> dict[str, Any]:
        """The summary for scripts."""
        ends = {end: self._ends[end] for end in _ENDS}
        return {
            "asked": self.total,
            **ends,
            "unfinished": self.total - self.at_end,
            "taken_up": self._taken_up,
            "paid": self.paid,
            "again": same_command() if self._ends["done"] < self.total else None,
        }

    def _price(self, job: Job | None) -> None:
        if job is not None and job.id in self._costs and job.cost is not None:
            self._costs[job.id] = job.cost

    def _counted(self) -> str:
        taken = f" ({self._taken_up:,} taken up from an earlier run)" if self._taken_up else ""
        counts = [f"{self._ends['done']:,} done{taken}"]
        counts += [f"{self._ends[end]:,} {end}" for end in _ENDS[1:] if self._ends[end]]
        if self.at_end < self.total:
            counts.append(f"{self.total - self.at_end:,} not at their end")
        return f"{self.total:,} asked for: {', '.join(counts)}."

    def _paid_in_words(self) -> str:
        unknown = sum(cost is None for cost in self._costs.values())
        also = f", and what {counted_in(unknown, 'job')} cost" if unknown else ""
        return f"{in_units(self.paid)} paid in this run{also}."

    def _going_on(self) -> Iterator[str]:
        if not self.has_ledger:
            yield "Without a ledger, the same command pays for all of it again. What was made:"
            yield "scenario-reframe jobs list"
            return
        if self.at_end < self.total:
            yield "Jobs under way are paid for, and go on."
        if self._ends["uncertain"]:
            yield "What is uncertain is submitted again only with --resubmit-after SECONDS."
        yield "The same command again goes on from here, and pays for nothing that is done:"
        yield same_command()


def reason(outcome: BatchOutcome) -> str:
    """Why it is not done, in one line."""
    if outcome.error is None:
        return outcome.status
    return one_line(failure_of(outcome.error).message)


def in_units(amount: float) -> str:
    """`1,200 creative units`."""
    return f"{f'{amount:,.2f}'.rstrip('0').rstrip('.')} creative units"
