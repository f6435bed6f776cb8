"""Hostile bodies of replies that are well-formed HTTP: tables of a body, and what comes of it."""

import json
from collections.abc import Mapping
from typing import Any

from hostile_heads import JOB, Expected, Table
from scenario_reframe import SubmissionUncertainError, UnexpectedResponseError, UploadError

_ID = b'"job": {"jobId": "job_1", "status": "queued"'
_DIGITS = b"9" * 5000
_ODD: list[Any] = [None, True, 5, -1e308, "", "a\ud800", [], [None], {}, {"a": []}]

# Jobs that every call can read.
JOBS: Table = {
    "number of 5,000 digits": (b"{" + _ID + b', "progress": ' + _DIGITS + b"}}", "job_1"),
    "NaN and infinities": (
        b"{" + _ID + b', "progress": NaN, "a": -Infinity, "b": 1e999}}', "job_1"
    ),
    "nested 200 deep": (b"{" + _ID + b', "a": ' + b"[" * 200 + b"]" * 200 + b"}}", "job_1"),
    "control characters": (b"{" + _ID + b', "a": "\x00\x01\n"}}', "job_1"),
    "bytes that are not UTF-8": (b"{" + _ID + b', "a": "\xff\xc0\xed\xa0\x80"}}', "job_1"),
    "lone surrogates": (
        b"{" + _ID + b', "ownerId": "\\ud800", "metadata": {"error": "\\udfff", "input": '
        b'{"prompt": "\\ud800", "\\udc00": 1}, "assetIds": ["\\ud800"]}}}', "job_1"
    ),
    "byte order mark": (b"\xef\xbb\xbf{" + _ID + b"}}", "job_1"),
    "white space around": (b" \n\t{" + _ID + b"}}\r\n ", "job_1"),
    "a key twice": (b"{" + _ID + b', "status": "success", "status": "queued"}}', "job_1"),
    "year 1": (b"{" + _ID + b', "createdAt": "0001-01-01T00:00:00+14:00"}}', "job_1"),
    "year 9999": (b"{" + _ID + b', "createdAt": "9999-12-31T23:59:59-14:00"}}', "job_1"),
    "date of 5,000 digits": (b"{" + _ID + b', "updatedAt": "' + _DIGITS + b'"}}', "job_1"),
    "metadata of text": (b"{" + _ID + b', "metadata": "a", "billing": [], "input": 5}}', "job_1"),
    "history of numbers": (b"{" + _ID + b', "statusHistory": [1, null, {}]}}', "job_1"),
    "assets of all kinds": (
        b"{" + _ID + b', "metadata": {"assetIds": ' + json.dumps(_ODD).encode() + b"}}}", "job_1"
    ),
    "UTF-16": (("{" + _ID.decode() + "}}").encode("utf-16"), "job_1"),
    "cost below 0": (b"{" + _ID + b', "billing": {"cuCost": -1e308}}}', "job_1"),
}  # fmt: skip

# What cannot be read. The error of a submit names the job, if one is written in it.
BROKEN_JOBS: Table = {
    "nested 100,000 deep": (b"{" + _ID + b', "a": ' + b"[" * 100_000, "job_1"),
    "text after it": (b"{" + _ID + b"}} and more", "job_1"),
    "two objects": (b"{" + _ID + b"}}{}", "job_1"),
    "cut off": (b"{" + _ID, "job_1"),
    "single quotes elsewhere": (b"{'a': 1, " + _ID + b"}}", "job_1"),
    "trailing comma": (b"{" + _ID + b",}}", "job_1"),
    "in a list": (b"[{" + _ID + b"}}]", "job_1"),
    "job in a list": (b'{"job": [{"jobId": "job_1"}]}', "job_1"),
    "a second job that is empty": (b"{" + _ID + b'}, "job": {}}', "job_1"),
    "no job": (b"{}", SubmissionUncertainError),
    "null": (b"null", SubmissionUncertainError),
    "empty": (b"", SubmissionUncertainError),
    "HTML": (b"<html><body>job_1</body></html>", SubmissionUncertainError),
    "id of a surrogate": (b'{"job": {"jobId": "\\ud800"}}', SubmissionUncertainError),
    "id of a path": (b'{"job": {"jobId": "../../x"}}', SubmissionUncertainError),
    "id of 300 characters": (b'{"jobId": "' + b"a" * 300 + b'"}', SubmissionUncertainError),
    "id that is a number": (b'{"job": {"jobId": 1, "id": true}}', SubmissionUncertainError),
    "two ids and no JSON": (
        b'{"jobId": "job_1", "x": {"jobId": "job_2"}', SubmissionUncertainError
    ),
}  # fmt: skip

