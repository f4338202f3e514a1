"""An S3 server of moto in a process of its own: it can be killed, and started again at the same address."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from urllib.parse import urlsplit


class S3Server:
    """What it stores is in its memory, and gone when it is killed."""

    def __init__(self) -> None:
        self.url = ""
        self.start()

    def start(self) -> None:
        port = urlsplit(self.url).port or 0
        command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr
        for line in self.process.stderr:
            if found := re.search(r"Running on (http://[\d.]+:\d+)", line):
                self.url = found[1]
                break
        else:
            raise RuntimeError("moto did not start")
        # What it says of each request would fill the pipe.
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
        self.process.stderr.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.drain.wait()

    def pause(self) -> None:
        """Connections are taken, and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def settings(server: S3Server) -> dict[str, str]:
    """Environment variables for its clients."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
