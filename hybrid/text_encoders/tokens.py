"""Texts → tokens: the tokenizer of an encoder, truncation, and chunks of long texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import MissingExtraError, WeightsError
from hybrid.text_encoders.spec import TextEncoderSpec
from hybrid.utils.reading import TEXT, read_text

NONE = -1  # in the place of a text without any token, which only encoders without special ones have


@dataclass(frozen=True)
class Tokens:
    """The tokens of n texts, in p pieces: one for each text, or several of a long one.

    Parameters
    ----------
    ids : ndarray of shape (total,), int32
        Tokens of all pieces, one after another, special ones included.
    lengths : ndarray of shape (p,), int64
        Tokens of each piece.
    texts : ndarray of shape (p,), int64
        The text that each piece is of, in ascending order.
    longer : ndarray of shape (n,), bool
        Whether a text has more tokens than the encoder reads at once.

    Examples
    --------
    >>> one = Tokens(np.arange(3, dtype=np.int32), np.array([3]), np.array([0]), np.array([False]))
    >>> one.rows(np.array([0]), 4).tolist()
    [[0, 1, 2, 0]]
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    texts: NDArray[np.int64]
    longer: NDArray[np.bool_]

    def rows(self, pieces: NDArray[np.int64], width: int) -> NDArray[np.int32]:
        """The tokens of some pieces as a matrix of shape (len(pieces), width), filled up with 0."""
        starts = np.cumsum(self.lengths) - self.lengths
        columns = np.arange(width)
        inside = columns < self.lengths[pieces, None]
        places = np.where(inside, starts[pieces, None] + columns, 0)
        return np.where(inside, self.ids[places], 0).astype(np.int32)


class Tokenizer:
    """The tokenizer of a text encoder.

    Parameters
    ----------
    spec : TextEncoderSpec

    Raises
    ------
    WeightsError
        If ``tokenizer.json`` is damaged, or has tokens that the network has no embedding for.
    MissingExtraError
        Without the package tokenizers, of the extra ``text-encoders``.
    """

    def __init__(self, spec: TextEncoderSpec) -> None:
        self.spec = spec
        path = spec.tokenizer_file
        text = read_text(path, TEXT)
        try:
            self._tokenizer = _library().from_str(text)
        except Exception as error:  # the library raises Exception itself
            raise WeightsError(
                f"{path}: expected a tokenizer of the package tokenizers, found: {error}. Download it again."
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(spec.max_length)
        highest = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        if spec.vocabulary is not None and highest >= spec.vocabulary:
            raise WeightsError(
                f"{path}: expected tokens below {spec.vocabulary:,}, as many as the network has "
                f"embeddings for, found {highest:,}. Is the tokenizer of another model?"
            )

    def __call__(self, texts: Sequence[str], chunks: str = "first") -> Tokens:
        """Tokenise texts, each with the encoder's prefix before it.

        Parameters
        ----------
        texts : sequence of n str
        chunks : {"first", "mean"}, default="first"
            Of a text that is longer than the encoder reads: only the start, or all of it in pieces.
        """
        whole = [self.spec.prefix + text for text in texts]
        encoded = self._tokenizer.encode_batch(whole, add_special_tokens=self.spec.special_tokens)
        found = [[one, *one.overflowing] if chunks == "mean" else [one] for one in encoded]
        pieces = [piece.ids or [NONE] for each in found for piece in each]
        return Tokens(
            ids=np.fromiter((i for ids in pieces for i in ids), dtype=np.int32),
            lengths=np.array([len(ids) for ids in pieces], dtype=np.int64),
            texts=np.repeat(np.arange(len(found)), [len(each) for each in found]),
            longer=np.array([bool(one.overflowing) for one in encoded], dtype=bool),
        )


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtraError(
            "text encoders: expected the package tokenizers, found that it is not installed. Install it "
            'with: pip install "hybrid-posters[text-encoders]"'
        ) from error
    return tokenizers.Tokenizer
