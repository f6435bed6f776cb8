"""Bad arguments of every kind to both clients: one clear error, nothing sent, nothing paid."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from bad_input_tables import AddRow
from clients import plain
from scenario_reframe import (
    Asset,
    AsyncReframeClient,
    BatchItem,
    ConfigurationError,
    Entry,
    InvalidBatchError,
    InvalidInputError,
    InvalidSettingsError,
    InvalidVideoError,
    Job,
    ReframeClient,
    ReframeError,
    Submission,
)
from scenario_reframe.sandbox import Sandbox
from scenario_reframe_api.settings import SETTINGS, Setting
from timings import SOON

HEAD = b"\x00\x00\x00\x18ftypmp42"
DEEP: list[Any] = []
for _ in range(900):
    DEEP = [DEEP]
LOOP: list[Any] = []
LOOP += [LOOP, LOOP]
WIDE: list[Any] = [1]
for _ in range(40):  # a million million values, although it takes no memory
    WIDE = [WIDE, WIDE]


class Unshowable:
    """Its repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class BadPath:
    """A path that raises, or whose text is no text."""

    def __init__(self, text: object = None) -> None:
        self.text = text

    def __fspath__(self) -> Any:
        if self.text is None:
            raise RuntimeError("no path")
        return self.text


def submission(**changed: Any) -> Submission:
    """A Submission, with some of it changed."""
    whole = {"seed": 1, "body": {}, "started_at": datetime.now(UTC), "token": "t"}
    return Submission(**{**whole, **changed})


def entry(**changed: Any) -> Entry:
    """An Entry that no ledger has."""
    whole: dict[str, Any] = {
        "id": 10**6, "key": "k", "state": "new", "source": None, "content": None, "settings": {},
        "target": "new.mp4", "job_id": None, "asset_ids": (), "files": {}, "cost": None,
        "error": None, "created_at": 0.0, "updated_at": 0.0,
    }  # fmt: skip
    return Entry(**{**whole, **changed})


NAMES: dict[str, Any] = {
    "BIG": 10**5000, "NAN": float("nan"), "INF": float("inf"), "DEEP": DEEP, "LOOP": LOOP,
    "WIDE": WIDE, "Unshowable": Unshowable, "BadPath": BadPath, "Path": Path, "Item": BatchItem,
    "Asset": Asset, "Job": Job, "submission": submission, "entry": entry, "asset": "asset_x",
    "datetime": datetime, "timezone": timezone, "timedelta": timedelta, "UTC": UTC,
    "httpx": httpx, "os": os,
}  # fmt: skip
"""What the rows may use."""

Row = tuple[str, type[ReframeError], str]
V, S, A, B, C = (
    InvalidVideoError,
    InvalidSettingsError,
    InvalidInputError,
    InvalidBatchError,
    ConfigurationError,
)


def rows(error: type[ReframeError], words: str, *calls: str) -> list[Row]:
    """Rows with the same error and words."""
    return [(call, error, words) for call in calls]


def each(call: str, error: type[ReframeError], words: str, *values: str) -> list[Row]:
    """Rows with each value in the place of the question mark."""
    return rows(error, words, *(call.replace("?", value) for value in values))


def of_setting(row: Setting) -> list[Row]:
    """Wrong values of one setting, whatever the spec says of it."""
    wrong = {"boolean": ["1", "'no'"], "integer": ["81.0", "True"], "number": ["'5'", "NAN"]}
    values = ["'4:3'", "['a']"] if row.choices else wrong.get(row.kind, ["b'a'", "'a\\ud800'"])
    low, high = row.bounds
    values += [] if low is None else [repr(low - 1)]
    values += [] if high is None else [repr(high + 1)]
    return [(f"submit(asset, {row.name}={value})", S, row.name) for value in values]