_URLS = (
    "\ud800", "https://h.test/\ud800", "https://xn--/a", "https://a..b/c", "https:a", "urn:a",
    "https://h.test:99999/", "https://h.test/\x00", "https://h.test/" + "a" * 65_000, "/a", 5, "",
    None, ["https://h.test/"],
)  # fmt: skip
_DEEP_POLICY = "https://h.test/?Policy=" + "W1tb" * 1500

ASSETS: Mapping[str, tuple[Any, Expected]] = {
    **{f"URL {url!a:.40}": ({"url": url}, UnexpectedResponseError) for url in _URLS},
    "URL with a user": ({"url": "https://u:p@h.test/"}, "https://u:p@h.test/"),
    "policy that is nested deep": ({"url": _DEEP_POLICY}, _DEEP_POLICY),
    "sizes of all kinds": (
        {"url": "https://h.test/", "properties": {"size": -5, "width": "9", "height": [],
         "nbFrames": True, "frameRate": 10**400, "duration": [5]}}, "https://h.test/"
    ),
    "properties of text": ({"url": "https://h.test/", "properties": "a"}, UnexpectedResponseError),
    "another id": ({"id": "asset_2", "url": "https://h.test/"}, UnexpectedResponseError),
    "type of a surrogate": ({"url": "https://h.test/", "mimeType": "a\ud800"}, "https://h.test/"),
}  # fmt: skip

PAGES: Mapping[str, tuple[Any, Expected]] = {
    "text": ("a", UnexpectedResponseError),
    "without jobs": ({}, UnexpectedResponseError),
    "text in the list": ({"jobs": ["job_1"]}, UnexpectedResponseError),
    "odd ids": ({"jobs": [{"jobId": one} for one in _ODD] + [JOB]}, ("job_1",)),
    "odd jobs": (
        {"jobs": [{**JOB, "metadata": one, "billing": one} for one in _ODD]},
        ("job_1",) * len(_ODD),
    ),
    "token that is a number": ({"jobs": [], "nextPaginationToken": 5}, UnexpectedResponseError),
    "token of 65 kB": (
        {"jobs": [], "nextPaginationToken": "a" * 65_000}, UnexpectedResponseError
    ),
    "token that repeats": ({"jobs": [], "nextPaginationToken": "\ud800"}, UnexpectedResponseError),
}  # fmt: skip

ESTIMATES: Table = {
    "price below 0": (b'{"creativeUnitsCost": -5}', UnexpectedResponseError),
    "price of NaN": (b'{"creativeUnitsCost": NaN}', UnexpectedResponseError),
    "price of 5,000 digits": (b'{"creativeUnitsCost": ' + _DIGITS + b"}", UnexpectedResponseError),
    "price of text": (b'{"creativeUnitsCost": "60"}', UnexpectedResponseError),
    "price of true": (b'{"creativeUnitsCost": true}', UnexpectedResponseError),
    "odd details": (
        b'{"creativeUnitsCost": 60, "costDetails": {"\\ud800": "x", "a": 1e999}}', 60.0
    ),
    "details of a list": (
        b'{"creativeUnitsCost": 60, "costDetails": [1]}', UnexpectedResponseError
    ),
    "a job": (b'{"job": {"jobId": "job_1"}, "creativeUnitsCost": 60}', UnexpectedResponseError),
    "a job in broken JSON": (b'{"job": {"jobId": "job_1"', UnexpectedResponseError),
}  # fmt: skip

# The route, and the upload in its reply.
UPLOADS: Mapping[str, tuple[str, Any, Expected]] = {
    **{
        f"part URL {url!a:.40}": (
            "create_upload", {"id": "u_1", "parts": [{"number": 1, "url": url}]}, UploadError
        )
        for url in _URLS
    },
    "id of a path": ("create_upload", {"id": "../jobs"}, UnexpectedResponseError),
    "id of a surrogate": ("create_upload", {"id": "\ud800"}, UnexpectedResponseError),
    "parts of text": ("create_upload", {"id": "u_1", "parts": "ab"}, UnexpectedResponseError),
    "parts of numbers": ("create_upload", {"id": "u_1", "parts": [1]}, UnexpectedResponseError),
    "part number of text": (
        "create_upload", {"id": "u_1", "parts": [{"number": "1", "url": "ORIGIN/part"}]},
        UploadError,
    ),
    "error of a surrogate": (
        "complete_upload", {"id": "u_1", "status": "failed", "errorMessage": "\ud800"}, UploadError
    ),
    "no id": ("complete_upload", {"id": 5}, UnexpectedResponseError),
    "status of a number": ("complete_upload", {"id": "u_1", "status": 5}, "asset_1"),
    "late failure": ("get_upload", {"id": "u_1", "status": "failed"}, UploadError),
}  # fmt: skip
