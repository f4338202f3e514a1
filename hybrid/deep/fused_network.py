"""Early fusion: the blocks' matrices, side by side, into one dense network; posters end to end if asked.

An input of the network is named after its block, as far as Keras takes the name.

Each block's matrix ends with its indicator column `missing`, as `hybrid.features.fusion` makes it. In
training a block of an item is at random taken for missing, so that the network learns to do without
it (as "modality dropout" in Neverova, Wolf, Taylor and Nebout, "ModDrop", 2015, arXiv:1501.00102).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from scipy import sparse

from hybrid.backbones.networks import Preprocess, build_application, cut_and_pool
from hybrid.deep.items import Posters
from hybrid.deep.network import InferenceMode, Network
from hybrid.deep.registry import HEAD, NetworkSpec, Stage
from hybrid.errors import SettingError
from hybrid.features import PosterFeatures
from hybrid.features.fusion_matrix import FusionMatrix

DROPOUT_RATE = 0.1  # share of the items that a block is taken from in training
PIXELS, ABSENT = "pixels", "absent"


class FusedNetwork(Network):
    """A head on blocks, and a body whose embedding is one of them if `poster` is among them.

    Parameters
    ----------
    spec : NetworkSpec
    n_labels : int
    columns : mapping of str to int
        Block → columns of its matrix, the indicator included. The attribute has the names of the inputs.
    poster : PosterFeatures or None
        Fitted; how an embedding becomes the block `poster`.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        n_labels: int,
        columns: Mapping[str, int],
        poster: PosterFeatures | None = None,
    ) -> None:
        self.spec = spec
        self.n_labels = n_labels
        self.columns = {input_name(name): width for name, width in columns.items()}
        self.poster = poster
        self.head = _fused_head(spec, self.columns, n_labels)
        if poster is not None:
            self.application = build_application(spec.body)
            self.body = cut_and_pool(spec.body, self.application)

    def whole(self, augment: bool = False) -> keras.Model:
        """Pixels and the other blocks → log-odds; without a body, the head."""
        if self.poster is None:
            return self.head
        pixels = keras.Input((*self.spec.body.input_size, 3), dtype="uint8", name=PIXELS)
        absent = keras.Input((1,), name=ABSENT)
        blocks = {n: keras.Input((k,), name=n) for n, k in self.columns.items() if n != "poster"}
        x = Preprocess(self.spec.body.preprocessing, dtype="float32")(pixels)
        embedding = InferenceMode(self.body)(x)
        made = PosterBlock(self.poster.mean_, self.poster.scale_, dtype="float32")(
            [embedding, absent]
        )
        inputs = {PIXELS: pixels, ABSENT: absent, **blocks}
        return keras.Model(inputs, self.head({"poster": made, **blocks}))

    def embedder(self) -> keras.Model:
        """Make the model from posters of shape (n, height, width, 3), uint8, to embeddings."""
        pixels = keras.Input((*self.spec.body.input_size, 3), dtype="uint8", name=PIXELS)
        x = Preprocess(self.spec.body.preprocessing, dtype="float32")(pixels)
        return keras.Model(pixels, InferenceMode(self.body)(x))

    def poster_model(self, others: Mapping[str, Any]) -> keras.Model:
        """Preprocessed posters → log-odds; the other blocks' matrices, of 1 row, stay as they are."""
        head = self._head_beside({input_name(name): _dense(row) for name, row in others.items()})
        return keras.Model(self.body.input, head(self.body.output))

    def embedding_head(self) -> keras.Model:
        """Embeddings of shape (n, D) → log-odds; the other blocks are missing."""
        return self._head_beside(
            {
                name: np.eye(1, width, width - 1)
                for name, width in self.columns.items()
                if name != "poster"
            }
        )

    def _head_beside(self, others: Mapping[str, NDArray[Any]]) -> keras.Model:
        """Embeddings → log-odds; the other blocks are the same rows for all of them."""
        if self.poster is None:
            raise SettingError(f"{self.spec.name}: expected a network that has posters as input.")
        embedding = keras.Input((self.columns["poster"] - 1,))
        absent = ConstantRow(np.zeros((1, 1)), dtype="float32")(embedding)
        made = PosterBlock(self.poster.mean_, self.poster.scale_, dtype="float32")(
            [embedding, absent]
        )
        blocks = {
            name: ConstantRow(row, dtype="float32")(embedding) for name, row in others.items()
        }
        return keras.Model(embedding, self.head({"poster": made, **blocks}))

    def lower(self, stage: Stage) -> keras.Model | None:
        """Return None: frozen embeddings are in the block `poster` already."""
        return None

    def learner(self, stage: Stage) -> keras.Model:
        """Make the model that the stage trains."""
        return self.head if stage.trains == HEAD else self.whole(stage.augment)

    def freeze(self, stage: Stage) -> None:
        """Set which layers of the body are trainable in a stage."""
        if self.poster is not None:
            super().freeze(stage)


