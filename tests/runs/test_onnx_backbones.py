"""Runs on image encoders in ONNX files: found by their digest, whatever their name and place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hybrid.cache import EmbeddingCache
from hybrid.catalogue import load_catalogue
from hybrid.errors import WeightsError
from hybrid.extraction.cache_report import explain_cache
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import find_store
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingOptions, EmbeddingSelector
from hybrid.utils.context import Context
from tests.backbones.onnx_files import cnn, vit

COLOURS = EmbeddingOptions(mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.5), precision="float32")


@pytest.fixture(scope="module")
def studio(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on the posters, and the file of their encoder, which a file beside it explains."""
    folder = tmp_path_factory.mktemp("onnx")
    path, context = cnn(folder / "cnn.onnx"), Context(cache=str(folder / "cache"))
    (folder / "cnn.json").write_text(json.dumps({"scale": 0.01, "licence": "MIT"}))
    catalogue = load_catalogue(films)
    extract_embeddings(catalogue, str(path), options=COLOURS, context=context)
    model = make_hybrid(catalogue, blocks=["poster"], grid={"C": [0.3]}, context=context)
    fit_head(Experiment(catalogue, split_catalogue(catalogue), folder / "runs/svm"), model, {})
    return folder


@pytest.fixture
def moved(studio: Path, tmp_path: Path) -> Path:
    """A copy without the cache, whose file has another name and place, and nothing beside it."""
    ignored = shutil.ignore_patterns("cache", "cnn.*")
    shutil.copytree(studio, tmp_path / "moved", ignore=ignored)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(studio / "cnn.onnx", tmp_path / "elsewhere/renamed.onnx")
    record = tmp_path / "moved/runs/svm/run.json"
    record.write_text(record.read_text().replace(str(studio / "cnn.onnx"), "/gone/cnn.onnx"))
    return tmp_path / "moved"


@pytest.mark.filterwarnings("ignore:.*run.json")
def test_a_renamed_file_predicts_as_before(moved: Path, films: Path) -> None:
    run, out, context = moved / "runs/svm", moved / "p.csv", Context(cache=str(moved / "cache"))
    with pytest.raises(WeightsError, match=r"of cnn\.onnx at /gone/cnn\.onnx, found no such file"):
        predict_catalogue(run, films, out, context=context)
    new = str(moved.parent / "elsewhere/renamed.onnx")
    predict_catalogue(run, films, out, weights=new, context=context)
    old, found = read_predictions(run / "predictions.csv"), read_predictions(out)
    test = old.splits == "test"
    rows = [list(found.ids).index(name) for name in old.ids[test]]
    np.testing.assert_allclose(found.probabilities[rows], old.probabilities[test], atol=1e-6)
    (store,) = EmbeddingCache(context.cache).stores()
    assert store.stands_for["architecture"] == "cnn.onnx"


@pytest.mark.filterwarnings("ignore:.*run.json")
def test_another_file_of_any_name_is_refused(moved: Path, films: Path) -> None:
    other = cnn(moved / "cnn.onnx", metadata={"made": "later"})
    context = Context(cache=str(moved / "cache"))
    with pytest.raises(WeightsError, match=r"cnn\.onnx: weights: expected .*--weights PATH"):
        predict_catalogue(
            moved / "runs/svm", films, moved / "p.csv", weights=str(other), context=context
        )


def test_a_renamed_file_is_the_same_backbone_in_the_cache(studio: Path, films: Path) -> None:
    context, catalogue = Context(cache=str(studio / "cache")), load_catalogue(films)
    renamed = studio / "new.onnx"
    shutil.copy(studio / "cnn.onnx", renamed)
    shutil.copy(studio / "cnn.json", studio / "new.json")
    again = extract_embeddings(catalogue, str(renamed), options=COLOURS, context=context)
    assert (again.computed, again.backbone) == (0, "cnn.onnx")
    assert explain_cache(catalogue, str(renamed), options=COLOURS, context=context).misses == 0
    found = find_store(catalogue, EmbeddingSelector(str(renamed)), context)
    assert found.fingerprint == again.fingerprint
    other = vit(studio / "other.onnx")
    assert extract_embeddings(catalogue, str(other), options=COLOURS, context=context).computed
    assert len(EmbeddingCache(context.cache).stores()) == 2
