"""`batch`: many clips, each outcome told as it comes, and all summed up at the end."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from scenario_reframe import BatchEvent, BatchOutcome, InvalidBatchError, ReframeClient
from scenario_reframe.batch.planning import ItemPlan, checked_folder, occupied

from .batch_inputs import Gathering, label
from .batch_summary import Tally, in_units, reason
from .each_flag import Variant
from .exit_codes import failure_of
from .flags import Connection, Wishes
from .output import one_line
from .progress import Display, display, say
from .run_command import open_client

_REMARKS = 10


@frozen(kw_only=True)
class BatchArguments:
    """What is to be made, and within which limits."""

    sources: Sequence[str]
    wishes: Wishes
    variants: Sequence[Variant]
    to: str
    concurrency: int | None
    budget: float | None
    resubmit_after: float | None
    check: bool
    as_json: bool


def batch(order: BatchArguments, connection: Connection) -> int:
    """Check everything, then make it; the exit code."""
    gathering = Gathering(checked_folder(order.to), order.wishes, order.variants)
    for source in order.sources:
        gathering.add(source)
    for remark in gathering.remarks[:_REMARKS]:
        say(one_line(remark))
    if len(gathering.remarks) > _REMARKS:
        say(f"Left out: {len(gathering.remarks) - _REMARKS:,} more")
    plans = gathering.plans()
    with open_client(connection) as client, display() as shown:
        if not order.check and connection.place() is None:
            shown.say("Without a ledger, a batch that is cut off cannot be taken up again.")
        tally = Tally(len(plans), has_ledger=connection.place() is not None)
        course = _BatchCourse(order, gathering, plans, tally, shown)
        return course.check(client) if order.check else course.run(client)


@define
class _BatchCourse:
    """Follows a batch: shows what happens, and keeps count."""

    order: BatchArguments
    gathering: Gathering
    plans: Sequence[ItemPlan]
    tally: Tally
    shown: Display
    _names: dict[int, str] = field(init=False)
    _outputs: dict[int, Path] = field(init=False)

    def __attrs_post_init__(self) -> None:
        # By identity: an item holds dicts, and two may be equal.
        self._outputs = {id(plan.item): self._shown_path(plan.output) for plan in self.plans}
        self._names = {
            id(plan.item): f"{label(plan.item.video)} -> {self._outputs[id(plan.item)]}"
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
            row = {"video": label(plan.item.video), "output": str(output)}
            told = one_line(self._names[id(plan.item)])
            self.shown.result(json.dumps(row) if self.order.as_json else told)
        if self.order.as_json:
            self.shown.result(json.dumps({"summary": {"asked": len(self.plans), "sent": 0}}))
        self.shown.say(f"{len(self.plans):,} asked for; nothing was sent, nothing was paid.")
        return 0

    def run(self, client: ReframeClient) -> int:
        """Make it. Whatever stops it says what is done, and how to go on."""
        outcomes = client.batch(
            [plan.item for plan in self.plans],
            self.order.to,
            concurrency=self.order.concurrency,
            budget=self.order.budget,
            resubmit_after=self.order.resubmit_after,
            on_event=self._happened,
        )
        try:
            # Closed at once if something stops it here: its thread must not submit any more.
            with closing(outcomes) as found:
                for outcome in found:
                    self._ended(outcome)
        except InvalidBatchError as fault:
            self._refuse(fault)
        except BrokenPipeError:  # stdout's reader has gone, and no error will be told
            self._say_summary()
            raise
        except BaseException as stop:
            self._stopped(stop)
            raise
        self._say_summary()
        self._put_summary()
        return self.tally.code()

    def _refuse(self, fault: InvalidBatchError) -> None:
        raise self.gathering.faulty(self.gathering.placed(fault)) from fault

    def _stopped(self, stop: BaseException) -> None:
        """The summary follows on what stopped it."""
        if self.tally.begun:
            for line in self.tally.lines():
                stop.add_note(line)
            self._put_summary()

    def _say_summary(self) -> None:
        self.shown.close()  # so that it stands below the bars
        for line in self.tally.lines():
            self.shown.say(line)

    def _put_summary(self) -> None:
        if self.order.as_json:
            self.shown.result(json.dumps({"summary": self.tally.record()}))

    def _happened(self, event: BatchEvent) -> None:
        """Called from the batch's thread."""
        self.tally.happened(event)
        name = one_line(self._names.get(id(event.item), ""))
        if event.kind == "checked":
            self.shown.say(f"Checked {one_line(event.detail)}")
        elif event.kind == "limited":
            self.shown.say(f"The server takes no more for now: {one_line(event.detail)}")
        elif event.kind == "taken-up" and event.job is not None:
            self.shown.say(f"taken up: {name} (job {event.job.id})")
        self._count()

    def _ended(self, outcome: BatchOutcome) -> None:
        name = one_line(self._names[id(outcome.item)])
        self.tally.ended(name, outcome)
        told = f"{name}{_facts(outcome)}"
        if outcome.status != "done":
            told += f": {reason(outcome)}"
        self.shown.say(f"{outcome.status}: {told}")
        if self.order.as_json:
            self.shown.result(json.dumps(self._record(outcome)))
        else:
            for file in outcome.files:
                self.shown.result(str(self._shown_path(file)))
        self._count()

    def _count(self) -> None:
        self.shown.count(self.tally.at_end, self.tally.total, self.tally.words())

    def _record(self, outcome: BatchOutcome) -> dict[str, Any]:
        error = failure_of(outcome.error).record() if outcome.error is not None else {}
        return {
            "video": label(outcome.item.video),
            "output": str(self._outputs[id(outcome.item)]),
            "status": outcome.status,
            "taken_up": outcome.taken_up,
            "job": outcome.job.id if outcome.job is not None else None,
            "cost": outcome.cost,
            "settings": dict(outcome.item.settings),
            "files": [str(self._shown_path(file)) for file in outcome.files],
            **_without(error, "job"),
        }

    def _shown_path(self, path: Path) -> Path:
        """Below the output folder as it was typed."""
        folder = self.gathering.folder
        return Path(self.order.to, path.relative_to(folder)) if folder in path.parents else path


def _facts(outcome: BatchOutcome) -> str:
    """` (job job_x, 50 creative units, taken up)`."""
    facts = [f"job {outcome.job.id}"] if outcome.job is not None and outcome.job.id else []
    facts += [in_units(outcome.cost)] if outcome.cost is not None else []
    facts += ["taken up"] if outcome.taken_up else []
    return f" ({', '.join(facts)})" if facts else ""


def _without(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}
