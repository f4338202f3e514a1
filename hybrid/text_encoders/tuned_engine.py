"""The inference engine of a tuned text encoder: each of its encoders is asked for texts it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.engine import Embeddings, EngineChoice
from hybrid.backbones.tuned_folder import UNSEEN, encoder_files, find_folds
from hybrid.text_encoders.arrays import Affine, EncoderArrays, read_arrays
from hybrid.text_encoders.engine import TextEngine
from hybrid.text_encoders.spec import TransformerSpec
from hybrid.text_encoders.tokens import Tokens
from hybrid.text_encoders.tuned import FOLD, TunedSpec, text_numbers
from hybrid.text_encoders.tuned_arrays import read_fold


class TunedTextEngine(TextEngine):
    """The encoders of a tuned text encoder, with their heads; each is loaded when it is first asked.

    Parameters
    ----------
    spec : TunedSpec
    choice : EngineChoice

    Raises
    ------
    WeightsError
        If a file is damaged.
    """

    def __init__(self, spec: TunedSpec, choice: EngineChoice) -> None:
        self.spec, self.choice, self.dimension = spec, choice, spec.dimension
        self.arrays, self.body = read_arrays(spec.base), replace(spec.base, normalise=False)
        self.loaded: dict[int, tuple[TextEngine, Affine]] = {}
        self.lock = Lock()

    def embed(self, tokens: Tokens) -> Embeddings:
        """Scores of all pieces, each of an encoder that has not seen it; see `TextEngine.embed`."""
        fold = find_folds(self.spec.learnt, text_numbers(tokens))
        folds, unseen = self.spec.folds, fold == UNSEEN
        found = np.zeros((len(fold), self.dimension))
        share = np.where(unseen, 1.0 if self.spec.refit else 1 / folds, 1.0)[:, None]
        for number in range(folds + self.spec.refit):
            asked = unseen if number == folds else fold == number
            rows = np.flatnonzero(asked if self.spec.refit else asked | unseen)
            if len(rows):
                engine, head = self.encoder(number)
                pooled = engine.embed(take_pieces(tokens, rows)).astype(np.float64)
                found[rows] += share[rows] * (pooled @ head.kernel + head.bias)
        return found.astype(np.float32)

    def encoder(self, number: int) -> tuple[TextEngine, Affine]:
        """One encoder, by the number of its fold; after those of the folds, that of all items."""
        with self.lock:
            if number not in self.loaded:
                name = encoder_files(FOLD, self.spec.folds, self.spec.refit)[number]
                own, head = read_fold(self.spec.folder / name, self.arrays, self.spec.layers)
                self.loaded[number] = _load(self.body, own, self.choice), head
            return self.loaded[number]

    def start(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Callable[[], Embeddings]:
        """See `TextEngine.start`."""
        inside = np.arange(ids.shape[1]) < lengths[:, None]
        none = np.zeros(len(ids), dtype=bool)
        tokens = Tokens(ids[inside], lengths.astype(np.int64), np.arange(len(ids)), none)
        return lambda: self.embed(tokens)


def take_pieces(tokens: Tokens, pieces: NDArray[np.int64]) -> Tokens:
    """Select pieces, each as a text of its own.

    Examples
    --------
    >>> two = Tokens(np.array([3, 4, 5], np.int32), np.array([2, 1]), np.arange(2), np.zeros(2, bool))
    >>> take_pieces(two, np.array([1])).ids.tolist()
    [5]
    """
    starts = np.cumsum(tokens.lengths) - tokens.lengths
    lengths = tokens.lengths[pieces]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    ids = tokens.ids[np.repeat(starts[pieces], lengths) + within]
    return Tokens(ids, lengths, np.arange(len(pieces)), np.zeros(len(pieces), dtype=bool))


def _load(spec: TransformerSpec, arrays: EncoderArrays, choice: EngineChoice) -> TextEngine:
    if choice.engine == "openvino":
        from hybrid.text_encoders.openvino_engine import OpenVINOTextEngine

        return OpenVINOTextEngine(spec, choice, arrays)
    from hybrid.backbones.startup import start_keras

    start_keras()
    from hybrid.text_encoders.keras_engine import KerasTextEngine

    return KerasTextEngine(spec, choice, arrays)
