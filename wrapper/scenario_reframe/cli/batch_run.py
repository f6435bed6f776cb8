"""`batch`: runs it, shows each outcome as it comes, and prints a summary at the end."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from scenario_reframe import BatchEvent, BatchOutcome, InvalidBatchError, ReframeClient
from scenario_reframe.batch.engine import BatchRequest
from scenario_reframe.batch.planning import ItemPlan, checked_folder, occupied

from .batch_inputs import BatchInputs, video_label
from .batch_summary import BatchSummary, error_text, in_creative_units
from .each_flag import Variant
from .exit_codes import failure_of
from .flags import Connection, GivenSettings
from .output import one_line, path_line
from .progress import Display, open_display, print_message
from .run_command import open_client

_MOST_REMARKS = 10


@frozen(kw_only=True)
class BatchArguments:
    """The command's arguments."""

    sources: Sequence[str]
    given: GivenSettings
    variants: Sequence[Variant]
    to: str
    concurrency: int | None
    budget: float | None
    resubmit_after: float | None
    check: bool
    as_json: bool


def batch(arguments: BatchArguments, connection: Connection) -> int:
    """Check everything, then run the batch; the exit code."""
    BatchRequest(  # checks the numbers: with --check, too, and before any file is read
        items=(),
        to=arguments.to,
        concurrency=arguments.concurrency,
        budget=arguments.budget,
        resubmit_after=arguments.resubmit_after,
    )
    inputs = BatchInputs(checked_folder(arguments.to), arguments.given, arguments.variants)
    for source in arguments.sources:
        inputs.add(source)
    for remark in inputs.remarks[:_MOST_REMARKS]:
        print_message(one_line(remark))
    if len(inputs.remarks) > _MOST_REMARKS:
        print_message(f"Left out: {len(inputs.remarks) - _MOST_REMARKS:,} more")
    plans = inputs.plans()
    has_ledger = connection.ledger_location() is not None
    with open_client(connection) as client, open_display() as shown:
        if not arguments.check and not has_ledger:
            shown.message("Without a ledger, a batch that is interrupted cannot be resumed.")
        summary = BatchSummary(len(plans), has_ledger=has_ledger)
        reporter = _BatchReporter(arguments, inputs, plans, summary, shown)
        return reporter.check(client) if arguments.check else reporter.run(client)