NOT_PATHS = (
    "5", "True", "BIG", "''", "' '", "'a\\0b'", "'\\ud800.mp4'", "b'a.mp4'", "Unshowable()",
    "BadPath()", "BadPath(b'a')", "BadPath(5)", "Path('a\\0b')", "Path('\\ud800')",
)  # fmt: skip
NOT_SECONDS = ("-1", "NAN", "True", "'5'", "BIG", "Unshowable()")
NOT_AMOUNTS = (*NOT_SECONDS, "INF")
NOT_IDS = (
    "None", "5", "BIG", "''", "'a b'", "'../x'", "'a/b'", "'a\\n'", "'\\ud800'", "'x' * 999",
    "Unshowable()", "b'a'",
)  # fmt: skip
NOT_CALLED = ("5", "'print'", "Unshowable()")
NOT_JSON = (
    "NAN", "{'a': -INF}", "{1: 2}", "{(1, 2): 3}", "{'a': {1}}", "b'a'", "'\\ud800'", "BIG",
    "[{'\\ud800': 1}]", "DEEP", "LOOP", "WIDE", "[Unshowable()]", "datetime.now(UTC)",
)  # fmt: skip

VIDEOS = [
    *each("upload(?)", V, "it takes a path", "None", *NOT_PATHS),
    *each("reframe(?)", V, "it takes a path", "''", "'a\\0b'", "'\\ud800.mp4'", "BadPath()"),
    *each("reframe(?)", V, "takes a path, an http(s) URL", "None", "5", "b'clip.mp4'", "['a']",
          "Unshowable()"),
    *each("estimate(?)", V, "takes a path, an http(s) URL", "5", "BIG", "{}"),
    *each("submit(?)", V, "the URL", "'https://'", "'http://[bad'", "'https://h/a b'",
          "'https://h/\\n'", "'https://h/\\ud800'"),
    *each("upload(?)", V, "does not exist", "'nowhere.mp4'", "'\\udcff.mp4'", "'a\\nb'",
          "'dangling.mp4'"),
    *each("upload(?)", V, "cannot be read", "'loop.mp4'", "'x' * 5000", "'clip.mp4/a'"),
    *each("upload(?)", V, "not a regular file", "'pipe.mp4'", "'socket.mp4'", "'/dev/zero'",
          "'/dev/tty'", "'/dev/null'"),
    *each("upload(?)", V, "is empty", "'empty.mp4'", "'/proc/self/maps'", "'/proc/self/mem'"),
    *each("upload(?)", V, "is a folder", "'folder'", "'.'", "Path('/')"),
    *each("upload(?)", V, "begin like a video", "'text.mp4'"),
    *each("reframe(?)", V, "id", "Asset(id=5, url='')", "Asset(id='', url='')",
          "Asset(id='../x', url='')", "Asset(id='\\ud800', url='')"),
]  # fmt: skip
TARGETS = [
    *each("reframe(asset, ?)", A, "it takes a path", *NOT_PATHS),
    *each("download(asset, ?)", A, "it takes a path", "None", "5", "''", "'\\ud800'", "BadPath()"),
    *each("reframe(asset, ?)", A, "clip.mp4", "'clip.mp4'", "'clip.mp4/'", "'clip.mp4/a.mp4'"),
    *each("reframe(asset, ?)", A, "cannot be written", "'/proc/nowhere/a.mp4'"),
    *each("reframe(asset, 'a.mp4', overwrite=?)", A, "True or False", "None", "1", "'no'", "NAN"),
    *each("download(asset, 'a.mp4', overwrite=?)", A, "True or False", "None", "0", "Unshowable()"),
]  # fmt: skip
OPTIONS = [
    *each("reframe(asset, timeout=?)", A, "seconds from 0", *NOT_SECONDS),
    *each("wait('job_x', timeout=?)", A, "seconds from 0", "-1", "NAN", "'5'", "BIG"),
    *each("reframe(asset, on_update=?)", A, "takes a function", *NOT_CALLED),
    *each("reframe(asset, on_progress=?)", A, "takes a function", *NOT_CALLED),
    *rows(A, "takes a function", "wait('job_x', on_update=5)", "upload('clip.mp4', on_progress=5)",
          "download(asset, 'a.mp4', on_progress=5)", "batch([], 'out', on_event=5)"),
    *each("submit(asset, key=?)", A, "key: ", "''", "5", "BIG", "b'a'", "Unshowable()", "[]"),
]  # fmt: skip
IDS = [
    *each("get_job(?)", A, "is not a job id", *NOT_IDS),
    *each("wait(?)", A, "is not a job id", "None", "BIG", "'a/b'", "Job(id='', status='x')",
          "Job(id=5, status='x')"),
    *each("cancel(?)", A, "is not a job id", "None", "BIG", "'..'"),
    *each("get_asset(?)", A, "is not a asset id", "None", "BIG", "'a?b'", "Asset(id=5, url='')"),
    *each("download(?, 'a.mp4')", A, "id", "None", "BIG", "'a/b'", "Job(id=5, status='pending')",
          "Job(id='job_x', status='success', asset_ids=('../x',))"),
    *each("find_job(?)", A, "takes a Submission", "None", "5", "'job_x'", "{}"),
    *each("find_job(submission(?))", A, "pass error.submission as it is", "seed='1'", "seed=BIG",
          "body=None", "started_at='now'", "started_at=datetime.now()",
          "started_at=datetime.min.replace(tzinfo=UTC)", "project_id=5",
          "project_id='\\ud800'", "server_time=5",
          "server_time=datetime.max.replace(tzinfo=UTC)", "token=None"),
    *each("resume(?)", A, "takes an Entry", "None", "5", "'1'"),
    *each("resume(entry(?))", A, "it takes a path", "target=5", "target='\\ud800'"),
    *each("jobs(?)", A, "takes a datetime", "5", "BIG", "'2026-01-01'", "Unshowable()",
          "datetime.now().date()"),
    *each("jobs(?)", A, "between the years 1 and 9999",
          "datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))",
          "datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))"),
    *each("entries(unfinished=?)", A, "True or False", "None", "1", "'yes'"),
]  # fmt: skip
SETTINGS_AND_EXTRA = [
    *(found for row in SETTINGS for found in of_setting(row)),
    *rows(S, "no such setting", "submit(asset, nonsense=1)", "submit(asset, **{'\\ud800': 1})",
          "submit(asset, **{'': 1})", "submit(asset, **{'a\\nb': 1})", "submit(asset, dry_run=1)"),
    *each("submit(asset, extra=?)", S, "takes a dict", "5", "'a'", "[]", "[('a', 1)]"),
    *each("submit(asset, extra={?: 1})", S, "extra: ", "5", "None", "''", "'\\ud800'", "'dryRun'",
          "'videoUrl'", "'projectId'", f"'{SETTINGS[0].wire}'"),
    *each("submit(asset, extra={'new': ?})", S, "cannot be written as JSON", *NOT_JSON),
]  # fmt: skip
BATCHES = [
    *each("batch(?, 'out')", A, "items: ", "None", "5", "'clips'", "b'clips'", "{}", "Item(asset)",
          "Unshowable()"),
    *each("batch([?], 'out')", B, "item 0: ", "None", "5", "'clip.mp4'", "{'video': 'clip.mp4'}",
          "Item(None)", "Item(5)", "Item('nowhere.mp4')", "Item('pipe.mp4')", "Item('\\ud800')",
          "Item(asset, output=5)", "Item(asset, output='')", "Item(asset, output='a\\0b')",
          "Item(asset, output='\\ud800')", "Item(asset, output='../a.mp4')",
          "Item(asset, output='/a.mp4')", "Item(asset, output='.')", "Item(asset, output='a/')",
          "Item(asset, settings=None)", "Item(asset, settings=[])", "Item(asset, settings={1: 2})",
          "Item(asset, settings={'\\ud800': 2})", "Item(asset, extra=5)",
          "Item(asset, extra={'a': LOOP})", "Item(asset, settings={'seed': BIG})"),
    *rows(B, "the output of several items", "batch([Item(asset), Item(asset)], 'out')",
          "batch([Item(asset, 'a/../b.mp4'), Item(asset, 'b.mp4')], 'out')"),
    *each("batch([], ?)", A, "to: ", "None", "5", "''", "'a\\0b'", "'\\ud800'", "'clip.mp4'"),
    *each("batch([], 'out', concurrency=?)", A, "a whole number, 1 or more", "0", "-1", "True",
          "1.5", "NAN", "INF", "'4'", "BIG", "Unshowable()"),
    *each("batch([], 'out', budget=?)", A, "creative units", *NOT_AMOUNTS),
    *each("batch([], 'out', resubmit_after=?)", A, "seconds", *NOT_AMOUNTS),
    *each("resume(entry(), resubmit_after=?)", A, "seconds", "-1", "NAN", "INF", "BIG"),
]  # fmt: skip
CLIENTS = [
    *each("Client(timeout=?)", C, "seconds above 0", "0", "-1", "NAN", "INF", "1e300", "True",
          "'60'", "None", "BIG", "Unshowable()"),
    *each("Client(ledger=?)", C, "ledger: ", "False", "5", "BIG", "''", "b'a'", "'a\\0b'",
          "'\\ud800'", "BadPath()", "'sqlite://'", "'sqlite:///'", "':memory:'",
          "'postgresql://h/d'", "'mysql://user:word@h/d'"),
    *each("Client(ledger=?)", C, "the ledger ", "'.'", "'pipe.mp4'", "'socket.mp4'", "'text.mp4'",
          "'loop.mp4'", "'/dev/null'", "'/dev/zero'", "'/proc/self/maps'", "'clip.mp4/a'",
          "'x' * 300"),
    *each("Client(base_url=?)", C, "base", "''", "5", "b'https://h'", "'\\ud800'", "'//h'",
          "'https://'", "'https://a..b/v1'", "'https://xn--/v1'", "'https://' + 'x' * 70 + '.org'",
          "'https://h:99999'", "'https://[::1'", "'https://h/?a'", "'http://h'", "'ftp://h'",
          "'https://h/\\n'", "'https://h/' + 'x' * 10**5"),
    *each("Client(project_id=?)", C, "project", "''", "5", "b'a'", "'a b'", "'a\\n'", "'ä'",
          "'\\ud800'", "'x' * 300", "BIG", "Unshowable()"),
    *each("Client(api_key=?)", C, "API key", "''", "5", "b'a'", "'a:b'", "'a\\n'", "' a'",
          "'\\ud800'", "BIG", "Unshowable()"),
    *each("Client(api_secret=?)", C, "API secret", "''", "5", "b'a'", "'a\\n'", "'a '",
          "'\\ud800'"),
    *each("Client(http_client=?)", C, "http_client: ", "5", "httpx", "httpx.Client", "Other",
          "Unshowable()"),
    *each("Client(timing=?)", C, "timing: ", "None", "5", "Unshowable()"),
]  # fmt: skip
CASES = [*VIDEOS, *TARGETS, *OPTIONS, *IDS, *SETTINGS_AND_EXTRA, *BATCHES, *CLIENTS]
"""Calls of either client, the error of each, and words in its message."""


