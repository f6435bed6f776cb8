"""Uploads to the sandbox over a real socket: in parts, and from a URL."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox_clips import MP4, STAGE, Client, by_a_clock
from scenario_reframe.sandbox.faults import cut
from waiting import until


def test_upload_in_parts_becomes_an_asset(quiet: Client, clip: bytes) -> None:
    """The parts are joined in order and the file is what was sent."""
    upload = quiet.upload(clip, parts=3)
    assert upload["status"] == "imported"
    assert "parts" not in upload
    asset = quiet.get(f"/assets/{upload['entityId']}").json()["asset"]
    assert quiet.files.get(asset["url"]).content == clip
    assert [asset["properties"][key] for key in ("width", "height", "nbFrames")] == [160, 90, 12]
    job = quiet.get(f"/jobs/{upload['jobId']}").json()["job"]
    assert job["jobType"] == "upload"
    assert job["metadata"]["output"] == {"entityId": upload["entityId"]}
    assert "billing" not in job


def test_upload_shows_every_status_for_its_time() -> None:
    """`validating` as soon as it is complete, then `validated` and `imported`."""
    with by_a_clock() as (client, clock):
        upload = announce(client, parts=1, size=len(MP4))
        client.files.put(upload["parts"][0]["url"], content=MP4)
        action = f"/uploads/{upload['id']}/action"
        done = client.post(action, json={"action": "complete"}).json()["upload"]
        assert (upload["status"], done["status"]) == ("pending", "validating")
        job = client.sandbox._state.uploads[upload["id"]].job
        until(lambda: job.timeline._entries[-1][0] == "success")
        seen = []
        for seconds in (STAGE - 1, 1, STAGE - 1, 1):
            clock.forward(seconds)
            seen.append(client.get(f"/uploads/{upload['id']}").json()["upload"]["status"])
    assert seen == ["validating", "validated", "validated", "imported"]


@pytest.mark.parametrize(
    ("content", "size", "message"),
    [
        (b"this is no video", 16, "cannot be read as a video"),
        (b"this is no video", 20, "16 bytes, but 20 were announced"),
    ],
)
def test_upload_that_is_not_a_video_fails(
    quiet: Client, content: bytes, size: int, message: str
) -> None:
    """Its error says what is wrong with the file."""
    upload = quiet.upload(content, fileSize=size)
    assert upload["status"] == "failed"
    assert message in upload["errorMessage"]
    assert "entityId" not in upload


def announce(client: Client, parts: int = 2, size: int = 10) -> dict[str, Any]:
    """Announce an upload."""
    body = {"kind": "video", "fileName": "a.mp4", "contentType": "video/mp4"}
    made = client.post("/uploads", json={**body, "fileSize": size, "parts": parts})
    upload: dict[str, Any] = made.raise_for_status().json()["upload"]
    return upload


def test_completing_with_a_part_missing_is_400(quiet: Client) -> None:
    """The upload stays open, and the part can still be sent."""
    upload = announce(quiet)
    quiet.files.put(upload["parts"][0]["url"], content=b"12345")
    action = f"/uploads/{upload['id']}/action"
    got = quiet.post(action, json={"action": "complete"})
    assert (got.status_code, got.json()["reason"]) == (
        400,
        "Part 2 of 2 has not been uploaded",
    )
    wrong = quiet.post(action, json={"action": "upload-complete"})
    assert wrong.json()["reason"] == '"action" must be one of [complete]'
    quiet.files.put(upload["parts"][1]["url"], content=b"67890")
    assert quiet.post(action, json={"action": "complete"}).status_code == 200


def test_part_may_be_sent_again_and_its_etag_is_its_hash(quiet: Client) -> None:
    """As with S3; a part of a closed upload is refused."""
    upload = announce(quiet, parts=1)
    url = upload["parts"][0]["url"]
    quiet.files.put(url, content=b"wrong!")
    got = quiet.files.put(url, content=b"0123456789")
    md5 = hashlib.md5(b"0123456789", usedforsecurity=False).hexdigest()
    assert got.headers["etag"] == f'"{md5}"'
    quiet.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
    assert quiet.files.put(url, content=b"0123456789").status_code == 404


def test_part_is_refused_without_a_length_or_over_the_announced_size(quiet: Client) -> None:
    """S3 wants the length first, and the disk cannot be filled."""
    url = announce(quiet)["parts"][0]["url"]
    assert quiet.files.put(url, content=iter([b"12345"])).status_code == 411
    assert quiet.files.put(url, content=b"x" * 11).status_code == 400


def test_expired_part_url_is_denied_and_reading_again_gives_a_fresh_one() -> None:
    """While the upload is pending, reading it returns fresh part URLs."""
    with by_a_clock(url_lifetime=60) as (client, clock):
        upload = announce(client)
        url = upload["parts"][0]["url"]
        clock.forward(59)
        assert client.files.put(url, content=b"12345").status_code == 200
        clock.forward(1)
        assert client.files.put(url, content=b"12345").status_code == 403
        fresh = client.get(f"/uploads/{upload['id']}").json()["upload"]["parts"][0]["url"]
        assert client.files.put(fresh, content=b"12345").status_code == 200
        assert client.files.put(fresh.replace("/1?", "/2?"), content=b"12345").status_code == 403
        assert client.files.put(fresh.split("?")[0], content=b"12345").status_code == 403


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": None}, '"kind" must be a string. "kind" must be one of [video]'),
        ({"kind": "image"}, '"kind" must be one of [video]'),
        ({"parts": 0}, '"parts" must be greater than or equal to 1'),
        ({"parts": 10_001}, '"parts" must be less than or equal to 10000'),
        ({"fileSize": "10"}, '"fileSize" must be a number'),
        ({"url": 5}, '"url" must be a string'),
        ({"url": "https://clips.test/a"}, '"value" is invalid'),  # an unknown kind
    ],
)
def test_wrong_announcement_is_400(quiet: Client, change: dict[str, Any], reason: str) -> None:
    """An upload must be announced with sensible numbers."""
    body = {"kind": "video", "fileName": "a", "contentType": "video/mp4", "fileSize": 9, "parts": 1}
    got = quiet.post("/uploads", json=body | change)
    assert (got.status_code, got.json()["reason"]) == (400, reason)


def test_announcement_with_a_field_missing_is_400(quiet: Client) -> None:
    """A file needs all five fields."""
    body = {"kind": "video", "fileName": "a", "contentType": "video/mp4", "fileSize": 9, "parts": 1}
    for missing in body:
        rest = {name: value for name, value in body.items() if name != missing}
        got = quiet.post("/uploads", json=rest)
        assert (got.status_code, got.json()["reason"]) == (400, f'"{missing}" is required')


class _Redirects(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Redirect every request to another host."""
        self.send_response(302)
        self.send_header("Location", "http://example.com/clip.mp4")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A server on this machine that redirects to another."""
    with HTTPServer(("127.0.0.1", 0), _Redirects) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/clip.mp4"
        server.shutdown()
        thread.join()


def test_url_is_imported(quiet: Client, quiet_asset: dict[str, Any], clip: bytes) -> None:
    """A URL on this machine is fetched and becomes an asset."""
    made = quiet.post("/uploads", json={"kind": "video", "url": quiet_asset["url"]}).json()[
        "upload"
    ]
    assert made["source"] == "url"
    upload = quiet.settled(f"/uploads/{made['id']}", "upload")
    assert upload["status"] == "imported"
    copy = quiet.get(f"/assets/{upload['entityId']}").json()["asset"]
    assert copy["mimeType"] == "video/mp4"
    assert quiet.files.get(copy["url"]).content == clip


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/clip.mp4", "from this machine only"),
        ("file:///etc/passwd", "use http or https"),
        ("http://[::1", "could not be fetched"),
        ("http://localhost:99999/x", "could not be fetched"),
        ("", "could not be fetched"),
        ("elsewhere", "302"),
        ("gone", "Forbidden"),
        ("cut", "closed early"),
    ],
)
def test_url_that_cannot_be_fetched_fails(
    quiet: Client, elsewhere: str, quiet_asset: dict[str, Any], url: str, message: str
) -> None:
    """Only this machine can be reached, and no redirect is followed."""
    if url == "cut":
        quiet.sandbox.faults.add(cut(10), "/assets/", method="GET")
    given = {
        "elsewhere": elsewhere,
        "gone": quiet_asset["url"] + "x",
        "cut": quiet_asset["url"],
    }.get(url, url)
    made = quiet.post("/uploads", json={"kind": "video", "url": given}).json()["upload"]
    upload = quiet.settled(f"/uploads/{made['id']}", "upload")
    assert upload["status"] == "failed"
    assert message in upload["errorMessage"]


def test_part_that_breaks_off_has_not_arrived(quiet: Client) -> None:
    """Half a part does not count, and leaves nothing on the disk."""
    upload, seen = announce(quiet, parts=1), len(quiet.sandbox.requests)
    url = urlsplit(upload["parts"][0]["url"])
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
    with socket.create_connection((quiet.base_url.host, quiet.base_url.port or 0)) as sock:
        sock.sendall(head.encode() + b"12345")
    folder = quiet.sandbox._state.uploads[upload["id"]].folder
    record = until(lambda: quiet.sandbox.requests[seen:])[0]
    until(lambda: record.status == 400)
    assert list(folder.iterdir()) == []
    got = quiet.post(f"/uploads/{upload['id']}/action", json={"action": "complete"})
    assert got.json()["reason"] == "Part 1 of 1 has not been uploaded"
