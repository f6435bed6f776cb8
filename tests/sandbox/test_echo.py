"""How the sandbox shows a job's input: as it was sent, unless a test changes that."""

from contextlib import closing
from typing import Any

from sandbox_clips import GENERATE, MP4, QUICK, Client
from scenario_reframe.sandbox import Sandbox

BODY = QUICK | {"prompt": "a hill", "seed": 7}


def shown(client: Client) -> dict[str, Any]:
    """A new job's metadata at each place where it is shown."""
    job = client.post(GENERATE, json=BODY).raise_for_status().json()["job"]
    job_id = job["jobId"]
    records = {
        "submit": job,
        "list": next(one for one in client.get("/jobs").json()["jobs"] if one["jobId"] == job_id),
        "job": client.get(f"/jobs/{job_id}").json()["job"],
    }
    return {place: record["metadata"].get("input", "none") for place, record in records.items()}


def test_an_echo_changes_the_input_at_each_place() -> None:
    """Rewritten, or not shown at all; `made` has it as it was sent."""

    def echo(given: dict[str, Any], place: str) -> dict[str, Any] | None:
        if place == "list":
            return None
        given["seed"] = str(given["seed"])
        del given["prompt"]
        return given | {"place": place}

    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        sandbox.echo = echo
        shown_settings = {key: value for key, value in BODY.items() if key != "prompt"} | {
            "seed": "7"
        }
        assert shown(client) == {
            "submit": shown_settings | {"place": "submit"},
            "list": "none",
            "job": shown_settings | {"place": "job"},
        }
        assert sandbox.made[0].input == BODY


def test_an_echo_may_change_while_the_sandbox_runs() -> None:
    """The current rule applies to finished jobs too; without one, the input is as sent."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        assert set(map(str, shown(client).values())) == {str(BODY)}
        job_id = sandbox.made[0].id
        for echo, expected in ((lambda _given, _place: {}, {}), (None, BODY)):
            sandbox.echo = echo
            assert client.get(f"/jobs/{job_id}").json()["job"]["metadata"]["input"] == expected


def test_only_paid_jobs_are_rewritten() -> None:
    """An upload's job has no input that a client could need."""
    with Sandbox(stage_seconds=0, fast=True) as sandbox, closing(Client(sandbox)) as client:
        sandbox.echo = lambda _given, _place: {"rewritten": True}
        upload = client.upload(MP4)
        job = client.get(f"/jobs/{upload['jobId']}").json()["job"]
        assert job["metadata"]["input"] == {}
