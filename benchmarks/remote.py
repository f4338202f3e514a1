"""Posters at a URL beside the same posters as files: what reading them takes of this side's processor.

    python benchmarks/remote.py films/posters --out remote.json

An S3 server of moto is started in a process of its own, and the posters of the folder are put into it. Keys
of both must be equal. Processor time (user and system) is that of the reading process, without the server;
the time on the wall is mostly that of moto, a slow server, and says little of others.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from hybrid.cache import EmbeddingCache
from hybrid.images.files import hash_poster, load_poster
from hybrid.images.hashes import hash_posters
from hybrid.remote.filesystem import filesystem
from hybrid.utils.environment import hardware

SERVER = Path(__file__).parents[1] / "tests/remote/server.py"
SIZE = (299, 299)


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="Of posters.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--limit", type=int, default=1000, help="Posters that are taken.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = [str(path) for path in sorted(options.folder.iterdir()) if path.is_file()]
    files = files[: options.limit]
    found = runpy.run_path(str(SERVER))
    server = found["S3Server"]()
    os.environ.update(found["settings"](server))
    try:
        urls = upload(files)
        rates = compare({"files": files, "S3": urls}, options)
    finally:
        server.kill()
    found = {"machine": hardware(), "repeats": options.repeats, "posters": len(files)}
    found |= {"bytes": sum(Path(file).stat().st_size for file in files), "of each": rates}
    print(json.dumps(found, indent=2))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def upload(files: list[str]) -> list[str]:
    """Put files into a bucket; their URLs."""
    fs, _ = filesystem("s3://posters")
    fs.mkdir("posters")
    fs.pipe({f"posters/{Path(file).name}": Path(file).read_bytes() for file in files})
    return [f"s3://posters/{Path(file).name}" for file in files]


def compare(paths: dict[str, list[str]], options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a poster, of the processor and on the wall."""
    taken: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as cache:
        EmbeddingCache(cache).make({"dimension": 2})
        load_poster(paths["files"][0], SIZE)
        for _ in range(options.repeats):
            keys = {}
            for kind, each in paths.items():
                pooled = partial(in_threads, hash_poster, each, options.threads)
                keys[kind] = timed(taken, f"read and hashed, {kind}", pooled)
                pooled = partial(in_threads, partial(load_poster, size=SIZE), each, options.threads)
                timed(taken, f"read and decoded, {kind}", pooled)
                remembered = partial(hash_all, cache, each, options.threads)
                remembered()
                keys[f"{kind} again"] = timed(taken, f"remembered, {kind}", remembered)
            if any(found != keys["files"] for found in keys.values()):
                raise RuntimeError("keys differ")
    n = len(paths["files"])
    return {name: {"processor": summary([a for a, _ in each], n), "wall": summary([b for _, b in each], n)}
            for name, each in taken.items()}  # fmt: skip


def hash_all(cache: str, paths: list[str], threads: int) -> list[Any]:
    """Keys, as far as a cache remembers them."""
    return list(hash_posters(cache, paths, threads))


def in_threads(function: Callable[[str], Any], paths: list[str], threads: int) -> list[Any]:
    """What a function returns for each."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, paths))


def timed(
    taken: dict[str, list[tuple[float, float]]], name: str, function: Callable[[], Any]
) -> Any:
    """Note the seconds that a function takes."""
    start, processor = time.perf_counter(), time.process_time()
    found = function()
    taken.setdefault(name, []).append(
        (time.process_time() - processor, time.perf_counter() - start)
    )
    return found


def summary(seconds: list[float], n: int) -> dict[str, float]:
    """Median and spread, in milliseconds a poster."""
    each = sorted(1000 * one / n for one in seconds)
    found = {"median": statistics.median(each), "min": each[0], "max": each[-1]}
    return {name: round(one, 3) for name, one in found.items()}


if __name__ == "__main__":
    main()
