"""Which parts of a poster speak for a genre: sums, places, and networks that are set by hand."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from hybrid.backbones import (
    activation_maximisation,
    configure,
    feature_maps,
    get_backbone,
    resolve_weights,
)
from hybrid.backbones.activation_maximisation import maximise_activations
from hybrid.backbones.feature_maps import load_feature_map_model
from hybrid.backbones.networks import GeneralizedMean, with_preprocessing
from hybrid.errors import SettingError
from hybrid.explain.channels import select_channels, top_activations, top_genres
from hybrid.explain.saliency import (
    class_activation_maps,
    compare_with_occlusion,
    grad_cam,
    occlude_patches,
    peak_location,
    pooling_contributions,
    score_gradient,
)
from hybrid.report.feature_page import draw_filters
from hybrid.report.heatmap import draw_heatmap

POOLS = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
    "gem": GeneralizedMean,
}
SIDE = 96


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)


def install(monkeypatch: pytest.MonkeyPatch, *body: Any, preprocessing: str = "unit") -> Any:
    """A backbone made of these layers, in place of what would be loaded."""
    spec = configure(get_backbone("mobilenet"), input_size=(SIDE, SIDE))
    spec = type(spec)(**{**vars(spec), "preprocessing": preprocessing})

    x = entry = keras.Input((*spec.input_size, 3))
    for layer in body:
        x = layer(x)
    network = with_preprocessing(spec, keras.Model(entry, x))
    monkeypatch.setattr(feature_maps, "load_network", lambda spec, weights: network)
    monkeypatch.setattr(activation_maximisation, "load_network", lambda spec, weights: network)
    return spec


def brightness() -> Any:
    """A convolution whose cells are the sums of 16 x 16 pixels."""
    ones = keras.initializers.Ones()
    return layers.Conv2D(1, 16, strides=16, kernel_initializer=ones, dtype="float32")


def bright_patch(row: int, column: int) -> np.ndarray:
    """A dark poster with one bright ninth."""
    poster = np.full((SIDE, SIDE, 3), 20, dtype=np.uint8)
    third = SIDE // 3
    poster[row * third : (row + 1) * third, column * third : (column + 1) * third] = 240
    return poster


@pytest.mark.parametrize("pooling", sorted(POOLS))
def test_shares_add_up_to_what_keras_pools(features: np.ndarray, pooling: str) -> None:
    features[0, 0, 0] = features[2, 3, 0] = features[..., 0].max() + 1  # two that reach the maximum
    pooled = np.asarray(POOLS[pooling](dtype="float32")(features[None]))[0]
    shares = pooling_contributions(features, pooling)
    assert shares.shape == features.shape
    np.testing.assert_allclose(shares.sum(axis=(0, 1)), pooled, rtol=1e-5, atol=1e-5)
    if pooling == "max":
        assert shares[0, 0, 0] == shares[2, 3, 0] == pytest.approx(pooled[0] / 2)


@pytest.mark.parametrize("pooling", ["avg", "gem"])
def test_a_share_is_value_times_derivative(features: np.ndarray, pooling: str) -> None:
    def pool(f: np.ndarray) -> np.ndarray:
        return f.mean(axis=(0, 1)) if pooling == "avg" else np.cbrt((f**3).mean(axis=(0, 1)))

    f = np.abs(features.astype(np.float64)) + 0.1
    nudge = np.zeros_like(f)
    nudge[1, 2] = 1e-6
    derivative = (pool(f + nudge) - pool(f - nudge)) / 2e-6
    np.testing.assert_allclose(
        pooling_contributions(f, pooling)[1, 2], f[1, 2] * derivative, rtol=1e-6
    )


def test_cells_by_hand() -> None:
    features = np.array([[[4.0], [8.0]]])  # pooled: 6
    embedding, mean, scale = np.array([6.5]), np.array([2.0]), np.array([3.0])
    # Standardised 1.5, so of length 1.5: one more of the embedding adds 9 / (3 x 1.5) = 2.
    directions = score_gradient(np.array([[9.0]]), scale, embedding, mean)
    np.testing.assert_allclose(directions, [[2.0]])
    cells, rounding = class_activation_maps(features, "avg", embedding, mean, directions)
    # 2 x (4 / 2 - 2 / 2 + 0.5 / 2) and 2 x (8 / 2 - 2 / 2 + 0.5 / 2); together 9 x 1.
    np.testing.assert_allclose(cells, [[[2.5, 6.5]]])
    np.testing.assert_allclose(rounding, [1.0])


@pytest.mark.parametrize(
    ("row", "column", "named"),
    [(0, 0, "upper left"), (0, 2, "upper right"), (1, 1, "centre"), (1, 0, "middle left"),
     (2, 1, "lower centre"), (2, 2, "lower right")],
)  # fmt: skip
@pytest.mark.parametrize("pooling", sorted(POOLS))
def test_the_map_and_occlusion_point_at_the_bright_patch(
    monkeypatch: pytest.MonkeyPatch, pooling: str, row: int, column: int, named: str
) -> None:
    spec = install(monkeypatch, brightness(), POOLS[pooling](dtype="float32"), layers.Identity())
    net = load_feature_map_model(spec, None)
    poster = bright_patch(row, column)
    assert net.pooling == pooling
    features, embeddings = net.predict(poster[None])
    assert features.shape == (1, 6, 6, 1)
    mean, one = np.array([10.0]), np.ones((1, 1))
    cells, rounding = class_activation_maps(features[0], pooling, embeddings[0], mean, one)
    assert cells.sum() == pytest.approx(embeddings[0, 0] - 10, rel=1e-5)
    assert abs(rounding[0]) < 1e-3
    assert peak_location(cells[0]) == named
    covered = occlude_patches(poster, (6, 6))
    _, dimmed = net.predict(covered.reshape(-1, SIDE, SIDE, 3))
    drops = (embeddings[0] - dimmed[:, 0]).reshape(3, 3)
    found = compare_with_occlusion(cells[0], drops)
    assert found.where == named
    if pooling == "avg":
        assert found.correlation > 0.5  # all but one patch are the same, to rounding


def test_covering_what_the_network_cannot_see_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = layers.Cropping2D(((0, 0), (SIDE // 3, 0)))  # to the left third
    spec = install(monkeypatch, blind, brightness(), layers.GlobalAveragePooling2D())
    random = np.random.default_rng(0)
    poster = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    net = load_feature_map_model(spec, None)
    covered = occlude_patches(poster, (6, 6)).reshape(-1, SIDE, SIDE, 3)
    drops = (net.predict(poster[None])[1] - net.predict(covered)[1]).reshape(3, 3)
    assert (drops[:, 0] == 0).all()
    assert (drops[:, 1:] != 0).all()


def test_gradient_is_that_of_finite_differences() -> None:
    spec = configure(get_backbone("scratch"), input_size=(78, 78))
    net = load_feature_map_model(spec, resolve_weights(spec, "random", 3))
    assert net.pooling == ""
    random = np.random.default_rng(0)
    posters = random.integers(0, 256, (1, 78, 78, 3), dtype=np.uint8)
    features, embeddings = net.predict(posters)
    assert features.shape == (1, 3, 3, 128)
    direction = random.normal(size=(1, embeddings.shape[1]))
    gradient = net.gradients(features[0], direction)
    way = random.normal(size=features.shape).astype(np.float32) * 1e-3
    ends = [np.asarray(net._tail(features + sign * way)) for sign in (1, -1)]
    difference = (ends[0] - ends[1])[0].astype(np.float64) @ direction[0] / 2
    assert (gradient[0] * way[0]).sum() == pytest.approx(difference, rel=0.02)


def test_grad_cam_of_an_average_is_the_exact_map_but_for_a_constant() -> None:
    spec = configure(get_backbone("mobilenet-075"), input_size=(SIDE, SIDE))
    net = load_feature_map_model(spec, resolve_weights(spec, "random", 0))
    assert net.pooling == "avg"
    random = np.random.default_rng(0)
    features, embeddings = net.predict(random.integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8))
    directions = random.normal(size=(2, spec.dimension))
    mean = random.random(spec.dimension)
    exact, _ = class_activation_maps(features[0], "avg", embeddings[0], mean, directions)
    by_gradient = grad_cam(features[0], net.gradients(features[0], directions))
    apart = by_gradient - exact
    assert exact.std() > 0.01
    np.testing.assert_allclose(apart, apart.mean(axis=(1, 2), keepdims=True) + 0 * apart, atol=1e-5)
    np.testing.assert_allclose(apart.sum(axis=(1, 2)), directions @ mean, atol=1e-4)


BACKEND = """
import sys, numpy as np
from hybrid.backbones import activation_maximisation, configure, get_backbone, resolve_weights
from hybrid.backbones.feature_maps import load_feature_map_model
import keras
assert keras.backend.backend() == sys.argv[1]
spec = configure(get_backbone("scratch"), input_size=(78, 78))
net = load_feature_map_model(spec, resolve_weights(spec, "random", 3))
random = np.random.default_rng(0)
features, _ = net.predict(random.integers(0, 256, (1, 78, 78, 3), dtype=np.uint8))
np.save(sys.argv[2], net.gradients(features[0], random.normal(size=(2, 1024))))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_find_the_same_gradient(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    found = {}
    for name in ("tensorflow", backend):
        path = tmp_path / f"{name}.npy"
        environment = {**os.environ, "KERAS_BACKEND": name}
        subprocess.run([sys.executable, "-c", BACKEND, name, path], env=environment, check=True)
        found[name] = np.load(path)
    expected = found["tensorflow"]
    assert np.abs(found[backend] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_layer_norm_after_the_pooling_is_no_mere_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = layers.GlobalAveragePooling2D()
    spec = install(monkeypatch, brightness(), pool, layers.LayerNormalization())
    assert load_feature_map_model(spec, None).pooling == ""


def test_a_network_without_a_feature_map_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = install(monkeypatch, layers.Flatten(), layers.Dense(2))
    monkeypatch.setattr(feature_maps, "last_feature_map", lambda spec, body: keras.Input((2, 2, 1)))
    with pytest.raises(SettingError, match=r"--map: expected a layer .* is a feature map, found"):
        load_feature_map_model(spec, None)


@pytest.mark.parametrize(("mode", "expected"), [("unit", 0), ("caffe", 2)])
def test_filters_are_shown_in_the_posters_own_colours(
    monkeypatch: pytest.MonkeyPatch, mode: str, expected: int
) -> None:
    kernel = np.zeros((2, 2, 3, 4), dtype=np.float32)
    kernel[:, :, 0, 1] = 5  # the first colour that the network gets
    first = layers.Conv2D(4, 2, use_bias=False)
    stem = keras.Sequential([keras.Input((SIDE, SIDE, 3)), first])  # as in ConvNeXt
    first.set_weights([kernel])
    spec = install(monkeypatch, stem, layers.GlobalAveragePooling2D(), preprocessing=mode)
    filters = load_feature_map_model(spec, None).first_filters()
    assert filters.shape == (4, 2, 2, 3)
    assert (filters[1, ..., expected] == 5).all()
    assert filters.sum() == 20
    drawn = draw_filters(filters)
    assert drawn.shape == (32 + 4, 16 * 36, 3)
    wanted = [128, 128, 128]
    wanted[expected] = 255
    assert drawn[18, 36 + 18].tolist() == wanted
    assert drawn[18, 18].tolist() == [128] * 3


def test_activation_maximisation_is_reproducible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    colours = layers.Conv2D(3, 1, use_bias=False)
    colours.build((None, SIDE, SIDE, 3))
    # Channels: red minus blue; blue minus red; one that is shut for every first image.
    colours.set_weights([np.array([[[[1, -1, 1], [0, 0, 0], [-1, 1, -3]]]], dtype=np.float32)])
    spec = install(monkeypatch, colours, layers.ReLU(), layers.GlobalAveragePooling2D())
    found = maximise_activations(spec, None, [0, 1, 2], seed=1)
    assert found.shape == (3, SIDE, SIDE, 3)
    red, _, blue = np.moveaxis(found.mean(axis=(1, 2)), 1, 0)
    assert red[0] > 200 > 60 > blue[0]
    assert blue[1] > 200 > 60 > red[1]
    assert blue[2] < 60
    np.testing.assert_array_equal(found, maximise_activations(spec, None, [0, 1, 2], seed=1))
    assert (found != maximise_activations(spec, None, [0, 1, 2], seed=2)).any()


def test_occlusion_agrees_or_not() -> None:
    cells = np.arange(9.0).reshape(3, 3)
    assert compare_with_occlusion(cells, cells**2).correlation == pytest.approx(1)
    assert compare_with_occlusion(cells, -cells).correlation == pytest.approx(-1)
    flat = compare_with_occlusion(cells, np.zeros((3, 3)))
    assert np.isnan(flat.correlation)
    assert flat.where == ""
    # Seven cells a side: patches of 2, 3 and 2 cells.
    summed = compare_with_occlusion(np.ones((7, 7)), np.outer([2, 3, 2], [2, 3, 2]) * 1.0)
    assert summed.correlation == pytest.approx(1)


@pytest.mark.parametrize("shape", [(7, 7), (1, 2), (12, 9)])
def test_each_pixel_is_covered_once(shape: tuple[int, int]) -> None:
    poster = np.random.default_rng(0).integers(0, 100, (50, 30, 3), dtype=np.uint8)
    poster[0, 0] = 255
    kept = poster.copy()
    covered = occlude_patches(poster, shape)
    assert covered.shape[:2] == (min(3, shape[0]), min(3, shape[1]))
    np.testing.assert_array_equal(poster, kept)
    colour = np.rint(poster.mean(axis=(0, 1)))
    changed = (covered != poster).any(axis=-1)
    same = (poster == colour).all(axis=-1)
    np.testing.assert_array_equal(changed.sum(axis=(0, 1)), ~same)


def test_channels_are_chosen_by_genre_and_posters_by_excitement() -> None:
    coef = np.array([[0.1, 0.5, -1, 0.4], [0.9, 0.6, 0.2, 0], [-1, -1, -2, -3]])
    assert select_channels(coef, each=2) == [1, 0, 3]
    assert select_channels(coef, each=2, most=2) == [1, 0]
    values = np.array([1.0, np.nan, 3.0, 3.0, 2.0])
    assert top_activations(values, 2) == [2, 4]
    assert top_activations(np.array([-0.5, 0.5, 0.0, np.nan]), 3) == [1]
    assert top_activations(np.zeros(3), 3) == []
    towards, away = top_genres(np.array([0.2, -0.1, 0.5]), ("A", "B", "C"))
    assert towards == {"C": 0.5, "A": 0.2}
    assert away == {"B": -0.1}


def test_colours_over_the_poster(decoded: Callable[[bytes], np.ndarray]) -> None:
    cells = np.array([[1.0, -1.0, 0.0]])
    image = decoded(draw_heatmap(np.full((60, 180, 3), 128, dtype=np.uint8), cells, 1.0)).astype(
        int
    )
    towards, away, nothing = image[30, 10], image[30, 90], image[30, 175]
    assert towards[2] > towards[0] + 60
    assert away[0] > away[2] + 60
    assert np.ptp(nothing) < 30


@pytest.fixture
def decoded() -> Callable[[bytes], np.ndarray]:
    return lambda data: np.asarray(Image.open(io.BytesIO(data)))
