"""Hostile replies, whole: what stands before the body, redirects, refusals and files.

Each table gives a reply's bytes, and the value or the error's class that a client makes of them.
"""

import json
from collections.abc import Mapping
from typing import Any

from raw_server import http_reply
from scenario_reframe import (
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    DownloadError,
    NotFoundError,
    RateLimitedError,
    ReframeError,
    ServerError,
    UnexpectedResponseError,
)

Expected = type[ReframeError] | tuple[type[ReframeError], ...] | object
"""An error's class or classes, or a value."""
Table = Mapping[str, tuple[bytes, Expected]]

JOB = {"jobId": "job_1", "jobType": "custom", "status": "queued"}
VIDEO = b"\x00\x00\x00\x18ftypisom" + bytes(500)
OK = b"HTTP/1.1 200 OK"
_BODY = json.dumps({"job": JOB}).encode()
_SIZED = b"Content-Length: %d" % len(_BODY)
_CHUNKED = b"Transfer-Encoding: chunked"


def json_reply(payload: Any, status: str = "200 OK", *headers: bytes) -> bytes:
    """A reply with a JSON body, or with these bytes."""
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return http_reply(content, status, *headers)


def _head(*lines: bytes, body: bytes = _BODY) -> bytes:
    return b"\r\n".join([*lines, b"", body])


