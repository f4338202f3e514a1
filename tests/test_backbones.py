"""Backbones against plain keras.applications, and their weights."""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hybrid.backbones import BACKBONES, BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.download import download_weights
from hybrid.backbones.listing import list_backbones
from hybrid.backbones.load import draw_weights, load_backbone
from hybrid.backbones.networks import build_body
from hybrid.backbones.weights import RUN_WEIGHTS, keras_models_folder, stands_for
from hybrid.cache import fingerprint_of
from hybrid.errors import SettingError, WeightsError

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

    module = PLAIN[name].replace("resnet_v2", "resnet")  # which builds both
    monkeypatch.setattr(f"keras.src.applications.{module}.file_utils.get_file", get_file)
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


def test_untrained_scratch_says_so() -> None:
    with pytest.raises(WeightsError, match=r"untrained.*hybrid fit-deep --backbone scratch"):
        resolve_weights(get_backbone("scratch"))


def test_missing_file_says_so() -> None:
    with pytest.raises(WeightsError, match=r"found no file at nowhere\.h5"):
        resolve_weights(get_backbone("vgg16"), "nowhere.h5")


@pytest.mark.parametrize("wrong", ["other net", "garbage"])
def test_wrong_file_says_what_was_expected(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.weights.h5"
    if wrong == "garbage":
        path.write_bytes(b"no weights")
    else:
        plain_model(get_backbone("mobilenet")).save_weights(str(path))
    spec = get_backbone("mobilenet-075" if wrong == "garbage" else "vgg16")
    with pytest.raises(WeightsError, match=f"expected the weights of {spec.name} without its top"):
        load_backbone(spec, resolve_weights(spec, str(path)))


def test_a_run_folder_serves_as_weights(tmp_path: Path) -> None:
    spec = get_backbone("scratch")
    build_body(spec).save_weights(str(tmp_path / RUN_WEIGHTS))
    weights = resolve_weights(spec, str(tmp_path))
    assert weights.path == (tmp_path / RUN_WEIGHTS).absolute()


def test_fingerprint_tells_weights_apart(tmp_path: Path) -> None:
    spec = get_backbone("vgg16")
    prints = {
        fingerprint_of(stands_for(spec, Weights("file", digest, tmp_path))) for digest in ("a", "b")
    }
    prints.add(fingerprint_of(stands_for(get_backbone("resnet50"), Weights("file", "a", None))))
    assert len(prints) == 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on localhost: its address and folder."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", folder
        web.shutdown()
        thread.join()


def spec_with(url: str, md5: str) -> BackboneSpec:
    spec = get_backbone("vgg16")
    return BackboneSpec(**{**vars(spec), "weights_url": url, "weights_md5": md5})


@pytest.mark.parametrize("good", [True, False])
def test_download_is_checked(
    good: bool, server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    (folder / "net.h5").write_bytes(b"the weights")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    md5 = hashlib.md5(b"the weights", usedforsecurity=False).hexdigest() if good else "0" * 32
    spec = spec_with(f"{address}/net.h5", md5)
    target = tmp_path / "home" / "models" / "net.h5"
    if good:
        assert resolve_weights(spec, "imagenet").path == target
        assert target.read_bytes() == b"the weights"
    else:
        with pytest.raises(WeightsError, match="cannot be downloaded"):
            resolve_weights(spec, "imagenet")
        assert not target.exists()
    assert [p.name for p in target.parent.iterdir()] == (["net.h5"] if good else [])


def test_no_network_says_which_file_and_where(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = server
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    target = keras_models_folder() / "absent.h5"
    spec = spec_with(f"{address}/absent.h5", "")
    wanted = rf"Wanted: {address}/absent.h5\nPut the file at {re.escape(str(target))}, or .*--weights PATH"
    with pytest.raises(WeightsError, match=wanted):
        download_weights(spec, target)


def test_damaged_imagenet_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    spec = get_backbone("vgg16")
    path = tmp_path / "models" / spec.weights_file
    path.parent.mkdir()
    path.write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=rf"expected .* MD5 {spec.weights_md5}, found"):
        resolve_weights(spec)


def test_list_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / get_backbone("vgg16").weights_file).touch()
    said = {row["name"]: row["weights"] for row in list_backbones()}
    assert said["vgg16"] == "on this machine"
    assert said["inception"] == "to be downloaded"
    assert said["scratch"] == "train it with hybrid fit-deep"
