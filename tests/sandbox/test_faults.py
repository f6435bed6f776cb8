"""Each fault that the sandbox can play, from the client's side."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from threading import Event
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from sandbox_clips import GENERATE, MP4, QUICK, Client
from sandbox_faults import course
from scenario_reframe.sandbox.faults import (
    Fault,
    answer,
    cut,
    drop,
    hang,
    ignore_range,
    late,
    rewrite,
    slow_down,
    trickle,
)
from scenario_reframe_api.settings import MODEL_ID
from waiting import until


@pytest.fixture(scope="module")
def url(shared: Client) -> str:
    """The URL of an uploaded file."""
    entity = shared.upload(MP4)["entityId"]
    found: str = shared.get(f"/assets/{entity}").json()["asset"]["url"]
    return found


def test_fault_answers_as_often_as_configured_and_only_there(fast: Client) -> None:
    """Two 502 in HTML for one path, one after the other, and none for other paths."""
    faults = fast.sandbox.faults
    faults.add(answer(502, "<h1>Bad Gateway</h1>"), r"/jobs$", method="GET", times=2)
    assert fast.get(f"/models/{MODEL_ID}").status_code == 200
    assert fast.get("/jobs").text == "<h1>Bad Gateway</h1>"
    assert faults.left == 1
    assert [fast.get("/jobs").status_code for _ in range(2)] == [502, 200]


def test_fault_answers_with_headers_and_json(fast: Client) -> None:
    """A 429 with the vendor's body; a removed fault never happens."""
    sandbox, made = fast.sandbox, fast.sandbox.jobs_made
    body = {"reason": "Cooldown", "remainingSeconds": 3}
    sandbox.faults.add(answer(429, body, {"Retry-After": "3"}), times=2)
    got = fast.post(GENERATE, json=QUICK)
    assert (got.status_code, got.json(), got.headers["retry-after"]) == (429, body, "3")
    sandbox.faults.clear()
    assert fast.get("/jobs").status_code == 200
    assert sandbox.jobs_made == made


@pytest.mark.parametrize("after", [False, True])
def test_dropped_connection_before_or_after_the_work(fast: Client, *, after: bool) -> None:
    """The client gets no reply either way; a job is made or not."""
    sandbox, made = fast.sandbox, fast.sandbox.jobs_made
    sandbox.faults.add(drop(after=after), "/generate/", method="POST")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        fast.post(GENERATE, json=QUICK)
    assert sandbox.jobs_made - made == after
    assert sandbox.requests[-1].status is None


@pytest.mark.parametrize(
    ("fault", "steps"),
    [
        (hang(30), ["pause 30", "work", "200", "01"]),
        (hang(30, after=True), ["work", "pause 30", "200", "01"]),
        (late(30, answer(504)), ["504", "{}", "pause 30", "work"]),
        (slow_down(6, 2), ["work", "200", "0", "pause 3", "1"]),
        (trickle(5), ["work", "200", "0", "pause 5", "1", "pause 5"]),
    ],
    ids=["hang", "hang after", "late", "slow down", "trickle"],
)
def test_slow_fault_pauses_where_it_should(fault: Fault, steps: list[str]) -> None:
    """Before the work, before the reply, within it or after it, for the given time."""
    assert course(fault) == steps


def test_hanging_request_outlasts_a_client(fast: Client) -> None:
    """A held reply comes too late."""
    made = fast.sandbox.jobs_made
    fast.sandbox.faults.add(hang(3600), "/generate/")
    with pytest.raises(httpx.ReadTimeout):
        fast.post(GENERATE, json=QUICK, timeout=httpx.Timeout(60, read=0.05))
    until(lambda: not fast.sandbox.faults.left)
    assert fast.sandbox.jobs_made == made


@pytest.mark.parametrize("length", [0, 100])
def test_cut_body_ends_after_so_many_bytes(fast: Client, url: str, length: int) -> None:
    """The client gets the head, the first bytes, and then a closed connection."""
    fast.sandbox.faults.add(cut(length), "/assets/", method="GET")
    assert received(fast, url) == (len(MP4), MP4[:length])


