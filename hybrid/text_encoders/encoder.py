"""Load a text encoder and embed texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.startup import start_keras
from hybrid.text_encoders.engine import TextEngine
from hybrid.text_encoders.onnx_engine import OnnxTextEngine
from hybrid.text_encoders.onnx_text import OnnxTextSpec
from hybrid.text_encoders.spec import TextEncoderSpec, TransformerSpec
from hybrid.text_encoders.static import StaticEngine, StaticSpec
from hybrid.text_encoders.tokens import Tokenizer, Tokens
from hybrid.text_encoders.tuned import TunedSpec

SMALLEST = 1e-12


class TextEncoder:
    """A text encoder, loaded: texts → embeddings.

    Parameters
    ----------
    spec : TextEncoderSpec
    choice : EngineChoice, optional
        By default Keras in float32.
    chunks : {"first", "mean"}, default="first"
        Of a text that is longer than the encoder reads: only the start; or the mean of its pieces, each
        weighted by its number of tokens.

    Examples
    --------
    >>> from hybrid.text_encoders.folder import read_text_encoder
    >>> encoder = TextEncoder(read_text_encoder("all-MiniLM-L6-v2"))  # doctest: +SKIP
    >>> encoder(["A ghost story"]).shape  # doctest: +SKIP
    (1, 384)
    """

    def __init__(
        self, spec: TextEncoderSpec, choice: EngineChoice | None = None, chunks: str = "first"
    ) -> None:
        self.spec, self.chunks = spec, chunks
        self.tokenizer = Tokenizer(spec)
        self.engine = load_text_engine(spec, choice)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts.

        Parameters
        ----------
        texts : sequence of n str

        Returns
        -------
        ndarray of shape (n, D), float32
        """
        return self.embed(self.tokenizer(texts, self.chunks))

    def embed(self, tokens: Tokens) -> NDArray[np.float32]:
        """Embed the tokens of n texts: (n, D), float32."""
        return join_pieces(self.engine.embed(tokens), tokens, self.spec.normalise)


def load_text_engine(spec: TextEncoderSpec, choice: EngineChoice | None = None) -> TextEngine:
    """Load a text encoder into an inference engine.

    Parameters
    ----------
    spec : TextEncoderSpec
    choice : EngineChoice, optional
        By default Keras in float32, or what the kind of encoder has instead.

    Raises
    ------
    WeightsError
        If the weights do not fit the architecture.
    """
    choice = choice or spec.choose_engine("keras", "float32")
    if isinstance(spec, TransformerSpec):
        return _load_transformer(spec, choice)
    if isinstance(spec, StaticSpec):
        return StaticEngine(spec, choice)
    if isinstance(spec, OnnxTextSpec):
        return OnnxTextEngine(spec, choice)
    if isinstance(spec, TunedSpec):
        from hybrid.text_encoders.tuned_engine import TunedTextEngine

        return TunedTextEngine(spec, choice)
    raise TypeError(
        f"expected a kind of text encoder that has an engine, found {type(spec).__name__}"
    )


def _load_transformer(spec: TransformerSpec, choice: EngineChoice) -> TextEngine:
    if choice.engine == "openvino":
        from hybrid.text_encoders.openvino_engine import OpenVINOTextEngine

        return OpenVINOTextEngine(spec, choice)
    start_keras()
    from hybrid.text_encoders.keras_engine import KerasTextEngine

    return KerasTextEngine(spec, choice)


def join_pieces(
    embeddings: NDArray[np.float32], tokens: Tokens, normalise: bool
) -> NDArray[np.float32]:
    """Average the pieces of each text, weighted by their tokens.

    Parameters
    ----------
    embeddings : ndarray of shape (p, D), float32
        Of the pieces.
    tokens : Tokens
        Of n texts in p pieces.
    normalise : bool
        Scale the means of several pieces to unit length, as the encoder does its embeddings.

    Returns
    -------
    ndarray of shape (n, D), float32

    Examples
    --------
    >>> tokens = Tokens(np.arange(4), np.array([3, 1]), np.array([0, 0]), np.array([True]))
    >>> join_pieces(np.array([[1.0], [5.0]], np.float32), tokens, normalise=False).tolist()
    [[2.0]]
    """
    n = len(tokens.longer)
    if len(embeddings) == n:
        return embeddings
    weight = tokens.lengths.astype(np.float64)
    total = np.zeros((n, embeddings.shape[1]))
    np.add.at(total, tokens.texts, embeddings * weight[:, None])
    mean = total / np.bincount(tokens.texts, weight, n)[:, None]
    several = np.bincount(tokens.texts, minlength=n) > 1
    if normalise:
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        mean = np.where(several[:, None], mean / np.maximum(length, SMALLEST), mean)
    return mean.astype(np.float32)
