"""Fixtures and checks for every test, among them an environment without the user's own settings."""

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pytest
from pytest_httpx import HTTPXMock

from bad_input_tables import AddRow, print_tables, row_adder
from batch_sessions import Batches, batches
from clients import CLOCK, Caller
from contracts import Contract, load_spec
from exchanges import Record
from ledger_rows import Ledgers, opened_ledgers
from ledger_sessions import Runs, quick_sandbox
from sandbox_clips import Client, bar_clip
from scenario_reframe import ReframeClient
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.sample_clip import make_sample
from secrecy import Watch
from timings import SOON

CAPTURES = ("capsys", "capfd", "capsysbinary", "capfdbinary", "capteesys")
WATCH = pytest.StashKey[Watch]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that prints the bad-input tables."""
    parser.addoption("--bad-inputs", action="store_true", help="print the bad-input tables")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the rows that tests gave to `bad_input_row`, if asked."""
    if terminalreporter.config.getoption("--bad-inputs"):
        print_tables(terminalreporter)


@pytest.fixture
def bad_input_row(request: pytest.FixtureRequest) -> AddRow:
    """Adds a row to a bad-input table: `bad_input_row(table, input, message, result)`."""
    return row_adder(request.node.user_properties)


@pytest.fixture(autouse=True)
def _no_scenario_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hide the user's own credentials, base URL and ledger from every test."""
    for name in list(os.environ):
        if name.startswith("SCENARIO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SCENARIO_LEDGER", str(tmp_path_factory.mktemp("state") / "ledger.db"))


@pytest.fixture(autouse=True)
def _clients_know_no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients forget the jobs of other tests, even at the same address with the same key."""
    monkeypatch.setattr("scenario_reframe.recovery._KNOWN", WeakValueDictionary())


@pytest.fixture(autouse=True)
def _command_without_pydantic(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unload pydantic: Cyclopts would use it if another test had loaded it."""
    if request.path.parent.name == "cli":
        monkeypatch.delitem(sys.modules, "pydantic", raising=False)


@pytest.fixture(autouse=True)
def _command_with_short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses of the clients of commands that run in this process."""
    monkeypatch.setattr("scenario_reframe.cli.run_command.TIMING", SOON)


@pytest.fixture(autouse=True)
def watch(request: pytest.FixtureRequest, _no_scenario_environment: None) -> Iterator[Watch]:
    """Check that no credential or signed URL's query leaves the process."""
    watch = request.node.stash[WATCH] = Watch()
    names = request.fixturenames
    if request.config.getoption("capture") != "fd":  # with `-s` no report holds what is printed
        capture = next((name for name in names if name in CAPTURES), "capfd")
        watch.capture = request.getfixturevalue(capture)
    if request.path.parent.name == "sandbox":
        watch.unwatched_log = "httpx"  # these tests send requests without the client
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in names else None
    with watch.watching():
        yield watch
    watch.look_at_files(folder.rglob("*") if folder else ())
    ledger = os.environ.get("SCENARIO_LEDGER", "")
    watch.look_at_files(Path(ledger + end) for end in ("", "-wal", "-shm", "-journal"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test for what its watch found; only now is all of its output known."""
    report = yield
    if call.when == "teardown" and WATCH in item.stash:
        item.stash[WATCH].judge(report)
    return report


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Caller:
    """Calls a method of either client by its name."""
    return Caller(is_async=request.param == "async")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace sleeping: the seconds that clients would have slept, by which `CLOCK` moves."""
    slept: list[float] = []

    def pause(seconds: float) -> None:
        slept.append(seconds)
        CLOCK.now += seconds

    async def later(seconds: float) -> None:
        pause(seconds)

    monkeypatch.setattr("time.sleep", pause)
    monkeypatch.setattr("asyncio.sleep", later)
    return slept


@pytest.fixture
def httpx_mock(httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPXMock]:
    """Mocked HTTP that must keep to the spec, except replies marked `off_spec="why"`."""
    record = Record(httpx_mock)
    monkeypatch.setattr(httpx_mock, "add_callback", record.add_callback)
    yield httpx_mock
    assert record.faults(Contract(load_spec())) == []


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video, `clip.mp4`, 16:9 and four frames: quick to upload and to reframe."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_sample(path, seconds=0.4, size="160x90", rate=10)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small video."""
    return bar_clip(tmp_path_factory.mktemp("clips") / "bar.mp4", 12).read_bytes()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def quiet() -> Iterator[Client]:
    """A client of a shared sandbox on which no job is ever made."""
    with Sandbox(stage_seconds=0) as sandbox, closing(Client(sandbox)) as made:
        yield made


@pytest.fixture(scope="module")
def quiet_asset(quiet: Client, clip: bytes) -> dict[str, Any]:
    """The JSON object of an asset there, shared as well."""
    entity = quiet.upload(clip)["entityId"]
    record: dict[str, Any] = quiet.get(f"/assets/{entity}").json()["asset"]
    return record


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """A client of a shared sandbox whose jobs are done at once, without video."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as made:
        yield made


@pytest.fixture
def fast(shared: Client) -> Iterator[Client]:
    """The same client, without faults before and after a test."""
    shared.sandbox.faults.clear()
    yield shared
    shared.sandbox.faults.clear()


@pytest.fixture(scope="module")
def quick() -> Iterator[Sandbox]:
    """A shared sandbox that makes real videos quickly."""
    with quick_sandbox(stage_seconds=0.0) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def video(quick: Sandbox, short_clip: Path) -> str:
    """The short clip as an asset of `quick`, for tests that are not about uploads."""
    with ReframeClient(quick.api_key, quick.api_secret, base_url=quick.base_url) as client:
        return client.upload(short_clip).id


@pytest.fixture
def runs(request: pytest.FixtureRequest, quick: Sandbox, tmp_path: Path) -> Iterator[Runs]:
    """Runs of a program with one ledger, with the async client unless `BOTH` is used."""
    is_async = getattr(request, "param", "async") == "async"
    with closing(Runs(quick, tmp_path / "ledger.db", is_async=is_async)) as made:
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the ledger."""
    return tmp_path / "ledger.db"


@pytest.fixture
def make_ledger(path: Path) -> Iterator[Ledgers]:
    """Opens ledgers at one path."""
    with opened_ledgers(path) as opener:
        yield opener


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """One sandbox for all batches of a module."""
    with Sandbox(fast=True, stage_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture
def batch(box: Sandbox, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Batches]:
    """Batches of the async client (one engine serves both), or of the kind in `request.param`."""
    with batches(box, tmp_path, getattr(request, "param", "async")) as made:
        yield made
