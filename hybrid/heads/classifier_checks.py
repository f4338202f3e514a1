"""Checks of what a `HybridClassifier` is given: labels, weights of items, settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError, unknown_name
from hybrid.heads.decision_rule import GENRE, MICRO, DecisionOptions
from hybrid.heads.feature_rows import reads_rows
from hybrid.heads.halving import LEAST
from hybrid.heads.scoring import is_joint
from hybrid.types import METRICS, ROWS, SEARCHES
from hybrid.utils.counts import counted
from hybrid.utils.unknown_labels import as_no, known_cells
from hybrid.utils.unknown_labels import read_labels as read_unknown

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


def decision_options(classifier: Any) -> DecisionOptions:
    """Options of a classifier's decision rule, with thresholds for its metric."""
    options: DecisionOptions = classifier.decision or DecisionOptions()
    usual = MICRO if is_joint(classifier.metric) else GENRE
    return replace(options, objective=options.objective or usual)


def check_frame(X: Any) -> None:
    """Raise a `SettingError` unless it is a DataFrame."""
    if not isinstance(X, pd.DataFrame):
        raise SettingError(
            f"X: expected a DataFrame such as load_catalogue(...).frame, found {type(X).__name__}."
        )


def check_labels(classifier: Any, y: ArrayLike, items: int) -> Labels:
    """Check labels and settings of a `HybridClassifier`; labels as uint8.

    Parameters
    ----------
    classifier : HybridClassifier
    y : array-like of shape (items, L)
    items : int

    Returns
    -------
    ndarray of shape (items, L), uint8

    Raises
    ------
    SettingError
        The message lists all that is wrong.
    """
    truth, problems = read_unknown(y), list[str]()
    if truth.ndim != 2 or len(truth) != items:
        problems.append(f"y: expected shape ({items}, L), found {truth.shape}.")
    elif not truth.shape[1]:
        problems.append("y: expected at least one label, found none.")
    elif (known := known_cells(truth)) is not None and not known.any():
        problems.append("y: expected 0 and 1 only, or NaN, found no label that is known.")
    elif not np.isin(as_no(truth), (0, 1)).all():
        problems.append("y: expected 0 and 1 only, and NaN where a label is unknown.")
    elif classifier.chain and known_cells(truth) is not None:
        problems.append(
            "y: expected labels that are all known for a chain, found unknown ones. Leave out --chain, "
            "or say of all labels whether the items have them."
        )
    elif decision_options(classifier).one_label and (truth.sum(axis=1) != 1).any():
        wrong = int((truth.sum(axis=1) != 1).sum())
        problems.append(
            f"y: expected one label an item, found none or several in {wrong:,} of "
            f"{counted(len(truth), 'item')}. Name the one that counts with --single-label."
        )
    unknown = set(classifier.grid or {}) - set(classifier.estimator.get_params())
    if unknown:
        name = type(classifier.estimator).__name__
        problems.append(f"grid: {name} has no parameter {', '.join(sorted(unknown))}.")
    if classifier.metric not in METRICS:
        problems.append(str(unknown_name("metric", classifier.metric, METRICS)))
    problems += search_problems(classifier.search, items)
    problems += rows_problems(classifier.rows, classifier.estimator, classifier.chain)
    if not 2 <= classifier.folds <= items:
        problems.append(f"folds: expected 2 to n_samples={items}, found {classifier.folds}.")
    for weight in classifier.block_weights:
        if not (np.isfinite(weight) and weight > 0):
            problems.append(f"block_weights: expected positive numbers, found {weight}.")
    if (
        is_joint(classifier.metric)
        and classifier.decision
        and classifier.decision.objective == GENRE
    ):
        problems.append(
            f"decision: expected the objective {MICRO}, or none, with the metric {classifier.metric}, found "
            f"{GENRE}."
        )
    try:
        (classifier.decision or DecisionOptions()).check()
    except SettingError as error:
        problems.append(str(error))
    if problems:
        raise SettingError("\n".join(problems))
    return truth.astype(np.uint8)


def search_problems(search: Any, items: int) -> list[str]:
    """What is wrong with the way that settings are chosen, for so many items."""
    if search not in SEARCHES:
        return [f"search: expected one of {', '.join(SEARCHES)}, found {search!r}."]
    if search == "halving" and items < LEAST:
        return [
            f"search: halving needs {LEAST:,} items or more, found {items:,}. Use full, or auto, which "
            "takes halving where it pays."
        ]
    return []


def rows_problems(rows: Any, estimator: Any, chain: bool) -> list[str]:
    """What is wrong with where the features of the items are to be."""
    if rows not in ROWS:
        return [f"rows: expected one of {', '.join(ROWS)}, found {rows!r}."]
    if rows != "disk" or (reads_rows(estimator) and not chain):
        return []
    name = f"a chain of {type(estimator).__name__}" if chain else type(estimator).__name__
    return [
        f"rows: expected a head that can be fitted on rows on disk, the linear SVM or the logistic "
        f"regression, found {name}. Use memory, or another head."
    ]


def check_weight(sample_weight: ArrayLike | None, items: int) -> Floats | None:
    """Sample weights as float64; None where all items weigh 1."""
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (items,):
        raise SettingError(f"sample_weight: expected shape ({items},), found {weight.shape}.")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise SettingError("sample_weight: expected finite numbers from 0, found others.")
    if not weight.any():
        raise SettingError("sample_weight: expected a weight above zero, found zero in all.")
    return weight
