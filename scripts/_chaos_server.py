"""How the chaos run's server echoes inputs, and how likely each kind of fault is."""

import json
import struct
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from scenario_reframe.sandbox.random_faults import KINDS
from scenario_reframe_api.settings import VIDEO_FIELD

Body = dict[str, Any]

# Clients most easily handle a 429 wrongly if its job was made all the same.
WEIGHTS: Mapping[str, float] = dict.fromkeys(KINDS, 1) | dict.fromkeys(
    ("429 after", "429 limit after", "late 429"), 4
)


class RandomEcho:
    """Rewrites inputs; each job has its own rewrite, the same in every view."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, given: Body, view: str) -> Body | None:
        """Return what a view shows of a request's body."""
        key = f"{self._seed}/{json.dumps(given, sort_keys=True)}"
        rewrite = Random(key).choice(REWRITES)  # noqa: S311 - repeatable, not secret
        return rewrite(given, view)


def _plain(given: Body, _view: str) -> Body:
    return given


def _expanded(given: Body, _view: str) -> Body:
    """Expand a prompt, where there is one."""
    if "prompt" in given:
        given["prompt"] = f"A cinematic view of {given['prompt']}, in the evening light."
    return given


def _text_seed(given: Body, _view: str) -> Body:
    return given | {"seed": str(given["seed"])} if "seed" in given else given


def _float32(given: Body, _view: str) -> Body:
    return {name: _rounded(value) for name, value in given.items()}


def _video_url(given: Body, _view: str) -> Body:
    url = f"https://cdn.cloud.scenario.com/assets/{given.get(VIDEO_FIELD)}?p=100&Policy=eyJ"
    return given | {VIDEO_FIELD: url}


def _unlisted(given: Body, view: str) -> Body | None:
    return None if view == "list" else given


def _rounded(value: Any) -> Any:
    return struct.unpack("f", struct.pack("f", value))[0] if isinstance(value, float) else value


REWRITES: tuple[Callable[[Body, str], Body | None], ...] = (
    _plain,
    _expanded,
    _text_seed,
    _float32,
    _video_url,
    _unlisted,
)
