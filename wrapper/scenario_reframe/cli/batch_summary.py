"""The summary of a batch: counted while it runs, printed at its end."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from scenario_reframe.batch import BatchEvent, BatchOutcome
from scenario_reframe.models import Job

from .exit_codes import UNCERTAIN, failure_of, plural, typed_command
from .output import one_line

_LISTED = 20
_STATUSES = ("done", "failed", "uncertain", "skipped")


@define
class BatchSummary:
    """Counts outcomes, and what was paid in this run. Events come from another thread."""

    total: int
    has_ledger: bool
    has_started: bool = False
    _counts: Counter[str] = field(factory=Counter)
    _from_earlier_run: int = 0
    _running: set[int] = field(factory=set)
    _costs: dict[str, float | None] = field(factory=dict)
    _not_done: list[tuple[str, BatchOutcome]] = field(factory=list)

    def add_event(self, event: BatchEvent) -> None:
        """Count a job that was submitted or resumed."""
        self.has_started = True
        if event.kind in ("submitted", "taken-up"):
            self._running.add(id(event.item))
        if event.kind == "submitted" and event.job is not None:
            self._costs[event.job.id] = event.job.cost

    def add_outcome(self, label: str, outcome: BatchOutcome) -> None:
        """Count a finished item, listed under this label if it is not done."""
        self._running.discard(id(outcome.item))
        self._counts[outcome.status] += 1
        self._from_earlier_run += outcome.taken_up and outcome.status == "done"
        self._update_cost(outcome.job)
        if outcome.status != "done":
            self._not_done.append((label, outcome))

    @property
    def finished(self) -> int:
        """How many items have an outcome."""
        return self._counts.total()

    @property
    def paid(self) -> float:
        """Creative units, as far as the server named them."""
        return sum(cost for cost in self._costs.values() if cost is not None)

    def exit_code(self) -> int:
        """0 if all are done; else that of an uncertain item, a failed one, a skipped one."""
        by_status = {status: [] for status in _STATUSES}  # type: dict[str, list[BatchOutcome]]
        for _, outcome in self._not_done:
            by_status[outcome.status].append(outcome)
        if by_status["uncertain"]:
            return UNCERTAIN
        for outcome in (*by_status["failed"], *by_status["skipped"]):
            return failure_of(outcome.error).code if outcome.error is not None else 1
        return 0

    def counts(self) -> str:
        """`3 done, 1 failed, 2 running`, for a bar."""
        finished = [f"{self._counts['done']:,} done", *self._other_counts()]
        return ", ".join([*finished, f"{len(self._running):,} running"])

    def lines(self) -> Iterator[str]:
        """The summary for people: counts, what was paid, what is not done, and how to resume."""
        yield f"{self._counts_line()} {self._paid_line()}"
        for label, outcome in self._not_done[:_LISTED]:
            yield f"- {outcome.status}: {label}: {error_text(outcome)}"
        if len(self._not_done) > _LISTED:
            yield f"- and {len(self._not_done) - _LISTED:,} more"
        if self._counts["done"] < self.total:
            yield from self._resume_lines()

    def to_json(self) -> dict[str, Any]:
        """The summary in the output of `--json`."""
        return {
            "asked": self.total,
            **{status: self._counts[status] for status in _STATUSES},
            "unfinished": self.total - self.finished,
            "taken_up": self._from_earlier_run,
            "paid": self.paid,
            "again": typed_command() if self._counts["done"] < self.total else None,
        }

    def _update_cost(self, job: Job | None) -> None:
        if job is not None and job.id in self._costs and job.cost is not None:
            self._costs[job.id] = job.cost

    def _other_counts(self) -> list[str]:
        counted = [status for status in _STATUSES[1:] if self._counts[status]]
        return [f"{self._counts[status]:,} {status}" for status in counted]

    def _counts_line(self) -> str:
        earlier = self._from_earlier_run
        bought = f" ({earlier:,} bought by an earlier run)" if earlier else ""
        counts = [f"{self._counts['done']:,} done{bought}", *self._other_counts()]
        if self.finished < self.total:
            counts.append(f"{self.total - self.finished:,} unfinished")
        return f"{plural(self.total, 'item')}: {', '.join(counts)}."

    def _paid_line(self) -> str:
        unknown = sum(cost is None for cost in self._costs.values())
        also = f", and the unknown cost of {plural(unknown, 'job')}" if unknown else ""
        return f"{in_creative_units(self.paid)} paid in this run{also}."

    def _resume_lines(self) -> Iterator[str]:
        if not self.has_ledger:
            yield "Without a ledger, the same command pays for all items again. To list the jobs:"
            yield "scenario-reframe jobs list"
            return
        if self.finished < self.total:
            yield "Running jobs are paid for and continue on the server."
        if self._counts["uncertain"]:
            yield "Uncertain items are submitted again only with --resubmit-after SECONDS."
        yield "To resume, without paying again for what is done, run the same command:"
        yield typed_command()


def error_text(outcome: BatchOutcome) -> str:
    """Why an item is not done, in one line."""
    if outcome.error is None:
        return outcome.status
    return one_line(failure_of(outcome.error).message)


def in_creative_units(amount: float) -> str:
    """`1,200 creative units`."""
    return f"{f'{amount:,.2f}'.rstrip('0').rstrip('.')} creative units"
