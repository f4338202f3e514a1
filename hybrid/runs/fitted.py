"""A fitted model with its items: what a study of a run takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.evaluation import Outputs
from hybrid.heads import HybridClassifier


class LabelledItems(NamedTuple):
    """Items with their labels and groups: X, y and groups of scikit-learn.

    Parameters
    ----------
    frame : DataFrame of n items
        Indexed by id.
    labels : ndarray of shape (n, L), uint8
    groups : ndarray of shape (n,)
        Items of one group are in one part of the split.
    """

    frame: pd.DataFrame
    labels: NDArray[np.uint8]
    groups: NDArray[Any]


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, its training and test items, and its outputs on the test items.

    Parameters
    ----------
    model : HybridClassifier
        Fitted on `training`.
    training, test : LabelledItems
        `training` holds the parts train and validation.
    outputs : Outputs
        Predicted labels and probabilities of the test items.
    genres : tuple of str
        The L labels.
    fit_seconds : float
        NaN where that is not known.
    """

    model: HybridClassifier
    training: LabelledItems
    test: LabelledItems
    outputs: Outputs
    genres: tuple[str, ...]
    fit_seconds: float
