from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.error_details import ErrorDetails


T = TypeVar("T", bound="ErrorResponse")


@_attrs_define
class ErrorResponse:
    """Why a request was refused. Which keys are there varies.

    Attributes:
        reason (str | Unset): From the application.
        message (str | Unset): From the gateway.
        error (str | Unset):
        detail (str | Unset):
        trace_id (str | Unset):
        traceId (str | Unset):
        remaining_seconds (float | Unset): How long to wait, in seconds.
        details (ErrorDetails | Unset): Which limit was met.
    """

    reason: str | Unset = UNSET
    message: str | Unset = UNSET
    error: str | Unset = UNSET
    detail: str | Unset = UNSET
    trace_id: str | Unset = UNSET
    traceId: str | Unset = UNSET
    remaining_seconds: float | Unset = UNSET
    details: ErrorDetails | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        reason = self.reason

        message = self.message

        error = self.error

        detail = self.detail

        trace_id = self.trace_id

        traceId = self.traceId

        remaining_seconds = self.remaining_seconds

        details: dict[str, Any] | Unset = UNSET
        if not isinstance(self.details, Unset):
            details = self.details.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if reason is not UNSET:
            field_dict["reason"] = reason
        if message is not UNSET:
            field_dict["message"] = message
        if error is not UNSET:
            field_dict["error"] = error
        if detail is not UNSET:
            field_dict["detail"] = detail
        if trace_id is not UNSET:
            field_dict["trace_id"] = trace_id
        if traceId is not UNSET:
            field_dict["traceId"] = traceId
        if remaining_seconds is not UNSET:
            field_dict["remainingSeconds"] = remaining_seconds
        if details is not UNSET:
            field_dict["details"] = details

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.error_details import ErrorDetails

        d = dict(src_dict)
        reason = d.pop("reason", UNSET)

        message = d.pop("message", UNSET)

        error = d.pop("error", UNSET)

        detail = d.pop("detail", UNSET)

        trace_id = d.pop("trace_id", UNSET)

        traceId = d.pop("traceId", UNSET)

        remaining_seconds = d.pop("remainingSeconds", UNSET)

        _details = d.pop("details", UNSET)
        details: ErrorDetails | Unset
        if isinstance(_details, Unset):
            details = UNSET
        else:
            details = ErrorDetails.from_dict(_details)

        error_response = cls(
            reason=reason,
            message=message,
            error=error,
            detail=detail,
            trace_id=trace_id,
            traceId=traceId,
            remaining_seconds=remaining_seconds,
            details=details,
        )

        error_response.additional_properties = d
        return error_response

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