class BothClients:
    """Performs a call of the table with the plain client, then with the other one."""

    def __init__(self, sandbox: Sandbox, ledger: Path) -> None:
        self.options: dict[str, Any] = {
            "api_key": sandbox.api_key, "api_secret": sandbox.api_secret,
            "base_url": sandbox.base_url, "timing": SOON,
            "project_id": "proj_1",  # else it would be asked for
        }  # fmt: skip
        self.runner = asyncio.Runner()
        self.plain = ReframeClient(**self.options, ledger=ledger)
        self.other = AsyncReframeClient(**self.options, ledger=ledger)

    def close(self) -> None:
        """Close both."""
        self.plain.close()
        self.runner.run(self.other.aclose())
        self.runner.close()

    def perform(self, call: str) -> None:
        """Call the plain client, or make one."""
        result = self._evaluated(call, self.plain, ReframeClient, httpx.AsyncClient)
        if isinstance(result, Iterator):
            list(result)

    def perform_async(self, call: str) -> None:
        """The same with the other client."""

        async def finish() -> None:
            result = self._evaluated(call, self.other, AsyncReframeClient, httpx.Client)
            if isinstance(result, AsyncIterator):
                async for _ in result:
                    pass
            elif isinstance(result, Awaitable):
                await result

        self.runner.run(finish())

    def _evaluated(self, call: str, client: Any, kind: Any, other: Any) -> Any:
        names = {
            **NAMES,
            "client": client,
            "Client": lambda **given: kind(**{**self.options, **given}),
            "Other": plain(other),
        }
        source = call if call.startswith("Client(") else f"client.{call}"
        return eval(source, names)  # noqa: S307 - the rows above


