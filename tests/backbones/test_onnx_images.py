"""Image encoders in ONNX files against the same networks in numpy; what is refused, and why."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hybrid import write_sample
from hybrid.backbones import configure, get_backbone, resolve_weights
from hybrid.backbones.engine import EngineChoice
from hybrid.backbones.engines import choose_onnx_engine, load_backbone
from hybrid.backbones.listing import list_layers
from hybrid.backbones.weights import fingerprint_fields
from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.errors import SettingError, WeightsError
from hybrid.extraction.extract import extract_embeddings
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context
from tests.backbones.onnx_files import WIDTH, H, W, cnn, cnn_maps, save, vit, vit_tokens

ENGINES = ("openvino", "onnxruntime")
MEAN, STD = (0.48, 0.45, 0.4), (0.22, 0.23, 0.25)
POSTERS = np.random.default_rng(7).integers(0, 256, (11, H, W, 3), dtype=np.uint8)
COLOURS = {"mean": MEAN, "std": STD}


def images() -> Any:
    return ((POSTERS / 255 - np.array(MEAN)) / np.array(STD)).astype(np.float32)


def embed(path: Path, engine: str, **options: Any) -> Any:
    spec = configure(get_backbone(str(path)), **{**COLOURS, **options})
    choice = EngineChoice(engine, "float32", "processor")
    return load_backbone(spec, resolve_weights(spec), choice)(POSTERS)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_feature_maps(tmp_path: Path, engine: str, nhwc: bool, pooling: str) -> None:
    found = embed(cnn(tmp_path / "cnn.onnx", nhwc=nhwc), engine, pooling=pooling)
    maps = cnn_maps(images())
    wanted = maps.mean(axis=(1, 2)) if pooling == "avg" else maps.max(axis=(1, 2))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_tokens(tmp_path: Path, engine: str, pooling: str) -> None:
    found = embed(vit(tmp_path / "vit.onnx"), engine, pooling=pooling)
    tokens = vit_tokens(images())
    wanted = tokens[:, 0] if pooling == "cls" else tokens.mean(axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_pooled_output_and_a_fixed_batch(tmp_path: Path, engine: str) -> None:
    path = vit(tmp_path / "vit.onnx", pooled=True)
    with pytest.raises(SettingError, match="expected one output, found last_hidden_state"):
        embed(path, engine)
    found = embed(path, engine, layer="pooler_output")
    np.testing.assert_allclose(found, vit_tokens(images())[:, 0], rtol=1e-4, atol=1e-5)
    found = embed(cnn(tmp_path / "one.onnx", batch=2), engine)
    np.testing.assert_allclose(found, cnn_maps(images()).mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    assert [row["name"] for row in list_layers(str(path))] == ["last_hidden_state", "pooler_output"]


def test_what_is_said_beside_and_in_the_file(tmp_path: Path) -> None:
    metadata = {"mean": json.dumps(MEAN), "std": json.dumps(STD), "license": "MIT"}
    spec = configure(get_backbone(str(cnn(tmp_path / "cnn.onnx", metadata=metadata))))
    assert spec.onnx is not None
    assert (spec.onnx.mean, spec.onnx.std, spec.licence) == (MEAN, STD, "MIT")
    assert (spec.input_size, spec.dimension, spec.parameters) == ((H, W), WIDTH, 588)
    for name, said in {
        "cnn.json": {"mean": [0.5] * 3, "std": 0.5, "licence": "CC0"},
        "preprocessor_config.json": {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": 16},
        "config.json": {"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}},
    }.items():
        (tmp_path / name).write_text(json.dumps(said))
        how = configure(get_backbone(str(tmp_path / "cnn.onnx")), input_size=(H, W)).onnx
        assert how is not None
        assert how.mean == how.std == (0.5, 0.5, 0.5)
        (tmp_path / name).unlink()


def test_a_renamed_file_and_what_is_said_beside_it(tmp_path: Path) -> None:
    path = cnn(tmp_path / "new.onnx")
    said = {"mean": [0.5] * 3, "std": [0.25] * 3, "licence": "MIT"}
    (tmp_path / "old.json").write_text(json.dumps(said))
    message = r"Beside it is old\.json, of no ONNX file there: .* rename it to new\.json"
    with pytest.raises(SettingError, match=message):
        configure(get_backbone(str(path)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "old.json").write_text(json.dumps({**said, "sha256": digest}))
    assert configure(get_backbone(str(path))).licence == "MIT"
    cnn(tmp_path / "old.onnx")  # whose it is by its name, if nothing else is said
    assert configure(get_backbone(str(path))).licence == "MIT"
    (tmp_path / "old.json").write_text(json.dumps(said))
    with pytest.raises(SettingError, match=r"found it neither .*0\.2758\.$"):
        configure(get_backbone(str(path)))


@pytest.mark.parametrize(
    ("options", "said", "expected"),
    [
        ({}, None, r"--mean, --std: expected what .* was trained with, found it neither"),
        (
            COLOURS | {"input_size": (32, 32)},
            None,
            "expected 16 x 8, which .* fixes, found 32 x 32",
        ),
        (COLOURS | {"pooling": "cls"}, None, "--pooling: expected avg or max for the output maps"),
        (COLOURS | {"layer": "block4"}, None, "expected an output block4, found maps"),
        (COLOURS | {"fit": "stretch"}, None, "--fit: expected squash"),
        (
            COLOURS,
            {"mean": ["a", 1, 2], "layout": "CHW"},
            "mean: expected three numbers(.|\n)*layout",
        ),
        (COLOURS, [1], "expected a JSON object, found list"),
        (COLOURS, {"layout": "NHWC"}, "expected 3 channels in the layout NHWC"),
    ],
)
def test_what_is_refused(tmp_path: Path, options: Any, said: Any, expected: str) -> None:
    path = cnn(tmp_path / "cnn.onnx")
    if said is not None:
        (tmp_path / "cnn.json").write_text(json.dumps(said))
    with pytest.raises((SettingError, WeightsError), match=expected):
        configure(get_backbone(str(path)), **options)


def test_other_files_are_refused(tmp_path: Path) -> None:
    def error(path: Path) -> str:
        with pytest.raises(WeightsError) as caught:
            configure(get_backbone(str(path)), **COLOURS)  # type: ignore[arg-type]
        return str(caught.value)

    path = cnn(tmp_path / "cnn.onnx")
    whole = path.read_bytes()
    for length in (0, 1, 40, len(whole) // 2, len(whole) - 3):
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        assert "cut.onnx: expected an ONNX file" in error(tmp_path / "cut.onnx")
    noise = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    (tmp_path / "noise.onnx").write_bytes(noise)
    assert "expected an ONNX file" in error(tmp_path / "noise.onnx")
    assert "expected an ONNX file" in error(tmp_path / "missing.onnx")
    # Weights in another file would be read from wherever the file says.
    model = onnx.load(path)
    onnx.save_model(
        model, tmp_path / "far.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    assert "external data" in error(tmp_path / "far.onnx")
    two = {"images": (TensorProto.FLOAT, ["n", 3, H, W]), "more": (TensorProto.FLOAT, ["n"])}
    relu = [helper.make_node("Relu", ["images"], ["out"])]
    save(tmp_path / "two.onnx", relu, two, {"out": ["n", 3, H, W]}, {})
    assert "expected one input, of images" in error(tmp_path / "two.onnx")


def test_the_digest_and_the_preparation_make_the_fingerprint(tmp_path: Path) -> None:
    path = cnn(tmp_path / "cnn.onnx")
    spec = configure(get_backbone(str(path)), **COLOURS)  # type: ignore[arg-type]
    fields = fingerprint_fields(spec, resolve_weights(spec))
    other = configure(get_backbone(str(path)), mean=MEAN, std=(0.2, 0.2, 0.2))
    assert fingerprint_fields(other, resolve_weights(other)) != fields
    vit(path)
    assert resolve_weights(spec).digest != fields["weights"]
    with pytest.raises(WeightsError, match="expected none with"):
        resolve_weights(spec, "random")


def test_onnxruntime_has_float32_alone() -> None:
    assert choose_onnx_engine("onnxruntime").precision == "float32"
    with pytest.raises(SettingError, match="expected float32 with onnxruntime"):
        choose_onnx_engine("onnxruntime", "bfloat16")
    assert choose_onnx_engine("keras", "float32").engine == "openvino"


def test_extraction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Keras; a second call, on the other engine, computes nothing."""
    monkeypatch.chdir(tmp_path)
    write_sample("films", n_items=60)
    films, context = load_catalogue("films/catalogue.csv"), Context(cache="cache")
    path = cnn(tmp_path / "cnn.onnx")
    options = EmbeddingOptions(mean=MEAN, std=STD, precision="float32")
    first = extract_embeddings(films, str(path), options=options, context=context)
    assert 0 < first.computed <= first.embedded
    again = extract_embeddings(films, "cnn.onnx", options=options, context=context)
    assert (again.computed, again.hits) == (0, first.computed)
    (store,) = EmbeddingCache("cache").stores()
    assert store.stands_for["architecture"] == "cnn.onnx"
