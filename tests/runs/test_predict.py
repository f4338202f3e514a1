"""A run on items it has never seen: whose weights, which columns, which cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hybrid.backbones import get_backbone
from hybrid.backbones.load import init_random_weights
from hybrid.backbones.networks import build_body
from hybrid.catalogue import load_catalogue
from hybrid.errors import RunError, WeightsError
from hybrid.extraction.extract import extract_embeddings
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.model_file.manifest import write_manifest
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.predict import predict_catalogue
from hybrid.runs.predictions_file import read_predictions
from hybrid.splitting.methods import split_catalogue
from hybrid.types import EmbeddingOptions
from hybrid.utils.context import Context

NET = "mobilenet-075"


@pytest.fixture(scope="module")
def studio(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on posters and text, its weights file, and its cache."""
    folder = tmp_path_factory.mktemp("studio")
    body = build_body(get_backbone(NET))
    for name, seed in (("net", 0), ("other", 1)):
        init_random_weights(body, seed)
        body.save_weights(str(folder / f"{name}.weights.h5"))
    catalogue, cache = load_catalogue(films), str(folder / "cache")
    extract_embeddings(
        catalogue,
        NET,
        weights=str(folder / "net.weights.h5"),
        options=EmbeddingOptions(input_size=(64, 48)),
        context=Context(cache=cache),
    )
    model = make_hybrid(
        catalogue, blocks=["poster", "text"], grid={"C": [0.3]}, context=Context(cache=cache)
    )
    fit_head(Experiment(catalogue, split_catalogue(catalogue), folder / "runs/svm"), model, {})
    return folder


@pytest.fixture
def moved(studio: Path, tmp_path: Path) -> Path:
    """A copy of the folder elsewhere, without the cache."""
    shutil.copytree(studio, tmp_path / "moved", ignore=shutil.ignore_patterns("cache"))
    return tmp_path / "moved"


def test_test_items_are_answered_as_in_the_run(studio: Path, films: Path, tmp_path: Path) -> None:
    cache, out = str(tmp_path / "fresh"), tmp_path / "p.csv"
    summary = predict_catalogue(studio / "runs/svm", films, out, context=Context(cache=cache))
    assert (summary.items, summary.bad, summary.missing_columns) == (90, (), ())
    old, new = read_predictions(studio / "runs/svm/predictions.csv"), read_predictions(out)
    row = {name: i for i, name in enumerate(new.ids)}
    test = old.splits == "test"
    rows = [row[name] for name in old.ids[test]]
    np.testing.assert_allclose(new.probabilities[rows], old.probabilities[test], atol=1e-4)


def test_what_is_cached_needs_no_weights(moved: Path, studio: Path, films: Path) -> None:
    shutil.copytree(studio / "cache", moved / "cache")
    for path in moved.glob("*.h5"):
        path.unlink()
    predict_catalogue(
        moved / "runs/svm", films, moved / "p.csv", context=Context(cache=str(moved / "cache"))
    )
    assert len(read_predictions(moved / "p.csv").ids) == 90


def test_weights_that_moved_with_the_run_are_found(
    moved: Path, studio: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (moved / "runs/svm/run.json").read_text()
    gone = text.replace(str(studio / "net.weights.h5"), "/gone/net.weights.h5")
    assert gone != text
    (moved / "runs/svm/run.json").write_text(gone)
    write_manifest(moved / "runs/svm")
    predict_catalogue(
        moved / "runs/svm", films, moved / "p.csv", context=Context(cache=str(moved / "fresh"))
    )
    (moved / "net.weights.h5").unlink()
    with pytest.raises(WeightsError, match=r"at /gone/net\.weights\.h5, found no such file"):
        predict_catalogue(
            moved / "runs/svm", films, moved / "p.csv", context=Context(cache=str(moved / "new"))
        )


def test_other_weights_are_refused(studio: Path, films: Path, tmp_path: Path) -> None:
    other = str(studio / "other.weights.h5")
    with pytest.raises(
        WeightsError, match=r"cannot be made with .*other.weights.h5: weights: expected"
    ):
        predict_catalogue(
            studio / "runs/svm",
            films,
            tmp_path / "p.csv",
            weights=other,
            context=Context(cache=str(tmp_path / "c")),
        )
    assert not (tmp_path / "p.csv").exists()


def test_missing_columns_and_posters_are_told(studio: Path, films: Path, tmp_path: Path) -> None:
    table = pd.read_csv(films, dtype=str)[["id", "title", "poster"]].head(5)
    table.loc[0, "poster"] = ""
    table.loc[1, "poster"] = "nowhere.png"
    table["poster"] = [str(cell).replace("posters/", "p/") for cell in table["poster"]]
    shutil.copytree(films.parent / "posters", tmp_path / "p")
    table.to_csv(tmp_path / "few.csv", index=False)
    summary = predict_catalogue(
        studio / "runs/svm",
        tmp_path / "few.csv",
        tmp_path / "o.csv",
        context=Context(cache=str(tmp_path / "c")),
    )
    assert summary.missing_columns == ("overview",)
    assert [row.id for row in summary.bad] == ["f000", "f001"]
    assert np.isfinite(read_predictions(tmp_path / "o.csv").probabilities).all()


def test_posters_that_no_item_has_are_told_once(studio: Path, films: Path, tmp_path: Path) -> None:
    table = pd.read_csv(films, dtype=str)[["id", "title", "poster"]].head(5)
    table["poster"] = ["", "https://x.org/1.jpg", "", "", ""]
    table.to_csv(tmp_path / "few.csv", index=False)
    summary = predict_catalogue(
        studio / "runs/svm",
        tmp_path / "few.csv",
        tmp_path / "o.csv",
        context=Context(cache=str(tmp_path / "c")),
    )
    assert summary.bad == ()
    told = {finding.kind: finding.count for finding in summary.findings}
    assert told == {"poster URLs": 1, "no posters": 4}
    assert np.isfinite(read_predictions(tmp_path / "o.csv").probabilities).all()


def test_a_folder_that_is_no_run(films: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run"):
        predict_catalogue(tmp_path, films, tmp_path / "p.csv")
