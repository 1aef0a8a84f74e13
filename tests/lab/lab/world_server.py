"""The page, the bytes and the echo: one program, started in lab-net.

GET /           {"address": client's, "port": client's, "path": …, "server": …} as JSON
GET /bytes/N    N bytes of `patterns.pattern`, by sendfile
PUT /           {"length": …, "sha256": …} of what was sent
UDP             every datagram comes back as it was

Every request is a JSON line in the log given: what the server saw, whatever the client was told.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lab import patterns  # noqa: E402

MOST_BYTES = 10_000_000_000


class SeenLog:
    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, **seen: Any) -> None:
        os.write(self._fd, (json.dumps({"time": time.time(), **seen}) + "\n").encode())


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], seen: SeenLog) -> None:
        super().__init__(address, Handler)
        self.seen = seen
        self.pattern_fd = os.memfd_create("pattern")
        os.write(self.pattern_fd, patterns.period())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._note()
        kind, _, count = self.path.lstrip("/").partition("/")
        if kind != "bytes":
            self._say(self._whoami())
        elif count.isdigit() and int(count) <= MOST_BYTES:
            self._send_bytes(int(count))
        else:
            self.send_error(400, f"/bytes/N, N up to {MOST_BYTES}")

    def do_PUT(self) -> None:
        self._note()
        left = length = int(self.headers.get("Content-Length", "0"))
        digest = hashlib.sha256()
        while left > 0 and (data := self.rfile.read(min(left, 1 << 20))):
            digest.update(data)
            left -= len(data)
        self._say({"length": length - left, "sha256": digest.hexdigest()})

    def _whoami(self) -> dict[str, Any]:
        address, port = self.client_address[:2]
        server = self.connection.getsockname()[0]
        return {"address": address, "port": port, "path": self.path, "server": server}

    def _note(self) -> None:
        host = self.headers.get("Host", "")
        self.server.seen.write(kind="http", method=self.command, host=host, **self._whoami())

    def _say(self, value: dict[str, Any]) -> None:
        body = (json.dumps(value) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_bytes(self, count: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(count))
        self.end_headers()
        self.wfile.flush()
        sent = 0
        while sent < count:
            offset = sent % patterns.PERIOD
            size = min(count - sent, patterns.PERIOD - offset)
            sent += os.sendfile(self.connection.fileno(), self.server.pattern_fd, offset, size)

    def log_message(self, format: str, *args: Any) -> None:
        pass  # `seen` has it

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            pass  # clients come and go


def echo(sock: socket.socket, seen: SeenLog) -> None:
    while True:
        data, (address, port) = sock.recvfrom(65535)
        seen.write(kind="udp", address=address, port=port, length=len(data))
        try:
            sock.sendto(data, (address, port))
        except OSError:
            pass  # its sender is gone: an ICMP error came back


def main() -> None:
    http_address, http_port, echo_address, echo_port, log = sys.argv[1:]
    threading.stack_size(256 << 10)
    seen = SeenLog(log)
    server = Server((http_address, int(http_port)), seen)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((echo_address, int(echo_port)))
    threading.Thread(target=echo, args=(udp, seen), daemon=True).start()
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
