"""A server on this machine that behaves, by the path, as servers on the web do."""

from __future__ import annotations

import io
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def picture(number: int, kind: str = "JPEG") -> bytes:
    """A small picture, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (24, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """Counts what it was asked; `after` is called before each answer with the number of requests so far."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.after: Callable[[int], None] = lambda count: None
        self.closing = threading.Event()
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        """Its root."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are expected."""


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        with self.server.guard:
            self.server.asked[self.path] += 1
            self.server.headers[self.path] = dict(self.headers)
            count = self.server.asked.total()
        self.server.after(count)
        _, name, *rest = self.path.split("/")
        getattr(self, f"give_{name}")("/".join(rest))

    def send(
        self, status: int, body: bytes = b"", length: int | None = None, **headers: object
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def give_ok(self, rest: str) -> None:
        self.send(200, picture(int(rest.split(".")[0])), Content_Type="text/plain")

    def give_png(self, rest: str) -> None:
        self.send(200, picture(int(rest), "PNG"))

    def give_same(self, rest: str) -> None:
        self.send(200, picture(0))

    def give_status(self, rest: str) -> None:
        self.send(int(rest.split("/")[0]))

    def give_once(self, rest: str) -> None:
        """``once/STATUS/NUMBER``: refused the first time."""
        status, number = rest.split("/")
        again = self.server.asked[self.path] > 1
        self.send(200, picture(int(number))) if again else self.send(int(status), Retry_After=0)

    def give_later(self, rest: str) -> None:
        self.send(429, Retry_After=formatdate(4e9, usegmt=True))

    def give_html(self, rest: str) -> None:
        self.send(200, b"\n<!DOCTYPE html><p>Not here", Content_Type="image/jpeg")

    def give_empty(self, rest: str) -> None:
        self.send(200)

    def give_hang(self, rest: str) -> None:
        self.server.closing.wait()
        self.close_connection = True

    def give_reset(self, rest: str) -> None:
        data = picture(1)
        self.send(200, data[: len(data) // 2], length=len(data))
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def give_cut(self, rest: str) -> None:
        """The connection ends before the length that was said."""
        data = picture(2)
        self.send(200, data[:-9], length=len(data))
        self.close_connection = True

    def give_less(self, rest: str) -> None:
        """The length that is said is less than the image has: by as many bytes."""
        data = picture(3)
        self.send(200, data, length=len(data) - int(rest))
        self.close_connection = True

    def give_endless(self, rest: str) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.closing.is_set():
            self.wfile.write(picture(4) + bytes(100_000))
        self.close_connection = True

    def give_long(self, rest: str) -> None:
        self.send(200, b"x", length=10**10)
        self.close_connection = True

    def give_to(self, rest: str) -> None:
        self.send(302, Location=rest.replace("~", "/"))

    def give_etag(self, rest: str) -> None:
        same = self.headers.get("If-None-Match") == '"v1"'
        self.send(304, ETag='"v1"') if same else self.send(200, picture(int(rest)), ETag='"v1"')

    def give_bomb(self, rest: str) -> None:
        data = bytearray(picture(5, "PNG"))
        data[16:24] = struct.pack(">II", 60_000, 60_000)
        import zlib

        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        self.send(200, bytes(data))


@pytest.fixture
def server() -> Iterator[Server]:
    """The server, in a thread."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.closing.set()
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def films(tmp_path: Path, server: Server) -> Callable[..., Path]:
    """Write a catalogue whose column ``poster`` has these paths on the server."""

    def write(*paths: str, column: str = "poster") -> Path:
        path = tmp_path / "films.csv"
        cells = [server.url + p if re.match("/[^/]", p) else p for p in paths]
        rows = [f'f{i},Drama,"{cell}"' for i, cell in enumerate(cells)]
        path.write_text("\n".join([f"id,genres,{column}", *rows, ""]), encoding="utf-8")
        return path

    return write
