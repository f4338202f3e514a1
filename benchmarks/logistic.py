"""MultilabelLogistic beside scikit-learn's solvers of the same problem, at equal loss.

    python benchmarks/logistic.py --rows 3448 --repeats 3 --out logistic.json

Made data as in benchmarks/heads.py, balanced classes, C = 1. The intercept is the weight of a column of
ones on all sides, so that all minimise one objective. Each of scikit-learn's solvers gets the loosest of
`TOLS` at which its worst label is within 1e-3 of the optimum, relative to its objective; one that reaches
it at none is reported with the last. It fits the labels in as many processes as there are cores, which are
started before the clock is. newton-cholesky is left out: its Hessian has the columns squared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from heads import make_data

GAP = 1e-3
TOLS = (0.1, 0.03, 0.01, 0.003, 1e-3, 1e-4, 1e-5)
SOLVERS: dict[str, dict[str, Any]] = {
    "liblinear": {"solver": "liblinear"},
    "liblinear, dual": {"solver": "liblinear", "dual": True},
    "lbfgs": {"solver": "lbfgs"},
    "saga": {"solver": "saga"},
}


def objectives(matrix: Any, Y: Any, coef: Any) -> Any:
    """The objective of each label, in float64."""
    n, present = len(Y), Y.sum(axis=0, dtype=float)
    c = np.where(Y, n / (2 * present), n / (2 * (n - present)))
    margins = np.where(Y, 1, -1) * (matrix @ np.asarray(coef, dtype=np.float64).T)
    return np.square(coef).sum(axis=1) / 2 + (c * np.logaddexp(0, -margins)).sum(axis=0)


def fit_ours(matrix: Any, Y: Any, tol: float) -> tuple[Any, float]:
    from hybrid.heads.logistic import MultilabelLogistic

    model = MultilabelLogistic(class_weight="balanced", tol=tol, max_iter=5000)
    start = time.perf_counter()
    model.fit(matrix, Y)
    return np.column_stack([model.coef_, model.intercept_]), time.perf_counter() - start


def fit_sklearn(csr: Any, Y: Any, tol: float, solver: dict[str, Any]) -> tuple[Any, float]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    one = LogisticRegression(
        **solver, class_weight="balanced", fit_intercept=False, tol=tol, max_iter=2000
    )
    model = OneVsRestClassifier(one.set_params(random_state=0), n_jobs=-1)
    model.fit(csr[:300], Y[:300])
    start = time.perf_counter()
    model.fit(csr, Y)
    return np.vstack([e.coef_ for e in model.estimators_]), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3448)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS))
    parser.add_argument("--out", type=Path, default=Path("logistic.json"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # what did not converge shows in the gap
    from hybrid.features.fusion_matrix import FusionMatrix
    from hybrid.heads.svm.base import with_ones

    X, T, Y = make_data(options.rows)
    matrix = FusionMatrix.from_blocks([X, T])
    joined = with_ones(matrix)
    csr = joined.tocsr()
    exact = FusionMatrix.from_blocks([X.astype(np.float64), T])
    best = objectives(joined, Y, fit_ours(exact, Y, 1e-7)[0])

    def gap(coef: Any) -> float:
        found = objectives(joined, Y, coef)
        return float(((found - best) / found).max())

    tols = dict.fromkeys(options.solvers, TOLS[-1])
    for name in options.solvers:
        for tol in TOLS:
            reached = gap(fit_sklearn(csr, Y, tol, SOLVERS[name])[0])
            print(name, tol, reached, flush=True)
            if reached <= GAP:
                tols[name] = tol
                break
    runs: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.repeats):
        coef, seconds = fit_ours(matrix, Y, 0.01)
        runs.setdefault("ours", []).append((seconds, gap(coef)))
        for name, tol in tols.items():
            coef, seconds = fit_sklearn(csr, Y, tol, SOLVERS[name])
            runs.setdefault(name, []).append((seconds, gap(coef)))
    summary = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "rows": options.rows,
        "sides": {
            name: {
                "tol": tols.get(name, 0.01),
                "seconds": statistics.median(s for s, _ in found),
                "spread": [min(s for s, _ in found), max(s for s, _ in found)],
                "gap": max(g for _, g in found),
            }
            for name, found in runs.items()
        },
    }
    options.out.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
