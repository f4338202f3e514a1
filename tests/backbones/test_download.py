"""Downloads of weights, from a server on localhost that does all that a bad line does."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from hybrid.backbones import BackboneSpec, download, get_backbone, resolve_weights
from hybrid.backbones.download import download_weights
from hybrid.backbones.weights import keras_models_folder
from hybrid.errors import WeightsError


def hdf5() -> bytes:
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        file["layers/dense/vars/0"] = [[1.0] * 1000] * 10
    return data.getvalue()


BODY = hdf5()
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
CORRUPT = BODY[:500] + b"X" + BODY[501:]


class Server(http.server.ThreadingHTTPServer):
    """Does one act of its script for each request, and the last one for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = ["serve"]
        self.requests = 0
        self.timeouts: set[float | None] = set()
        self.over = threading.Event()
        self.both = threading.Barrier(2)
        self.url = f"http://127.0.0.1:{self.server_port}/net.h5"

    def act(self) -> str:
        self.requests += 1
        self.timeouts.add(socket.getdefaulttimeout())
        return self.script[min(self.requests, len(self.script)) - 1]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        act = "serve" if self.path == "/elsewhere" else self.server.act()
        if act.isdigit():
            self.send_error(int(act))
        elif act == "reset":  # before any answer
            self.connection.close()
        elif act == "redirect":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
        else:
            self.send_body(act)

    def send_body(self, act: str) -> None:
        data = {"corrupt": CORRUPT, "web page": b"<html>log in</html>"}.get(act, BODY)
        self.send_response(200)
        if act != "unknown length":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if act == "together":
            self.server.both.wait()
        half = (
            len(data) // 2 if act in ("drop", "stall", "interrupt", "unknown length") else len(data)
        )
        self.wfile.write(data[:half])
        if act == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if act in ("stall", "interrupt"):
            self.server.over.wait()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSES", (0, 0))
    monkeypatch.setattr(download, "TIMEOUT", 0.5)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where Keras keeps weights, not yet there."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


def spec_with(url: str, md5: str = MD5) -> BackboneSpec:
    return dataclasses.replace(get_backbone("vgg16"), weights_url=url, weights_md5=md5)


@pytest.mark.parametrize("md5", [MD5, ""])
@pytest.mark.parametrize(
    ("script", "requests"),
    [
        (["serve"], 1),
        (["redirect"], 1),
        (["503", "503", "serve"], 3),
        (["429", "serve"], 2),
        (["reset", "drop", "serve"], 3),
        (["stall", "serve"], 2),
        (["unknown length", "serve"], 2),
        (["web page", "serve"], 2),
    ],
)
def test_what_may_pass_is_tried_again(
    script: list[str], requests: int, md5: str, server: Server, home: Path
) -> None:
    server.script = script
    found = resolve_weights(spec_with(server.url, md5), "imagenet")
    assert found.path == home / "net.h5"
    assert found.path.read_bytes() == BODY
    assert found.digest == hashlib.sha256(BODY).hexdigest()
    assert [path.name for path in home.iterdir()] == ["net.h5"]
    assert server.requests == requests
    assert server.timeouts == {None}  # that of the process is left alone


@pytest.mark.parametrize(
    ("act", "md5", "says", "requests"),
    [
        ("404", MD5, r"the server answers HTTP 404 Not Found\n", 1),
        ("403", MD5, r"the server answers HTTP 403 Forbidden\n", 1),
        ("503", MD5, r"the server answers HTTP 503 Service Unavailable \(tried 3 times\)", 3),
        ("reset", MD5, r"the connection was cut: .*RemoteDisconnected.*\(tried 3 times\)", 3),
        (
            "drop",
            "",
            rf"the connection was cut: .*{len(BODY) // 2} bytes read, {len(BODY) - len(BODY) // 2} more",
            3,
        ),
        ("stall", MD5, r"the server sent nothing for 0\.5 seconds \(tried 3 times\)", 3),
        (
            "corrupt",
            MD5,
            f"expected MD5 {MD5}, found {hashlib.md5(CORRUPT, usedforsecurity=False).hexdigest()}",
            3,
        ),
        ("web page", "", "damaged on the way: expected a whole weights file", 3),
        ("unknown length", "", "damaged on the way: expected a whole weights file", 3),
    ],
)
def test_what_does_not_pass_is_told(
    act: str, md5: str, says: str, requests: int, server: Server, home: Path
) -> None:
    server.script = [act]
    with pytest.raises(WeightsError, match=f"vgg16 .* cannot be downloaded: {says}") as caught:
        resolve_weights(spec_with(server.url, md5), "imagenet")
    assert str(caught.value).endswith(
        f"\nWanted: {server.url}\nPut the file at {home / 'net.h5'}, or name it with --weights PATH."
    )
    assert list(home.iterdir()) == []
    assert server.requests == requests
    assert server.timeouts == {None}  # that of the process is left alone


def test_no_network_is_told_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/net.h5"
        target = keras_models_folder() / "net.h5"
        says = rf"no connection: .*refused\nWanted: {url}\nPut the file at {re.escape(str(target))}, or"
        monkeypatch.setattr(download, "PAUSES", ("no pause is made",))
        with pytest.raises(WeightsError, match=says):
            download_weights(spec_with(url), target)
    assert list(home.iterdir()) == []


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, also where pytest runs in the background and has inherited that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_passes_through(server: Server, home: Path) -> None:
    server.script = ["interrupt"]
    with pytest.raises(KeyboardInterrupt):
        resolve_weights(spec_with(server.url), "imagenet")
    assert list(home.iterdir()) == []
    assert server.requests == 1


def test_a_folder_that_cannot_be_made_is_told(server: Server, home: Path) -> None:
    home.parent.write_text("in the way")
    with pytest.raises(WeightsError, match=r"cannot be downloaded: .*Not a directory"):
        resolve_weights(spec_with(server.url), "imagenet")
    assert server.requests == 0


def test_pauses_grow(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    monkeypatch.setattr(download, "PAUSES", (1.5, 2.5))
    monkeypatch.setattr(download.time, "sleep", made.append)
    server.script = ["503"]
    with pytest.raises(WeightsError, match="tried 3 times"):
        resolve_weights(spec_with(server.url), "imagenet")
    assert made == [1.5, 2.5]


def test_nothing_is_printed_to_stdout(
    server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resolve_weights(spec_with(server.url), "imagenet")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"Downloading {server.url}" in captured.err


def test_two_processes_at_once_do_not_disturb_each_other(server: Server, home: Path) -> None:
    server.script = ["together"]  # neither gets its file before both have asked
    code = (
        "import dataclasses, sys\n"
        "from hybrid.backbones import get_backbone, resolve_weights\n"
        "url, md5 = sys.argv[1:]\n"
        "spec = dataclasses.replace(get_backbone('vgg16'), weights_url=url, weights_md5=md5)\n"
        "print(resolve_weights(spec).digest)\n"
    )
    command = [sys.executable, "-c", code, server.url, MD5]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].strip() for process in processes]
    assert said == [hashlib.sha256(BODY).hexdigest()] * 2
    assert [path.name for path in home.iterdir()] == ["net.h5"]
    assert server.requests == 2


def test_a_damaged_file_that_is_there_is_refused(home: Path) -> None:
    spec = get_backbone("vgg16")
    home.mkdir(parents=True)
    (home / spec.weights_file).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=rf"expected .* MD5 {spec.weights_md5}, found"):
        resolve_weights(spec)
