"""Repeated random splits: the variation of the metrics over splits and seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from hybrid.evaluation import (
    METRICS,
    Outputs,
    corrected_resampled_interval,
    measure_all,
    summarise_runs,
)
from hybrid.heads import HybridClassifier
from hybrid.splitting.splits import make_split
from hybrid.types import PARTS, Split


def evaluate_repeated_splits(
    model: HybridClassifier,
    frame: pd.DataFrame,
    labels: np.ndarray[Any, Any],
    split: Split,
    repeats: int,
    seed: int,
    *,
    first: Outputs,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fit and evaluate the model on splits with other seeds, of the same groups and shares.

    Parameters
    ----------
    model : HybridClassifier
        It is cloned.
    frame : DataFrame of n items, indexed by id
    labels : ndarray of shape (n, L)
    split : Split
        That of the run itself.
    repeats : int
        Number of runs, 2 or more, including the run itself; the others have the seeds that follow.
    seed : int
    first : Outputs
        Of the run itself, on its test items.
    say : callable, optional
        Called with a line of text for each split.

    Returns
    -------
    dict
        For run.json: seeds, and for each metric values, mean, sd, low, high, and the 95 % `interval` of
        `corrected_resampled_interval`.

    Examples
    --------
    >>> from hybrid.features import MetadataFeatures, TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 20})
    >>> films["country"], labels = ["gb", "us"] * 20, np.array([[1, 0], [0, 1]] * 20)
    >>> text = TextFeatures(["overview"], max_chars=0)
    >>> fusion = Fusion([("text", text), ("metadata", MetadataFeatures(categorical=["country"]))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), folds=2)
    >>> _ = model.fit(films, labels)
    >>> films.index = [f"f{i}" for i in range(40)]
    >>> split = make_split(films.index, labels, seed=0)
    >>> test = films.loc[split.ids[split.parts == "test"]]
    >>> first = Outputs(model.predict(test), model.predict_proba(test))
    >>> found = evaluate_repeated_splits(model, films, labels, split, 2, 0, first=first)
    >>> found["seeds"], len(found["metrics"]["f1_weighted"]["values"])
    ([0, 1], 2)
    """
    position = {name: i for i, name in enumerate(frame.index.tolist())}
    rows = np.array([position[name] for name in split.ids.tolist()])
    shares = [float((split.parts == part).mean()) for part in PARTS]
    found = [measure_all(labels[rows[split.parts == "test"]], first)]
    seeds = [seed + i for i in range(repeats)]
    for i, other in enumerate(seeds[1:], start=2):
        say(f"repeat {i} of {repeats}: a split with seed {other}")
        drawn = make_split(split.ids, labels[rows], groups=split.groups, shares=shares, seed=other)
        test = drawn.parts == "test"
        again = clone(model).set_params(random_state=other)
        again.fit(frame.iloc[rows[~test]], labels[rows[~test]], groups=drawn.groups[~test])
        probabilities = again.predict_proba(frame.iloc[rows[test]])
        outputs = Outputs(again.label(probabilities), probabilities)
        found.append(measure_all(labels[rows[test]], outputs))
    test_to_train = shares[2] / (shares[0] + shares[1])
    return {"seeds": seeds, "metrics": {n: _describe(n, found, test_to_train) for n in METRICS}}


def _describe(metric: str, found: list[dict[str, float]], test_to_train: float) -> dict[str, Any]:
    values = [run[metric] for run in found]
    interval = corrected_resampled_interval(values, test_to_train)
    return {**asdict(summarise_runs(values)), "interval": asdict(interval)}
