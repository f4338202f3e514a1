"""How a published 0.66 came to be: the split of April 2017 beside a clean one, on the same embeddings.

    python benchmarks/legacy.py films/catalogue.csv --cache films/.hybrid-cache

needs embeddings in the cache (hybrid extract) and takes some minutes. docs/legacy-2017.md tells the story.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hybrid.audit.leak_cost import leakage_cost
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.evaluation import Outputs, evaluate
from hybrid.extraction.lookup import find_store
from hybrid.features import PosterFeatures
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.splitting.legacy_2017 import expected_overlap
from hybrid.splitting.methods import LEGACY_SHARES, SplitOptions, make_splits
from hybrid.types import Split
from hybrid.utils.context import Context

MAIN = "f1_weighted"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--cache", default=".hybrid-cache")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-C", type=float, default=10.0, help="Of the RBF machines.")
    parser.add_argument("--out", type=Path, help="JSON of all figures.")
    options = parser.parse_args()
    catalogue = load_catalogue(options.catalogue)
    expected = expected_overlap(len(catalogue.genres), LEGACY_SHARES[2])
    print(f"{len(catalogue)} items, {len(catalogue.genres)} genres, seed {options.seed}")
    print(f"overlap that the formula expects of legacy-2017: {expected:.3f}")
    found: dict[str, Any] = {"expected_overlap": expected}
    for method in ("legacy-2017", "iterative"):
        chosen = SplitOptions(method)
        split = make_splits(
            catalogue, chosen, context=Context(seed=options.seed, cache=options.cache)
        )[0]
        overlap = float(_overlap(catalogue, split).mean())
        print(f"\n{method}: {overlap:.3f} of the test items are in train or validation")
        rows = {
            "fit-svm --blocks poster": _hybrid(catalogue, split, options.cache, options.seed),
            f"RBF SVMs, C={options.C:g}": _rbf(catalogue, split, options.cache, options.C),
        }
        for name, row in rows.items():
            print(f"  {name}: {_text(row)}")
        found[method] = {"overlap": overlap, "split": split.sha256, "rows": rows}
    if options.out:
        options.out.write_text(json.dumps(found, indent=2))


def _rows(catalogue: Catalogue, split: Split, *parts: str) -> list[int]:
    position = {name: i for i, name in enumerate(catalogue.ids.tolist())}
    return [position[name] for name in split.ids[np.isin(split.parts, parts)].tolist()]


def _overlap(catalogue: Catalogue, split: Split) -> np.ndarray:
    """Whether each test item was learnt from."""
    return np.isin(_rows(catalogue, split, "test"), _rows(catalogue, split, "train", "validation"))


def _hybrid(catalogue: Catalogue, split: Split, cache: str, seed: int) -> dict[str, Any]:
    """`hybrid fit-svm --blocks poster`: its weighted F1, and what its audit says the leaks are worth."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = make_hybrid(
            catalogue, head="svm", blocks=("poster",), context=Context(cache=cache, seed=seed)
        )
        run = fit_head(
            Experiment(
                catalogue, split, Path(folder) / "run", context=Context(seed=seed, cache=cache)
            ),
            model,
            {},
        )
    record = run.record.to_json()
    return {
        "all": record["metrics"][MAIN],
        "seconds": time.perf_counter() - start,
        **record["audit"]["cost"].get(MAIN, {}),
    }


def _rbf(catalogue: Catalogue, split: Split, cache: str, penalty: float) -> dict[str, Any]:
    """scikit-learn's SVC(kernel="rbf"), one a genre, on standardised embeddings; 0 is the threshold."""
    start = time.perf_counter()
    store = find_store(catalogue, context=Context(cache=cache))
    embeddings = np.nan_to_num(PosterFeatures(cache, store.fingerprint).read(catalogue.frame))
    learn, test = _rows(catalogue, split, "train", "validation"), _rows(catalogue, split, "test")
    scaler = StandardScaler().fit(embeddings[learn])
    machines = OneVsRestClassifier(SVC(kernel="rbf", C=penalty), n_jobs=-1)
    machines.fit(scaler.transform(embeddings[learn]), catalogue.labels[learn])
    scores = machines.decision_function(scaler.transform(embeddings[test]))
    answers = Outputs((scores > 0).astype(np.uint8), scores)
    truth, leaked = catalogue.labels[test], _overlap(catalogue, split)
    groups = split.groups[split.parts == "test"]
    cost = leakage_cost(truth, answers, leaked, groups=groups)
    if cost:
        row = asdict(cost[MAIN])
    else:
        found = evaluate(truth, answers, catalogue.genres, groups=groups)
        row = {"all": asdict(found.metrics[MAIN])}
    return {**row, "seconds": time.perf_counter() - start}


def _text(row: dict[str, Any]) -> str:
    def said(name: str) -> str:
        return f"{row[name]['value']:.3f} ({row[name]['low']:.3f} to {row[name]['high']:.3f})"

    text = f"weighted F1 {said('all')}"
    if "clean" in row:
        text += (
            f"; without the leaked items {said('clean')}; the leaks are worth {said('difference')}"
        )
    return f"{text}; {row['seconds']:.0f} s"


if __name__ == "__main__":
    main()
