"""Signed URLs that expire, as CloudFront (results) and S3 (upload parts) make them.

They are made for the host name `localhost`, while the API is at `127.0.0.1`: a client that sends
its credentials along, or takes every URL for one of the API's, is found out.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode

_S3_DATE: Final = "%Y%m%dT%H%M%SZ"
_KEY_PAIR_ID: Final = "KSANDBOX"
# CloudFront's replacements for what means something in a URL.
_TO_URL: Final = str.maketrans("+=/", "-_~")
_FROM_URL: Final = str.maketrans("-_~", "+=/")


class Signer:
    """Makes and checks signed URLs; `lifetime` is in seconds."""

    def __init__(self, origin: str, lifetime: float, clock: Callable[[], float]) -> None:
        self.lifetime = lifetime
        self._origin = origin
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def forget(self) -> None:
        """Make every URL given so far invalid."""
        self._key = secrets.token_bytes(32)

    def cdn_url(self, path: str) -> str:
        """Sign a file's URL as CloudFront does with a custom policy."""
        resource = self._origin + path
        end = int(self._clock() + self.lifetime)
        condition = {"DateLessThan": {"AWS:EpochTime": end}}
        policy = {"Statement": [{"Resource": resource, "Condition": condition}]}
        text = json.dumps(policy, separators=(",", ":")).encode()
        encoded = base64.b64encode(text).decode().translate(_TO_URL)
        query = {"Policy": encoded, "Signature": self._sign(text), "Key-Pair-Id": _KEY_PAIR_ID}
        return f"{resource}?{urlencode(query, safe='~')}"

    def cdn_allows(self, path: str, query: str) -> bool:
        """Tell whether a file's URL is whole, unchanged and not expired."""
        given = parse_qsl(query, keep_blank_values=True)
        fields = dict(given)
        if [name for name, _ in given] != ["Policy", "Signature", "Key-Pair-Id"]:
            return False
        try:
            text = base64.b64decode(fields["Policy"].translate(_FROM_URL), validate=True)
        except ValueError:
            return False
        # Only what this signer wrote is parsed.
        if fields["Key-Pair-Id"] != _KEY_PAIR_ID or not self._is_signed(text, fields["Signature"]):
            return False
        statement = json.loads(text)["Statement"][0]
        end: int = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
        return statement["Resource"] == self._origin + path and self._clock() < end

    def part_url(self, path: str) -> tuple[str, float]:
        """Sign an upload part's URL as S3 does, and tell when it expires (Unix time, seconds)."""
        now, lifetime = int(self._clock()), int(self.lifetime)
        date = datetime.fromtimestamp(now, UTC).strftime(_S3_DATE)
        query = {"X-Amz-Date": date, "X-Amz-Expires": str(lifetime)}
        query["X-Amz-Signature"] = self._sign(_part_text(path, query))
        return f"{self._origin}{path}?{urlencode(query, safe='~')}", now + lifetime

    def part_allows(self, path: str, query: str) -> bool:
        """Tell whether a part's URL is whole, unchanged and not expired."""
        fields = dict(parse_qsl(query, keep_blank_values=True))
        if not self._is_signed(_part_text(path, fields), fields.get("X-Amz-Signature", "")):
            return False
        begin = datetime.strptime(fields["X-Amz-Date"], _S3_DATE).replace(tzinfo=UTC)
        return self._clock() < begin.timestamp() + int(fields["X-Amz-Expires"])

    def _sign(self, text: bytes) -> str:
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.b64encode(digest).decode().translate(_TO_URL)

    def _is_signed(self, text: bytes, signature: str) -> bool:
        return hmac.compare_digest(self._sign(text).encode(), signature.encode(errors="replace"))


def _part_text(path: str, fields: Mapping[str, str]) -> bytes:
    return f"{path}\n{fields.get('X-Amz-Date')}\n{fields.get('X-Amz-Expires')}".encode()