def input_name(block: str) -> str:
    """The name of a block's input: Keras and its backends take no other signs.

    Examples
    --------
    >>> input_name("poster"), input_name("text-embedding:owner/name"), input_name("clip#4f0c")
    ('poster', 'text-embedding_3a_owner_2f_name', 'clip_23_4f0c')
    """
    return re.sub(r"[^A-Za-z0-9_.-]", lambda sign: f"_{ord(sign[0]):x}_", block)


def _fused_head(spec: NetworkSpec, columns: Mapping[str, int], n_labels: int) -> keras.Model:
    inputs = {name: keras.Input((width,), name=name) for name, width in columns.items()}
    parts = [BlockDropout(DROPOUT_RATE)(x) if len(inputs) > 1 else x for x in inputs.values()]
    x = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for units in spec.head_units:
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(spec.dropout)(x)
    return keras.Model(inputs, layers.Dense(n_labels, dtype="float32")(x))


class BlockDropout(layers.Layer):
    """Layer that masks a block of some items in training: zeros, and 1 in the last column.

    Parameters
    ----------
    rate : float
        Share of the items, from 0 to 1.

    Examples
    --------
    >>> np.asarray(BlockDropout(1.0)(np.array([[0.5, 0.3, 0.0]]), training=True)).tolist()
    [[0.0, 0.0, 1.0]]
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, block: Any, training: bool | None = None) -> Any:
        """Return a block's matrix of shape (n, columns), whose last column says that it is missing."""
        if not training:
            return block
        draw = keras.random.uniform((ops.shape(block)[0], 1), seed=self.seed_generator)
        gone = ops.cast(draw < self.rate, block.dtype)
        kept = block[:, :-1] * (1.0 - gone)
        return ops.concatenate([kept, ops.maximum(block[:, -1:], gone)], axis=-1)


