"""The cheapest job that still tells something, found by dry runs."""

from collections.abc import Mapping
from typing import Any

from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

from .session import Facts, Session
from .shapes import price_of, reason_of
from .traffic import Exchange

_WIRE = {row.name: row.wire for row in SETTINGS}
_FRUGAL: dict[str, Any] = {
    "resolution": "480p",
    "num_frames": 81,
    "num_inference_steps": 2,
    "acceleration": "regular",
    "num_interpolated_frames": 0,
}
"""What may lower the price; each is kept unless it raises it."""

_TELLING: dict[str, Any] = {
    "prompt": "A quiet street,  seen from a window ",  # are spaces kept?
    "aspect_ratio": "1:1",
    "guidance_scale": 4.7,  # no number of 32 bits: is it rounded?
    "frames_per_second": 16.0,  # is a whole number still a fraction?
    "trim_borders": False,
}
"""What shows how settings are echoed."""


def known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that this version of the client has."""
    return {name: value for name, value in settings.items() if name in _WIRE}


def wire(settings: Mapping[str, Any], asset_id: str | None = None) -> dict[str, Any]:
    """A request's body, under the API's names."""
    body = {_WIRE[name]: value for name, value in settings.items()}
    return body if asset_id is None else {VIDEO_FIELD: asset_id, **body}


class Pricing:
    """Asks for prices. `settings` and `price` are of the job that would be bought."""

    def __init__(self) -> None:
        self.settings = {**known(_FRUGAL), **known(_TELLING)}
        self.price: float | None = None

    def find(self, session: Session, asset_id: str | None) -> Facts:
        """Add one setting after the other, and drop what makes it dearer."""
        asked: Facts = {}
        kept: dict[str, Any] = {}
        best = self._ask(session, asset_id, "nothing set", kept, asked)
        for name, value in known(_FRUGAL).items():
            price = self._ask(session, asset_id, f"and {name} {value}", kept | {name: value}, asked)
            if price is not None and (best is None or price <= best):
                kept, best = kept | {name: value}, price
        self.settings = kept | known(_TELLING)
        whole = "as it would be bought"
        self.price = self._ask(session, asset_id, whole, self.settings, asked)
        return {"prices in creative units": asked, "settings": self.settings}

    @staticmethod
    def _ask(
        session: Session, asset_id: str | None, name: str, settings: Facts, asked: Facts
    ) -> float | None:
        found = session.dry_run(wire(settings, asset_id))
        price = price_of(found.payload)
        asked[name] = _shown(found) if price is None else price
        return price


def _shown(found: Exchange) -> str:
    return f"{found.status}, {reason_of(found.payload)}"
