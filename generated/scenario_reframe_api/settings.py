"""The settings, from spec/openapi.yaml. Made by scripts/generate: do not edit."""

from typing import Annotated, Final, Literal, NamedTuple, TypedDict


class Bounds(NamedTuple):
    """Inclusive bounds of a number's value or of a string's length; None is no bound."""

    minimum: float | None
    maximum: float | None


class Setting(NamedTuple):
    """One setting of the spec. An empty `choices` allows any value of the kind."""

    name: str
    wire: str
    kind: Literal["boolean", "integer", "number", "string"]
    default: bool | int | float | str | None
    bounds: Bounds
    choices: tuple[str, ...]
    description: str
    required: bool = False


MODEL_ID: Final = "model_wan-2-2-vace-fun-a14b-reframe"
BASE_URL: Final = "https://api.cloud.scenario.com/v1"
VIDEO_FIELD: Final = "videoUrl"

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        name="prompt",
        wire="prompt",
        kind="string",
        default=None,
        bounds=Bounds(None, None),
        choices=(),
        description="What the video should show, in words.",
    ),
    Setting(
        name="negative_prompt",
        wire="negativePrompt",
        kind="string",
        default=None,
        bounds=Bounds(None, None),
        choices=(),
        description="What the video should not show, in words.",
    ),
    Setting(
        name="match_input_num_frames",
        wire="matchInputNumFrames",
        kind="boolean",
        default=False,
        bounds=Bounds(None, None),
        choices=(),
        description="Make as many frames as the source has, instead of the number of frames.",
    ),
    Setting(
        name="num_frames",
        wire="numFrames",
        kind="integer",
        default=81,
        bounds=Bounds(81, 241),
        choices=(),
        description="Number of frames to make.",
    ),
    Setting(
        name="match_input_frames_per_second",
        wire="matchInputFramesPerSecond",
        kind="boolean",
        default=False,
        bounds=Bounds(None, None),
        choices=(),
        description="Use the source's frame rate, instead of the frames per second.",
    ),
    Setting(
        name="frames_per_second",
        wire="framesPerSecond",
        kind="number",
        default=16,
        bounds=Bounds(5, 30),
        choices=(),
        description="Frame rate of the result, in frames per second. Ignored when it matches the source's.",
    ),
    Setting(
        name="resolution",
        wire="resolution",
        kind="string",
        default="720p",
        bounds=Bounds(None, None),
        choices=("720p", "580p", "480p"),
        description="Size of the result.",
    ),
    Setting(
        name="aspect_ratio",
        wire="aspectRatio",
        kind="string",
        default="auto",
        bounds=Bounds(None, None),
        choices=("auto", "16:9", "1:1", "9:16"),
        description="Aspect ratio of the result, width to height.",
    ),
    Setting(
        name="num_inference_steps",
        wire="numInferenceSteps",
        kind="integer",
        default=30,
        bounds=Bounds(2, 50),
        choices=(),
        description="Number of inference steps. More is slower and finer.",
    ),
    Setting(
        name="guidance_scale",
        wire="guidanceScale",
        kind="number",
        default=5,
        bounds=Bounds(1, 10),
        choices=(),
        description="How closely to follow the prompt.",
    ),
    Setting(
        name="enable_prompt_expansion",
        wire="enablePromptExpansion",
        kind="boolean",
        default=False,
        bounds=Bounds(None, None),
        choices=(),
        description="Let the service write the prompt out at greater length.",
    ),
    Setting(
        name="acceleration",
        wire="acceleration",
        kind="string",
        default="regular",
        bounds=Bounds(None, None),
        choices=("regular", "none"),
        description="Whether to speed the model up at some cost in quality.",
    ),
    Setting(
        name="video_quality",
        wire="videoQuality",
        kind="string",
        default="high",
        bounds=Bounds(None, None),
        choices=("maximum", "high", "medium", "low"),
        description="Quality of the encoded video.",
    ),
    Setting(
        name="video_write_mode",
        wire="videoWriteMode",
        kind="string",
        default="balanced",
        bounds=Bounds(None, None),
        choices=("balanced", "fast", "small"),
        description="Whether to encode for speed or for a small file.",
    ),
    Setting(
        name="num_interpolated_frames",
        wire="numInterpolatedFrames",
        kind="integer",
        default=1,
        bounds=Bounds(0, 5),
        choices=(),
        description="Number of frames to interpolate between two made frames; 0 means none.",
    ),
    Setting(
        name="interpolator_model",
        wire="interpolatorModel",
        kind="string",
        default="film",
        bounds=Bounds(None, None),
        choices=("film", "rife"),
        description="The model that interpolates.",
    ),
    Setting(
        name="zoom_factor",
        wire="zoomFactor",
        kind="number",
        default=0,
        bounds=Bounds(0, 0.9),
        choices=(),
        description="How far to zoom into the source, as a share of the canvas, cutting its edges off; 0 means not at all.",
    ),
    Setting(
        name="trim_borders",
        wire="trimBorders",
        kind="boolean",
        default=True,
        bounds=Bounds(None, None),
        choices=(),
        description="Cut borders off the source before it is reframed.",
    ),
    Setting(
        name="temporal_downsample_factor",
        wire="temporalDownsampleFactor",
        kind="integer",
        default=0,
        bounds=Bounds(0, 5),
        choices=(),
        description="Number of source frames to skip between two that are used; 0 means none. The rate is brought back up afterwards.",
    ),
    Setting(
        name="seed",
        wire="seed",
        kind="integer",
        default=None,
        bounds=Bounds(None, None),
        choices=(),
        description="Random seed. The same seed and settings repeat a run. Drawn by the client when left out.",
    ),
)