class PosterBlock(layers.Layer):
    """Layer that turns embeddings into the block `poster`, as `PosterFeatures` and `Fusion` do.

    Parameters
    ----------
    mean, scale : ndarray of shape (D,)
        Of a fitted `PosterFeatures`.

    Examples
    --------
    >>> layer = PosterBlock(np.zeros(2), np.ones(2))
    >>> np.asarray(layer([np.array([[3.0, 4.0]]), np.array([[0.0]])])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929, 0.0]]
    """

    def __init__(self, mean: NDArray[Any], scale: NDArray[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean = np.asarray(mean, dtype=np.float32)
        self.scale = np.asarray(scale, dtype=np.float32)

    def call(self, inputs: Any) -> Any:
        """Return the block, (n, D + 1), of embeddings, (n, D), and 1 where there is none, (n, 1)."""
        embedding, absent = inputs
        rows = (embedding - self.mean) / self.scale
        length = ops.sqrt(ops.sum(ops.square(rows), axis=-1, keepdims=True) + 1e-12)
        return ops.concatenate([rows / length * (1.0 - absent), absent], axis=-1)


class ConstantRow(layers.Layer):
    """Layer that returns the same row for each item: (n, …) → (n, columns).

    Parameters
    ----------
    row : ndarray of shape (1, columns)

    Examples
    --------
    >>> np.asarray(ConstantRow(np.array([[1, 2]]))(np.zeros((2, 5)))).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(self, row: NDArray[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row = np.asarray(row, dtype=np.float32)

    def call(self, x: Any) -> Any:
        """Return the row n times."""
        return ops.repeat(ops.convert_to_tensor(self.row), ops.shape(x)[0], axis=0)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        return (shape[0], self.row.shape[1])


class Blocks:
    """Rows of the blocks' matrices, dense, by the name of the input: a `Source`.

    Parameters
    ----------
    matrix : FusionMatrix

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.arange(6.0).reshape(3, 2)], ["text"])
    >>> Blocks(matrix).read(np.array([2]))["text"].tolist()
    [[4.0, 5.0]]
    """

    def __init__(self, matrix: FusionMatrix) -> None:
        self.matrix = matrix

    def __len__(self) -> int:
        return len(self.matrix)

    def read(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Read some rows of each block."""
        return {input_name(name): _dense(block[rows]) for name, block in self.matrix.blocks}


class PixelsAndBlocks:
    """Posters, and rows of the other blocks: a `Source`.

    Parameters
    ----------
    posters : Posters
        Of the items that have a usable one.
    good : ndarray of shape (n,), bool
        Whether an item has one. The others get black pixels, which the network masks.
    matrix : FusionMatrix
        Of the other blocks.
    """

    def __init__(self, posters: Posters, good: NDArray[np.bool_], matrix: FusionMatrix) -> None:
        self.posters = posters
        self.good = good
        self.place = np.cumsum(good) - 1
        self.matrix = matrix
        self.blocks = Blocks(matrix)

    def __len__(self) -> int:
        return len(self.good)

    def read(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Read some posters and the rows of the other blocks."""
        good = self.good[rows]
        pixels = np.zeros((len(rows), *self.posters.size, 3), dtype=np.uint8)
        if good.any():
            pixels[good] = self.posters.read(self.place[rows[good]])
        absent = (~good)[:, None].astype(np.float32)
        return {PIXELS: pixels, ABSENT: absent, **self.blocks.read(rows)}


class MaskedBlocks:
    """Rows of the blocks' matrices, once for each subset of some blocks; the others are masked: a `Source`.

    As in training (see `BlockDropout`) a masked block is zeros, and 1 in the last column.

    Parameters
    ----------
    matrix : FusionMatrix
        m rows.
    names : sequence of n str
        Blocks that are masked. Row ``s * m + i`` is row i of the matrix with block k where bit k of s is set.

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[5.0, 0.0]])], ["text"])
    >>> masked = MaskedBlocks(matrix, ["text"])
    >>> len(masked), masked.read(np.array([0, 1]))["text"].tolist()
    (2, [[0.0, 1.0], [5.0, 0.0]])
    """

    def __init__(self, matrix: FusionMatrix, names: Sequence[str]) -> None:
        self.blocks, self.names = Blocks(matrix), list(map(input_name, names))

    def __len__(self) -> int:
        return len(self.blocks) << len(self.names)

    def read(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Read some rows of each block."""
        subsets, found = rows // len(self.blocks), self.blocks.read(rows % len(self.blocks))
        for bit, name in enumerate(self.names):
            block = found[name].copy()
            block[subsets >> bit & 1 == 0] = np.eye(1, block.shape[1], block.shape[1] - 1)
            found[name] = block
        return found


def _dense(block: Any) -> NDArray[np.float32]:
    rows = block.toarray() if sparse.issparse(block) else np.asarray(block)
    return rows.astype(np.float32, copy=False)
