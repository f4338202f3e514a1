"""The near-duplicate search on made items, some of them planted near-duplicates: seconds, memory, recall.

    python benchmarks/near_duplicates.py --items 60000 1000000 --out near-duplicates.json

Each search runs in a process of its own. Up to `--all-pairs` items its pairs are those of a comparison of all
pairs, or the benchmark fails. Embeddings lie in a file of float16, and are read as they are from the cache.
Hashes and embeddings are random, which is the least work; texts are drawn from 20,000 words, frequent ones
more often. A planted hash differs in up to 18 bits, a planted embedding has a cosine from 0.9 on, a planted
text lacks up to a fifth of its words.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.duplicates.cosine import search_by_cosine
from hybrid.duplicates.groups import MAX_BITS, MIN_COSINE, MIN_JACCARD
from hybrid.duplicates.hamming import near_duplicates_by_hamming
from hybrid.duplicates.jaccard import near_duplicates_by_jaccard
from hybrid.duplicates.similarity import connected_components
from hybrid.duplicates.standardised_rows import StandardisedRows

PLANTED = 0.02
WORDS, LENGTH = 20_000, 50


def plant(n: int) -> tuple[Any, Any]:
    """Positions of originals, and of their near-duplicates, which are the last items."""
    m = int(PLANTED * n)
    return np.random.default_rng(1).permutation(n - m)[:m], np.arange(n - m, n)


def time_it(search: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a search finds, its seconds, and those of all processors."""
    start, spent = time.perf_counter(), time.process_time()
    found = search()
    seconds = time.perf_counter() - start
    return found, {"seconds": seconds, "processor_seconds": time.process_time() - spent}


def recall_of(pairs: Any, wanted: Any, n: int) -> float:
    """Share of some pairs that were found."""
    return float(np.isin(wanted[:, 0] * n + wanted[:, 1], pairs[:, 0] * n + pairs[:, 1]).mean())


def search_hashes(n: int, options: argparse.Namespace) -> dict[str, Any]:
    """Perceptual hashes of 128 bits."""
    random, (first, last) = np.random.default_rng(0), plant(n)
    hashes = random.integers(0, 256, (n, 16), dtype=np.uint8)
    places = np.argsort(random.random((len(first), 128)), axis=1) < random.integers(
        0, MAX_BITS + 1, (len(first), 1)
    )
    hashes[last] = hashes[first] ^ np.packbits(places, axis=1)
    near_duplicates_by_hamming(hashes[:10], MAX_BITS)  # compiles the loops
    near_duplicates_by_hamming(hashes[:5000], MAX_BITS)
    pairs, spent = time_it(lambda: near_duplicates_by_hamming(hashes, MAX_BITS))
    if n <= options.all_pairs:
        signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
        check(pairs, near_duplicates_by_cosine_of_all(signs, 128 - 2 * MAX_BITS), n)
    component = connected_components(n, pairs)
    return {**spent, "recall": float((component[first] == component[last]).mean())}


def near_duplicates_by_cosine_of_all(rows: Any, least: float) -> Any:
    """All pairs whose product reaches a threshold, by comparing all of them."""
    found = []
    for start in range(0, len(rows), 500):
        i, j = np.nonzero(rows[start : start + 500] @ rows.T >= least)
        found.append(np.stack([start + i, j], axis=1)[start + i < j])
    return np.concatenate(found)


def check(pairs: Any, expected: Any, n: int) -> None:
    """Both connect the same items."""
    ours, theirs = (connected_components(n, each) for each in (pairs, expected))
    if (ours != theirs).any():
        raise SystemExit(f"expected other components than {len(pairs)} pairs make of {n} items")


class FileRows:
    """Rows of float16 in a file, read as float32."""

    def __init__(self, path: Path, n: int, dimension: int) -> None:
        self.shape = (n, dimension)
        self.rows = np.memmap(path, dtype=np.float16, mode="r", shape=self.shape)

    def __getitem__(self, positions: Any) -> Any:
        return np.asarray(self.rows[positions], dtype=np.float32)