def _file(first: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return _head(first, *headers, b"Content-Length: %d" % len(body), body=body)


# The replies to a request for a job.
HEADS: Mapping[str, tuple[bytes, Expected]] = {
    "nothing": (b"", ConnectionFailedError),
    "HTTP/0.9": (_BODY, ConnectionFailedError),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ConnectionFailedError),
    "HTTP/2 settings frame": (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", ConnectionFailedError),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x28", ConnectionFailedError),
    "SSH banner": (b"SSH-2.0-OpenSSH_9.6\r\n", ConnectionFailedError),
    "ICY": (_head(b"ICY 200 OK", _SIZED), ConnectionFailedError),
    "HTTP/9.9": (_head(b"HTTP/9.9 200 OK", _SIZED), "job_1"),
    "no reason": (_head(b"HTTP/1.1 200", _SIZED), "job_1"),
    "reason of latin-1 bytes": (_head(b"HTTP/1.1 200 \xff\xe9", _SIZED), "job_1"),
    "reason with NUL": (_head(b"HTTP/1.1 200 a\x00b", _SIZED), ConnectionFailedError),
    "reason of 65 kB": (_head(b"HTTP/1.1 200 " + b"a" * 65_000, _SIZED), "job_1"),
    "status 000": (_head(b"HTTP/1.1 000 Odd", _SIZED), ConnectionFailedError),
    "status 099": (_head(b"HTTP/1.1 099 Odd", _SIZED), ConnectionFailedError),
    "status 2": (_head(b"HTTP/1.1 2 Odd", _SIZED), ConnectionFailedError),
    "status 2000": (_head(b"HTTP/1.1 2000 Odd", _SIZED), ConnectionFailedError),
    "status -200": (_head(b"HTTP/1.1 -200 Odd", _SIZED), ConnectionFailedError),
    "status in Arabic digits": (_head("HTTP/1.1 ٢٠٠ OK".encode(), _SIZED), ConnectionFailedError),
    "status 269": (_head(b"HTTP/1.1 269 Odd", _SIZED), "job_1"),
    "status 999": (_head(b"HTTP/1.1 999 Odd", _SIZED), ServerError),
    "status 520": (_head(b"HTTP/1.1 520 Odd", _SIZED), ServerError),
    "status 204 with a body": (_head(b"HTTP/1.1 204 No Content", _SIZED), UnexpectedResponseError),
    "status 304": (_head(b"HTTP/1.1 304 Not Modified", body=b""), ApiError),
    "status 101": (
        _head(b"HTTP/1.1 101 Switching", b"Upgrade: h2c", body=b""), ConnectionFailedError
    ),
    "1xx first": (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 5 + _head(OK, _SIZED), "job_1"),
    "1xx only": (b"HTTP/1.1 102 Processing\r\n\r\n", ConnectionFailedError),
    "200 headers": (_head(OK, *[b"X-%d: a" % n for n in range(200)], _SIZED), "job_1"),
    "header of 200 kB": (_head(OK, b"X-A: " + b"a" * 200_000, _SIZED), ConnectionFailedError),
    "folded header": (_head(OK, b"X-A: b", b" c", b"\td", _SIZED), "job_1"),
    "folded first line": (_head(OK, b" X-A: b", _SIZED), ConnectionFailedError),
    "header with NUL": (_head(OK, b"X-A: b\x00c", _SIZED), ConnectionFailedError),
    "header of latin-1 bytes": (_head(OK, b"X-A: \xff\xe9\xf1", _SIZED), "job_1"),
    "name of latin-1 bytes": (_head(OK, b"X-\xff: a", _SIZED), ConnectionFailedError),
    "name with a space": (_head(OK, b"X A : b", _SIZED), ConnectionFailedError),
    "name without a value": (_head(OK, b"X-A", _SIZED), ConnectionFailedError),
    "empty name": (_head(OK, b": a", _SIZED), ConnectionFailedError),
    "bare line feeds": (b"HTTP/1.1 200 OK\n" + _SIZED + b"\n\n" + _BODY, "job_1"),
    "bare carriage returns": (
        b"HTTP/1.1 200 OK\r" + _SIZED + b"\r\r" + _BODY, ConnectionFailedError
    ),
    "lengths that differ": (_head(OK, b"Content-Length: 5", _SIZED), ConnectionFailedError),
    "lengths that agree": (_head(OK, _SIZED, _SIZED), "job_1"),
    "length of a list": (_head(OK, _SIZED + b", 5"), ConnectionFailedError),
    "length below 0": (_head(OK, b"Content-Length: -5"), ConnectionFailedError),
    "length of 5,000 digits": (_head(OK, b"Content-Length: " + b"9" * 5000), ConnectionFailedError),
    "length in hex": (_head(OK, b"Content-Length: 0x40"), ConnectionFailedError),
    "length too long": (_head(OK, b"Content-Length: 9000"), ConnectionFailedError),
    "length too short": (_head(OK, b"Content-Length: 9"), UnexpectedResponseError),
    "length and chunks": (
        _head(OK, b"Content-Length: 5", b"Transfer-Encoding: chunked",
              body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)),
        "job_1",
    ),
    "no length": (_head(OK), "job_1"),
    "chunk size of no number": (
        _head(OK, b"Transfer-Encoding: chunked", body=b"zz\r\nab"), ConnectionFailedError
    ),
    "chunk size below 0": (
        _head(OK, b"Transfer-Encoding: chunked", body=b"-5\r\nab"), ConnectionFailedError
    ),
    "chunk size of 5,000 digits": (
        _head(OK, _CHUNKED, body=b"f" * 5000 + b"\r\nab"), ConnectionFailedError
    ),
    "chunks without an end": (
        _head(OK, _CHUNKED, body=b"%x\r\n%s\r\n" % (len(_BODY), _BODY)), ConnectionFailedError
    ),
    "unknown transfer encoding": (_head(OK, b"Transfer-Encoding: br"), ConnectionFailedError),
    "two transfer encodings": (
        _head(OK, b"Transfer-Encoding: gzip, chunked"), ConnectionFailedError
    ),
    "unknown content encoding": (
        _head(OK, b"Content-Encoding: odd", _SIZED), ConnectionFailedError
    ),
    "gzip that is none": (_head(OK, b"Content-Encoding: gzip", _SIZED), ConnectionFailedError),
    "charset that is unknown": (
        _head(OK, b"Content-Type: application/json; charset=odd\x80", _SIZED), "job_1"
    ),
    "cookie that is odd": (_head(OK, b"Set-Cookie: \xff=;;;=\x01", _SIZED), "job_1"),
    "Date of 9999": (_head(OK, b"Date: Fri, 31 Dec 9999 23:59:59 -1400", _SIZED), "job_1"),
    "Date of year 0": (_head(OK, b"Date: Mon, 01 Jan 0000 00:00:00 GMT", _SIZED), "job_1"),
    "Date of 5,000 digits": (_head(OK, b"Date: " + b"9" * 5000, _SIZED), "job_1"),
    "Date that is none": (_head(OK, b"Date: \xff\xfe", _SIZED), "job_1"),
}  # fmt: skip

