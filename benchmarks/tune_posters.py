"""Does tuning a backbone pay? Posters alone: frozen, tuned, and both, with paired intervals, split by split.

    python benchmarks/tune_posters.py MOVIES --backbone mobilenet-075 --weights FILE --seeds 0 1 2

Every figure is of the test items of `hybrid split --seed N`; encoders and heads learn from the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.backbones.tuned_folder import is_tuned
from hybrid.catalogue import load_catalogue
from hybrid.evaluation import Outputs, paired_difference
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.tune import tune_backbone
from hybrid.splitting.methods import SplitOptions, split_catalogue
from hybrid.tuning.options import TuneOptions, TuneSummary
from hybrid.types import EmbeddingSelector
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

DEFAULTS = TuneOptions()
METRICS = {"f1": "f1_weighted", "mAP": "map_macro"}


def answers(run: Any, films: Any) -> tuple[Any, Outputs, Any]:
    """Truth, answers and ids of the test items of a run."""
    found = run.predictions
    rows = np.flatnonzero(found.splits == "test")
    place = {name: i for i, name in enumerate(films.ids.tolist())}
    at = [place[name] for name in found.ids[rows].tolist()]
    return films.labels[at], Outputs(found.labels[rows], found.probabilities[rows]), found.ids[rows]


def measure(films: Any, seed: int, asked: Any, folder: Path) -> dict[str, Any]:
    """One split: the three ways, and the differences to the frozen embeddings."""
    context = Context(cache=asked.cache, seed=seed, progress=Progress(quiet=False))
    split = split_catalogue(films, SplitOptions(), context=context)
    name = f"tuned-{seed}"
    tuned = Experiment(films, split, folder / "encoders" / name, context=context)
    options = TuneOptions(
        folds=asked.folds,
        epochs=asked.epochs,
        layers=asked.layers,
        learning_rate=asked.learning_rate,
    )
    if is_tuned(tuned.folder):
        made: Any = extract_embeddings(films, str(tuned.folder), context=context)
    else:
        made = tune_backbone(tuned, asked.backbone, options, weights=asked.weights)
    frozen = EmbeddingSelector(asked.backbone, asked.weights)
    scores = EmbeddingSelector(str(tuned.folder))
    runs = {}
    for way, select in {"frozen": [frozen], "tuned": [scores], "both": [frozen, scores]}.items():
        model = make_hybrid(films, blocks=["poster"], select=select, context=context)
        runs[way] = fit_head(
            Experiment(films, split, folder / f"{way}-{seed}", context=context), model
        )
    found: dict[str, Any] = {"seed": seed, "tuning": asdict(made)}
    group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    truth, base, ids = answers(runs["frozen"], films)
    for way, run in runs.items():
        of_test = answers(run, films)[1]
        figures = {n: asdict(run.record.metrics[key]) for n, key in METRICS.items()}
        for n, key in METRICS.items():
            gap = paired_difference(
                *(truth, of_test, base, key), groups=[group[i] for i in ids.tolist()], seed=seed
            )
            figures[n]["less_frozen"] = [gap.value, gap.low, gap.high]
            value, low, high = figures[n]["less_frozen"]
            print(
                f"seed {seed}, {way}: {n} {figures[n]['value']:.3f}, less frozen {value:+.3f} "
                f"({low:+.3f} to {high:+.3f})",
                flush=True,
            )
        found[way] = figures
    if isinstance(made, TuneSummary):
        print(
            f"seed {seed}: tuned in {made.seconds:.0f} s, out-of-fold mAP {made.oof_map or 0:.3f}, "
            f"peak {made.peak_mib:,.0f} MiB",
            flush=True,
        )
    return found


def main() -> None:
    """Print the figures of each split, and their means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("movies", type=Path, help="folder with catalogue.csv")
    parser.add_argument("--backbone", default="mobilenet-075")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--cache", default=".hybrid-cache")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds", type=int, default=DEFAULTS.folds)
    parser.add_argument("--epochs", type=int, default=DEFAULTS.epochs)
    parser.add_argument("--layers", type=int, default=DEFAULTS.layers)
    parser.add_argument("--learning-rate", type=float, default=DEFAULTS.learning_rate)
    parser.add_argument(
        "--folder", type=Path, help="for encoders and runs, which are kept; again: goes on"
    )
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    asked = parser.parse_args()
    films = load_catalogue(asked.movies / "catalogue.csv")
    extract_embeddings(
        *(films, asked.backbone),
        weights=asked.weights,
        context=Context(cache=asked.cache, progress=Progress(quiet=False)),
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        splits = [measure(films, seed, asked, folder) for seed in asked.seeds]
    for way in ("frozen", "tuned", "both"):
        means = [statistics.mean(each[way][n]["value"] for each in splits) for n in METRICS]
        print(f"mean of {len(splits)}, {way}: f1 {means[0]:.3f}, mAP {means[1]:.3f}")
    if asked.json:
        asked.json.write_text(json.dumps(splits, indent=2) + "\n")


if __name__ == "__main__":
    main()
