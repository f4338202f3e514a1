"""Grouped iterative stratification of made items: processor seconds of each step, memory, and what it missed.

    python benchmarks/split.py --items 20000 200000 1000000 10000000 --repeats 3 --out split.json
    python benchmarks/split.py --items 200000 1000000 --command --out split-command.json

Items have 20 labels, on 35 % to 0.2 % of them. Of the data `pairs` a tenth of the items are in groups of 2
to 12, whose labels differ; of `series` all are, in groups of one to a thousandth of the items (a power law),
and a group has one set of labels. Each run is in a process of its own. With `--command` the whole of
`hybrid split` is run on a CSV file of these items, with the groups as a column.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.splitting.findings import check_parts, describe_split
from hybrid.splitting.methods import check_group_sizes, connected_groups
from hybrid.splitting.split_file import write_split
from hybrid.splitting.splits import SHARES, make_split
from hybrid.utils.resources import peak_mib

LABELS = 20
RATES = np.geomspace(0.35, 0.002, LABELS)
GROUPED = 0.1  # of the items of `pairs`
LARGEST = 0.001  # of the items of `series`, in the largest group


def make_items(n: int, data: str) -> tuple[Any, Any, Any]:
    """Ids, labels, and the group of each item: a number."""
    random = np.random.default_rng(0)
    ids = np.array([f"tt{i:08}" for i in random.permutation(n).tolist()])
    if data == "pairs":
        sizes, most = random.integers(2, 13, n // 20), GROUPED * n
    else:
        sizes, most = np.minimum(random.zipf(1.6, n), max(2, int(LARGEST * n))), n
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), most)]
    grouped = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.append(grouped, np.arange(len(sizes), len(sizes) + n - len(grouped)))
    if data == "series":
        labels = (random.random((groups[-1] + 1, LABELS), np.float32) < RATES).view(np.uint8)
        return ids, labels[groups], groups
    return ids, (random.random((n, LABELS), np.float32) < RATES).view(np.uint8), groups


def together(ids: Any, groups: Any) -> list[tuple[str, ...]]:
    """The ids of each group of two or more."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(starts, append=len(groups))
    several = zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True)
    return [tuple(ids[start : start + size].tolist()) for start, size in several]


class Steps:
    """Processor seconds, and the peak of memory so far, of each step."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, float]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step."""
        start = time.process_time()
        yield
        seconds = time.process_time() - start
        self.told[name] = {"processor_seconds": seconds, "peak_mib": peak_mib()}


def split_arrays(n: int, data: str, folder: Path) -> dict[str, Any]:
    """Run each step of a split on arrays, and write its file."""
    split_once(1000, data, folder, Steps())  # compiles the loops
    steps = Steps()
    found = split_once(n, data, folder, steps)
    spent = [step["processor_seconds"] for step in steps.told.values()]
    return {**found, "steps": steps.told, "processor_seconds": sum(spent), "peak_mib": peak_mib()}


def split_once(n: int, data: str, folder: Path, steps: Steps) -> dict[str, Any]:
    """Split n items; what came of it."""
    ids, labels, numbers = make_items(n, data)
    known = together(ids, numbers)
    with steps.step("connect groups"):
        groups = connected_groups(ids, known)
    del known
    with steps.step("assign and hash"):
        check_group_sizes(groups, SHARES)
        split = make_split(ids, labels, groups=groups)
    with steps.step("check and describe"):
        check_parts(split, SHARES)
        told = describe_split(split, labels, [f"g{j}" for j in range(LABELS)], SHARES)
    with steps.step("write"):
        write_split(split, folder / "splits.csv")
    return {
        "groups": int(numbers[-1]) + 1,
        "sha256": split.sha256,
        "told": [finding.message for finding in told],
    }


def split_command(n: int, data: str, folder: Path) -> dict[str, Any]:
    """Run `hybrid split` on a CSV file."""
    write_catalogue(n, data, folder / "catalogue.csv")
    call = [sys.executable, "-m", "hybrid", "split", "--group-column", "series", "--quiet"]
    with subprocess.Popen([*call, "--no-near-duplicates"], cwd=folder, env=environment()) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"hybrid split: exit code {child.returncode}")
    return {
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "sha256": hashlib.sha256((folder / "splits.csv").read_bytes()).hexdigest(),
    }


def write_catalogue(n: int, data: str, path: Path) -> None:
    """Write the items as CSV: id, genres, and the group, where an item is not alone in it."""
    ids, labels, groups = make_items(n, data)
    alone = np.bincount(groups)[groups] == 1
    names = np.array([f"Genre {j}" for j in range(LABELS)], dtype=object)
    with path.open("w") as file:
        file.write("id,genres,series\n")
        for i in range(n):
            genres = "|".join(names[labels[i] != 0])
            file.write(f"{ids[i]},{genres},{'' if alone[i] else groups[i]}\n")


def environment() -> dict[str, str]:
    """Of a process that finds the library of this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run(options: argparse.Namespace, n: int) -> dict[str, Any]:
    """One run, in a process of its own."""
    call = [sys.executable, __file__, "--only", "--items", str(n), "--data", options.data]
    call += ["--folder", str(options.folder)] if options.folder else []
    call += ["--command"] if options.command else []
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=environment())
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Parse, run each size so many times, print medians and spread, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--data", choices=("pairs", "series"), default="pairs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--command", action="store_true", help="run hybrid split on a CSV file")
    parser.add_argument("--folder", type=Path, help="where files are written")
    parser.add_argument("--only", action="store_true", help="run once in this process, and print")
    parser.add_argument("--out", type=Path, default=Path("split.json"))
    options = parser.parse_args()
    if options.only:
        split = split_command if options.command else split_arrays
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            print(json.dumps(split(options.items[0], options.data, Path(folder))))
        return
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "numpy": np.__version__}
    summary: dict[str, Any] = {"machine": machine, "data": options.data, "splits": []}
    for n in options.items:
        runs = [run(options, n) for _ in range(options.repeats)]
        seconds = sorted(each["processor_seconds"] for each in runs)
        peak = statistics.median(each["peak_mib"] for each in runs)
        summary["splits"].append({"items": n, "command": options.command, "runs": runs})
        print(
            f"{n:>10,} items  {statistics.median(seconds):7.1f} processor s "
            f"({seconds[0]:.1f} to {seconds[-1]:.1f})  {peak:6.0f} MiB",
            flush=True,
        )
        for name in runs[0].get("steps", ()):
            some = sorted(each["steps"][name]["processor_seconds"] for each in runs)
            most = max(each["steps"][name]["peak_mib"] for each in runs)
            print(f"{'':>18}{statistics.median(some):7.1f} {name}, peak {most:.0f} MiB", flush=True)
        options.out.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
