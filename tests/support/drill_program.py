"""Run by `drills` with a copy's packages: what they do with values, printed as JSON."""

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import av
import httpx

from scenario_reframe import InvalidSettingsError, Job, ReframeClient
from scenario_reframe.cli import main
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import rewrite
from scenario_reframe.submitting import new_submission
from scenario_reframe_api.settings import MODEL_ID, SETTINGS

Values = Mapping[str, Any]
ROWS = {row.name: row.wire for row in SETTINGS}


def settings(sandbox: Sandbox, client: ReframeClient, asked: Any) -> Any:
    """What library, server and command line do with right values and with wrong ones."""
    found: dict[str, Any] = {"help": shell("run", "--help")[1], "accepted": [], "refused": []}
    for row in asked["right"]:
        job = client.submit(**row)
        code, output = shell("estimate", *flags(row))
        found["accepted"].append({"echoed": dict(job.input), "shell": code, "output": output})
    for row in asked["wrong"]:
        problems: Sequence[str] = ()
        try:
            client.submit(**row["named"])
        except InvalidSettingsError as error:
            problems = error.problems
        answer = call(sandbox, "POST", f"/generate/custom/{MODEL_ID}", row["wire"])
        code, output = shell("estimate", *flags(row["typed"]))
        found["refused"].append(
            {"library": problems, "sandbox": answer, "shell": code, "output": output}
        )
    return found


def price(sandbox: Sandbox, client: ReframeClient, asked: Any) -> Any:
    """The server's answer to a dry run, sent without the client, which would try again."""
    body = {ROWS[name]: value for name, value in asked["settings"].items()}
    return call(sandbox, "POST", f"/generate/custom/{MODEL_ID}?dryRun=true", body)


def model(sandbox: Sandbox, client: ReframeClient, asked: Any) -> Any:
    """The types of the model's inputs, by name, from the model's record."""
    _, body = call(sandbox, "GET", f"/models/{MODEL_ID}")
    return {row["name"]: row["type"] for row in body["model"]["inputs"]}


def seeds(sandbox: Sandbox, client: ReframeClient, asked: Any) -> Any:
    """Which of some seeds drawn by the client the server refuses."""
    drawn = [dict(new_submission({}, "", None, None).body) for _ in range(20)]
    path = f"/generate/custom/{MODEL_ID}?dryRun=true"
    refused = [row for row in drawn if call(sandbox, "POST", path, row)[0] != 269]
    return {"refused": refused}


def result(sandbox: Sandbox, client: ReframeClient, asked: Any) -> Any:
    """Width, height, frames and rate of a result; the fast engine reports them correctly."""
    asset = client.get_asset(client.wait(client.submit(**asked["settings"])).asset_ids[0])
    return [asset.width, asset.height, asset.frames, asset.frame_rate]


def replies(sandbox: Sandbox, client: ReframeClient, asked: Any) -> Any:
    """A wait through a newer status and a newer field, and a call of an unknown operation."""
    seen: list[Job] = []
    job_id = client.submit().id
    newer = rewrite(lambda body: {"job": body["job"] | asked["job"]})
    sandbox.faults.add(newer, f"/jobs/{job_id}$")
    done = client.wait(job_id, timeout=10, on_update=seen.append)
    fresh = [{"status": job.status, "done": job.is_done, "raw": dict(job.raw)} for job in seen]
    return {"seen": fresh, "end": done.status, "answer": call(sandbox, "GET", asked["path"])}


def demo(sandbox: Sandbox, client: ReframeClient, asked: Any) -> Any:
    """The command's own demo, on the engine that makes real videos."""
    with tempfile.TemporaryDirectory() as folder:
        code, output = shell("demo", "-o", folder)
        sizes = []
        for path in Path(folder).glob("*.mp4"):
            with av.open(str(path)) as video:
                stream = video.streams.video[0]
                sizes.append([stream.width, stream.height, stream.frames])
    return {"code": code, "output": output, "sizes": sizes}


def call(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Any:
    """Send a request without the client; the status and body of the reply."""
    key = sandbox.api_key, sandbox.api_secret
    reply = httpx.request(method, sandbox.base_url + path, auth=key, json=body)
    return [reply.status_code, reply.json()]


def flags(row: Values) -> list[str]:
    """Settings as typed on the command line."""
    typed = []
    for name, value in row.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            typed.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            typed.append(f"--{flag}={value}")
    return typed


def shell(*arguments: str) -> tuple[int, str]:
    """Run one command line; its exit code and all that it prints."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = main(list(arguments))
    return code, output.getvalue()


def run(part: Callable[[Sandbox, ReframeClient, Any], Any]) -> None:
    """Run one part on a fast sandbox, to which the environment points too."""
    with (
        Sandbox(fast=True, stage_seconds=0) as sandbox,
        ReframeClient(sandbox.api_key, sandbox.api_secret, base_url=sandbox.base_url) as client,
    ):
        os.environ["SCENARIO_API_KEY"] = sandbox.api_key
        os.environ["SCENARIO_API_SECRET"] = sandbox.api_secret
        os.environ["SCENARIO_BASE_URL"] = sandbox.base_url
        sys.stdout.write(json.dumps(part(sandbox, client, json.load(sys.stdin))))


if __name__ == "__main__":
    run(
        {part.__name__: part for part in (settings, price, model, seeds, result, replies, demo)}[
            sys.argv[1]
        ]
    )
