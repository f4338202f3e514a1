"""`hybrid audit` on a large made catalogue: seconds and peak memory, new and with looks remembered.

    python benchmarks/audit.py films/posters --items 60000 --out audit.json

Posters are copies of those in the folder, one byte longer each, so that each has to be decoded; so the
catalogue is full of near duplicates, which is more work than a clean one. Overviews are drawn from 20,000
words. Embeddings of `--dimension` numbers are random. Needs about 1 GB of disk while it runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hybrid.utils.context import Context

GENRES = ("Drama", "Comedy", "Horror", "Western", "Music")


def make_catalogue(folder: Path, posters: list[Path], items: int) -> None:
    """catalogue.csv and posters."""
    random = np.random.default_rng(0)
    (folder / "posters").mkdir()
    with (folder / "catalogue.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "year", "genres", "overview", "poster"])
        for i in range(items):
            source = posters[i % len(posters)]
            name = f"posters/{i}{source.suffix}"
            # After the end of a JPEG decoders read nothing.
            (folder / name).write_bytes(source.read_bytes() + i.to_bytes(3, "big"))
            words = " ".join(f"w{k}" for k in random.zipf(1.3, 50) % 20_000)
            genres = "|".join(random.choice(GENRES, 2, replace=False))
            writer.writerow([i, f"Film {i}", random.integers(1920, 2020), genres, words, name])


def store_embeddings(folder: Path, dimension: int) -> None:
    """Random embeddings under the keys of the posters."""
    from hybrid.cache import EmbeddingCache
    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.lookup import hash_catalogue

    cache = str(folder / ".hybrid-cache")
    keys = hash_catalogue(load_catalogue(folder / "catalogue.csv"), context=Context(cache=cache))
    known = [key for key in dict.fromkeys(keys) if isinstance(key, bytes)]
    store = EmbeddingCache(cache).make(
        {"architecture": "made", "dimension": dimension, "dtype": "float16"}
    )
    random = np.random.default_rng(0)
    for start in range(0, len(known), 4096):
        some = known[start : start + 4096]
        store.append(some, random.standard_normal((len(some), dimension), dtype=np.float32))


def hybrid(folder: Path, *arguments: str) -> dict[str, float]:
    """Run one command; its seconds and peak memory. An audit that finds leaks exits 1."""
    code = "from hybrid.cli.main import main; main()"
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--quiet"], cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"hybrid {' '.join(arguments)} failed")
    return {"seconds": time.perf_counter() - start, "peak_mib": usage.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("posters", type=Path)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--out", type=Path, default=Path("audit.json"))
    options = parser.parse_args()
    found: dict[str, object] = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "items": options.items,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_catalogue(folder, sorted(options.posters.glob("*.jpg")), options.items)
        found["split"] = hybrid(folder, "split", "--method", "random")
        store_embeddings(folder, options.dimension)
        # The split found no cache to keep looks in; the first audit does.
        found["audit, all looks new"] = hybrid(folder, "audit")
        found["audit, looks remembered"] = hybrid(folder, "audit")
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
