"""The sandbox as a server: what it records, and how it starts and ends."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox_clips import GENERATE, QUICK, Client, by_a_clock
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer
from waiting import until


def test_requests_are_recorded(quiet: Client) -> None:
    """Tests can count what a client really sent."""
    quiet.get("/jobs", params={"pageSize": 1})
    record = quiet.sandbox.requests[-1]
    assert (record.method, record.path, record.query, record.status) == (
        "GET",
        "/v1/jobs",
        "pageSize=1",
        200,
    )
    assert quiet.sandbox.requests_made == len(quiet.sandbox.requests)


def test_replies_carry_the_date(quiet: Client) -> None:
    """A client that looks for a lost job needs the server's clock."""
    assert quiet.get("/jobs").headers["date"].endswith("GMT")


def test_the_date_goes_by_the_sandboxs_clock() -> None:
    """It agrees with `createdAt`, in whole seconds; a test can offset it."""
    with by_a_clock() as (client, clock):
        for offset in (0, -3600, 90):
            clock.forward(7200)
            client.sandbox.date_offset = offset
            got = client.post(GENERATE, json=QUICK).raise_for_status()
            date = parsedate_to_datetime(got.headers["date"]).timestamp()
            created = datetime.fromisoformat(got.json()["job"]["createdAt"]).timestamp()
            assert date == int(created) + offset == int(clock.now) + offset


def test_there_is_one_date_in_every_reply(fast: Client) -> None:
    """Of the API, of the file host, of refusals and of faults, unless a fault sets its own."""
    root = fast.sandbox.base_url.removesuffix("/v1")
    fast.sandbox.faults.add(answer(502), "/jobs$")
    fast.sandbox.faults.add(answer(502, headers={"Date": "today"}), "/jobs$")
    replies = [
        *(fast.get("/jobs") for _ in range(3)),
        fast.get("/nowhere"),
        fast.files.get(fast.sandbox.base_url + "/jobs"),
        fast.files.get(f"{root}/assets/none"),
    ]
    dates = [reply.headers.get_list("date") for reply in replies]
    assert [reply.status_code for reply in replies] == [502, 502, 200, 404, 401, 403]
    assert [len(found) for found in dates] == [1] * 6
    assert dates[1] == ["today"]


def test_closing_gives_up_the_work_and_deletes_the_files(
    monkeypatch: pytest.MonkeyPatch, clip: bytes
) -> None:
    """Running and waiting jobs do not delay it, and the port is free again."""
    threads, begun = set(threading.enumerate()), threading.Event()

    def endless(
        _path: Path, _target: Path, _settings: object, on_frame: Callable[[int, int], None]
    ) -> None:
        begun.set()
        while True:
            on_frame(1, 241)

    monkeypatch.setattr("scenario_reframe.sandbox.video_engine.reframe", endless)
    with Sandbox(stage_seconds=0) as sandbox, closing(Client(sandbox)) as client:
        port = int(urlsplit(sandbox.base_url).port or 0)
        folder = sandbox._state.folder
        video = client.upload(clip)["entityId"]
        for _ in range(3):
            client.post(GENERATE, json={"videoUrl": video})
        assert begun.wait(60)
        assert folder.exists()
    assert not folder.exists()
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        sock.connect(("127.0.0.1", port))
    until(lambda: set(threading.enumerate()) <= threads)  # AnyIO's threads are never joined


def test_files_may_be_kept_in_a_folder_of_ones_own(tmp_path: Path, clip: bytes) -> None:
    """Uploaded files stay in `media_dir`."""
    with (
        Sandbox(stage_seconds=0, media_dir=tmp_path) as sandbox,
        closing(Client(sandbox)) as client,
    ):
        asset_id = client.upload(clip)["entityId"]
    assert (tmp_path / asset_id).read_bytes() == clip


def test_taken_port_is_an_error_at_once(quiet: Client) -> None:
    """Two sandboxes cannot share a port."""
    port = int(urlsplit(quiet.sandbox.base_url).port or 0)
    with pytest.raises(OSError, match="in use"), Sandbox(port):
        pass


def test_waiting_ends_when_the_sandbox_is_closed() -> None:
    """A command's main thread is no longer blocked."""
    with Sandbox() as sandbox:
        thread = threading.Thread(target=sandbox.wait)
        thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_program_that_never_closes_ends_and_leaves_nothing(tmp_path: Path) -> None:
    """A script that forgets `with` still exits, even with a job under way."""
    program = f"""
import httpx
from scenario_reframe.sandbox import Sandbox
sandbox = Sandbox().__enter__()
auth = (sandbox.api_key, sandbox.api_secret)
url = sandbox.base_url + "{GENERATE}"
httpx.post(url, json={{}}, auth=auth, timeout=60).raise_for_status()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(tmp_path.iterdir()) == []


def test_missing_extra_is_named() -> None:
    """Without one of the extra's packages the import error says what to install."""
    program = """
import sys
for package in ("av", "jsonschema", "starlette", "uvicorn"):
    sys.modules[package] = None
    try:
        import scenario_reframe.sandbox
    except ImportError as error:
        print(error)
    del sys.modules[package]
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == [
        f"The sandbox needs {package}: pip install 'scenario-reframe[sandbox]'"
        for package in ("av", "jsonschema", "starlette", "uvicorn")
    ]


def test_fault_of_the_sandbox_is_500_in_json_and_logged(
    quiet: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If there is one, the client gets the usual shape of an error."""
    monkeypatch.setattr(quiet.sandbox._state, "jobs", None)
    with closing(Client(quiet.sandbox)) as client:  # the server closes its connection
        got = client.get("/jobs")
    assert (got.status_code, got.json()["reason"]) == (500, "A bug in the sandbox")
    assert "A bug in the sandbox" in caplog.text


def test_interrupt_ends_the_waiting(quiet: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a server in a shell: `wait` returns, and `with` cleans up."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quiet.sandbox._state.stopping, "wait", interrupted)
    quiet.sandbox.wait()
    assert quiet.get("/jobs").status_code == 200
