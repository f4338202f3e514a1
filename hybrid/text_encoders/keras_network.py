"""Text encoders as Keras networks, on any backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
from keras import ops

from hybrid.backbones.backend import lean_gelu
from hybrid.backbones.load import dtype_policy
from hybrid.text_encoders.arrays import Affine, EncoderArrays, LayerArrays
from hybrid.text_encoders.relative_positions import relative_bias
from hybrid.text_encoders.spec import Architecture, TransformerSpec

# Units, by name `activation` and `name` → layer.
Dense: TypeAlias = Callable[..., keras.layers.Dense]
FAR_BELOW = -1e9
SMALLEST = 1e-12


class TokenEmbedding(keras.layers.Layer):
    """Embeddings of words and positions, added: (n, width), int32 → (n, width, H)."""

    def __init__(self, arch: Architecture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arch = arch

    def build(self, input_shape: Any) -> None:
        """Make the tables."""
        size = self.arch.hidden
        self.words = self.add_weight(shape=(self.arch.vocabulary, size), name="words")
        self.positions = self.add_weight(shape=(self.arch.positions, size), name="positions")

    def call(self, ids: Any) -> Any:
        """Look both up."""
        places = self.positions[: ops.shape(ids)[1]]
        return ops.cast(ops.take(self.words, ids, axis=0) + places, self.compute_dtype)

    def compute_output_shape(self, ids_shape: Any) -> Any:
        """Said, since Keras on PyTorch would try a width that few positions do not allow."""
        return (*ids_shape, self.arch.hidden)


class AttentionMask(keras.layers.Layer):
    """Ids or states, and lengths → what is added to the attention (n, 1 or heads, …, width), float32."""

    def __init__(self, arch: Architecture, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.arch = arch

    def build(self, tokens_shape: Any, lengths_shape: Any) -> None:
        """Make the bias of relative positions, where there is one."""
        arch = self.arch
        if arch.relative_buckets:
            self.relative = self.add_weight(
                shape=(arch.heads, arch.positions, arch.positions), trainable=False, name="relative"
            )

    def call(self, tokens: Any, lengths: Any) -> Any:
        """Minus a billion for padding, else the bias."""
        width = ops.shape(tokens)[1]
        mask = ops.where(inside(tokens, lengths), 0.0, FAR_BELOW)[:, None, None, :]
        if self.arch.relative_buckets:
            mask = mask + self.relative[None, :, :width, :width]
        return mask

    def compute_output_shape(self, tokens_shape: Any, lengths_shape: Any) -> Any:
        """See `TokenEmbedding`."""
        count, width = tokens_shape[:2]
        relative = self.arch.relative_buckets
        return (count, self.arch.heads if relative else 1, width if relative else 1, width)


class Attention(keras.layers.Layer):
    """Attention of queries, keys and values that lie side by side: (n, width, 3 H) → (n, width, H)."""

    def __init__(self, arch: Architecture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arch = arch

    def call(self, projected: Any, mask: Any) -> Any:
        """Scaled dot-product attention; the softmax in float32."""
        heads, size = self.arch.heads, self.arch.head_size
        width = ops.shape(projected)[1]
        apart = ops.reshape(projected, (-1, width, 3, heads, size))
        query, key, value = ops.unstack(ops.transpose(apart, (2, 0, 3, 1, 4)), 3)
        scores = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        weights = ops.softmax(ops.cast(scores, "float32") + ops.cast(mask, "float32"))
        found = ops.matmul(ops.cast(weights, value.dtype), value)
        return ops.reshape(ops.transpose(found, (0, 2, 1, 3)), (-1, width, self.arch.hidden))


class Pooling(keras.layers.Layer):
    """Vectors of the tokens → one embedding, float32."""

    def __init__(self, pooling: str, normalise: bool, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.pooling, self.normalise = pooling, normalise

    def call(self, state: Any, lengths: Any) -> Any:
        """Pool what is not padding."""
        state = ops.cast(state, "float32")
        found = self._pool(state, inside(state, lengths)[:, :, None], lengths)
        if not self.normalise:
            return found
        length = ops.sqrt(ops.sum(found * found, axis=-1, keepdims=True))
        return found / ops.maximum(length, SMALLEST)

    def _pool(self, state: Any, counts: Any, lengths: Any) -> Any:
        if self.pooling == "cls":
            return state[:, 0]
        if self.pooling == "max":
            return ops.max(ops.where(counts, state, FAR_BELOW), axis=1)
        number = ops.cast(lengths, "float32")[:, None]
        total = ops.sum(ops.where(counts, state, 0.0), axis=1)
        return total / (ops.sqrt(number) if self.pooling == "sqrt-length" else number)


def inside(tokens: Any, lengths: Any) -> Any:
    """Which tokens are not padding: (n, width), bool; of ids (n, width) or states (n, width, H)."""
    return ops.arange(ops.shape(tokens)[1], dtype="int32")[None] < lengths[:, None]


def build_network(
    spec: TransformerSpec,
    arrays: EncoderArrays,
    precision: str = "float32",
    dense: Dense = keras.layers.Dense,
) -> keras.Model:
    """Build a text encoder as a Keras network with its weights.

    Parameters
    ----------
    spec : TransformerSpec
    arrays : EncoderArrays
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of matrix products. Variables, softmax, normalisations and pooling are float32.
    dense : callable, default=keras.layers.Dense
        What makes a dense layer of a number of units, by `activation` and `name`.

    Returns
    -------
    keras.Model
        Tokens (n, width) and lengths (n,), int32 → embeddings (n, D), float32.
    """
    with dtype_policy(precision):
        ids, lengths = _inputs()
        state = _embed(ids, arrays, spec.architecture)
        numbers = range(len(arrays.layers))
        states = _stack(state, ids, lengths, arrays, spec.architecture, numbers, dense=dense)
        state = _average(states[-spec.last_layers :])
        pooled = Pooling(spec.pooling, spec.normalise)(state, lengths)
    return keras.Model([ids, lengths], pooled, name="text_encoder")


def build_lower(
    spec: TransformerSpec,
    arrays: EncoderArrays,
    layers: int,
    precision: str = "float32",
    dense: Dense = keras.layers.Dense,
) -> keras.Model:
    """Build the embeddings and the first layers of a text encoder; see `build_network`.

    Returns
    -------
    keras.Model
        Tokens (n, width) and lengths (n,), int32 → states (n, width, H) in the precision.
    """
    with dtype_policy(precision):
        ids, lengths = _inputs()
        state = _embed(ids, arrays, spec.architecture)
        numbers = range(layers)
        states = _stack(state, ids, lengths, arrays, spec.architecture, numbers, dense=dense)
    return keras.Model([ids, lengths], states[-1], name="lower_layers")


def build_upper(
    spec: TransformerSpec,
    arrays: EncoderArrays,
    layers: int,
    precision: str = "float32",
    dropout: float = 0.0,
    dense: Dense = keras.layers.Dense,
) -> keras.Model:
    """Build the last layers of a text encoder and its pooling.

    Parameters
    ----------
    layers : int
        Number of layers.
    dropout : float, default=0.0
        Share of the outputs of attention and feed-forward layers that training sets to zero.
    dense : callable, default=keras.layers.Dense
        As for `build_network`.

    Returns
    -------
    keras.Model
        States (n, width, H) and lengths (n,), int32 → embeddings (n, D), float32, not scaled to unit length.
    """
    arch = spec.architecture
    with dtype_policy(precision):
        states = keras.Input((None, arch.hidden), dtype=precision, name="states")
        lengths = keras.Input((), dtype="int32", name="lengths")
        numbers = range(arch.layers - layers, arch.layers)
        found = _stack(states, states, lengths, arrays, arch, numbers, dropout, dense)
        pooled = Pooling(spec.pooling, normalise=False)(found[-1], lengths)
    return keras.Model([states, lengths], pooled, name="upper_layers")


def _inputs() -> tuple[Any, Any]:
    ids = keras.Input((None,), dtype="int32", name="ids")
    return ids, keras.Input((), dtype="int32", name="lengths")


def _embed(ids: Any, arrays: EncoderArrays, arch: Architecture) -> Any:
    embedding = TokenEmbedding(arch, name="embedding")
    state = embedding(ids)
    embedding.set_weights([arrays.words, arrays.positions])
    return _norm(state, arrays.norm, arch, "embedding_norm")


def _stack(
    state: Any,
    tokens: Any,
    lengths: Any,
    arrays: EncoderArrays,
    arch: Architecture,
    numbers: range,
    dropout: float = 0.0,
    dense: Dense = keras.layers.Dense,
) -> list[Any]:
    """Some layers, one after another: the state before them, and that after each."""
    masked = AttentionMask(arch)
    mask = masked(tokens, lengths)
    if arrays.relative_bias is not None:
        masked.set_weights([relative_bias(arrays.relative_bias, arch.positions)])
    states = [state]
    for number in numbers:
        layer, name = arrays.layers[number], f"layer_{number}"
        states.append(_layer(states[-1], mask, layer, arch, name, dropout, dense))
    return states


def _average(states: list[Any]) -> Any:
    """The mean of the hidden states of several layers, float32; a single one as it is."""
    return keras.layers.Average(dtype="float32")(states) if len(states) > 1 else states[0]


def _fill(layer: keras.layers.Dense, state: Any, weights: Affine) -> Any:
    """The outputs of a dense layer, which is given its weights."""
    found = layer(state)
    layer.kernel.assign(weights.kernel)
    layer.bias.assign(weights.bias)
    return found


def _norm(state: Any, weights: Affine, arch: Architecture, name: str) -> Any:
    layer = keras.layers.LayerNormalization(epsilon=arch.epsilon, name=name)
    found = layer(state)
    layer.set_weights([weights.kernel, weights.bias])
    return found


def _layer(
    state: Any,
    mask: Any,
    layer: LayerArrays,
    arch: Architecture,
    name: str,
    dropout: float,
    dense: Dense,
) -> Any:
    def apply(part: str, inputs: Any, activation: Any = None) -> Any:
        weights: Affine = getattr(layer, part)
        made = dense(len(weights.bias), activation=activation, name=f"{name}_{part}")
        return _fill(made, inputs, weights)

    attended = apply("output", Attention(arch)(apply("attention", state), mask))
    state = _norm(
        state + _drop(attended, dropout), layer.attention_norm, arch, f"{name}_attention_norm"
    )
    wide = apply("up", state, ACTIVATIONS[arch.activation])
    down = _drop(apply("down", wide), dropout)
    return _norm(state + down, layer.norm, arch, f"{name}_norm")


def _drop(state: Any, dropout: float) -> Any:
    return keras.layers.Dropout(dropout)(state) if dropout else state


def _gelu(x: Any) -> Any:
    if keras.backend.backend() == "tensorflow":
        return lean_gelu(x)
    return ops.gelu(x, approximate=False)


def _gelu_tanh(x: Any) -> Any:
    return ops.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": _gelu, "gelu-tanh": _gelu_tanh, "relu": ops.relu}
