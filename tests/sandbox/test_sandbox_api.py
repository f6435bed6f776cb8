"""The sandbox's API over a real socket: credentials, refusals and their wording."""

import base64
import socket
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sandbox_clips import GENERATE, Client
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.request_checks import reason_of
from scenario_reframe_api.settings import MODEL_ID, SETTINGS


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer sandbox-key"},
        {"Authorization": "Basic " + base64.b64encode(b"sandbox-key:wrong").decode()},
    ],
)
def test_api_without_right_credentials_is_401(quiet: Client, headers: dict[str, str]) -> None:
    """Every path needs them, and the answer is the vendor's JSON."""
    for path in ("/jobs", "/no/such/path"):
        got = quiet.files.get(quiet.sandbox.base_url + path, headers=headers)
        assert got.status_code == 401
        assert got.json()["reason"] == "Unauthorized"


def test_credentials_sent_to_the_file_host_are_counted(
    quiet: Client, quiet_asset: dict[str, Any]
) -> None:
    """A client that leaks its key to another host is detected."""
    leaked = quiet.sandbox.credentials_leaked
    quiet.files.get(quiet_asset["url"]).raise_for_status()
    assert quiet.sandbox.credentials_leaked == leaked
    quiet.get(quiet_asset["url"])
    assert quiet.sandbox.credentials_leaked == leaked + 1


def test_repr_shows_no_credentials(quiet: Client) -> None:
    """A sandbox can be logged, whether started or not."""
    assert repr(Sandbox(api_key="KEY", api_secret="SECRET")) == "<Sandbox>"
    assert repr(quiet.sandbox) == f"<Sandbox at {quiet.sandbox.base_url}>"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"numFrames": 80}, '"numFrames" must be greater than or equal to 81'),
        ({"numFrames": 10**400}, '"numFrames" must be less than or equal to 241'),
        ({"numFrames": 81.5}, '"numFrames" must be an integer'),
        ({"numFrames": "81"}, '"numFrames" must be a number'),
        ({"framesPerSecond": True}, '"framesPerSecond" must be a number'),
        ({"prompt": None}, '"prompt" must be a string'),
        ({"trimBorders": "yes"}, '"trimBorders" must be a boolean'),
        ({"resolution": "1080p"}, '"resolution" must be one of [720p, 580p, 480p]'),
        ([], '"value" must be of type object'),
    ],
)
def test_wrong_setting_is_400_in_the_vendors_words(
    quiet: Client, body: object, reason: str
) -> None:
    """Each kind of fault has its wording, and no job is made."""
    got = quiet.post(GENERATE, json=body)
    assert got.status_code == 400
    assert got.json()["reason"] == reason
    assert got.json()["trace_id"]
    assert quiet.sandbox.jobs_made == 0


def test_every_number_and_choice_of_the_spec_is_checked(quiet: Client) -> None:
    """A value just outside each limit is refused."""
    outside: dict[str, object] = {}
    for setting in SETTINGS:
        if setting.choices:
            outside[setting.wire] = "no such choice"
        elif setting.kind != "string" and setting.bounds.maximum is not None:
            outside[setting.wire] = setting.bounds.maximum + 1
    assert len(outside) >= 13
    for name, value in outside.items():
        got = quiet.post(GENERATE, json={name: value})
        assert (got.status_code, name in got.json()["reason"]) == (400, True)
    assert quiet.sandbox.jobs_made == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b'{"seed": NaN}', 400),
        (b'{"x": 1e999}', 400),
        (b'{"x": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"x": "\xff"}', 400),
        (b'{"prompt": "' + b"x" * (10 * 1024 * 1024) + b'"}', 413),
    ],
)
def test_body_that_cannot_be_read_is_refused(quiet: Client, content: bytes, status: int) -> None:
    """No body makes the server fail."""
    got = quiet.post(GENERATE, content=content, headers={"Content-Type": "application/json"})
    assert got.status_code == status
    assert got.json()["reason"]
    assert quiet.sandbox.jobs_made == 0


def test_body_of_another_type_is_415(quiet: Client) -> None:
    """A form is not JSON."""
    got = quiet.post(GENERATE, data={"prompt": "x"})
    assert (got.status_code, got.json()["reason"]) == (
        415,
        "Content-Type must be application/json",
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/jobs/job_none", 404),
        ("GET", "/jobs/%00%F0%9F", 404),
        ("GET", "/assets/asset_none", 404),
        ("GET", "/uploads/upload_none", 404),
        ("GET", "/models/model_other", 404),
        ("POST", "/generate/custom/model_other", 404),
        ("POST", "/jobs/job_none/action", 404),
        ("DELETE", "/jobs", 405),
        ("GET", GENERATE, 405),
        ("GET", "/jobs/", 404),
    ],
)
def test_unknown_path_or_method_is_answered_in_json(
    quiet: Client, method: str, path: str, status: int
) -> None:
    """404 and 405 have the vendor's shape too."""
    got = quiet.request(method, path, json={"action": "cancel"})
    assert got.status_code == status
    assert set(got.json()) == {"reason", "trace_id"}


