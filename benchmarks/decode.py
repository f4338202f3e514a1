"""Posters decoded, with nothing computed: the side of an extraction that a GPU waits for.

    python benchmarks/decode.py films/posters --posters 3448 --out decode.json
    python benchmarks/decode.py --synthetic 3000 --workers 1 2 16

Files are read, hashed, decoded, looked through for damage, resized to 299 x 299 and collected in batches, as
in `hybrid extract`, by threads of one process, and by processes of their own. An engine that does nothing
takes the batches. The table has, as medians of `--repeat` runs in turn,

- posters a second by the clock, which says little on a machine that does other things, too;
- milliseconds of the processor that a poster takes of the process that runs the pipeline, and of the others;
- the rate that 16 cores would feed by processes, unless the pipeline's process, which does its part alone, is
  the limit. Of threads it is not told: they share the interpreter for a part of the decoding, which no time
  of the processor shows.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from extract import draw, found

from hybrid.backbones.devices import processor_name
from hybrid.backbones.engine import Engine
from hybrid.extraction.decoding import Decoders, DecodingThreads
from hybrid.extraction.decoding_processes import DecodingProcesses
from hybrid.extraction.pipeline import EmbeddingPipeline, Target
from hybrid.images.decode import Geometry

CORES = 16  # of a machine with a GPU
SIZE = (299, 299)
KINDS: dict[str, Callable[[int], Decoders]] = {
    "threads": DecodingThreads,
    "processes": DecodingProcesses,
}


class Nothing(Engine):
    """Takes batches, and computes nothing."""

    batch_size, depth = 256, 2

    def start(self, posters: Any) -> Callable[[], Any]:
        """Give rows of zeros."""
        rows = np.zeros((len(posters), 2048), dtype=np.float32)
        return lambda: rows


class Count:
    """A writer that counts."""

    embedded = failed = 0

    def add(self, keys: Sequence[bytes], rows: Any, failures: Mapping[bytes, str]) -> None:
        """As any writer."""
        self.embedded += len(keys)
        self.failed += len(failures)


def decode(kind: str, workers: int, paths: Sequence[str]) -> dict[str, float]:
    """Posters a second by the clock, and milliseconds of the processor a poster; the start is not counted."""
    writer = Count()
    target = Target(Geometry(SIZE), Nothing(), writer)
    decoders = KINDS[kind](workers)
    pipeline = EmbeddingPipeline(decoders, lambda n: None)
    for path in paths[: 64 * workers]:  # processes import what they need
        pipeline.put(path, [target])
    pipeline.finish()
    others = [process.pid for process in getattr(decoders, "_processes", ())]
    before = np.array([time.perf_counter(), time.process_time(), seconds_of(others)])
    for path in paths:
        pipeline.put(path, [target])
    pipeline.finish()
    now = np.array([time.perf_counter(), time.process_time(), seconds_of(others)])
    pipeline.close()
    decoders.close()
    clock, here, there = ((now - before) / len(paths)).tolist()
    return {
        "posters a second": 1 / clock,
        "ms of the pipeline": 1000 * here,
        "ms of others": 1000 * there,
        "failed": writer.failed,
    }


def seconds_of(processes: Sequence[int]) -> float:
    """Processor seconds of processes so far, user and system; on Linux."""
    fields = [
        Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in processes
    ]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def measure(paths: Sequence[str], workers: Sequence[int], repeat: int) -> list[dict[str, Any]]:
    """Every kind and number of workers, in turn: medians, and the range of the rate."""
    cases = [(kind, number) for kind in KINDS for number in workers]
    runs: dict[tuple[str, int], list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(repeat):
        for case in cases:
            runs[case].append(decode(*case, paths))
    rows = []
    for (kind, number), each in runs.items():
        row: dict[str, Any] = {"by": kind, "workers": number}
        row |= {name: statistics.median(run[name] for run in each) for name in each[0]}
        rates = [run["posters a second"] for run in each]
        row["range"] = [min(rates), max(rates)]
        if kind == "processes":
            row["16 cores would feed"] = would_feed(row["ms of the pipeline"], row["ms of others"])
        rows.append(row)
    return rows


def would_feed(pipeline: float, others: float, cores: int = CORES) -> float:
    """Posters a second of so many cores, given the milliseconds of one for a poster."""
    return min(1000 / pipeline, 1000 * cores / (pipeline + others))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| by | workers | posters a second | range | ms of the pipeline | ms of others "
        "| 16 cores would feed |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["range"]
        feeds = f"{row['16 cores would feed']:,.0f}" if "16 cores would feed" in row else ""
        lines.append(
            f"| {row['by']} | {row['workers']} | {row['posters a second']:,.0f} | {low:,.0f} to {high:,.0f} "
            f"| {row['ms of the pipeline']:.3f} | {row['ms of others']:.3f} | {feeds} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="Of posters.")
    parser.add_argument("--posters", type=int, default=512)
    parser.add_argument("--synthetic", type=int, help="Draw so many posters instead.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    machine = {"processor": processor_name(), "cores": os.cpu_count(), "load": os.getloadavg()}
    with tempfile.TemporaryDirectory() as folder:
        paths = draw(Path(folder), options.synthetic) if options.synthetic else found(options)
        rows = measure(paths, options.workers, options.repeat)
    print(table(rows))
    if options.out:
        result = {"machine": machine, "posters": len(paths), "decoding": rows}
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
