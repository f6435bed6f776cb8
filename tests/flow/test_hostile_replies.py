"""Both clients meet a corpus of hostile replies over a real socket.

Each ends in a value or in an error of this package, and nothing is paid for twice.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hostile_bodies import BROKEN_JOBS
from hostile_heads import VIDEO
from hostile_replies import CORPUS, HostileReply, answer_with
from raw_server import RawServer
from scenario_reframe import (
    Asset,
    AsyncReframeClient,
    Estimate,
    Job,
    ReframeClient,
    ReframeError,
    SubmissionUncertainError,
)
from timings import SOON

METHODS = {
    "get_job": "get_job", "submit": "submit", "jobs": "jobs", "get_asset": "get_asset",
    "estimate": "estimate", "create_upload": "upload", "complete_upload": "upload",
    "get_upload": "upload", "file": "download",
}  # fmt: skip
"""The client's method that takes each route."""


def call(base_url: str, method: str, arguments: tuple[Any, ...], *, is_async: bool) -> Any:
    """Make a client and call one method of it."""
    options: dict[str, Any] = {"base_url": base_url, "timing": SOON}

    async def later() -> Any:
        async with AsyncReframeClient("key", "secret", **options) as client:
            made = getattr(client, method)(*arguments)
            return [one async for one in made] if method == "jobs" else await made

    if is_async:
        return asyncio.run(later())
    with ReframeClient("key", "secret", **options) as client:
        made = getattr(client, method)(*arguments)
        return list(made) if method == "jobs" else made


def value_of(made: Any) -> object:
    """What the corpus names of a value."""
    match made:
        case Job():
            return made.id
        case Asset():
            return made.url if made.url.startswith("https") else made.id
        case Estimate():
            return made.creative_units
        case [Path() as path]:
            return path.read_bytes()
        case _:
            return tuple(job.id for job in made)


def texts_of(made: object) -> str:
    """Everything that would be shown of a value or an error."""
    parts = made if isinstance(made, list) else [made]
    return " ".join(
        f"{part!s} {part!r} {getattr(part, 'raw', '')!r} {getattr(part, 'body', '')!r}"
        for part in parts
    )


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("hostile", CORPUS, ids=[ascii(one.name) for one in CORPUS])
def test_hostile_reply_is_a_value_or_an_error(
    hostile: HostileReply, tmp_path: Path, *, is_async: bool
) -> None:
    """As the corpus says. What comes out can be printed and stored."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(VIDEO)
    method = METHODS[hostile.route]
    arguments: dict[str, tuple[Any, ...]] = {
        "get_job": ("job_1",), "jobs": (), "upload": (clip,),
        "download": ("asset_1", tmp_path / "out.mp4"),
    }  # fmt: skip
    with RawServer(lambda _: b"") as server:
        server.answer = lambda request: answer_with(hostile, request, server.origin)
        made: Any
        try:
            made = call(
                server.base_url, method, arguments.get(method, ("asset_1",)), is_async=is_async
            )
        except ReframeError as error:
            made = error
    texts_of(made).encode()
    if isinstance(hostile.expected, type | tuple) and isinstance(made, ReframeError):
        assert isinstance(made, hostile.expected)
    else:
        assert value_of(made) == hostile.expected
    assert server.sent("POST", "/generate/") <= 1
    assert hostile.route != "submit" or server.sent("POST", "/generate/") == 1


@pytest.mark.parametrize(
    "name", [name for name, (_, made) in BROKEN_JOBS.items() if made == "job_1"]
)
def test_a_job_that_an_unreadable_reply_names_is_not_lost(name: str) -> None:
    """The error has it, for a person; it may be another request's, and is not taken for ours."""
    with RawServer(lambda _: b"") as server:
        hostile = next(one for one in CORPUS if one.name == f"submit: {name}")
        server.answer = lambda request: answer_with(hostile, request, server.origin)
        with pytest.raises(SubmissionUncertainError) as caught:
            call(server.base_url, "submit", ("asset_1",), is_async=False)
    assert caught.value.job is not None
    assert caught.value.job.id == "job_1"


def test_corpus_is_large_and_its_names_are_unique() -> None:
    """Each reply has its own name."""
    assert len(CORPUS) >= 80
    assert len({one.name for one in CORPUS}) == len(CORPUS)
