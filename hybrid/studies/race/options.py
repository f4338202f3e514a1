"""Settings of a race of encoders, and their checks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hybrid.backbones.licences import LICENCES
from hybrid.errors import SettingError
from hybrid.evaluation.elimination import MEASURED
from hybrid.extraction.text_lookup import TEXT_EMBEDDING
from hybrid.types import METRIC, EmbeddingOptions, TextEmbeddingOptions

BUDGET = 30 * 60.0
START = 250
_UNITS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|min|s|)")


def parse_budget(text: str) -> float:
    """Seconds of a wall time.

    Parameters
    ----------
    text : str
        A number with its unit, ``h``, ``min`` or ``s`` (the default); several add up.

    Raises
    ------
    SettingError
        If it is something else, or not above 0.

    Examples
    --------
    >>> parse_budget("30min"), parse_budget("1h 30min"), parse_budget("90")
    (1800.0, 5400.0, 90.0)
    """
    plain = text.strip().lower()
    parts = _PART.findall(plain)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if _PART.sub("", plain).strip() or not parts or not seconds > 0:
        raise SettingError(f"--budget: expected a time such as 30min, 90s or 2h, found {text!r}.")
    return seconds


@dataclass(frozen=True)
class RaceOptions:
    """Settings of a race.

    Parameters
    ----------
    budget : float, default=1800
        Wall time in seconds: a round that is estimated to exceed it is not begun.
    blocks : sequence of str, optional
        Blocks that each encoder is added to: ``text`` (TF-IDF), ``metadata``, or names of imported
        embeddings. By default ``text`` and ``metadata``, as far as the catalogue has them. ``()``: encoders
        are judged alone.
    start : int, default=250
        Items of the first sample; each further one has twice as many.
    metric : {"weighted-f1", "macro-f1", "micro-f1", "map"}, default="weighted-f1"
        What encoders are judged by, and what parameters and thresholds are chosen by.
    confidence : float, default=0.95
        Probability that no encoder is stopped which is as good as the leader, over all rounds together.
    folds : int, default=4
        Of the cross-fitting.
    engine : {"keras", "openvino", "onnxruntime", "auto"}, optional
        As for an extraction; by default ``"keras"`` for posters, ``"auto"`` for texts.
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse encoders whose licence is not known to permit commercial use.
    posters : EmbeddingOptions, optional
        Layer, pooling, input size, fit, precision and so on of all backbones; by default each one's own.
    texts : TextEmbeddingOptions, optional
        Maximum length, chunks, prefix and precision of all text encoders.

    Examples
    --------
    >>> RaceOptions(confidence=2).problems()
    ['--confidence: expected a number between 0 and 1, found 2.']
    """

    budget: float = BUDGET
    blocks: tuple[str, ...] | None = None
    start: int = START
    metric: str = METRIC
    confidence: float = 0.95
    folds: int = 4
    engine: str | None = None
    licence: str = "any"
    posters: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    texts: TextEmbeddingOptions = field(default_factory=TextEmbeddingOptions)

    def __post_init__(self) -> None:
        if self.blocks is not None:
            object.__setattr__(self, "blocks", tuple(self.blocks))

    def problems(self) -> list[str]:
        """One message for each value that is out of range."""
        found = []
        if not self.budget > 0:
            found.append(f"--budget: expected a time above 0, found {self.budget} s.")
        if self.start < 1:
            found.append(f"--start: expected 1 or more, found {self.start}.")
        if self.metric not in MEASURED:
            found.append(f"--metric: expected {', '.join(MEASURED)}, found {self.metric!r}.")
        if not 0 < self.confidence < 1:
            found.append(
                f"--confidence: expected a number between 0 and 1, found {self.confidence}."
            )
        if self.folds < 2:
            found.append(f"--folds: expected 2 or more, found {self.folds}.")
        if self.licence not in LICENCES:
            found.append(f"--licence: expected {' or '.join(LICENCES)}, found {self.licence!r}.")
        for name in ("poster", TEXT_EMBEDDING):
            if name in (self.blocks or ()):
                found.append(
                    f"--with-blocks: expected text, metadata or imported blocks, found {name}, which is "
                    "what each encoder makes."
                )
        return found
