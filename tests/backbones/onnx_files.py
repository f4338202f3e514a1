"""Small image encoders as ONNX files, and the same networks in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]
H, W, WIDTH = 16, 8, 12  # input, and length of an embedding
PATCH = 4


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: dict[str, tuple[int, Sequence[Any]]],
    outputs: dict[str, Sequence[Any]],
    weights: dict[str, NDArray[Any]],
    metadata: dict[str, str] | None = None,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    onnx.save_model(model, path)
    return path


def random(*shape: int, seed: int = 0) -> Floats:
    return (np.random.default_rng(seed).standard_normal(shape) * 0.3).astype(np.float32)


def cnn(path: Path, *, nhwc: bool = False, batch: Any = "n", **settings: Any) -> Path:
    """One convolution with ReLU: feature maps; NHWC through a transposition."""
    weights = {"kernel": random(WIDTH, 3, PATCH, PATCH), "bias": random(WIDTH, seed=1)}
    nodes = [
        helper.make_node("Conv", ["nchw", "kernel", "bias"], ["conv"], strides=[PATCH, PATCH]),
        helper.make_node("Relu", ["conv"], ["maps"]),
    ]
    shape, out = [batch, 3, H, W], [batch, WIDTH, H // PATCH, W // PATCH]
    if nhwc:
        nodes.insert(0, helper.make_node("Transpose", ["images"], ["nchw"], perm=[0, 3, 1, 2]))
        nodes[-1] = helper.make_node("Relu", ["conv"], ["relu"])
        nodes.append(helper.make_node("Transpose", ["relu"], ["maps"], perm=[0, 2, 3, 1]))
        shape, out = [batch, H, W, 3], [batch, H // PATCH, W // PATCH, WIDTH]
    else:
        nodes[0].input[0] = "images"
    kinds = {"images": (TensorProto.FLOAT, shape)}
    return save(path, nodes, kinds, {"maps": out}, weights, settings.get("metadata"))


def cnn_maps(images: Floats) -> Floats:
    """The same in numpy: images (n, H, W, 3) → maps (n, h, w, WIDTH)."""
    kernel, bias = random(WIDTH, 3, PATCH, PATCH), random(WIDTH, seed=1)
    n = len(images)
    patches = images.reshape(n, H // PATCH, PATCH, W // PATCH, PATCH, 3)
    return np.maximum(np.einsum("nhawbc,ocab->nhwo", patches, kernel) + bias, 0).astype(np.float32)


def vit(path: Path, **settings: Any) -> Path:
    """Patches, class token, positions, one layer of attention with one head: tokens, and a pooled output."""
    t = (H // PATCH) * (W // PATCH)
    weights = {
        "kernel": random(WIDTH, 3, PATCH, PATCH),
        "bias": random(WIDTH, seed=1),
        "cls": random(1, 1, WIDTH, seed=2),
        "positions": random(1, t + 1, WIDTH, seed=3),
        "query": random(WIDTH, WIDTH, seed=4),
        "key": random(WIDTH, WIDTH, seed=5),
        "value": random(WIDTH, WIDTH, seed=6),
        "flat": np.array([0, WIDTH, t], dtype=np.int64),
        "root": np.float32(WIDTH**0.5).reshape(()),
        "one": np.array([1], dtype=np.int64),
        "rest": np.array([1, WIDTH], dtype=np.int64),
        "first": np.array(0, dtype=np.int64),
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["pixel_values", "kernel", "bias"], ["conv"], strides=[PATCH, PATCH]),
        make("Reshape", ["conv", "flat"], ["columns"]),
        make("Transpose", ["columns"], ["patches"], perm=[0, 2, 1]),
        make("Shape", ["patches"], ["batch"], start=0, end=1),
        make("Concat", ["batch", "one", "one"], ["many"], axis=0),
        make("Expand", ["cls", "many"], ["start"]),
        make("Concat", ["start", "patches"], ["tokens"], axis=1),
        make("Add", ["tokens", "positions"], ["state"]),
        *(
            make("MatMul", ["state", w], [o])
            for w, o in (("query", "q"), ("key", "k"), ("value", "v"))
        ),
        make("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        make("MatMul", ["q", "kt"], ["products"]),
        make("Div", ["products", "root"], ["scores"]),
        make("Softmax", ["scores"], ["attention"], axis=-1),
        make("MatMul", ["attention", "v"], ["mixed"]),
        make("Add", ["state", "mixed"], ["last_hidden_state"]),
        make("Gather", ["last_hidden_state", "first"], ["pooler_output"], axis=1),
    ]
    weights.pop("rest")
    outputs: dict[str, Sequence[Any]] = {"last_hidden_state": ["n", t + 1, WIDTH]}
    if settings.get("pooled"):
        outputs["pooler_output"] = ["n", WIDTH]
    else:
        nodes.pop()
        weights.pop("first")
    kinds = {"pixel_values": (TensorProto.FLOAT, ["n", 3, H, W])}
    return save(path, nodes, kinds, outputs, weights)


def vit_tokens(images: Floats) -> Floats:
    """The same in numpy: images (n, H, W, 3) → tokens (n, t + 1, WIDTH)."""
    kernel, bias = random(WIDTH, 3, PATCH, PATCH), random(WIDTH, seed=1)
    n = len(images)
    patches = images.reshape(n, H // PATCH, PATCH, W // PATCH, PATCH, 3)
    found = (np.einsum("nhawbc,ocab->nhwo", patches, kernel) + bias).reshape(n, -1, WIDTH)
    start = np.broadcast_to(random(1, 1, WIDTH, seed=2), (n, 1, WIDTH))
    state = np.concatenate([start, found], axis=1)
    state = state + random(1, state.shape[1], WIDTH, seed=3)
    query, key, value = (state @ random(WIDTH, WIDTH, seed=s) for s in (4, 5, 6))
    scores = np.exp(query @ key.transpose(0, 2, 1) / WIDTH**0.5)
    mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
    return np.asarray(state + mixed, dtype=np.float32)
