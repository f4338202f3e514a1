"""A linear head taken apart: the exact part of each word, field and poster in the score of an item.

The score of an item for a genre is the intercept plus, for each column of the fusion, the block's
weight times the coefficient times the item's value in that column. So it can be taken apart without
any approximation. A poster's embedding is one part: its columns have no names.
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
from hybrid.features import PosterFeatures
from hybrid.features.fusion import FusionMatrix
from hybrid.heads import HEADS, HybridClassifier, MultilabelLinearSVC
from hybrid.heads.calibration import Calibration
from hybrid.heads.logistic import MultilabelLogistic

Floats = NDArray[np.float64]
LINEAR = (MultilabelLinearSVC, MultilabelLogistic, SGDClassifier, RidgeClassifier)
# In brackets, which no word has: overviews tell of missing persons, too.
EMBEDDING = "(embedding)"


@dataclass(frozen=True, eq=False)
class BlockCoefficients:
    """What one block's columns add to the scores.

    Parameters
    ----------
    name : str
    columns : ndarray of shape (columns,), str
        Words or fields, the numbers of an embedding's dimensions; the last tells of a missing block.
    coef : ndarray of shape (L, columns), float64
        Block weight times coefficient: what a value of 1 adds to each genre's score.
    named : bool
        False for embeddings: only their last column means something by itself.
    """

    name: str
    columns: NDArray[Any]
    coef: Floats
    named: bool

    @property
    def first_named(self) -> int:
        """The first column with a name."""
        return 0 if self.named else len(self.columns) - 1


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A fitted linear head taken apart: its blocks, intercepts of shape (L,), and sigmoids."""

    blocks: tuple[BlockCoefficients, ...]
    intercept: Floats
    calibration: Calibration


@dataclass(frozen=True)
class Contribution:
    """What one word, field, embedding or missing block of an item adds to a score."""

    block: str
    name: str
    contribution: float


@dataclass(frozen=True)
class GenrePrediction:
    """One item and one genre, as a network says it, whose score is no sum.

    Parameters
    ----------
    genre : str
    score : float
        Log-odds, before calibration.
    probability : float
        Calibrated.
    threshold : float or None
        The label is given from this probability on, which is inf where it never is; None where an item has
        one label, the likeliest.
    given : bool
        Whether the label is given.
    """

    genre: str
    score: float
    probability: float
    threshold: float | None
    given: bool


@dataclass(frozen=True)
class ScoreDecomposition:
    """One item and one genre: ``score = intercept + sum of the parts``, to rounding.

    Parameters
    ----------
    genre : str
    score : float
        The decision function; NaN for a genre that could not be learnt.
    intercept : float
    blocks : dict of str to float
        The sum of each block's parts.
    parts : tuple of Contribution
        All that are not 0, the largest first.
    probability, threshold : float
        Calibrated; the label is given from the threshold on, which is inf where it never is.
    needed : float
        The score at which the probability reaches the threshold: inf where it never does, NaN where
        the probability does not depend on the score.
    given : bool
        Whether the label is given.
    """

    genre: str
    score: float
    intercept: float
    blocks: dict[str, float]
    parts: tuple[Contribution, ...]
    probability: float
    threshold: float
    needed: float
    given: bool


def is_linear(model: HybridClassifier) -> bool:
    """Whether the scores of a fitted model are sums that can be taken apart."""
    head = model.head_.estimator if isinstance(model.head_, OneVsRestClassifier) else model.head_
    return model.tuned and isinstance(head, LINEAR)


def read_linear_head(model: HybridClassifier) -> LinearHead:
    """Take a fitted model apart.

    Parameters
    ----------
    model : HybridClassifier

    Raises
    ------
    SettingError
        If its head is not linear; says which heads are.
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
        blocks.append(BlockCoefficients(name, columns, own, not isinstance(block, PosterFeatures)))
        start += len(columns)
    return LinearHead(tuple(blocks), intercept, calibration)


def _coefficients(model: HybridClassifier) -> tuple[Floats, Floats]:
    """Coefficients of shape (L, columns) and intercepts; NaN intercepts of genres not learnt."""
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
    """Take the scores of one item apart.

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
    """
    head = read_linear_head(model)
    pairs = zip(head.blocks, (values for _, values in matrix.blocks), strict=True)
    found = [_item_contributions(block, values) for block, values in pairs]
    sums = head.intercept + sum(parts.sum(axis=1) for _, parts in found)
    scores = np.where(model.constant_, np.nan, sums)
    calibration = head.calibration
    probabilities = calibration.apply(scores[None, :])
    given = model.label(probabilities)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = (logit(model.thresholds_) - calibration.intercept) / calibration.slope
    needed = np.where(np.isinf(model.thresholds_), np.inf, needed)
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
            threshold=float(model.thresholds_[j]),
            needed=float(needed[j]),
            given=bool(given[j]),
        )
        for j, genre in enumerate(genres)
    )


def _item_contributions(block: BlockCoefficients, values: Any) -> tuple[list[str], Floats]:
    """Names and parts, of shape (L, names), of one item's row of a block."""
    row = sparse.csr_matrix(values, dtype=np.float64)
    parts = block.coef[:, row.indices] * row.data
    if block.named:
        return [str(block.columns[c]) for c in row.indices], parts
    own = row.indices < block.first_named
    return [EMBEDDING, str(block.columns[-1])], np.stack(
        [parts[:, o].sum(axis=1) for o in (own, ~own)], axis=1
    )


def _sorted_contributions(
    head: LinearHead, found: list[tuple[list[str], Floats]], j: int
) -> tuple[Contribution, ...]:
    """The parts of genre j that are not 0, the largest first."""
    parts = [
        Contribution(block.name, name, float(part))
        for block, (names, parts) in zip(head.blocks, found, strict=True)
        for name, part in zip(names, parts[j], strict=True)
        if part != 0
    ]
    return tuple(sorted(parts, key=lambda part: -abs(part.contribution)))


def top_contributions(
    score: ScoreDecomposition, top: int
) -> tuple[tuple[Contribution, ...], tuple[Contribution, ...], Contribution]:
    """Words and fields (embeddings aside): most for a genre, most against it, the sum of the others.

    The name of the last says how many they are.
    """
    named = [part for part in score.parts if part.name != EMBEDDING]
    signed = [[p for p in named if (p.contribution > 0) == up] for up in (True, False)]
    rest = [part.contribution for parts in signed for part in parts[top:]]
    others = Contribution("", f"{len(rest)} others", float(sum(rest)))
    return tuple(signed[0][:top]), tuple(signed[1][:top]), others
