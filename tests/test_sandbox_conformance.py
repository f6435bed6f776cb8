"""The sandbox against the spec, by Schemathesis: every operation, then the spec's own links."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import settings
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response

from contracts import SPEC
from sandbox_clips import GENERATE, Client
from scenario_reframe.sandbox import Sandbox
from scenario_reframe.sandbox.faults import rewrite
from scenario_reframe_api.settings import MODEL_ID

pytestmark = pytest.mark.any_python

# Operations whose description forbids what the schema allows: that is answered with a 400.
# Elsewhere a request that the schema allows is accepted, or an id is not known.
_PARTLY_REFUSED: Final = ("listJobs", "actOnJob", "createUpload", "actOnUpload")
_CONFIG: Final[dict[str, Any]] = {
    "auth": {"basic": {"username": "sandbox-key", "password": "sandbox-secret"}},
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2XX", "404"]}},
    "operations": [
        {
            "include-operation-id": list(_PARTLY_REFUSED),
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2XX", "400", "404"]}},
        }
    ],
    # Credentials are the sandbox's own; the check `ignored_auth` takes them away by itself.
    "generation": {"with-security-parameters": False},
    "phases": {
        "stateful": {
            "generation": {"mode": "positive"},
            "inference": {"algorithms": []},  # only links that the spec gives
        }
    },
}
# An upload that the sandbox takes: the schema leaves open which fields go together.
_UPLOAD: Final[dict[str, Any]] = {
    "kind": "video", "fileName": "a.mp4", "contentType": "video/mp4", "fileSize": 9, "parts": 1,
}  # fmt: skip
_BOUNDED: Final = settings(max_examples=20, derandomize=True, deadline=None)
schema = schemathesis.openapi.from_path(SPEC, config=SchemathesisConfig.from_dict(_CONFIG))


@pytest.fixture(scope="module")
def fast() -> Iterator[Sandbox]:
    """A sandbox whose jobs are done at once."""
    with Sandbox(fast=True, stage_seconds=0) as made:
        yield made


@schema.parametrize()
@_BOUNDED
def test_operation_keeps_to_the_spec(case: Case[Any], fast: Sandbox) -> None:
    """Statuses, types and shapes of its replies; what is wrong is refused, what is right is not."""
    case.call_and_validate(base_url=fast.base_url)


def _make_sensible(case: Case[Any]) -> None:
    """Put in what nobody can guess, so that jobs and uploads are made."""
    if case.path == GENERATE:
        assert isinstance(case.body, dict)
        case.body.pop("videoUrl", None)
        case.query.pop("dryRun", None)
    elif case.path == "/uploads":
        case.body = {**_UPLOAD}


@pytest.mark.parametrize(
    "way",
    [
        {"generateReframe": 200, "getJob": 200, "getAsset": 200},
        {"generateReframe": 200, "getJob": 200, "actOnJob": 400},
        {"createUpload": 200, "getUpload": 200, "actOnUpload": 400},
    ],
    ids="-".join,
)
def test_links_of_the_spec_lead_on(fast: Sandbox, way: dict[str, int]) -> None:
    """Ids out of one reply lead to the next record: from a submission to its job to its asset."""
    reached: set[tuple[str, int]] = set()

    class Journey(schema.include(operation_id=list(way)).as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return {"base_url": fast.base_url}

        def before_call(self, case: Case[Any]) -> None:
            _make_sensible(case)

        def after_call(self, response: Response, case: Case[Any]) -> None:
            super().after_call(response, case)
            reached.add((case.operation.definition.raw["operationId"], response.status_code))

    # What is drawn changes with the spec, and with the modules that happen to be loaded.
    for steps in (6, 12, 24, 48):
        if not reached >= set(way.items()):
            Journey.run(settings=settings(_BOUNDED, stateful_step_count=steps))
    assert reached >= set(way.items())


def _checked(sandbox: Sandbox, method: str, path: str, **parts: Any) -> Any:
    """Call one operation, check its reply against the spec, and give its JSON."""
    case = schema[path][method].Case(**parts)
    credentials = (sandbox.api_key, sandbox.api_secret)
    return case.call_and_validate(base_url=sandbox.base_url, auth=credentials).json()


@pytest.mark.parametrize(
    ("content", "status"), [(b"\x00\x00\x00\x18ftypmp42", "imported"), (b"no video", "failed")]
)
def test_upload_keeps_to_the_spec_to_its_end(fast: Sandbox, content: bytes, status: str) -> None:
    """Its record and its job's, whatever came of it: no generator sends the parts of a file."""
    with closing(Client(fast)) as client:
        upload = client.upload(content)
    assert upload["status"] == status
    known = {"path_parameters": {"uploadId": upload["id"]}}
    _checked(fast, "GET", "/uploads/{uploadId}", **known)
    _checked(fast, "POST", "/uploads/{uploadId}/action", body={"action": "complete"}, **known)
    _checked(fast, "GET", "/jobs/{jobId}", path_parameters={"jobId": upload["jobId"]})


def test_uploaded_asset_keeps_to_the_spec(fast: Sandbox) -> None:
    """Its record alone and among others, and a job that it is the source of."""
    with closing(Client(fast)) as client:
        asset = client.upload(b"\x00\x00\x00\x18ftypmp42")["entityId"]
    _checked(fast, "GET", "/assets/{assetId}", path_parameters={"assetId": asset})
    assert _checked(fast, "POST", "/assets/get-bulk", body={"assetIds": [asset]})["assets"]
    assert _checked(fast, "POST", GENERATE, body={"videoUrl": asset})["job"]


def test_price_and_model_keep_to_the_spec(fast: Sandbox) -> None:
    """Neither value is guessed: the one of `dryRun`, and the model's id."""
    assert _checked(fast, "POST", GENERATE, query={"dryRun": "true"}, body={})["creativeUnitsCost"]
    model = _checked(fast, "GET", "/models/{modelId}", path_parameters={"modelId": MODEL_ID})
    assert model["model"]["inputs"]


def test_reply_that_breaks_the_spec_is_found() -> None:
    """These tests can fail: a list that is a number does not pass."""
    with Sandbox(fast=True) as wrong:
        wrong.faults.add(rewrite(lambda _: {"jobs": 5}), "/v1/jobs")
        with pytest.raises(FailureGroup, match="5 is not of type"):
            _checked(wrong, "GET", "/jobs")
