"""Whatever the server does, and whenever a program ends: no job is bought twice, or lost."""

import sys

import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from money_model import NEVER_SENT, World
from money_mutants import MUTANTS, mutated
from money_rules import CallArguments, Process, ViolationError, Walk
from money_server import ANSWERS, ECHOES, Fate, ModelServer

BOUNDED = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)

ANSWER = st.sampled_from([NEVER_SENT, *ANSWERS]).flatmap(
    lambda kind: st.sampled_from(ANSWERS.get(kind, (kind,)))
)
FATES = st.builds(
    Fate,
    answer=ANSWER,
    made=st.sampled_from([0.0, None, 0.0, 2.0, 70.0, 700.0]),
    lag=st.sampled_from([0.0, 0.0, 3.0, 20.0, 90.0]),
    echo=st.sampled_from(ECHOES),
    created=st.sampled_from([0.0, 0.0, -7200.0, 7200.0]),
    fails=st.sampled_from([False, False, False, True]),
)
PLACE = st.integers(0, 7)
PERMISSIONS = st.sampled_from([None, None, 0.0, 30.0, 600.0])
STEPS = st.sampled_from([2, 5, 10, 25, 200])
GETS = st.sampled_from(["", "", "", "cut", "503", "403", "429"])
EVENTS = st.sampled_from(
    [
        "killed", "killed, and noticed", "started", "stopped", "continued", "continued",
        "clock 0", "clock -18000", "clock -60", "clock 60", "clock 18000",
        "stranger", "stranger, changed",
    ]
)  # fmt: skip
MOST_PROCESSES = 3


@frozen
class Call:
    """A caller's call. There are few seeds, so that they repeat."""

    seed: int | None
    prompt: str | None
    num_frames: int | None
    video: str | None
    is_keyed: bool
    is_reframe: bool
    permission: float | None

    def arguments(self, *, has_ledger: bool) -> CallArguments:
        """The call's arguments, and the key that makes it equal to another."""
        given = {"seed": self.seed, "prompt": self.prompt, "num_frames": self.num_frames}
        chosen = {name: value for name, value in given.items() if value is not None}
        if not has_ledger or not (self.is_keyed or self.reframes):
            return CallArguments(chosen, self.video)
        key = f"{self.is_keyed} {self.video} {chosen}"
        return CallArguments(chosen, self.video, key, is_callers_key=self.is_keyed)

    @property
    def reframes(self) -> bool:
        """Whether it is `reframe`, which needs a video."""
        return self.is_reframe and self.video is not None


CALLS = st.builds(
    Call,
    seed=st.sampled_from([None, None, 7, 7, 7, 8]),
    prompt=st.sampled_from([None, None, None, None, "", "a horse "]),
    num_frames=st.sampled_from([None, None, None, 100]),
    video=st.sampled_from(["asset_a", "asset_a", "asset_a", "asset_b", None]),
    is_keyed=st.booleans(),
    is_reframe=st.booleans(),
    permission=PERMISSIONS,
)