@pytest.fixture(scope="module")
def clients(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothClients]:
    """Both clients, with one ledger."""
    with closing(BothClients(box, tmp_path_factory.mktemp("ledger") / "l.db")) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, and with what is none."""
    made = tmp_path_factory.mktemp("clips")
    (made / "clip.mp4").write_bytes(HEAD + bytes(100))
    (made / "empty.mp4").touch()
    (made / "text.mp4").write_text("text" * 100)
    (made / "folder").mkdir()
    (made / "loop.mp4").symlink_to("loop.mp4")
    (made / "dangling.mp4").symlink_to("nowhere")
    os.mkfifo(made / "pipe.mp4")
    return made


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work there; a short name, since a socket's path may not be long."""
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        Path("socket.mp4").unlink(missing_ok=True)
        server.bind("socket.mp4")
        yield


def test_table_is_large() -> None:
    """No row stands there twice."""
    calls = [call for call, _, _ in CASES]
    assert len(set(calls)) == len(calls) >= 160


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("call", "kind", "words"), CASES, ids=[call[:80] for call, _, _ in CASES])
def test_bad_argument_is_one_clear_error(
    call: str,
    kind: type[ReframeError],
    words: str,
    clients: BothClients,
    box: Sandbox,
    bad_input_row: AddRow,
) -> None:
    """Of the package's own, from both clients; no request is sent."""
    requests, jobs = box.requests_made, box.jobs_made
    for perform in (clients.perform, clients.perform_async):
        with pytest.raises(ReframeError) as caught:
            perform(call)
        assert type(caught.value) is kind
        assert words in str(caught.value)
        assert str(caught.value).encode()  # it can be printed
    bad_input_row("library", call, caught.value, kind.__name__)
    assert (box.requests_made, box.jobs_made) == (requests, jobs)


