"""The way to a server that can be cut off: connections break, and new ones are refused until it is back.

Run as a program, it forwards a port of its own, which it prints, or that of the second argument, to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from urllib.parse import urlsplit


class Way:
    """A way to the server at a URL; `url` is its near end."""

    def __init__(self, server: str) -> None:
        self._server, self.url = server, ""
        self.restore()

    def restore(self) -> None:
        ports = [str(urlsplit(url).port or 0) for url in (self._server, self.url)]
        command = [sys.executable, "-u", __file__, *ports]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def cut(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _forward(to: int, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_forward(*map(int, sys.argv[1:])))
