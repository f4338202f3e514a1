"""Backbones against plain keras.applications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hybrid.backbones import BACKBONES, BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.load import draw_weights, load_backbone
from hybrid.backbones.networks import build_body
from hybrid.backbones.weights import list_backbones, stands_for
from hybrid.cache import fingerprint_of
from hybrid.errors import SettingError

APPLICATIONS = sorted(name for name, spec in BACKBONES.items() if spec.application)
PLAIN = {
    "inception": "inception_v3",
    "vgg16": "vgg16",
    "mobilenet": "mobilenet",
    "mobilenet-075": "mobilenet",
    "resnet50": "resnet",
    "efficientnetv2-b0": "efficientnet_v2",
}


def posters(spec: BackboneSpec, n: int = 3) -> Any:
    random = np.random.default_rng(7)
    return random.integers(0, 256, size=(n, *spec.input_size, 3), dtype=np.uint8)


def plain_model(spec: BackboneSpec) -> Any:
    """The application as its own documentation builds it."""
    return getattr(keras.applications, spec.application)(
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(*spec.input_size, 3),
        **dict(spec.arguments),
    )


@pytest.mark.parametrize("name", APPLICATIONS)
def test_embeddings_equal_plain_keras(name: str, tmp_path: Path) -> None:
    spec = get_backbone(name)
    plain = plain_model(spec)
    draw_weights(plain, seed=3)
    path = tmp_path / "plain.weights.h5"
    plain.save_weights(str(path))
    images = posters(spec)
    preprocess = getattr(keras.applications, PLAIN[name]).preprocess_input
    expected = plain.predict(preprocess(images.astype(np.float32)), verbose=0)

    found = load_backbone(spec, resolve_weights(spec, str(path)))(images)

    assert found.dtype == np.float32
    assert found.shape == (3, spec.dimension)
    assert plain.count_params() == spec.parameters
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_registry_names_the_file_that_keras_would_download(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, asked = get_backbone(name), []

    def get_file(fname: Any = None, origin: Any = None, file_hash: Any = None, **_: Any) -> str:
        asked.append((origin, file_hash or ""))
        raise KeyboardInterrupt

    monkeypatch.setattr(f"keras.src.applications.{PLAIN[name]}.file_utils.get_file", get_file)
    with pytest.raises(KeyboardInterrupt):
        getattr(keras.applications, spec.application)(
            include_top=False, input_shape=(*spec.input_size, 3), **dict(spec.arguments)
        )
    assert asked == [(spec.weights_url, spec.weights_md5)]


def test_scratch_is_the_published_net() -> None:
    body = build_body(get_backbone("scratch"))
    filters = [layer.filters for layer in body.layers if isinstance(layer, keras.layers.Conv2D)]
    assert filters == [16, 32, 64, 128]
    # With dense genres on top, the study's net has 20,042,932 parameters for 20 genres.
    assert body.count_params() + 1024 * 20 + 20 == 20_042_932
    assert body.count_params() == get_backbone("scratch").parameters


def test_real_weights_load(mobilenet_weights: Path) -> None:
    spec = get_backbone("mobilenet-075")
    weights = resolve_weights(spec, str(mobilenet_weights))
    assert weights.digest.startswith("ef85b852f98d9be4")
    embeddings = load_backbone(spec, weights)(posters(spec))
    assert np.isfinite(embeddings).all()
    assert embeddings.std() > 0.1


def test_random_weights_depend_on_the_seed_alone() -> None:
    spec = get_backbone("mobilenet-075")
    first, again, other = (
        load_backbone(spec, resolve_weights(spec, "random", seed))(posters(spec, 1))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize(
    ("name", "hint"), [("mobilnet", "mobilenet"), ("vgg-16", "vgg16"), ("inceptionv3", "inception")]
)
def test_unknown_names_list_close_matches(name: str, hint: str) -> None:
    with pytest.raises(SettingError, match=rf"unknown backbone '{name}'. Did you mean {hint}"):
        get_backbone(name)


def test_fingerprint_tells_weights_apart(tmp_path: Path) -> None:
    spec = get_backbone("vgg16")
    prints = {
        fingerprint_of(stands_for(spec, Weights("file", digest, tmp_path))) for digest in ("a", "b")
    }
    prints.add(fingerprint_of(stands_for(get_backbone("resnet50"), Weights("file", "a", None))))
    assert len(prints) == 3


def test_list_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / get_backbone("vgg16").weights_file).touch()
    said = {row["name"]: row["weights"] for row in list_backbones()}
    assert said["vgg16"] == "on this machine"
    assert said["inception"] == "to be downloaded"
    assert said["scratch"] == "train it with hybrid fit-deep"
