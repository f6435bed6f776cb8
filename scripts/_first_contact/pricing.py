"""Find the settings of the cheapest useful job by dry runs."""

from collections.abc import Mapping
from typing import Any

from scenario_reframe_api.settings import SETTINGS, VIDEO_FIELD

from .session import ContactSession, Facts
from .shapes import price_of, reason_of
from .traffic import ApiExchange

_WIRE = {row.name: row.wire for row in SETTINGS}
_CHEAP: dict[str, Any] = {
    "resolution": "480p",
    "num_frames": 81,
    "num_inference_steps": 2,
    "acceleration": "regular",
    "num_interpolated_frames": 0,
}
"""Settings that may lower the price; one that raises it is dropped."""

_ECHO_TESTS: dict[str, Any] = {
    "prompt": "A quiet street,  seen from a window ",  # are spaces chosen?
    "aspect_ratio": "1:1",
    "guidance_scale": 4.7,  # not a float32: is it rounded?
    "frames_per_second": 16.0,  # does an integral float stay a float?
    "trim_borders": False,
}
"""Settings that show how values are echoed."""


def known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that this version of the client has."""
    return {name: value for name, value in settings.items() if name in _WIRE}


def wire(settings: Mapping[str, Any], asset_id: str | None = None) -> dict[str, Any]:
    """A request's body, under the API's names."""
    body = {_WIRE[name]: value for name, value in settings.items()}
    return body if asset_id is None else {VIDEO_FIELD: asset_id, **body}


class Pricing:
    """Requests prices. `settings` and `price` are those of the job to buy."""

    def __init__(self) -> None:
        self.settings = {**known(_CHEAP), **known(_ECHO_TESTS)}
        self.price: float | None = None

    def find(self, session: ContactSession, asset_id: str | None) -> Facts:
        """Add one setting at a time, and drop those that raise the price."""
        prices: Facts = {}
        chosen: dict[str, Any] = {}
        best = self._request_price(session, asset_id, "nothing set", chosen, prices)
        for name, value in known(_CHEAP).items():
            price = self._request_price(
                session, asset_id, f"and {name} {value}", chosen | {name: value}, prices
            )
            if price is not None and (best is None or price <= best):
                chosen, best = chosen | {name: value}, price
        self.settings = chosen | known(_ECHO_TESTS)
        self.price = self._request_price(session, asset_id, "as submitted", self.settings, prices)
        return {"prices in creative units": prices, "settings": self.settings}

    @staticmethod
    def _request_price(
        session: ContactSession, asset_id: str | None, name: str, settings: Facts, prices: Facts
    ) -> float | None:
        found = session.dry_run(wire(settings, asset_id))
        price = price_of(found.payload)
        prices[name] = _shown(found) if price is None else price
        return price


def _shown(found: ApiExchange) -> str:
    return f"{found.status}, {reason_of(found.payload)}"
