"""How an entry of the ledger ends: what a later run may pay for, and what it must not repeat."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_reframe import InvalidInputError, ReframeClient, UploadError
from scenario_reframe.ledger import Ledger
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import answer
from timings import SOON

QUICK = {"resolution": "480p", "num_interpolated_frames": 0, "video_write_mode": "fast"}
Client = ReframeClient


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that dwells on no status."""
    with Sandbox(stage_seconds=0.0) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox, tmp_path: Path) -> Iterator[Client]:
    """A client with a ledger."""
    with ReframeClient(
        sandbox.api_key,
        sandbox.api_secret,
        base_url=sandbox.base_url,
        ledger=tmp_path / "ledger.db",
        timing=SOON,
    ) as client:
        yield client


def test_what_failed_before_its_post_is_not_bought_by_a_later_resume(
    sandbox: Sandbox, client: Client, short_clip: Path, tmp_path: Path
) -> None:
    """The upload fails, the caller is told, and nothing is left unfinished."""
    sandbox.faults.add(answer(500), r"^/uploads/", method="PUT", times=99)
    with pytest.raises(UploadError):
        client.reframe(short_clip, tmp_path / "out.mp4", **QUICK)  # type: ignore[arg-type]
    assert client.entries(unfinished=True) == []
    assert client.entries()[0].state == "failed"
    assert sandbox.jobs_made == 0


def test_a_result_that_was_whole_before_the_kill_is_not_fetched_again(
    sandbox: Sandbox,
    client: Client,
    short_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off after the rename, before the ledger knew: the same call fetches nothing again."""

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "saved", killed)
        with pytest.raises(Killed):
            client.reframe(short_clip, tmp_path / "out.mp4", **QUICK)  # type: ignore[arg-type]
    whole = (tmp_path / "out.mp4").read_bytes()
    before = len(sandbox.requests)
    result = client.reframe(short_clip, tmp_path / "out.mp4", **QUICK)  # type: ignore[arg-type]
    assert result.files[0].read_bytes() == whole
    assert client.entries()[0].state == "done"
    assert sandbox.jobs_made == 1
    assert not [seen for seen in sandbox.requests[before:] if not seen.path.startswith("/v1/")]


def test_a_target_that_somebody_else_wrote_meanwhile_is_kept(
    sandbox: Sandbox, client: Client, short_clip: Path, tmp_path: Path
) -> None:
    """Of another size, it is not the result: the run says so and overwrites nothing."""
    sandbox.faults.add(answer(403), r"^/assets/", method="GET", times=99)
    with pytest.raises(Exception, match="answered 403"):
        client.reframe(short_clip, tmp_path / "out.mp4", **QUICK)  # type: ignore[arg-type]
    sandbox.faults.clear()
    (tmp_path / "out.mp4").write_bytes(b"mine")
    with pytest.raises(InvalidInputError, match="overwrite"):
        client.reframe(short_clip, tmp_path / "out.mp4", **QUICK)  # type: ignore[arg-type]
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"
    assert sandbox.jobs_made == 1
