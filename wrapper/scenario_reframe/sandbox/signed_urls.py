"""Signed URLs that expire, as CloudFront (results) and S3 (upload parts) make them.

Their host name is `localhost`, while the API is at `127.0.0.1`: this shows whether a client sends
its credentials to another host.
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
# CloudFront's replacements for characters that are special in a URL.
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
        """Make every URL so far invalid."""
        self._key = secrets.token_bytes(32)

    def cdn_url(self, path: str) -> str:
        """Sign a file's URL as CloudFront does with a custom policy."""
        resource = self._origin + path
        expires = int(self._clock() + self.lifetime)
        condition = {"DateLessThan": {"AWS:EpochTime": expires}}
        policy = {"Statement": [{"Resource": resource, "Condition": condition}]}
        text = json.dumps(policy, separators=(",", ":")).encode()
        encoded = base64.b64encode(text).decode().translate(_TO_URL)
        query = {"Policy": encoded, "Signature": self._sign(text), "Key-Pair-Id": _KEY_PAIR_ID}
        return f"{resource}?{urlencode(query, safe='~')}"

    def cdn_allows(self, path: str, query: str) -> bool:
        """Whether a file's URL is complete, unchanged and not expired."""
        given = parse_qsl(query, keep_blank_values=True)
        fields = dict(given)
        if [name for name, _ in given] != ["Policy", "Signature", "Key-Pair-Id"]:
            return False
        try:
            text = base64.b64decode(fields["Policy"].translate(_FROM_URL), validate=True)
        except ValueError:
            return False
        # Parse only a policy that this signer wrote.
        if fields["Key-Pair-Id"] != _KEY_PAIR_ID or not self._is_signed(text, fields["Signature"]):
            return False
        statement = json.loads(text)["Statement"][0]
        expires: int = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
        return statement["Resource"] == self._origin + path and self._clock() < expires

    def part_url(self, path: str) -> tuple[str, float]:
        """Sign an upload part's URL as S3 does; also return its expiry (Unix time in seconds)."""
        now, lifetime = int(self._clock()), int(self.lifetime)
        date = datetime.fromtimestamp(now, UTC).strftime(_S3_DATE)
        query = {"X-Amz-Date": date, "X-Amz-Expires": str(lifetime)}
        query["X-Amz-Signature"] = self._sign(_part_text(path, query))
        return f"{self._origin}{path}?{urlencode(query, safe='~')}", now + lifetime

    def part_allows(self, path: str, query: str) -> bool:
        """Whether a part's URL is complete, unchanged and not expired."""
        fields = dict(parse_qsl(query, keep_blank_values=True))
        if not self._is_signed(_part_text(path, fields), fields.get("X-Amz-Signature", "")):
            return False
        signed = datetime.strptime(fields["X-Amz-Date"], _S3_DATE).replace(tzinfo=UTC)
        return self._clock() < signed.timestamp() + int(fields["X-Amz-Expires"])

    def _sign(self, text: bytes) -> str:
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.b64encode(digest).decode().translate(_TO_URL)

    def _is_signed(self, text: bytes, signature: str) -> bool:
        return hmac.compare_digest(self._sign(text).encode(), signature.encode(errors="replace"))


def _part_text(path: str, fields: Mapping[str, str]) -> bytes:
    return f"{path}\n{fields.get('X-Amz-Date')}\n{fields.get('X-Amz-Expires')}".encode()
