"""Extraction on a Dask cluster: faults, what the scheduler costs, and what a second process brings.

    python benchmarks/cluster.py faults films/catalogue.csv --backbone mobilenet-075 --weights FILE
    python benchmarks/cluster.py overhead --blocks 1000 10000 100000
    python benchmarks/cluster.py efficiency films/catalogue.csv --backbone mobilenet-075 --weights FILE

``faults`` runs the command on a scheduler and four workers, each a process, once a fault: a worker killed
every ten seconds; one stopped for a while; some cut off the network and brought back, in network namespaces
(which needs root); one whose files may not grow; the scheduler killed and started again; and a block that
kills all of its workers. The embeddings must equal those of one process, to the bit; rows that were in the
cache when a fault came must be there at the end. ``--only`` names some of them.

``overhead`` sends empty blocks to some workers, and tells time a block and the scheduler's memory. How much
Dask logs is set by its own variables, such as DASK_DISTRIBUTED__ADMIN__LOG_LENGTH.

``efficiency`` embeds all posters with ``local:1`` on one core and with ``local:2`` on two, in turns, each
process with one thread and one core. Rates are told with and without starting the processes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cluster_processes import Processes, described, memory_mib, processor_seconds

from hybrid.utils.environment import hardware

POSTERS = 4096  # of a block
# Libraries that compute start as many threads as there are cores, whatever a worker is told.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)


def faults(options: argparse.Namespace) -> dict[str, Any]:
    """Each fault once, into a new cache."""
    from cluster_faults import FAULTS, Films, run_fault

    folder = options.folder.absolute()
    films = Films.of(options.catalogue, extract_options(options), folder / "alone")
    found: dict[str, Any] = {"posters": len(films.keys), "workers": options.workers}
    for name in options.only or FAULTS:
        found[name] = run_fault(name, films, folder / name, options.workers)
        found[name]["load"] = os.getloadavg()[0]
        print(json.dumps({name: found[name]}, indent=2), flush=True)
        write(options, {"faults": found})
    return found


def extract_options(options: argparse.Namespace) -> list[str]:
    """What is embedded, and how, without the catalogue."""
    weights = options.weights
    named = str(Path(weights).absolute()) if Path(weights).exists() else weights
    return ["--backbone", options.backbone, "--weights", named, "--precision", "float32"]


def overhead(options: argparse.Namespace) -> dict[str, Any]:
    """Time and the scheduler's memory, from few to many empty blocks on one cluster."""
    from hybrid.cluster.blocks import BlockRun
    from hybrid.cluster.connection import use_cluster
    from hybrid.utils.context import Context
    from hybrid.utils.interrupt import Interrupts

    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Processes(Path(folder), options.workers) as processes,
    ):
        processes.wait_for_workers()
        assert processes.scheduler is not None
        scheduler = processes.scheduler.pid
        with use_cluster(Context(cluster=processes.address)) as cluster:
            assert cluster is not None
            for blocks in (100, *options.blocks):  # the first ones load modules
                start, used = time.perf_counter(), processor_seconds(scheduler)
                own = time.process_time()
                done = sum(1 for _ in BlockRun(cluster, empty, range(blocks), Interrupts()))
                assert done == blocks
                seconds = time.perf_counter() - start
                rows.append(
                    {
                        "blocks": blocks,
                        "seconds_a_block": seconds / blocks,
                        "scheduler_seconds_a_block": (processor_seconds(scheduler) - used) / blocks,
                        "command_seconds_a_block": (time.process_time() - own) / blocks,
                        "scheduler_mib": memory_mib(scheduler, "VmRSS"),
                        "scheduler_peak_mib": memory_mib(scheduler),
                        "posters_a_second_at_2_percent": 0.02 * POSTERS * blocks / seconds,
                    }
                )
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {"workers": options.workers, "rows": rows}


def empty(block: int, turn: Any) -> int:
    """A block without work."""
    return block


