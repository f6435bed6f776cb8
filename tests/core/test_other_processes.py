"""What callers hold may be copied and sent to another process; a client may not."""

import multiprocessing
import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from clients import KEY, SECRET
from copying import TRAVELS, Travel
from scenario_reframe import (
    Asset,
    AsyncReframeClient,
    BatchEvent,
    BatchItem,
    BatchOutcome,
    Entry,
    Estimate,
    Job,
    ReframeClient,
    ReframeResult,
    Submission,
)

NESTED = {"jobId": "job_1", "metadata": {"input": {"seed": 7}, "assetIds": ["asset_1"]}}
JOB = Job(
    id="job_1",
    status="success",
    asset_ids=("asset_1",),
    input={"seed": 7, "numFrames": 81},
    created_at=datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=3))),
    updated_at=datetime(2026, 1, 2, tzinfo=UTC),
    cost=1.5,
    raw=NESTED,
)
ASSET = Asset(id="asset_1", url="https://files.test/a?Expires=1800000000", size=3, raw=NESTED)
ITEM = BatchItem(Path("clip.mp4"), "out.mp4", {"aspect_ratio": "9:16"}, {"new": [1]})
OBJECTS = (
    JOB,
    ASSET,
    ITEM,
    Estimate(creative_units=1.0, discount=0.1, details={"reframe": 1.0}),
    ReframeResult(job=JOB, assets=(ASSET,), files=(Path("out.mp4"),)),
    Submission(seed=7, body=NESTED, started_at=datetime(2026, 1, 2, tzinfo=UTC), token="t"),
    BatchOutcome(item=ITEM, status="done", job=JOB, files=(Path("out.mp4"),), cost=1.5),
    BatchEvent(kind="updated", item=BatchItem(ASSET), job=JOB),
    Entry(
        id=1,
        key="key",
        state="done",
        source="clip.mp4",
        content="sha256:00",
        settings={"numFrames": 81},
        target="/out.mp4",
        job_id="job_1",
        asset_ids=("asset_1",),
        files={"/out.mp4": "00"},
        cost=1.5,
        error=None,
        created_at=1.0,
        updated_at=2.0,
    ),
)


@pytest.mark.parametrize("travel", TRAVELS.values(), ids=TRAVELS)
@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
def test_what_callers_hold_is_copied_whole(value: Any, travel: Travel) -> None:
    """Equal, and with its JSON object, which is not compared."""
    other = travel(value)
    assert (type(other), other) == (type(value), value)
    assert getattr(other, "raw", None) == getattr(value, "raw", None)


@pytest.fixture(params=[ReframeClient, AsyncReframeClient])
def client(request: pytest.FixtureRequest, path: Path) -> Iterator[Any]:
    """A client of each kind, with a ledger."""
    made = request.param(KEY, SECRET, ledger=path)
    yield made
    made.ledger.close()


@pytest.mark.parametrize("travel", TRAVELS.values(), ids=TRAVELS)
def test_a_client_refuses_and_names_the_remedy(client: Any, travel: Travel) -> None:
    """Else its secret would be in the pickle, or another account would pay."""
    for value in (client, client.reframe, [client]):
        if travel is TRAVELS["copy"] and value is not client:
            continue  # a shallow copy of what refers to a client shares it
        with pytest.raises(TypeError, match=r"make\s+one in each process"):
            travel(value)


def test_nothing_that_a_client_offers_pickles_its_secret(client: Any) -> None:
    """Neither its methods, nor its ledger."""
    for name in (name for name in dir(client) if not name.startswith("_")):
        with pytest.raises(TypeError):
            pickle.dumps(getattr(client, name))


_CLIENTS: list[ReframeClient] = []


def _make_client(base_url: str) -> None:
    _CLIENTS.append(ReframeClient(KEY, SECRET, base_url=base_url))


def _describe(job: Job) -> tuple[int, str, Job]:
    return os.getpid(), repr(_CLIENTS[0]), job


def test_each_process_of_a_pool_makes_its_own_client() -> None:
    """The remedy that the refusal names works; a client that is passed all the same is refused."""
    url = "https://api.test/v1"
    context = multiprocessing.get_context("spawn")
    with (
        ReframeClient(KEY, SECRET, base_url=url) as client,
        ProcessPoolExecutor(1, context, initializer=_make_client, initargs=(url,)) as pool,
    ):
        with pytest.raises(TypeError, match="initializer"):
            pool.submit(client.get_job, "job_1").result()
        process, shown, job = pool.submit(_describe, JOB).result()
    assert process != os.getpid()
    assert (shown, job) == (repr(client), JOB)
