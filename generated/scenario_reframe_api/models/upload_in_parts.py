from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.upload_kind import UploadKind, check_upload_kind

T = TypeVar("T", bound="UploadInParts")


@_attrs_define
class UploadInParts:
    """A file that the client is about to send.

    Attributes:
        kind (UploadKind): What is brought.
        file_name (str):
        content_type (str):
        file_size (int): Bytes.
        parts (int): Number of parts.
    """

    kind: UploadKind
    file_name: str
    content_type: str
    file_size: int
    parts: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind: str = self.kind

        file_name = self.file_name

        content_type = self.content_type

        file_size = self.file_size

        parts = self.parts

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
                "fileName": file_name,
                "contentType": content_type,
                "fileSize": file_size,
                "parts": parts,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        kind = check_upload_kind(d.pop("kind"))

        file_name = d.pop("fileName")

        content_type = d.pop("contentType")

        file_size = d.pop("fileSize")

        parts = d.pop("parts")

        upload_in_parts = cls(
            kind=kind,
            file_name=file_name,
            content_type=content_type,
            file_size=file_size,
            parts=parts,
        )

        upload_in_parts.additional_properties = d
        return upload_in_parts

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