@pytest.mark.parametrize("call", ["upload()", "submit(5, 6)", "reframe(asset, too=1, seed=1)"])
def test_wrong_python_call(call: str, clients: BothClients, box: Sandbox) -> None:
    """A missing or a superfluous argument is Python's own error; an unknown name is a setting's."""
    requests = box.requests_made
    kind = InvalidSettingsError if "too=" in call else TypeError
    for perform in (clients.perform, clients.perform_async):
        with pytest.raises(kind):
            perform(call)
    assert box.requests_made == requests


def test_error_of_the_items_themselves_is_not_wrapped(clients: BothClients, box: Sandbox) -> None:
    """A generator of the caller's that raises: the caller knows that error best."""
    requests = box.requests_made
    for perform in (clients.perform, clients.perform_async):
        with pytest.raises(ZeroDivisionError):
            perform("batch((Item(asset) if x else 1 / 0 for x in (1, 0)), 'out')")
        perform("batch([], 'out')")
    assert box.jobs_made == 0
    assert box.requests_made - requests <= 4  # free ones, for the key's project


def test_closed_http_client(box: Sandbox) -> None:
    """It is found when it is needed."""
    http = plain(httpx.Client)
    http.close()
    with (
        ReframeClient("key", "secret", base_url=box.base_url, http_client=http) as client,
        pytest.raises(ConfigurationError, match="closed"),
    ):
        client.get_job("job_x")
