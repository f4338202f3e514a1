"""Static text encoders of model2vec: the mean of the tokens' vectors, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from hybrid.errors import SettingError, WeightsError
from hybrid.text_encoders.encoder import TextEncoder
from hybrid.text_encoders.registry import resolve_text_encoder
from hybrid.text_encoders.spec import TransformerSpec

TEXTS = ["a funny film", "ghost", "the alien horse", "☃", ""]


@pytest.fixture
def folder(text_encoder: Path, tmp_path: Path) -> Path:
    place = tmp_path / "potion"
    place.mkdir()
    shutil.copy(text_encoder / "tokenizer.json", place)
    write(place)
    return place


def write(
    place: Path, *, rows: int | None = None, normalize: bool = True, **arrays: Any
) -> dict[str, Any]:
    """The two other files; returns the arrays."""
    n = Tokenizer.from_file(str(place / "tokenizer.json")).get_vocab_size()
    vectors = np.random.default_rng(0).standard_normal((rows or n, 6)).astype(np.float32)
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": normalize}
    (place / "config.json").write_text(json.dumps(config))
    found = {"embeddings": vectors, **arrays}
    save_file(found, place / "model.safetensors")
    return found


def by_hand(place: Path, text: str, arrays: dict[str, Any], normalize: bool = True) -> Any:
    """As model2vec's encode does it: no special tokens, none of unknown words, the mean."""
    tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    ids = [i for i in ids if i != tokenizer.token_to_id("[UNK]")]
    if not ids:
        return np.zeros(6)
    rows = arrays["mapping"][ids] if "mapping" in arrays else ids
    vectors = arrays["embeddings"][rows]
    if "weights" in arrays:
        vectors = vectors * arrays["weights"][ids][:, None]
    mean = vectors.mean(axis=0)
    return mean / np.linalg.norm(mean) if normalize else mean


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("extra", [(), ("weights",), ("mapping", "weights")])
def test_embeddings(folder: Path, normalize: bool, extra: tuple[str, ...]) -> None:
    n = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    random = np.random.default_rng(1)
    more = {"weights": random.random(n).astype(np.float32), "mapping": random.integers(0, 9, n)}
    arrays = write(
        folder,
        rows=9 if "mapping" in extra else None,
        normalize=normalize,
        **{name: more[name] for name in extra},
    )
    encoder = TextEncoder(resolve_text_encoder(str(folder)))
    wanted = [by_hand(folder, text, arrays, normalize) for text in TEXTS]
    np.testing.assert_allclose(encoder(TEXTS), wanted, rtol=1e-5, atol=1e-6)
    assert encoder.engine.choice.engine == "numpy"


def test_spec(folder: Path, text_encoder: Path) -> None:
    spec = resolve_text_encoder(str(folder))
    assert (spec.name, spec.dimension, spec.normalise, spec.max_length) == ("potion", 6, True, 512)
    fields = spec.fingerprint_fields()
    write(folder, weights=np.ones(len(Tokenizer.from_file(f"{folder}/tokenizer.json").get_vocab())))
    assert resolve_text_encoder(str(folder)).fingerprint_fields() != fields
    with pytest.raises(SettingError, match="--precision bfloat16: expected float32"):
        spec.choose_engine("auto", "bfloat16")
    with pytest.raises(
        SettingError, match="--last-layers: expected 1, as potion is a static table"
    ):
        spec.average_layers(2)
    assert spec.average_layers(1) is spec
    assert isinstance(resolve_text_encoder(str(text_encoder)), TransformerSpec)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"rows": 3}, "expected at most 3 tokens, as many as have a vector"),
        ({"mapping": np.array([0, 10**6])}, "mapping: expected rows below"),
        ({"weights": np.ones(2)}, "weights: expected"),
        ({"embeddings": np.full((4, 2), np.nan)}, "embeddings: expected finite numbers"),
        ({"embeddings": np.ones(4)}, "expected an array embeddings of two axes"),
    ],
)
def test_what_is_refused(folder: Path, arrays: Any, expected: str) -> None:
    write(folder, **arrays)
    with pytest.raises(WeightsError, match=expected):
        resolve_text_encoder(str(folder))


def test_missing_and_damaged_files(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\0" * 30)
    with pytest.raises(WeightsError, match="expected a safetensors file"):
        resolve_text_encoder(str(folder))
    (folder / "tokenizer.json").write_text("{}")
    write_error = "expected a tokenizer with a vocabulary|expected a safetensors file"
    with pytest.raises(WeightsError, match=write_error):
        resolve_text_encoder(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"found no model\.safetensors"):
        resolve_text_encoder(str(folder))
