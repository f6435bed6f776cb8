"""Each fault that the sandbox can be told to have, seen from the client's side."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox_clips import GENERATE, QUICK, Client
from scenario_reframe.sandbox import Sandbox
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
)
from scenario_reframe_api.settings import MODEL_ID


def test_fault_answers_as_often_as_told_and_only_there(sandbox: Sandbox, client: Client) -> None:
    """Two 502 in HTML for one path, one after the other, and nothing for the rest."""
    sandbox.faults.add(answer(502, "<h1>Bad Gateway</h1>"), r"/jobs$", method="GET", times=2)
    assert client.get(f"/models/{MODEL_ID}").status_code == 200
    assert client.get("/jobs").text == "<h1>Bad Gateway</h1>"
    assert sandbox.faults.left == 1
    assert [client.get("/jobs").status_code for _ in range(2)] == [502, 200]


def test_fault_answers_with_headers_and_json(sandbox: Sandbox, client: Client) -> None:
    """A 429 with the vendor's body, and a forgotten fault never happens."""
    body = {"reason": "Cooldown", "remainingSeconds": 3}
    sandbox.faults.add(answer(429, body, {"Retry-After": "3"}), times=2)
    got = client.post(GENERATE, json=QUICK)
    assert (got.status_code, got.json(), got.headers["retry-after"]) == (429, body, "3")
    sandbox.faults.clear()
    assert client.get("/jobs").status_code == 200
    assert sandbox.jobs_made == 0


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
def test_dropped_connection_before_or_after_the_work(
    sandbox: Sandbox, client: Client, *, after: bool, made: int
) -> None:
    """The client sees no reply either way; a job is made or not."""
    sandbox.faults.add(drop(after=after), "/generate/", method="POST")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.post(GENERATE, json=QUICK)
    assert sandbox.jobs_made == made
    assert sandbox.requests[-1].status is None
    assert len(client.get("/jobs").json()["jobs"]) == made


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
def test_hanging_request_outlasts_the_clients_patience(
    sandbox: Sandbox, client: Client, *, after: bool, made: int
) -> None:
    """A reply that is held comes too late, though the job may be made by then."""
    sandbox.faults.add(hang(30, after=after), "/generate/")
    with pytest.raises(httpx.ReadTimeout):
        client.post(GENERATE, json=QUICK, timeout=1)
    assert sandbox.jobs_made == made


def test_hanging_request_goes_on_in_the_end(sandbox: Sandbox, client: Client) -> None:
    """A patient client gets its reply."""
    sandbox.faults.add(hang(0.05), "/generate/")
    assert client.post(GENERATE, json=QUICK).status_code == 200
    assert sandbox.jobs_made == 1


@pytest.mark.parametrize("length", [0, 100])
def test_cut_body_ends_after_so_many_bytes(
    sandbox: Sandbox, client: Client, asset: dict[str, Any], clip: bytes, length: int
) -> None:
    """The client gets the head, the first bytes, and then a closed connection."""
    sandbox.faults.add(cut(length), "/assets/", method="GET")
    got = b""
    with client.files.stream("GET", asset["url"]) as reply:
        assert int(reply.headers["content-length"]) == len(clip)
        chunks = reply.iter_raw()
        while len(got) < length:
            got += next(chunks)
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)
    assert got == clip[:length]


def test_ignored_range_gives_the_whole(
    sandbox: Sandbox, client: Client, asset: dict[str, Any], clip: bytes
) -> None:
    """A server may answer 200 to a request for a range."""
    sandbox.faults.add(ignore_range(), "/assets/")
    got = client.files.get(asset["url"], headers={"Range": "bytes=10-"})
    assert (got.status_code, got.content) == (200, clip)


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)])
def test_false_answer_before_or_after_the_work(
    sandbox: Sandbox, client: Client, *, after: bool, made: int
) -> None:
    """A 504 says nothing of whether the job was made."""
    sandbox.faults.add(answer(504, {"message": "timed out"}, after=after), "/generate/")
    assert client.post(GENERATE, json=QUICK).status_code == 504
    assert sandbox.jobs_made == made


def test_rewritten_reply_is_whole(sandbox: Sandbox, client: Client) -> None:
    """A reply may be changed on its way, and is as long as it says."""
    sandbox.faults.add(rewrite(lambda body: body | {"job": None}), "/generate/")
    got = client.post(GENERATE, json=QUICK)
    assert got.json()["job"] is None
    assert got.json()["creativeUnitsCost"] > 0
    assert sandbox.jobs_made == 1


def test_cut_may_come_after_a_share_of_the_reply(
    sandbox: Sandbox, client: Client, asset: dict[str, Any], clip: bytes
) -> None:
    """For who does not know how long it will be."""
    sandbox.faults.add(cut(share=0.5), "/assets/", method="GET")
    got = b""

    def gather(reply: httpx.Response) -> None:
        nonlocal got
        for chunk in reply.iter_raw():
            got += chunk

    with (
        client.files.stream("GET", asset["url"]) as reply,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        gather(reply)
    assert got == clip[: len(clip) // 2]


def test_slow_reply_is_whole_in_pieces(
    sandbox: Sandbox, client: Client, asset: dict[str, Any], clip: bytes
) -> None:
    """A reply that trickles for a time that is told, however long it is."""
    sandbox.faults.add(slow_down(0.2), "/assets/", method="GET")
    with client.files.stream("GET", asset["url"]) as reply:
        pieces = list(reply.iter_raw())
    assert b"".join(pieces) == clip
    assert len(pieces) > 1


@pytest.mark.parametrize("fault", [answer(504), drop()], ids=["504", "drop"])
def test_late_work_is_done_after_the_answer(sandbox: Sandbox, client: Client, fault: Fault) -> None:
    """The client hears of a failure; the job is made afterwards, from the whole request."""
    sandbox.faults.add(late(0.5, fault), "/generate/")
    try:
        assert client.post(GENERATE, json=QUICK).status_code == 504
    except httpx.TransportError:
        assert sandbox.requests[-1].status is None
    assert sandbox.jobs_made == 0
    while not sandbox.jobs_made:
        time.sleep(0.02)
    assert [job.input for job in sandbox.made] == [QUICK]


def test_request_that_breaks_off_is_not_accepted_late(sandbox: Sandbox, client: Client) -> None:
    """What never arrived whole makes no job, and stops nobody."""

    def halves() -> Iterator[bytes]:
        yield b'{"resolution":'
        raise ConnectionError("the client is killed")

    sandbox.faults.add(late(0, answer(504)), "/generate/")
    with pytest.raises(ConnectionError):
        client.post(GENERATE, content=halves(), headers={"Content-Type": "application/json"})
    assert client.post(GENERATE, json=QUICK).status_code == 200
    assert sandbox.jobs_made == 1
    assert sandbox.requests[0].status is None
