"""Fit several settings of one MultilabelLinearSVC in one solve."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from hybrid.errors import SettingError, unknown_name
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.heads.svm.solver import Solution

Floats = NDArray[np.float64]


class Setting(Protocol):
    """Settings of one fit: parameters, of which only C may vary, and weights of blocks."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameter → value."""

    @property
    def weights(self) -> dict[str, float]:
        """Block → weight."""


def fit_many(
    estimator: MultilabelLinearSVC,
    matrix: FusionMatrix,
    y: ArrayLike,
    choices: Sequence[Setting],
    sample_weight: ArrayLike | None = None,
) -> list[MultilabelLinearSVC]:
    """Fit an estimator with several settings, in one solve that shares the Gram matrices.

    Parameters
    ----------
    estimator : MultilabelLinearSVC
        It is cloned.
    matrix : FusionMatrix of shape (n, columns)
    y : array of shape (n,) or (n, L)
    choices : sequence
        Each with `parameters`, of which only ``C`` may differ from choice to choice, and `weights`,
        block → weight; blocks that are not named keep that of `matrix`.
    sample_weight : array of shape (n,), optional

    Returns
    -------
    list of MultilabelLinearSVC
        One a choice, equal within its `dual_gap_` to
        ``clone(estimator).set_params(**parameters).fit(matrix.with_weights(weights), y)``.

    Raises
    ------
    SettingError
        If parameters other than C vary, are wrong or unknown, or a weight names no block or is not
        above 0.

    Warns
    -----
    ConvergenceWarning
        If a gap is above `tol` after `max_iter` epochs.

    Examples
    --------
    >>> from hybrid.heads.cross_fitting import Candidate
    >>> matrix = FusionMatrix.from_blocks([np.array([[0.0], [1.0], [0.2], [0.9]])], ["text"])
    >>> settings = [Candidate({"C": 0.1}, {}), Candidate({"C": 10.0}, {"text": 2.0})]
    >>> small, large = fit_many(MultilabelLinearSVC(random_state=0), matrix, [0, 1, 0, 1], settings)
    >>> (small.C, large.C), large.predict(matrix.with_weights({"text": 2.0})).tolist()
    ((0.1, 10.0), [0, 1, 0, 1])
    """
    models = [clone(estimator).set_params(**choice.parameters) for choice in choices]
    _check(models, matrix, choices)
    if not models:
        return []
    checked, Y, weight = models[0]._start(matrix, y, sample_weight)
    models[0]._warn_constant(Y, weight)
    models = [copy(models[0]).set_params(C=model.C) for model in models]
    B = np.concatenate([model._signed(Y, weight, model.C) for model in models])
    weights = np.array([checked.with_weights(choice.weights).weights for choice in choices])
    found = models[0]._solve(checked, B, np.repeat(weights, Y.shape[1], axis=0))
    models[0]._warn(found.gap)
    parts = [np.split(part, len(models)) for part in (found.coef, found.gap, found.n_iter)]
    for model, *part in zip(models, *parts, strict=True):
        model._keep(Solution(*part), Y, weight)
    return models


def _check(
    models: list[MultilabelLinearSVC], matrix: FusionMatrix, choices: Sequence[Setting]
) -> None:
    """Raise a SettingError that lists all errors in the settings."""
    problems = []
    for model in models:
        problems += model._problems()
    fixed = [{k: v for k, v in m.get_params().items() if k != "C"} for m in models]
    for name in fixed[0] if fixed else ():
        values = {repr(parameters[name]) for parameters in fixed}
        if len(values) > 1:
            problems.append(
                f"choices: expected the same {name} in all, found {', '.join(sorted(values))}. "
                "Only C may vary; fit the others apart."
            )
    names = [name for name, _ in matrix.blocks]
    for choice in choices:
        for name, weight in choice.weights.items():
            if name not in names:
                problems.append(str(unknown_name("block", name, names)))
            if not (np.isfinite(weight) and weight > 0):
                problems.append(f"weights: expected a positive number for {name}, found {weight}.")
    if problems:
        raise SettingError("\n".join(dict.fromkeys(problems)))
