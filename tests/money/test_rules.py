"""Each rule about POSTs is needed: without it, the fault that it prevents happens again."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from money_bugs import BUGS
from money_scenes import (
    ECHOES,
    LOCATIONS,
    ODD_SETTINGS,
    PROMPTED,
    SEED,
    SMALL,
    Ending,
    Scene,
    echoed,
    found_again,
    listed_after_the_second_post,
    of_a_sibling,
    of_another_run,
    redirected,
    refused,
    refused_second_post,
    resumed_by_another_account,
    scene,
)

Play = Callable[[Scene], Ending]
FOR_EVER = 60.0
"""Seconds that two submits wait for each other: without the rule they do come together."""

TWICE: Callable[[Ending], bool] = lambda ending: ending.jobs > ending.asked  # noqa: E731
WRONG: Callable[[Ending], bool] = lambda ending: ending.wrong > 0  # noqa: E731
LOST: Callable[[Ending], bool] = lambda ending: ending.lost > 0  # noqa: E731

CASES: list[tuple[str, str, Play, Callable[[Ending], bool]]] = [
    *(("proof_by_the_body", f"a redirect to {name}",
       partial(redirected, kind="submit", status=303, location=location), TWICE)
      for name, location in LOCATIONS.items()),
    ("strict_match", "another run's job",
     partial(of_another_run, theirs=PROMPTED, ours=SEED), WRONG),
    ("strict_match", "a sibling's job",
     partial(of_a_sibling, patience=FOR_EVER, keeps=True), WRONG),
    ("strict_match", "a sibling's job, without a ledger",
     partial(of_a_sibling, patience=FOR_EVER, keeps=False), WRONG),
    *(("lenient_agreement", name, partial(echoed, echo=ECHOES[name], settings=ODD_SETTINGS), TWICE)
      for name in ECHOES if name not in {"more keys", "seed by id only"}),
    ("own_jobs_are_found_again", "with a ledger", partial(found_again, keeps=True), LOST),
    ("own_jobs_are_found_again", "without", partial(found_again, keeps=False), LOST),
    *(("refusal_defers", kind, partial(refused, kind=kind), TWICE)
      for kind in ("reframe", "submit with a key", "batch, ledger", "batch")),
    ("accounts_are_apart", "another's order", resumed_by_another_account, WRONG),
    ("every_post_must_be_refused", "403 to the second", refused_second_post, TWICE),
    ("first_post_counts", "our seed",
     partial(listed_after_the_second_post, settings=SMALL, days=3.0), LOST),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "play", "is_bad"),
    [pytest.param(rule, play, is_bad, id=f"{rule}: {name}") for rule, name, play, is_bad in CASES],
)
def test_without_its_rule_a_scene_ends_badly(
    rule: str,
    play: Play,
    is_bad: Callable[[Ending], bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job is bought twice, a wrong one is handed out, or a paid one is lost."""
    BUGS[rule](monkeypatch)
    with scene(tmp_path, is_async=False) as stage:
        ending = play(stage)
    assert is_bad(ending), ending
    assert not ending.is_good


def test_every_rule_is_removed_by_a_case() -> None:
    """Every rule has at least one."""
    assert {rule for rule, *_ in CASES} == BUGS.keys()
