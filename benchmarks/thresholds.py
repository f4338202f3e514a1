"""How strongly to shrink thresholds, which calibration, which label at least: on out-of-fold scores.

    python benchmarks/thresholds.py FILMS --out thresholds.json

FILMS is a project folder whose posters are extracted. For each seed it is split; the items of train and
validation get out-of-fold scores from the fused SVM and from each block alone. On three of the four folds
calibration and thresholds are learnt, on the fourth they are judged. Test items take no part.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score, log_loss

from hybrid.catalogue import load_catalogue
from hybrid.heads.calibration import fit_calibration
from hybrid.heads.make_hybrid import BLOCKS, make_hybrid
from hybrid.heads.thresholds import apply_thresholds, best_thresholds
from hybrid.splitting.methods import split_catalogue
from hybrid.utils.context import Context

AVERAGES = ("weighted", "macro", "micro", "samples")
STRENGTHS = (0.0, 0.3, 1.0, 3.0, 30.0, 300.0, 1e9)


def measure(truth: Any, scores: Any, fold: Any, found: dict[str, Any], model: str) -> None:
    """One model's out-of-fold scores: every strength, both curves, both rules for a label at least."""
    for k in np.unique(fold):
        judge, learn = fold == k, fold != k

        def note(name: str, labels: Any, judge: Any = judge) -> None:
            for average in AVERAGES:
                f1 = f1_score(truth[judge], labels, average=average, zero_division=0)
                found[f"{name}, {average}"][model].append(f1)

        curves = [
            fit_calibration(truth[learn], scores[learn], method=m) for m in ("sigmoid", "isotonic")
        ]
        known, said = (curves[0].apply(scores[rows]) for rows in (learn, judge))
        for objective in ("genre", "micro"):
            for strength in STRENGTHS:
                cuts = best_thresholds(truth[learn], known, objective=objective, shrinkage=strength)
                note(f"{objective} k={strength:g}", apply_thresholds(said, cuts))
        cuts = best_thresholds(truth[learn], known, shrinkage=1.0)
        plain, margin = apply_thresholds(said, cuts), said - cuts
        for name, by in (("probability", said), ("margin", margin)):
            first = (by == by.max(axis=1, keepdims=True)) & ~plain.any(axis=1, keepdims=True)
            note(f"at least one by {name}", plain | first)
        losses = [
            [
                log_loss(truth[judge, j], p, labels=[0, 1])
                for j, p in enumerate(np.clip(curve.apply(scores[judge]), 1e-4, 1 - 1e-4).T)
            ]
            for curve in curves
        ]
        for support, sigmoid, isotonic in zip(truth[learn].sum(axis=0), *losses, strict=True):
            found["sigmoid has the lower log loss"][_bin(int(support))].append(sigmoid <= isotonic)


def _bin(support: int) -> str:
    edges = (0, 30, 60, 100, 200, 400, 700, 1000, 10**9)
    low = max(edge for edge in edges if edge <= support)
    return f"{low} positives or more"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("thresholds.json"))
    options = parser.parse_args()
    catalogue = load_catalogue(options.folder / "catalogue.csv")
    cache = str(options.folder / ".hybrid-cache")
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    found: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    for seed in options.seeds:
        split = split_catalogue(catalogue, context=Context(seed=seed, cache=cache))
        keep = split.parts != "test"
        rows = [position[name] for name in split.ids[keep].tolist()]
        for blocks in (None, *BLOCKS):
            model = make_hybrid(
                catalogue,
                blocks=blocks and [blocks],
                context=Context(cache=cache, seed=seed, workers=2),
            )
            model.fit(catalogue.frame.iloc[rows], catalogue.labels[rows], groups=split.groups[keep])
            measure(
                catalogue.labels[rows], model.oof_scores_, model.fold_, found, blocks or "fused"
            )
    summary = {
        name: {model: float(np.mean(values)) for model, values in models.items()}
        for name, models in found.items()
    }
    options.out.write_text(json.dumps(summary, indent=2) + "\n")
    for name, models in summary.items():
        print(f"{name}: " + ", ".join(f"{model} {value:.4f}" for model, value in models.items()))


if __name__ == "__main__":
    main()
