"""Reading what a server sends, which may be anything, and the decisions that follow."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from scenario_reframe import (
    ApiError,
    Asset,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
)
from scenario_reframe.api.json_reading import DEEPEST, read_json
from scenario_reframe.api.json_values import (
    count_or_none,
    datetime_or_none,
    given,
    http_date,
    json_object,
    number_or_none,
    text_or_none,
    url_or_none,
    without_nulls,
)
from scenario_reframe.api.operations import Operations
from scenario_reframe.api.replies import api_error, parse_reply, retry_after
from scenario_reframe.api.sanitize import printable
from scenario_reframe.flow.steps import Reply
from scenario_reframe.models import expiry_of
from scenario_reframe_api.types import UNSET
from stepping import reply

NAN, INFINITY = float("nan"), float("inf")
OPERATIONS = Operations()


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1.0), (1.5, 1.5), (0, 0.0), (-2, -2.0), (True, None), ("1", None), (None, None),
     (NAN, None), (INFINITY, None), (10**400, None), ([], None)],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_number_is_finite_or_none(value: object, found: float | None) -> None:
    """A bool is not a number, nor is text."""
    assert number_or_none(value) == found


@pytest.mark.parametrize(
    ("value", "found"), [(5.9, 5), (5, 5), ("5", None), (NAN, None), (-1, None)]
)
def test_count_drops_the_fraction(value: object, found: int | None) -> None:
    """Or None."""
    assert count_or_none(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [("a", "a"), ("", None), ("  ", None), ("\x1b[31mred\x1b[0m", "red"), (5, None), (None, None),
     ("\x00", None)],
)  # fmt: skip
def test_text_or_none_is_fit_to_show(value: object, found: str | None) -> None:
    """Text that is empty after cleaning is None."""
    assert text_or_none(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-01-01T10:00:00.000Z", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("2026-01-01T10:00:00", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("2026-01-01T12:00:00+02:00", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("1970-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("3000-01-01T00:00:00Z", None),
        ("2026-01-01T10:00:00\ud800", None),
        ("9" * 5000, None),
        ("yesterday", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_moment_reads_iso_8601_or_nothing(value: object, found: datetime | None) -> None:
    """A time without an offset is in UTC."""
    assert datetime_or_none(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Thu, 01 Jan 2026 10:00:00 GMT", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("Thu, 01 Jan 2026 10:00:00 -0000", datetime(2026, 1, 1, 10, tzinfo=UTC)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -1400", None),
        ("Fri, 31 Dec " + "9" * 5000 + " 10:00:00 GMT", None),
        ("9" * 5000, None),
        ("today", None),
        ("", None),
        (None, None),
        ("Thu, 01 Jan 99999999999999999999 10:00:00 GMT", None),
        ("Thu, 01 Jan 2026 10:00:00 +99999999999999", None),
        ("Thu, 99 Jan 2026 10:00:00 GMT", None),
    ],
)
def test_http_date_reads_a_date_or_nothing(value: str | None, found: datetime | None) -> None:
    """No date, however odd, raises."""
    assert http_date(value) == found


@pytest.mark.parametrize(
    "url",
    ["https://cdn.test/a?b=c", "http://127.0.0.1:8080/a", "https://[::1]/a", "https://u:p@h.test/",
     "https://h.test/a b/\u00e9?\u732b", "https://\u00fc.test/", "https://h.test:65535/",
     "https://h.test/" + "a" * 8000],
    ids=ascii,
)  # fmt: skip
def test_url_is_kept_as_it_came(url: str) -> None:
    """If httpx can use it."""
    assert url_or_none(url) == url
    httpx.Request("GET", url)


@pytest.mark.parametrize(
    "url",
    [None, 5, "", "a", "/a", "//h.test/a", "https:a", "https:", "https://", "https:///a", "urn:a",
     "ftp://h.test/", "file:///etc/passwd", " https://h.test/", "https://h.test/\n",
     "https://h.test/\x00", "https://h.test/" + "a" * 65_000, "https://xn--/", "https://a..b/",
     "https://.a/", "https://" + "a" * 64 + ".test/", "https://\u2603.test/", "https://[::1",
     "https://h.test:99999/", "https://h.test:-1/", "https://h.test:x/", "\ud800",
     "https://h.test/\ud800", "https://a\ud800b/"],
    ids=ascii,
)  # fmt: skip
def test_url_that_cannot_be_used_is_none(url: object) -> None:
    """What httpx or the socket would refuse, too late."""
    assert url_or_none(url) is None


def test_asset_with_such_a_url_is_an_unexpected_response() -> None:
    """The message shows the URL without its signature."""
    read = OPERATIONS.get_asset("asset_1").parse
    with pytest.raises(UnexpectedResponseError, match=r"'https://a\.\.b/c'") as caught:
        read(reply({"asset": {"id": "asset_1", "url": "https://a..b/c?Signature=s"}}))
    assert "Signature" not in str(caught.value)


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b" {} "])
def test_json_is_read_in_any_of_its_encodings(text: bytes) -> None:
    """With or without a byte order mark."""
    assert read_json(text) == {}


def test_json_is_made_sound() -> None:
    """What cannot be stored or shown is replaced; the rest stays."""
    odd = b'"a": NaN, "b": -Infinity, "c": 1e999, "d": ' + b"9" * 5000 + b', "e": "\\udc00\xff\x00"'
    known = {"a": None, "b": None, "c": None, "d": None, "e": "\ufffd\ufffd\x00"}
    assert read_json(b"{" + odd + b', "\\ud800": [1.5, true, "\\ud83d\\ude00"]}') == {
        **known, "\ufffd": [1.5, True, "\U0001f600"],
    }  # fmt: skip
    deep = read_json(b"[" * 500 + b"]" * 500)
    assert repr(deep).count("[") == DEEPEST


@pytest.mark.parametrize("cost", [-1, -1e-9, -1e308])
def test_price_is_not_below_zero(cost: float) -> None:
    """It would raise a budget."""
    with pytest.raises(UnexpectedResponseError):
        OPERATIONS.estimate({}).parse(reply({"creativeUnitsCost": cost}))
    job = OPERATIONS.get_job("job_1").parse(
        reply({"job": {"jobId": "job_1", "status": "queued", "billing": {"cuCost": cost}}})
    )
    assert job.cost is None


def test_job_keeps_what_is_beside_an_odd_part() -> None:
    """Its echoed settings are what a lost job is found by."""
    metadata = {"input": {"seed": 7}, "assetIds": ["asset_1", 5], "error": [1]}
    odd = {"statusHistory": 5, "billing": "free", "progress": "half", "metadata": metadata}
    job = OPERATIONS.get_job("job_1").parse(reply({"job": {"status": "queued", **odd}}))
    assert (job.input, job.asset_ids, job.error) == ({"seed": 7}, ("asset_1",), None)


@pytest.mark.parametrize("upload_id", [None, 5, "", "..", "a/b", "\ud800", "a" * 201])
def test_upload_s_ids_are_ids(upload_id: object) -> None:
    """They go into a path."""
    read = OPERATIONS.get_upload("upload_1").parse
    with pytest.raises(UnexpectedResponseError):
        read(reply({"upload": {"id": upload_id}}))
    assert read(reply({"upload": {"id": "u", "entityId": upload_id}})).asset_id is None


def test_given_and_record_and_without_nulls() -> None:
    """Absence has one form inside: UNSET, null and a wrong type all become none."""
    assert given(UNSET) is None
    assert given(0) == 0
    assert json_object({"job": {"a": 1}}, "job") == {"a": 1}
    wrongs: list[Any] = [None, [], "x", 5]
    for wrong in wrongs:
        assert json_object({"job": wrong}, "job") == {}
    assert json_object({}, "job") == {}
    assert without_nulls({"a": None, "b": [None, {"c": None, "d": 0}]}) == {"b": [{"d": 0}]}


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"null", b"5", b'"text"', b'{"a": ', b"\xff\xfe", b"[" * 100_000],
    ids=lambda content: repr(content)[:20],
)  # fmt: skip
def test_parse_reply_wants_a_json_object(content: bytes) -> None:
    """Anything else under a 2xx is unexpected, and shown only in part."""
    with pytest.raises(UnexpectedResponseError) as caught:
        parse_reply(Reply(200, {}, content))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("status", [200, 201, 269, 299])
def test_parse_reply_accepts_any_2xx(status: int) -> None:
    """Also those that Python's HTTPStatus does not know."""
    assert parse_reply(Reply(status, {}, b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (100, ApiError), (302, ApiError), (400, ApiError), (402, ApiError),
        (401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError),
        (429, RateLimitedError), (500, ServerError), (503, ServerError), (520, ServerError),
        (599, ServerError), (999, ServerError),
    ],
)  # fmt: skip
def test_api_error_has_the_kind_of_its_status(status: int, kind: type[ApiError]) -> None:
    """It keeps the status."""
    error = api_error(reply({"reason": "why"}, status))
    assert type(error) is kind
    assert error.status_code == status
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"reason": "a", "message": "b"}, "a"),
        ({"message": "b", "error": "c"}, "b"),
        ({"error": "c", "detail": "d"}, "c"),
        ({"detail": "d"}, "d"),
        ({"error": {"message": "deep"}}, "deep"),
        ({"reason": None, "message": "b"}, "b"),
        ({"reason": 5, "error": []}, '{"reason": 5, "error": []}'),
        ({"reason": "\x1b]0;title\x07plain"}, "plain"),
        (b"<html><body>Bad Gateway", "a page of HTML instead of JSON"),
        (b"upstream timed out", "upstream timed out"),
        (b"", ""),
        (b"\xff\xfe", "��"),
        ([], "[]"),
    ],
)
def test_api_error_finds_the_reason(content: Any, reason: str) -> None:
    """In the order of the vendor's own plug-in; HTML is not quoted."""
    assert api_error(reply(content, 400)).reason == reason


