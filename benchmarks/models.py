"""Load time, size and memory of the model of every head, beside joblib's file of the same object.

    python benchmarks/models.py CATALOGUE --cache .hybrid-cache --models models --out models.json

The model of `fit-svm` is fitted without a search and with 2 folds; in its place comes each head of the
registry, with its own parameters, fitted on all items. They are saved both ways in the folder of `--models`;
what is there is not fitted again. Then each model is loaded in a process of its own, by both in turn, after
one load of each that is not counted: it does the imports and fills the cache of the disk. Seconds are those
of the clock, and those of the processor, which others on the machine disturb less. Memory is the peak of
what Python and NumPy allocate beside what is there, in multiples of what the loaded model takes. joblib
compresses as earlier versions of hybrid did (``compress=3``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

BAR = 0.3  # seconds
FIRST, PICKLE = "svm", "joblib.pickle"  # no file of a model, which the manifest would list


def fit(
    catalogue_path: Path, cache: str, models: Path, names: list[str], blocks: list[str]
) -> None:
    """Fit heads, and save each as a run does and as earlier versions did."""
    import joblib

    from hybrid.catalogue import load_catalogue
    from hybrid.heads.fitting import fit_head
    from hybrid.heads.make_hybrid import make_hybrid, use_context
    from hybrid.heads.registry import get_head
    from hybrid.model_file import save_model
    from hybrid.utils.context import Context

    catalogue, context = load_catalogue(catalogue_path), Context(cache=cache)
    if (models / FIRST / PICKLE).exists():
        model = joblib.load(models / FIRST / PICKLE)
        use_context(model, context)
    else:
        weights = dict.fromkeys(blocks, 1.0)
        model = make_hybrid(catalogue, blocks=blocks, block_weights=weights, context=context)
        model.set_params(grid={}, folds=2).fit(catalogue.frame, catalogue.labels)
    matrix = model.fusion_.transform(catalogue.frame)
    for name in names:
        folder = models / name
        if name != FIRST:
            model.estimator = get_head(name).build(0)
            model.head_ = fit_head(model.estimator, matrix, catalogue.labels)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(model, folder / "model.json")
        joblib.dump(model, folder / PICKLE, compress=3)


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    start, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - processor


def spread(found: list[float]) -> dict[str, float]:
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


def peak(work: Callable[[], Any]) -> tuple[int, int]:
    """Bytes that a piece of work takes at most, and that its result takes."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = work()
    now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return most - before, now - before


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """One model, both ways."""
    import joblib

    from hybrid.heads import HybridClassifier
    from hybrid.model_file import load_model, save_model
    from hybrid.model_file.manifest import check_model_files, write_manifest

    def ours() -> Any:
        check_model_files(folder)
        return load_model(folder / "model.json", HybridClassifier)

    def theirs() -> Any:
        return joblib.load(folder / PICKLE)

    model = theirs()
    save_model(model, folder / "model.json")  # by this version
    write_manifest(folder)
    ours()
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "joblib": []}
    for _ in range(repeats):
        times["ours"].append(seconds(ours))
        times["joblib"].append(seconds(theirs))
    size = {
        "ours": sum((folder / name).stat().st_size for name in ("model.json", "model.npz")),
        "joblib": (folder / PICKLE).stat().st_size,
    }
    loading, held = peak(ours)
    saving, _ = peak(lambda: save_model(model, folder / "model.json"))
    return {
        "seconds": {side: spread([clock for clock, _ in found]) for side, found in times.items()},
        "processor": {side: spread([used for _, used in found]) for side, found in times.items()},
        "bytes": size,
        "model_bytes": held,
        "peak_of_loading": loading / held,
        "peak_of_saving": saving / held,
    }


def in_process(*arguments: object) -> str:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--cache", default=".hybrid-cache")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--blocks", nargs="+", default=["text", "metadata", "poster"])
    parser.add_argument("--heads", nargs="+")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--task", choices=("fit", "measure"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task == "fit":
        fit(given.catalogue, given.cache, given.models, given.heads, given.blocks)
        return
    if given.task == "measure":
        print(json.dumps(measure(given.models, given.repeats)))
        return
    from hybrid.heads.registry import HEADS

    shared = [given.catalogue, "--cache", given.cache, "--repeats", given.repeats]
    wanted = given.heads or list(HEADS)
    if left := [name for name in wanted if not (given.models / name / PICKLE).exists()]:
        task = ["--models", given.models, "--heads", *left, "--blocks", *given.blocks]
        in_process(*shared, *task, "--task", "fit")
    found: dict[str, Any] = {}
    for name in wanted:
        task = ["--models", given.models / name, "--task", "measure"]
        one = found[name] = json.loads(in_process(*shared, *task))
        clock, used, size = one["seconds"], one["processor"], one["bytes"]
        missed = used["ours"]["median"] > BAR or size["ours"] > size["joblib"]
        print(
            f"{name:20} {clock['ours']['median']:.3f} s, processor {used['ours']['median']:.3f} (joblib "
            f"{clock['joblib']['median']:.3f}, {used['joblib']['median']:.3f})  {size['ours'] / 1e6:.3f} MB "
            f"({size['joblib'] / 1e6:.3f})  peaks: loading {one['peak_of_loading']:.2f}, saving "
            f"{one['peak_of_saving']:.2f}{'  MISSED' if missed else ''}",
            flush=True,
        )
    if given.out:
        about = {"machine": platform.platform(), "processors": os.cpu_count()}
        given.out.write_text(
            json.dumps({**about, "blocks": given.blocks, "heads": found}, indent=1)
        )


if __name__ == "__main__":
    main()
