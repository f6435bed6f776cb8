"""How the chaos run's server shows what it was sent, and what it does to requests."""

import json
import struct
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from scenario_reframe.sandbox.random_faults import KINDS
from scenario_reframe_api.settings import VIDEO_FIELD

Body = dict[str, Any]

# A 429 for a job that was made, or is being made, is what clients get wrong most easily.
WEIGHTS: Mapping[str, float] = dict.fromkeys(KINDS, 1) | dict.fromkeys(
    ("429 after", "429 limit after", "late 429"), 4
)


class Echo:
    """Rewrites inputs, each job's in a way of its own that stays the same wherever it is shown."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, given: Body, place: str) -> Body | None:
        """What is shown of a request's body at a place."""
        key = f"{self._seed}/{json.dumps(given, sort_keys=True)}"
        way = Random(key).choice(WAYS)  # noqa: S311 - to be drawn again
        return way(given, place)


def _plain(given: Body, _place: str) -> Body:
    return given


def _expanded(given: Body, _place: str) -> Body:
    """Expand a prompt, where there is one."""
    if "prompt" in given:
        given["prompt"] = f"A cinematic view of {given['prompt']}, in the evening light."
    return given


def _text_seed(given: Body, _place: str) -> Body:
    return given | {"seed": str(given["seed"])} if "seed" in given else given


def _float32(given: Body, _place: str) -> Body:
    return {name: _rounded(value) for name, value in given.items()}


def _video_url(given: Body, _place: str) -> Body:
    url = f"https://cdn.cloud.scenario.com/assets/{given.get(VIDEO_FIELD)}?p=100&Policy=eyJ"
    return given | {VIDEO_FIELD: url}


def _unlisted(given: Body, place: str) -> Body | None:
    return None if place == "list" else given


def _rounded(value: Any) -> Any:
    return struct.unpack("f", struct.pack("f", value))[0] if isinstance(value, float) else value


WAYS: tuple[Callable[[Body, str], Body | None], ...] = (
    _plain,
    _expanded,
    _text_seed,
    _float32,
    _video_url,
    _unlisted,
)
