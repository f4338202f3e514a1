"""Does tuning a backbone pay? Posters alone: frozen, tuned, and both, with paired intervals, for each split.

    python benchmarks/tune_posters.py MOVIES --backbone mobilenet-075 --weights FILE --seeds 0 1 2

Figures are of the test items of `hybrid split --seed N`, and out-of-fold of the others, which encoders and
heads learn from. Options are to be chosen on the latter.
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
from hybrid.evaluation.evaluate import measure_all
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.tune import tune_backbone
from hybrid.splitting.methods import SplitOptions, split_catalogue
from hybrid.tuning.options import TuneOptions, TuneSummary
from hybrid.types import EmbeddingOptions, EmbeddingSelector
from hybrid.utils.context import Context
from hybrid.utils.progress import Progress

DEFAULTS = TuneOptions()
CHOSEN = ("folds", "epochs", "layers", "learning_rate", "head_rate", "precision", "patience")
METRICS = {"f1": "f1_weighted", "mAP": "map_macro"}


def answers(run: Any, films: Any, part: str) -> tuple[Any, Outputs, Any]:
    """Truth, answers and ids of the test items of a run, or of the others, out-of-fold."""
    found = run.predictions
    rows = np.flatnonzero((found.splits == "test") == (part == "test"))
    place = {name: i for i, name in enumerate(films.ids.tolist())}
    at = [place[name] for name in found.ids[rows].tolist()]
    return films.labels[at], Outputs(found.labels[rows], found.probabilities[rows]), found.ids[rows]


def compare(runs: dict[str, Any], films: Any, split: Any, part: str, seed: int) -> dict[str, Any]:
    """Each way's figures on a part, and their paired differences to the frozen embeddings."""
    group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    truth, base, ids = answers(runs["frozen"], films, part)
    groups = [group[i] for i in ids.tolist()]
    found: dict[str, Any] = {}
    for way, run in runs.items():
        found[way] = {}
        of_part = answers(run, films, part)[1]
        for n, key in METRICS.items():
            gap = paired_difference(truth, of_part, base, key, groups=groups, seed=seed)
            value = measure_all(truth, of_part)[key]
            found[way][n] = {"value": value, "less_frozen": [gap.value, gap.low, gap.high]}
            print(
                f"seed {seed}, {part}, {way}: {n} {value:.3f}, less frozen {gap.value:+.3f} "
                f"({gap.low:+.3f} to {gap.high:+.3f})",
                flush=True,
            )
    return found


def measure(films: Any, seed: int, asked: Any, folder: Path) -> dict[str, Any]:
    """One split: the ways to use the posters, and the differences to the frozen embeddings."""
    context = Context(cache=asked.cache, seed=seed, progress=Progress(quiet=False))
    split = split_catalogue(films, SplitOptions(), context=context)
    name = f"tuned-{seed}"
    tuned = Experiment(films, split, folder / "encoders" / name, context=context)
    options = TuneOptions(**{name: getattr(asked, name) for name in CHOSEN})
    if is_tuned(tuned.folder):
        made: Any = extract_embeddings(films, str(tuned.folder), context=context)
    else:
        how = {"weights": asked.weights, "input_size": asked.size}
        made = tune_backbone(tuned, asked.backbone, options, **how)
    frozen = EmbeddingSelector(asked.backbone, asked.weights, fingerprint=asked.frozen)
    scores = EmbeddingSelector(str(tuned.folder))
    runs = {}
    ways = {"frozen": [frozen], "tuned": [scores], "both": [frozen, scores]}
    for way, select in {**ways, "stacked": ways["both"]}.items():
        head = "stacking" if way == "stacked" else "svm"
        model = make_hybrid(films, head=head, blocks=["poster"], select=select, context=context)
        runs[way] = fit_head(
            Experiment(films, split, folder / f"{way}-{seed}", context=context), model
        )
    found: dict[str, Any] = {"seed": seed, "tuning": asdict(made)}
    for part in ("out-of-fold", "test"):
        found[part] = compare(runs, films, split, part, seed)
    if isinstance(made, TuneSummary):
        print(
            f"seed {seed}: tuned in {made.seconds:.0f} s, out-of-fold mAP {made.oof_map or 0:.3f}, "
            f"peak {made.peak_mib:,.0f} MiB",
            flush=True,
        )
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this program and of `tune_fold.py`."""
    parser.add_argument("movies", type=Path, help="folder with catalogue.csv")
    parser.add_argument("--backbone", default="mobilenet-075")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--cache", default=".hybrid-cache")
    parser.add_argument("--input-size", type=int, help="of posters, in pixels; also of the frozen")
    for name in CHOSEN:
        default = getattr(DEFAULTS, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument(
        "--folder", type=Path, help="for encoders and runs, which are kept; again: goes on"
    )
    parser.add_argument("--json", type=Path, help="where to write what was measured")


def main() -> None:
    """Print the figures of each split, and their means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    asked.size = (asked.input_size,) * 2 if asked.input_size else None
    films = load_catalogue(asked.movies / "catalogue.csv")
    made = extract_embeddings(
        *(films, asked.backbone),
        weights=asked.weights,
        options=EmbeddingOptions(input_size=asked.size),
        context=Context(cache=asked.cache, progress=Progress(quiet=False)),
    )
    asked.frozen = made.fingerprint
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        splits = [measure(films, seed, asked, folder) for seed in asked.seeds]
    for part in ("out-of-fold", "test"):
        for way in splits[0][part]:
            found = [each[part][way] for each in splits]
            means = [statistics.mean(each[n]["value"] for each in found) for n in METRICS]
            print(f"mean of {len(splits)}, {part}, {way}: f1 {means[0]:.3f}, mAP {means[1]:.3f}")
    if asked.json:
        asked.json.write_text(json.dumps(splits, indent=2) + "\n")


if __name__ == "__main__":
    main()
