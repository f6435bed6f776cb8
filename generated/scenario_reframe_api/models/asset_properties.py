from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="AssetProperties")


@_attrs_define
class AssetProperties:
    """What is known of the file. All but the size may be missing.

    Attributes:
        size (float | Unset): Bytes.
        width (float | Unset): Pixels.
        height (float | Unset): Pixels.
        nb_frames (float | Unset): Frames.
        frame_rate (float | Unset): Frames per second.
        duration (float | Unset): Seconds.
        codec_name (str | Unset):
    """

    size: float | Unset = UNSET
    width: float | Unset = UNSET
    height: float | Unset = UNSET
    nb_frames: float | Unset = UNSET
    frame_rate: float | Unset = UNSET
    duration: float | Unset = UNSET
    codec_name: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        size = self.size

        width = self.width

        height = self.height

        nb_frames = self.nb_frames

        frame_rate = self.frame_rate

        duration = self.duration

        codec_name = self.codec_name

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if size is not UNSET:
            field_dict["size"] = size
        if width is not UNSET:
            field_dict["width"] = width
        if height is not UNSET:
            field_dict["height"] = height
        if nb_frames is not UNSET:
            field_dict["nbFrames"] = nb_frames
        if frame_rate is not UNSET:
            field_dict["frameRate"] = frame_rate
        if duration is not UNSET:
            field_dict["duration"] = duration
        if codec_name is not UNSET:
            field_dict["codecName"] = codec_name

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        size = d.pop("size", UNSET)

        width = d.pop("width", UNSET)

        height = d.pop("height", UNSET)

        nb_frames = d.pop("nbFrames", UNSET)

        frame_rate = d.pop("frameRate", UNSET)

        duration = d.pop("duration", UNSET)

        codec_name = d.pop("codecName", UNSET)

        asset_properties = cls(
            size=size,
            width=width,
            height=height,
            nb_frames=nb_frames,
            frame_rate=frame_rate,
            duration=duration,
            codec_name=codec_name,
        )

        asset_properties.additional_properties = d
        return asset_properties

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
