"""Posters in tar files beside the same posters as files: what reading them takes, and what the headers take.

    python benchmarks/archives.py films/posters --members 100000 --out archives.json

The posters of the folder are packed into shards of 1,000. Hashing and decoding are measured in turn on files
and on members, in seconds of the processor (user and system), one thread; keys and pixels must be equal. Then
a tar file of many small members is made, and its headers are read.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.images.files import hash_poster, load_poster
from hybrid.images.tar_index import TarIndex, index_tar
from hybrid.utils.environment import hardware

SHARD = 1000
SIZE = (299, 299)


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="Of posters.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--members", type=int, default=100_000, help="Of the tar file that is made."
    )
    parser.add_argument("--bytes", type=int, default=20_000, help="Of each of these members.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found: dict[str, Any] = {"machine": hardware(), "repeats": options.repeats}
        found |= compare(options.folder, Path(scratch), options.repeats)
        found |= headers(Path(scratch) / "many.tar", options)
    print(json.dumps(found, indent=2))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def compare(folder: Path, scratch: Path, repeats: int) -> dict[str, Any]:
    """Posters a second of the processor, hashed and decoded, from files and from tar files."""
    files = [str(path) for path in sorted(folder.iterdir()) if path.is_file()]
    paths = {"files": files, "tar": pack(files, scratch)}
    rates: dict[str, list[float]] = {}
    load(files[0])
    for _ in range(repeats):
        keys = {}
        for kind, each in paths.items():
            seconds, keys[kind] = timed(partial(hash_all, each))
            rates.setdefault(f"hashed, {kind}", []).append(len(each) / seconds)
            seconds, _ = timed(partial(load_all, each))
            rates.setdefault(f"decoded, {kind}", []).append(len(each) / seconds)
        if keys["files"] != keys["tar"]:
            raise RuntimeError("keys differ")
    if not all(np.array_equal(load(a), load(b)) for a, b in zip(*paths.values(), strict=True)):
        raise RuntimeError("pixels differ")
    return {"posters": len(files), "posters a second": {k: summary(v) for k, v in rates.items()}}


def hash_all(paths: list[str]) -> list[Any]:
    """The keys of posters."""
    return list(map(hash_poster, paths))


def load_all(paths: list[str]) -> None:
    """Decode posters, one after another; nothing is kept."""
    for path in paths:
        load(path)


def load(path: str) -> Any:
    """The pixels of a poster."""
    return load_poster(path, SIZE)


def pack(files: list[str], scratch: Path) -> list[str]:
    """Pack files into shards; the members' references."""
    names = []
    for start in range(0, len(files), SHARD):
        path = scratch / f"shard-{start // SHARD:04d}.tar"
        with tarfile.open(path, "w") as tar:
            for file in files[start : start + SHARD]:
                tar.add(file, Path(file).name)
                names.append(f"{path}#{Path(file).name}")
    return names


def headers(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds to read the headers of a tar file, and to look its members up."""
    data, names = bytes(options.bytes), [f"{i:08d}.jpg" for i in range(options.members)]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    size, scans, finds = path.stat().st_size, [], []
    with path.open("rb") as file:
        for _ in range(options.repeats):
            seconds, index = timed(partial(index_tar, partial(os.pread, file.fileno()), size))
            scans.append(seconds)
            seconds, _ = timed(partial(find_all, index, names))
            finds.append(1e6 * seconds / options.members)
    return {
        "members": options.members,
        "GB": round(size / 1e9, 2),
        "seconds to read the headers": summary(scans),
        "microseconds to look one up": summary(finds),
    }


def find_all(index: TarIndex, names: list[str]) -> None:
    """Look members up."""
    for name in names:
        index.find(name)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, user and system, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def summary(values: list[float]) -> dict[str, float]:
    """Median and spread."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


if __name__ == "__main__":
    main()