class MoneyMachine(RuleBasedStateMachine):
    """Callers, a server, and everything that can go wrong."""

    world: World

    @initialize(
        has_ledger=st.sampled_from([True, True, False]),
        page_size=st.sampled_from([1, 3, 100]),
        names_time=st.sampled_from([True, True, False]),
        off=st.sampled_from([0.0, 0.0, -18_000.0, 18_000.0]),
    )
    def begin(self, has_ledger: bool, page_size: int, names_time: bool, off: float) -> None:
        """Choose one of several worlds."""
        server = ModelServer(page_size=page_size, names_time=names_time, off=off)
        self.world = World(server=server, has_ledger=has_ledger)

    def process(self, place: int) -> Process | None:
        """A running process."""
        running = [one for one in self.world.processes if not one.is_stopped]
        return running[place % len(running)] if running else None

    def walk(self, place: int) -> Walk | None:
        """A walk that is under way, the newest first."""
        walks = [walk for walk in self.world.under_way() if not walk.process.is_stopped]
        return walks[-1 - place % len(walks)] if walks else None

    @rule(place=PLACE, call=CALLS, fate=FATES, steps=STEPS)
    def call(self, place: int, call: Call, fate: Fate, steps: int) -> None:
        """A caller requests a video."""
        process = self.process(place)
        if process is None:
            return
        has_ledger = process.ledger is not None
        arguments = call.arguments(has_ledger=has_ledger)
        if call.reframes:
            permission = call.permission if has_ledger else None
            walk = self.world.reframe(process, arguments, permission)
        else:
            walk = self.world.submit(process, arguments)
        self.go(walk, fate, steps)

    def go(self, walk: Walk, fate: Fate, steps: int, get: str = "") -> None:
        """Perform some steps; the first GET is answered like this."""
        for _ in range(steps):
            if walk.is_over:
                return
            self.world.advance(walk, fate, get)
            get = ""

    @rule(place=PLACE, fate=FATES, steps=st.integers(1, 15), get=GETS)
    def step(self, place: int, fate: Fate, steps: int, get: str) -> None:
        """A flow advances."""
        if (walk := self.walk(place)) is not None:
            self.go(walk, fate, steps, get)

    @rule(place=PLACE, fate=FATES)
    def finish(self, place: int, fate: Fate) -> None:
        """A flow ends, and those that it may wait for."""
        if (walk := self.walk(place)) is not None:
            self.world.finish(self.world.under_way(walk.process), fate)

    @rule(place=PLACE, error=st.sampled_from([KeyboardInterrupt, GeneratorExit, MemoryError]))
    def interrupt(self, place: int, error: type[BaseException]) -> None:
        """Ctrl-C, or a flow that is closed."""
        if (walk := self.walk(place)) is not None:
            self.world.interrupt(walk, error())

    @precondition(lambda self: self.world.has_ledger)
    @rule(place=PLACE, entry=PLACE, permission=PERMISSIONS, fate=FATES, steps=STEPS)
    def resume(
        self, place: int, entry: int, permission: float | None, fate: Fate, steps: int
    ) -> None:
        """A caller resumes an entry."""
        process = self.process(place)
        if process is not None and (walk := self.world.resume(process, entry, permission)):
            self.go(walk, fate, steps)

    @precondition(lambda self: self.world.uncertain)
    @rule(place=PLACE, which=PLACE, is_whole=st.sampled_from([True, True, False]))
    def find_job(self, place: int, which: int, is_whole: bool) -> None:
        """A caller looks for the job of an uncertain submission."""
        process, known = self.process(place), self.world.uncertain
        if process is not None:
            walk = self.world.find_job(process, *known[which % len(known)])
            if is_whole:
                self.world.finish([walk], Fate())

    @rule(seconds=st.sampled_from([1.0, 5.0, 11.0, 40.0, 100.0, 700.0]))
    def tick(self, seconds: float) -> None:
        """Time passes."""
        self.world.tick(seconds)

    # One rule, so that such events are rarer than calls.
    @rule(what=EVENTS, place=PLACE, fate=FATES)
    def happen(self, what: str, place: int, fate: Fate) -> None:
        """Something happens to a process, to the machine or to the server."""
        world = self.world
        process = world.processes[place % len(world.processes)]
        match what.split():
            case ["killed", *seen]:
                world.kill(process, is_noticed=bool(seen))
                if not world.processes:
                    world.start()
            case ["started"] if world.has_ledger and len(world.processes) < MOST_PROCESSES:
                world.start()
            case ["stopped" | "continued"]:
                process.is_stopped = what == "stopped" and world.has_ledger
            case ["clock", seconds]:
                # Never a day ahead: the list is not read that far back.
                world.was_set_forward |= float(seconds) > world.set_by
                world.set_by = float(seconds)
            case ["stranger", *changed] if world.requests:
                self.stranger(place, fate, {"numFrames": 100} if changed else {})

    def stranger(self, place: int, fate: Fate, changes: dict[str, int]) -> None:
        """Someone else in the project requests something similar."""
        request = self.world.requests[place % len(self.world.requests)]
        if request.body is not None:
            seed = 77 if request.is_seed_drawn else request.body["seed"]
            body = {**request.body, "seed": seed, **changes}
            self.world.server.take(None, body, evolve(fate, answer="504"))

    def teardown(self) -> None:
        """Bring everything to its end, unless a rule was already broken."""
        if not hasattr(self, "world"):
            return
        try:
            if sys.exc_info()[0] is None:
                self.world.settle()
        finally:
            self.world.close()


TestMoney = MoneyMachine.TestCase
TestMoney.settings = BOUNDED


@pytest.mark.parametrize("rule_taken_out", MUTANTS)
def test_the_model_notices_when_a_rule_is_removed(rule_taken_out: str) -> None:
    """It would miss none of them."""
    generous = settings(BOUNDED, max_examples=3000, derandomize=False, phases=[Phase.generate])
    machine = seed(0)(type(rule_taken_out, (MoneyMachine,), {}))
    with mutated(MUTANTS[rule_taken_out]), pytest.raises(ViolationError):
        run_state_machine_as_test(machine, settings=generous)