def test_unknown_video_is_404_and_makes_no_job(quiet: Client) -> None:
    """The asset must exist."""
    got = quiet.post(GENERATE, json={"videoUrl": "asset_none"})
    assert (got.status_code, got.json()["reason"]) == (404, "Asset asset_none not found")
    assert quiet.sandbox.jobs_made == 0


@pytest.mark.parametrize("dry_run", ["true", "api"])
def test_dry_run_in_the_query_is_269_and_makes_no_job(quiet: Client, dry_run: str) -> None:
    """Only the price is returned; it grows with the size and the number of frames."""
    costs = []
    frames = {"numFrames": 81, "matchInputNumFrames": False}
    for body in (
        {"resolution": "480p", **frames},
        {"resolution": "720p", **frames},
        {"resolution": "720p", **frames, "numFrames": 241},
    ):
        got = quiet.post(GENERATE, params={"dryRun": dry_run}, json=body)
        assert got.status_code == 269
        assert set(got.json()) == {"creativeUnitsCost", "creativeUnitsDiscount", "costDetails"}
        assert sum(got.json()["costDetails"].values()) == got.json()["creativeUnitsCost"]
        costs.append(got.json()["creativeUnitsCost"])
    assert costs == [40, 60, 178.5]
    assert quiet.sandbox.jobs_made == 0


def test_price_follows_the_sources_frames_when_matched(
    quiet: Client, quiet_asset: dict[str, Any]
) -> None:
    """12 frames cost less than 81."""
    body = {"videoUrl": quiet_asset["id"]}
    costs = [
        quiet.post(GENERATE, params={"dryRun": "true"}, json=body | more).json()
        for more in ({"matchInputNumFrames": False, "numFrames": 81}, {"matchInputNumFrames": True})
    ]
    assert costs[0]["creativeUnitsCost"] > costs[1]["creativeUnitsCost"] > 0


def test_model_description_agrees_with_the_spec(quiet: Client) -> None:
    """Each setting is an input, with limits, choices and default in the vendor's form."""
    model = quiet.get(f"/models/{MODEL_ID}").json()["model"]
    inputs = {one["name"]: one for one in model["inputs"]}
    assert set(inputs) == {"videoUrl", *(setting.wire for setting in SETTINGS)}
    assert inputs["videoUrl"]["required"] == {"always": True}
    (row,) = [row for row in SETTINGS if row.wire == "numFrames"]
    frames = {key: inputs["numFrames"][key] for key in ("type", "min", "max", "step", "default")}
    low, high = row.bounds
    assert frames == {"type": "number", "min": low, "max": high, "step": 1, "default": row.default}
    (row,) = [row for row in SETTINGS if row.wire == "resolution"]
    assert inputs["resolution"]["allowedValues"] == [*row.choices]
    assert "min" not in inputs["seed"]


def test_unknown_kind_of_dry_run_is_400(quiet: Client) -> None:
    """A typo in `dryRun` must not start a paid job."""
    got = quiet.post(GENERATE, params={"dryRun": "yes"}, json={})
    assert (got.status_code, got.json()["reason"]) == (
        400,
        '"dryRun" must be one of [true, api, false]',
    )
    assert quiet.sandbox.jobs_made == 0


def test_request_that_breaks_off_makes_no_job(quiet: Client) -> None:
    """Half a body, then nothing: the request has no effect."""
    key = base64.b64encode(b"sandbox-key:sandbox-secret")
    head = f"POST /v1{GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n".encode()
    with socket.create_connection((quiet.base_url.host, quiet.base_url.port or 0)) as sock:
        sock.sendall(head + b"Authorization: Basic " + key + b"\r\n\r\n{}")
    assert quiet.get("/jobs").status_code == 200
    assert quiet.sandbox.jobs_made == 0


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"minLength": 3}, "ab", '"value" length must be at least 3 characters long'),
        (
            {"maxLength": 1},
            "ab",
            '"value" length must be less than or equal to 1 characters long',
        ),
        ({"pattern": "x"}, "ab", '"value" is invalid'),
    ],
)
def test_limits_that_the_spec_may_get_have_their_wording(
    schema: dict[str, Any], value: str, reason: str
) -> None:
    """No setting has a limit of length yet, but the spec may get one."""
    (error,) = Draft202012Validator(schema).iter_errors(value)
    assert reason_of(error) == reason
