"""The sandbox against the spec, with Schemathesis: every operation, then the spec's own links."""

from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response

from contracts import SPEC
from sandbox_clips import GENERATE, MP4, Client
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import rewrite
from scenario_reframe_api.settings import MODEL_ID

pytestmark = pytest.mark.any_python

# Operations whose description forbids what the schema allows, with a 400.
# Elsewhere a request that the schema allows is accepted, or an id is not known.
_PARTLY_REFUSED: Final = ("listJobs", "cancelJob", "createUpload", "completeUpload")
_CONFIG: Final[dict[str, Any]] = {
    "auth": {"basic": {"username": "sandbox-key", "password": "sandbox-secret"}},
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2XX", "404"]}},
    "operations": [
        {
            "include-operation-id": list(_PARTLY_REFUSED),
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2XX", "400", "404"]}},
        }
    ],
    "request-timeout": 60,
    # The sandbox's own credentials; the check `ignored_auth` removes them itself.
    "generation": {"with-security-parameters": False},
    "phases": {
        "stateful": {
            "generation": {"mode": "positive"},
            "inference": {"algorithms": []},  # only the spec's own links
        }
    },
}
# An upload that the sandbox accepts: the schema does not say which fields go together.
_UPLOAD: Final[dict[str, Any]] = {
    "kind": "video", "fileName": "a.mp4", "contentType": "video/mp4", "fileSize": 9, "parts": 1,
}  # fmt: skip
_BOUNDED: Final = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
schema = schemathesis.openapi.from_path(SPEC, config=SchemathesisConfig.from_dict(_CONFIG))


@pytest.fixture(scope="module")
def server(shared: Client) -> Sandbox:
    """The sandbox of the shared client."""
    return shared.sandbox


@schema.parametrize()
@_BOUNDED
def test_operation_keeps_to_the_spec(case: Case[Any], server: Sandbox) -> None:
    """Statuses, types and shapes of replies; wrong requests are refused, right ones are not."""
    case.call_and_validate(base_url=server.base_url)


def _make_sensible(case: Case[Any]) -> None:
    """Insert values that cannot be guessed, so that jobs and uploads are made."""
    if case.path == GENERATE:
        assert isinstance(case.body, dict)
        case.body.pop("videoUrl", None)
        case.query.pop("dryRun", None)
    elif case.path == "/uploads":
        case.body = {**_UPLOAD}


def test_links_of_the_spec_lead_on(server: Sandbox) -> None:
    """Ids from one reply lead to the next: from a submission to its job to its asset."""
    wanted = {("generateReframe", 200), ("getJob", 200), ("getAsset", 200), ("cancelJob", 400)}
    wanted |= {("createUpload", 200), ("getUpload", 200), ("completeUpload", 400)}
    reached: set[tuple[str, int]] = set()
    operations = [name for name, _ in sorted(wanted)]

    class Journey(schema.include(operation_id=operations).as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return {"base_url": server.base_url}

        def before_call(self, case: Case[Any]) -> None:
            _make_sensible(case)

        def after_call(self, response: Response, case: Case[Any]) -> None:
            super().after_call(response, case)
            reached.add((case.operation.definition.raw["operationId"], response.status_code))

    # The generated cases change with the spec, Hypothesis and the loaded modules.
    for examples, steps in ((10, 10), (50, 24), (50, 48)):
        if not reached >= wanted:
            bounds = settings(_BOUNDED, max_examples=examples, stateful_step_count=steps)
            Journey.run(settings=bounds)
    assert reached >= wanted


def _checked(sandbox: Sandbox, method: str, path: str, **parts: Any) -> Any:
    """Call one operation, check its reply against the spec, and return its JSON."""
    case = schema[path][method].Case(**parts)
    credentials = (sandbox.api_key, sandbox.api_secret)
    return case.call_and_validate(base_url=sandbox.base_url, auth=credentials).json()


@pytest.mark.parametrize(("content", "status"), [(MP4, "imported"), (b"no video", "failed")])
def test_upload_keeps_to_the_spec_to_its_end(shared: Client, content: bytes, status: str) -> None:
    """Upload and job, whatever their outcome: no generator sends the parts of a file."""
    upload = shared.upload(content)
    assert upload["status"] == status
    known = {"path_parameters": {"uploadId": upload["id"]}}
    _checked(shared.sandbox, "GET", "/uploads/{uploadId}", **known)
    action = {"body": {"action": "complete"}}
    _checked(shared.sandbox, "POST", "/uploads/{uploadId}/action", **action, **known)
    job = {"path_parameters": {"jobId": upload["jobId"]}}
    _checked(shared.sandbox, "GET", "/jobs/{jobId}", **job)


def test_uploaded_asset_keeps_to_the_spec(shared: Client) -> None:
    """The asset, and a job that uses it."""
    asset, server = shared.upload(MP4)["entityId"], shared.sandbox
    _checked(server, "GET", "/assets/{assetId}", path_parameters={"assetId": asset})
    assert _checked(server, "POST", GENERATE, body={"videoUrl": asset})["job"]


def test_price_and_model_keep_to_the_spec(server: Sandbox) -> None:
    """The values of `dryRun` and of the model's id cannot be guessed."""
    assert _checked(server, "POST", GENERATE, query={"dryRun": "true"}, body={})[
        "creativeUnitsCost"
    ]
    model = _checked(server, "GET", "/models/{modelId}", path_parameters={"modelId": MODEL_ID})
    assert model["model"]["inputs"]


def test_reply_that_breaks_the_spec_is_found(fast: Client) -> None:
    """These tests can fail: a list that is a number is a fault."""
    fast.sandbox.faults.add(rewrite(lambda _: {"jobs": 5}), "/v1/jobs")
    with pytest.raises(FailureGroup, match="5 is not of type"):
        _checked(fast.sandbox, "GET", "/jobs")