def test_cut_may_come_after_a_share_of_the_reply(fast: Client, url: str) -> None:
    """For a caller that does not know how long the reply will be."""
    fast.sandbox.faults.add(cut(share=0.5), "/assets/", method="GET")
    assert received(fast, url) == (len(MP4), MP4[: len(MP4) // 2])


def received(client: Client, url: str) -> tuple[int, bytes]:
    """The length that a broken reply announced, and the bytes that arrived."""
    got = b""
    with client.files.stream("GET", url) as reply, suppress(httpx.RemoteProtocolError):
        for chunk in reply.iter_raw():
            got += chunk
        pytest.fail("the reply did not break off")
    return int(reply.headers["content-length"]), got


def test_slow_reply_is_whole(fast: Client, url: str) -> None:
    """Its pieces add up to the announced length."""
    fast.sandbox.faults.add(slow_down(0.01), "/assets/", method="GET")
    assert fast.files.get(url).content == MP4


def test_ignored_range_gives_the_whole(fast: Client, url: str) -> None:
    """A server may answer 200 to a range request."""
    fast.sandbox.faults.add(ignore_range(), "/assets/")
    got = fast.files.get(url, headers={"Range": "bytes=10-"})
    assert (got.status_code, got.content) == (200, MP4)


@pytest.mark.parametrize("after", [False, True])
def test_false_answer_before_or_after_the_work(fast: Client, *, after: bool) -> None:
    """A 504 does not show whether the job was made."""
    sandbox, made = fast.sandbox, fast.sandbox.jobs_made
    sandbox.faults.add(answer(504, {"message": "timed out"}, after=after), "/generate/")
    assert fast.post(GENERATE, json=QUICK).status_code == 504
    assert sandbox.jobs_made - made == after


def test_rewritten_reply_is_whole(fast: Client) -> None:
    """A reply can be changed on its way, and its length is correct."""
    sandbox, made = fast.sandbox, fast.sandbox.jobs_made
    sandbox.faults.add(rewrite(lambda body: body | {"job": None}), "/generate/")
    got = fast.post(GENERATE, json=QUICK)
    assert got.json()["job"] is None
    assert got.json()["creativeUnitsCost"] > 0
    assert sandbox.jobs_made - made == 1


@pytest.mark.parametrize("fault", [answer(504), drop()], ids=["504", "drop"])
def test_late_work_is_done_after_the_answer(fast: Client, fault: Fault) -> None:
    """The client gets a failure; afterwards the job is made, from the whole request."""
    sandbox, made, go_on = fast.sandbox, fast.sandbox.jobs_made, Event()

    async def held(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
        await fault(app, scope, receive, send)
        await asyncio.to_thread(go_on.wait, 60)

    sandbox.faults.add(late(0, held), "/generate/")
    try:
        assert fast.post(GENERATE, json=QUICK).status_code == 504
    except httpx.TransportError:
        assert sandbox.requests[-1].status is None
    assert sandbox.jobs_made == made
    go_on.set()
    until(lambda: sandbox.jobs_made == made + 1)
    assert sandbox.made[-1].input == QUICK


def test_request_that_breaks_off_is_not_accepted_late(fast: Client) -> None:
    """An incomplete request makes no job, and blocks nothing."""
    sandbox, made, seen = fast.sandbox, fast.sandbox.jobs_made, fast.sandbox.requests_made

    def halves() -> Iterator[bytes]:
        yield b'{"resolution":'
        raise ConnectionError("the client is killed")

    sandbox.faults.add(late(0, answer(504)), "/generate/")
    with pytest.raises(ConnectionError):
        fast.post(GENERATE, content=halves(), headers={"Content-Type": "application/json"})
    until(lambda: sandbox.requests_made > seen)
    assert fast.post(GENERATE, json=QUICK).status_code == 200
    assert sandbox.jobs_made - made == 1
    assert sandbox.requests[seen].status is None
