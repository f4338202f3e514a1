"""Decomposition of a linear head's scores: the exact contribution of each word, field and poster.

The score of an item for a genre is the intercept plus, for each column of the fusion, block weight times
coefficient times the item's value. The decomposition is therefore exact. The dimensions of an embedding,
of a poster or a text, have no names, so an embedding is one contribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logit
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.validation import check_is_fitted

from hybrid.errors import SettingError
from hybrid.explain.contributions import EMBEDDING, Contribution, ScoreDecomposition
from hybrid.explain.stop_words import is_piece
from hybrid.features import TextFeatures
from hybrid.features.embeddings import EmbeddingFeatures
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import HEADS, HybridClassifier, MultilabelLinearSVC
from hybrid.heads.calibration import Calibration
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.utils.scripts import has_unspaced_script

Floats = NDArray[np.float64]
LINEAR = (MultilabelLinearSVC, MultilabelLogistic, SGDClassifier, RidgeClassifier)


@dataclass(frozen=True, eq=False)
class BlockCoefficients:
    """Coefficients of one block of features.

    Parameters
    ----------
    name : str
    columns : ndarray of shape (C,), dtype object
        Words, fields, or the numbers of an embedding's dimensions. The last column is the indicator of a
        missing block.
    coef : ndarray of shape (L, C), dtype float64
        Block weight times coefficient: change of each genre's score for each unit of the column.
    named : bool
        False for embeddings, of which only the last column has a name.
    text : bool, default=False
        Whether the columns are terms of a text.
    source : str, default=""
        What the embeddings are of: ``"posters"``, ``"texts"``. Empty where the columns have names.

    Examples
    --------
    >>> import numpy as np
    >>> columns = np.array(["ghost", "(text missing)"], dtype=object)
    >>> BlockCoefficients("text", columns, np.array([[0.5, -0.1]]), named=True).first_named
    0
    """

    name: str
    columns: NDArray[Any]
    coef: Floats
    named: bool
    text: bool = False
    source: str = ""

    @property
    def first_named(self) -> int:
        """Index of the first column that has a name."""
        return 0 if self.named else len(self.columns) - 1


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Coefficients, intercepts and calibration of a fitted linear head.

    Parameters
    ----------
    blocks : tuple of BlockCoefficients
    intercept : ndarray of shape (L,), dtype float64
        NaN for genres that were constant in the training set.
    calibration : Calibration
        A sigmoid for each genre.

    Examples
    --------
    See `read_linear_head`.
    """

    blocks: tuple[BlockCoefficients, ...]
    intercept: Floats
    calibration: Calibration


def is_linear(model: HybridClassifier) -> bool:
    """Whether a fitted model has a linear head, so that its scores can be decomposed.

    Parameters
    ----------
    model : HybridClassifier
        Fitted.

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import HybridClassifier, MultilabelLinearSVC
    >>> X = pd.DataFrame({"overview": ["ghost night", "joke wedding"] * 10}, index=map(str, range(20)))
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2)
    >>> model = model.fit(X, np.array([[1, 0], [0, 1]] * 10))
    >>> is_linear(model)
    True
    """
    head = model.head_.estimator if isinstance(model.head_, OneVsRestClassifier) else model.head_
    return model.tuned and isinstance(head, LINEAR)


def read_linear_head(model: HybridClassifier) -> LinearHead:
    """Coefficients, intercepts and calibration of a fitted model, block by block.

    Parameters
    ----------
    model : HybridClassifier
        Fitted, with a linear head.

    Returns
    -------
    LinearHead

    Raises
    ------
    SettingError
        If the head is not linear. The message lists the linear heads.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import HybridClassifier, MultilabelLinearSVC
    >>> X = pd.DataFrame({"overview": ["ghost night", "joke wedding"] * 10}, index=map(str, range(20)))
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2)
    >>> model = model.fit(X, np.array([[1, 0], [0, 1]] * 10))
    >>> head = read_linear_head(model)
    >>> head.blocks[0].columns.tolist()
    ['ghost', 'joke', 'night', 'wedding', '(text missing)']
    >>> head.blocks[0].coef.shape, head.intercept.shape
    ((2, 5), (2,))
    """
    check_is_fitted(model)
    calibration = model.calibration_
    if calibration is None or not is_linear(model):
        known = [name for name, spec in HEADS.items() if isinstance(spec.build(0), LINEAR)]
        raise SettingError(
            "explain: expected a linear head, whose score is a sum over words and fields "
            f"({', '.join(known)}), found {type(model.estimator).__name__}. Fit one with hybrid "
            "fit-svm, or hybrid fit-ovr --estimator."
        )
    coef, intercept = _coefficients(model)
    weights = model.fusion_.weights or {}
    blocks, start = [], 0
    for name, block in model.fusion_.fitted_:
        columns = np.array([*block.get_feature_names_out(), f"({name} missing)"], dtype=object)
        own = coef[:, start : start + len(columns)] * float(weights.get(name, 1.0))
        source = block.source if isinstance(block, EmbeddingFeatures) else ""
        text = isinstance(block, TextFeatures)
        blocks.append(BlockCoefficients(name, columns, own, not source, text, source))
        start += len(columns)
    return LinearHead(tuple(blocks), intercept, calibration)


