"""What the tests about money share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from money_scenes import Scene, scene


@pytest.fixture(params=["sync", "async"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A scene for either client."""
    with scene(tmp_path, is_async=request.param == "async") as made:
        yield made
