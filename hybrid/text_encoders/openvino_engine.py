"""The inference engine OpenVINO for text encoders: the network is built from its own operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from hybrid.backbones.engine import Embeddings, EngineChoice
from hybrid.backbones.openvino_engine import HINTS, openvino_core
from hybrid.text_encoders.arrays import Affine, EncoderArrays, LayerArrays, read_arrays
from hybrid.text_encoders.engine import TextEngine
from hybrid.text_encoders.relative_positions import relative_bias
from hybrid.text_encoders.spec import Architecture, TransformerSpec
from hybrid.utils.resources import default_workers, usable_cores

FAR_BELOW = np.float32(-1e9)  # added to the attention that is paid to padding
SMALLEST = 1e-12  # length of an embedding that is scaled to unit length


class OpenVINOTextEngine(TextEngine):
    """A text encoder, compiled by OpenVINO; see `hybrid.text_encoders.encoder.load_text_engine`.

    Parameters
    ----------
    spec : TransformerSpec
    choice : EngineChoice
    arrays : EncoderArrays, optional
        Its weights; by default those of its folder.

    Raises
    ------
    WeightsError
        If the weights do not fit the architecture.
    """

    def __init__(
        self, spec: TransformerSpec, choice: EngineChoice, arrays: EncoderArrays | None = None
    ) -> None:
        self.choice, self.dimension = choice, spec.dimension
        self._compile(build_network(spec, arrays or read_arrays(spec)), choice.precision)

    def _compile(self, network: openvino.Model, precision: str) -> None:
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": HINTS[precision],
        }
        if default_workers() < usable_cores():
            settings["INFERENCE_NUM_THREADS"] = str(default_workers())
        self._compiled = openvino_core().compile_model(network, "CPU", settings)
        self.depth = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.depth + 1):
            self._requests.put(self._compiled.create_infer_request())

    def start(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Callable[[], Embeddings]:
        """See `TextEngine.start`."""
        request = self._requests.get()
        request.start_async([ids, lengths])

        def result() -> Embeddings:
            try:
                request.wait()
                return np.array(request.get_output_tensor(0).data, dtype=np.float32)
            finally:
                self._requests.put(request)

        return result


def build_network(spec: TransformerSpec, arrays: EncoderArrays) -> openvino.Model:
    """Build the network of a text encoder from OpenVINO's operations.

    Returns
    -------
    openvino.Model
        Tokens (n, width) and lengths (n,), int32 → embeddings (n, D), float32.
    """
    found = encode_tokens(spec.architecture, arrays)
    return openvino.Model([embed(spec, found)], [found.ids, found.lengths], "text-encoder")


class Encoded(NamedTuple):
    """A batch in the network: tokens and lengths; which tokens are no padding; states after each layer."""

    ids: Any
    lengths: Any
    inside: Any
    states: list[Any]


def encode_tokens(arch: Architecture, arrays: EncoderArrays) -> Encoded:
    """The inputs of the network and the hidden states (n, width, H) of all its layers."""
    ids = ops.parameter([-1, -1], np.int32, name="ids")
    lengths = ops.parameter([-1], np.int32, name="lengths")
    positions = _positions(ids)
    inside = ops.less(ops.unsqueeze(positions, _integers(0)), ops.unsqueeze(lengths, _integers(1)))
    mask = ops.unsqueeze(
        ops.select(inside, _array(np.float32(0)), _array(FAR_BELOW)), _integers(1, 2)
    )
    if arrays.relative_bias is not None:
        mask = ops.add(mask, _relative(arrays.relative_bias, positions, arch))
    state = ops.add(
        ops.gather(_array(arrays.words), ids, _integers(0)),
        ops.unsqueeze(ops.gather(_array(arrays.positions), positions, _integers(0)), _integers(0)),
    )
    state = _normalise(state, arrays.norm, arch.epsilon)
    states = []
    for layer in arrays.layers:
        state = _layer(state, mask, layer, arch)
        states.append(state)
    return Encoded(ids, lengths, inside, states)


def embed(spec: TransformerSpec, found: Encoded) -> Any:
    """From the states of the last layers to embeddings (n, D)."""
    state = _average(found.states[-spec.last_layers :])
    pooled = _pool(state, found.inside, found.lengths, spec.pooling)
    if spec.normalise:
        pooled = ops.normalize_l2(pooled, _integers(1), SMALLEST**2, "max")
    return pooled


def _array(values: NDArray[Any] | np.generic) -> Any:
    return ops.constant(np.ascontiguousarray(values), shared_memory=True)


def _integers(*values: int) -> Any:
    return ops.constant(np.array(values, dtype=np.int64))


def _positions(ids: Any) -> Any:
    width = ops.squeeze(ops.gather(ops.shape_of(ids), _integers(1), _integers(0)), _integers(0))
    zero, one = ops.constant(np.int64(0)), ops.constant(np.int64(1))
    return ops.range(zero, width, one, "i32")


def _relative(table: NDArray[np.float32], positions: Any, arch: Architecture) -> Any:
    """The bias of the attention by relative position: (1, heads, width, width)."""
    whole = _array(relative_bias(table, arch.positions)[None])  # (1, heads, positions, positions)
    rows = ops.gather(whole, positions, _integers(2))
    return ops.gather(rows, positions, _integers(3))


def _dense(state: Any, weights: Affine) -> Any:
    return ops.add(ops.matmul(state, _array(weights.kernel), False, False), _array(weights.bias))


def _normalise(state: Any, weights: Affine, epsilon: float) -> Any:
    scaled = ops.mvn(state, _integers(2), True, epsilon, "inside_sqrt")
    return ops.add(ops.multiply(scaled, _array(weights.kernel)), _array(weights.bias))


def _layer(state: Any, mask: Any, layer: LayerArrays, arch: Architecture) -> Any:
    attended = _dense(_attend(state, layer.attention, mask, arch), layer.output)
    state = _normalise(ops.add(state, attended), layer.attention_norm, arch.epsilon)
    wide = _activate(_dense(state, layer.up), arch.activation)
    return _normalise(ops.add(state, _dense(wide, layer.down)), layer.norm, arch.epsilon)


def _average(states: Sequence[Any]) -> Any:
    """The mean of the hidden states of several layers."""
    if len(states) == 1:
        return states[0]
    return ops.divide(reduce(ops.add, states), _array(np.float32(len(states))))


def _attend(state: Any, weights: Affine, mask: Any, arch: Architecture) -> Any:
    """Attention: (n, width, H) → (n, width, H). OpenVINO fuses three projections better than it cuts one."""
    kernels, biases = np.split(weights.kernel, 3, axis=1), np.split(weights.bias, 3)
    query, key, value = (
        _heads(_dense(state, Affine(kernel, bias)), arch)
        for kernel, bias in zip(kernels, biases, strict=True)
    )
    found = ops.scaled_dot_product_attention(query, key, value, mask)
    return ops.reshape(
        ops.transpose(found, _integers(0, 2, 1, 3)), _integers(0, 0, arch.hidden), True
    )


def _heads(projected: Any, arch: Architecture) -> Any:
    shape = _integers(0, 0, arch.heads, arch.head_size)
    return ops.transpose(ops.reshape(projected, shape, True), _integers(0, 2, 1, 3))


def _activate(state: Any, activation: str) -> Any:
    if activation == "relu":
        return ops.relu(state)
    return ops.gelu(state, "tanh" if activation == "gelu-tanh" else "erf")


def _pool(state: Any, inside: Any, lengths: Any, pooling: str) -> Any:
    """From the vectors of the tokens (n, width, H) to one each (n, H); what is padding does not count."""
    if pooling == "cls":
        return ops.squeeze(
            ops.slice(state, _integers(0), _integers(1), _integers(1), _integers(1)), _integers(1)
        )
    counts = ops.unsqueeze(inside, _integers(2))
    if pooling == "max":
        return ops.reduce_max(ops.select(counts, state, _array(FAR_BELOW)), _integers(1), False)
    total = ops.reduce_sum(ops.multiply(state, ops.convert(counts, "f32")), _integers(1), False)
    number = ops.unsqueeze(ops.convert(lengths, "f32"), _integers(1))
    return ops.divide(total, ops.sqrt(number) if pooling == "sqrt-length" else number)
