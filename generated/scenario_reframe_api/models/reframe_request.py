from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.reframe_request_acceleration import (
    ReframeRequestAcceleration,
    check_reframe_request_acceleration,
)
from ..models.reframe_request_aspect_ratio import (
    ReframeRequestAspectRatio,
    check_reframe_request_aspect_ratio,
)
from ..models.reframe_request_interpolator_model import (
    ReframeRequestInterpolatorModel,
    check_reframe_request_interpolator_model,
)
from ..models.reframe_request_resolution import (
    ReframeRequestResolution,
    check_reframe_request_resolution,
)
from ..models.reframe_request_video_quality import (
    ReframeRequestVideoQuality,
    check_reframe_request_video_quality,
)
from ..models.reframe_request_video_write_mode import (
    ReframeRequestVideoWriteMode,
    check_reframe_request_video_write_mode,
)
from ..types import UNSET, Unset

T = TypeVar("T", bound="ReframeRequest")


@_attrs_define
class ReframeRequest:
    """What the model takes. What is left out takes the server's default.

    Attributes:
        video_url (str | Unset): The source video, as the id of an asset (not a URL, in spite of its name).
        prompt (str | Unset): What the video should show, in words.
        negative_prompt (str | Unset): What the video should not show, in words.
        match_input_num_frames (bool | Unset): Make as many frames as the source has, instead of the number of frames.
            Default: False.
        num_frames (int | Unset): Number of frames to make. Default: 81.
        match_input_frames_per_second (bool | Unset): Use the source's frame rate, instead of the frames per second.
            Default: False.
        frames_per_second (float | Unset): Frame rate of the result, in frames per second. Ignored when it matches the
            source's. Default: 16.0.
        resolution (ReframeRequestResolution | Unset): Size of the result. Default: '720p'.
        aspect_ratio (ReframeRequestAspectRatio | Unset): Aspect ratio of the result, width to height. Default: 'auto'.
        num_inference_steps (int | Unset): Number of inference steps. More is slower and finer. Default: 30.
        guidance_scale (float | Unset): How closely to follow the prompt. Default: 5.0.
        enable_prompt_expansion (bool | Unset): Let the service write the prompt out at greater length. Default: False.
        acceleration (ReframeRequestAcceleration | Unset): Whether to speed the model up at some cost in quality.
            Default: 'regular'.
        video_quality (ReframeRequestVideoQuality | Unset): Quality of the encoded video. Default: 'high'.
        video_write_mode (ReframeRequestVideoWriteMode | Unset): Whether to encode for speed or for a small file.
            Default: 'balanced'.
        num_interpolated_frames (int | Unset): Number of frames to interpolate between two made frames; 0 means none.
            Default: 1.
        interpolator_model (ReframeRequestInterpolatorModel | Unset): The model that interpolates. Default: 'film'.
        zoom_factor (float | Unset): How far to zoom into the source, as a share of the canvas, cutting its edges off; 0
            means not at all. Default: 0.0.
        trim_borders (bool | Unset): Cut borders off the source before it is reframed. Default: True.
        temporal_downsample_factor (int | Unset): Number of source frames to skip between two that are used; 0 means
            none. The rate is brought back up afterwards. Default: 0.
        seed (int | Unset): Random seed. The same seed and settings repeat a run. Drawn by the client when left out.
    """

    video_url: str | Unset = UNSET
    prompt: str | Unset = UNSET
    negative_prompt: str | Unset = UNSET
    match_input_num_frames: bool | Unset = False
    num_frames: int | Unset = 81
    match_input_frames_per_second: bool | Unset = False
    frames_per_second: float | Unset = 16.0
    resolution: ReframeRequestResolution | Unset = "720p"
    aspect_ratio: ReframeRequestAspectRatio | Unset = "auto"
    num_inference_steps: int | Unset = 30
    guidance_scale: float | Unset = 5.0
    enable_prompt_expansion: bool | Unset = False
    acceleration: ReframeRequestAcceleration | Unset = "regular"
    video_quality: ReframeRequestVideoQuality | Unset = "high"
    video_write_mode: ReframeRequestVideoWriteMode | Unset = "balanced"
    num_interpolated_frames: int | Unset = 1
    interpolator_model: ReframeRequestInterpolatorModel | Unset = "film"
    zoom_factor: float | Unset = 0.0
    trim_borders: bool | Unset = True
    temporal_downsample_factor: int | Unset = 0
    seed: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        video_url = self.video_url

        prompt = self.prompt

        negative_prompt = self.negative_prompt

        match_input_num_frames = self.match_input_num_frames

        num_frames = self.num_frames

        match_input_frames_per_second = self.match_input_frames_per_second

        frames_per_second = self.frames_per_second

        resolution: str | Unset = UNSET
        if not isinstance(self.resolution, Unset):
            resolution = self.resolution

        aspect_ratio: str | Unset = UNSET
        if not isinstance(self.aspect_ratio, Unset):
            aspect_ratio = self.aspect_ratio

        num_inference_steps = self.num_inference_steps

        guidance_scale = self.guidance_scale

        enable_prompt_expansion = self.enable_prompt_expansion

        acceleration: str | Unset = UNSET
        if not isinstance(self.acceleration, Unset):
            acceleration = self.acceleration

        video_quality: str | Unset = UNSET
        if not isinstance(self.video_quality, Unset):
            video_quality = self.video_quality

        video_write_mode: str | Unset = UNSET
        if not isinstance(self.video_write_mode, Unset):
            video_write_mode = self.video_write_mode

        num_interpolated_frames = self.num_interpolated_frames

        interpolator_model: str | Unset = UNSET
        if not isinstance(self.interpolator_model, Unset):
            interpolator_model = self.interpolator_model

        zoom_factor = self.zoom_factor

        trim_borders = self.trim_borders

        temporal_downsample_factor = self.temporal_downsample_factor

        seed = self.seed

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if video_url is not UNSET:
            field_dict["videoUrl"] = video_url
        if prompt is not UNSET:
            field_dict["prompt"] = prompt
        if negative_prompt is not UNSET:
            field_dict["negativePrompt"] = negative_prompt
        if match_input_num_frames is not UNSET:
            field_dict["matchInputNumFrames"] = match_input_num_frames
        if num_frames is not UNSET:
            field_dict["numFrames"] = num_frames
        if match_input_frames_per_second is not UNSET:
            field_dict["matchInputFramesPerSecond"] = match_input_frames_per_second
        if frames_per_second is not UNSET:
            field_dict["framesPerSecond"] = frames_per_second
        if resolution is not UNSET:
            field_dict["resolution"] = resolution
        if aspect_ratio is not UNSET:
            field_dict["aspectRatio"] = aspect_ratio
        if num_inference_steps is not UNSET:
            field_dict["numInferenceSteps"] = num_inference_steps
        if guidance_scale is not UNSET:
            field_dict["guidanceScale"] = guidance_scale
        if enable_prompt_expansion is not UNSET:
            field_dict["enablePromptExpansion"] = enable_prompt_expansion
        if acceleration is not UNSET:
            field_dict["acceleration"] = acceleration
        if video_quality is not UNSET:
            field_dict["videoQuality"] = video_quality
        if video_write_mode is not UNSET:
            field_dict["videoWriteMode"] = video_write_mode
        if num_interpolated_frames is not UNSET:
            field_dict["numInterpolatedFrames"] = num_interpolated_frames
        if interpolator_model is not UNSET:
            field_dict["interpolatorModel"] = interpolator_model
        if zoom_factor is not UNSET:
            field_dict["zoomFactor"] = zoom_factor
        if trim_borders is not UNSET:
            field_dict["trimBorders"] = trim_borders
        if temporal_downsample_factor is not UNSET:
            field_dict["temporalDownsampleFactor"] = temporal_downsample_factor
        if seed is not UNSET:
            field_dict["seed"] = seed

        return field_dict

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        d = dict(src_dict)
        video_url = d.pop("videoUrl", UNSET)

        prompt = d.pop("prompt", UNSET)

        negative_prompt = d.pop("negativePrompt", UNSET)

        match_input_num_frames = d.pop("matchInputNumFrames", UNSET)

        num_frames = d.pop("numFrames", UNSET)

        match_input_frames_per_second = d.pop("matchInputFramesPerSecond", UNSET)

        frames_per_second = d.pop("framesPerSecond", UNSET)

        _resolution = d.pop("resolution", UNSET)
        resolution: ReframeRequestResolution | Unset
        if isinstance(_resolution, Unset):
            resolution = UNSET
        else:
            resolution = check_reframe_request_resolution(_resolution)

        _aspect_ratio = d.pop("aspectRatio", UNSET)
        aspect_ratio: ReframeRequestAspectRatio | Unset
        if isinstance(_aspect_ratio, Unset):
            aspect_ratio = UNSET
        else:
            aspect_ratio = check_reframe_request_aspect_ratio(_aspect_ratio)

        num_inference_steps = d.pop("numInferenceSteps", UNSET)

        guidance_scale = d.pop("guidanceScale", UNSET)

        enable_prompt_expansion = d.pop("enablePromptExpansion", UNSET)

        _acceleration = d.pop("acceleration", UNSET)
        acceleration: ReframeRequestAcceleration | Unset
        if isinstance(_acceleration, Unset):
            acceleration = UNSET
        else:
            acceleration = check_reframe_request_acceleration(_acceleration)

        _video_quality = d.pop("videoQuality", UNSET)
        video_quality: ReframeRequestVideoQuality | Unset
        if isinstance(_video_quality, Unset):
            video_quality = UNSET
        else:
            video_quality = check_reframe_request_video_quality(_video_quality)

        _video_write_mode = d.pop("videoWriteMode", UNSET)
        video_write_mode: ReframeRequestVideoWriteMode | Unset
        if isinstance(_video_write_mode, Unset):
            video_write_mode = UNSET
        else:
            video_write_mode = check_reframe_request_video_write_mode(_video_write_mode)

        num_interpolated_frames = d.pop("numInterpolatedFrames", UNSET)

        _interpolator_model = d.pop("interpolatorModel", UNSET)
        interpolator_model: ReframeRequestInterpolatorModel | Unset
        if isinstance(_interpolator_model, Unset):
            interpolator_model = UNSET
        else:
            interpolator_model = check_reframe_request_interpolator_model(_interpolator_model)

        zoom_factor = d.pop("zoomFactor", UNSET)

        trim_borders = d.pop("trimBorders", UNSET)

        temporal_downsample_factor = d.pop("temporalDownsampleFactor", UNSET)

        seed = d.pop("seed", UNSET)

        reframe_request = cls(
            video_url=video_url,
            prompt=prompt,
            negative_prompt=negative_prompt,
            match_input_num_frames=match_input_num_frames,
            num_frames=num_frames,
            match_input_frames_per_second=match_input_frames_per_second,
            frames_per_second=frames_per_second,
            resolution=resolution,
            aspect_ratio=aspect_ratio,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            enable_prompt_expansion=enable_prompt_expansion,
            acceleration=acceleration,
            video_quality=video_quality,
            video_write_mode=video_write_mode,
            num_interpolated_frames=num_interpolated_frames,
            interpolator_model=interpolator_model,
            zoom_factor=zoom_factor,
            trim_borders=trim_borders,
            temporal_downsample_factor=temporal_downsample_factor,
            seed=seed,
        )

        reframe_request.additional_properties = d
        return reframe_request

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
