"""What a POST proves, and when another may follow it; the server counts the jobs."""

import pytest

from money_scenes import (
    LOCATIONS,
    SEED,
    SMALL,
    WELL,
    Scene,
    listed_after_the_second_post,
    redirected,
    refused,
    refused_and_settled,
    refused_second_post,
)


@pytest.mark.parametrize("status", [303, 307])
@pytest.mark.parametrize("location", LOCATIONS)
def test_an_odd_redirect_is_a_reply(stage: Scene, status: int, location: str) -> None:
    """Httpx raises, but the job was made: it is looked up, and not bought again."""
    assert redirected(stage, "submit", status, LOCATIONS[location]) == WELL
    assert stage.posts == 1


@pytest.mark.parametrize("kind", ["reframe", "batch, ledger", "batch"])
def test_an_odd_redirect_is_a_reply_whoever_submits(stage: Scene, kind: str) -> None:
    """The same call again buys nothing, nor does a batch."""
    assert redirected(stage, kind, 303, LOCATIONS["urn"]) == WELL
    assert stage.posts == 1


@pytest.mark.parametrize(
    "kind", ["reframe", "submit with a key", "submit", "batch, ledger", "batch"]
)
def test_a_job_that_was_made_despite_a_429_is_found(stage: Scene, kind: str) -> None:
    """It is listed after the first look-up: nothing is posted before."""
    assert refused(stage, kind) == WELL
    assert stage.posts == 1


def test_a_job_that_was_made_despite_a_429_is_waited_for(stage: Scene) -> None:
    """It is listed seconds later: the same call waits for that, and posts nothing."""
    assert refused_and_settled(stage, accepted=True) == [0.0]


def test_a_true_refusal_is_posted_again_when_it_is_settled(stage: Scene) -> None:
    """Without permission, ten seconds after the refusal."""
    first, second = refused_and_settled(stage, accepted=False)
    assert (first, second >= 10.0) == (0.0, True)


def test_a_second_post_that_is_refused_hides_nothing_of_the_first(stage: Scene) -> None:
    """The first job exists: its entry stays open, and the same call uses it."""
    assert refused_second_post(stage) == WELL
    assert stage.posts == 2


@pytest.mark.parametrize(
    ("settings", "days"), [(SMALL, 3.0), (SEED, 0.01)], ids=["our seed", "the caller's"]
)
def test_a_job_that_is_listed_after_a_second_post_is_found(
    stage: Scene, settings: dict[str, object], days: float
) -> None:
    """The first POST's time counts, whatever is posted later."""
    assert listed_after_the_second_post(stage, settings, days) == WELL
    assert stage.posts > 1