@define
class _BatchReporter:
    """Checks or runs a batch, and reports what happens."""

    arguments: BatchArguments
    inputs: BatchInputs
    plans: Sequence[ItemPlan]
    summary: BatchSummary
    shown: Display
    _labels: dict[int, str] = field(init=False)
    _outputs: dict[int, Path] = field(init=False)

    def __attrs_post_init__(self) -> None:
        # By identity: an item holds dicts, and two may be equal.
        self._outputs = {id(plan.item): self._shown_path(plan.output) for plan in self.plans}
        self._labels = {
            id(plan.item): f"{video_label(plan.item.video)} -> {self._outputs[id(plan.item)]}"
            for plan in self.plans
        }

    def check(self, client: ReframeClient) -> int:
        """Print what would be made."""
        ledger = client.ledger
        targets = [str(plan.output) for plan in self.plans]
        entries = ledger.with_targets(targets) if ledger is not None else []
        if faults := occupied(self.plans, entries):
            self._refuse(InvalidBatchError(faults))
        for plan in self.plans:
            output = self._outputs[id(plan.item)]
            row = {"video": video_label(plan.item.video), "output": str(output)}
            label = one_line(self._labels[id(plan.item)])
            self.shown.output(json.dumps(row) if self.arguments.as_json else label)
        if self.arguments.as_json:
            self.shown.output(json.dumps({"summary": {"asked": len(self.plans), "sent": 0}}))
        self.shown.message(f"{len(self.plans):,} to make; nothing was sent, nothing was paid.")
        return 0

    def run(self, client: ReframeClient) -> int:
        """Run the batch. Whatever stops it, the summary says what is done and how to resume."""
        outcomes = client.batch(
            [plan.item for plan in self.plans],
            self.arguments.to,
            concurrency=self.arguments.concurrency,
            budget=self.arguments.budget,
            resubmit_after=self.arguments.resubmit_after,
            on_event=self._on_event,
        )
        try:
            # Closed at once if something stops it here: its thread must not submit any more.
            with closing(outcomes) as found:
                for outcome in found:
                    self._report(outcome)
        except InvalidBatchError as fault:
            self._refuse(fault)
        except BrokenPipeError:  # stdout's reader has gone, and no error will be printed
            self._print_summary()
            raise
        except BaseException as stop:
            self._add_summary(stop)
            raise
        self._print_summary()
        self._print_json_summary()
        return self.summary.exit_code()

    def _refuse(self, fault: InvalidBatchError) -> None:
        raise self.inputs.error_for(self.inputs.positioned(fault)) from fault

    def _add_summary(self, stop: BaseException) -> None:
        """Have the summary printed after the message of what stopped the batch."""
        if self.summary.has_started:
            for line in self.summary.lines():
                stop.add_note(line)
            self._print_json_summary()

    def _print_summary(self) -> None:
        self.shown.close()  # so that it is printed below the bars
        for line in self.summary.lines():
            self.shown.message(line)

    def _print_json_summary(self) -> None:
        if self.arguments.as_json:
            self.shown.output(json.dumps({"summary": self.summary.to_json()}))

    def _on_event(self, event: BatchEvent) -> None:
        """Show an event. Called from the batch's thread."""
        self.summary.add_event(event)
        label = one_line(self._labels.get(id(event.item), ""))
        if event.kind == "checked":
            self.shown.message(f"Checked {one_line(event.detail)}")
        elif event.kind == "limited":
            self.shown.message(f"The server takes no more jobs for now: {one_line(event.detail)}")
        elif event.kind == "taken-up" and event.job is not None:
            self.shown.message(f"resumed: {label} (job {event.job.id})")
        self._show_count()

    def _report(self, outcome: BatchOutcome) -> None:
        label = one_line(self._labels[id(outcome.item)])
        self.summary.add_outcome(label, outcome)
        reason = f": {error_text(outcome)}" if outcome.status != "done" else ""
        self.shown.message(f"{outcome.status}: {label}{_facts(outcome)}{reason}")
        if self.arguments.as_json:
            self.shown.output(json.dumps(self._to_json(outcome)))
        else:
            for file in outcome.files:
                self.shown.output(path_line(self._shown_path(file)))
        self._show_count()

    def _show_count(self) -> None:
        self.shown.count(self.summary.finished, self.summary.total, self.summary.counts())

    def _to_json(self, outcome: BatchOutcome) -> dict[str, Any]:
        error = failure_of(outcome.error).to_json() if outcome.error is not None else {}
        return {
            "video": video_label(outcome.item.video),
            "output": str(self._outputs[id(outcome.item)]),
            "status": outcome.status,
            "taken_up": outcome.taken_up,
            "cost": outcome.cost,
            "settings": dict(outcome.item.settings),
            "files": [str(self._shown_path(file)) for file in outcome.files],
            **error,
            "job": outcome.job.id if outcome.job is not None else None,
        }

    def _shown_path(self, path: Path) -> Path:
        """Below the output folder as it was typed."""
        folder = self.inputs.folder
        return Path(self.arguments.to, path.relative_to(folder)) if folder in path.parents else path


def _facts(outcome: BatchOutcome) -> str:
    """` (job job_x, 50 creative units, bought by an earlier run)`."""
    facts = [f"job {outcome.job.id}"] if outcome.job is not None and outcome.job.id else []
    facts += [in_creative_units(outcome.cost)] if outcome.cost is not None else []
    facts += ["bought by an earlier run"] if outcome.taken_up else []
    return f" ({', '.join(facts)})" if facts else ""
