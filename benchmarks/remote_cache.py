"""A cache at a URL beside one in a folder: what writing and fetching parts takes of this side's processor.

    python benchmarks/remote_cache.py --out remote-cache.json

An S3 server of moto is started in a process of its own. Parts of 4,096 x 2,048 float16 are written to both
caches, in turn, and read by the machine that wrote them and, from S3, by one that has no mirror yet; rows
must be equal. Processor time (user and system) is that of this process, without the server; the time on the
wall is mostly that of moto, a slow server, and says little of others.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.cache import PART_ROWS, EmbeddingCache, EmbeddingStore
from hybrid.remote.filesystem import filesystem
from hybrid.utils.environment import hardware

SERVER = Path(__file__).parents[1] / "tests/remote/server.py"
DIMENSION = 2048
FIELDS = {"architecture": "random", "dimension": DIMENSION, "dtype": "float16"}
Taken = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    program = runpy.run_path(str(SERVER))
    server = program["S3Server"]()
    os.environ.update(program["settings"](server))
    taken: Taken = {}
    try:
        fs, _ = filesystem("s3://bucket")
        fs.mkdir("bucket")
        for turn in range(options.repeats):
            with tempfile.TemporaryDirectory() as folder:
                compare(Path(folder), options.parts, turn, taken)
            fs.rm("bucket/cache", recursive=True)
    finally:
        server.kill()
    found: dict[str, Any] = {
        "machine": hardware(),
        "repeats": options.repeats,
        "parts": options.parts,
    }
    found["milliseconds a part"] = {
        name: {"processor": summary([a for a, _ in each], options.parts),
               "wall": summary([b for _, b in each], options.parts)}
        for name, each in taken.items()
    }  # fmt: skip
    print(json.dumps(found, indent=2))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def compare(folder: Path, parts: int, turn: int, taken: Taken) -> None:
    """Write and read a cache in a folder and one on S3."""
    random = np.random.default_rng(turn)
    keys = [random.bytes(32) for _ in range(parts * PART_ROWS)]
    rows = random.random((len(keys), DIMENSION), dtype=np.float32).astype(np.float16)
    expected = rows.astype(np.float32)

    def on(machine: str, cache: object) -> EmbeddingStore:
        os.environ["HYBRID_REMOTE"] = str(folder / machine)
        return EmbeddingCache(str(cache)).make(FIELDS)

    def read(store: EmbeddingStore) -> None:
        if not np.array_equal(store.read(keys), expected):
            raise RuntimeError("rows differ")

    for name, cache in (("folder", folder / "cache"), ("S3", "s3://bucket/cache")):
        store = on("here", cache)
        len(store)
        timed(taken, f"written, {name}", lambda store=store: write(store, keys, rows))
        timed(taken, f"opened and read, {name}", lambda cache=cache: read(on("here", cache)))
    timed(taken, "fetched, opened and read, S3", lambda: read(on("there", "s3://bucket/cache")))
    shutil.rmtree(folder / "there")


def write(store: EmbeddingStore, keys: list[bytes], rows: Any) -> None:
    """Write part by part, as an extraction does."""
    for start in range(0, len(keys), PART_ROWS):
        some = slice(start, start + PART_ROWS)
        store.append(keys[some], rows[some])


def timed(taken: Taken, name: str, act: Callable[[], None]) -> None:
    """Note the seconds that something takes."""
    start, processor = time.perf_counter(), time.process_time()
    act()
    taken.setdefault(name, []).append(
        (time.process_time() - processor, time.perf_counter() - start)
    )


def summary(seconds: list[float], parts: int) -> dict[str, float]:
    """Median and spread, in milliseconds a part."""
    each = sorted(1000 * one / parts for one in seconds)
    found = {"median": statistics.median(each), "min": each[0], "max": each[-1]}
    return {name: round(one, 1) for name, one in found.items()}


if __name__ == "__main__":
    main()
