"""Repeated splits: the variation of the metrics over seeds, folds or periods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hybrid.evaluation import (
    METRICS,
    Outputs,
    corrected_resampled_interval,
    evaluate,
    measure_all,
    summarise_runs,
)
from hybrid.evaluation.metrics import highest
from hybrid.heads import HybridClassifier
from hybrid.runs.fitted import LabelledItems
from hybrid.runs.study_records import LearntRecord
from hybrid.splitting.repeats import FurtherSplit
from hybrid.studies.fits import Fit, Fits, unfitted_copy

# Training and test items of a split.
Items = Callable[[FurtherSplit], tuple[LabelledItems, LabelledItems]]
OWN = "the run itself"
TEMPORAL = "temporal"


@dataclass(frozen=True)
class RepeatedRun:
    """The model on one split.

    Parameters
    ----------
    name : str
        As `FurtherSplit.name`, or "the run itself".
    seed : int
    sha256 : str
        Of the split.
    training, test : LabelledItems
    outputs : Outputs
        Of the test items.
    """

    name: str
    seed: int
    sha256: str
    training: LabelledItems
    test: LabelledItems
    outputs: Outputs


def evaluate_repeated_splits(
    model: HybridClassifier,
    own: RepeatedRun,
    further: Sequence[FurtherSplit],
    items: Items,
    genres: Sequence[str],
    *,
    method: str,
    seed: int = 0,
    fits: Fits | None = None,
    learnt: Callable[[LabelledItems], LearntRecord] | None = None,
) -> dict[str, Any]:
    """Fit and evaluate the model on further splits.

    Parameters
    ----------
    model : HybridClassifier
        It is cloned, with the seed of each split.
    own : RepeatedRun
        The run itself.
    further : sequence of FurtherSplit
        As `hybrid.splitting.repeats.further_splits` makes them.
    items : callable
        Training and test items of a split.
    genres : sequence of L str
    method : str
        Of the splits. The interval of the mean is that of the corrected resampled t-test; for ``temporal``
        there is none: origins follow each other in time, with more to learn from each time, and are no
        random draws.
    seed : int, default=0
        Of the bootstrap of each run.
    fits : Fits, optional
        Shows and remembers each fit.
    learnt : callable, optional
        What the backbones have learnt from test items; by default it is not asked.

    Returns
    -------
    dict
        For `RepeatsRecord`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> from hybrid.splitting.repeats import further_splits
    >>> from hybrid.splitting.splits import make_split
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 20})
    >>> films.index, labels = [f"f{i}" for i in range(40)], np.array([[1, 0], [0, 1]] * 20, np.uint8)
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), folds=2)
    >>> def items(each):
    ...     test = each.split.parts == "test"
    ...     return tuple(LabelledItems(films[m], labels[m], each.split.groups[m]) for m in (~test, test))
    >>> split = make_split(films.index, labels, seed=0)
    >>> training, test = items(FurtherSplit("", 0, split))
    >>> outputs = Outputs(test.labels, test.labels.astype(float))
    >>> own = RepeatedRun(OWN, 0, split.sha256, training, test, outputs)
    >>> further = further_splits(split, labels, 2, 0)
    >>> found = evaluate_repeated_splits(model, own, further, items, ["a", "b"], method="iterative")
    >>> found["seeds"], len(found["metrics"]["f1_weighted"]["values"])
    ([0, 1], 2)
    """
    fits, runs = fits or Fits(), [own]
    for each in further:
        training, test = items(each)
        outputs = fits.get(split_fit(model, each, items)).outputs
        runs.append(RepeatedRun(each.name, each.seed, each.split.sha256, training, test, outputs))
    measured = [measure_all(run.test.labels, run.outputs) for run in runs]
    ratio = len(own.test.frame) / len(own.training.frame)
    test_to_train = None if method == TEMPORAL else ratio
    return {
        "method": method,
        "seeds": [run.seed for run in runs],
        "splits": [
            {
                **_describe_run(run, genres, seed),
                **({} if learnt is None else {"learnt": learnt(run.test)}),
            }
            for run in runs
        ],
        "metrics": {
            name: _describe(
                [run[name] for run in measured], test_to_train, highest(name, len(genres))
            )
            for name in METRICS
        },
    }


def split_fit(model: HybridClassifier, further: FurtherSplit, items: Items) -> Fit:
    """The fit of a model on another split.

    Parameters
    ----------
    model : HybridClassifier
        It is cloned, with the seed of the split.
    further : FurtherSplit
    items : callable
        Training and test items of a split.
    """

    def fit() -> Outputs:
        training, test = items(further)
        again = unfitted_copy(model).set_params(random_state=further.seed)
        again.fit(training.frame, training.labels, groups=training.groups)
        probabilities = again.predict_proba(test.frame)
        return Outputs(again.label(probabilities), probabilities)

    return Fit(f"split-{further.split.sha256[:16]}-seed-{further.seed}", further.name, fit)


def _describe_run(run: RepeatedRun, genres: Sequence[str], seed: int) -> dict[str, Any]:
    """What was learnt from and tested on, and the metrics with intervals over its own test items."""
    found = evaluate(run.test.labels, run.outputs, genres, groups=run.test.groups, seed=seed)
    return {
        "name": run.name,
        "seed": run.seed,
        "sha256": run.sha256,
        "training": len(run.training.frame),
        "test": len(run.test.frame),
        "metrics": found.metrics,
    }


def _describe(values: list[float], test_to_train: float | None, most: float) -> dict[str, Any]:
    interval = None
    if test_to_train is not None:
        interval = asdict(corrected_resampled_interval(values, test_to_train, most, 0.0))
    return {**asdict(summarise_runs(values)), "interval": interval}
