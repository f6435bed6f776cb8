from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.job_input import JobInput


T = TypeVar("T", bound="JobMetadata")


@_attrs_define
class JobMetadata:
    """What went in and what came out.

    Attributes:
        asset_ids (list[str] | Unset): The assets that the job produced.
        input_ (JobInput | Unset): The request's settings, as the server echoes them.
        error (str | Unset): Why the job failed.
        hint (str | Unset): What to change.
    """

    asset_ids: list[str] | Unset = UNSET
    input_: JobInput | Unset = UNSET
    error: str | Unset = UNSET
    hint: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        asset_ids: list[str] | Unset = UNSET
        if not isinstance(self.asset_ids, Unset):
            asset_ids = self.asset_ids

        input_: dict[str, Any] | Unset = UNSET
        if not isinstance(self.input_, Unset):
            input_ = self.input_.to_dict()

        error = self.error

        hint = self.hint

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if asset_ids is not UNSET:
            field_dict["assetIds"] = asset_ids
        if input_ is not UNSET:
            field_dict["input"] = input_
        if error is not UNSET:
            field_dict["error"] = error
        if hint is not UNSET:
            field_dict["hint"] = hint

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.job_input import JobInput

        d = dict(src_dict)
        asset_ids = cast(list[str], d.pop("assetIds", UNSET))

        _input_ = d.pop("input", UNSET)
        input_: JobInput | Unset
        if isinstance(_input_, Unset):
            input_ = UNSET
        else:
            input_ = JobInput.from_dict(_input_)

        error = d.pop("error", UNSET)

        hint = d.pop("hint", UNSET)

        job_metadata = cls(
            asset_ids=asset_ids,
            input_=input_,
            error=error,
            hint=hint,
        )

        job_metadata.additional_properties = d
        return job_metadata

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
