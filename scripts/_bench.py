"""Measure import time, the cost of a ledger, and large transfers over loopback, beside plain httpx.

Every figure comes from a fresh process, and all from one run: compare the ratios.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

MIB = 1024 * 1024
IMPORTS = ("scenario_reframe", "httpx", "scenario_sdk")
PROLOGUE = """
import resource, sys, time
import httpx
from scenario_reframe import ReframeClient
base, folder = sys.argv[1], sys.argv[2]
client = ReframeClient("key", "secret", base_url=base)
def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def measure(work):
    before, started = resident(), time.perf_counter()
    work()
    print(time.perf_counter() - started, resident() - before)
"""
PLAIN_GET = """
def work():
    with httpx.stream("GET", base + "/file") as reply, open(folder + "/plain", "wb") as file:
        for chunk in reply.iter_bytes():
            file.write(chunk)
"""
TRANSFERS = {
    "download, plain httpx": PLAIN_GET,
    "download, this": 'work = lambda: client.download("asset_1", folder + "/this", overwrite=True)',
    "upload, this": 'work = lambda: client.upload(folder + "/plain.mp4")',
}

CLIENTS = """
import sys, time
from scenario_reframe import ReframeClient
def seconds(**options):
    started = time.perf_counter()
    client = ReframeClient("key", "secret", base_url="http://127.0.0.1:9/v1", **options)
    made = time.perf_counter() - started
    client.close()
    return made
pairs = [(seconds(), seconds(ledger=sys.argv[1] + "/ledger.db")) for _ in range(21)][1:]
print(*(sorted(column)[len(column) // 2] for column in zip(*pairs)))
"""


class BenchServer(BaseHTTPRequestHandler):
    """A minimal API with one large file."""

    size = 0

    def do_GET(self) -> None:
        if self.path.endswith("/file"):
            self.send_head(200, self.size)
            block = bytes(MIB)
            for _ in range(self.size // MIB):
                self.wfile.write(block)
            return
        base = f"http://{self.headers['Host']}"
        asset = {"id": "asset_1", "url": f"{base}/file", "properties": {"size": self.size}}
        done = {"id": "upload_1", "status": "imported", "entityId": "asset_1"}
        self.send_json({"asset": asset} if "/assets/" in self.path else {"upload": done})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        url = f"http://{self.headers['Host']}/part"
        parts = [{"number": number, "url": url} for number in range(1, 1001)]
        self.send_json({"upload": {"id": "upload_1", "status": "pending", "parts": parts}})

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, MIB)))
        self.send_head(200, 0)

    def send_json(self, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_head(200, len(text))
        self.wfile.write(text)

    def send_head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def import_seconds(module: str) -> float:
    """The median of seven fresh processes, in seconds, as the interpreter reports it."""
    found = []
    for _ in range(7):
        command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        last = re.findall(r"\|\s+(\d+) \| (\S+)", output)[-1]
        found.append(int(last[0]) / 1e6)
    return median(found)


def transfer(code: str, base: str, folder: str) -> tuple[float, float]:
    """Run a transfer in a fresh process; return seconds and the growth in memory in MiB."""
    program = PROLOGUE + code + "\nmeasure(work)"
    command = [sys.executable, "-c", program, base, folder]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(output[0]), float(output[1])


def clients(folder: str) -> tuple[float, float]:
    """The median seconds to make a client without a ledger and with one, in turns."""
    command = [sys.executable, "-c", CLIENTS, folder]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(output[0]), float(output[1])


def main() -> None:
    """Measure, and print the figures."""
    BenchServer.size = int(sys.argv[1] if len(sys.argv) > 1 else 500) * MIB
    for module in IMPORTS:
        print(f"import {module}: {import_seconds(module) * 1000:.0f} ms")
    server = ThreadingHTTPServer(("127.0.0.1", 0), BenchServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        plain, with_ledger = clients(folder)
        print(
            f"make a client: {plain * 1000:.1f} ms; with a ledger: {with_ledger / plain:.2f} times"
        )
        with (Path(folder) / "plain.mp4").open("wb") as file:
            file.write(b"\0\0\0\x18ftypmp42")
            file.truncate(BenchServer.size)
        for name, code in TRANSFERS.items():
            seconds, mebibytes = transfer(code, base, folder)
            print(
                f"{name}, {BenchServer.size // MIB} MiB: {seconds:.2f} s, {mebibytes:.1f} MiB more"
            )
    server.shutdown()


if __name__ == "__main__":
    main()
