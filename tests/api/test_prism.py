"""Prism, a public mock server that knows only the spec, answers the client's own calls."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from clients import KEY, SECRET, Caller
from contracts import SPEC, Contract, load_spec
from sandbox_clips import GENERATE, MP4
from scenario_reframe import Estimate
from scenario_reframe_api.settings import SETTINGS
from waiting import until

pytestmark = pytest.mark.any_python

VERSION: Final = "5.14.2"  # the last that runs on Node 18, 20 and 22
OLDEST_NODE: Final = (18, 20, 1)
# What npm reports when no registry can be reached. Any other failure fails the tests.
UNREACHABLE: Final = re.compile(
    r"code (E40[137]|EAI_AGAIN|ECONN\w+|EHOSTUNREACH|EIDLETIMEOUT|ENETUNREACH|ENOTFOUND|"
    r"ERR_SOCKET_TIMEOUT|ETIMEDOUT)$",
    re.MULTILINE,
)
INSTALLING = 300.0
"""Seconds. With an empty cache npm needs about 15 for some 50 MB."""


@dataclass(frozen=True)
class Prism:
    """A running server. `log` is what it has written so far."""

    process: subprocess.Popen[bytes]
    path: Path

    @property
    def log(self) -> str:
        """Everything that it has printed so far."""
        return self.path.read_text("utf-8", "replace")

    def address(self) -> str | None:
        """Its address, once it listens."""
        found = re.search(r"Prism is listening on (http://\S+)", self.log)
        assert found or self.process.poll() is None, self.log
        return found and found[1]


def installed() -> Path:
    """Prism's program, installed beside this Python if needed; skips where that is impossible."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < OLDEST_NODE:
        pytest.skip(
            f"Prism needs Node.js {'.'.join(map(str, OLDEST_NODE))}, this is {version.strip()}"
        )
    home = Path(sys.prefix) / f"prism-{VERSION}"
    if not home.exists():
        # Under another name until it is complete: other runs may look for it at the same time.
        staging = Path(tempfile.mkdtemp(prefix="prism-", dir=sys.prefix))
        try:
            install(npm, staging)
            with suppress(OSError):  # another run was faster
                staging.rename(home)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return home / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"


