"""Predictions of one item, and the contributions that a linear head's score is the sum of."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.utils.counts import counted

# In parentheses, so that it cannot be confused with a word of an overview.
EMBEDDING = "(embedding)"


@dataclass(frozen=True)
class Contribution:
    """Contribution of one word, field, embedding or missing-block indicator to a score.

    Parameters
    ----------
    block, name : str
    contribution : float
        Block weight times coefficient times the item's value.

    Examples
    --------
    >>> Contribution("text", "ghost", 0.25).contribution
    0.25
    """

    block: str
    name: str
    contribution: float


@dataclass(frozen=True)
class GenrePrediction:
    """Prediction of one genre by a network, whose score cannot be decomposed.

    Parameters
    ----------
    genre : str
    score : float
        Log-odds before calibration.
    probability : float
        Calibrated, in [0, 1].
    threshold : float or None
        Smallest probability at which the label is predicted; inf where it never is. None for
        single-label models, which predict the most likely label.
    given : bool
        Whether the label is predicted.

    Examples
    --------
    >>> GenrePrediction("Horror", 0.5, 0.62, 0.5, True).given
    True
    """

    genre: str
    score: float
    probability: float
    threshold: float | None
    given: bool


@dataclass(frozen=True)
class SharedPrediction(GenrePrediction):
    """Prediction of one genre by a network on several blocks, among which its score is shared.

    ``score == intercept + sum(blocks.values())``, up to rounding.

    Parameters
    ----------
    genre, score, probability, threshold, given
        See `GenrePrediction`.
    intercept : float
        Score of an item that lacks every block.
    blocks : dict of str to float
        Shapley value of each block that the item has; see `hybrid.explain.shapley.shapley_values`.

    Examples
    --------
    >>> SharedPrediction("Horror", 0.5, 0.62, 0.5, True, -1.0, {"text": 1.5}).blocks
    {'text': 1.5}
    """

    intercept: float
    blocks: dict[str, float]


@dataclass(frozen=True)
class ScoreDecomposition:
    """Prediction of one genre by a linear head, with its score as a sum of contributions.

    ``score == intercept + sum(part.contribution for part in parts)``, up to rounding.

    Parameters
    ----------
    genre : str
    score : float
        Decision function; NaN for a genre that was constant in the training set.
    intercept : float
    blocks : dict of str to float
        Sum of the contributions of each block.
    parts : tuple of Contribution
        Non-zero contributions, largest absolute value first.
    probability : float
        Calibrated, in [0, 1].
    threshold : float or None
        Smallest probability at which the label is predicted; inf where it never is. None where the most
        probable label is predicted.
    needed : float
        Score at which the probability reaches the threshold: inf where it never does, NaN where the
        probability does not depend on the score.
    given : bool
        Whether the label is predicted.

    Examples
    --------
    >>> parts = (Contribution("text", "ghost", 0.5),)
    >>> score = ScoreDecomposition("Horror", 0.6, 0.1, {"text": 0.5}, parts, 0.65, 0.5, 0.0, True)
    >>> score.score == score.intercept + parts[0].contribution
    True
    """

    genre: str
    score: float
    intercept: float
    blocks: dict[str, float]
    parts: tuple[Contribution, ...]
    probability: float
    threshold: float | None
    needed: float
    given: bool


def top_contributions(
    score: ScoreDecomposition, top: int
) -> tuple[tuple[Contribution, ...], tuple[Contribution, ...], Contribution]:
    """Largest positive and negative contributions of words and fields, and the sum of the others.

    Contributions of embeddings are left out.

    Parameters
    ----------
    score : ScoreDecomposition
    top : int
        Maximum number on each side.

    Returns
    -------
    towards, away : tuple of Contribution
        Largest absolute value first.
    others : Contribution
        Sum of those not returned; its name states how many they are.

    Examples
    --------
    >>> parts = (Contribution("text", "ghost", 0.5), Contribution("text", "night", 0.25))
    >>> score = ScoreDecomposition("Horror", 0.75, 0.0, {"text": 0.75}, parts, 0.7, 0.5, 0.0, True)
    >>> towards, away, others = top_contributions(score, 1)
    >>> towards[0].name, away, others.name, others.contribution
    ('ghost', (), '1 other', 0.25)
    """
    named = [part for part in score.parts if part.name != EMBEDDING]
    signed = [[p for p in named if (p.contribution > 0) == up] for up in (True, False)]
    rest = [part.contribution for parts in signed for part in parts[top:]]
    others = Contribution("", counted(len(rest), "other"), float(sum(rest)))
    return tuple(signed[0][:top]), tuple(signed[1][:top]), others
