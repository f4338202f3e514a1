"""Backbones against plain keras.applications."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import hybrid.backbones.load
from hybrid.backbones import (
    BACKBONES,
    BackboneSpec,
    Weights,
    configure,
    get_backbone,
    resolve_weights,
)
from hybrid.backbones.engines import load_backbone
from hybrid.backbones.listing import list_backbones
from hybrid.backbones.load import init_random_weights
from hybrid.backbones.networks import (
    build_application,
    build_body,
    cut_and_pool,
    layers_by_name,
    with_preprocessing,
)
from hybrid.backbones.registry import POOLINGS
from hybrid.backbones.weights import fingerprint_fields
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
    "mobilenet-v3": "mobilenet_v3",
    "resnet50-v2": "resnet_v2",
    "efficientnetv2-s": "efficientnet_v2",
    "convnext-tiny": "convnext",
    "densenet121": "densenet",
    "xception": "xception",
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


def draw_all(network: Any) -> None:
    """Drawn kernels, and gains, biases and batch-norm statistics that are not neutral either."""
    init_random_weights(network, seed=3)
    random = np.random.default_rng(5)
    for variable in network.weights:
        if len(variable.shape) == 1:
            variable.assign(random.uniform(0.5, 1.5, size=variable.shape))


def preprocessed(spec: BackboneSpec, images: Any) -> Any:
    module = getattr(keras.applications, PLAIN[spec.name])
    return module.preprocess_input(images.astype(np.float32))


def run(network: Any, images: Any) -> Any:
    """What a network computes. Eagerly: to compile it takes longer than to run it once."""
    found = network(images, training=False)
    return [np.asarray(x) for x in found] if isinstance(found, list) else np.asarray(found)


def in_float64(spec: BackboneSpec, plain: Any, images: Any) -> Any:
    """What the plain application computes in float64."""
    keras.config.set_dtype_policy("float64")
    try:
        double = plain_model(spec)
    finally:
        keras.config.set_dtype_policy("float32")
    double.set_weights(plain.get_weights())
    return run(double, preprocessed(spec, images).astype(np.float64))


def error(found: Any, exact: Any) -> float:
    """Largest difference, relative to the largest number."""
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def assert_close(found: Any, expected: Any) -> None:
    """Equal but for the order of float32 sums."""
    scale = np.abs(expected).max()
    assert np.isfinite(scale)
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)


@dataclass
class Net:
    """A spec with a small, rectangular input, and two networks for it with the same drawn weights.

    `features` and `expected` are what the plain application computes for the posters: before its pooling,
    and after it. `application` is what `load_backbone` built and loaded the weights into; to build it takes
    seconds, so that the tests share it.
    """

    spec: BackboneSpec
    plain: Any
    features: Any
    expected: Any
    application: Any
    backbone: Any


# More of the same blocks as in EfficientNetV2-B0 and in MobileNet 0.75.
LARGE = {"efficientnetv2-s", "mobilenet"}


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in APPLICATIONS],
)
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Net:
    # In float64 its convolutions take a minute for the larger one.
    size = (32, 64) if request.param == "convnext-tiny" else (96, 128)
    spec = configure(get_backbone(request.param), input_size=size)
    plain = plain_model(spec)
    draw_all(plain)
    pool = [x for x in plain.layers if isinstance(x, keras.layers.GlobalAveragePooling2D)][-1]
    both = keras.Model(plain.input, [pool.input, plain.output])
    features, expected = run(both, preprocessed(spec, posters(spec)))

    path = tmp_path_factory.mktemp(spec.name) / "plain.weights.h5"
    plain.save_weights(str(path))
    built = []

    def build_and_keep(spec: BackboneSpec) -> Any:
        built.append(build_application(spec))
        return built[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hybrid.backbones.load, "build_application", build_and_keep)
        backbone = load_backbone(spec, resolve_weights(spec, str(path)))
    path.unlink()
    (application,) = built
    return Net(spec, plain, features, expected, application, backbone)


def test_embeddings_equal_plain_keras(net: Net) -> None:
    spec, images = net.spec, posters(net.spec)
    found = net.backbone(images)

    assert found.dtype == np.float32
    assert found.shape == (3, spec.dimension)
    if spec.name.startswith("efficientnet"):
        # Drawn weights make them so sensitive that plain Keras itself is off by a percent.
        exact = in_float64(spec, net.plain, images)
        assert error(found, exact) <= max(1e-4, 2 * error(net.expected, exact))
    else:
        assert error(found, net.expected) <= 1e-4
    np.testing.assert_array_equal(net.backbone(images), found)


def by_numpy(plain: Any, features: Any, pooling: str) -> Any:
    """Pool the plain network's feature map; ConvNeXt normalizes what is pooled."""
    pooled = {
        "avg": lambda: features.mean(axis=(1, 2)),
        "max": lambda: features.max(axis=(1, 2)),
        "gem": lambda: np.cbrt((np.maximum(features, 1e-6) ** 3).mean(axis=(1, 2))),
    }[pooling]()
    norm = plain.layers[-1]
    if not isinstance(norm, keras.layers.LayerNormalization):
        return pooled
    centred = pooled - pooled.mean(axis=1, keepdims=True)
    gain, bias = (np.asarray(w) for w in norm.weights)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + norm.epsilon) * gain + bias