class ReframeSettings(TypedDict, total=False):
    """Settings of a reframe job. The server's default applies to a missing one."""

    prompt: str
    """What the video should show, in words."""

    negative_prompt: str
    """What the video should not show, in words."""

    match_input_num_frames: bool
    """Make as many frames as the source has, instead of the number of frames. Default: False."""

    num_frames: Annotated[int, Bounds(81, 241)]
    """Number of frames to make. Allowed: 81 to 241. Default: 81."""

    match_input_frames_per_second: bool
    """Use the source's frame rate, instead of the frames per second. Default: False."""

    frames_per_second: Annotated[float, Bounds(5, 30)]
    """Frame rate of the result, in frames per second. Ignored when it matches the source's. Allowed: 5 to 30. Default: 16."""

    resolution: Literal["720p", "580p", "480p"]
    """Size of the result. Allowed: 720p, 580p, 480p. Default: 720p."""

    aspect_ratio: Literal["auto", "16:9", "1:1", "9:16"]
    """Aspect ratio of the result, width to height. Allowed: auto, 16:9, 1:1, 9:16. Default: auto."""

    num_inference_steps: Annotated[int, Bounds(2, 50)]
    """Number of inference steps. More is slower and finer. Allowed: 2 to 50. Default: 30."""

    guidance_scale: Annotated[float, Bounds(1, 10)]
    """How closely to follow the prompt. Allowed: 1 to 10. Default: 5."""

    enable_prompt_expansion: bool
    """Let the service write the prompt out at greater length. Default: False."""

    acceleration: Literal["regular", "none"]
    """Whether to speed the model up at some cost in quality. Allowed: regular, none. Default: regular."""

    video_quality: Literal["maximum", "high", "medium", "low"]
    """Quality of the encoded video. Allowed: maximum, high, medium, low. Default: high."""

    video_write_mode: Literal["balanced", "fast", "small"]
    """Whether to encode for speed or for a small file. Allowed: balanced, fast, small. Default: balanced."""

    num_interpolated_frames: Annotated[int, Bounds(0, 5)]
    """Number of frames to interpolate between two made frames; 0 means none. Allowed: 0 to 5. Default: 1."""

    interpolator_model: Literal["film", "rife"]
    """The model that interpolates. Allowed: film, rife. Default: film."""

    zoom_factor: Annotated[float, Bounds(0, 0.9)]
    """How far to zoom into the source, as a share of the canvas, cutting its edges off; 0 means not at all. Allowed: 0 to 0.9. Default: 0."""

    trim_borders: bool
    """Cut borders off the source before it is reframed. Default: True."""

    temporal_downsample_factor: Annotated[int, Bounds(0, 5)]
    """Number of source frames to skip between two that are used; 0 means none. The rate is brought back up afterwards. Allowed: 0 to 5. Default: 0."""

    seed: int
    """Random seed. The same seed and settings repeat a run. Drawn by the client when left out."""
