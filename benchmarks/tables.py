"""Time and memory of `hybrid check` on a large catalogue without posters.

    python benchmarks/tables.py --rows 1000000

Writes a CSV file (or ``--format jsonl``, ``parquet``) of made-up films with texts, lists, numbers and a date,
runs the command on it in a process of its own, and prints as JSON what it took. ``--broken N`` adds N quotes
that are not closed, N rows that are too long and N that are too short.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

GENRES = ["Drama", "Comedy", "Action", "Horror", "War", "Crime", "Romance", "Western", "Music"]
BATCH = 50_000
COLUMNS = ["id", "title", "overview", "genres", "year", "runtime", "released", "cast", "language"]


def rows(n: int, seed: int) -> Iterator[list[str]]:
    """Yield made-up films."""
    draw = random.Random(seed)
    words = [f"word{i}" for i in range(5000)]
    texts = [", ".join(" ".join(draw.choices(words, k=8)) for _ in range(2)) for _ in range(2000)]
    for i in range(n):
        yield [
            f"tt{i:07d}",
            " ".join(draw.choices(words, k=3)),
            f"{texts[i % 2000]} {i}.",
            "|".join(draw.sample(GENRES, 1 + i % 3)),
            str(1920 + i % 100),
            str(60 + i % 120),
            f"{1920 + i % 100}-{1 + i % 12:02d}-{1 + i % 28:02d}",
            "|".join(draw.choices(words, k=3)),
            ("en", "fr", "de")[i % 3],
        ]


def write(path: Path, n: int, broken: int, seed: int) -> None:
    """Write the catalogue, by the suffix of its name."""
    frame = pd.DataFrame(rows(n, seed), columns=COLUMNS)
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
        if broken:
            _break(path, broken, seed)


def _break(path: Path, broken: int, seed: int) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    places = random.Random(seed).sample(range(1, len(lines) - 1), 3 * broken)
    for k, at in enumerate(places):
        if k % 3 == 0:
            lines[at] = lines[at].replace(",", ',"', 1)
        elif k % 3 == 1:
            lines[at] += ",more,still more"
        else:
            lines[at] = lines[at].rsplit(",", 2)[0]
    path.write_text("\n".join(lines), encoding="utf-8")


def measure(path: Path, workers: int) -> dict[str, float]:
    """Run the command; its seconds, those of the processor, and its peak memory."""
    command = [
        sys.executable,
        "-m",
        "hybrid",
        "check",
        "--catalogue",
        str(path),
        "--json",
        "--quiet",
    ]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([*command, "--workers", str(workers)], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if os.waitstatus_to_exitcode(status):
            raise SystemExit("hybrid check failed")
        out.seek(0)
        found = json.load(out)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "items": found["items"],
        "bad_rows": len(found["bad_rows"]),
        "seconds": round(seconds, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mib": round(peak / 2**20),
        "file_mib": round(path.stat().st_size / 2**20),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=["csv", "jsonl", "parquet"], default="csv")
    parser.add_argument("--broken", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"films.{options.format}"
        # In a process of its own: the memory that this one has had would count for its children.
        arguments = (path, options.rows, options.broken, options.seed)
        writer = multiprocessing.get_context("spawn").Process(target=write, args=arguments)
        writer.start()
        writer.join()
        print(json.dumps({"rows": options.rows, **measure(path, options.workers)}, indent=2))


if __name__ == "__main__":
    main()
