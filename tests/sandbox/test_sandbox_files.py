"""The sandbox's file host over a real socket: signed URLs, ranges, assets."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from sandbox_clips import MP4, Client, by_a_clock


def test_file_is_served_in_ranges(quiet: Client, quiet_asset: dict[str, Any], clip: bytes) -> None:
    """206 with the requested bytes, 416 past the end, the whole for another ETag."""
    whole = quiet.files.get(quiet_asset["url"])
    assert whole.content == clip
    assert whole.headers["accept-ranges"] == "bytes"
    etag = whole.headers["etag"]
    assert not etag.startswith("W/")

    def ranged(wanted: str, **headers: str) -> httpx.Response:
        return quiet.files.get(quiet_asset["url"], headers={"Range": wanted, **headers})

    rest = ranged("bytes=100-", **{"If-Range": etag})
    assert (rest.status_code, rest.content) == (206, clip[100:])
    assert rest.headers["content-range"] == f"bytes 100-{len(clip) - 1}/{len(clip)}"
    changed = ranged("bytes=100-", **{"If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, clip)
    past = ranged(f"bytes={len(clip)}-")
    assert past.status_code == 416
    assert past.headers["content-range"] == f"bytes */{len(clip)}"


def test_url_expires_when_it_says_as_cloudfront_does() -> None:
    """The policy in the URL is encoded like CloudFront's, and is enforced."""
    with by_a_clock(url_lifetime=60) as (client, clock):
        asset = uploaded(client)
        query = dict(parse_qsl(urlsplit(asset["url"]).query))
        policy = query["Policy"].translate(str.maketrans("-_~", "+=/"))
        (statement,) = json.loads(base64.b64decode(policy))["Statement"]
        assert statement["Resource"] == asset["url"].split("?")[0]
        end = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
        assert end == int(clock.now + 60)
        clock.forward(59)
        assert client.files.get(asset["url"]).status_code == 200
        clock.forward(1)
        assert client.files.get(asset["url"]).status_code == 403


def uploaded(client: Client) -> dict[str, Any]:
    """Upload a file: its asset as JSON."""
    entity = client.upload(MP4)["entityId"]
    record: dict[str, Any] = client.get(f"/assets/{entity}").json()["asset"]
    return record


def swapped(text: str, name: str) -> str:
    """Change one letter of a query's value."""
    place = text.index(f"{name}=") + len(name) + 5
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda url: swapped(url, "Policy"),
        lambda url: swapped(url, "Signature"),
        lambda url: swapped(url, "Key-Pair-Id"),
        lambda url: url + "&more=1",
        lambda url: url.split("?")[0],
        lambda url: url.replace("/assets/asset_", "/assets/asset_0"),
        lambda url: url.replace("Policy=", "Policy=%C3%A9"),
        lambda url: url.replace("Signature=", "Signature=%C3%A9"),
    ],
)
def test_changed_url_is_denied(
    quiet: Client, quiet_asset: dict[str, Any], change: Callable[[str], str]
) -> None:
    """Any change gets CloudFront's 403 in XML."""
    got = quiet.files.get(change(quiet_asset["url"]))
    assert got.status_code == 403
    assert "AccessDenied" in got.text


def test_url_of_one_asset_does_not_open_another(fast: Client) -> None:
    """The resource in the policy must be the requested one."""
    one, two = uploaded(fast), uploaded(fast)
    mixed = two["url"].split("?")[0] + "?" + one["url"].split("?")[1]
    assert fast.files.get(mixed).status_code == 403


def test_url_that_a_test_expired_is_denied_and_a_fresh_one_is_not() -> None:
    """A test can expire every URL; reading the asset again returns a valid one."""
    with by_a_clock() as (client, _):
        asset = uploaded(client)
        assert client.files.get(asset["url"]).status_code == 200
        client.sandbox.expire_urls()
        assert client.files.get(asset["url"]).status_code == 403
        fresh = client.get(f"/assets/{asset['id']}").json()["asset"]["url"]
        assert client.files.get(fresh).status_code == 200