def test_poolings_equal_numpy_and_random_weights_do_not_overflow(net: Net) -> None:
    spec, application = net.spec, net.application
    pooled = keras.Model(
        application.input,
        [cut_and_pool(replace(spec, pooling=name), application).output for name in POOLINGS],
    )
    images = preprocessed(spec, posters(spec))
    init_random_weights(application, seed=0)
    assert all(np.isfinite(out).all() for out in run(pooled, images))

    application.set_weights(net.plain.get_weights())
    features = net.features.astype(np.float64)
    assert features.shape[1] < features.shape[2]
    for name, found in zip(POOLINGS, run(pooled, images), strict=True):
        assert_close(found, by_numpy(net.plain, features, name))


def operations(layer: Any) -> float:
    """2 for each multiply-add: a kernel's weights are used once for each place of the output."""
    if isinstance(layer, keras.Model):
        return sum(operations(part) for part in layer.layers)
    kinds = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense")
    if type(layer).__name__ not in kinds:
        assert all(len(w.shape) == 1 for w in layer.weights), layer  # none is forgotten
        return 0
    kernels = sum(math.prod(w.shape) for w in layer.weights if len(w.shape) > 1)
    return 2 * kernels * math.prod(layer.output.shape[1:-1])


def registered(spec: BackboneSpec, application: Any) -> None:
    """Check what the registry says of a network at its own input size."""
    assert round(operations(application) / 1e9, 2) == spec.gflops
    assert application.count_params() == spec.parameters
    assert cut_and_pool(spec, application).output.shape == (None, spec.dimension)


