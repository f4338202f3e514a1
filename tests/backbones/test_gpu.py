"""A GPU embeds as the processor does. With ``-m gpu``; where there is none, what needs it is skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.backbones import get_backbone, resolve_weights
from hybrid.backbones.devices import device_name, has_gpu
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import choose_engine, load_backbone
from hybrid.backbones.measurements import BATCH_SIZES, load_measurement
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.extraction import decoding_processes
from hybrid.extraction.extract import extract_embeddings
from hybrid.images.decode import decode_poster
from hybrid.images.files import poster_key
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from hybrid.utils.environment import user_cache_folder

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:random weights")]
LEAST = {
    "float32": 0.9999,
    "bfloat16": 0.999,
}  # GPUs multiply float32 with 10 bits of the mantissa, too


@pytest.fixture(autouse=True)
def _own_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "measurements"))


@pytest.fixture
def gpu() -> None:
    """What only a GPU does."""
    if not has_gpu():
        pytest.skip("no GPU")


def drawn(size: tuple[int, int], n: int = 6) -> Any:
    """Posters with large and small patterns."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 200, (n, 8, 8, 3), dtype=np.uint8)
    rows, columns = (np.arange(side) * 8 // side for side in size)
    return coarse[:, rows][:, :, columns] + random.integers(0, 50, (n, *size, 3), dtype=np.uint8)


def least_cosine(one: Any, other: Any) -> float:
    """Of the rows of two matrices."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float((np.einsum("ij,ij->i", one, other) / lengths).min())


@pytest.mark.parametrize("precision", sorted(LEAST))
@pytest.mark.parametrize("backbone", ["small", "inception", "vgg16"])
def test_embeddings_are_those_of_plain_keras_on_the_processor(
    backbone: str, precision: str
) -> None:
    import keras

    from hybrid.backbones.load import load_network

    spec = get_backbone(backbone)
    weights, posters = resolve_weights(spec, "random"), drawn(spec.input_size)
    with keras.device("cpu:0"):
        network = load_network(spec, weights, "float32")
        expected = keras.ops.convert_to_numpy(network(posters, training=False))
    engine = load_backbone(spec, weights, EngineChoice("keras", precision, device_name()), 4)
    found = engine(posters)
    assert found.shape == expected.shape
    assert least_cosine(found, expected) >= LEAST[precision]
    # A batch that is not full gives the same.
    assert least_cosine(engine(posters[:1]), expected[:1]) >= LEAST[precision]


def test_the_batch_size_is_measured_and_remembered(gpu: None) -> None:
    spec = get_backbone("small")
    choice = choose_engine("keras", "auto")
    assert choice.device == device_name()
    engine = load_backbone(spec, resolve_weights(spec, "random"), choice)
    assert engine.batch_size in {16 * 2**i for i in range(7)}
    (key,) = json.loads((user_cache_folder() / BATCH_SIZES).read_text())
    assert load_measurement(BATCH_SIZES, key) == engine.batch_size


def test_exhausted_memory_is_recognised(gpu: None) -> None:
    import keras

    from hybrid.backbones.backend import is_out_of_memory

    with pytest.raises(Exception, match=r"(?i)memory|exhausted") as caught:
        keras.ops.convert_to_numpy(keras.ops.sum(keras.ops.ones((2**18, 2**20))))
    assert is_out_of_memory(caught.value)


def test_an_extraction_gives_what_the_engine_gives(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Posters that processes decode, where there is a GPU; one by one here."""
    monkeypatch.setattr(decoding_processes, "WORTHWHILE", 10)
    spec = get_backbone("small")
    films = load_catalogue("catalogue.csv")
    summary = extract_embeddings(
        films,
        spec,
        weights="random",
        options=EmbeddingOptions(precision="float32"),
        context=Context(cache="cache", workers=2),
    )
    assert (summary.device, summary.computed) == (device_name(), 90)
    (store,) = EmbeddingCache("cache").stores()
    files = [Path(path).read_bytes() for path in films.poster_paths]
    posters = np.stack([np.asarray(decode_poster(data, spec.input_size)) for data in files])
    choice = choose_engine("keras", "float32")
    expected = load_backbone(spec, resolve_weights(spec, "random"), choice, 90)(posters)
    found = store.read([poster_key(data) for data in files])
    assert least_cosine(found, expected) >= LEAST["float32"]