def search_embeddings(n: int, options: argparse.Namespace) -> dict[str, Any]:
    """Embeddings of `--dimension` numbers."""
    (first, last), dimension = plant(n), options.dimension
    original = np.full(n, -1)
    original[last] = first
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "rows"
        with path.open("wb") as file:
            for start in range(0, n, 4096):
                rows = made_rows(np.arange(start, min(start + 4096, n)), dimension)
                of = original[start : start + 4096]
                planted = np.flatnonzero(of >= 0)
                if len(planted):
                    cosine = np.random.default_rng(start).uniform(MIN_COSINE, 1, (len(planted), 1))
                    source = made_rows(of[planted], dimension)
                    rows[planted] = cosine * source + np.sqrt(1 - cosine**2) * rows[planted]
                file.write(rows.astype(np.float16).tobytes())
        rows = FileRows(path, n, dimension)
        search_by_cosine(StandardisedRows(rows[:3000]), MIN_COSINE)  # compiles the loops
        found, spent = time_it(lambda: search_by_cosine(StandardisedRows(rows), MIN_COSINE))
        made = StandardisedRows(rows)
        wanted = np.stack([first, last], axis=1)
        cosines = [
            np.einsum("ij,ij->i", made[some[:, 0]], made[some[:, 1]])
            for some in np.array_split(wanted, max(1, len(wanted) // 1000))
        ]
        wanted = wanted[np.concatenate(cosines) >= MIN_COSINE]
        if n <= options.all_pairs:
            check(found.pairs, near_duplicates_by_cosine_of_all(made[:], MIN_COSINE), n)
    recall = recall_of(found.pairs, wanted, n)
    return {**spent, "recall": recall, "note": found.note, "dimension": dimension}


def made_rows(positions: Any, dimension: int) -> Any:
    """Random rows, the same for the same positions."""
    rows = np.empty((len(positions), dimension), dtype=np.float32)
    for row, position in zip(rows, positions.tolist(), strict=True):
        np.random.default_rng([7, position]).standard_normal(out=row, dtype=np.float32)
    return rows


def search_texts(n: int, options: argparse.Namespace) -> dict[str, Any]:
    """Texts of 50 words."""
    random, (first, last) = np.random.default_rng(0), plant(n)
    words = random.zipf(1.3, (n, LENGTH)) % WORDS
    texts = [" ".join(f"w{word}" for word in row) for row in words.tolist()]
    for i, j in zip(first.tolist(), last.tolist(), strict=True):
        at = random.integers(0, LENGTH - 10)
        kept = [*words[i, :at].tolist(), *words[i, at + random.integers(0, 11) :].tolist()]
        texts[j] = " ".join(f"w{word}" for word in kept)
    del words
    pairs, spent = time_it(lambda: near_duplicates_by_jaccard(texts, MIN_JACCARD))
    wanted = np.stack([first, last], axis=1)
    near = [texts[i] != texts[j] for i, j in wanted.tolist()]
    return {**spent, "recall": recall_of(pairs, wanted[near], n)}


SEARCHES = {"hashes": search_hashes, "embeddings": search_embeddings, "texts": search_texts}


def main() -> None:
    """Parse, search each kind in a process of its own, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[60_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--all-pairs", type=int, default=60_000, help="items, up to which to check")
    parser.add_argument("--folder", type=Path, help="where the embeddings are written")
    parser.add_argument("--only", action="store_true", help="search in this process, and print")
    parser.add_argument("--out", type=Path, default=Path("near-duplicates.json"))
    options = parser.parse_args()
    if options.only:
        found = SEARCHES[options.kinds[0]](options.items[0], options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**found, "peak_mib": peak}))
        return
    machine = {"system": platform.platform(), "cores": os.cpu_count()}
    summary: dict[str, Any] = {"machine": machine, "searches": []}
    for items in options.items:
        for kind in options.kinds:
            call = [sys.executable, __file__, "--only", "--items", str(items), "--kinds", kind]
            call += ["--dimension", str(options.dimension), "--all-pairs", str(options.all_pairs)]
            call += ["--folder", str(options.folder)] if options.folder else []
            printed = subprocess.run(call, check=True, capture_output=True, text=True).stdout
            result = {"items": items, "kind": kind, **json.loads(printed)}
            summary["searches"].append(result)
            print(
                "{items:>9,} {kind:<10} {seconds:8.1f} s {processor_seconds:8.1f} processor s "
                "{peak_mib:7.0f} MiB  recall {recall:.5f}".format(**result),
                flush=True,
            )
            options.out.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
