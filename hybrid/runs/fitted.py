"""A fitted model with the items it learnt from and those it is tested on: what a study takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.evaluation import Outputs
from hybrid.heads import HybridClassifier
from hybrid.runs.study_records import StudiesRecord
from hybrid.types import Split
from hybrid.utils.context import Context


class LabelledItems(NamedTuple):
    """Items: their frame, labels of shape (n, L) and groups of shape (n,)."""

    frame: pd.DataFrame
    labels: NDArray[np.uint8]
    groups: NDArray[Any]


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, what it learnt from, what it is judged on and what it said of that."""

    model: HybridClassifier
    learn: LabelledItems
    test: LabelledItems
    answers: Outputs
    genres: tuple[str, ...]
    fit_seconds: float


# (fitted model, all items, split, run folder, context) → what the record holds of the studies.
Study = Callable[[FittedModel, LabelledItems, Split, Path, Context], StudiesRecord]
