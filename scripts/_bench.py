"""Import time, the cost of a ledger, and large transfers over loopback, beside plain httpx.

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


class Server(BaseHTTPRequestHandler):
    """Just enough of the API, with one large file behind it."""

    size = 0

    def do_GET(self) -> None:
        if self.path.endswith("/file"):
            self.answer(200, self.size)
            block = bytes(MIB)
            for _ in range(self.size // MIB):
                self.wfile.write(block)
            return
        base = f"http://{self.headers['Host']}"
        asset = {"id": "asset_1", "url": f"{base}/file", "properties": {"size": self.size}}
        done = {"id": "upload_1", "status": "imported", "entityId": "asset_1"}
        self.say({"asset": asset} if "/assets/" in self.path else {"upload": done})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        url = f"http://{self.headers['Host']}/part"
        parts = [{"number": number, "url": url} for number in range(1, 1001)]
        self.say({"upload": {"id": "upload_1", "status": "pending", "parts": parts}})

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, MIB)))
        self.answer(200, 0)

    def say(self, record: Any) -> None:
        text = json.dumps(record).encode()
        self.answer(200, len(text))
        self.wfile.write(text)

    def answer(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def import_seconds(module: str) -> float:
    """Median of seven fresh processes, as the interpreter itself reports it."""
    found = []
    for _ in range(7):
        command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        last = re.findall(r"\|\s+(\d+) \| (\S+)", told)[-1]
        found.append(int(last[0]) / 1e6)
    return median(found)


def transfer(code: str, base: str, folder: str) -> tuple[float, float]:
    """Seconds, and the growth of the resident set in MiB, in a fresh process."""
    program = PROLOGUE + code + "\nmeasure(work)"
    command = [sys.executable, "-c", program, base, folder]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(told[0]), float(told[1])


def clients(folder: str) -> tuple[float, float]:
    """Median seconds to make a client without a ledger, and one with it, in turns."""
    command = [sys.executable, "-c", CLIENTS, folder]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(told[0]), float(told[1])


def main() -> None:
    """Print the figures."""
    Server.size = int(sys.argv[1] if len(sys.argv) > 1 else 500) * MIB
    for module in IMPORTS:
        print(f"import {module}: {import_seconds(module) * 1000:.0f} ms")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        plain, kept = clients(folder)
        print(f"make a client: {plain * 1000:.1f} ms; with a ledger: {kept / plain:.2f} of that")
        with (Path(folder) / "plain.mp4").open("wb") as file:
            file.write(b"\0\0\0\x18ftypmp42")
            file.truncate(Server.size)
        for name, code in TRANSFERS.items():
            seconds, mebibytes = transfer(code, base, folder)
            print(f"{name}, {Server.size // MIB} MiB: {seconds:.2f} s, {mebibytes:.1f} MiB more")
    server.shutdown()


if __name__ == "__main__":
    main()
