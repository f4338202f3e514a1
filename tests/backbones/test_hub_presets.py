"""Presets of keras-hub against keras-hub itself; what is refused, and why; where they are found."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hybrid.backbones import configure, get_backbone, hub_presets, resolve_weights
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import load_backbone
from hybrid.backbones.hub_config import NETWORKS, read_network
from hybrid.backbones.licences import weights_licence
from hybrid.backbones.listing import list_layers
from hybrid.backbones.weights import fingerprint_fields
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.errors import MissingExtraError, SettingError, WeightsError
from hybrid.extraction.cache_report import explain_cache
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingOptions, EmbeddingSelector
from hybrid.utils.context import Context

needs_keras_hub = pytest.mark.skipif(
    importlib.util.find_spec("keras_hub") is None, reason="keras-hub is not installed"
)
SCALE, OFFSET = [0.01, 0.02, 0.03], [-0.5, -0.25, 0.125]
SIDE = 16
POSTERS = np.random.default_rng(5).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
VIT = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8}


def networks() -> dict[str, Callable[[], Any]]:
    import keras_hub

    models, shape = keras_hub.models, (SIDE, SIDE, 3)
    return {
        "VGG": lambda: models.VGGBackbone([1, 1], [4, 6], image_shape=(None, None, 3)),
        "ViT": lambda: models.ViTBackbone(shape, 8, mlp_dim=12, **VIT),
        "DINOV2": lambda: models.DINOV2Backbone(
            8, intermediate_dim=12, num_register_tokens=1, image_shape=shape, **VIT
        ),
    }


def save(folder: Path, kind: str = "VGG") -> Any:
    """A tiny preset with drawn weights; the network that was saved."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(7)
    network = networks()[kind]()
    network.save_to_preset(str(folder))
    converter = getattr(keras_hub.layers, f"{kind}ImageConverter")
    converter(image_size=(SIDE, SIDE), scale=SCALE, offset=OFFSET).save_to_preset(str(folder))
    return network


def embed(folder: Path, engine: str = "keras", **options: Any) -> Any:
    spec = configure(get_backbone(f"keras-hub:{folder}"), **options)
    return load_backbone(spec, resolve_weights(spec), EngineChoice(engine, "float32", "processor"))(
        POSTERS
    )


def fake(folder: Path, **changes: Any) -> Path:
    """Files that only look like a preset: no network is built of them."""
    folder.mkdir(exist_ok=True)
    config = {"stackwise_num_repeats": [1], "stackwise_num_filters": [4], "name": "net"}
    said = {
        "module": "keras_hub.src.models.vgg.vgg_backbone",
        "class_name": "VGGBackbone",
        "registered_name": "keras_hub>VGGBackbone",
        "config": config | changes.pop("config", {}),
    }
    (folder / "config.json").write_text(json.dumps(said | changes))
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 3, 4), dtype=np.float32)
    return folder


@needs_keras_hub
@pytest.mark.parametrize("engine", ["keras", "openvino"])
@pytest.mark.parametrize(
    ("kind", "pooling"),
    [("VGG", "avg"), ("VGG", "max"), ("ViT", "cls"), ("ViT", "mean"), ("DINOV2", "cls")],
)
def test_embeddings_are_those_of_keras_hub(
    tmp_path: Path, kind: str, pooling: str, engine: str
) -> None:
    network = save(tmp_path, kind)
    images = POSTERS * np.array(SCALE, np.float32) + np.array(OFFSET, np.float32)
    names = getattr(network, "input_names", None)
    given = {"images": images} if kind == "DINOV2" else images
    out = np.asarray(network(given, training=False))
    wanted = {
        "avg": lambda: out.mean(axis=(1, 2)),
        "max": lambda: out.max(axis=(1, 2)),
        "cls": lambda: out[:, 0],
        "mean": lambda: out.mean(axis=1),
    }[pooling]()
    default = pooling in ("avg", "cls")
    found = embed(tmp_path, engine, **({} if default else {"pooling": pooling}))
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5, err_msg=str(names))


