"""Settings that this version does not know: sent unchanged, with one warning for each.

By the library and by the command.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import Caller
from commands import point_to
from scenario_reframe import BatchItem, InvalidSettingsError
from scenario_reframe.batch.planning import plan
from scenario_reframe.cli import main
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.settings import _MAX_WARNINGS, _WARNED, request_body

Output = pytest.CaptureFixture[str]
Log = pytest.LogCaptureFixture

WARNING = (
    "extra: {} is not in this version's spec and is sent unchecked; "
    "scripts/drift --live, or scenario-reframe doctor, shows what the server knows"
)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox for the module."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, to which the environment points."""
    point_to(running, monkeypatch)
    return running


@pytest.fixture(autouse=True)
def _forget_warnings() -> Iterator[None]:
    """Forget the warnings of earlier tests, as a new process would."""
    known = set(_WARNED)
    _WARNED.clear()
    yield
    _WARNED.clear()
    _WARNED.update(known)


def warnings(caplog: Log) -> list[str]:
    """The library's warnings."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("scenario_reframe") and record.levelno >= logging.WARNING
    ]


def keys(sandbox: Sandbox) -> dict[str, str]:
    """The arguments for a client of the sandbox."""
    return {
        "api_key": sandbox.api_key, "api_secret": sandbox.api_secret, "base_url": sandbox.base_url,
    }  # fmt: skip


@pytest.mark.parametrize("method", ["estimate", "submit"])
def test_an_extra_is_sent_and_warned_of_once(
    method: str, call: Caller, sandbox: Sandbox, caplog: Log
) -> None:
    """By either client, in the log of `scenario_reframe`, however often it is used."""
    for _ in range(2):
        call(method, extra={"newSetting": 1}, client=keys(sandbox))
    assert warnings(caplog) == [WARNING.format("newSetting")]


@pytest.mark.parametrize("extra", [None, {}])
def test_without_extra_nothing_is_warned_of(
    extra: dict[str, int] | None, call: Caller, sandbox: Sandbox, caplog: Log
) -> None:
    """Nor for an empty `extra`."""
    call("estimate", extra=extra, seed=1, client=keys(sandbox))
    assert warnings(caplog) == []


@pytest.mark.parametrize("wrong", [{"dryRun": True}, {"seed": 1}, {"other": object()}])
def test_an_invalid_extra_is_refused_whole(
    wrong: dict[str, object], call: Caller, sandbox: Sandbox, caplog: Log
) -> None:
    """Nothing is sent, so nothing is warned of, even for a valid one beside it."""
    before = len(sandbox.requests)
    for method in ("estimate", "submit"):
        with pytest.raises(InvalidSettingsError):
            call(method, extra={"newSetting": 1, **wrong}, client=keys(sandbox))
    assert len(sandbox.requests) == before
    assert warnings(caplog) == []


def test_a_batch_warns_once_for_each_name(caplog: Log, tmp_path: Path) -> None:
    """And not once for each item."""
    items = [
        BatchItem("asset_1", f"{n}.mp4", extra={"one": n, f"two{n % 2}": n}) for n in range(200)
    ]
    plan(items, str(tmp_path))
    assert sorted(warnings(caplog)) == sorted(map(WARNING.format, ("one", "two0", "two1")))


def test_a_name_cannot_forge_the_log(caplog: Log) -> None:
    """Its warning stays on one line, of limited length."""
    request_body({}, {"new\nline\x1b[31m": 1, "x" * 5000: 1})
    first, second = warnings(caplog)
    assert first == WARNING.format("new line")
    assert len(second) < 400


def test_the_number_of_warnings_is_limited(caplog: Log) -> None:
    """If a service passes on its callers' names, neither memory nor log grows without end."""
    request_body({}, {f"name{number}": 1 for number in range(_MAX_WARNINGS + 5)})
    assert len(warnings(caplog)) == len(_WARNED) == _MAX_WARNINGS


def test_the_command_warns_on_stderr_in_one_line(sandbox: Sandbox, capsys: Output) -> None:
    """Like the command's other messages; stdout holds one JSON object."""
    assert main(["estimate", "--extra", "newSetting=1", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"--{WARNING.format('newSetting')}\n"
    assert json.loads(captured.out)["creative_units"] > 0


def test_the_command_without_extra_warns_of_nothing(sandbox: Sandbox, capsys: Output) -> None:
    """Nor does a command whose settings are refused."""
    assert main(["estimate", "--seed", "1"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["estimate", "--extra", "newSetting=1", "--extra", "dryRun=true"]) == 2
    assert "unchecked" not in capsys.readouterr().err
