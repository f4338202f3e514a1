"""What is read of a text encoder's folder, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hybrid.errors import WeightsError
from hybrid.text_encoders.arrays import read_arrays
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.tokens import Tokenizer


@pytest.fixture
def folder(text_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(text_encoder, tmp_path / "tiny"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_spec(text_encoder: Path) -> None:
    spec = read_text_encoder(text_encoder)
    assert (spec.name, spec.dimension, spec.max_length) == ("tiny", 16, 16)
    assert (spec.pooling, spec.normalise, spec.prefix, spec.licence) == (
        "mean",
        True,
        "",
        "unknown",
    )


def test_fingerprint_depends_on_all_that_changes_an_embedding(folder: Path) -> None:
    spec = read_text_encoder(folder)
    fields = spec.fingerprint_fields()
    arrays = load_file(folder / "model.safetensors")
    arrays["embeddings.LayerNorm.bias"][0] += 1
    save_file(arrays, folder / "model.safetensors")
    others = [
        read_text_encoder(folder).fingerprint_fields(),
        read_text_encoder(folder, prefix="query: ").fingerprint_fields(),
        spec.fingerprint_fields(chunks="mean"),
        spec.fingerprint_fields(precision="bfloat16"),
        spec.average_layers(2).fingerprint_fields(),
    ]
    change(folder / "sentence_bert_config.json", max_seq_length=8)
    others.append(read_text_encoder(folder).fingerprint_fields())
    assert all(other != fields for other in others)
    assert spec.average_layers(1).fingerprint_fields() == fields  # as in earlier versions
    assert "last_layers" not in fields


@pytest.mark.parametrize(
    ("file", "values", "named"),
    [
        ("config.json", {"model_type": "t5"}, "model_type"),
        ("config.json", {"hidden_size": 10**9}, "hidden_size"),
        ("config.json", {"hidden_size": 15}, "multiple of the 4"),
        ("config.json", {"num_hidden_layers": "2"}, "num_hidden_layers"),
        ("config.json", {"num_hidden_layers": True}, "num_hidden_layers"),
        ("config.json", {"hidden_act": "swish"}, "hidden_act"),
        ("config.json", {"layer_norm_eps": -1}, "layer_norm_eps"),
        ("config.json", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "one pooling"),
        ("1_Pooling/config.json", {"pooling_mode_lasttoken": True}, "one pooling"),
        ("sentence_bert_config.json", {"max_seq_length": 1}, "max_seq_length"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    folder: Path, file: str, values: dict[str, Any], named: str
) -> None:
    change(folder / file, **values)
    with pytest.raises(WeightsError, match=named):
        read_text_encoder(folder)


def test_modules_that_hybrid_lacks_and_places_outside_are_refused(folder: Path) -> None:
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    path.write_text(
        json.dumps([*modules, {"type": "sentence_transformers.models.Dense", "path": "3"}])
    )
    with pytest.raises(WeightsError, match="Dense"):
        read_text_encoder(folder)
    modules[1]["path"] = "../elsewhere"
    path.write_text(json.dumps(modules))
    with pytest.raises(WeightsError, match="folders within"):
        read_text_encoder(folder)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_files_are_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(WeightsError, match=f"found no {missing}"):
        read_text_encoder(folder)


def test_a_pickle_is_not_opened(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(WeightsError, match="pickle"):
        read_text_encoder(folder)


def test_arrays_are_checked(folder: Path) -> None:
    path = folder / "model.safetensors"
    arrays = load_file(path)
    name = "encoder.layer.1.output.dense.weight"
    for damaged, named in (
        ({k: v for k, v in arrays.items() if k != name}, f"found no {name}"),
        ({**arrays, name: arrays[name].T.copy()}, "of shape"),
        ({**arrays, name: arrays[name].astype(np.int32)}, "int32"),
        ({**arrays, name: np.full_like(arrays[name], np.nan)}, "finite"),
    ):
        save_file(damaged, path)
        with pytest.raises(WeightsError, match=named):
            read_arrays(read_text_encoder(folder))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(WeightsError, match="safetensors"):
        read_arrays(read_text_encoder(folder))


def test_arrays_under_the_name_of_their_network_are_the_same(folder: Path) -> None:
    plain = read_arrays(read_text_encoder(folder))
    arrays = load_file(folder / "model.safetensors")
    save_file(
        {f"bert.{name}": array for name, array in arrays.items()}, folder / "model.safetensors"
    )
    named = read_arrays(read_text_encoder(folder))
    np.testing.assert_array_equal(plain.words, named.words)
    np.testing.assert_array_equal(plain.layers[1].down.kernel, named.layers[1].down.kernel)


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    change(folder / "config.json", vocab_size=20)
    with pytest.raises(WeightsError, match="tokens below 20"):
        Tokenizer(read_text_encoder(folder))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="expected a tokenizer"):
        Tokenizer(read_text_encoder(folder))


def test_an_unknown_name_suggests_close_ones() -> None:
    with pytest.raises(WeightsError, match="all-MiniLM-L6-v2"):
        resolve_text_encoder("all-MiniLM-L6")
    with pytest.raises(
        WeightsError, match="of which only image encoders are taken, found keras-hub:b"
    ):
        resolve_text_encoder("keras-hub:bert_tiny_en_uncased")


def test_without_a_network_it_is_said_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    import huggingface_hub

    def refuse(*_: object, **options: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(WeightsError, match="--local-dir FOLDER") as caught:
        resolve_text_encoder("sentence-transformers/all-MiniLM-L6-v2")
    assert "no network" in str(caught.value)
