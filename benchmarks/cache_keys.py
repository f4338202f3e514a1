"""The cache with many keys and small rows: opening, look-up, compaction, gc; seconds, processor, memory.

    python benchmarks/cache_keys.py --keys 1000000 10000000 --repeats 3 --out cache-keys.json

Keys are SHA-256 of numbers, rows are 8 float16, or as many as `--dimension` says, in parts of 4,096, of
which every `--small`-th is written as 16 small ones, for the compaction. Each step runs in a process of its
own on the same cache, in this order: opened before it was compacted, compacted, opened, keys looked up, rows
read, gc. What changes nothing is repeated. Peaks are of the process (VmHWM); `before` is what it took with
the library loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.cache import PART_ROWS, EmbeddingCache, EmbeddingStore, compact
from hybrid.cache.gc import collect
from hybrid.utils.resources import peak_mib

ASKED = 1_000_000  # keys of a look-up
READ = 100_000  # rows of a read
SMALL = 16  # parts that a small one is a share of


def keys_of(numbers: Any) -> list[bytes]:
    """The keys of some rows."""
    return [hashlib.sha256(i.to_bytes(8, "big")).digest() for i in numbers]


def store_of(folder: Path) -> EmbeddingStore:
    """The store of the benchmark."""
    (store,) = EmbeddingCache(folder).stores()
    return store


def make(folder: Path, n: int, dimension: int, small: int) -> None:
    """Write the parts."""
    made = {"architecture": "made", "dimension": dimension, "dtype": "float16"}
    store, random = EmbeddingCache(folder).make(made), np.random.default_rng(0)
    step = PART_ROWS // SMALL
    for start in range(0, n, small * PART_ROWS):
        first = range(start, min(start + PART_ROWS, n))
        blocks = [first[at : at + step] for at in range(0, len(first), step)]
        for rows in (*blocks, range(first.stop, min(start + small * PART_ROWS, n))):
            keys = keys_of(rows)
            store.append(
                keys, random.standard_normal((len(keys), dimension), np.float32).astype(np.float16)
            )


def open_(folder: Path, n: int) -> dict[str, Any]:
    """Open the cache, and count its rows."""
    store = store_of(folder)
    if len(store) != n:
        raise SystemExit(f"expected {n} rows, found {len(store)}")
    return {"parts": len(store.view.parts)}


def compact_(folder: Path, n: int) -> dict[str, Any]:
    """Open and compact."""
    compact(store_of(folder))
    return {}


def collect_(folder: Path, n: int) -> dict[str, Any]:
    """Remove what the compaction left."""
    return {"removed": len(collect(EmbeddingCache(folder)))}


def look_up(folder: Path, n: int) -> dict[str, Any]:
    """Look keys up in random order, half of which the cache does not have."""
    store = store_of(folder)
    keys = keys_of(np.random.default_rng(1).integers(0, 2 * n, ASKED).tolist())
    len(store)
    return {"measured": lambda: {"found": int(store.has(keys).sum())}}


def read(folder: Path, n: int) -> dict[str, Any]:
    """Read rows in random order: of nearly all parts."""
    store = store_of(folder)
    keys = keys_of(np.random.default_rng(2).integers(0, n, READ).tolist())
    len(store)
    return {"measured": lambda: {"rows": int(np.isfinite(store.read(keys)[:, 0]).sum())}}


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "open, not compacted": open_,
    "compact": compact_,
    "open": open_,
    "look up 1,000,000 keys": look_up,
    "read 100,000 rows": read,
    "gc": collect_,
}
ONCE = ("compact", "gc")


def measure(step: str, folder: Path, n: int) -> dict[str, Any]:
    """Run a step in this process."""
    before = peak_mib()
    start, spent = time.perf_counter(), time.process_time()
    found = STEPS[step](folder, n)
    if "measured" in found:  # what came before is not part of it
        start, spent = time.perf_counter(), time.process_time()
        found = found["measured"]()
    seconds, processor = time.perf_counter() - start, time.process_time() - spent
    return {
        **found,
        **{"seconds": seconds, "processor_seconds": processor},
        **{"peak_mib": peak_mib(), "before_mib": before},
    }


def run(step: str, folder: Path, n: int, repeats: int) -> dict[str, Any]:
    """Run a step in processes of its own, and summarise."""
    call = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--keys", str(n)]
    runs = []
    for _ in range(1 if step in ONCE else repeats):
        done = subprocess.run(call, stdout=subprocess.PIPE, check=True, text=True)
        runs.append(json.loads(done.stdout))
    spent = sorted(each["processor_seconds"] for each in runs)
    peak = max(each["peak_mib"] for each in runs)
    print(
        f"{n:>10,} keys  {step:<24}{statistics.median(spent):8.2f} processor s "
        f"({spent[0]:.2f} to {spent[-1]:.2f}){min(each['seconds'] for each in runs):8.2f} s at best"
        f"{peak:7.0f} MiB",
        flush=True,
    )
    return {"keys": n, "step": step, "runs": runs}


def main() -> None:
    """Parse, make a cache of each size, run the steps, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dimension", type=int, default=8)
    parser.add_argument("--small", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the caches are written")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("cache-keys.json"))
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measure(options.step, options.folder, options.keys[0])))
        return
    machine = {"system": platform.platform(), "cores": os.cpu_count()}
    summary: dict[str, Any] = {"machine": machine, "dimension": options.dimension, "steps": []}
    for n in options.keys:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            make(Path(folder), n, options.dimension, options.small)
            for step in STEPS:
                summary["steps"].append(run(step, Path(folder), n, options.repeats))
                options.out.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