def _coefficients(model: HybridClassifier) -> tuple[Floats, Floats]:
    """Coefficients of shape (L, C) and intercepts, NaN for genres that were constant in training."""
    head, constant = model.head_, model.constant_
    if not isinstance(head, OneVsRestClassifier):
        return head.coef_, np.where(constant, np.nan, head.intercept_)
    coef = np.zeros((len(constant), head.n_features_in_))
    intercept = np.full(len(constant), np.nan)
    for j in np.flatnonzero(~constant):
        # Of shape (1, columns) or (columns,), as the estimator and its version have it.
        coef[j] = np.ravel(head.estimators_[j].coef_)
        intercept[j] = np.ravel(head.estimators_[j].intercept_)[0]
    return coef, intercept


def decompose_scores(
    model: HybridClassifier, matrix: FusionMatrix, genres: Sequence[str]
) -> tuple[ScoreDecomposition, ...]:
    """Scores of one item as sums of contributions.

    Parameters
    ----------
    model : HybridClassifier
        Fitted, with a linear head.
    matrix : FusionMatrix of 1 row
        ``model.fusion_.transform`` of the item.
    genres : sequence of L str

    Returns
    -------
    tuple of L ScoreDecomposition

    Raises
    ------
    SettingError
        If the head is not linear.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import HybridClassifier, MultilabelLinearSVC
    >>> X = pd.DataFrame({"overview": ["ghost night", "joke wedding"] * 10}, index=map(str, range(20)))
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2)
    >>> model = model.fit(X, np.array([[1, 0], [0, 1]] * 10))
    >>> horror, _ = decompose_scores(model, model.fusion_.transform(X.iloc[[0]]), ["Horror", "Comedy"])
    >>> horror.given, sorted(part.name for part in horror.parts)
    (True, ['ghost', 'night'])
    >>> total = horror.intercept + sum(part.contribution for part in horror.parts)
    >>> abs(total - horror.score) < 1e-9
    True
    """
    head = read_linear_head(model)
    pairs = zip(head.blocks, (values for _, values in matrix.blocks), strict=True)
    found = [_item_contributions(block, values) for block, values in pairs]
    sums = head.intercept + sum(parts.sum(axis=1) for _, parts in found)
    scores = np.where(model.constant_, np.nan, sums)
    calibration = head.calibration
    probabilities = model.decision_.probabilities(scores[None, :])
    given = model.label(probabilities)[0]
    one_label = model.decision_.options.one_label
    thresholds = np.full(len(genres), np.nan) if one_label else model.thresholds_
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = (logit(thresholds) - calibration.intercept) / calibration.slope
    needed = np.where(np.isinf(thresholds), np.inf, needed)
    needed = np.where((calibration.slope > 0) & ~model.constant_, needed, np.nan)
    return tuple(
        ScoreDecomposition(
            genre,
            score=float(scores[j]),
            intercept=float(head.intercept[j]),
            blocks={
                b.name: float(p[j].sum()) for b, (_, p) in zip(head.blocks, found, strict=True)
            },
            parts=_sorted_contributions(head, found, j),
            probability=float(probabilities[0, j]),
            threshold=None if one_label else float(thresholds[j]),
            needed=float(needed[j]),
            given=bool(given[j]),
        )
        for j, genre in enumerate(genres)
    )


def _item_contributions(block: BlockCoefficients, values: Any) -> tuple[list[str], Floats]:
    """Names, and contributions of shape (L, names), of one item's row of a block."""
    row = sparse.csr_matrix(values, dtype=np.float64)
    parts = block.coef[:, row.indices] * row.data
    if block.named:
        names = [str(block.columns[c]) for c in row.indices]
        return _join_characters(names, parts) if block.text else (names, parts)
    own = row.indices < block.first_named
    return [EMBEDDING, str(block.columns[-1])], np.stack(
        [parts[:, o].sum(axis=1) for o in (own, ~own)], axis=1
    )


def _join_characters(names: list[str], parts: Floats) -> tuple[list[str], Floats]:
    """Add up the contributions of a character that counts as a word and as an n-gram of characters.

    It is both in scripts without spaces; to a reader it is one.
    """
    place = {name: k for k, name in enumerate(names)}
    twins = {
        k: place[name[1:-1]]
        for k, name in enumerate(names)
        if is_piece(name) and name[1:-1] in place and has_unspaced_script(name)
    }
    if not twins:
        return names, parts
    parts = parts.copy()
    for k, word in twins.items():
        parts[:, word] += parts[:, k]
    left = [k for k in range(len(names)) if k not in twins]
    return [names[k] for k in left], parts[:, left]


def _sorted_contributions(
    head: LinearHead, found: list[tuple[list[str], Floats]], j: int
) -> tuple[Contribution, ...]:
    """Non-zero contributions to the score of genre j, largest absolute value first."""
    parts = [
        Contribution(block.name, name, float(part))
        for block, (names, parts) in zip(head.blocks, found, strict=True)
        for name, part in zip(names, parts[j], strict=True)
        if part != 0
    ]
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution)))
