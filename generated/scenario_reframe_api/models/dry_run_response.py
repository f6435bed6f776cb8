from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.cost_details import CostDetails


T = TypeVar("T", bound="DryRunResponse")


@_attrs_define
class DryRunResponse:
    """What a job would cost. No usable job is in it.

    Attributes:
        creative_units_cost (float | Unset): Price in creative units; may be fractional.
        creative_units_discount (float | Unset): Discount in creative units.
        cost_details (CostDetails | Unset): Price per action, in creative units. The values sum to the price.
    """

    creative_units_cost: float | Unset = UNSET
    creative_units_discount: float | Unset = UNSET
    cost_details: CostDetails | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        creative_units_cost = self.creative_units_cost

        creative_units_discount = self.creative_units_discount

        cost_details: dict[str, Any] | Unset = UNSET
        if not isinstance(self.cost_details, Unset):
            cost_details = self.cost_details.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if creative_units_cost is not UNSET:
            field_dict["creativeUnitsCost"] = creative_units_cost
        if creative_units_discount is not UNSET:
            field_dict["creativeUnitsDiscount"] = creative_units_discount
        if cost_details is not UNSET:
            field_dict["costDetails"] = cost_details

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        from ..models.cost_details import CostDetails

        d = dict(src_dict)
        creative_units_cost = d.pop("creativeUnitsCost", UNSET)

        creative_units_discount = d.pop("creativeUnitsDiscount", UNSET)

        _cost_details = d.pop("costDetails", UNSET)
        cost_details: CostDetails | Unset
        if isinstance(_cost_details, Unset):
            cost_details = UNSET
        else:
            cost_details = CostDetails.from_dict(_cost_details)

        dry_run_response = cls(
            creative_units_cost=creative_units_cost,
            creative_units_discount=creative_units_discount,
            cost_details=cost_details,
        )

        dry_run_response.additional_properties = d
        return dry_run_response

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
