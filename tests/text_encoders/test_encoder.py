"""Text encoders against the same network in numpy, and against what its authors published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file
from scipy.special import erf, ndtr, softmax

from hybrid.backbones.backend import compile_gradient
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import choose_engine
from hybrid.text_encoders.arrays import read_arrays
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.text_encoders.keras_network import ACTIVATIONS, AttentionMask, TokenEmbedding
from hybrid.text_encoders.openvino_engine import build_network as build_openvino
from hybrid.text_encoders.spec import Architecture, TransformerSpec

TEXTS = ["A film about a ghost", "space", "the funny alien horse film about the ghost", "xyz 12."]
KINDS = ("bert", "roberta", "mpnet", "distilbert")
ENGINES = ("keras", "openvino")


def exactly(engine: str) -> EngineChoice:
    return choose_engine(engine, "float32")


def reference(spec: TransformerSpec, ids: list[int]) -> Any:
    """The embedding of one text, by the papers: Devlin et al. 2019, Song et al. 2020 (MPNet)."""
    w = {k: v.astype(np.float64) for k, v in load_file(spec.folder / "model.safetensors").items()}
    config = json.loads((spec.folder / "config.json").read_text())
    kind = config["model_type"]
    n, first = len(ids), 2 if kind in ("roberta", "mpnet") else 0

    def norm(x: Any, name: str) -> Any:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x: Any, name: str) -> Any:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][first : first + n]
    if "embeddings.token_type_embeddings.weight" in w:
        x = x + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    bias = np.zeros((4, n, n))
    if kind == "mpnet":  # 8 buckets: of 4 for each direction 2 are single distances
        table = w["encoder.relative_attention_bias.weight"]
        for query in range(n):
            for key in range(n):
                far = abs(key - query)
                bucket = far if far < 2 else min(3, 2 + int(np.log(far / 2) / np.log(64) * 2))
                bias[:, query, key] = table[bucket + (4 if key > query else 0)]
    parts = {
        "mpnet": "attention.attn.q attention.attn.k attention.attn.v attention.attn.o "
        "attention.LayerNorm intermediate.dense output.dense output.LayerNorm",
        "distilbert": "attention.q_lin attention.k_lin attention.v_lin attention.out_lin "
        "sa_layer_norm ffn.lin1 ffn.lin2 output_layer_norm",
    }.get(
        kind,
        "attention.self.query attention.self.key attention.self.value attention.output.dense "
        "attention.output.LayerNorm intermediate.dense output.dense output.LayerNorm",
    )
    states = []
    for layer in range(spec.architecture.layers):
        start = f"{'transformer' if kind == 'distilbert' else 'encoder'}.layer.{layer}."
        q, k, v, out, norm1, up, down, norm2 = (start + part for part in parts.split())
        heads = [dense(x, name).reshape(n, 4, 4).transpose(1, 0, 2) for name in (q, k, v)]
        attention = softmax(heads[0] @ heads[1].transpose(0, 2, 1) / 2 + bias, axis=-1)
        mixed = (attention @ heads[2]).transpose(1, 0, 2).reshape(n, 16)
        x = norm(x + dense(mixed, out), norm1)
        wide = dense(x, up)
        x = norm(x + dense(wide * (1 + erf(wide / np.sqrt(2))) / 2, down), norm2)
        states.append(x)
    x = np.mean(states[-spec.last_layers :], axis=0)
    pooled = {"mean": x.mean(0), "cls": x[0], "max": x.max(0), "sqrt-length": x.sum(0) / np.sqrt(n)}
    found = pooled[spec.pooling]
    return found / np.linalg.norm(found) if spec.normalise else found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_those_of_the_network(
    tmp_path: Path, make_text_encoder: Callable[..., Path], kind: str, engine: str
) -> None:
    spec = read_text_encoder(make_text_encoder(tmp_path / kind, kind))
    encoder = TextEncoder(spec, exactly(engine))
    found = encoder(TEXTS)  # of several lengths in one batch
    tokens = encoder.tokenizer(TEXTS)
    starts = np.cumsum(tokens.lengths)[:-1]
    expected = [reference(spec, ids.tolist()) for ids in np.split(tokens.ids, starts)]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_exact_gelu_and_its_gradient() -> None:
    x = np.linspace(-9, 9, 181, dtype=np.float32)
    gelu = ACTIVATIONS["gelu"]
    exact = x.astype(np.float64)
    share, density = ndtr(exact), np.exp(-(exact**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(ops.convert_to_numpy(gelu(x)), exact * share, rtol=1e-5, atol=1e-7)
    slope = compile_gradient(lambda x: ops.sum(3 * gelu(x)))(x)
    np.testing.assert_allclose(slope, 3 * (share + exact * density), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("buckets", [0, 4])
def test_layers_say_their_shapes_without_being_tried(buckets: int) -> None:
    """Keras on PyTorch tries a width of 83, which an encoder of 20 positions does not have."""
    arch = Architecture("mpnet", 1, 8, 2, 16, "gelu", 1e-12, 20, 30, buckets)
    ids, lengths = np.zeros((3, 7), np.int32), np.array([7, 2, 1], np.int32)
    for layer, given in ((TokenEmbedding(arch), (ids,)), (AttentionMask(arch), (ids, lengths))):
        shapes = [each.shape for each in given]
        assert layer(*given).shape == layer.compute_output_shape(*shapes)
    assert TokenEmbedding(arch).compute_output_shape((None, None)) == (None, None, 8)


def test_openvino_does_not_copy_the_weights(text_encoder: Path) -> None:
    spec = read_text_encoder(text_encoder)
    arrays = read_arrays(spec)
    constants = [
        each.data
        for each in build_openvino(spec, arrays).get_ops()
        if each.get_type_name() == "Constant"
    ]
    for wanted in (arrays.words, arrays.layers[0].up.kernel):
        assert any(np.shares_memory(found, wanted) for found in constants)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pooling", ["cls", "max", "sqrt-length"])
def test_pooling_leaves_padding_out(
    tmp_path: Path, make_text_encoder: Callable[..., Path], pooling: str, engine: str
) -> None:
    spec = read_text_encoder(make_text_encoder(tmp_path / "e", pooling=pooling))
    encoder = TextEncoder(spec, exactly(engine))
    together, alone = encoder(TEXTS), np.concatenate([encoder([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-5)
    ids = encoder.tokenizer(TEXTS[:1]).ids.tolist()
    np.testing.assert_allclose(together[0], reference(spec, ids), atol=2e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("kind", "pooling", "count"),
    [
        ("bert", "mean", 2),
        ("mpnet", "max", 3),
        ("distilbert", "sqrt-length", 2),
        ("roberta", "cls", 3),
    ],
)
def test_the_last_layers_are_averaged_before_the_pooling(
    tmp_path: Path,
    make_text_encoder: Callable[..., Path],
    kind: str,
    pooling: str,
    count: int,
    engine: str,
) -> None:
    spec = read_text_encoder(make_text_encoder(tmp_path / kind, kind, pooling, layers=3))
    averaged = spec.average_layers(count)
    encoder = TextEncoder(averaged, exactly(engine))
    tokens = encoder.tokenizer(TEXTS)
    pieces = np.split(tokens.ids, np.cumsum(tokens.lengths)[:-1])
    expected = [reference(averaged, ids.tolist()) for ids in pieces]
    np.testing.assert_allclose(encoder(TEXTS), expected, atol=2e-5)
    last = [reference(spec, ids.tolist()) for ids in pieces]
    assert np.abs(np.subtract(expected, last)).max() > 0.01


def test_a_long_text_is_cut_off_or_averaged(text_encoder: Path) -> None:
    spec = read_text_encoder(text_encoder)
    text = " ".join(["ghost"] * 14 + ["alien"] * 20)  # 14 words and two special tokens at once
    first, whole = (
        TextEncoder(spec, exactly("openvino")),
        TextEncoder(spec, exactly("openvino"), "mean"),
    )
    np.testing.assert_allclose(first([text]), first([" ".join(["ghost"] * 14)]), atol=1e-6)
    pieces = [" ".join(["ghost"] * 14), " ".join(["alien"] * 14), " ".join(["alien"] * 6)]
    expected = np.average(first(pieces), axis=0, weights=[16, 16, 8])
    found = whole([text, "alien"])
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-5)
    np.testing.assert_allclose(found[1], first(["alien"])[0], atol=1e-6)
    assert first.tokenizer([text, "alien"]).longer.tolist() == [True, False]


def test_the_prefix_is_part_of_the_text(text_encoder: Path) -> None:
    with_prefix = read_text_encoder(text_encoder, prefix="film: ")
    plain = read_text_encoder(text_encoder)
    a = TextEncoder(with_prefix, exactly("openvino"))(["ghost"])
    b = TextEncoder(plain, exactly("openvino"))(["film: ghost"])
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("engine", ENGINES)
def test_cosines_are_those_that_sentence_transformers_publishes(minilm: Path, engine: str) -> None:
    encoder = TextEncoder(read_text_encoder(minilm), exactly(engine))
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    a, b, c = encoder(texts)
    np.testing.assert_allclose([a @ b, a @ c, b @ c], [0.6660, 0.1046, 0.1411], atol=1e-3)


DROPPED = """
import signal, sys, threading
from hybrid.backbones.backend import compile_gradient
from hybrid.backbones.engine import EngineChoice
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.folder import read_text_encoder
signal.signal(signal.SIGINT, signal.default_int_handler)
choice = EngineChoice("openvino", "float32", "here")
encoders = [TextEncoder(read_text_encoder(sys.argv[1]), choice)]
thread = threading.Thread(target=encoders.clear)
thread.start()
thread.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_is_no_crash_once_a_text_encoder_was_dropped(
    loaded: Any, text_encoder: Path
) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    done = loaded.run(DROPPED, text_encoder)
    assert done.returncode == 130, done.stderr
