from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.asset_properties import AssetProperties


T = TypeVar("T", bound="AssetRecord")


@_attrs_define
class AssetRecord:
    """A stored file.

    Attributes:
        id (str | Unset):
        url (str | Unset): Signed, and expires.
        kind (str | Unset): `video` for a reframe result.
        mime_type (str | Unset):
        status (str | Unset): pending, success or error.
        created_at (str | Unset): ISO 8601.
        updated_at (str | Unset): ISO 8601.
        output_index (float | Unset): Place among a job's results, from 0.
        properties (AssetProperties | Unset): What is known of the file. All but the size may be missing.
    """

    id: str | Unset = UNSET
    url: str | Unset = UNSET
    kind: str | Unset = UNSET
    mime_type: str | Unset = UNSET
    status: str | Unset = UNSET
    created_at: str | Unset = UNSET
    updated_at: str | Unset = UNSET
    output_index: float | Unset = UNSET
    properties: AssetProperties | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        url = self.url

        kind = self.kind

        mime_type = self.mime_type

        status = self.status

        created_at = self.created_at

        updated_at = self.updated_at

        output_index = self.output_index

        properties: dict[str, Any] | Unset = UNSET
        if not isinstance(self.properties, Unset):
            properties = self.properties.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if id is not UNSET:
            field_dict["id"] = id
        if url is not UNSET:
            field_dict["url"] = url
        if kind is not UNSET:
            field_dict["kind"] = kind
        if mime_type is not UNSET:
            field_dict["mimeType"] = mime_type
        if status is not UNSET:
            field_dict["status"] = status
        if created_at is not UNSET:
            field_dict["createdAt"] = created_at
        if updated_at is not UNSET:
            field_dict["updatedAt"] = updated_at
        if output_index is not UNSET:
            field_dict["outputIndex"] = output_index
        if properties is not UNSET:
            field_dict["properties"] = properties

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.asset_properties import AssetProperties

        d = dict(src_dict)
        id = d.pop("id", UNSET)

        url = d.pop("url", UNSET)

        kind = d.pop("kind", UNSET)

        mime_type = d.pop("mimeType", UNSET)

        status = d.pop("status", UNSET)

        created_at = d.pop("createdAt", UNSET)

        updated_at = d.pop("updatedAt", UNSET)

        output_index = d.pop("outputIndex", UNSET)

        _properties = d.pop("properties", UNSET)
        properties: AssetProperties | Unset
        if isinstance(_properties, Unset):
            properties = UNSET
        else:
            properties = AssetProperties.from_dict(_properties)

        asset_record = cls(
            id=id,
            url=url,
            kind=kind,
            mime_type=mime_type,
            status=status,
            created_at=created_at,
            updated_at=updated_at,
            output_index=output_index,
            properties=properties,
        )

        asset_record.additional_properties = d
        return asset_record

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
