"""The bootstrap, beside one call of scikit-learn a draw.

    python benchmarks/evaluation.py --items 11765 --genres 20 --out evaluation.json

Made answers with ties. `hybrid` computes all metrics of all draws; scikit-learn's side computes four of them
(F1 weighted, macro, micro; mean average precision) for a few draws, multiplied by the number of draws. Both
sides in turn, the first call (which compiles) apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.evaluation import (
    METRICS,
    Outputs,
    compare_pairs,
    evaluate,
    paired_difference,
    permutation_test,
    select_best,
)
from hybrid.utils.resources import CostRecorder

FEW = 5  # draws that scikit-learn is timed on


def make_answers(items: int, genres: int, seed: int = 0) -> tuple[Any, Outputs, Outputs]:
    """Truth with genres of 2 to 40 %, and two models of some skill; scores have three digits."""
    random = np.random.default_rng(seed)
    truth = (random.random((items, genres)) < np.linspace(0.02, 0.4, genres)).astype(np.uint8)
    models = []
    for skill in (1.0, 1.1):
        scores = np.round(1 / (1 + np.exp(2 - skill * truth - random.normal(size=truth.shape))), 3)
        models.append(Outputs((scores > 0.3).astype(np.uint8), scores))
    return truth, models[0], models[1]


def by_sklearn(truth: Any, answers: Outputs, draws: int) -> None:
    """The same draws, a call of scikit-learn for each metric and draw."""
    from sklearn.metrics import average_precision_score, f1_score

    random = np.random.default_rng(0)
    for _ in range(draws):
        pick = random.integers(0, len(truth), len(truth))
        for average in ("weighted", "macro", "micro"):
            f1_score(truth[pick], answers.labels[pick], average=average, zero_division=0)
        average_precision_score(truth[pick], answers.scores[pick], average="macro")


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=11_765)
    parser.add_argument("--genres", type=int, default=20)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("evaluation.json"))
    options = parser.parse_args()
    truth, one, other = make_answers(options.items, options.genres)
    names = [f"g{j}" for j in range(options.genres)]
    draws = options.draws
    part, ten = truth[:700], [Outputs(m.labels[:700], m.scores[:700]) for m in [one, other] * 5]
    calls: dict[str, Callable[[], object]] = {
        "percentile, all metrics": lambda: evaluate(
            truth, one, names, draws=draws, method="percentile"
        ),
        "BCa, all metrics": lambda: evaluate(truth, one, names, draws=draws, method="bca"),
        "paired difference of weighted F1": lambda: paired_difference(
            truth, one, other, draws=draws
        ),
        "paired difference of mAP": lambda: paired_difference(
            truth, one, other, "map_macro", draws=draws
        ),
        "permutation test of weighted F1": lambda: permutation_test(truth, one, other, draws=draws),
        "all pairs of ten models, 700 items": lambda: compare_pairs(part, ten, draws=draws),
        "the best of ten models, 700 items": lambda: select_best(part, ten, draws=draws),
    }
    first = seconds(lambda: evaluate(truth[:50], Outputs(one.labels[:50], one.scores[:50]), names))
    found: dict[str, list[float]] = {}
    costs = CostRecorder()
    for _ in range(options.repeats):
        with costs.stage("hybrid"):
            for name, call in calls.items():
                found.setdefault(name, []).append(seconds(call))
        few = seconds(lambda: by_sklearn(truth, one, FEW))
        found.setdefault("scikit-learn, four metrics", []).append(few * draws / FEW)
    summary = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "items": options.items,
        "genres": options.genres,
        "draws": draws,
        "metrics": len(METRICS),
        "first_call": first,
        "peak_mib": max(stage.peak_mib for stage in costs.stages),
        "seconds": {
            name: {"median": statistics.median(times), "range": [min(times), max(times)]}
            for name, times in found.items()
        },
    }
    options.out.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
