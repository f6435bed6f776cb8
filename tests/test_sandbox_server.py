"""The sandbox as a server: what it records, and how it starts and ends."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from sandbox_clips import GENERATE, Client
from scenario_reframe.sandbox import Sandbox


def test_requests_are_recorded(sandbox: Sandbox, client: Client) -> None:
    """Tests can count what a client really asked."""
    client.get("/jobs", params={"pageSize": 1})
    (record,) = sandbox.requests
    assert (record.method, record.path, record.query, record.status) == (
        "GET",
        "/v1/jobs",
        "pageSize=1",
        200,
    )


def test_replies_carry_the_date(quiet: Client) -> None:
    """A client that looks for a lost job needs the server's clock."""
    assert quiet.get("/jobs").headers["date"].endswith("GMT")


def test_closing_gives_up_the_work_and_deletes_the_files(tmp_path: Path) -> None:
    """Jobs under way do not delay the end, and the port is free again."""
    begin, threads = time.monotonic(), set(threading.enumerate())
    with Sandbox() as sandbox, closing(Client(sandbox)) as client:
        port = int(urlsplit(sandbox.base_url).port or 0)
        folder = sandbox._state.folder
        for _ in range(3):
            client.post(GENERATE, json={"numFrames": 241})
        assert folder.exists()
    assert time.monotonic() - begin < 20
    assert not folder.exists()
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.0.0.1", port))
    assert set(threading.enumerate()) == threads


def test_files_may_be_kept_in_a_folder_of_ones_own(tmp_path: Path, clip: bytes) -> None:
    """What was uploaded stays in `media_dir`."""
    with (
        Sandbox(stage_seconds=0, media_dir=tmp_path) as sandbox,
        closing(Client(sandbox)) as client,
    ):
        asset_id = client.upload(clip)["entityId"]
    assert (tmp_path / asset_id).read_bytes() == clip


def test_taken_port_is_an_error_at_once(sandbox: Sandbox) -> None:
    """Two sandboxes cannot share a port."""
    port = int(urlsplit(sandbox.base_url).port or 0)
    with pytest.raises(OSError, match="in use"), Sandbox(port):
        pass


def test_waiting_ends_when_the_sandbox_is_closed() -> None:
    """What blocks a command's main thread lets go."""
    with Sandbox() as sandbox:
        thread = threading.Thread(target=sandbox.wait)
        thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_program_that_never_closes_ends_and_leaves_nothing(tmp_path: Path) -> None:
    """A script that forgets `with` exits all the same, with a job under way."""
    program = f"""
import httpx
from scenario_reframe.sandbox import Sandbox
sandbox = Sandbox().__enter__()
auth = (sandbox.api_key, sandbox.api_secret)
httpx.post(sandbox.base_url + "{GENERATE}", json={{}}, auth=auth).raise_for_status()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["av", "jsonschema", "starlette", "uvicorn"])
def test_missing_extra_is_named(package: str) -> None:
    """Without the extra's packages the import says what to install."""
    program = f"""
import sys
sys.modules["{package}"] = None
import scenario_reframe.sandbox
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert f"The sandbox needs {package}: pip install 'scenario-reframe[sandbox]'" in done.stderr


def test_fault_of_the_sandbox_is_500_in_json_and_logged(
    sandbox: Sandbox,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Should there be one after all, the client gets the shape it knows."""
    monkeypatch.setattr(sandbox._state, "jobs", None)
    got = client.get("/jobs")
    assert (got.status_code, got.json()["reason"]) == (500, "A fault of the sandbox")
    assert "A fault of the sandbox" in caplog.text


def test_interrupt_ends_the_waiting(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is how a server in a shell is ended: `wait` returns, and `with` cleans up."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sandbox._state.stopping, "wait", interrupted)
    sandbox.wait()
    assert httpx.get(sandbox.base_url).status_code == 401
