"""Contains all the data models used in inputs/outputs"""

from .asset_properties import AssetProperties
from .asset_record import AssetRecord
from .asset_response import AssetResponse
from .cost_details import CostDetails
from .dry_run_response import DryRunResponse
from .error_details import ErrorDetails
from .error_response import ErrorResponse
from .generate_reframe_dry_run import GenerateReframeDryRun
from .generate_response import GenerateResponse
from .job_action_request import JobActionRequest
from .job_action_request_action import JobActionRequestAction
from .job_billing import JobBilling
from .job_input import JobInput
from .job_list_response import JobListResponse
from .job_metadata import JobMetadata
from .job_record import JobRecord
from .job_response import JobResponse
from .job_status_entry import JobStatusEntry
from .model_input import ModelInput
from .model_record import ModelRecord
from .model_response import ModelResponse
from .reframe_request import ReframeRequest
from .reframe_request_acceleration import ReframeRequestAcceleration
from .reframe_request_aspect_ratio import ReframeRequestAspectRatio
from .reframe_request_interpolator_model import ReframeRequestInterpolatorModel
from .reframe_request_resolution import ReframeRequestResolution
from .reframe_request_video_quality import ReframeRequestVideoQuality
from .reframe_request_video_write_mode import ReframeRequestVideoWriteMode
from .upload_action_request import UploadActionRequest
from .upload_action_request_action import UploadActionRequestAction
from .upload_from_url import UploadFromUrl
from .upload_in_parts import UploadInParts
from .upload_kind import UploadKind
from .upload_part import UploadPart
from .upload_record import UploadRecord
from .upload_response import UploadResponse

__all__ = (
    "AssetProperties",
    "AssetRecord",
    "AssetResponse",
    "CostDetails",
    "DryRunResponse",
    "ErrorDetails",
    "ErrorResponse",
    "GenerateReframeDryRun",
    "GenerateResponse",
    "JobActionRequest",
    "JobActionRequestAction",
    "JobBilling",
    "JobInput",
    "JobListResponse",
    "JobMetadata",
    "JobRecord",
    "JobResponse",
    "JobStatusEntry",
    "ModelInput",
    "ModelRecord",
    "ModelResponse",
    "ReframeRequest",
    "ReframeRequestAcceleration",
    "ReframeRequestAspectRatio",
    "ReframeRequestInterpolatorModel",
    "ReframeRequestResolution",
    "ReframeRequestVideoQuality",
    "ReframeRequestVideoWriteMode",
    "UploadActionRequest",
    "UploadActionRequestAction",
    "UploadFromUrl",
    "UploadInParts",
    "UploadKind",
    "UploadPart",
    "UploadRecord",
    "UploadResponse",
)
