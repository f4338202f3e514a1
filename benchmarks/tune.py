"""Time and memory of hybrid tune on real films: python benchmarks/tune.py MOVIES ENCODER [--folds 3]."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from hybrid.catalogue import load_catalogue
from hybrid.runs.experiment import Experiment
from hybrid.runs.tune import tune_text_encoder
from hybrid.splitting.methods import SplitOptions, split_catalogue
from hybrid.tuning.options import TuneOptions
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress


def main() -> None:
    """Tune once in a folder that is removed, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("movies", type=Path, help="folder with catalogue.csv")
    parser.add_argument("encoder", help="folder or name of a text encoder")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--layers", type=int, default=4)
    asked = parser.parse_args()
    films = load_catalogue(asked.movies / "catalogue.csv")
    options = TuneOptions(folds=asked.folds, epochs=asked.epochs, layers=asked.layers)
    with tempfile.TemporaryDirectory() as folder:
        context = Context(cache=f"{folder}/cache", progress=Progress(quiet=False))
        split = split_catalogue(films, SplitOptions(), context=context)
        experiment = Experiment(films, split, Path(folder) / "encoders" / "tuned", context=context)
        processor, start = time.process_time(), time.perf_counter()
        made = tune_text_encoder(experiment, asked.encoder, options)
        wall, processor = time.perf_counter() - start, time.process_time() - processor
    print(
        f"{made.items:,} films learnt from, {made.folds} encoders, {made.layers} layers, "
        f"{made.epochs} epochs, {made.precision} on {made.device}\n"
        f"training {made.seconds:.0f} s, embedding {made.embedding_seconds:.0f} s, in all {wall:.0f} s "
        f"({processor:.0f} s of processor time)\n"
        f"peak memory {made.peak_mib:,.0f} MiB; out-of-fold mAP {made.oof_map or 0:.3f}"
    )


if __name__ == "__main__":
    main()
