"""Text encoders in ONNX files against the same network in numpy, on both engines; what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tokenizers import Tokenizer

from hybrid.backbones.engine import EngineChoice
from hybrid.errors import SettingError, WeightsError
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.tokens import Tokens
from tests.backbones.onnx_files import random, save

ENGINES = ("openvino", "onnxruntime")
TEXTS = ["a funny film about a ghost in space", "ghost", "the alien horse", "", "horse a the"]
WIDTH, LENGTH = 6, 12


@pytest.fixture
def folder(text_encoder: Path, tmp_path: Path) -> Path:
    place = tmp_path / "exported"
    place.mkdir()
    shutil.copy(text_encoder / "tokenizer.json", place)
    say(place, pooling="mean", max_length=LENGTH, normalise=False)
    write(place)
    return place


def say(place: Path, **said: Any) -> None:
    (place / "model.json").write_text(json.dumps(said))


def write(place: Path, *, pooled: bool = False, types: bool = True, **inputs: Any) -> Path:
    """Each token's state is its vector, and tanh of the mean of all but padding."""
    n = Tokenizer.from_file(str(place / "tokenizer.json")).get_vocab_size()
    make, two = helper.make_node, np.array([2], dtype=np.int64)
    nodes = [
        make("Gather", ["table", "input_ids"], ["vectors"]),
        make("Cast", ["attention_mask"], ["flat"], to=TensorProto.FLOAT),
        make("Unsqueeze", ["flat", "two"], ["mask"]),
        make("Mul", ["vectors", "mask"], ["inside"]),
        make("ReduceSum", ["inside", "one"], ["sum"], keepdims=1),
        make("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        make("Div", ["sum", "count"], ["mean"]),
        make("Tanh", ["mean"], ["context"]),
        make("Add", ["vectors", "context"], ["last_hidden_state"]),
    ]
    outputs: dict[str, Any] = {"last_hidden_state": ["n", "t", WIDTH]}
    if pooled:
        nodes.append(make("Squeeze", ["context", "one"], ["sentence_embedding"]))
        outputs["sentence_embedding"] = ["n", WIDTH]
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    kinds: dict[str, Any] = {name: (TensorProto.INT64, ["n", "t"]) for name in names}
    weights = {"table": random(n, WIDTH), "one": np.array([1], dtype=np.int64), "two": two}
    return save(place / "model.onnx", nodes, kinds | inputs, outputs, weights)


def by_hand(place: Path, text: str, pooling: str) -> Any:
    tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    vectors = random(tokenizer.get_vocab_size(), WIDTH)[tokenizer.encode(text).ids]
    context = np.tanh(vectors.mean(axis=0))
    states = vectors + context
    pooled = {
        "mean": states.mean(axis=0),
        "cls": states[0],
        "max": states.max(axis=0),
        "sqrt-length": states.sum(axis=0) / len(states) ** 0.5,
        "sentence_embedding": context,
    }
    return pooled[pooling]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "sqrt-length", "sentence_embedding"])
def test_embeddings(folder: Path, engine: str, pooling: str) -> None:
    if pooling == "sentence_embedding":
        write(folder, pooled=True, types=False)
        say(folder, max_length=LENGTH)
    else:
        say(folder, max_length=LENGTH, pooling=pooling)
    spec = resolve_text_encoder(str(folder / "model.onnx"))
    found = TextEncoder(spec, EngineChoice(engine, "float32", "processor"))(TEXTS)
    wanted = [by_hand(folder, text, pooling) for text in TEXTS]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_what_sentence_transformers_say(folder: Path, text_encoder: Path) -> None:
    """Its file is in a folder onnx, below the tokenizer and the modules."""
    for name in ("modules.json", "sentence_bert_config.json", "config.json"):
        shutil.copy(text_encoder / name, folder)
    shutil.copytree(text_encoder / "1_Pooling", folder / "1_Pooling")
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    (folder / "model.json").unlink()
    spec = resolve_text_encoder(str(folder / "onnx" / "model.onnx"))
    assert (spec.dimension, spec.max_length, spec.normalise) == (WIDTH, 16, True)
    assert spec.fingerprint_fields()["pooling"] == "mean"
    found = TextEncoder(spec)(TEXTS)
    wanted = np.array([by_hand(folder, text, "mean") for text in TEXTS])
    np.testing.assert_allclose(
        found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-4, atol=1e-5
    )


def test_a_renamed_file_and_what_is_said_beside_it(folder: Path, text_encoder: Path) -> None:
    """It is found by its digest or by its new name; else it is named, also where other files would do."""
    for name in ("modules.json", "sentence_bert_config.json", "config.json"):
        shutil.copy(text_encoder / name, folder)
    shutil.copytree(text_encoder / "1_Pooling", folder / "1_Pooling")
    said = {"pooling": "cls", "max_length": 9, "prefix": "film: "}
    say(folder, **said)
    before = resolve_text_encoder(str(folder / "model.onnx")).fingerprint_fields()
    path = (folder / "model.onnx").rename(folder / "films.onnx")
    with pytest.raises(
        WeightsError, match=r"Beside it is model\.json, of no ONNX file there: .*"
    ) as no:
        resolve_text_encoder(str(path))
    assert "rename it to films.json" in str(no.value)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    say(folder, **said, sha256=digest)
    assert resolve_text_encoder(str(path)).fingerprint_fields() == before
    say(folder, **said)
    for name in ("films.json", "films.onnx.json"):
        beside = (folder / "model.json").rename(folder / name)
        assert resolve_text_encoder(str(path)).fingerprint_fields() == before
        beside.rename(folder / "model.json")
    say(folder, **said, sha256="0" * 64)  # of another file, wherever that is
    assert resolve_text_encoder(str(path)).prefix == ""
    (folder / "model.json").rename(folder / "films.json")
    with pytest.raises(
        WeightsError, match=r"films\.json: expected what is said of films\.onnx, with"
    ):
        resolve_text_encoder(str(path))


def test_what_is_refused(folder: Path) -> None:
    def error() -> str:
        with pytest.raises(WeightsError) as caught:
            resolve_text_encoder(str(folder / "model.onnx"))
        return str(caught.value)

    say(folder)
    assert "expected a pooling" in error()
    assert "the tokens that it reads at once" in error()
    say(folder, pooling="average", max_length="12")
    assert "pooling: expected mean or" in error()
    assert "max_length: expected int" in error()
    say(folder, pooling="mean", max_length=9, output="pooler")
    assert "expected the output pooler" in error()
    say(folder, pooling="mean", max_length=9)
    with pytest.raises(SettingError, match=r"--last-layers: expected 1, .* is an ONNX file"):
        resolve_text_encoder(str(folder / "model.onnx")).average_layers(2)
    write(folder, pixels=(TensorProto.FLOAT, ["n", 3]))
    assert "expected the inputs input_ids" in error()
    (folder / "tokenizer.json").unlink()
    assert "expected tokenizer.json beside it" in error()


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    """OpenVINO takes what is beyond a table for zeros: config.json tells it, too."""
    path = str(folder / "model.onnx")
    encoder = TextEncoder(
        resolve_text_encoder(path), EngineChoice("onnxruntime", "float32", "processor")
    )
    far = Tokens(np.array([5000], np.int32), np.array([1]), np.array([0]), np.array([False]))
    with pytest.raises(WeightsError, match=r"Is .*tokenizer.json of another model"):
        encoder.embed(far)
    (folder / "config.json").write_text('{"vocab_size": 9}')
    with pytest.raises(WeightsError, match="expected tokens below 9"):
        TextEncoder(resolve_text_encoder(path))