def test_api_error_keeps_the_body() -> None:
    """Parsed if it is JSON, else as text."""
    assert api_error(reply({"reason": "x", "k": [1]}, 400)).body == {"reason": "x", "k": [1]}
    assert api_error(reply(b"<html>", 502)).body == "<html>"


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"x-amzn-requestid": "a", "x-amz-cf-id": "b"}, {}, "a"),
        ({"x-amz-apigw-id": "a"}, {}, "a"),
        ({"x-amz-cf-id": "a"}, {"trace_id": "t"}, "a"),
        ({"x-request-id": "a"}, {}, "a"),
        ({}, {"trace_id": "t"}, "t"),
        ({}, {"traceId": "t"}, "t"),
        ({}, {"traceId": 5}, None),
        ({}, {}, None),
    ],
)
def test_api_error_names_the_request(
    headers: dict[str, str], body: dict[str, Any], found: str | None
) -> None:
    """By whichever id is sent; it is in the message too."""
    error = api_error(Reply(500, headers, json.dumps(body).encode()))
    assert error.request_id == found
    assert (f"[request {found}]" in str(error)) is (found is not None)


@pytest.mark.parametrize(
    ("details", "limit"),
    [({"actionLimit": 5}, 5), ({"actionLimit": "5"}, None), ({}, None), (None, None), ([], None)],
)
def test_rate_limited_error_knows_the_limit(details: Any, limit: int | None) -> None:
    """The number of jobs side by side, if it is a number."""
    error = api_error(reply({"details": details}, 429))
    assert isinstance(error, RateLimitedError)
    assert error.limit == limit


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, {}, None),
        ({"retry-after": "5"}, {}, 5.0),
        ({"retry-after": " 1.5 "}, {}, 1.5),
        ({"retry-after": "-1"}, {}, 0.0),
        ({"retry-after": ""}, {"remainingSeconds": 9}, 9.0),
        ({"retry-after": "soon"}, {"remainingSeconds": 9}, 9.0),
        ({"retry-after": "inf"}, {"remainingSeconds": 9}, 9.0),
        ({"retry-after": "2"}, {"remainingSeconds": 9}, 2.0),
        ({}, {"remainingSeconds": "9"}, None),
        ({}, {"remainingSeconds": -9}, 0.0),
        ({}, {"remainingSeconds": True}, None),
    ],
)
def test_retry_after_reads_header_then_body(
    headers: dict[str, str], body: dict[str, Any], seconds: float | None
) -> None:
    """What cannot be read is ignored."""
    assert retry_after(headers, body) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [("Thu, 01 Jan 2026 09:59:30 GMT", 30.0), ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0)],
)
def test_retry_after_counts_a_date_from_the_servers_clock(date: str, seconds: float) -> None:
    """Never less than zero."""
    headers = {"retry-after": "Thu, 01 Jan 2026 10:00:00 GMT", "date": date}
    assert retry_after(headers, {}) == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 猫", "plain é 猫"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;https://evil.test\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bcreset", "reset"),
        ("a\x00b\x08c\x7fd\x9be", "abcde"),
        ("a\u202eb\u2066c", "abc"),
        ("a\ud800b", "ab"),
        ("a\rb", "a b"),
        ("  a  ", "a"),
        ("\x1b", ""),
    ],
)
def test_printable_removes_terminal_control(text: str, shown: str) -> None:
    """Escapes, control characters and reversed text are removed; the rest stays."""
    assert printable(text) == shown


