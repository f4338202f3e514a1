"""MultilabelLinearSVC beside OneVsRestClassifier(LinearSVC), on made data or on a catalogue.

    python benchmarks/heads.py --rows 52942 3448 --repeats 3 --grid --out heads.json
    python benchmarks/heads.py --films films --embeddings 942e --rows 52942 3448 --out heads-films.json

`films` is a project folder; its blocks are those that `hybrid fit-svm` makes of it. Where more rows are
asked for than it has items, items come again with noise: what is added to an embedding has half its length,
and one word in five is left out.

Each measurement runs in a process of its own, so that its peak memory is its own, and takes the sides in
turn. Both solve the same problem: balanced classes, squared hinge, C = 1 (the grid: five values of C, three
folds). The gap of a label is its objective's relative distance from a certified bound, by one function in
float64 for both; scikit-learn gets the loosest of `TOLS` at which its worst label's is at most 1e-3. The
memory of its side holds the CSR copy of the dense columns that it needs, but not that of joblib's workers.
Workers are started, and numba's loops compiled, before the clock starts; what compiling takes is measured
apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.types import EmbeddingSelector
from hybrid.utils.context import Context

GAP = 1e-3
TOLS = (0.3, 0.1, 0.03, 0.01)
LABELS = 20
WORDS = 55  # a row
CS = (0.01, 0.1, 0.3, 1.0, 3.0)
FOLDS = 3


def make_data(n: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Embeddings of unit length, TF-IDF of words by Zipf's law, labels of 2-35 % that depend on both."""
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfTransformer

    dense, words = (2048, 30_000) if n > 10_000 else (576, 12_000)
    random = np.random.default_rng(seed)
    hidden = random.standard_normal((n, 64), dtype=np.float32)
    X = hidden @ random.standard_normal((64, dense), dtype=np.float32)
    for start in range(0, n, 4096):  # the maker's own memory must not be the peak
        part = X[start : start + 4096]
        part += 4 * random.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    chance = 1 / np.arange(5, words + 5)
    drawn = np.searchsorted(np.cumsum(chance / chance.sum()), random.random(n * WORDS))
    indices, indptr = drawn.clip(0, words - 1), np.arange(0, n * WORDS + 1, WORDS)
    T = sparse.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), (n, words))
    T.sum_duplicates()
    T = TfidfTransformer().fit_transform(T).astype(np.float32)
    scores = hidden @ random.standard_normal((64, LABELS)) / 8
    scores += 2 * (T @ random.standard_normal((words, LABELS)))
    scores += random.standard_normal(scores.shape)
    shares = np.linspace(0.02, 0.35, LABELS)
    cuts = [np.quantile(column, 1 - share) for column, share in zip(scores.T, shares, strict=True)]
    return X, T, (scores > cuts).astype(np.uint8)


