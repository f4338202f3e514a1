"""Posters a second of `hybrid fetch-posters`, from a server on this machine, with faults, too.

    python benchmarks/fetch.py --posters 5000 --out fetch.json
    python benchmarks/fetch.py --posters 5000 --faults --out fetch-faults.json

The server is another process. With --faults a tenth of the posters is answered by HTTP 404, by 429 or 500 the
first time, by a web page, with a body that is cut short, broken off or endless, or not at all.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import itertools
import json
import multiprocessing
import platform
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hybrid.catalogue import load_catalogue
from hybrid.catalogue.download import FetchSettings, fetch_posters
from hybrid.utils.context import Context
from hybrid.utils.resources import usable_cores

SIZE = (342, 513)
FAULTS = ("404", "429", "500", "html", "cut", "broken", "endless", "silent")
TIMEOUT = 2.0


def poster() -> bytes:
    """A JPEG of about 25 kB: a smooth picture with some noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 6, 3), dtype=np.uint8)).resize(SIZE)
    noisy = np.asarray(coarse, dtype=np.int16) + rng.integers(-9, 10, (*SIZE[::-1], 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=80)
    return file.getvalue()


def numbered(data: bytes, number: str) -> bytes:
    """The same picture with a comment, so that each file is another one."""
    comment = number.encode()
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


def fault_of(number: int) -> str:
    """What is wrong with the answer for a poster: of each ten, one."""
    return FAULTS[number // 10 % len(FAULTS)] if number % 10 == 0 else ""


def serve(pipe: Connection, faults: bool) -> None:
    """Answer for ever; the port is sent first."""
    data, asked = poster(), Counter[str]()

    def head(status: str, length: int, more: str = "") -> bytes:
        return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                number = request.split(b" ")[1].decode().strip("/").split(".")[0]
                asked[number] += 1
                body, fault = numbered(data, number), fault_of(int(number)) if faults else ""
                if fault == "404" or (fault in ("429", "500") and asked[number] == 1):
                    writer.write(head(f"{fault} No", 0, "Retry-After: 0\r\n"))
                elif fault == "html":
                    writer.write(head("200 OK", 6) + b"<html>")
                elif fault == "cut":
                    writer.write(head("200 OK", len(body) - 99) + body[:-99])
                elif fault == "broken":
                    writer.write(head("200 OK", len(body)) + body[:-99])
                    return
                elif fault == "endless":
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    while True:
                        writer.write(body)
                        await writer.drain()
                elif fault == "silent":
                    await asyncio.sleep(60)
                else:
                    writer.write(head("200 OK", len(body)) + body)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def expected(number: int, faults: bool) -> bool:
    """Whether a poster must come."""
    return not faults or fault_of(number) in ("", "429", "500")


def measure(
    folder: Path, posters: int, faults: bool, workers: int, concurrency: int
) -> dict[str, Any]:
    """Fetch all once, and check what came."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, faults))
    server.start()
    try:
        root = f"http://127.0.0.1:{ours.recv()}"
        path = folder / "films.csv"
        with path.open("w", newline="") as file:
            rows = ((f"f{i}", f"{root}/{i}.jpg") for i in range(posters))
            csv.writer(file).writerows(itertools.chain([("id", "poster")], rows))
        settings = FetchSettings(
            concurrency=concurrency, timeout=TIMEOUT if faults else 60.0, retries=2
        )
        start = time.perf_counter()
        summary = fetch_posters(load_catalogue(path), None, settings, Context(workers=workers))
        seconds = time.perf_counter() - start
    finally:
        server.kill()
        server.join()
    with path.with_name("films-posters.csv").open(newline="") as file:
        cells = {row["id"]: row["poster"] for row in csv.DictReader(file)}
    data = poster()
    whole: Callable[[int], bool] = lambda i: (  # noqa: E731
        bool(cells[f"f{i}"]) == expected(i, faults)
        and (not cells[f"f{i}"] or (folder / cells[f"f{i}"]).read_bytes() == numbered(data, str(i)))
    )
    return {
        "posters": posters,
        "bytes_each": len(data),
        "faults": faults,
        "seconds": round(seconds, 2),
        "posters_a_second": round(posters / seconds, 1),
        "fetched": summary.fetched,
        "failed": dict(Counter(bad.reason for bad in summary.failed)),
        "wrong": sum(not whole(i) for i in range(posters)),
        "left_temporary": len(list((folder / "posters").glob(".tmp-*"))),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--posters", type=int, default=5000)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    found = []
    for _ in range(said.repeat):
        with tempfile.TemporaryDirectory() as folder:
            found.append(
                measure(Path(folder), said.posters, said.faults, said.workers, said.concurrency)
            )
        print(json.dumps(found[-1]), flush=True)
    result = {"machine": platform.machine(), "cores": usable_cores(), "runs": found}
    if said.out:
        said.out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