@needs_keras_hub
def test_nothing_of_the_folder_makes_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    save(tmp_path)
    for name in ("deserialize_keras_object", "load_model"):
        monkeypatch.setattr(keras.saving, name, lambda *_, **__: pytest.fail("loads an object"))
    spec = configure(get_backbone(f"keras-hub:{tmp_path}"))
    assert (spec.input_size, spec.dimension, spec.parameters) == ((SIDE, SIDE), 6, 334)
    assert embed(tmp_path).shape == (5, 6)
    names = [row["name"] for row in list_layers(f"keras-hub:{tmp_path}")]
    assert configure(spec, layer=names[1]).dimension == 4
    beside = embed(tmp_path, layer=f"last+{names[1]}")
    np.testing.assert_array_equal(beside[:, :6], embed(tmp_path))
    assert beside.shape == (5, 10)


@needs_keras_hub
def test_digest_network_and_preparation_make_the_fingerprint(tmp_path: Path) -> None:
    save(tmp_path / "net")
    name = f"keras-hub:{tmp_path / 'net'}"
    spec = configure(get_backbone(name))
    fields = fingerprint_fields(spec, resolve_weights(spec))
    assert fields["architecture"] == "keras-hub:net"
    assert fields["preprocessing"]["scale"] == SCALE
    other = configure(get_backbone(name), mean=(0.5,) * 3, std=(0.25,) * 3)
    assert other.hub is not None
    assert other.hub.scale == (4 / 255,) * 3
    assert other.hub.offset == (-2.0,) * 3
    changed = fingerprint_fields(other, resolve_weights(other))
    assert {key for key in fields if fields[key] != changed[key]} == {"preprocessing"}
    assert weights_licence(spec, resolve_weights(spec)) == "unknown"
    (tmp_path / "net/README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert configure(spec).licence == "apache-2.0"
    with pytest.raises(WeightsError, match="expected none with"):
        resolve_weights(spec, "random")
    save(tmp_path / "vit", "ViT")
    shutil.copy(tmp_path / "net/model.weights.h5", tmp_path / "vit/model.weights.h5")
    with pytest.raises(WeightsError, match=r"expected \d+ arrays of ViTBackbone"):
        embed(tmp_path / "vit")


@needs_keras_hub
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pooling": "cls"}, "--pooling: expected avg or max or gem for keras-hub:net"),
        ({"layer": "nothing"}, "unknown layer of keras-hub:net"),
        ({"input_size": (1, 1)}, "expected arguments and an --input-size"),
        ({"input_size": (5000, 10)}, "from 1 to 4096, found 5000 x 10"),
        ({"fit": "stretch"}, "--fit: expected squash"),
        ({"mean": (0.5,) * 3}, "expected both or none"),
        ({"mean": (0.5,) * 3, "std": (0.0,) * 3}, "expected three numbers above 0"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: Any, expected: str) -> None:
    save(tmp_path / "net")
    with pytest.raises(SettingError, match=expected):
        configure(get_backbone(f"keras-hub:{tmp_path / 'net'}"), **options)


@needs_keras_hub
def test_colours_and_size_are_never_guessed(tmp_path: Path) -> None:
    save(tmp_path / "net")
    (tmp_path / "net/image_converter.json").unlink()
    spec = get_backbone(f"keras-hub:{tmp_path / 'net'}")
    with pytest.raises(SettingError, match=r"--input-size: expected(.|\n)*--mean, --std: expected"):
        configure(spec)
    assert configure(spec, mean=(0,) * 3, std=(1,) * 3, input_size=(8, 8)).dimension == 6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"class_name": "BertBackbone", "registered_name": "keras_hub>BertBackbone"}, "image enc"),
        ({"class_name": "Lambda", "module": "keras.layers"}, "expected a preset of keras-hub"),
        ({"registered_name": "evil>VGGBackbone"}, "found 'evil>VGGBackbone'"),
        ({"config": {"activation": {"class_name": "function", "config": "eval"}}}, "plain numbers"),
        ({"config": {"stackwise_num_filters": [10**9]}}, "at most 1,024, as the weights have it"),
        ({"config": {"stackwise_num_repeats": [500] * 2}}, "at most 1 layer, as"),
        ({"config": {"name_of": "x" * 1000}}, "expected plain numbers"),
        ({"config": {"epsilon": [[0.5] * 9] * 99}}, "expected plain numbers"),
    ],
)
def test_a_config_of_anything_else_is_refused(tmp_path: Path, changes: Any, expected: str) -> None:
    with pytest.raises(WeightsError, match=expected):
        read_network(fake(tmp_path, **changes))