def efficiency(options: argparse.Namespace) -> dict[str, Any]:
    """Rates of one and of two processes, in turns."""
    runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("expected two cores, found one.")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for repeat in range(options.repeats):
            for processes in (1, 2) if repeat % 2 == 0 else (2, 1):
                cache = Path(folder) / f"{processes}-{repeat}"
                pin = ["taskset", "-c", ",".join(map(str, cores[:processes]))]
                own = [sys.executable, __file__, "one", str(options.catalogue), str(processes)]
                more = ["--backbone", options.backbone, "--weights", options.weights]
                done = subprocess.run(
                    [*pin, *own, *more, "--folder", str(cache)],
                    check=True,
                    stdout=subprocess.PIPE,
                    env={**os.environ, **ONE_THREAD},
                )
                shutil.rmtree(cache)
                runs[processes].append(json.loads(done.stdout))
                print(processes, runs[processes][-1], file=sys.stderr, flush=True)
    found: dict[str, Any] = {"runs": runs}
    for name in ("rate", "rate_loaded", "rate_a_processor_second"):
        ratios = [two[name] / one[name] for one, two in zip(runs[1], runs[2], strict=True)]
        found[name] = {
            "one": statistics.median(run[name] for run in runs[1]),
            "two": statistics.median(run[name] for run in runs[2]),
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
    return found


def one(options: argparse.Namespace) -> None:
    """One run of `efficiency`: some posters, by which each process loads the network, and then all others."""
    from hybrid import load_catalogue
    from hybrid.cluster.connection import use_cluster
    from hybrid.extraction.extract import extract_embeddings
    from hybrid.extraction.plan import ExtractSettings
    from hybrid.types import EmbeddingOptions
    from hybrid.utils.context import Context

    films, n = load_catalogue(options.catalogue), options.processes
    context = Context(str(options.folder), n, cluster=f"local:{n}")
    start = time.perf_counter()
    with use_cluster(context):
        seconds, computed = [time.perf_counter() - start], list[int]()
        for limit in (256 * n, None):
            begin = time.perf_counter()
            found = extract_embeddings(
                films,
                options.backbone,
                weights=options.weights,
                options=EmbeddingOptions(precision="float32"),
                settings=ExtractSettings(limit=limit),
                context=context,
            )
            seconds.append(time.perf_counter() - begin)
            computed.append(found.computed)
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)  # which have ended
    used = workers.ru_utime + workers.ru_stime
    result = {
        "seconds": seconds,
        "posters": computed,
        "rate": sum(computed) / sum(seconds),
        "rate_loaded": computed[1] / seconds[2],
        "worker_processor_seconds": used,
        "rate_a_processor_second": sum(computed) / used,
    }
    print(json.dumps(result))


def write(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Add to what is there."""
    before = json.loads(options.out.read_text()) if options.out.exists() else {}
    machine = described(hardware())
    options.out.write_text(json.dumps({**before, "machine": machine, **found}, indent=2) + "\n")


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    for name, function in (("faults", faults), ("efficiency", efficiency), ("one", one)):
        part = parts.add_parser(name)
        part.set_defaults(function=function)
        part.add_argument("catalogue", type=Path)
        if name == "one":
            part.add_argument("processes", type=int)
        part.add_argument("--backbone", default="mobilenet-075")
        part.add_argument("--weights", default="random")
        part.add_argument("--folder", type=Path, default=Path(), help="For caches and logs.")
    parts.choices["faults"].add_argument("--only", nargs="+", help="Some of the faults.")
    parts.choices["faults"].add_argument("--workers", type=int, default=4)
    parts.choices["efficiency"].add_argument("--repeats", type=int, default=5)
    part = parts.add_parser("overhead")
    part.set_defaults(function=overhead)
    part.add_argument("--blocks", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    part.add_argument("--workers", type=int, default=2)
    for part in parts.choices.values():
        part.add_argument("--out", type=Path, default=Path("cluster.json"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    if options.part == "one":
        one(options)
        return
    found = options.function(options)
    write(options, {options.part: found})
    print(json.dumps({options.part: found}, indent=2))


if __name__ == "__main__":
    main()