def test_printable_cuts_at_its_limit() -> None:
    """The cut is marked."""
    assert printable("x" * 500) == "x" * 500
    assert printable("x" * 501) == "x" * 499 + "…"
    assert printable("abcdef", 3) == "ab…"


def policy(seconds: Any) -> str:
    """A CloudFront policy as it is in a URL."""
    statement = {"Condition": {"DateLessThan": {"AWS:EpochTime": seconds}}}
    text = base64.b64encode(json.dumps({"Statement": [statement]}).encode()).decode()
    return text.translate(str.maketrans("+=/", "-_~"))


WHEN = datetime(2026, 1, 14, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"https://cdn.test/a?Policy={policy(1768435199)}&Signature=s&Key-Pair-Id=k", WHEN),
        ("https://cdn.test/a?Expires=1768435199&Signature=s", WHEN),
        ("https://cdn.test/a", None),
        ("https://cdn.test/a?Policy=!!!", None),
        ("https://cdn.test/a?Policy=e30_", None),
        (f"https://cdn.test/a?Policy={policy('soon')}", None),
        (f"https://cdn.test/a?Policy={policy(None)}", None),
        (f"https://cdn.test/a?Policy={policy(10**30)}", None),
        ("https://cdn.test/a?Expires=never", None),
        ("https://cdn.test/a?Policy=" + base64.b64encode(b"[" * 100_000).decode(), None),
        ("https://cdn.test/a?Expires=" + "9" * 5000, None),
        ("https://cdn.test/a?Expires=\ud800", None),
        ("http://[bad", None),
        ("", None),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_expiry_is_read_off_the_signature(url: str, found: datetime | None) -> None:
    """From the policy, or the older plain form; other URLs have no expiry."""
    assert expiry_of(url) == found
    assert Asset(id="asset_1", url=url).url_expires_at == found


def test_assets_hide_signed_urls() -> None:
    """In the URL and in the raw reply."""
    asset = Asset(id="asset_1", url="https://cdn.test?Signature=s", raw={"url": "Signature=s"})
    assert "Signature" not in repr(asset)