def test_a_damaged_preset_is_refused(tmp_path: Path) -> None:
    folder = fake(tmp_path)
    assert read_network(folder)[0] == "VGGBackbone"
    (folder / "config.json").write_text("[1]")
    with pytest.raises(WeightsError, match="expected a JSON object, found list"):
        read_network(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match="as keras-hub's save_to_preset writes it"):
        read_network(folder)
    (fake(folder) / "model.weights.h5").unlink()
    with pytest.raises(WeightsError, match="expected the weights of the preset in one file"):
        read_network(folder)


def test_without_keras_hub_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_presets.importlib.util, "find_spec", lambda name: None)
    for name in (str(fake(tmp_path / "net")), "resnet_18_imagenet"):
        with pytest.raises(MissingExtraError, match=r'pip install "hybrid-posters\[keras-hub\]"'):
            configure(get_backbone(f"keras-hub:{name}"))


@needs_keras_hub
def test_a_preset_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In kagglehub's cache; nothing is downloaded to look."""
    import kagglehub
    import keras_hub

    said = keras_hub.models.VGGBackbone.presets["vgg_11_imagenet"]["kaggle_handle"]
    place = tmp_path / "models" / said.removeprefix("kaggle://")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    asked = []

    def refuse(handle: str, path: str) -> str:
        asked.append(path)
        raise OSError("no network here")

    monkeypatch.setattr(kagglehub, "model_download", refuse)
    spec = get_backbone("keras-hub:vgg_11_imagenet")
    with pytest.raises(WeightsError, match=r"no network here\n.*hf download keras/vgg_11_imagenet"):
        configure(spec)
    with pytest.raises(WeightsError, match="this command downloads nothing"):
        hub_presets.without_download(spec)
    assert asked == ["config.json"]
    with pytest.raises(SettingError, match="unknown preset of keras-hub 'vgg_99_imagenet'"):
        configure(get_backbone("keras-hub:vgg_99_imagenet"))
    save(place)
    found = configure(spec)
    assert (found.name, found.dimension, found.own_file) == (
        "keras-hub:vgg_11_imagenet",
        6,
        place / "model.weights.h5",
    )
    assert hub_presets.without_download(spec).own_file == found.own_file
    monkeypatch.setitem(hub_presets.LICENCES, "vgg_", "a licence")
    assert configure(spec).licence == "a licence"


@needs_keras_hub
def test_every_network_of_the_list_is_one_of_keras_hub() -> None:
    import keras_hub

    assert all(hasattr(keras_hub.models, name) for name in NETWORKS)


@needs_keras_hub
def test_extraction_of_a_preset_that_was_moved(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "net")
    catalogue, context = load_catalogue(films), Context(cache="cache")
    options = EmbeddingOptions(precision="float32")
    first = extract_embeddings(catalogue, "keras-hub:net", options=options, context=context)
    assert first.computed > 0
    Path("net").rename("other")
    again = extract_embeddings(catalogue, "keras-hub:other", options=options, context=context)
    assert (again.computed, again.hits, again.backbone) == (0, first.computed, "keras-hub:net")
    assert explain_cache(catalogue, "keras-hub:other", options=options, context=context).misses == 0
    (store,) = EmbeddingCache("cache").stores()
    assert store.recorded["licence"] == "unknown"

    select = EmbeddingSelector("keras-hub:other")
    model = make_hybrid(
        catalogue, blocks=["poster"], select=select, grid={"C": [0.3]}, context=context
    )
    run = fit_head(Experiment(catalogue, split_catalogue(catalogue), Path("runs/svm")), model, {})
    assert run.record.backbone is not None
    assert run.record.backbone.name == "keras-hub:net"
    assert run.record.cost.parameters.backbone is None  # the store names the place where it was
    fresh, out = Context(cache="fresh"), Path("p.csv")
    with pytest.raises(WeightsError, match=r"net/model\.weights\.h5, found no such file"):
        predict_catalogue(run.folder, films, out, context=fresh)
    predict_catalogue(run.folder, films, out, weights="other", context=fresh)
    old, found = read_predictions(run.folder / "predictions.csv"), read_predictions(out)
    test = old.splits == "test"
    rows = [list(found.ids).index(name) for name in old.ids[test]]
    np.testing.assert_allclose(found.probabilities[rows], old.probabilities[test], atol=1e-3)
