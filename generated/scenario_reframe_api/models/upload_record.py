from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.upload_part import UploadPart


T = TypeVar("T", bound="UploadRecord")


@_attrs_define
class UploadRecord:
    """An upload as the server keeps it.

    Attributes:
        id (str | Unset):
        status (str | Unset): pending, complete, validating, validated, imported (done) or failed.
        kind (str | Unset):
        source (str | Unset):
        file_name (str | Unset):
        entity_id (str | Unset): The asset's id, once imported.
        error_message (str | Unset):
        job_id (str | Unset): The upload's own, unpaid job.
        parts (list[UploadPart] | Unset):
    """

    id: str | Unset = UNSET
    status: str | Unset = UNSET
    kind: str | Unset = UNSET
    source: str | Unset = UNSET
    file_name: str | Unset = UNSET
    entity_id: str | Unset = UNSET
    error_message: str | Unset = UNSET
    job_id: str | Unset = UNSET
    parts: list[UploadPart] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        status = self.status

        kind = self.kind

        source = self.source

        file_name = self.file_name

        entity_id = self.entity_id

        error_message = self.error_message

        job_id = self.job_id

        parts: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.parts, Unset):
            parts = []
            for parts_item_data in self.parts:
                parts_item = parts_item_data.to_dict()
                parts.append(parts_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if id is not UNSET:
            field_dict["id"] = id
        if status is not UNSET:
            field_dict["status"] = status
        if kind is not UNSET:
            field_dict["kind"] = kind
        if source is not UNSET:
            field_dict["source"] = source
        if file_name is not UNSET:
            field_dict["fileName"] = file_name
        if entity_id is not UNSET:
            field_dict["entityId"] = entity_id
        if error_message is not UNSET:
            field_dict["errorMessage"] = error_message
        if job_id is not UNSET:
            field_dict["jobId"] = job_id
        if parts is not UNSET:
            field_dict["parts"] = parts

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.upload_part import UploadPart

        d = dict(src_dict)
        id = d.pop("id", UNSET)

        status = d.pop("status", UNSET)

        kind = d.pop("kind", UNSET)

        source = d.pop("source", UNSET)

        file_name = d.pop("fileName", UNSET)

        entity_id = d.pop("entityId", UNSET)

        error_message = d.pop("errorMessage", UNSET)

        job_id = d.pop("jobId", UNSET)

        _parts = d.pop("parts", UNSET)
        parts: list[UploadPart] | Unset = UNSET
        if _parts is not UNSET:
            parts = []
            for parts_item_data in _parts:
                parts_item = UploadPart.from_dict(parts_item_data)

                parts.append(parts_item)

        upload_record = cls(
            id=id,
            status=status,
            kind=kind,
            source=source,
            file_name=file_name,
            entity_id=entity_id,
            error_message=error_message,
            job_id=job_id,
            parts=parts,
        )

        upload_record.additional_properties = d
        return upload_record

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
