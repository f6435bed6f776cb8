from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.upload_request_kind import UploadRequestKind, check_upload_request_kind
from ..types import UNSET, Unset

T = TypeVar("T", bound="UploadRequest")


@_attrs_define
class UploadRequest:
    """
    Attributes:
        kind (UploadRequestKind):
        file_name (str | Unset):
        content_type (str | Unset):
        file_size (int | Unset): Bytes.
        parts (int | Unset): Number of parts.
        url (str | Unset): Import from here, instead of parts.
    """

    kind: UploadRequestKind
    file_name: str | Unset = UNSET
    content_type: str | Unset = UNSET
    file_size: int | Unset = UNSET
    parts: int | Unset = UNSET
    url: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind: str = self.kind

        file_name = self.file_name

        content_type = self.content_type

        file_size = self.file_size

        parts = self.parts

        url = self.url

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kind": kind,
            }
        )
        if file_name is not UNSET:
            field_dict["fileName"] = file_name
        if content_type is not UNSET:
            field_dict["contentType"] = content_type
        if file_size is not UNSET:
            field_dict["fileSize"] = file_size
        if parts is not UNSET:
            field_dict["parts"] = parts
        if url is not UNSET:
            field_dict["url"] = url

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        kind = check_upload_request_kind(d.pop("kind"))

        file_name = d.pop("fileName", UNSET)

        content_type = d.pop("contentType", UNSET)

        file_size = d.pop("fileSize", UNSET)

        parts = d.pop("parts", UNSET)

        url = d.pop("url", UNSET)

        upload_request = cls(
            kind=kind,
            file_name=file_name,
            content_type=content_type,
            file_size=file_size,
            parts=parts,
            url=url,
        )

        upload_request.additional_properties = d
        return upload_request

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
