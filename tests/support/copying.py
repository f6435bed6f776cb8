"""All ways in which an object is copied, or sent to another process."""

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

Travel = Callable[[Any], Any]


def pickled(value: Any, protocol: int) -> Any:
    """The object, pickled and made again."""
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - made here


TRAVELS: dict[str, Travel] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle-{protocol}": partial(pickled, protocol=protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}
