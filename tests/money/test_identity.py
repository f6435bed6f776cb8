"""Which job belongs to whom: results are compared with what the server made, and for whom."""

from typing import Any

import pytest
from attrs import evolve
from starlette.types import ASGIApp, Receive, Scope, Send

from money_scenes import (
    ALWAYS,
    ECHOES,
    LIST,
    ODD_SETTINGS,
    OTHER_PROJECT,
    PROMPTED,
    SEED,
    SMALL,
    WELL,
    Asked,
    Ending,
    Scene,
    clock_corrected,
    echoed,
    found_again,
    hidden,
    job_of,
    machine_clock,
    of_a_sibling,
    of_another_run,
    resumed_by_another_account,
    two_accounts,
)
from scenario_reframe import ConfigurationError, SubmissionUncertainError
from scenario_reframe.sandbox.faults import answer
from scenario_reframe.sandbox.records import PROJECT_ID

KEPT = pytest.mark.parametrize("keeps", [True, False], ids=["ledger", "none"])
CALLERS = {"seed": 42, **ODD_SETTINGS}
NAMED = Ending(held=0)
"""The job is named to a person, and nothing is bought again."""
REWRITTEN = ("prompt expanded", "prompt trimmed")


# --- 2: one seed for several requests -------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"), [(PROMPTED, SEED), (SEED, PROMPTED)], ids=["they say more", "we say more"]
)
def test_the_job_of_another_run_with_our_seed_is_not_ours(
    stage: Scene, theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    """Our submit was not accepted: it is uncertain, whatever else is listed."""
    assert of_another_run(stage, theirs, ours) == Ending(jobs=0, held=0)


@KEPT
def test_the_job_of_a_row_in_flight_is_not_another_row_s(stage: Scene, *, keeps: bool) -> None:
    """Each row has its own video or none, whichever was first."""
    ending = of_a_sibling(stage, 0.2, keeps=keeps)
    assert ending.is_good
    assert ending.held == ending.jobs > 0


# --- 3: an echo that is not what was sent ---------------------------------------------------------


@pytest.mark.parametrize("echo", ECHOES)
def test_our_own_seed_is_our_job_however_the_rest_is_shown(stage: Scene, echo: str) -> None:
    """It is found, and not bought again."""
    assert echoed(stage, ECHOES[echo], ODD_SETTINGS) == WELL
    assert stage.posts == 1


@pytest.mark.parametrize("echo", ECHOES)
def test_a_callers_seed_matches_a_job_where_all_agrees(stage: Scene, echo: str) -> None:
    """Numbers and the video may be written otherwise; rewritten text makes a candidate."""
    wanted = NAMED if echo in REWRITTEN else WELL
    assert echoed(stage, ECHOES[echo], CALLERS) == wanted
    assert stage.posts == 1


@pytest.mark.parametrize("settings", [ODD_SETTINGS, CALLERS], ids=["our seed", "the caller's"])
def test_a_job_without_a_seed_is_named_and_not_bought_again(
    stage: Scene, settings: dict[str, Any]
) -> None:
    """Neither the list nor the job shows one: a person has to look, permission or not."""
    assert echoed(stage, hidden("seed", everywhere=True), settings) == NAMED
    assert stage.posts == 1


@pytest.mark.parametrize("settings", [ODD_SETTINGS, CALLERS], ids=["our seed", "the caller's"])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_reply_with_an_odd_echo_is_ours(
    stage: Scene, echo: str, settings: dict[str, Any]
) -> None:
    """Nothing was lost: whatever it echoes, the reply names the job."""
    assert echoed(stage, ECHOES[echo], settings, is_lost=False) == WELL
    assert stage.posts == 1


# --- 4: a job that is looked up again -------------------------------------------------------------


@KEPT
def test_a_job_that_was_found_is_found_again(stage: Scene, *, keeps: bool) -> None:
    """The same answer every time."""
    assert found_again(stage, keeps=keeps) == WELL


def test_a_job_that_was_found_is_found_by_the_next_run_and_resumed(stage: Scene) -> None:
    """What another run wrote to the ledger counts for this submission too."""
    error = stage.uncertain("submit", stage.clip, **SMALL)
    found = [stage.call("find_job", error.submission).id for _ in range(2)]
    got = stage.call("resume", stage.unfinished())
    assert [job_of(got)] * 2 == found
    assert stage.ending(Asked(SMALL, got)) == WELL


# --- 6: two accounts, one ledger ------------------------------------------------------------------


@pytest.mark.parametrize("is_first_done", [True, False], ids=["done", "uncertain"])
def test_two_accounts_with_one_ledger_buy_their_own(stage: Scene, *, is_first_done: bool) -> None:
    """Without named projects: each has its own upload, job and rows."""
    assert two_accounts(stage, is_first_done=is_first_done) == Ending(asked=2, jobs=2, held=2)
    assert stage.posts == 2


def test_an_entry_is_not_resumed_by_another_account(stage: Scene) -> None:
    """It sees none, though its own may have the same keys."""
    assert resumed_by_another_account(stage) == WELL
    assert stage.posts == 1


def test_an_account_neither_sees_nor_resumes_anothers_rows(stage: Scene) -> None:
    """Not even with permission; for the owner nothing has changed."""
    other = stage.key("another-account", OTHER_PROJECT)
    stage.uncertain("reframe", stage.clip, **SMALL)
    entry = stage.unfinished()
    assert stage.call("entries", client=other) == []
    error = stage.tried("resume", entry, client=other, resubmit_after=0.0)
    assert isinstance(error, ConfigurationError)
    assert stage.ending(Asked(SMALL, stage.tried("resume", entry))) == WELL
    assert stage.posts == 1


def test_a_rotated_key_goes_on_with_what_the_old_one_began(stage: Scene) -> None:
    """The server's replies show that the project is the same: the job is found."""
    stage.call("upload", stage.clip)
    assert stage.call("entries") == []  # the upload's reply names the project
    stage.uncertain("reframe", stage.clip, stage.to, **SMALL)
    new = stage.key("rotated", PROJECT_ID)
    stage.sandbox.revoke_key(stage.sandbox.api_key)
    got = stage.call("reframe", stage.clip, stage.to, client=new, **SMALL)
    assert stage.ending(Asked(SMALL, got)) == WELL
    assert stage.posts == 1


# --- 9: the machine's clock -----------------------------------------------------------------------


@KEPT
@pytest.mark.parametrize("settings", [SMALL, SEED], ids=["our seed", "the caller's"])
@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_corrected_hides_no_job(
    stage: Scene, hours: int, settings: dict[str, Any], *, keeps: bool
) -> None:
    """The server's clock counts: with permission, nothing is bought twice."""
    assert clock_corrected(stage, hours, settings, keeps=keeps) == WELL
    assert stage.posts == 1


def test_a_clock_that_is_set_forward_gives_no_permission(stage: Scene) -> None:
    """Hours have passed by the machine's clock, and none by the server's: nothing is sent."""
    with machine_clock(-5):
        stage.uncertain("submit", stage.clip, accepted=False, **SMALL)
    error = stage.tried("resume", stage.unfinished(), resubmit_after=600.0)
    assert isinstance(error, SubmissionUncertainError)
    assert stage.posts == 1
    stage.clock.forward(700.0)
    got = stage.call("resume", stage.unfinished(), resubmit_after=600.0)
    assert stage.ending(Asked(SMALL, got)) == WELL


def test_a_clock_that_was_set_back_does_not_prolong_the_look_ups(stage: Scene) -> None:
    """The POST's end is now in the future: the look-ups do not last until then."""
    with machine_clock(5):
        stage.uncertain("submit", stage.clip, accepted=False, **SMALL)
    entry, most = stage.unfinished(), 100
    looks: list[str] = []

    async def look(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        looks.append(scope["path"])
        stage.clock.forward(30.0)
        ends = answer(400) if len(looks) > most else None
        await (ends(app, scope, receive, send) if ends else app(scope, receive, send))

    stage.sandbox.faults.add(look, LIST, times=ALWAYS)
    stage.timing = evolve(stage.timing, clock=stage.clock)
    error = stage.tried("resume", entry)
    assert isinstance(error, SubmissionUncertainError)
    assert 0 < len(looks) < most
