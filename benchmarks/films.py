"""The main job on a catalogue of real films, beside a plain scikit-learn pipeline.

    python benchmarks/films.py CATALOGUE --weights mobilenet_7_5_224_notop.weights.h5 --out films.json

Each command runs in a process of its own, so that its peak memory is its own. The other side is what an
expert writes in an afternoon: TF-IDF of the text, one-hot metadata, standardised embeddings (those that
hybrid extracted), balanced one-vs-rest LinearSVC, C and the posters' weight chosen by GridSearchCV,
thresholds from cross_val_predict. Both sides learn from train and validation and are judged on test.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.utils.context import Context

BACKBONE = "mobilenet-075"


def command(folder: Path, *arguments: object) -> dict[str, float]:
    """Run one command in the folder; wall and processor seconds, and peak memory, of its process."""
    code = "from hybrid.cli.main import main; main()"
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments), "--quiet"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"hybrid {' '.join(map(str, arguments))} failed")
    return {
        "seconds": time.perf_counter() - start,
        "processor": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
    }


def plain(folder: Path) -> dict[str, float]:
    """The same job with scikit-learn alone; its weighted F1 on test and its seconds."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.metrics import f1_score
    from sklearn.model_selection import GridSearchCV, cross_val_predict
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler
    from sklearn.svm import LinearSVC

    from hybrid.catalogue import load_catalogue
    from hybrid.extraction.lookup import find_store
    from hybrid.features import PosterFeatures

    catalogue = load_catalogue(folder / "catalogue.csv")
    cache = str(folder / ".hybrid-cache")
    store = find_store(catalogue, context=Context(cache=cache))
    embeddings = PosterFeatures(cache, store.fingerprint).read(catalogue.frame)
    columns = catalogue.columns
    frame = catalogue.frame.drop(columns="poster")
    frame["all text"] = frame[list(columns.text)].agg(" ".join, axis=1)
    names = [f"e{i}" for i in range(embeddings.shape[1])]
    frame = pd.concat([frame, pd.DataFrame(embeddings, frame.index, names)], axis=1)
    split = pd.read_csv(folder / "splits.csv", dtype=str).set_index("id")["split"]
    test = (split.loc[catalogue.ids] == "test").to_numpy()
    Y = catalogue.labels

    def tokens(column: str) -> tuple[str, Any, str]:
        vectorizer = CountVectorizer(analyzer=lambda c: c.split("|"), binary=True, min_df=2)
        return column, vectorizer, column

    start = time.perf_counter()
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    posters = make_pipeline(SimpleImputer(), StandardScaler(), Normalizer())
    listed = [tokens(column) for column in columns.categorical + columns.list]
    features = ColumnTransformer(
        [
            ("text", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), "all text"),
            ("numbers", numbers, list(columns.numeric)),
            ("posters", posters, names),
            *listed,
        ],
        # Each metadata column weighs a third of the text: numbers are about sqrt(count) long.
        transformer_weights={"numbers": 0.2, **{name: 0.35 for name, _, _ in listed}},
    )
    svm = OneVsRestClassifier(LinearSVC(class_weight="balanced", tol=0.01, max_iter=5000))
    grid = {
        "onevsrestclassifier__estimator__C": [0.1, 0.3, 1.0],
        "columntransformer__transformer_weights": [
            {**features.transformer_weights, "posters": weight} for weight in (0.35, 0.7)
        ],
    }
    search = GridSearchCV(make_pipeline(features, svm), grid, scoring="average_precision", cv=4)
    best = search.fit(frame[~test], Y[~test]).best_estimator_
    scores = cross_val_predict(best, frame[~test], Y[~test], cv=4, method="decision_function")
    cuts = np.quantile(scores, np.linspace(0.5, 0.999, 200), axis=0)
    f1 = np.array([f1_score(Y[~test], scores >= t, average=None, zero_division=0) for t in cuts])
    thresholds = cuts[f1.argmax(axis=0), np.arange(Y.shape[1])]
    labels = best.decision_function(frame[test]) >= thresholds
    return {
        "f1": f1_score(Y[test], labels, average="weighted", zero_division=0),
        "seconds": time.perf_counter() - start,
    }


def measure(folder: Path, seed: int) -> dict[str, Any]:
    """One split: both sides, and the blocks alone."""
    command(folder, "split", "--seed", seed)
    found: dict[str, Any] = {"seed": seed, "plain": plain(folder)}
    for name, blocks in (("svm", None), ("svm-poster", "poster"), ("svm-text", "text")):
        chosen = ["--blocks", blocks] if blocks else []
        cost = command(folder, "fit-svm", "--seed", seed, "--name", name, *chosen)
        record = json.loads((folder / "runs" / name / "run.json").read_text())
        found[name] = {"f1": record["metrics"]["f1_weighted"]["value"], **cost}
    print(json.dumps(found), flush=True)
    return found


def main() -> None:
    os.environ["HYBRID_FOLLOW_LINKS"] = "1"  # to the films, from a folder beside them
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("films.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = options.catalogue.resolve()
        (folder / "catalogue.csv").symlink_to(source)
        (folder / "posters").symlink_to(source.parent / "posters")
        weights = ["--backbone", BACKBONE, "--weights", options.weights.resolve()]
        first, second = (command(folder, "extract", *weights) for _ in range(2))
        runs = [measure(folder, seed) for seed in options.seeds]
    summary = {
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "extract": first,
        "extract_again": second,
        "splits": runs,
        "median_f1": {
            side: statistics.median(run[side]["f1"] for run in runs)
            for side in ("plain", "svm", "svm-poster", "svm-text")
        },
        "mean_f1_fused": statistics.mean(run["svm"]["f1"] for run in runs),
        "range_f1_fused": [f([run["svm"]["f1"] for run in runs]) for f in (min, max)],
    }
    options.out.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
