"""Kill `hybrid extract` again and again, go on, and look for rows that were lost or are wrong.

Run as a program, so that each life is a cheap fork of a process without threads:

    python tests/cache/fault_kill.py --kills 1000 --workers 4 --processes 1 FOLDER

With `--shards` each process has a shard of its own (`hybrid extract --shard`), and only all of them do all.
Prints one line of JSON. The backbone is a stand-in whose embedding is a hash of the pixels; everything
else is the real extraction: reading, hashing, decoding, batches, parts, leases, compaction.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

import hybrid.extraction.extract
import hybrid.extraction.plan
import hybrid.extraction.writer
import hybrid.images.resize  # each life would load numba, for longer than it lives
from hybrid.backbones.engine import Engine
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import load_catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.extraction.share import Shard
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context

BACKBONE = "mobilenet-075"
DIMENSION = 768
POSTERS = 160
Contents = dict[bytes, bytes]


def embed(posters: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A stand-in for a network: each row depends on its own poster only."""
    digests = [hashlib.sha256(poster.tobytes()).digest() for poster in posters]
    rows = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(posters), -1)
    return np.tile(rows, DIMENSION // rows.shape[1]).astype(np.float32) / 7


class StandIn(Engine):
    """Computes `embed`."""

    batch_size, depth = 8, 1

    def start(self, posters: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        rows = embed(posters)
        return lambda: rows


def write_catalogue(folder: Path) -> Path:
    """Small posters, some of them broken, two with the same bytes."""
    random_ = np.random.default_rng(0)
    (folder / "posters").mkdir(parents=True)
    for i in range(POSTERS):
        pixels = random_.integers(0, 256, (20, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "posters" / f"{i}.png")
    for i in range(0, POSTERS, 50):
        (folder / "posters" / f"{i}.png").write_bytes(b"not an image %d" % i)
    shutil.copy(folder / "posters" / "1.png", folder / "posters" / "2.png")
    table = pd.DataFrame({"id": range(POSTERS), "genres": "Drama"})
    table["poster"] = [f"posters/{i}.png" for i in range(POSTERS)]
    table.to_csv(folder / "catalogue.csv", index=False)
    return folder / "catalogue.csv"


def extract(
    catalogue: Path, cache: Path, workers: int, log: Path, shard: Shard | None = None
) -> None:
    """Extract, and note in `log` each key once the store has acknowledged it."""
    append = EmbeddingStore.append
    notes = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def noted(store: EmbeddingStore, keys: list[bytes], *rest: Any) -> None:
        append(store, keys, *rest)
        os.write(notes, "".join(key.hex() + "\n" for key in keys).encode())

    EmbeddingStore.append = noted  # type: ignore[method-assign, assignment]
    hybrid.extraction.writer.PART_ROWS = 16
    hybrid.extraction.extract.WAIT_SECONDS = 0.02
    hybrid.extraction.extract.extract_embeddings(
        load_catalogue(catalogue),
        BACKBONE,
        weights="random",
        options=EmbeddingOptions(precision="float32"),
        settings=ExtractSettings(batch_size=8, shard=shard),
        context=Context(cache=str(cache), workers=workers),
    )


def fork(*arguments: Any) -> int:
    """Extract in a process of its own; its number."""
    child = os.fork()
    if child:
        return child
    try:
        extract(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def contents(cache: Path) -> tuple[Contents, dict[bytes, str]]:
    """Everything that a new process reads: rows, and failures."""
    stores = EmbeddingCache(cache).stores()
    if not stores:
        return {}, {}
    (store,) = stores
    keys = [key.tobytes() for key in store.view.index.keys]
    rows = [row.tobytes() for row in store.read(keys)]
    return dict(zip(keys, rows, strict=True)), store.failures()


def run(
    folder: Path, kills: int, workers: int, processes: int, seed: int, shards: bool
) -> dict[str, Any]:
    """Kill until there were so many kills; compare with a run that nobody disturbed."""
    dice = random.Random(seed)
    catalogue, cache, log = write_catalogue(folder), folder / "cache", folder / "log"
    start = time.perf_counter()
    assert os.waitpid(fork(catalogue, folder / "whole", workers, folder / "x"), 0)[1] == 0
    whole, seconds = contents(folder / "whole"), time.perf_counter() - start
    counts = {"kills": 0, "lives": 0, "completed": 0, "acknowledged": 0, "lost": 0, "wrong": 0}
    while counts["kills"] < kills or cache.exists():
        lives = [
            fork(catalogue, cache, workers, log, Shard(i + 1, processes) if shards else None)
            for i in range(processes)
        ]
        time.sleep(dice.uniform(0.0, seconds))
        counts["lives"] += processes
        doomed = lives if dice.random() < 0.5 else lives[:1]
        if counts["kills"] >= kills:
            doomed = []
        for child in doomed:
            os.kill(child, signal.SIGKILL)
        killed = [os.WIFSIGNALED(os.waitpid(child, 0)[1]) for child in doomed]
        counts["kills"] += sum(killed)
        finished = [os.waitpid(child, 0)[1] == 0 for child in lives if child not in doomed]
        assert all(finished), "a life that was not killed failed"
        rows, failures = contents(cache)
        noted = log.read_text().splitlines(keepends=True) if log.exists() else []
        acknowledged = {bytes.fromhex(line) for line in noted if len(line) == 65}
        counts["lost"] += len(acknowledged - rows.keys())
        counts["wrong"] += sum(whole[0].get(key) != row for key, row in rows.items())
        if (
            not any(killed) if shards else not all(killed) or finished
        ):  # done: compare everything, and begin anew
            assert (rows, failures) == whole, "the final content is another"
            counts["completed"] += 1
            counts["acknowledged"] += len(acknowledged)
            shutil.rmtree(cache)
            log.unlink(missing_ok=True)
    return counts


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--shards", action="store_true", help="Each process has a shard of its own."
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("error")  # a part that was damaged would be told by a warning
    warnings.filterwarnings("ignore", message="random weights")
    hybrid.extraction.plan.load_backbone = lambda *_: StandIn()  # type: ignore[assignment]
    print(json.dumps(run(**vars(options))))


if __name__ == "__main__":
    main()
