"""Python programs in processes of their own that need not load TensorFlow: copies of one that has loaded it.

A process that only loaded libraries has computed nothing, holds no device and runs no thread of Python's, so
that a copy of it goes on as a new process would. A copy is there at once, instead of after five seconds. It
is run as a program itself:

    python tests/loaded_process.py NUMBER-OF-A-SOCKET

Each request on the socket is a line of JSON, with the file descriptors of stdout and stderr; the answers are
the number of the process, and then its exit status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

PROGRAM = Path(__file__)
LIBRARIES = (
    "tensorflow",
    "keras",
    "hybrid.extraction.extract",
    "hybrid.images.resize",
    "hybrid.runs.fit_deep",
    "hybrid.runs.fit_head",
)


class Loaded:
    """A process that loaded the libraries, and makes copies of itself."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # TensorFlow's notes on its build
            )
        self.answers = self.socket.makefile("r")

    def start(
        self,
        program: str,
        arguments: tuple[object, ...],
        stdout: IO[Any],
        stderr: IO[Any],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Run a program in a copy; its process number."""
        request = {
            "program": program,
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
        }
        files = [stdout.fileno(), stderr.fileno()]
        socket.send_fds(self.socket, [json.dumps(request).encode() + b"\n"], files)
        return int(self.answers.readline())

    def wait(self) -> int:
        """Wait until the program ends; its exit status, or minus the signal that ended it."""
        return int(self.answers.readline())

    def run(
        self, program: str, *arguments: object, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, like `subprocess.run([sys.executable, "-c", program, …])`."""
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            self.start(program, arguments, stdout, stderr, cwd, {**os.environ, **env})
            status = self.wait()
            said = []
            for file in (stdout, stderr):
                file.seek(0)
                said.append(file.read())
        return subprocess.CompletedProcess(arguments, status, *said)

    def close(self) -> None:
        """End it."""
        self.answers.close()
        self.socket.close()
        self.process.wait()


def serve(asked: socket.socket) -> dict[str, Any] | None:
    """Copy this process for each request. Returns in each copy, and, with None, once nobody asks."""
    while True:
        line, files, _, _ = socket.recv_fds(asked, 1 << 20, 2)
        while line and not line.endswith(b"\n"):
            line += asked.recv(1 << 20)
        if not line:
            return None
        child = os.fork()
        if not child:
            asked.close()
            for number, file in enumerate(files, start=1):
                os.dup2(file, number)
                os.close(file)
            return dict(json.loads(line))
        for file in files:
            os.close(file)
        asked.sendall(b"%d\n" % child)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asked.sendall(b"%d\n" % status)


def become(request: dict[str, Any]) -> str:
    """Take on the arguments, folder and environment of a request; the program."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["-c", *request["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return str(request["program"])


if __name__ == "__main__":
    sys.path[0] = ""  # as for `python -c`; the folders of the tests have names of packages
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    gc.disable()
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # a copy's garbage collector need not go through the libraries
    gc.enable()
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(become(asked), "<program>", "exec"), vars(main))
