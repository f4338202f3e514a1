"""What a tuned backbone is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TunedImages:
    """What a tuned backbone is made of: K encoders with upper layers and heads of their own.

    Parameters
    ----------
    folder : Path
    base : str
        Name of the backbone that it started from.
    weights : str
        Kind of its weights: ``"imagenet"``, ``"file"`` or ``"random"``.
    file : str
        Name of their file in the folder; ``""`` for random ones.
    weights_digest : str
    seed : int
        Of random weights.
    labels : tuple of L str
        Names of the scores.
    trains : str
        Which layers each encoder has of its own; see `hybrid.backbones.unfreezing.unfrozen_layers`.
    folds : int
        K.
    learnt : mapping of int to int
        Number of a poster, by its pixels or by its file, → its fold.
    refit : bool
        Whether there is one more encoder, which has learnt from all items, for new posters.
    """

    folder: Path
    base: str = ""
    weights: str = ""
    file: str = ""
    weights_digest: str = ""
    seed: int = 0
    labels: tuple[str, ...] = ()
    trains: str = "head"
    folds: int = 1
    learnt: Mapping[int, int] = field(default_factory=dict, hash=False, repr=False)
    refit: bool = False