def install(npm: str, folder: Path) -> None:
    """Let npm install exactly this version, without running any package's scripts."""
    options = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
    options += ["--fetch-retries=1", "--loglevel=error", "--prefix", str(folder)]
    done = subprocess.run(
        [npm, "install", *options, f"@stoplight/prism-cli@{VERSION}"],
        capture_output=True, text=True, check=False, timeout=INSTALLING,
    )  # fmt: skip
    if done.returncode and (found := UNREACHABLE.search(done.stderr)):
        pytest.skip(f"npm cannot reach its registry: {found[1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prism]:
    """Prism with the spec; it answers a request that breaks the spec with an error."""
    program = installed()
    path = tmp_path_factory.mktemp("prism") / "log"
    command = ["node", str(program), "mock", "--errors", "--host", "127.0.0.1", "--port", "0"]
    with (
        path.open("wb") as log,
        subprocess.Popen([*command, str(SPEC)], stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            running = Prism(process, path)
            until(running.address)
            yield running
        finally:
            process.kill()


Ask = Callable[..., Any]


@pytest.fixture
def ask(prism: Prism, call: Caller, pauses: list[float]) -> Iterator[Ask]:
    """Calls a method of either client; no request may break the spec."""
    before = len(prism.log)
    address = prism.address()
    yield lambda *args, **more: call(*args, client={"base_url": address}, http=http, **more)
    # Prism writes its lines in order: those about this request come last.
    wrong = httpx.get(f"{address}/jobs?pageSize=0", auth=(KEY, SECRET), trust_env=False)
    assert wrong.status_code == 400
    until(lambda: "Violation: request.query.pagesize" in prism.log[before:])
    log = prism.log[before:]
    assert log.count("Violation:") == log.count("did not pass") == 1, log


def http(make: Any) -> Any:
    """An httpx client that prefers a price for dry runs; file hosts are played within it."""

    def prefer(request: httpx.Request) -> None:
        if "dryRun" in request.url.params:
            request.headers["Prefer"] = "code=269"

    async def prefer_later(request: httpx.Request) -> None:
        prefer(request)

    hook = prefer_later if make is httpx.AsyncClient else prefer
    files = httpx.MockTransport(file_reply)
    mounts = {"https://parts.example": files, "https://cdn.cloud.scenario.com": files}
    return make(event_hooks={"request": [hook]}, mounts=mounts, trust_env=False)


def file_reply(request: httpx.Request) -> httpx.Response:
    """Accept a part; send as many bytes as the example's asset has."""
    size = 0 if request.method == "PUT" else ASSET["properties"]["size"]
    headers = {"Content-Length": str(size)}
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(bytes(size)))


def described(path: str, method: str, status: str = "200") -> Any:
    """The spec's description of the JSON of a reply."""
    return load_spec()["paths"][path][method]["responses"][status]["content"]["application/json"]


SUBMIT: Final = load_spec()["paths"][GENERATE]["post"]["requestBody"]["content"]["application/json"]
ASSET: Final = described("/assets/{assetId}", "get")["example"]["asset"]


def test_the_page_s_request_becomes_the_page_s_job(ask: Ask) -> None:
    """Submit the page's request, and poll until the job is as on the page."""
    names = {row.wire: row.name for row in SETTINGS}
    job = ask("submit", **{names[wire]: value for wire, value in SUBMIT["example"].items()})
    assert (job.id, job.status) == ("job_abc123", "queued")
    done = {"jobId": job.id, "status": "success", "metadata": {"assetIds": ["asset_abc123"]}}
    assert ask("get_job", job).raw == done == ask("wait", job).raw
    assert ask("get_asset", "asset_abc123").raw == ASSET
    assert [one.id for one in ask("jobs")] == [job.id]
    assert ask("cancel", job).status == "canceled"


def test_a_dry_run_is_priced(ask: Ask) -> None:
    """With a reply of its own status."""
    price = described(GENERATE, "post", "269")["example"]
    assert ask("estimate", "asset_abc123", aspect_ratio="9:16") == Estimate(
        creative_units=price["creativeUnitsCost"],
        discount=price["creativeUnitsDiscount"],
        details=price["costDetails"],
    )


def test_a_file_is_uploaded_in_parts(ask: Ask, tmp_path: Path) -> None:
    """Announced, sent, completed and polled."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(MP4)
    assert ask("upload", path).raw == ASSET


def test_a_video_on_the_web_is_reframed(ask: Ask, tmp_path: Path) -> None:
    """The whole pipeline: imported by its URL, submitted, waited for and downloaded."""
    result = ask("reframe", "https://clips.example/clip.mp4", tmp_path / "out.mp4")
    assert (result.job.id, [asset.raw for asset in result.assets]) == ("job_abc123", [ASSET])
    assert [file.stat().st_size for file in result.files] == [ASSET["properties"]["size"]]


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its name."""
    for path in load_spec()["paths"].values():
        for operation in path.values():
            yield operation["operationId"], operation


@pytest.mark.parametrize(
    ("name", "operation"), [pytest.param(*one, id=one[0]) for one in operations()]
)
def test_an_operation_is_described_with_examples(name: str, operation: dict[str, Any]) -> None:
    """Requests and replies have examples, which match their schemas."""
    judge = Contract(load_spec())
    assert operation["description"]
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for body in [*bodies, *map(judge._resolved, operation["responses"].values())]:
        content = body["content"]["application/json"]
        several = [one["value"] for one in content.get("examples", {}).values()]
        examples = several or [content["example"]]
        assert not [
            fault for one in examples for fault in judge._schema_faults(content["schema"], one)
        ]
    assert "default" in operation["responses"]