@contextmanager
def without_values() -> Iterator[None]:
    """Build networks whose weights have shapes only: to draw values takes half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        # Else Keras would give them values after all, when the next network is built.
        where = "keras.src.backend.common.variables.register_uninitialized_variable"
        patch.setattr(where, lambda variable: None)
        with keras.StatelessScope(initialize_variables=False):
            yield


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - set(APPLICATIONS)))
def test_registry_says_what_a_network_of_ours_costs(name: str) -> None:
    with without_values():
        registered(get_backbone(name), build_application(get_backbone(name)))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_registry_says_what_a_backbone_costs_and_which_file_keras_downloads(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, asked = get_backbone(name), []

    def get_file(fname: Any = None, origin: Any = None, file_hash: Any = None, **_: Any) -> str:
        asked.append((origin, file_hash or ""))
        return "not read"

    module = PLAIN[name].replace("resnet_v2", "resnet")  # which builds both
    monkeypatch.setattr(f"keras.src.applications.{module}.file_utils.get_file", get_file)
    monkeypatch.setattr(keras.Model, "load_weights", lambda self, path, *_, **__: None)
    with without_values():
        application = getattr(keras.applications, spec.application)(
            include_top=False, input_shape=(*spec.input_size, 3), **dict(spec.arguments)
        )
    assert asked == [(spec.weights_url, spec.weights_md5)]
    registered(spec, application)


@pytest.mark.parametrize("name", BACKBONES)
def test_min_side_is_the_smallest_input(name: str) -> None:
    spec = get_backbone(name)
    smallest = replace(spec, input_size=(spec.min_side, spec.min_side))
    with without_values():
        body = build_body(smallest)
    assert body.output.shape == (None, spec.dimension)
    assert body.count_params() == spec.parameters or not spec.application
    too_small = replace(spec, input_size=(spec.min_side, spec.min_side - 1))
    with pytest.raises(ValueError, match=r"must be at least|zero or negative"):
        build_body(too_small)


def test_an_intermediate_layer_equals_plain_keras(tmp_path: Path) -> None:
    spec = configure(
        get_backbone("mobilenet-075"), layer="conv_pw_11_relu", pooling="gem", input_size=(128, 96)
    )
    assert spec.dimension == 384
    plain = plain_model(spec)
    draw_all(plain)
    plain.save_weights(str(tmp_path / "plain.weights.h5"))
    cut = keras.Model(plain.input, plain.get_layer("conv_pw_11_relu").output)
    features = run(cut, preprocessed(spec, posters(spec)))

    weights = resolve_weights(spec, str(tmp_path / "plain.weights.h5"))
    found = load_backbone(spec, weights)(posters(spec))

    assert found.shape == (3, spec.dimension)
    assert_close(found, by_numpy(plain, features, "gem"))


def test_a_layer_without_places_is_taken_as_it_is() -> None:
    name = "expanded_conv_3_squeeze_excite_avg_pool"
    inputs = keras.Input((4, 4, 3))
    application = keras.Model(inputs, keras.layers.Flatten(name=name)(inputs))
    body = cut_and_pool(replace(get_backbone("mobilenet-v3"), layer=name), application)
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(body.predict_on_batch(images), images.reshape(2, 48))


def test_layers_side_by_side_equal_their_poolings() -> None:
    inputs = keras.Input((6, 4, 3))
    first = keras.layers.Conv2D(5, 3, name="first")(inputs)
    application = keras.Model(inputs, keras.layers.Conv2D(2, 2, name="second")(first))
    body = cut_and_pool(replace(get_backbone("vgg16"), layer="last+first"), application)
    images = np.random.default_rng(0).random((3, 6, 4, 3), dtype=np.float32)
    maps = run(keras.Model(inputs, [application.output, first]), images)
    wanted = np.concatenate([each.mean(axis=(1, 2)) for each in maps], axis=1)
    np.testing.assert_allclose(run(body, images), wanted, rtol=1e-5, atol=1e-6)


def test_layers_side_by_side_are_different_and_known() -> None:
    spec = get_backbone("small")
    application = build_application(spec)
    named = replace(get_backbone("vgg16"), layer="conv2d+conv2d")
    with pytest.raises(SettingError, match=r"expected different layers, found 'conv2d\+conv2d'"):
        cut_and_pool(named, application)
    with pytest.raises(SettingError, match="unknown layer of vgg16 'conv2e'"):
        cut_and_pool(replace(named, layer="last+conv2e"), application)


def test_a_layer_of_another_rank_is_refused() -> None:
    application = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Reshape((16, 3), name="row")]
    )
    with pytest.raises(SettingError, match=r"expected .*\(n, height, width, D\).*found 'row'"):
        cut_and_pool(replace(get_backbone("vgg16"), layer="row"), application)


def test_names_of_layers_do_not_depend_on_what_was_built_before() -> None:
    first, again = (layers_by_name(build_application(get_backbone("small"))) for _ in range(2))
    assert list(first) == list(again)
    with without_values():
        inception = layers_by_name(build_application(get_backbone("inception")))
    stem = [inception[f"conv2d{n}"].filters for n in ("", "_1", "_2", "_3", "_4")]
    assert stem == [32, 32, 64, 80, 192]  # Szegedy et al. 2016, table 1
    assert inception["mixed8"].name == "mixed8"


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["mobilenet-075", "convnext-tiny"])
def test_pooling_is_float32_under_mixed_precision(name: str, policy: str) -> None:
    spec = configure(get_backbone(name), input_size=(96, 96))
    keras.config.set_dtype_policy(policy)
    try:
        application = build_application(spec)
        bodies = [cut_and_pool(replace(spec, pooling=p), application) for p in POOLINGS]
        network = with_preprocessing(spec, bodies[0])
    finally:
        keras.config.set_dtype_policy("float32")
    assert [body.output.dtype for body in bodies] == ["float32"] * 3
    assert network.output.dtype == "float32"
    if name == "convnext-tiny":
        return
    init_random_weights(application, seed=1)
    assert application.output.dtype == policy.removeprefix("mixed_")
    both = keras.Model(application.input, [application.output, bodies[0].output])
    features, found = both.predict_on_batch(preprocessed(spec, posters(spec)))
    expected = np.asarray(features).astype(np.float64).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_scratch_is_the_published_net() -> None:
    with without_values():
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
    spec = configure(get_backbone("small"), input_size=(24, 22))
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
        fingerprint_of(fingerprint_fields(spec, Weights("file", digest, tmp_path)))
        for digest in ("a", "b")
    }
    prints.add(
        fingerprint_of(fingerprint_fields(get_backbone("resnet50"), Weights("file", "a", None)))
    )
    assert len(prints) == 3


def test_list_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / get_backbone("vgg16").weights_file).touch()
    said = {row["name"]: row["weights"] for row in list_backbones()}
    assert said["vgg16"] == "on this machine"
    assert said["inception"] == "to be downloaded"
    assert said["scratch"] == "train it with hybrid fit-deep"
