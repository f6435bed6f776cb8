from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="JobBilling")


@_attrs_define
class JobBilling:
    """What the job cost.

    Attributes:
        cu_cost (float | Unset): Price in creative units.
        cu_discount (float | Unset): Discount in creative units.
    """

    cu_cost: float | Unset = UNSET
    cu_discount: float | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        cu_cost = self.cu_cost

        cu_discount = self.cu_discount

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if cu_cost is not UNSET:
            field_dict["cuCost"] = cu_cost
        if cu_discount is not UNSET:
            field_dict["cuDiscount"] = cu_discount

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        cu_cost = d.pop("cuCost", UNSET)

        cu_discount = d.pop("cuDiscount", UNSET)

        job_billing = cls(
            cu_cost=cu_cost,
            cu_discount=cu_discount,
        )

        job_billing.additional_properties = d
        return job_billing

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