def film_data(films: str, n: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """The blocks of a catalogue, dense and sparse, and its labels; items come again, with noise, up to n."""
    from scipy import sparse

    from hybrid.catalogue import load_catalogue
    from hybrid.heads.make_hybrid import make_hybrid

    folder, _, embeddings = films.rpartition(":")
    catalogue = load_catalogue(Path(folder) / "catalogue.csv")
    cache = str(Path(folder) / ".hybrid-cache")
    fusion = make_hybrid(
        catalogue, select=EmbeddingSelector(fingerprint=embeddings), context=Context(cache=cache)
    ).fusion
    blocks = [block for _, block in fusion.fit(catalogue.frame).transform(catalogue.frame).blocks]
    posters = np.hstack([block for block in blocks if not sparse.issparse(block)])
    others = sparse.csr_matrix(sparse.hstack([block for block in blocks if sparse.issparse(block)]))
    rows = np.arange(n) % len(posters)
    random, copies = np.random.default_rng(seed), len(posters)
    X, T = posters[rows], others[rows]
    for start in range(copies, n, 4096):
        part = X[start : start + 4096, :-1]  # the last column says that there is no poster
        part += random.standard_normal(part.shape, dtype=np.float32) / (2 * part.shape[1] ** 0.5)
    T.data[T.indptr[copies] :] *= random.random(T.nnz - T.indptr[copies]) > 0.2
    T.eliminate_zeros()
    return X, T, catalogue.labels[rows]


def get_data(n: int) -> tuple[Any, Any, Any]:
    """What all sides learn from: dense columns, sparse columns, labels."""
    films = os.environ.get("HEADS_FILMS")
    return film_data(films, n) if films else make_data(n)


def objectives(matrix: Any, Y: Any, coef: Any, intercept: Any) -> Any:
    """The objective of each label at any coefficients, exact in float64."""
    n, present = len(Y), Y.sum(axis=0, dtype=float)
    scores = matrix @ np.asarray(coef, dtype=np.float64).T + intercept
    slack = np.maximum(0, 1 - np.where(Y, 1, -1) * scores)
    c = np.where(Y, n / (2 * present), n / (2 * (n - present)))
    return (np.square(coef).sum(axis=1) + intercept**2) / 2 + (c * slack**2).sum(axis=0)


def worst_gap(n: int, objective: Any) -> float:
    """The largest relative distance of any label's objective from the optimum."""
    lower = np.array(json.loads(Path(os.environ["HEADS_BOUNDS"]).read_text())[str(n)])
    return float(((objective - lower) / objective).max())


def find_bounds(n: int, tol: float) -> dict[str, Any]:
    """A lower bound on each label's objective, at most `tol` below the optimum."""
    from hybrid.features.fusion_matrix import FusionMatrix
    from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC

    X, T, Y = get_data(n)
    matrix = FusionMatrix.from_blocks([X, T])
    model = MultilabelLinearSVC(class_weight="balanced", tol=tol, n_jobs=-1).fit(matrix, Y)
    objective = objectives(matrix, Y, model.coef_, model.intercept_)
    return {"lower": list(objective * (1 - model.dual_gap_)), "gap": float(model.dual_gap_.max())}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fit_ours(n: int, tol: float) -> dict[str, float]:
    """One fit of all labels."""
    from hybrid.features.fusion_matrix import FusionMatrix
    from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC

    X, T, Y = get_data(n)
    matrix = FusionMatrix.from_blocks([X, T])
    model = MultilabelLinearSVC(class_weight="balanced", tol=tol, n_jobs=-1, random_state=0)
    start = time.perf_counter()
    model.fit(matrix[:600], Y[:600])
    first = time.perf_counter() - start
    start = time.perf_counter()
    model.fit(matrix, Y)
    found = {"seconds": time.perf_counter() - start, "first_call": first, "peak_mib": peak_mib()}
    found["certified"] = float(model.dual_gap_.max())
    return {
        **found,
        "gap": worst_gap(n, objectives(matrix, Y, model.coef_, model.intercept_)),
    }


def fit_sklearn(n: int, tol: float) -> dict[str, float]:
    """One-vs-rest LinearSVC on one CSR matrix; making it is not counted, its memory is."""
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    from hybrid.features.fusion_matrix import FusionMatrix

    X, T, Y = get_data(n)
    csr = FusionMatrix.from_blocks([X, T]).tocsr()
    del X, T
    svm = LinearSVC(class_weight="balanced", dual=True, tol=tol, max_iter=5000, random_state=0)
    model = OneVsRestClassifier(svm, n_jobs=-1)
    model.fit(csr[:600], Y[:600])  # starts joblib's workers
    start = time.perf_counter()
    model.fit(csr, Y)
    found = {"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}
    coef = np.vstack([each.coef_ for each in model.estimators_])
    intercept = np.ravel([each.intercept_ for each in model.estimators_])
    return {
        **found,
        "gap": worst_gap(n, objectives(FusionMatrix.from_blocks([csr]), Y, coef, intercept)),
    }


def grid_ours(n: int, tol: float) -> dict[str, float]:
    """All values of C, folds and labels in one solve."""
    from hybrid.features.fusion_matrix import FusionMatrix
    from hybrid.heads.svm.base import signed_weights, with_ones
    from hybrid.heads.svm.solver import solve

    X, T, Y = get_data(n)
    matrix, fold = with_ones(FusionMatrix.from_blocks([X, T])), np.arange(n) % FOLDS
    B = np.concatenate(
        [
            signed_weights(Y == 1, (fold != f).astype(float), C, "balanced")
            for C in CS
            for f in range(FOLDS)
        ]
    )
    solve(matrix[:600], np.ascontiguousarray(B[:, :600]), tol=tol, n_jobs=-1, random_state=0)
    start = time.perf_counter()
    found = solve(matrix, B, tol=tol, n_jobs=-1, random_state=0)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_mib": peak_mib(), "gap": float(found.gap.max())}


def grid_sklearn(n: int, tol: float, every: int) -> dict[str, float]:
    """Each `every`-th label of the grid's fits, all values of C and folds; times `every`."""
    from joblib import Parallel, delayed
    from sklearn.svm import LinearSVC

    from hybrid.features.fusion_matrix import FusionMatrix

    X, T, Y = get_data(n)
    csr = FusionMatrix.from_blocks([X, T]).tocsr()
    del X
    fold = np.arange(n) % FOLDS

    def fit(C: float, rows: Any, part: Any, label: int) -> None:
        svm = LinearSVC(C=C, class_weight="balanced", dual=True, tol=tol, max_iter=5000)
        svm.set_params(random_state=0).fit(part, Y[rows, label])

    start = time.perf_counter()
    for k in range(FOLDS):
        rows = np.flatnonzero(fold != k)
        part = csr[rows]
        jobs = [(C, label) for C in CS for label in range(every // 2, LABELS, every)]
        Parallel(n_jobs=-1)(delayed(fit)(C, rows, part, label) for C, label in jobs)
    seconds = (time.perf_counter() - start) * every
    return {"seconds": seconds, "measured_fraction": 1 / every, "peak_mib": peak_mib()}


SIDES: dict[str, Any] = {
    "bounds": find_bounds,
    "ours": fit_ours,
    "sklearn": fit_sklearn,
    "grid-ours": grid_ours,
    "grid-sklearn": grid_sklearn,
}


def measure(side: str, *arguments: object, **variables: str) -> dict[str, Any]:
    """Run one side in a process of its own."""
    call = [sys.executable, __file__, "--side", side, *map(str, arguments)]
    done = subprocess.run(
        call, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **variables}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(side, *arguments, json.dumps(found), file=sys.stderr, flush=True)
    return found


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def compare(n: int, repeats: int) -> dict[str, Any]:
    """Both sides in turn, at the loosest tol of scikit-learn's that is good enough."""
    for tol in TOLS:
        first = measure("sklearn", n, tol)
        if first["gap"] <= GAP:
            break
    runs = [(measure("ours", n, GAP), first)]
    for _ in range(repeats - 1):
        runs.append((measure("ours", n, GAP), measure("sklearn", n, tol)))
    ours, other = (median(list(side)) for side in zip(*runs, strict=True))
    return {
        "rows": n,
        "ours": ours,
        "sklearn": {"tol": tol, **other},
        "times_faster": other["seconds"] / ours["seconds"],
        "memory_ratio": ours["peak_mib"] / other["peak_mib"],
    }


def compare_grid(n: int, tol: float, every: int, repeats: int) -> dict[str, Any]:
    """The grid of 300 columns; scikit-learn's side once, on a fraction of its fits."""
    other = measure("grid-sklearn", n, tol, every)
    ours = median([measure("grid-ours", n, GAP) for _ in range(repeats)])
    ratio = other["seconds"] / ours["seconds"]
    return {"ours": ours, "sklearn": {"tol": tol, **other}, "times_faster": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[52_942, 3_448])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grid", action="store_true", help="also the grid, at the first of --rows")
    parser.add_argument(
        "--every", type=int, default=20, help="of scikit-learn's grid, fit one label in so many"
    )
    parser.add_argument("--films", help="a project folder, in the place of made data")
    parser.add_argument("--embeddings", help="digits of the fingerprint of its embeddings")
    parser.add_argument("--out", type=Path, default=Path("heads.json"))
    parser.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        name, n, tol, *rest = options.side
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a tol that does not converge shows in the gap
            found = SIDES[name](int(n), float(tol), *map(int, rest))
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        summary = run(options, Path(folder))
    options.out.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All measurements."""
    bounds = folder / "bounds.json"
    os.environ["HEADS_BOUNDS"] = str(bounds)
    if options.films:
        os.environ["HEADS_FILMS"] = f"{Path(options.films).absolute()}:{options.embeddings}"
    small = min(options.rows)
    found = {n: measure("bounds", n, 1e-6)["lower"] for n in options.rows}
    bounds.write_text(json.dumps(found))
    cache = {"NUMBA_CACHE_DIR": str(folder)}
    cold, warm = (measure("ours", small, GAP, **cache)["first_call"] for _ in range(2))
    summary: dict[str, Any] = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "data": "films" if options.films else "made",
        "compile_seconds": cold - warm,
        "fits": [compare(n, options.repeats) for n in options.rows],
    }
    if options.grid:
        tol = summary["fits"][0]["sklearn"]["tol"]
        grid = compare_grid(options.rows[0], tol, options.every, options.repeats)
        summary["grid"] = grid
    return summary


if __name__ == "__main__":
    main()