_LOCATIONS = (
    b"urn:x", b"https:x", b"https://xn--/a", b"https://a..b/c", b"https://h:99999/", b"//",
    b"https://h.test/" + b"a" * 65_000, b"mailto:x", b"", b"/\xff\xfe", b"https://[::1",
)  # fmt: skip
REDIRECTS: Table = {
    f"redirect to {to!a:.40}": (
        json_reply(b"", "302 Found", b"Location: " + to), (ApiError, ConnectionFailedError)
    )
    for to in _LOCATIONS
}  # fmt: skip

REFUSALS: Table = {
    "401 of HTML": (json_reply(b"<html>", "401 No"), AuthenticationError),
    "404 of a surrogate": (json_reply(b'{"reason": "\\ud800"}', "404 No"), NotFoundError),
    "400 of deep JSON": (json_reply(b"[" * 100_000, "400 No"), ApiError),
    "500 of NUL": (json_reply(b"\x00" * 5000, "500 No"), ServerError),
    "503 of bytes": (json_reply(b"\xff" * 5000, "503 No", b"Retry-After: -1"), ServerError),
    "429 and 5,000 digits": (
        json_reply({}, "429 No", b"Retry-After: " + b"9" * 5000), RateLimitedError
    ),
    "429 and NaN": (
        json_reply(b'{"remainingSeconds": NaN}', "429 No", b"Retry-After: nan"), RateLimitedError
    ),
    "429 and infinity": (json_reply({}, "429 No", b"Retry-After: -inf"), RateLimitedError),
    "429 and the year 9999": (
        json_reply({}, "429 No", b"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
                   b"Date: Mon, 01 Jan 0001 00:00:00 +1400"), RateLimitedError
    ),
    "429 and odd limits": (
        json_reply({"details": {"actionLimit": -1e308}, "remainingSeconds": 1e308}, "429 No"),
        RateLimitedError,
    ),
}  # fmt: skip

FILES: Table = {
    "length and chunks": (
        _head(OK, b"Content-Length: 1", _CHUNKED,
              body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(VIDEO), VIDEO)), DownloadError
    ),
    "no length": (_head(OK, body=VIDEO), VIDEO),
    "length of 5,000 digits": (_head(OK, b"Content-Length: " + b"9" * 5000), DownloadError),
    "range of 5,000 digits": (
        _file(b"HTTP/1.1 206 P", b"Content-Range: bytes " + b"9" * 5000 + b"-1/*", body=b"ab"),
        DownloadError,
    ),
    "unsatisfied range of 5,000 digits": (
        _file(b"HTTP/1.1 416 N", b"Content-Range: bytes */" + b"9" * 5000), DownloadError
    ),
    "range that was not asked for": (
        _file(b"HTTP/1.1 206 P", b"Content-Range: bytes 5-9/9", body=b"ab"), DownloadError
    ),
    "odd entity tag": (_file(OK, b'ETag: "\xff"', body=VIDEO), VIDEO),
    "compressed": (_file(OK, b"Content-Encoding: br", body=b"ab"), DownloadError),
    "status 999": (_file(b"HTTP/1.1 999 N"), DownloadError),
    "status 204": (_head(b"HTTP/1.1 204 N", body=b""), DownloadError),
    "too short": (_file(OK, body=b"abcde"), DownloadError),
    "too long": (_file(OK, body=bytes(900)), DownloadError),
    "redirect to itself": (_file(b"HTTP/1.1 302 F", b"Location: /file"), DownloadError),
    "redirect without a target": (_file(b"HTTP/1.1 302 F"), DownloadError),
    **{
        f"redirect to {to!a:.40}": (
            _file(b"HTTP/1.1 302 F", b"Location: " + to), DownloadError
        )
        for to in _LOCATIONS
    },
}  # fmt: skip
