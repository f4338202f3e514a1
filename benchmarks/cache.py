"""The embedding cache beside plain files: writing, reading, opening, and a full-hit extract.

    python benchmarks/cache.py --out cache.json

Each side has the same bytes, in the same folder, in turn; prints ratios, median and range of the repeats.
Needs about 12 GB of disk in --folder while it runs; --scale 0.1 needs a tenth, and tells a tenth.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hybrid.backbones import get_backbone, resolve_weights
from hybrid.cache import PART_ROWS, EmbeddingStore, compact
from hybrid.extraction.lookup import make_store

BACKBONE = "inception"
DIMENSION = 2048
POSTER_BYTES = 20_000  # what a poster of 182 x 268 pixels takes as a JPEG file


def repeat(
    n: int, *sides: Callable[[], Any], before: Callable[[], Any] = lambda: None
) -> list[list[float]]:
    """Seconds of each side, in turn, n times; what comes before each is not counted."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(n):
        for side, found in zip(sides, seconds, strict=True):
            before()
            start = time.perf_counter()
            side()
            found.append(time.perf_counter() - start)
    return seconds


def ratios(above: list[float], below: list[float]) -> dict[str, float]:
    """Median and range of the pairwise ratios, and the medians themselves."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return {
        "ratio": statistics.median(each),
        "lowest": min(each),
        "highest": max(each),
        "seconds": statistics.median(above),
        "seconds_other": statistics.median(below),
    }


def keys_of(rows: int) -> list[bytes]:
    return [hashlib.sha256(i.to_bytes(8, "big")).digest() for i in range(rows)]


def new_store(folder: Path, dtype: str = "float16") -> EmbeddingStore:
    spec = get_backbone(BACKBONE)
    return make_store(str(folder), spec, resolve_weights(spec, "random"), dtype)


def fill(store: EmbeddingStore, keys: list[bytes]) -> None:
    """Append random embeddings, a part at a time, so that little is held in memory."""
    random = np.random.default_rng(0)
    for start in range(0, len(keys), PART_ROWS):
        part = keys[start : start + PART_ROWS]
        store.append(part, random.standard_normal((len(part), DIMENSION), dtype=np.float32))


def write(folder: Path, rows: int, n: int) -> dict[str, dict[str, float]]:
    """Appending parts, beside writing the same bytes to plain files with an fsync each."""
    fill(new_store(folder / "model"), keys_of(rows))
    parts = [p.read_bytes() for p in sorted((folder / "model").rglob("part-*.h5"))]
    keys, random = keys_of(rows), np.random.default_rng(0)
    single = random.standard_normal((rows, DIMENSION), dtype=np.float32)
    half = single.astype(np.float16)

    stores: list[EmbeddingStore] = []

    def clear() -> None:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        shutil.rmtree(folder / "plain", ignore_errors=True)
        (folder / "plain").mkdir()
        stores[:] = [new_store(folder / "cache")]
        len(stores[0])  # has looked at the disk
        os.sync()  # what the side before left to write is not this one's

    def part_by_part() -> None:
        for i in range(0, rows, PART_ROWS):
            stores[0].append(keys[i : i + PART_ROWS], half[i : i + PART_ROWS])

    def plain() -> None:
        for i, data in enumerate(parts):
            with (folder / "plain" / str(i)).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

    sides = repeat(
        n,
        plain,
        lambda: stores[0].append(keys, half),
        lambda: stores[0].append(keys, single),
        part_by_part,
        before=clear,
    )
    return {
        "plain / append of float16": ratios(sides[0], sides[1]),
        "plain / append of float32, converted": ratios(sides[0], sides[2]),
        "plain / append of float16, one part a call": ratios(sides[0], sides[3]),
    }


def read(folder: Path, rows: int, n: int) -> dict[str, dict[str, float]]:
    """Looking up all keys, shuffled, beside `np.load` of the same rows."""
    keys = keys_of(rows)
    store = new_store(folder / "cache")
    fill(store, keys)
    matrix = store.read(keys)
    np.save(folder / "float32.npy", matrix)
    np.save(folder / "float16.npy", matrix.astype(np.float16))
    shuffled = [keys[i] for i in np.random.default_rng(1).permutation(rows)]
    del matrix
    sides = repeat(
        n,
        lambda: store.read(keys),
        lambda: store.read(shuffled),
        lambda: np.load(folder / "float16.npy"),
        lambda: np.load(folder / "float32.npy"),
        lambda: np.load(folder / "float16.npy").astype(np.float32),
    )
    in_order, out_of_order, half, single, converted = sides
    return {
        "in order / np.load of float16": ratios(in_order, half),
        "in order / np.load of float32": ratios(in_order, single),
        "in order / np.load of float16, to float32": ratios(in_order, converted),
        "shuffled / np.load of float16": ratios(out_of_order, half),
    }


OPEN = """
import json, re, sys, time
from pathlib import Path
from hybrid.cache import EmbeddingCache

def peak():  # not ru_maxrss, which starts from the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

before = peak()
start = time.perf_counter()
(store,) = EmbeddingCache(sys.argv[1]).stores()
rows = len(store)
seconds = time.perf_counter() - start
print(json.dumps({"rows": rows, "seconds": seconds, "peak_mib": peak(), "before_mib": before}))
"""


def open_(folder: Path, rows: int, n: int) -> dict[str, Any]:
    """Opening a large cache in a new process: seconds, and the whole process's peak memory."""
    store = new_store(folder / "cache")
    fill(store, keys_of(rows))
    compact(store)
    found = []
    for _ in range(n):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(folder / "cache")], capture_output=True, check=True
        )
        found.append(json.loads(done.stdout))
    return {name: statistics.median(run[name] for run in found) for name in found[0]}


def full_hit(folder: Path, rows: int, n: int) -> dict[str, Any]:
    """`hybrid extract` with nothing to compute, beside reading and hashing the files."""
    posters = folder / "posters"
    posters.mkdir(parents=True)
    random, keys = np.random.default_rng(0), []
    for i in range(rows):
        data = random.bytes(POSTER_BYTES)
        (posters / f"{i}.jpg").write_bytes(data)
        keys.append(hashlib.sha256(data).digest())
    table = pd.DataFrame({"id": np.arange(rows), "genres": "Drama"})
    table["poster"] = [f"posters/{i}.jpg" for i in range(rows)]
    table.to_csv(folder / "catalogue.csv", index=False)
    fill(new_store(folder / ".hybrid-cache"), keys)
    memo = folder / ".hybrid-cache" / "memo" / "keys"
    time.sleep(3)  # files this young are not remembered

    def extract() -> None:
        code = "from hybrid.cli.main import main; main()"
        arguments = ["extract", "--backbone", BACKBONE, "--weights", "random", "--quiet"]
        subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=folder, check=True, capture_output=True
        )

    def forget() -> None:
        memo.unlink(missing_ok=True)

    def hash_files() -> None:
        def one(path: str) -> bytes:
            with open(path, "rb") as file:  # noqa: PTH123
                return hashlib.sha256(file.read()).digest()

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, [str(posters / f"{i}.jpg") for i in range(rows)]))

    hash_files()  # so that both sides find the files in memory
    sides = repeat(n, forget, extract, extract, hash_files)
    return {
        "posters": rows,
        "first extract / reading and hashing": ratios(sides[1], sides[3]),
        "second extract, with the memo": ratios(sides[2], sides[3]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="Share of the full sizes.")
    parser.add_argument(
        "--folder", type=Path, help="Where to write; a temporary folder by default."
    )
    parser.add_argument("--only", choices=["write", "read", "open", "full_hit"])
    parser.add_argument("--out", type=Path, default=Path("cache.json"))
    options = parser.parse_args()
    jobs: dict[str, tuple[Callable[[Path, int, int], dict[str, Any]], int]] = {
        "write": (write, 60_000),
        "read": (read, 60_000),
        "open": (open_, 1_000_000),
        "full_hit": (full_hit, 60_000),
    }
    found: dict[str, Any] = {"machine": {"system": platform.platform(), "cores": os.cpu_count()}}
    found |= {"scale": options.scale, "repeats": options.repeats}
    for name, (job, rows) in jobs.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                found[name] = job(Path(folder), int(rows * options.scale), options.repeats)
            print(json.dumps({name: found[name]}, indent=2), flush=True)
    options.out.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
